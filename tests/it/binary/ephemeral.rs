//! `serve --ephemeral`: a server for tests in any language. It leaves nothing behind, belongs to the process that started
//! it, and lets that process move its clock and read its mails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{HOME, Raw, anon, sign_up_request};
use super::process::{Binary, Place, Process};

/// Starts `serve --ephemeral` with more arguments; temporary files lie in the place.
fn start(place: &Place, more: &[&str]) -> Binary {
    let place = place.clone().arguments(&[&["--ephemeral"], more].concat());
    Binary::ready(Process::start(place.serve().env("TMPDIR", place.path())), &place)
}

/// The folder that the ready line names.
fn folder(server: &Binary) -> PathBuf {
    let control = Path::new(server.ready["control"].as_str().expect("a control socket"));
    control.parent().expect("a folder").to_owned()
}

/// Asks on the control socket.
async fn ask(server: &Binary, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let socket = server.path_of("control");
    let client = reqwest::Client::builder().unix_socket(socket).build().expect("a client");
    let mut request = client.request(method, format!("http://localhost{path}"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let reply = request.send().await.expect("a reply");
    (reply.status(), reply.json().await.expect("a JSON body"))
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let place = Place::new().unset("LISTEN__ADDRESSES");
    let (one, two) = (start(&place, &[]), start(&place, &[]));
    assert_ne!(one.port(), two.port(), "side by side, each on a free port");
    let folder = folder(&one);
    assert_eq!(one.path_of("ca").parent(), Some(folder.as_path()));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&one.path_of("control")), mode(&one.path_of("ca"))), (0o700, 0o600, 0o600));
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2, "no key, no data");
    anon(&one).sign_up("ada@example.com", "correct horse").await;
    assert_eq!(anon(&two).sign_in("ada@example.com", "correct horse").await.status, 401, "each has data of its own");
    for server in [one, two] {
        assert!(server.process.err.so_far().contains("in memory"), "{}", server.process.err.so_far());
        let ended = server.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
    assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 0);
}

#[test]
fn it_ends_with_its_parent() {
    let place = Place::new().under(&["sh", "-c", r#""$0" "$@" & wait"#]);
    let mut server = start(&place, &[]);
    let folder = folder(&server);
    assert!(folder.exists());
    // The shell that started it, which has no say any more.
    server.process.signal(Signal::KILL);
    assert_eq!(server.process.code(), None);
    // The server holds the other end of this pipe for as long as it lives.
    let said = server.process.err.whole();
    assert!(said.contains("the process that started this server has ended"), "{said}");
    assert!(!folder.exists(), "it ends in order: {said}");
}

#[tokio::test]
async fn a_second_signal_leaves_nothing_either() {
    let place = Place::new();
    let server = start(&place, &[]);
    let folder = folder(&server);
    let (head, _) = sign_up_request(&server, "ada@example.com", "correct horse", "expect: 100-continue\r\n");
    let mut client = Raw::to(&server, HOME).await.expect("a connection");
    client.send(&head).await;
    client.until("100 Continue\r\n\r\n").await;
    server.process.signal(Signal::TERM);
    server.process.err.until("stopping");
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.ended().code, Some(1));
    assert!(!folder.exists());
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let place = Place::new().arguments(&["--ephemeral", "--listen", "192.0.2.1:1"]);
    let ended = Process::start(place.serve().env("TMPDIR", place.path())).ended();
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 0);
    let nowhere = place.path().join("nowhere");
    let ended = Process::start(place.serve().env("TMPDIR", &nowhere)).ended();
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("nowhere/keystead-"), "it says which folder: {}", ended.err);
    let data_dir = place.run(&["serve", "--ephemeral", "--data-dir", "data"]);
    assert_eq!(data_dir.code, Some(2), "nothing would be kept there: {}", data_dir.err);
}

