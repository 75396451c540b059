//! Sessions (contract 3.5 to 3.7, 4): what ends them, and that it takes effect at the next request.

use std::time::Duration;

use insta::assert_json_snapshot;
use keystead::auth::accounts;
use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::{Persona, account, all_at_once, operator, project};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const NEW: &str = "battery staple";

fn refresh_token(body: &Value) -> &str {
    body["refresh_token"].as_str().expect("a refresh token")
}

#[tokio::test]
async fn me_is_the_user_as_stored_now() {
    let server = Server::start().await;
    let (ada, up) = Persona::anon(&server).sign_up(ADA, PASSWORD).await;
    let me = ada.get("/me").await.expect(200);
    assert_eq!(me.body, json!({ "user": up["user"] }));
    assert_json_snapshot!(me.body, { ".user.uuid" => "[uuid]" });
}

#[tokio::test]
async fn without_a_good_bearer_every_protected_route_is_401() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, up) = anon.sign_up(ADA, PASSWORD).await;
    let token = up["access_token"].as_str().expect("a token");
    let key = ada.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
    // The last sign of a token carries only some bits: change one in the middle.
    let forged = token.replacen(&token[40..42], if &token[40..42] == "AA" { "BB" } else { "AA" }, 1);
    let bearers = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(token.to_owned()),
        Some(format!("Token {token}")),
        Some(format!("Basic {token}")),
        Some(format!("Bearer {token} {token}")),
        Some(format!("Bearer {forged}")),
        Some(format!("Bearer {}", &token[..token.len() - 4])),
        Some(format!("Bearer {token}.x")),
        Some(format!("Bearer {}", refresh_token(&up))),
        Some(format!("Bearer {}", key.text_at("plain_text_key"))),
        Some(format!("Bearer {}", "x".repeat(5000))),
        Some("Bearer eyJhbGciOiJub25lIn0.e30.".to_owned()),
    ];
    for bearer in bearers {
        let caller = bearer.iter().fold(anon.clone(), |caller, value| caller.with_header("authorization", value));
        let mut replies = vec![caller.get("/me").await, caller.get("/api-keys").await];
        // Before the body is looked at (order of checks).
        for path in
            ["/change-password", "/logout", "/logout-all", "/api-keys", "/api-keys/1/revoke", "/api-keys/verify"]
        {
            replies.push(caller.send(reqwest::Method::POST, path, Some(("application/json", b"{".to_vec()))).await);
        }
        for reply in replies {
            assert_eq!(
                (reply.status.as_u16(), reply.text.as_str()),
                (401, r#"{"message":"Unauthenticated."}"#),
                "{bearer:?}"
            );
        }
    }
    ada.get("/me").await.expect(200);
    anon.with_header("authorization", &format!("bEARER   {token}")).get("/me").await.expect(200);
}

#[tokio::test]
async fn logout_ends_this_session_at_once() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (phone, up) = anon.sign_up(ADA, PASSWORD).await;
    let (laptop, _) = anon.signed_in(ADA, PASSWORD).await;
    let out = phone.post_nothing("/logout").await.expect(200);
    assert_eq!(out.body, json!({ "message": "Logged out." }));
    phone.get("/me").await.expect(401);
    assert_eq!(phone.post_nothing("/logout").await.expect(401).text_at("message"), "Unauthenticated.");
    assert_eq!(anon.refresh(refresh_token(&up)).await.expect(401).text_at("message"), "Invalid refresh token.");
    laptop.get("/me").await.expect(200);
}

