//! No secret in the store, in a log or in an error, and one use also across a restart.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use keystead::config::{self, Overrides};
use keystead::testing::Server;
use serde_json::json;

use crate::persona::Persona;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery";
const PROJECT_SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn server_in(dir: &Path, verification: &str) -> Server {
    let environment: BTreeMap<String, String> = [
        ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:0"),
        // The certificates of a data directory are of the test clock's time, which a client does not go by.
        ("KEYSTEAD_TLS__MODE", "off"),
        ("KEYSTEAD_HASHING__MEMORY_KIB", "8"),
        ("KEYSTEAD_HASHING__ITERATIONS", "1"),
        ("KEYSTEAD_PROJECT__DEFAULT__SECRET", PROJECT_SECRET),
        ("KEYSTEAD_PROJECT__DEFAULT__VERIFICATION__MODE", verification),
        ("KEYSTEAD_PROJECT__DEFAULT__TOKENS__REFRESH_GRACE", "0s"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let overrides = Overrides { data_dir: Some(dir.to_owned()), ..Overrides::default() };
    Server::run(config::load(&overrides, &environment).expect("good settings")).await
}

/// Every secret that one user comes to hold, some of them used.
async fn live(anon: &Persona) -> Vec<String> {
    let (ada, up) = anon.sign_up(ADA, PASSWORD).await;
    let refreshed = anon.refresh(up["refresh_token"].as_str().expect("a token")).await.expect(200);
    let key = ada.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
    let proof = json!({ "key": key.text_at("plain_text_key") });
    anon.with_token(PROJECT_SECRET).post("/api-keys/verify", &proof).await.expect(200);
    anon.sign_in(ADA, "a wrong password").await.expect(401);
    let change = json!({ "current_password": PASSWORD, "new_password": "another good password" });
    ada.post("/change-password", &change).await.expect(200);
    // A password that is changed takes what went out before with it.
    let sent = anon.post("/verify-email/resend", &json!({ "email": ADA })).await.expect(200);
    vec![
        PASSWORD.to_owned(),
        "a wrong password".to_owned(),
        "another good password".to_owned(),
        PROJECT_SECRET.to_owned(),
        up["access_token"].as_str().expect("a token").to_owned(),
        up["refresh_token"].as_str().expect("a token").to_owned(),
        refreshed.text_at("refresh_token").to_owned(),
        key.text_at("plain_text_key").to_owned(),
        key.text_at("plain_text_key")[17..].to_owned(),
        sent.text_at("verification_token").to_owned(),
    ]
}

#[tokio::test]
async fn no_secret_is_in_clear_in_the_store() {
    use base64::Engine;
    let dir = tempfile::tempdir().expect("a directory");
    let server = server_in(dir.path(), "lenient").await;
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for text in live(&Persona::anon(&server)).await {
        // The bytes that a text of base64 stands for would be as good.
        secrets.extend(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&text).ok());
        secrets.push(text.into_bytes());
    }
    server.stop().await;
    let mut files = vec![dir.path().to_owned()];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            for secret in &secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret);
                assert!(!found, "{} holds {}", path.display(), String::from_utf8_lossy(secret));
            }
            read += usize::from(path.extension().is_some_and(|name| name == "redb"));
        }
    }
    assert_eq!(read, 1, "the project's file was among them");
}

/// What the server logs on this thread: `tokio::test` runs the server's tasks here, too.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_in_the_log_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter("keystead=trace").with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // With one subscriber alive, tracing lets whichever thread first reaches a log line decide whether anybody wants it,
    // for good; and other tests' threads want none. With two alive it asks both.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let server = Server::with(&[
        ("PROJECT__DEFAULT__SECRET", PROJECT_SECRET),
        ("PROJECT__DEFAULT__VERIFICATION__MODE", "lenient"),
        ("PROJECT__DEFAULT__TOKENS__REFRESH_GRACE", "0s"),
    ])
    .await;
    let anon = Persona::anon(&server);
    let secrets = live(&anon).await;
    for token in &secrets[5..7] {
        anon.refresh(token).await.expect(401);
    }
    anon.post("/verify-email/confirm", &json!({ "token": secrets[9] })).await.expect(200);
    let text = String::from_utf8(log.0.lock().expect("the log").clone()).expect("text");
    assert!(text.contains("sign-in failed"), "the log was caught: {text}");
    for secret in &secrets {
        assert!(!text.contains(secret.as_str()), "{secret} in {text}");
    }
    assert!(!text.contains(ADA), "an address is personal data: {text}");
}

#[tokio::test]
async fn what_was_used_or_ended_stays_so_across_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server_in(dir.path(), "lenient").await;
    let anon = Persona::anon(&server);
    let (gone, out) = anon.sign_up(ADA, PASSWORD).await;
    let (kept, body) = anon.signed_in(ADA, PASSWORD).await;
    gone.post_nothing("/logout").await.expect(200);
    let first = body["refresh_token"].as_str().expect("a token");
    let second = anon.refresh(first).await.expect(200).text_at("refresh_token").to_owned();
    let sent = anon.post("/verify-email/resend", &json!({ "email": ADA })).await.expect(200);
    let proof = json!({ "token": sent.text_at("verification_token") });
    anon.post("/verify-email/confirm", &proof).await.expect(200);
    for _ in 0..5 {
        anon.sign_in("eve@example.com", "wrong horse").await.expect(401);
    }
    let (me, id) = (kept.get("/me").await.expect(200).body, server.project());
    server.stop().await;

    let server = server_in(dir.path(), "lenient").await;
    assert_eq!(server.project(), id);
    let anon = Persona::anon(&server);
    let again = |body: &serde_json::Value| anon.with_token(body["access_token"].as_str().expect("a token"));
    assert_eq!(again(&body).get("/me").await.expect(200).body, me);
    again(&out).get("/me").await.expect(401);
    anon.refresh(out["refresh_token"].as_str().expect("a token")).await.expect(401);
    anon.post("/verify-email/confirm", &proof).await.refused("token");
    anon.sign_in("eve@example.com", "wrong horse").await.expect(429);
    let third = anon.refresh(&second).await.expect(200);
    // The first, used before the restart, is theft.
    anon.refresh(first).await.expect(401);
    again(&third.body).get("/me").await.expect(401);
    server.stop().await;
}

/// Contract 5: access tokens go on until they expire, the next refresh asks for the proof and uses nothing up.
#[tokio::test]
async fn a_project_that_turns_strict_asks_at_the_next_refresh() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server_in(dir.path(), "lenient").await;
    let (_, up) = Persona::anon(&server).sign_up(ADA, PASSWORD).await;
    server.stop().await;
    let server = server_in(dir.path(), "strict").await;
    let anon = Persona::anon(&server);
    let (access, refresh) =
        (up["access_token"].as_str().expect("a token"), up["refresh_token"].as_str().expect("a token"));
    anon.with_token(access).get("/me").await.expect(200);
    let blocked = anon.refresh(refresh).await.expect(403);
    assert_eq!(blocked.text_at("code"), "email_verification_required");
    assert_eq!(anon.refresh(refresh).await.expect(403).body.get("verification_token"), None, "in the cooldown");
    let proof = json!({ "token": blocked.text_at("verification_token") });
    anon.post("/verify-email/confirm", &proof).await.expect(200);
    let next = anon.refresh(refresh).await.expect(200);
    anon.with_token(next.text_at("access_token")).get("/me").await.expect(200);
    server.stop().await;
}