#[tokio::test]
async fn the_clock_is_moved_on_the_control_socket() {
    let place = Place::new();
    let server = start(&place, &[]);
    let (ada, session) = anon(&server).sign_up("ada@example.com", "correct horse").await;
    let (status, before) = ask(&server, Method::GET, "/testing/clock", None).await;
    assert_eq!(status, 200);
    let (status, after) = ask(&server, Method::POST, "/testing/clock", Some(json!({ "advance": "15m" }))).await;
    assert_eq!(status, 200);
    let moment = |at: &Value| at["now"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("RFC 3339");
    assert!(moment(&after).duration_since(moment(&before)).as_secs() >= 899);
    assert_eq!(ada.get("/me").await.status, 401, "the access token has expired");
    let refreshed = anon(&server).refresh(session["refresh_token"].as_str().expect("a token")).await.expect(200);
    assert!(refreshed.text_at("expires_at") > session["expires_at"].as_str().expect("a time"));
    // Certificates go by the time of day, not by this clock: a new connection still trusts them.
    ask(&server, Method::POST, "/testing/clock", Some(json!({ "advance": "3650d" }))).await;
    assert_eq!(anon(&server).sign_in("ada@example.com", "correct horse").await.status, 200);
    for (wrong, message) in [
        (json!({ "advance": "a while" }), "is not a duration"),
        (json!({ "advance": "-1s" }), "is not a duration"),
        (json!({ "advance": "36500d" }), "100 years"),
        (json!({ "advance": "18446744073709551615ms" }), "100 years"),
        (json!({ "to": "2030-01-01" }), "unknown field"),
        (json!({}), "missing field"),
    ] {
        let (status, body) = ask(&server, Method::POST, "/testing/clock", Some(wrong.clone())).await;
        assert_eq!(status, 422, "{wrong}");
        assert!(body["error"]["message"].as_str().is_some_and(|text| text.contains(message)), "{wrong}: {body}");
    }
    assert_eq!(ask(&server, Method::DELETE, "/testing/clock", None).await.0, 405);
}

#[tokio::test]
async fn only_an_ephemeral_server_has_a_clock_and_a_mailbox_to_reach() {
    let place = Place::new();
    let server = place.start();
    for (method, path) in [
        (Method::GET, "/testing/clock"),
        (Method::POST, "/testing/clock"),
        (Method::GET, "/testing/mailbox"),
        (Method::DELETE, "/testing/mailbox"),
    ] {
        let (status, body) = ask(&server, method, path, None).await;
        assert_eq!((status.as_u16(), &body["error"]["code"]), (404, &json!("unknown_route")), "{path}");
    }
    let ephemeral = start(&place, &[]);
    for path in ["/testing/clock", "/testing/mailbox", "/v1/projects"] {
        assert_eq!(ask(&ephemeral, Method::GET, path, None).await.0, 200, "{path}");
        let outside = anon(&ephemeral).mounted_at("").get(path).await;
        assert_eq!(outside.status, 404, "{path} is not for the network");
    }
}

#[tokio::test]
async fn configuration_counts_and_commands_find_it() {
    let place = Place::new().unset("LISTEN__ADDRESSES");
    let text = "[listen]\naddresses = [\"127.0.0.1:0\", \"[::1]:0\"]\n[project.shop.password]\nmin_length = 12\n";
    place.write("keystead.toml", text);
    let server = start(&place, &["--config", "keystead.toml"]);
    assert_eq!(server.ready["urls"].as_array().map(Vec::len), Some(2), "{}", server.line);
    assert_eq!(server.ready["projects"][0]["slug"], "shop");
    let refused =
        anon(&server).post("/signup", &json!({ "email": "ada@example.com", "password": "elevenchars" })).await;
    assert_eq!(refused.refused("password"), "The password field must be at least 12 characters.");
    let listening = start(&place, &["--config", "keystead.toml", "--listen", "127.0.0.1:0"]);
    assert_eq!(listening.ready["urls"].as_array().map(Vec::len), Some(1), "{}", listening.line);

    let folder = folder(&server);
    let data_dir = folder.to_str().expect("text");
    anon(&server).sign_up("ada@example.com", "correct horse battery").await;
    let listed = place.run(&["user", "list", "--json", "--data-dir", data_dir]);
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    assert_eq!(listed["users"][0]["email"], "ada@example.com");
    let disabled = place.run(&["user", "disable", "ada@example.com", "--data-dir", data_dir]);
    assert_eq!(disabled.code, Some(0), "{}", disabled.err);
    assert_eq!(anon(&server).sign_in("ada@example.com", "correct horse battery").await.status, 401);
    server.stop();
    let gone = place.run(&["user", "list", "--data-dir", data_dir]);
    assert_eq!(gone.code, Some(1), "a command makes no data of its own: {}", gone.err);
    assert!(!folder.exists());
}

#[tokio::test]
async fn mails_are_read_on_the_control_socket() {
    let place = Place::new().set("PROJECT__DEFAULT__VERIFICATION__DELIVERY", "mail");
    let server = start(&place, &[]);
    let mailbox = |query: &str| format!("/testing/mailbox{query}");
    assert_eq!(ask(&server, Method::GET, &mailbox(""), None).await, (StatusCode::OK, json!([])));
    // Asked before it is sent: the answer waits for it.
    let mut last = (StatusCode::OK, json!([]));
    for email in ["bob@example.com", "ada@example.com"] {
        anon(&server).sign_up(email, "correct horse").await;
        let query = mailbox(&format!("?to={}&wait=60s", email.to_uppercase()));
        let (anyone, resend) = (anon(&server), json!({ "email": email }));
        let asked = ask(&server, Method::GET, &query, None);
        let (waited, _) = tokio::join!(asked, anyone.post("/verify-email/resend", &resend));
        last = waited;
    }
    let (status, mails) = last;
    assert_eq!((status.as_u16(), mails.as_array().map(Vec::len)), (200, Some(1)), "{mails}");
    let keys: Vec<_> = mails[0].as_object().expect("a mail").keys().collect();
    let documented = ["to", "from", "subject", "text", "html", "headers", "template", "link", "code", "sent_at"];
    assert_eq!(keys, documented);
    assert_eq!((&mails[0]["to"], &mails[0]["template"]), (&json!("ada@example.com"), &json!("verify-email")));
    let code = json!({ "token": mails[0]["code"] });
    anon(&server).post("/verify-email/confirm", &code).await.expect(200);

    let (_, all) = ask(&server, Method::GET, &mailbox("?count=2&wait=60s"), None).await;
    let all = all.as_array().expect("a list");
    assert_eq!(all.last(), mails.get(0), "newest last");
    assert!(all.iter().any(|mail| mail["to"] == "bob@example.com"));
    let (_, deleted) = ask(&server, Method::DELETE, &mailbox("?to=bob@example.com"), None).await;
    assert_eq!(deleted["deleted"], all.len() - 1);
    let (_, left) = ask(&server, Method::GET, &mailbox("?count=5&wait=1ms"), None).await;
    assert_eq!(left.as_array().map(Vec::len), Some(1), "too few in time: those there are");
    let (_, deleted) = ask(&server, Method::DELETE, &mailbox(""), None).await;
    assert_eq!(deleted["deleted"], 1);
    for (wrong, message) in [("?wait=61s", "at most 60s"), ("?wait=x", "not a duration"), ("?from=x", "unknown field")]
    {
        let (status, body) = ask(&server, Method::GET, &mailbox(wrong), None).await;
        assert_eq!(status, 422, "{wrong}");
        assert!(body["error"]["message"].as_str().is_some_and(|text| text.contains(message)), "{wrong}: {body}");
    }
    assert_eq!(ask(&server, Method::POST, &mailbox(""), None).await.0, 405);
}