#[tokio::test]
async fn of_many_logouts_at_once_one_ends_the_session() {
    let server = Server::start().await;
    let (ada, _) = Persona::anon(&server).sign_up(ADA, PASSWORD).await;
    let replies = all_at_once((0..64).map(|_| {
        let ada = ada.clone();
        async move { ada.post_nothing("/logout").await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(replies.iter().filter(|status| **status == 401).count(), 63);
}

#[tokio::test]
async fn logout_needs_no_body_and_minds_none() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    for (kind, body) in [("text/plain", "{"), ("application/json", ""), ("application/json", "[1]"), ("text/html", "")]
    {
        let (ada, _) = anon.signed_in(ADA, PASSWORD).await;
        ada.send(reqwest::Method::POST, "/logout", Some((kind, body.into()))).await.expect(200);
        ada.get("/me").await.expect(401);
    }
}

#[tokio::test]
async fn logout_all_ends_every_session_of_this_user_only() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (phone, up) = anon.sign_up(ADA, PASSWORD).await;
    let (laptop, later) = anon.signed_in(ADA, PASSWORD).await;
    let (bob, _) = anon.sign_up("bob@example.com", PASSWORD).await;
    let key = phone.post("/api-keys", &json!({ "name": "CI" })).await.expect(201).body["id"].clone();
    let out = laptop.post_nothing("/logout-all").await.expect(200);
    assert_eq!(out.body, json!({ "message": "Logged out from all sessions." }));
    for body in [&up, &later] {
        anon.refresh(refresh_token(body)).await.expect(401);
    }
    for gone in [&phone, &laptop] {
        gone.get("/me").await.expect(401);
        gone.post_nothing("/logout-all").await.expect(401);
    }
    bob.get("/me").await.expect(200);
    let (ada, _) = anon.signed_in(ADA, PASSWORD).await;
    let keys = ada.get("/api-keys").await.expect(200);
    assert_eq!((&keys.body["data"][0]["id"], &keys.body["data"][0]["revoked_at"]), (&key, &Value::Null), "keys stay");
}

/// A password changed from within a session spares that one session.
#[tokio::test]
async fn a_password_change_ends_every_other_session() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (other, up) = anon.sign_up(ADA, PASSWORD).await;
    let (own, body) = anon.signed_in(ADA, PASSWORD).await;
    let change = json!({ "current_password": PASSWORD, "new_password": NEW });
    let reply = own.post("/change-password", &change).await.expect(200);
    assert_eq!(reply.body, json!({ "message": "Password updated." }));
    other.get("/me").await.expect(401);
    anon.refresh(refresh_token(&up)).await.expect(401);
    own.get("/me").await.expect(200);
    anon.refresh(refresh_token(&body)).await.expect(200);
    anon.sign_in(ADA, PASSWORD).await.expect(401);
    anon.sign_in(ADA, NEW).await.expect(200);
}

#[tokio::test]
async fn what_a_password_change_refuses() {
    let server = Server::start().await;
    let (ada, _) = Persona::anon(&server).sign_up(ADA, PASSWORD).await;
    let mut table = Vec::new();
    for body in [
        json!({}),
        json!({ "current_password": "", "new_password": "" }),
        json!({ "current_password": 1, "new_password": [] }),
        json!({ "current_password": PASSWORD, "new_password": "1234567" }),
        json!({ "current_password": PASSWORD, "new_password": "x".repeat(256) }),
        json!({ "current_password": "x".repeat(256), "new_password": NEW }),
        json!({ "current_password": PASSWORD, "new_password": PASSWORD }),
        json!({ "current_password": "wrong horse", "new_password": NEW }),
        json!({ "current_password": "wrong horse", "new_password": "wrong horse" }),
        json!({ "current_password": format!(" {PASSWORD}"), "new_password": NEW }),
    ] {
        let reply = ada.post("/change-password", &body).await.expect(422);
        table.push(json!({ "sent": body, "errors": reply.body["errors"] }));
    }
    assert_json_snapshot!(table);
    // Eight characters, 255 characters: both edges are fine.
    ada.post("/change-password", &json!({ "current_password": PASSWORD, "new_password": "é".repeat(8) }))
        .await
        .expect(200);
    let longest = json!({ "current_password": "é".repeat(8), "new_password": "é".repeat(255) });
    ada.post("/change-password", &longest).await.expect(200);
}

#[tokio::test]
async fn of_many_password_changes_at_once_one_wins() {
    let server = Server::with(&[("PROJECT__DEFAULT__LOCKOUT__FAILURES", "50")]).await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up(ADA, PASSWORD).await;
    let replies = all_at_once((0..8).map(|number| {
        let ada = ada.clone();
        async move {
            let new = format!("battery staple {number}");
            let body = json!({ "current_password": PASSWORD, "new_password": new });
            (ada.post("/change-password", &body).await.status, new)
        }
    }))
    .await;
    let won: Vec<_> = replies.iter().filter(|(status, _)| *status == 200).collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    anon.sign_in(ADA, &won[0].1).await.expect(200);
}

/// After disabling, deletion or revocation nothing issued before works: access and refresh tokens, keys.
#[tokio::test]
async fn what_an_operator_ends_is_over_at_the_next_request() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server = Server::with(&[("PROJECT__DEFAULT__SECRET", secret)]).await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    let by = operator(&server);
    for verb in ["disable", "delete", "revoke all", "revoke one"] {
        let email = format!("{}@example.com", verb.replace(' ', "-"));
        let (user, up) = anon.sign_up(&email, PASSWORD).await;
        let key = user.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
        let proof = json!({ "key": key.text_at("plain_text_key") });
        let service = anon.with_token(secret);
        service.post("/api-keys/verify", &proof).await.expect(200);
        user.get("/me").await.expect(200);
        let who = account(&email);
        match verb {
            "disable" => drop(accounts::disable(&default, by, who).await.expect("done")),
            "delete" => drop(accounts::delete(&default, by, who).await.expect("done")),
            "revoke all" => assert_eq!(accounts::revoke_sessions(&default, by, who).await.expect("done"), 1),
            _ => {
                let sessions = accounts::list_sessions(&default, Some(&who), None, 10).expect("sessions");
                accounts::revoke_session(&default, by, sessions[0].id).await.expect("done");
            }
        }
        user.get("/me").await.expect(401);
        user.post_nothing("/logout").await.expect(401);
        anon.refresh(refresh_token(&up)).await.expect(401);
        let keys_end = matches!(verb, "disable" | "delete");
        service.post("/api-keys/verify", &proof).await.expect(if keys_end { 422 } else { 200 });
        anon.sign_in(&email, PASSWORD).await.expect(if keys_end { 401 } else { 200 });
    }
}

