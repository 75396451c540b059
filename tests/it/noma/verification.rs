//! Proving an address (contract 3.8, 3.9, 5, 7): three modes, the cooldown, decoys, one use.

use std::time::Duration;

use insta::assert_json_snapshot;
use keystead::auth::accounts;
use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::{Persona, Reply, account, all_at_once, operator, project};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const STRICT: (&str, &str) = ("PROJECT__DEFAULT__VERIFICATION__MODE", "strict");
const LENIENT: (&str, &str) = ("PROJECT__DEFAULT__VERIFICATION__MODE", "lenient");

async fn sign_up(anon: &Persona, email: &str) -> Reply {
    anon.post("/signup", &json!({ "email": email, "password": PASSWORD })).await
}

async fn resend(anon: &Persona, email: &str) -> Reply {
    anon.post("/verify-email/resend", &json!({ "email": email })).await
}

async fn confirm(anon: &Persona, token: &str) -> Reply {
    anon.post("/verify-email/confirm", &json!({ "token": token })).await
}

#[tokio::test]
async fn strict_gives_no_session_before_the_proof() {
    let server = Server::with(&[STRICT]).await;
    let anon = Persona::anon(&server);
    let up = sign_up(&anon, ADA).await.expect(202);
    assert_json_snapshot!("strict_sign_up", up.body, { ".verification_token" => "[token]", ".user.uuid" => "[uuid]" });
    assert!(up.text_at("verification_token").len() >= 43, "256 bits");
    // Within the cooldown: no token.
    let blocked = anon.sign_in(ADA, PASSWORD).await.expect(403);
    assert_json_snapshot!("strict_sign_in", blocked.body, { ".user.uuid" => "[uuid]" });
    server.clock().advance(Duration::from_secs(60));
    let blocked = anon.sign_in(ADA, PASSWORD).await.expect(403);
    let token = blocked.text_at("verification_token").to_owned();
    // Issuing a new one ended the first.
    assert_eq!(confirm(&anon, up.text_at("verification_token")).await.refused("token"), INVALID);
    let confirmed = confirm(&anon, &token).await.expect(200);
    assert_json_snapshot!("confirmed", confirmed.body, { ".user.uuid" => "[uuid]" });
    anon.sign_in(ADA, PASSWORD).await.expect(200);
    assert_eq!(confirm(&anon, &token).await.refused("token"), INVALID);
}

const INVALID: &str = "The verification token is invalid or has expired.";

