//! Proving an address, and changing it (contract 1.5): nothing changes before the new address is proved.

use keystead::auth::accounts;
use keystead::data::users::ProofKind;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{
    ADA, APP, BOB, CONCEAL, PASSWORD, anon, ask, follow, header, link, newcomer, refreshed, refused, server, sign_in,
    signed_in,
};
use crate::persona::{account, operator, project};

const SEND: &str = "/user/email/send-verification-email";
const CHANGE: &str = "/user/email/change";
const NEW: &str = "new@example.com";

fn to_new(email: &str) -> Value {
    json!({ "newEmail": email })
}

async fn proof(server: &Server, email: &str) -> Option<ProofKind> {
    let user = accounts::show(&*project(server, "default").await, &account(email)).expect("an account");
    user.email_proof.map(|proof| proof.kind)
}

#[tokio::test]
async fn who_has_nothing_to_prove_is_told_so_or_nobody_is() {
    for conceal in [false, true] {
        let server = server(&if conceal { vec![CONCEAL] } else { vec![] }).await;
        let (nobody, default) = (anon(&server), project(&server, "default").await);
        newcomer(&server, ADA).await;
        newcomer(&server, BOB).await;
        accounts::disable(&default, operator(&server), account(BOB)).await.expect("disabled");
        ask(&nobody, SEND, &json!({ "email": ADA, "options": { "redirectTo": format!("{APP}/x") } })).await;
        let link = link(&server, ADA, "email-verify").await;
        let page = follow(&server, &link).await;
        assert_eq!(page.onward().0, format!("{APP}/x"));
        page.refresh_token("verifyEmail");
        assert_eq!(proof(&server, ADA).await, Some(ProofKind::Mailed));
        for (email, expected) in [
            (ADA, (400, "email-already-verified")),
            (BOB, (401, "disabled-user")),
            ("eve@example.com", (401, "invalid-email-password")),
        ] {
            match conceal {
                true => ask(&nobody, SEND, &json!({ "email": email })).await,
                false => assert_eq!(refused(&nobody.post(SEND, &json!({ "email": email })).await), expected),
            }
        }
        let elsewhere = json!({ "email": ADA, "options": { "redirectTo": "https://evil.com" } });
        assert_eq!(refused(&nobody.post(SEND, &elsewhere).await), (400, "redirectTo-not-allowed"));
        assert_eq!(server.mailbox().messages().len(), 1, "nobody else was written to");
    }
}

#[tokio::test]
async fn the_address_changes_when_the_new_one_is_proved() {
    let server = server(&[]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    let ada = signed_in(&nobody, ADA).await;
    ask(&ada, CHANGE, &to_new("New@Example.com")).await;
    let mail = server.mailbox().next_to(NEW).await;
    assert_eq!(header(&mail, "X-Email-Template"), "email-confirm-change");
    assert!(header(&mail, "X-Ticket").starts_with("emailConfirmChange:"));
    let user = ada.get("/user").await.expect(200).body;
    assert_eq!((&user["email"], &user["emailVerified"]), (&json!(ADA), &json!(false)), "nothing yet");
    // What was sent to the former address works no more once it is the former.
    ask(&nobody, "/user/password/reset", &json!({ "email": ADA })).await;
    let reset = link(&server, ADA, "password-reset").await;
    ask(&nobody, "/signin/otp/email", &json!({ "email": ADA })).await;
    let digits = server.mailbox().next_to(ADA).await.code.expect("a code");

    let page = follow(&server, mail.link.as_deref().expect("a link")).await;
    let (ada, session) = refreshed(&nobody, &page.refresh_token("emailConfirmChange")).await;
    let user = &session["user"];
    assert_eq!((&user["email"], &user["emailVerified"]), (&json!("New@Example.com"), &json!(true)));
    ada.get("/user").await.expect(200);
    assert_eq!(proof(&server, NEW).await, Some(ProofKind::Mailed));
    assert_eq!(follow(&server, &reset).await.error(), "invalid-ticket");
    for email in [ADA, NEW] {
        let typed = json!({ "email": email, "otp": digits });
        assert_eq!(refused(&nobody.post("/signin/otp/email/verify", &typed).await), (400, "invalid-otp"));
    }
    let told = server.mailbox().next_to(ADA).await;
    assert_eq!((header(&told, "X-Email-Template"), told.link.as_deref()), ("email-changed", None));
    sign_in(&nobody, ADA, PASSWORD).await.expect(401);
    sign_in(&nobody, NEW, PASSWORD).await.expect(200);
    // The former address is free.
    newcomer(&server, ADA).await;
}

#[tokio::test]
async fn a_taken_address_is_refused_now_and_later() {
    let server = server(&[("PROJECT__DEFAULT__ACCESS__BLOCKED_EMAILS", "no@example.com")]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    newcomer(&server, BOB).await;
    let ada = signed_in(&nobody, ADA).await;
    for (body, expected) in [
        (to_new(BOB), (409, "user-already-exists")),
        (to_new(ADA), (409, "user-already-exists")),
        (to_new("no@example.com"), (401, "invalid-email-password")),
        (json!({ "newEmail": NEW, "options": { "redirectTo": "https://evil.com" } }), (400, "redirectTo-not-allowed")),
    ] {
        assert_eq!(refused(&ada.post(CHANGE, &body).await), expected);
    }
    assert_eq!(nobody.post(CHANGE, &to_new(NEW)).await.expect(401).text_at("error"), "unauthorized");
    ask(&ada, CHANGE, &to_new(NEW)).await;
    let link = link(&server, NEW, "email-confirm-change").await;
    newcomer(&server, NEW).await;
    assert_eq!(follow(&server, &link).await.error(), "user-already-exists", "meanwhile");
    assert_eq!(follow(&server, &link).await.error(), "invalid-ticket", "used up");
    assert_eq!(ada.get("/user").await.expect(200).body["email"], ADA);
    // A password changed since withdraws it.
    ask(&ada, CHANGE, &to_new("newer@example.com")).await;
    let newer = super::link(&server, "newer@example.com", "email-confirm-change").await;
    ask(&ada, "/user/password", &json!({ "newPassword": super::OTHER })).await;
    assert_eq!(follow(&server, &newer).await.error(), "invalid-ticket");
}

#[tokio::test]
async fn where_accounts_are_hidden_a_taken_address_is_like_a_free_one() {
    let server = server(&[CONCEAL]).await;
    newcomer(&server, ADA).await;
    newcomer(&server, BOB).await;
    let ada = signed_in(&anon(&server), ADA).await;
    let (taken, free) = (ada.post(CHANGE, &to_new(BOB)).await, ada.post(CHANGE, &to_new(NEW)).await);
    assert_eq!(taken.expect(200).whole(), free.expect(200).whole());
    link(&server, NEW, "email-confirm-change").await;
    assert!(server.mailbox().to(BOB).is_empty());
}