#[tokio::test]
async fn an_access_token_ends_by_the_clock() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, up) = anon.sign_up(ADA, PASSWORD).await;
    assert_eq!(up["expires_at"], "2026-01-01T00:15:00Z");
    assert_eq!(up["refresh_token_expires_at"], "2026-01-31T00:00:00Z");
    server.clock().advance(Duration::from_secs(15 * 60 - 1));
    ada.get("/me").await.expect(200);
    server.clock().advance(Duration::from_secs(1));
    ada.get("/me").await.expect(401);
    ada.post_nothing("/logout").await.expect(401);
    let fresh = anon.refresh(refresh_token(&up)).await.expect(200);
    anon.with_token(fresh.text_at("access_token")).post_nothing("/logout").await.expect(200);
}

#[tokio::test]
async fn an_access_token_never_outlives_its_session() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__TOKENS__ACCESS_TTL", "10m"),
        ("PROJECT__DEFAULT__TOKENS__REFRESH_TTL", "5m"),
    ])
    .await;
    let (ada, up) = Persona::anon(&server).sign_up(ADA, PASSWORD).await;
    assert_eq!(up["expires_at"], up["refresh_token_expires_at"]);
    server.clock().advance(Duration::from_secs(5 * 60));
    ada.get("/me").await.expect(401);
}

#[tokio::test]
async fn beyond_the_cap_the_oldest_session_ends() {
    let server = Server::with(&[("PROJECT__DEFAULT__SESSIONS__MAX", "2")]).await;
    let anon = Persona::anon(&server);
    let mut all = vec![anon.sign_up(ADA, PASSWORD).await];
    for _ in 0..3 {
        server.clock().advance(Duration::from_secs(1));
        all.push(anon.signed_in(ADA, PASSWORD).await);
    }
    for (user, body) in &all[..2] {
        user.get("/me").await.expect(401);
        anon.refresh(refresh_token(body)).await.expect(401);
    }
    for (user, _) in &all[2..] {
        user.get("/me").await.expect(200);
    }
    // Another's sessions are no concern of this cap.
    anon.sign_up("bob@example.com", PASSWORD).await;
    all[3].0.get("/me").await.expect(200);
}

/// Sessions begun in one millisecond, or after the clock stepped back, are still in the order they began.
#[tokio::test]
async fn a_session_just_begun_is_never_the_one_the_cap_ends() {
    let server = Server::with(&[("PROJECT__DEFAULT__SESSIONS__MAX", "1")]).await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    for _ in 0..8 {
        let (ada, _) = anon.signed_in(ADA, PASSWORD).await;
        ada.get("/me").await.expect(200);
    }
    server.clock().step_back(Duration::from_secs(60));
    let (before, _) = anon.signed_in(ADA, PASSWORD).await;
    before.get("/me").await.expect(200);
}

#[tokio::test]
async fn a_clock_that_steps_back_ends_nothing_and_revives_nothing() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, up) = anon.sign_up(ADA, PASSWORD).await;
    let (gone, _) = anon.signed_in(ADA, PASSWORD).await;
    gone.post_nothing("/logout").await.expect(200);
    server.clock().step_back(Duration::from_secs(3600));
    ada.get("/me").await.expect(200);
    gone.get("/me").await.expect(401);
    let next = anon.refresh(refresh_token(&up)).await.expect(200);
    anon.with_token(next.text_at("access_token")).get("/me").await.expect(200);
    for _ in 0..5 {
        anon.sign_in(ADA, "wrong horse").await.expect(401);
    }
    server.clock().step_back(Duration::from_secs(3600));
    let locked = anon.sign_in(ADA, PASSWORD).await.expect(429);
    assert_eq!(locked.body["retry_after"], 900, "a lock never grows beyond its length by a step");
}
