//! The configuration taken anew by the real executable: by command and by signal, under load, with mistakes.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use rcgen::{CertificateParams, KeyPair};
use reqwest::Certificate;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{HOME, Raw, anon};
use super::process::{Binary, Ended, PATIENCE, Place};

/// A server whose configuration is a file that the test rewrites.
fn configured(text: &str) -> (Place, Binary) {
    let place = Place::new().arguments(&["--config", "keystead.toml"]);
    place.write("keystead.toml", text);
    let server = place.start();
    (place, server)
}

fn reload(place: &Place, text: &str) -> Ended {
    place.write("keystead.toml", text);
    place.run(&["reload"])
}

fn min_length(length: usize) -> String {
    format!("[project.default.password]\nmin_length = {length}\n")
}

/// Requests on connections that stay open, until told to stop; every one must be answered well.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn on(server: &Binary) -> Self {
        let (ada, session) = anon(server).sign_up("ada@example.com", "correct horse battery").await;
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = Vec::new();
        for number in 0..6 {
            let (ada, anon) = (ada.clone(), anon(server));
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let mut refresh = session["refresh_token"].as_str().expect("a token").to_owned();
            clients.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let reply = match number {
                        0 => anon.sign_in("ada@example.com", "correct horse battery").await,
                        1 => {
                            let reply = anon.refresh(&refresh).await;
                            reply.text_at("refresh_token").clone_into(&mut refresh);
                            reply
                        }
                        _ => ada.get("/me").await,
                    };
                    assert_eq!(reply.status, 200, "{}", reply.text);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { stop, answered, clients }
    }

    /// Waits until some more requests were answered.
    async fn goes_on(&self) {
        let (wanted, begun) = (self.answered.load(Ordering::Relaxed) + 50, Instant::now());
        while self.answered.load(Ordering::Relaxed) < wanted {
            assert!(begun.elapsed() < PATIENCE && self.clients.iter().all(|client| !client.is_finished()));
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("every request was answered well");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_the_configuration_changes_and_no_request_fails() {
    let (place, server) = configured(&min_length(8));
    let mut raw = Raw::to(&server, HOME).await.expect("a connection");
    let ask = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    raw.send(ask).await;
    raw.until("\"ok\"").await;
    let load = Load::on(&server).await;
    for round in 0..6_usize {
        load.goes_on().await;
        let length = 9 + round % 2;
        let done = reload(&place, &min_length(length));
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.out.contains("  changed: project.default.password.min_length\n"), "{done:?}");
        let short = json!({ "email": "bob@example.com", "password": "x".repeat(length - 1) });
        assert_eq!(anon(&server).post("/signup", &short).await.status, 422);

        let wrong = format!("{}[listen]\nmax_connections = 0\n[project.default]\nconceal = \"no\"\n", min_length(8));
        let refused = reload(&place, &wrong);
        assert_eq!((refused.code, refused.out.as_str()), (Some(78), ""), "{refused:?}");
        for told in ["2 mistakes", "keystead.toml:4", "listen.max_connections", "keystead.toml:6", "conceal"] {
            assert!(refused.err.contains(told), "{told}: {}", refused.err);
        }
        assert_eq!(anon(&server).post("/signup", &short).await.status, 422, "nothing has changed");
    }
    load.end().await;
    raw.send(ask).await;
    raw.until("\"ok\"").await;
    let said = server.stop().err;
    assert!(said.contains("nothing has changed") && said.contains("listen.max_connections"), "{said}");
}

#[tokio::test]
async fn sighup_does_it_too_and_locks_survive() {
    let (place, server) = configured("");
    let client = anon(&server);
    client.sign_up("ada@example.com", "correct horse").await;
    for _ in 0..5 {
        assert_eq!(client.sign_in("ada@example.com", "guess").await.status, 401);
    }
    place.write("keystead.toml", &format!("log.level = \"debug\"\n{}", min_length(20)));
    server.process.signal(Signal::HUP);
    server.process.err.until("the configuration was taken anew");
    let short = json!({ "email": "bob@example.com", "password": "correct horse" });
    assert_eq!(client.post("/signup", &short).await.status, 422);
    assert_eq!(client.sign_in("ada@example.com", "correct horse").await.status, 429);
    place.write("keystead.toml", "log.level = \"laud\"\n");
    server.process.signal(Signal::HUP);
    let said = server.process.err.until("laud");
    assert!(said.contains("nothing has changed"), "{said}");
    assert_eq!(client.post("/signup", &short).await.status, 422);
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_done() {
    let (place, server) = configured("");
    let done = reload(&place, &format!("store.cache_mib = 8\nlog.format = \"json\"\n{}", min_length(20)));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("needs a restart: store.cache_mib, log.format\n"), "{done:?}");
    let short = json!({ "email": "bob@example.com", "password": "correct horse" });
    assert_eq!(anon(&server).post("/signup", &short).await.status, 422);
    let json: Value = serde_json::from_str(&place.run(&["reload", "--json"]).out).expect("JSON");
    assert_eq!(json["changed"], json!([]));
    assert_eq!(json["needs_restart"], json!(["store.cache_mib", "log.format"]));
    server.stop();
    let nobody = place.run(&["reload"]);
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(1), ""));
    assert!(nobody.err.contains("no server runs there"), "{}", nobody.err);
}

