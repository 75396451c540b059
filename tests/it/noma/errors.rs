//! The golden table of errors: what went wrong, its status, its body; and what no reply may depend on.

use std::time::Duration;

use axum::body::to_bytes;
use insta::assert_snapshot;
use keystead::dialect::{Dialect, Trouble};
use keystead::testing::Server;
use reqwest::Method;
use serde_json::json;

use crate::persona::{Persona, Reply};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";

/// One line of the table.
fn line(what: &str, reply: &Reply) -> String {
    let mut text = reply.text.clone();
    if let Some(uuid) = reply.body["user"]["uuid"].as_str() {
        text = text.replace(uuid, "[uuid]");
    }
    if let Some(token) = reply.body["verification_token"].as_str() {
        text = text.replace(token, "[token]");
    }
    format!("{what:34} {} {text}\n", reply.status.as_u16())
}

#[tokio::test]
async fn every_refusal_of_a_verb() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server = Server::with(&[
        ("PROJECT__DEFAULT__SECRET", secret),
        ("PROJECT__DEFAULT__LOCKOUT__FAILURES", "2"),
        ("PROJECT__CLOSED__SIGNUP__ENABLED", "false"),
        ("PROJECT__OFF__ENABLED", "false"),
        ("PROJECT__STRICT__VERIFICATION__MODE", "strict"),
    ])
    .await;
    let in_project = |slug| Persona::anon(&server).in_project(Some(&crate::persona::project_id(&server, slug)));
    let anon = in_project("default");
    let (ada, _) = anon.sign_up(ADA, PASSWORD).await;
    let account = json!({ "email": ADA, "password": PASSWORD });
    let change = |current, new: &str| json!({ "current_password": current, "new_password": new });
    let mut table = String::new();
    let mut note = |what, reply: Reply| table.push_str(&line(what, &reply));
    note("project missing", anon.in_project(None).get("/me").await);
    note("project unknown", anon.in_project(Some("x")).get("/me").await);
    note("project off", in_project("off").get("/me").await);
    note("route unknown", anon.get("/x").await);
    note("method wrong", anon.get("/login").await);
    note("body too large", anon.post("/login", &json!({ "x": "x".repeat(65_536) })).await);
    note("body malformed", anon.send(Method::POST, "/login", Some(("application/json", b"{".to_vec()))).await);
    note("body not JSON", anon.send(Method::POST, "/login", Some(("text/plain", b"{}".to_vec()))).await);
    note("bearer missing", anon.get("/me").await);
    note("fields missing", anon.post("/signup", &json!({})).await);
    note("sign-up off", in_project("closed").post("/signup", &account).await);
    note("address taken", anon.post("/signup", &account).await);
    note("address unproved, sign-up", in_project("strict").post("/signup", &account).await);
    note("address unproved, in cooldown", in_project("strict").sign_in(ADA, PASSWORD).await);
    server.clock().advance(Duration::from_secs(60));
    note("address unproved, sign-in", in_project("strict").sign_in(ADA, PASSWORD).await);
    note("provider unknown", anon.post("/login/social", &json!({ "provider": "google", "id_token": "x" })).await);
    note("refresh token", anon.refresh(&"x".repeat(40)).await);
    note("verification token", anon.post("/verify-email/confirm", &json!({ "token": "x" })).await);
    note("new password is the current one", ada.post("/change-password", &change(PASSWORD, PASSWORD)).await);
    note("API key unknown", ada.post_nothing("/api-keys/7/revoke").await);
    note("API key not proved", anon.with_token(secret).post("/api-keys/verify", &json!({ "key": "x" })).await);
    note("credentials wrong", anon.sign_in(ADA, "wrong horse").await);
    note("current password wrong", ada.post("/change-password", &change("wrong horse", "battery staple")).await);
    note("locked", anon.sign_in(ADA, PASSWORD).await);
    note("locked, change-password", ada.post("/change-password", &change(PASSWORD, "battery staple")).await);
    assert_snapshot!(table);
}

#[tokio::test]
async fn every_trouble_before_a_verb() {
    let mut table = String::new();
    for trouble in [
        Trouble::NoProject,
        Trouble::UnknownProject,
        Trouble::ProjectDisabled,
        Trouble::NotFound,
        Trouble::MethodNotAllowed,
        Trouble::TooLarge,
        Trouble::Slow,
        Trouble::Unavailable { retry_after: Duration::from_millis(1) },
        Trouble::Unavailable { retry_after: Duration::from_millis(2001) },
        Trouble::Internal,
    ] {
        let reply = Dialect::Noma.trouble(&trouble);
        let (status, after) = (reply.status().as_u16(), reply.headers().get("retry-after").cloned());
        let body = to_bytes(reply.into_body(), 1024).await.expect("a body");
        let after = after.map_or(String::new(), |value| format!(" (Retry-After: {})", value.to_str().expect("text")));
        table.push_str(&format!("{:34} {status} {}{after}\n", format!("{trouble:?}"), String::from_utf8_lossy(&body)));
    }
    assert_snapshot!(table);
}

/// Contract 1: project, then bearer, then body, then rule.
#[tokio::test]
async fn checks_come_in_their_order() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up(ADA, PASSWORD).await;
    let garbage = || Some(("text/plain", b"{".to_vec()));
    let nowhere = ada.in_project(Some("x"));
    nowhere.send(Method::POST, "/change-password", garbage()).await.expect(404);
    anon.send(Method::POST, "/change-password", garbage()).await.expect(401);
    ada.send(Method::POST, "/change-password", garbage()).await.expect(415);
    ada.post("/change-password", &json!({ "current_password": "wrong horse", "new_password": "short" }))
        .await
        .refused("new_password");
    ada.post("/change-password", &json!({ "current_password": "wrong horse", "new_password": "long enough" }))
        .await
        .refused("current_password");
}

/// More hashes than the queue takes are told to come back, and are no failures.
#[tokio::test]
async fn a_full_queue_says_so() {
    let server = Server::with(&[
        ("HASHING__QUEUE", "1"),
        ("HASHING__MEMORY_KIB", "65536"),
        ("PROJECT__DEFAULT__LOCKOUT__FAILURES", "50"),
    ])
    .await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    let replies = crate::persona::all_at_once((0..30).map(|_| {
        let anon = anon.clone();
        async move { anon.sign_in(ADA, "wrong horse").await }
    }))
    .await;
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert!(!busy.is_empty());
    let request_id = busy[0].headers["x-request-id"].to_str().expect("text");
    let expected = json!({ "message": "The service is busy. Try again shortly.", "request_id": request_id });
    assert_eq!(busy[0].body, expected);
    assert!(replies.iter().all(|reply| [401, 503].contains(&reply.status.as_u16())));
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}
