//! Refreshing (contract 3.4, 4; design 5): rotation, the grace, theft, and that 64 at once make one successor.

use std::collections::BTreeSet;
use std::time::Duration;

use insta::assert_json_snapshot;
use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::{Persona, Reply, all_at_once};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const NO_GRACE: (&str, &str) = ("PROJECT__DEFAULT__TOKENS__REFRESH_GRACE", "0s");

async fn signed_up(server: &Server) -> (Persona, Persona, String) {
    let anon = Persona::anon(server);
    let (ada, body) = anon.sign_up(ADA, PASSWORD).await;
    let token = body["refresh_token"].as_str().expect("a refresh token").to_owned();
    (anon, ada, token)
}

#[track_caller]
fn invalid(reply: &Reply) {
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (401, r#"{"message":"Invalid refresh token."}"#));
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_its_successor() {
    let server = Server::start().await;
    let (anon, ada, first) = signed_up(&server).await;
    server.clock().advance(Duration::from_secs(60));
    let reply = anon.refresh(&first).await.expect(200);
    assert_json_snapshot!(reply.body, {
        ".access_token" => "[access token]", ".refresh_token" => "[refresh token]", ".user.uuid" => "[uuid]",
    });
    assert_ne!(reply.text_at("refresh_token"), first);
    anon.with_token(reply.text_at("access_token")).get("/me").await.expect(200);
    // The session is the same one: its older access token works until its own time.
    ada.get("/me").await.expect(200);
    let mut token = reply.text_at("refresh_token").to_owned();
    for _ in 0..5 {
        server.clock().advance(Duration::from_secs(29 * 24 * 3600));
        // Each rotation starts the 30 days anew.
        token = anon.refresh(&token).await.expect(200).text_at("refresh_token").to_owned();
    }
}

#[tokio::test]
async fn what_the_field_must_be() {
    let server = Server::start().await;
    let (anon, ..) = signed_up(&server).await;
    let send = async |token: Value| anon.post("/refresh", &json!({ "refresh_token": token })).await;
    let required = "The refresh token field is required.";
    assert_eq!(anon.post("/refresh", &json!({})).await.refused("refresh_token"), required);
    assert_eq!(send(json!("")).await.refused("refresh_token"), required);
    assert_eq!(send(Value::Null).await.refused("refresh_token"), required);
    assert_eq!(anon.post_nothing("/refresh").await.refused("refresh_token"), required);
    for wrong in [json!(1), json!(["x"]), json!({ "a": "x" }), json!(true)] {
        assert_eq!(send(wrong).await.refused("refresh_token"), "The refresh token field must be a string.");
    }
    let short = "The refresh token field must be at least 40 characters.";
    assert_eq!(send(json!("x".repeat(39))).await.refused("refresh_token"), short);
    assert_eq!(send(json!("é".repeat(39))).await.refused("refresh_token"), short);
    invalid(&send(json!("x".repeat(40))).await);
    invalid(&send(json!("é".repeat(40))).await);
    invalid(&send(json!(" ".repeat(40))).await);
    invalid(&send(json!("\u{0}".repeat(40))).await);
    send(json!("x".repeat(60_000))).await.expect(422);
}

#[tokio::test]
async fn a_token_that_is_not_exactly_ours_is_refused_and_harms_nobody() {
    let server = Server::start().await;
    let (anon, ada, token) = signed_up(&server).await;
    for at in [0, 10, 21, 27, 40, 60, token.len() - 2] {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        invalid(&anon.refresh(&String::from_utf8(forged).expect("text")).await);
    }
    for forged in [format!(" {token}"), format!("{token} "), format!("{token}="), token.to_uppercase(), token.repeat(2)]
    {
        invalid(&anon.refresh(&forged).await);
    }
    ada.get("/me").await.expect(200);
    anon.refresh(&token).await.expect(200);
}

#[tokio::test]
async fn within_the_grace_the_same_token_gives_the_same_successor() {
    let server = Server::start().await;
    let (anon, _, first) = signed_up(&server).await;
    let second = anon.refresh(&first).await.expect(200).text_at("refresh_token").to_owned();
    server.clock().advance(Duration::from_millis(9_999));
    let again = anon.refresh(&first).await.expect(200);
    assert_eq!(again.text_at("refresh_token"), second);
    anon.with_token(again.text_at("access_token")).get("/me").await.expect(200);
    // Asking again does not prolong the grace.
    server.clock().advance(Duration::from_millis(1));
    invalid(&anon.refresh(&first).await);
    invalid(&anon.refresh(&second).await);
}

#[tokio::test]
async fn a_token_two_generations_old_is_theft_even_within_the_grace() {
    let server = Server::start().await;
    let (anon, ada, first) = signed_up(&server).await;
    let second = anon.refresh(&first).await.expect(200).text_at("refresh_token").to_owned();
    let third = anon.refresh(&second).await.expect(200).text_at("refresh_token").to_owned();
    invalid(&anon.refresh(&first).await);
    invalid(&anon.refresh(&third).await);
    ada.get("/me").await.expect(401);
}

#[tokio::test]
async fn theft_ends_this_session_and_no_other() {
    let server = Server::with(&[NO_GRACE]).await;
    let (anon, ada, first) = signed_up(&server).await;
    let (other, elsewhere) = anon.signed_in(ADA, PASSWORD).await;
    let second = anon.refresh(&first).await.expect(200);
    invalid(&anon.refresh(&first).await);
    ada.get("/me").await.expect(401);
    anon.with_token(second.text_at("access_token")).get("/me").await.expect(401);
    invalid(&anon.refresh(second.text_at("refresh_token")).await);
    other.get("/me").await.expect(200);
    anon.refresh(elsewhere["refresh_token"].as_str().expect("a token")).await.expect(200);
}

/// security.md, 1.
#[tokio::test]
async fn sixty_four_at_once_make_one_successor() {
    let server = Server::start().await;
    let (anon, _, first) = signed_up(&server).await;
    let replies = together(&anon, &first).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    let successors: BTreeSet<_> = replies.iter().map(|reply| reply.text_at("refresh_token")).collect();
    assert_eq!(successors.len(), 1);
    for reply in &replies {
        anon.with_token(reply.text_at("access_token")).get("/me").await.expect(200);
    }
    let next = replies[0].text_at("refresh_token");
    anon.refresh(next).await.expect(200);
}

/// security.md, 1, where there is no grace: at most one works, and the other 63 end the session.
#[tokio::test]
async fn sixty_four_at_once_without_grace_are_one_use_and_a_theft() {
    let server = Server::with(&[NO_GRACE]).await;
    let (anon, ada, first) = signed_up(&server).await;
    let replies = together(&anon, &first).await;
    let used: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(used.len(), 1);
    assert!(replies.iter().filter(|reply| reply.status != 200).all(|reply| reply.status == 401));
    ada.get("/me").await.expect(401);
    invalid(&anon.refresh(used[0].text_at("refresh_token")).await);
}

async fn together(anon: &Persona, token: &str) -> Vec<Reply> {
    all_at_once((0..64).map(|_| {
        let (anon, token) = (anon.clone(), token.to_owned());
        async move { anon.refresh(&token).await }
    }))
    .await
}

#[tokio::test]
async fn a_refresh_token_ends_by_the_clock() {
    let server = Server::with(&[("PROJECT__DEFAULT__TOKENS__REFRESH_TTL", "1h")]).await;
    let (anon, _, first) = signed_up(&server).await;
    server.clock().advance(Duration::from_secs(3599));
    let second = anon.refresh(&first).await.expect(200).text_at("refresh_token").to_owned();
    server.clock().advance(Duration::from_secs(3600));
    invalid(&anon.refresh(&second).await);
}

#[tokio::test]
async fn one_error_for_every_cause() {
    let server = Server::with(&[NO_GRACE]).await;
    let (anon, ada, first) = signed_up(&server).await;
    anon.refresh(&first).await.expect(200);
    let reused = anon.refresh(&first).await;
    let (gone, body) = anon.signed_in(ADA, PASSWORD).await;
    gone.post_nothing("/logout").await.expect(200);
    let revoked = anon.refresh(body["refresh_token"].as_str().expect("a token")).await;
    let unknown = anon.refresh(&"x".repeat(100)).await;
    ada.get("/me").await.expect(401);
    for reply in [&revoked, &unknown] {
        assert_eq!(reply.whole(), reused.whole());
    }
    invalid(&reused);
}
