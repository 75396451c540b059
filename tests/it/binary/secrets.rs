//! No secret is said, and none lies in clear in the files: every secret of a busy run is looked for in everything that
//! the run wrote.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::client::{anon, json_at};
use super::mail;
use super::process::{Binary, Place};
use crate::mail_server::sink::{At, Fault, Manner, PASSWORD, Sink, USERNAME};

/// A secret and what it is called when it is found.
struct Wanted {
    name: String,
    bytes: Vec<u8>,
}

/// Secrets handed out or taken in during a run, in every form that would give them away.
#[derive(Default)]
struct Secrets(Vec<Wanted>);

impl Secrets {
    fn add(&mut self, name: &str, text: &str) {
        assert!(text.len() >= 8, "{name} is too short to be looked for");
        self.0.push(Wanted { name: name.to_owned(), bytes: text.as_bytes().to_vec() });
    }

    /// A token, and its random part in binary: a refresh token holds it at 20, a one-time secret and a key are it.
    fn add_token(&mut self, name: &str, text: &str) {
        self.add(name, text);
        // A key's secret may hold `_` itself; its 43 characters come last.
        let encoded = if text.starts_with("uak_") { &text[text.len() - 43..] } else { text };
        let raw = URL_SAFE_NO_PAD.decode(encoded).expect("base64url");
        let secret = if raw.len() > 52 { &raw[20..52] } else { &raw[..] };
        assert_eq!(secret.len(), 32, "{name}");
        self.0.push(Wanted { name: format!("{name}, in binary"), bytes: secret.to_vec() });
    }

    fn are_not_in(&self, place: &str, bytes: &[u8]) {
        for Wanted { name, bytes: wanted } in &self.0 {
            // The first byte is looked for fast; few positions remain.
            let found = (0..bytes.len().saturating_sub(wanted.len() - 1))
                .filter(|at| bytes[*at] == wanted[0])
                .any(|at| bytes[at..at + wanted.len()] == wanted[..]);
            assert!(!found, "{name} is in {place}");
        }
    }

    fn are_not_in_files(&self, directory: &Path) -> usize {
        let entries = fs::read_dir(directory).expect("a directory of ours");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files = 0;
        for path in paths {
            if path.is_dir() {
                files += self.are_not_in_files(&path);
            } else if path.is_file() {
                self.are_not_in(&path.display().to_string(), &fs::read(&path).expect("a file of ours"));
                files += 1;
            }
        }
        files
    }
}

/// Uses every way in and out, wrong ones too; every secret that was said in it.
async fn busy_run(server: &Binary) -> Secrets {
    let anon = anon(server);
    let mut secrets = Secrets::default();
    let (ada, session) = anon.sign_up("ada@example.com", "correct horse of ada").await;
    secrets.add("a password", "correct horse of ada");
    let text =
        |value: &Value, key: &str| value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned();
    secrets.add("an access token", &text(&session, "access_token"));
    secrets.add_token("a refresh token", &text(&session, "refresh_token"));
    let refreshed = anon.post("/refresh", &json!({ "refresh_token": session["refresh_token"] })).await;
    secrets.add("an access token", refreshed.text_at("access_token"));
    secrets.add_token("a refresh token", refreshed.text_at("refresh_token"));
    let resent = anon.post("/verify-email/resend", &json!({ "email": "ada@example.com" })).await;
    secrets.add_token("a verification token", resent.text_at("verification_token"));
    let confirmation = json!({ "token": resent.body["verification_token"] });
    assert_eq!(anon.post("/verify-email/confirm", &confirmation).await.status, 200);
    assert_eq!(anon.post("/verify-email/confirm", &confirmation).await.status, 422);
    let key = ada.post("/api-keys", &json!({ "name": "CI" })).await;
    assert_eq!(key.status, 201, "{}", key.text);
    secrets.add_token("an API key", key.text_at("plain_text_key"));
    assert_eq!(anon.with_token(key.text_at("plain_text_key")).get("/me").await.status, 401);
    let change = json!({ "current_password": "correct horse of ada", "new_password": "battery staple of ada" });
    assert_eq!(ada.post("/change-password", &change).await.status, 200);
    secrets.add("a new password", "battery staple of ada");
    secrets.add("a wrong password", "tried and wrong of mallory");
    assert_eq!(anon.sign_in("ada@example.com", "tried and wrong of mallory").await.status, 401);
    assert_eq!(anon.sign_in("nobody@example.com", "tried and wrong of mallory").await.status, 401);
    secrets.add("a password in a malformed body", "malformed of mallory");
    let malformed = b"{\"email\":\"ada@example.com\",\"password\":\"malformed of mallory\"".to_vec();
    let reply = anon.send(reqwest::Method::POST, "/login", Some(("application/json", malformed))).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    // In the wrong place: a query is what servers like to log.
    secrets.add("a password in a query", "query-of-mallory");
    assert_eq!(anon.get("/login?password=query-of-mallory").await.status, 405);
    secrets
}

/// All that a command says.
fn said(place: &Place, arguments: &[&str], input: &str) -> String {
    let ended = place.run_with(arguments, input);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.out + &ended.err
}

