//! Proving an address by mail: the secret goes out by mail only, as a link and as a code.

use std::time::Duration;

use insta::assert_json_snapshot;
use keystead::auth::accounts;
use keystead::data::users::ProofKind;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, BY_MAIL, LENIENT, PASSWORD, STRICT, confirm, resend, sign_up, token_in};
use crate::persona::{Persona, Reply, account, all_at_once, operator, project};

const INVALID: &str = "The verification token is invalid or has expired.";
const CONCEAL: (&str, &str) = ("PROJECT__DEFAULT__CONCEAL", "true");

async fn proof(server: &Server) -> Option<ProofKind> {
    let user = accounts::show(&*project(server, "default").await, &account(ADA)).expect("an account");
    user.email_proof.map(|proof| proof.kind)
}

#[tokio::test]
async fn the_mail_brings_the_token_and_no_answer_does() {
    let server = Server::with(&[STRICT, BY_MAIL, ("PROJECT__DEFAULT__MAIL__APP_NAME", "The Shop")]).await;
    let anon = Persona::anon(&server);
    let up = sign_up(&anon, ADA).await.expect(202);
    assert_json_snapshot!("signed_up", up.body, { ".user.uuid" => "[uuid]" });
    let mail = server.mailbox().next_to(ADA).await;
    let (link, code) = (mail.link.clone().expect("a link"), mail.code.clone().expect("a code"));
    let shown = |text: &str| text.replace(&*link, "[link]").replace(&code, "[code]");
    let mut seen = serde_json::to_value(&mail).expect("JSON");
    seen["text"] = shown(&mail.text).into();
    // The template's engine escapes more than it must.
    seen["html"] = shown(&mail.html.replace("&#x2f;", "/").replace("&amp;", "&")).into();
    (seen["link"], seen["code"]) = ("[link]".into(), "[code]".into());
    assert_json_snapshot!("verify_email", seen);
    assert!(link.starts_with(&format!("{}/verify-email?token=", server.url())), "{link}");
    assert_eq!(token_in(&link).len(), 43, "256 bits");

    server.clock().advance(Duration::from_secs(61));
    let blocked = anon.sign_in(ADA, PASSWORD).await.expect(403);
    assert_json_snapshot!("blocked", blocked.body, { ".user.uuid" => "[uuid]" });
    let second = server.mailbox().next_to(ADA).await;
    let second = token_in(second.link.as_deref().expect("a link")).to_owned();
    assert_eq!(confirm(&anon, token_in(&link)).await.refused("token"), INVALID, "a newer one was issued");
    assert_eq!(confirm(&anon, &code).await.refused("token"), INVALID, "the code dies with its link");
    assert_eq!(proof(&server).await, None);
    confirm(&anon, &second).await.expect(200);
    assert_eq!(proof(&server).await, Some(ProofKind::Mailed));
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn the_code_is_typed_as_people_type_and_used_up_with_its_link() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    let mail = server.mailbox().next_to(ADA).await;
    let code = mail.code.expect("a code");
    let typed = format!(" {} ", code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l"));
    let confirmed = confirm(&anon, &typed).await.expect(200);
    assert_eq!(confirmed.body["user"]["email_verified_at"], "2026-01-01T00:00:00Z");
    assert_eq!(confirm(&anon, &code).await.refused("token"), INVALID, "once");
    let token = token_in(mail.link.as_deref().expect("a link")).to_owned();
    assert_eq!(confirm(&anon, &token).await.refused("token"), INVALID, "gone with the code");
}

#[tokio::test]
async fn link_and_code_presented_at_once_prove_once() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    let mail = server.mailbox().next_to(ADA).await;
    let secrets = [token_in(mail.link.as_deref().expect("a link")).to_owned(), mail.code.expect("a code")];
    let replies = all_at_once((0..16).map(|n| {
        let (anon, secret) = (anon.clone(), secrets[n % 2].clone());
        async move { confirm(&anon, &secret).await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 200).count(), 1, "{replies:?}");
}

#[tokio::test]
async fn wrong_codes_are_limited_by_client_and_tokens_are_not() {
    let server = Server::with(&[STRICT, BY_MAIL, ("LISTEN__TRUSTED_PROXIES", "127.0.0.1")]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    let mail = server.mailbox().next_to(ADA).await;
    let code = mail.code.expect("a code");
    let guesser = anon.forwarded_for("203.0.113.7");
    let replies = all_at_once((0..40).map(|_| {
        let guesser = guesser.clone();
        async move { confirm(&guesser, "0000-0000-0000").await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 422).count(), 20, "{replies:?}");
    assert_eq!(confirm(&guesser, &code).await.expect(429).body["retry_after"], 900, "the right one too");
    assert_eq!(confirm(&guesser, &"x".repeat(43)).await.refused("token"), INVALID, "a token is beyond guessing");
    confirm(&anon.forwarded_for("203.0.113.8"), &code).await.expect(200);
    server.clock().advance(Duration::from_secs(900));
    assert_eq!(confirm(&guesser, &code).await.refused("token"), INVALID);
}

#[tokio::test]
async fn lenient_asks_by_mail_and_does_not_wait() {
    let server = Server::with(&[LENIENT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    let up = sign_up(&anon, ADA).await.expect(201);
    assert_eq!(up.body.get("verification_token"), None);
    let mail = server.mailbox().next_to(ADA).await;
    confirm(&anon, mail.code.as_deref().expect("a code")).await.expect(200);
    let me = anon.with_token(up.text_at("access_token")).get("/me").await.expect(200);
    assert_eq!(me.body["user"]["email_verified_at"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn resend_answers_all_alike_and_mails_only_who_has_something_to_prove() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    for email in [ADA, "done@example.com", "off@example.com"] {
        sign_up(&anon, email).await.expect(202);
        let mail = server.mailbox().next_to(email).await;
        if email == "done@example.com" {
            confirm(&anon, mail.code.as_deref().expect("a code")).await.expect(200);
        }
    }
    let default = project(&server, "default").await;
    accounts::disable(&default, operator(&server), account("off@example.com")).await.expect("disabled");
    server.clock().advance(Duration::from_secs(60));
    let (mut sent, mut cooling) = (Vec::new(), Vec::new());
    for email in ["nobody@example.com", "done@example.com", "off@example.com", ADA] {
        sent.push(resend(&anon, email).await.expect(200));
        cooling.push(resend(&anon, email).await.expect(200));
    }
    assert_eq!(sent[0].body, json!({ "message": sent[0].text_at("message") }));
    for (sent_one, cooling_one) in sent.iter().zip(&cooling) {
        assert_eq!(sent_one.whole(), sent[0].whole());
        assert_eq!(cooling_one.whole(), cooling[0].whole());
    }
    assert_eq!(cooling[0].body["resend_cooldown_active"], true);
    // Ada's was asked for last and is there: none of the others' can still be on its way.
    confirm(&anon, server.mailbox().next_to(ADA).await.code.as_deref().expect("a code")).await.expect(200);
    let mut recipients: Vec<_> = server.mailbox().messages().into_iter().map(|sent| sent.to).collect();
    recipients.sort();
    assert_eq!(recipients, [ADA, ADA, "done@example.com", "off@example.com"]);
}

#[tokio::test]
async fn concealed_the_owner_is_told_and_the_stranger_is_not() {
    let server = Server::with(&[STRICT, BY_MAIL, CONCEAL]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    confirm(&anon, server.mailbox().next_to(ADA).await.code.as_deref().expect("a code")).await.expect(200);
    server.clock().advance(Duration::from_secs(60));
    let again = async |email: &str| anon.post("/signup", &json!({ "email": email, "password": "another one" })).await;
    let taken = again("ADA@example.com").await.expect(202);
    let fresh = again("bob@example.com").await.expect(202);
    let keys = |reply: &Reply| reply.body.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&taken), keys(&fresh));
    assert_eq!((&taken.body["user"]["id"], &fresh.body["user"]["id"]), (&json!(2), &json!(3)), "numbers go on");
    assert_eq!(taken.body["user"]["email_verified_at"], Value::Null);
    let told = server.mailbox().next_to(ADA).await;
    assert_eq!((told.template.as_str(), &told.link, &told.code), ("account-exists", &None, &None));
    assert!(told.text.contains("sign in instead"), "{}", told.text);
    assert_eq!(server.mailbox().next_to("bob@example.com").await.template, "verify-email");
    // Nothing of it works, and the cooldown holds for the owner's mail too.
    again(ADA).await.expect(202);
    again("carl@example.com").await.expect(202);
    server.mailbox().next_to("carl@example.com").await;
    assert_eq!(server.mailbox().to(ADA).len(), 2);
    anon.sign_in(ADA, PASSWORD).await.expect(200);
    anon.sign_in(ADA, "another one").await.expect(401);
}

#[tokio::test]
async fn the_language_is_the_projects_and_the_link_the_apps_own() {
    let server = Server::with(&[
        STRICT,
        BY_MAIL,
        ("PROJECT__DEFAULT__MAIL__LOCALE", "de-AT"),
        ("PROJECT__DEFAULT__MAIL__FROM", "Der Laden <laden@example.com>"),
        ("MAIL__REPLY_TO", "hilfe@example.com"),
        ("PROJECT__DEFAULT__VERIFICATION__LINK", "https://app.example.com/#/verify/{token}"),
    ])
    .await;
    let anon = Persona::anon(&server).with_header("x-forwarded-host", "evil.example");
    sign_up(&anon, ADA).await.expect(202);
    let mail = server.mailbox().next_to(ADA).await;
    assert_eq!(mail.subject, "Bestätigen Sie Ihre E-Mail-Adresse für default");
    assert_eq!(mail.from, "Der Laden <laden@example.com>");
    assert!(mail.headers.contains(&("Reply-To".into(), "hilfe@example.com".into())));
    let link = mail.link.expect("a link");
    let token = link.strip_prefix("https://app.example.com/#/verify/").expect("the app's page");
    confirm(&anon, token).await.expect(200);
}

#[tokio::test]
async fn a_rolled_back_change_sends_nothing() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    server.mailbox().next_to(ADA).await;
    // Sixteen at once for one address: one makes the account, the others are refused.
    let replies = all_at_once((0..16).map(|_| {
        let anon = anon.clone();
        async move { sign_up(&anon, "bob@example.com").await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 202).count(), 1, "{replies:?}");
    sign_up(&anon, "carl@example.com").await.expect(202);
    server.mailbox().next_to("carl@example.com").await;
    assert_eq!(server.mailbox().to("bob@example.com").len(), 1);
}
