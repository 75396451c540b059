//! Health, as strangers are told it.

use std::time::Duration;

use keystead::config::{Overrides, load};
use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::{Persona, client, project_id};

/// Somebody who watches the server from outside.
fn watcher(server: &Server) -> Persona {
    Persona::anon(server).in_project(None).mounted_at("")
}

fn checks(store: &str, keys: &str, certificate: &str, clock: &str) -> Value {
    json!({
        "store": { "status": store }, "keys": { "status": keys },
        "certificate": { "status": certificate }, "outbox": { "status": "ok" }, "clock": { "status": clock },
    })
}

#[tokio::test]
async fn strangers_learn_how_each_part_does_and_not_why() {
    let server = Server::start().await;
    let ready = watcher(&server).get("/readyz").await.expect(200);
    assert_eq!(ready.body, json!({ "status": "ok", "checks": checks("ok", "ok", "ok", "ok") }));
    assert_eq!(watcher(&server).get("/healthz").await.expect(200).body, json!({ "status": "ok" }));
}

#[tokio::test]
async fn a_clock_that_steps_back_is_a_warning_until_it_has_caught_up() {
    let server = Server::start().await;
    server.clock().advance(Duration::from_secs(3600));
    let watcher = watcher(&server);
    watcher.get("/readyz").await.expect(200);
    server.clock().step_back(Duration::from_secs(60));
    assert_eq!(watcher.get("/readyz").await.expect(200).body["status"], "ok", "time servers do that");
    server.clock().step_back(Duration::from_secs(1));
    let ready = watcher.get("/readyz").await.expect(200);
    assert_eq!(ready.body, json!({ "status": "degraded", "checks": checks("ok", "ok", "ok", "degraded") }));
    server.clock().advance(Duration::from_secs(1));
    assert_eq!(watcher.get("/readyz").await.expect(200).body["status"], "ok");
}

#[tokio::test]
async fn a_clock_from_before_the_program_is_a_warning() {
    let server = Server::start().await;
    server.clock().step_back(Duration::from_secs(1));
    let ready = watcher(&server).get("/readyz").await.expect(200);
    assert_eq!(ready.body["checks"]["clock"], json!({ "status": "degraded" }));
}

#[tokio::test]
async fn a_certificate_near_its_end_is_a_warning_and_an_expired_one_is_not_ready() {
    let dir = tempfile::tempdir().expect("a directory");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let pair = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
    // The server's clock begins with 2026.
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2025, 12, 1), rcgen::date_time_ymd(2026, 4, 1));
    std::fs::write(&cert, params.self_signed(&pair).expect("a certificate").pem()).expect("a file of ours");
    std::fs::write(&key, pair.serialize_pem()).expect("a file of ours");
    let [cert, key] = [cert, key].map(|path| path.display().to_string());
    let server = Server::with(&[("TLS__MODE", "files"), ("TLS__CERT", &cert), ("TLS__KEY", &key)]).await;
    // Whoever connects may see the certificate's age as he likes: here the server is asked.
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().expect("a client");
    let watcher = Persona::at(client, server.url(), &server.project().to_string()).mounted_at("");
    server.clock().advance(Duration::from_secs(83 * 86_400));
    assert_eq!(watcher.get("/readyz").await.expect(200).body["checks"], checks("ok", "ok", "ok", "ok"));
    server.clock().advance(Duration::from_secs(1));
    let ready = watcher.get("/readyz").await.expect(200);
    assert_eq!(ready.body, json!({ "status": "degraded", "checks": checks("ok", "ok", "degraded", "ok") }));
    server.clock().advance(Duration::from_secs(7 * 86_400));
    let ready = watcher.get("/readyz").await.expect(503);
    assert_eq!(ready.body["status"], "unavailable");
    assert_eq!(ready.body["checks"], checks("ok", "ok", "unavailable", "ok"));
    // It lives all the same: starting it anew would not help.
    assert_eq!(watcher.get("/healthz").await.expect(200).body["status"], "ok");
}

#[tokio::test]
async fn a_project_that_cannot_be_opened_is_a_warning_until_it_can_be() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let settings = |hosts: &str| {
        let environment = [
            ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:0"),
            ("KEYSTEAD_HASHING__MEMORY_KIB", "8"),
            ("KEYSTEAD_HASHING__ITERATIONS", "1"),
            ("KEYSTEAD_PROJECT__ONE__HOSTS", hosts),
            ("KEYSTEAD_PROJECT__TWO__ENABLED", "true"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let overrides = Overrides { data_dir: Some(data.clone()), ..Overrides::default() };
        load(&overrides, &environment).expect("settings")
    };
    let server = Server::run(settings("one.example")).await;
    let two = project_id(&server, "two");
    server.stop().await;
    // Its file is damaged while the server is down.
    let file = data.join(format!("projects/{two}.redb"));
    let whole = std::fs::read(&file).expect("the project's file");
    std::fs::write(&file, b"rubbish").expect("a file of ours");
    let server = Server::run(settings("one.example")).await;
    let client = client(&server).tls_danger_accept_invalid_certs(true).build().expect("a client");
    let one = project_id(&server, "one");
    let anon = Persona::at(client.clone(), server.url(), &one);
    let watcher = anon.in_project(None).mounted_at("");
    anon.get("/me").await.expect(401);
    let asked = client.get(format!("{}/api/auth/me", server.url())).header("project-id", &two);
    let failed = asked.send().await.expect("a reply");
    assert_eq!(failed.status(), 500);
    let name = failed.headers()["x-request-id"].to_str().expect("text").to_owned();
    let body: Value = failed.json().await.expect("a JSON body");
    assert_eq!(body, json!({ "message": "Server error.", "request_id": name }), "the operator finds the reason by it");
    let ready = watcher.get("/readyz").await.expect(200);
    assert_eq!(ready.body, json!({ "status": "degraded", "checks": checks("ok", "degraded", "ok", "ok") }));
    assert!(!ready.text.contains(&two), "which one is the operator's to know: {}", ready.text);
    std::fs::write(&file, whole).expect("a file of ours");
    anon.in_project(Some(&two)).get("/me").await.expect(401);
    assert_eq!(watcher.get("/readyz").await.expect(200).body["status"], "ok");
    server.stop().await;
}