/// Whatever can be listed, exported, measured or looked at: by command, on the control socket, and by strangers.
async fn everything_told(place: &Place, server: &Binary) -> String {
    let listings: [&[&str]; 14] = [
        &["user", "list", "--json"],
        &["user", "show", "ada@example.com"],
        &["session", "list", "--json"],
        &["key", "list", "--json"],
        &["project", "show", "--json"],
        &["config", "show"],
        &["audit", "tail", "-n", "1000"],
        &["audit", "export"],
        &["audit", "verify", "--json"],
        &["mail", "list"],
        &["mail", "list", "--json"],
        &["mail", "list", "--dead", "--json"],
        &["webhook", "list", "--json"],
        &["doctor", "--json"],
    ];
    let mut told: String = listings.into_iter().map(|listing| said(place, listing, "")).collect();
    for path in [
        "/metrics",
        "/v1/health",
        "/v1/config",
        "/v1/findings",
        "/v1/projects",
        "/v1/projects/default",
        "/v1/projects/default/users",
        "/v1/projects/default/sessions",
        "/v1/projects/default/keys",
        "/v1/projects/default/audit",
        "/v1/projects/default/webhooks",
        "/v1/projects/default/outbox",
    ] {
        let answer = server.control(path).await;
        assert!(!answer.starts_with("{\"error\":"), "{path}: {answer}");
        told += &answer;
    }
    for state in ["waiting", "dead"] {
        let list = server.control(&format!("/v1/projects/default/outbox?state={state}")).await;
        let items: Value = serde_json::from_str(&list).expect("JSON");
        for item in items["items"].as_array().expect("a list") {
            let id = item["id"].as_str().expect("an id");
            told += &server.control(&format!("/v1/projects/default/outbox/{id}")).await;
        }
        told += &list;
    }
    for path in ["/healthz", "/readyz"] {
        told += &json_at(server, path).await.to_string();
    }
    told
}

#[tokio::test]
async fn no_secret_is_said_and_none_lies_in_clear() {
    let place = Place::new()
        .set("LOG", "trace")
        .set("PROJECT__DEFAULT__VERIFICATION__MODE", "lenient")
        .set("PROJECT__DEFAULT__SECRET", "the-secret-of-the-project-default");
    let server = place.start();
    let mut secrets = busy_run(&server).await;
    secrets.add("the project's secret", "the-secret-of-the-project-default");
    secrets.add("a password an operator set", "set by an operator");
    let mut told = said(&place, &["user", "create", "grace@example.com"], "set by an operator\n");
    told += &everything_told(&place, &server).await;
    secrets.are_not_in("what commands said", told.as_bytes());
    assert!(secrets.are_not_in_files(&place.data()) >= 5, "while it runs");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("TRACE"), "everything was logged");
    secrets.are_not_in("standard output", ended.out.as_bytes());
    secrets.are_not_in("the log", ended.err.as_bytes());
    assert!(secrets.are_not_in_files(&place.data()) >= 5, "when it has ended");
    let master = fs::read(place.data().join("master.key")).expect("the master key");
    let sealed = Secrets(vec![Wanted { name: "the master key".into(), bytes: master }]);
    sealed.are_not_in_files(&place.data().join("projects"));
    sealed.are_not_in("the log", ended.err.as_bytes());
}

/// A mail that waits or was given up holds a link and a code: whoever asks for that one mail reads them, nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mails_say_is_in_no_listing_and_sealed_in_the_file() {
    let sink = Sink::start(Manner { auth: "PLAIN", ..Manner::default() }).await;
    let place = mail::place(&sink).set("LOG", "trace");
    let server = place.start();
    let mut secrets = Secrets::default();
    secrets.add("the mail server's password", PASSWORD);
    secrets.add("the same, as it is sent", &STANDARD.encode(format!("\0{USERNAME}\0{PASSWORD}")));
    secrets.add("a password", "correct horse of ada");
    for (email, reply, state) in
        [("grace@example.com", "550 5.1.1 no such user", "dead"), ("ada@example.com", "451 4.7.1 not now", "waiting")]
    {
        sink.behave(|manner| manner.fault = Some((At::Recipient, Fault::reply(reply))));
        let new = json!({ "email": email, "password": "correct horse of ada" });
        assert_eq!(anon(&server).post("/signup", &new).await.status, 202);
        let id = loop {
            let list = server.control(&format!("/v1/projects/default/outbox?state={state}")).await;
            let list: Value = serde_json::from_str(&list).expect("JSON");
            let item = &list["items"][0];
            if item["last_error"].as_str().is_some_and(|why| why.contains(reply)) {
                break item["id"].as_str().expect("an id").to_owned();
            }
        };
        let shown: Value = serde_json::from_str(&said(&place, &["mail", "show", &id, "--json"], "")).expect("JSON");
        let (link, code) = (&shown["mail"]["link"], shown["mail"]["code"].as_str().expect("a code"));
        let token = link.as_str().and_then(|link| link.split_once("token=")).expect("a link with a token").1;
        secrets.add_token("a token in a link", token.split('&').next().expect("a token"));
        secrets.add("a code", code);
        secrets.add("a code as it is typed", &code.replace('-', ""));
    }
    let told = everything_told(&place, &server).await;
    for sign in ["550 5.1.1", "451 4.7.1", "keystead_outbox", "\"checks\"", "grace@example.com"] {
        assert!(told.contains(sign), "{sign} in {told}");
    }
    secrets.are_not_in("what was told", told.as_bytes());
    assert!(secrets.are_not_in_files(&place.data()) >= 5, "while it runs");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("TRACE"), "everything was logged");
    secrets.are_not_in("the log", ended.err.as_bytes());
    assert!(secrets.are_not_in_files(&place.data()) >= 5, "when it has ended");
}