#[test]
fn a_template_with_a_mistake_changes_nothing() {
    let (place, _server) = configured("");
    fs::create_dir_all(place.path().join("templates/en")).expect("a folder");
    place.write("templates/en/verify-email.txt", "one\ntwo {{ link\n");
    let text = format!("mail.templates = \"templates\"\n{}", min_length(20));
    let refused = reload(&place, &text);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.err.contains("templates/en/verify-email.txt:2"), "{}", refused.err);
    place.write("templates/en/verify-email.txt", "one\ntwo {{ link }}\n");
    let done = reload(&place, &text);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[tokio::test]
async fn half_a_certificate_is_never_served() {
    let pair = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned(), name.to_owned()]).expect("names");
        (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    };
    let ((old, old_key), (new, new_key)) = (pair("old.example"), pair("new.example"));
    let place = Place::new().set("TLS__MODE", "files").set("TLS__CERT", "cert.pem").set("TLS__KEY", "key.pem");
    place.write("cert.pem", &old);
    place.write("key.pem", &old_key);
    let server = place.start();
    let serves = async |cert: &str| {
        let root = Certificate::from_pem(cert.as_bytes()).expect("a certificate");
        let client = crate::persona::http().tls_certs_only([root]).timeout(PATIENCE).build().expect("a client");
        client.get(format!("https://localhost:{}/healthz", server.port())).send().await.is_ok()
    };
    assert!(serves(&old).await);

    place.write("cert.pem", &new);
    let refused = place.run(&["reload"]);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.err.contains("the key does not belong to the certificate"), "{}", refused.err);
    place.write("key.pem", &new_key[..new_key.len() / 2]);
    assert_eq!(place.run(&["reload"]).code, Some(78));
    assert!(serves(&old).await && !serves(&new).await);

    place.write("key.pem", &new_key);
    let done = place.run(&["reload"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(serves(&new).await && !serves(&old).await);

    // Without being told, in two halves.
    let warnings = || server.process.err.so_far().matches("cannot be served; what is served stays").count();
    let (before, begun) = (warnings(), Instant::now());
    place.write("cert.pem", &old);
    while warnings() == before {
        assert!(serves(&new).await && begun.elapsed() < PATIENCE);
    }
    place.write("key.pem", &old_key);
    while !serves(&old).await {
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[test]
fn settings_in_force_are_shown_with_where_they_come_from() {
    let (place, server) = configured(&min_length(9));
    let place = place.set("PROJECT__DEFAULT__SECRET", "0123456789abcdef0123456789abcdef");
    assert_eq!(place.run(&["project", "create", "shop", "--set", "lockout.failures=3"]).code, Some(0));
    place.write("keystead.toml", &min_length(10));
    let at = |shown: &Value, path: &str| {
        let found = path.split('.').fold(shown, |at, name| &at[name]);
        (found["value"].clone(), found["source"].as_str().unwrap_or_default().to_owned())
    };
    let show = |arguments: &[&str]| -> Value {
        let ended = place.run(&[&["config", "show", "--config", "keystead.toml", "--json"], arguments].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.out).expect("JSON")
    };
    let (running, found) = (show(&["--running"]), show(&[]));
    assert_eq!(at(&running, "project.default.password.min_length"), (json!(9), "keystead.toml:2".to_owned()));
    assert_eq!(at(&found, "project.default.password.min_length"), (json!(10), "keystead.toml:2".to_owned()));
    assert_eq!(
        at(&running, "project.default.secret"),
        (Value::Null, String::new()),
        "the server has another environment"
    );
    let secret = (json!("[secret]"), "KEYSTEAD_PROJECT__DEFAULT__SECRET".to_owned());
    assert_eq!(at(&found, "project.default.secret"), secret);
    for shown in [&running, &found] {
        let kept = "the settings project `shop` was created with".to_owned();
        assert_eq!(at(shown, "project.shop.lockout.failures"), (json!(3), kept));
        assert_eq!(at(shown, "store.cache_mib"), (json!(4), "default".to_owned()));
    }
    let text = place.run(&["config", "show", "--config", "keystead.toml"]).out;
    assert!(text.contains("\nmin_length = 10") && text.contains("  # from keystead.toml:2\n"), "{text}");
    server.stop();
    let nobody = place.run(&["config", "show", "--running"]);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
}