#[tokio::test]
async fn strict_says_so_only_to_who_knows_the_password() {
    let server = Server::with(&[STRICT]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    let wrong = anon.sign_in(ADA, "wrong horse").await.expect(401);
    let unknown = anon.sign_in("nobody@example.com", "wrong horse").await.expect(401);
    assert_eq!(wrong.whole(), unknown.whole());
    // A 403 is a success of the password: it clears the counter.
    for _ in 0..3 {
        anon.sign_in(ADA, "wrong horse").await.expect(401);
    }
    anon.sign_in(ADA, PASSWORD).await.expect(403);
    for _ in 0..4 {
        anon.sign_in(ADA, "wrong horse").await.expect(401);
    }
    anon.sign_in(ADA, PASSWORD).await.expect(403);
}

#[tokio::test]
async fn lenient_and_off_give_a_session_and_the_proof_may_follow() {
    for mode in ["lenient", "off"] {
        let server = Server::with(&[("PROJECT__DEFAULT__VERIFICATION__MODE", mode)]).await;
        let anon = Persona::anon(&server);
        let up = sign_up(&anon, ADA).await.expect(201);
        assert_eq!(up.body.get("verification_token"), None, "the documented body only");
        assert_eq!(up.body["user"]["email_verified_at"], Value::Null);
        let ada = anon.with_token(up.text_at("access_token"));
        let again = anon.sign_in(ADA, PASSWORD).await.expect(200);
        anon.refresh(again.text_at("refresh_token")).await.expect(200);
        server.clock().advance(Duration::from_secs(60));
        let sent = resend(&anon, ADA).await.expect(200);
        let confirmed = confirm(&anon, sent.text_at("verification_token")).await.expect(200);
        assert_eq!(confirmed.body["user"]["email_verified_at"], "2026-01-01T00:01:00Z");
        assert_eq!(confirmed.body.get("access_token"), None, "no session");
        let me = ada.get("/me").await.expect(200);
        assert_eq!(me.body["user"]["email_verified_at"], "2026-01-01T00:01:00Z", "read fresh");
    }
}

#[tokio::test]
async fn a_token_works_for_its_time_and_once_even_sixty_four_times_at_once() {
    let server = Server::with(&[STRICT]).await;
    let anon = Persona::anon(&server);
    let late = sign_up(&anon, "late@example.com").await.expect(202);
    let edge = sign_up(&anon, "edge@example.com").await.expect(202);
    server.clock().advance(Duration::from_secs(24 * 3600 - 1));
    let token = edge.text_at("verification_token").to_owned();
    let replies = all_at_once((0..64).map(|_| {
        let (anon, token) = (anon.clone(), token.clone());
        async move { confirm(&anon, &token).await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(replies.iter().filter(|status| **status == 422).count(), 63);
    server.clock().advance(Duration::from_secs(1));
    assert_eq!(confirm(&anon, late.text_at("verification_token")).await.refused("token"), INVALID);
    anon.sign_in("late@example.com", PASSWORD).await.expect(403);
}

#[tokio::test]
async fn one_answer_for_every_token_that_does_not_work() {
    let server = Server::with(&[STRICT]).await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    let up = sign_up(&anon, ADA).await.expect(202);
    let token = up.text_at("verification_token").to_owned();
    let real = up.text_at("verification_token");
    for wrong in [
        "x",
        &"x".repeat(43),
        &format!(" {real}"),
        &format!("{real}="),
        &real.to_uppercase(),
        "\u{0}",
        "é",
        &"x".repeat(4096),
    ] {
        assert_eq!(confirm(&anon, wrong).await.refused("token"), INVALID, "{wrong:?}");
    }
    assert_eq!(confirm(&anon, "").await.refused("token"), "The token field is required.");
    let reply = anon.post("/verify-email/confirm", &json!({ "token": 7 })).await;
    assert_eq!(reply.refused("token"), "The token field must be a string.");
    anon.post("/verify-email/confirm", &json!({ "token": "x".repeat(4097) })).await.expect(422);
    accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    assert_eq!(confirm(&anon, &token).await.refused("token"), INVALID);
    accounts::enable(&default, operator(&server), account(ADA)).await.expect("enabled");
    assert_eq!(confirm(&anon, &token).await.refused("token"), INVALID, "withdrawn with the account's sessions");
}

/// Resend tells nobody whether there is an account.
#[tokio::test]
async fn resend_answers_all_addresses_alike() {
    let server = Server::with(&[STRICT]).await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    for email in [ADA, "done@example.com", "off@example.com"] {
        let up = sign_up(&anon, email).await.expect(202);
        if email == "done@example.com" {
            confirm(&anon, up.text_at("verification_token")).await.expect(200);
        }
    }
    accounts::disable(&default, operator(&server), account("off@example.com")).await.expect("disabled");
    server.clock().advance(Duration::from_secs(60));
    let mut tokens = Vec::new();
    let mut cooling = Vec::new();
    for email in [ADA, "done@example.com", "off@example.com", "nobody@example.com"] {
        let sent = resend(&anon, email).await.expect(200);
        assert_json_snapshot!("resent", sent.body, { ".verification_token" => "[token]" });
        tokens.push(sent.text_at("verification_token").to_owned());
        server.clock().advance(Duration::from_millis(17_500));
        cooling.push(resend(&anon, &email.to_uppercase()).await.expect(200));
        server.clock().advance(Duration::from_secs(120));
    }
    assert_json_snapshot!("resend_cooldown", cooling[0].body);
    for reply in &cooling {
        assert_eq!(reply.whole(), cooling[0].whole());
    }
    assert!(tokens.iter().all(|token| token.len() == tokens[0].len()));
    for decoy in &tokens[1..] {
        assert_eq!(confirm(&anon, decoy).await.refused("token"), INVALID);
    }
    confirm(&anon, &tokens[0]).await.expect(200);
}

#[tokio::test]
async fn the_cooldown_is_from_the_last_token_and_ends_at_its_edge() {
    let server = Server::with(&[STRICT]).await;
    let anon = Persona::anon(&server);
    let first = sign_up(&anon, ADA).await.expect(202);
    server.clock().advance(Duration::from_millis(59_999));
    let cooling = resend(&anon, ADA).await.expect(200);
    assert_eq!(
        (&cooling.body["resend_cooldown_active"], &cooling.body["retry_after_seconds"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(cooling.body.get("verification_token"), None);
    server.clock().advance(Duration::from_millis(1));
    let second = resend(&anon, ADA).await.expect(200);
    assert_eq!(confirm(&anon, first.text_at("verification_token")).await.refused("token"), INVALID);
    confirm(&anon, second.text_at("verification_token")).await.expect(200);
}

#[tokio::test]
async fn of_many_resends_at_once_one_gets_a_token() {
    let server = Server::with(&[LENIENT]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(201);
    for email in [ADA, "nobody@example.com"] {
        let replies = all_at_once((0..32).map(|_| {
            let anon = anon.clone();
            async move { resend(&anon, email).await.expect(200).body }
        }))
        .await;
        assert_eq!(replies.iter().filter(|body| body.get("verification_token").is_some()).count(), 1);
    }
}

#[tokio::test]
async fn the_cooldown_and_the_life_are_the_projects_choice() {
    let server = Server::with(&[
        STRICT,
        ("PROJECT__DEFAULT__VERIFICATION__COOLDOWN", "0s"),
        ("PROJECT__DEFAULT__VERIFICATION__TTL", "10s"),
    ])
    .await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    resend(&anon, ADA).await.expect(200).text_at("verification_token");
    let sent = resend(&anon, ADA).await.expect(200);
    server.clock().advance(Duration::from_secs(10));
    assert_eq!(confirm(&anon, sent.text_at("verification_token")).await.refused("token"), INVALID);
}

#[tokio::test]
async fn what_resend_refuses() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    assert_eq!(resend(&anon, "").await.refused("email"), "The email field is required.");
    assert_eq!(resend(&anon, "ada").await.refused("email"), "The email field must be a valid email address.");
    let long = "The email field must not be greater than 255 characters.";
    assert_eq!(resend(&anon, &format!("{}@example.com", "x".repeat(244))).await.refused("email"), long);
    let reply = anon.post("/verify-email/resend", &json!({ "email": [] })).await;
    assert_eq!(reply.refused("email"), "The email field must be a string.");
}

#[tokio::test]
async fn concealed_a_taken_address_is_answered_like_a_new_one() {
    let server = Server::with(&[STRICT, ("PROJECT__DEFAULT__CONCEAL", "true")]).await;
    let anon = Persona::anon(&server);
    let new = sign_up(&anon, ADA).await.expect(202);
    confirm(&anon, new.text_at("verification_token")).await.expect(200);
    server.clock().advance(Duration::from_secs(60));
    let hashes = || server.projects().shared().pool.hashes_computed();
    let before = hashes();
    let body = json!({ "email": "ADA@example.com", "password": "another one", "display_name": "Eve" });
    let taken = anon.post("/signup", &body).await.expect(202);
    assert_eq!(hashes() - before, 1, "the same work");
    let body = json!({ "email": "bob@example.com", "password": "another one", "display_name": "Eve" });
    let fresh = anon.post("/signup", &body).await.expect(202);
    let keys = |reply: &Reply| reply.body.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&taken), keys(&fresh));
    assert_eq!(taken.body["user"]["email_verified_at"], Value::Null);
    assert_eq!(taken.body["user"]["display_name"], "Eve");
    assert_eq!((&taken.body["user"]["id"], &fresh.body["user"]["id"]), (&json!(2), &json!(3)), "numbers go on");
    assert_eq!(taken.text_at("verification_token").len(), fresh.text_at("verification_token").len());
    assert_eq!(confirm(&anon, taken.text_at("verification_token")).await.refused("token"), INVALID);
    anon.sign_in(ADA, "another one").await.expect(401);
    anon.sign_in(ADA, PASSWORD).await.expect(200);
    // A second try within the cooldown is alike, too.
    let again = async |email: &str| anon.post("/signup", &json!({ "email": email, "password": "another one" })).await;
    let (taken, fresh) = (again(ADA).await, again("bob@example.com").await);
    assert_eq!((taken.status, keys(&taken)), (fresh.status, keys(&fresh)));
    // And so is one for which a token was asked for just before.
    server.clock().advance(Duration::from_secs(60));
    for email in [ADA, "dora@example.com"] {
        resend(&anon, email).await.expect(200).text_at("verification_token");
    }
    let (taken, fresh) = (again(ADA).await, again("dora@example.com").await);
    assert_eq!((taken.status, keys(&taken)), (fresh.status, keys(&fresh)));
}
