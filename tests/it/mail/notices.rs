//! What owners are told: a lockout, a changed password, a new device; and what strangers cannot make of it.

use std::time::Duration;

use keystead::auth::accounts::{self, NewPassword};
use keystead::crypto::Secret;
use keystead::testing::Server;
use serde_json::json;

use super::{ADA, BY_MAIL, LENIENT, PASSWORD, STRICT, confirm, resend, sign_up};
use crate::persona::{Persona, account, operator, project};

/// Ada, whose address is proved by mail.
async fn proved(server: &Server) -> Persona {
    let anon = Persona::anon(server);
    sign_up(&anon, ADA).await.expect(202);
    confirm(&anon, server.mailbox().next_to(ADA).await.code.as_deref().expect("a code")).await.expect(200);
    anon
}

async fn lock(anon: &Persona, email: &str) {
    for _ in 0..5 {
        anon.sign_in(email, "wrong horse").await.expect(401);
    }
    anon.sign_in(email, "wrong horse").await.expect(429);
}

#[tokio::test]
async fn a_lockout_is_told_once_a_day() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = proved(&server).await;
    lock(&anon, ADA).await;
    let told = server.mailbox().next_to(ADA).await;
    assert_eq!((told.template.as_str(), told.subject.as_str()), ("locked-out", "Sign-in to default was paused"));
    assert!(told.text.contains("127.0.0.1") && told.text.contains("until 2026-01-01 00:15 UTC"), "{}", told.text);
    for _ in 0..3 {
        server.clock().advance(Duration::from_secs(901));
        lock(&anon, ADA).await;
    }
    server.clock().advance(Duration::from_secs(24 * 3600 - 3 * 901));
    lock(&anon, ADA).await;
    server.mailbox().next_to(ADA).await;
    assert_eq!(server.mailbox().to(ADA).len(), 3, "the proof and two lockouts");
}

#[tokio::test]
async fn nobody_is_told_of_an_address_without_an_account() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = proved(&server).await;
    lock(&anon, "nobody@example.com").await;
    lock(&anon, ADA).await;
    server.mailbox().next_to(ADA).await;
    assert!(server.mailbox().messages().iter().all(|mail| mail.to == ADA));
}

#[tokio::test]
async fn a_changed_password_is_told_whoever_changed_it() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = proved(&server).await;
    let (ada, _) = anon.signed_in(ADA, PASSWORD).await;
    let change = json!({
        "current_password": PASSWORD, "new_password": "another horse", "new_password_confirmation": "another horse",
    });
    ada.post("/change-password", &change).await.expect(200);
    let told = server.mailbox().next_to(ADA).await;
    assert_eq!((told.template.as_str(), told.link, told.code), ("password-changed", None, None));
    assert!(told.text.contains("127.0.0.1"), "{}", told.text);
    let default = project(&server, "default").await;
    let new = NewPassword::Plain(Secret::new("operator's horse".to_owned()));
    accounts::set_password(&default, operator(&server), account(ADA), new).await.expect("set");
    assert_eq!(server.mailbox().next_to(ADA).await.template, "password-changed");
}

#[tokio::test]
async fn a_new_device_is_told_and_the_first_and_known_ones_are_not() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = proved(&server).await;
    let with = |agent: &str| anon.with_header("user-agent", agent);
    with("first").signed_in(ADA, PASSWORD).await;
    with("first").signed_in(ADA, PASSWORD).await;
    with("Second/1.0 <b>https://evil.example</b>").signed_in(ADA, PASSWORD).await;
    let told = server.mailbox().next_to(ADA).await;
    assert_eq!(told.template, "new-device");
    assert!(told.text.contains("Second/1.0  b https: evil.example /b"), "{}", told.text);
    with("Second/1.0 <b>https://evil.example</b>").signed_in(ADA, PASSWORD).await;
    with("first").signed_in(ADA, PASSWORD).await;
    with("third").signed_in(ADA, PASSWORD).await;
    assert!(server.mailbox().next_to(ADA).await.text.contains("third"), "nothing in between");
}

/// An account in somebody else's name is no way to flood them, nor to write to them.
#[tokio::test]
async fn to_an_address_nobody_proved_each_kind_goes_once_a_day() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let victim = "victim@example.com";
    sign_up(&anon, victim).await.expect(201);
    for agent in ["two: call 555", "three", "four"] {
        anon.with_header("user-agent", agent).signed_in(victim, PASSWORD).await;
    }
    let told = server.mailbox().next_to(victim).await;
    assert!(told.template == "new-device" && !told.text.contains("555"), "{}", told.text);
    server.clock().advance(Duration::from_secs(24 * 3600));
    anon.with_header("user-agent", "five").signed_in(victim, PASSWORD).await;
    server.mailbox().next_to(victim).await;
    assert_eq!(server.mailbox().messages().len(), 2);
}

#[tokio::test]
async fn a_project_may_tell_nothing() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__NOTIFY__LOCKOUT", "false"),
        ("PROJECT__DEFAULT__NOTIFY__NEW_DEVICE", "false"),
        ("PROJECT__OTHER__NOTIFY__LOCKOUT", "true"),
    ])
    .await;
    let anon = Persona::anon(&server).in_project(Some(&crate::persona::project_id(&server, "default")));
    sign_up(&anon, ADA).await.expect(201);
    anon.with_header("user-agent", "another").signed_in(ADA, PASSWORD).await;
    lock(&anon, ADA).await;
    let other = anon.in_project(Some(&crate::persona::project_id(&server, "other")));
    sign_up(&other, "bob@example.com").await.expect(201);
    lock(&other, "bob@example.com").await;
    server.mailbox().next_to("bob@example.com").await;
    assert_eq!(server.mailbox().to(ADA).len(), 0);
}

#[tokio::test]
async fn the_language_is_the_readers_own_before_the_projects() {
    let server = Server::with(&[LENIENT, BY_MAIL, ("PROJECT__DEFAULT__MAIL__LOCALE", "de")]).await;
    let anon = Persona::anon(&server);
    let up = sign_up(&anon, ADA).await.expect(201);
    sign_up(&anon, "bob@example.com").await.expect(201);
    let next = async |email: &str| server.mailbox().next_to(email).await.subject;
    assert_eq!(next(ADA).await, "Bestätigen Sie Ihre E-Mail-Adresse für default");
    assert_eq!(next("bob@example.com").await, "Bestätigen Sie Ihre E-Mail-Adresse für default");
    let nora = anon.speaking_nora();
    let token = nora.sign_in(ADA, PASSWORD).await.expect(200).text_at("token").to_owned();
    nora.with_token(&token).patch("/profile", &json!({ "preferredLocale": "fr" })).await.expect(200);
    // Both kinds: what proves the address, and what tells of a change.
    server.clock().advance(Duration::from_secs(60));
    for email in [ADA, "bob@example.com"] {
        resend(&anon, email).await.expect(200);
    }
    assert_eq!(next(ADA).await, "Confirmez votre adresse e-mail pour default");
    assert_eq!(next("bob@example.com").await, "Bestätigen Sie Ihre E-Mail-Adresse für default", "his is not hers");
    let change = json!({
        "current_password": PASSWORD, "new_password": "another horse", "new_password_confirmation": "another horse",
    });
    anon.with_token(up.text_at("access_token")).post("/change-password", &change).await.expect(200);
    assert_eq!(next(ADA).await, "Votre mot de passe pour default a été modifié");
}
