//! Access lists (contract 3.3): an address that is not admitted is told as a wrong password, wherever it is met.

use keystead::testing::Server;
use serde_json::json;

use super::{ADA, PASSWORD, anon, newcomer, refresh, refused, sign_in, sign_up, text};

const BLOCKED: (&str, &str) = ("PROJECT__DEFAULT__ACCESS__BLOCKED_EMAILS", "Ada@Example.COM");

#[tokio::test]
async fn a_blocked_address_is_a_wrong_password_everywhere_but_at_a_refresh() {
    let server = Server::start().await;
    let anon = anon(&server);
    let (ada, session) = newcomer(&anon, ADA).await;
    ada.get("/user").await.expect(200);
    server.reload(&[BLOCKED]).await.expect("well");
    let wrong = sign_in(&anon, ADA, "wrong horse").await;
    let right = sign_in(&anon, "ADA@example.com", PASSWORD).await;
    assert_eq!(refused(&right, 401), "invalid-email-password");
    assert_eq!(right.whole(), wrong.whole());
    // Contract 1.4 and 0.2: a refresh tolerates it, whatever asks for the account does not.
    let next = refresh(&anon, text(&session, "refreshToken")).await.expect(200).body;
    let ada = anon.with_token(text(&next, "accessToken"));
    assert_eq!(refused(&ada.get("/user").await, 401), "invalid-email-password");
    server.reload(&[]).await.expect("well");
    ada.get("/user").await.expect(200);
}

/// Before what is wished for the account is looked at (contract 1.2).
#[tokio::test]
async fn a_sign_up_with_a_blocked_address_is_a_wrong_password_too() {
    let server = Server::with(&[BLOCKED]).await;
    let anon = anon(&server);
    assert_eq!(refused(&sign_up(&anon, ADA).await, 401), "invalid-email-password");
    let body = json!({ "email": ADA, "password": PASSWORD, "options": { "allowedRoles": ["admin"] } });
    assert_eq!(refused(&anon.post("/signup/email-password", &body).await, 401), "invalid-email-password");
    sign_up(&anon, "eve@example.com").await.expect(200);
    let server = Server::with(&[BLOCKED, ("PROJECT__DEFAULT__CONCEAL", "true")]).await;
    assert_eq!(refused(&sign_up(&super::anon(&server), ADA).await, 400), "invalid-request");
}
