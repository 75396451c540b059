//! Somebody signs up with another's address and a password; then its owner comes with a mail (security, 8).

use keystead::testing::Server;
use serde_json::json;

use super::{ADA, PASSWORD, anon, ask, follow, link, newcomer, refreshed, refused, server, sign_in, signed_in};
use crate::persona::{account, operator, project};

/// The owner's ways in, each to a session.
async fn in_by_mail(server: &Server, way: &str) {
    let nobody = anon(server);
    match way {
        "link" => {
            ask(&nobody, "/signin/passwordless/email", &json!({ "email": ADA })).await;
            let link = link(server, ADA, "signin-passwordless").await;
            let token = follow(server, &link).await.refresh_token("passwordlessEmail");
            refreshed(&nobody, &token).await.0.get("/user").await.expect(200);
        }
        "digits" => {
            ask(&nobody, "/signin/otp/email", &json!({ "email": ADA })).await;
            let code = server.mailbox().next_to(ADA).await.code.expect("a code");
            nobody.post("/signin/otp/email/verify", &json!({ "email": ADA, "otp": code })).await.expect(200);
        }
        _ => {
            ask(&nobody, "/user/password/reset", &json!({ "email": ADA })).await;
            let link = link(server, ADA, "password-reset").await;
            let token = follow(server, &link).await.refresh_token("passwordReset");
            refreshed(&nobody, &token).await.0.get("/user").await.expect(200);
        }
    }
}

#[tokio::test]
async fn what_was_there_before_the_first_proof_dies_with_it() {
    for way in ["link", "digits", "reset"] {
        let server = server(&[]).await;
        let nobody = anon(&server);
        newcomer(&server, ADA).await;
        let (intruder, elsewhere) =
            (signed_in(&nobody, ADA).await, nobody.speaking_noma().signed_in(ADA, PASSWORD).await.0);
        ask(&intruder, "/user/email/change", &json!({ "newEmail": "eve@example.com" })).await;
        let theirs = link(&server, "eve@example.com", "email-confirm-change").await;
        let key = elsewhere.post("/api-keys", &json!({ "name": "x" })).await;
        in_by_mail(&server, way).await;
        intruder.get("/user").await.expect(401);
        elsewhere.get("/me").await.expect(401);
        sign_in(&nobody, ADA, PASSWORD).await.expect(401);
        assert_eq!(follow(&server, &theirs).await.error(), "invalid-ticket", "{way}");
        assert!(key.status.is_success() || key.status == 404, "{}", key.text);
    }
}

#[tokio::test]
async fn what_was_set_after_a_proof_stays() {
    for way in ["link", "digits", "reset"] {
        let server = server(&[]).await;
        let nobody = anon(&server);
        newcomer(&server, ADA).await;
        ask(&nobody, "/user/email/send-verification-email", &json!({ "email": ADA })).await;
        let verify = link(&server, ADA, "email-verify").await;
        let ada = signed_in(&nobody, ADA).await;
        follow(&server, &verify).await.refresh_token("verifyEmail");
        in_by_mail(&server, way).await;
        ada.get("/user").await.expect(200);
        sign_in(&nobody, ADA, PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn a_reset_by_ticket_is_a_proof_and_its_password_stays() {
    let server = server(&[]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    ask(&nobody, "/user/password/reset", &json!({ "email": ADA })).await;
    let mail = server.mailbox().next_to(ADA).await;
    let ticket = super::header(&mail, "X-Ticket");
    ask(&nobody, "/user/password", &json!({ "newPassword": super::OTHER, "ticket": ticket })).await;
    in_by_mail(&server, "link").await;
    sign_in(&nobody, ADA, super::OTHER).await.expect(200);
    // Nor does a proof bring back what an operator ended.
    let default = project(&server, "default").await;
    keystead::auth::accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    let refusal = nobody.post("/signin/passwordless/email", &json!({ "email": ADA })).await;
    assert_eq!(refused(&refusal), (401, "disabled-user"));
}
