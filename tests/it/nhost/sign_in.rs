//! Signing in with a password (contract 1.3).

use std::time::Duration;

use insta::{assert_json_snapshot, assert_snapshot};
use keystead::auth::accounts;
use keystead::testing::Server;
use serde_json::json;

use super::{ADA, PASSWORD, anon, newcomer, refused, sign_in, signed_in, text};
use crate::persona::{account, all_at_once, operator, project};

const WRONG: &str = "wrong horse";

#[tokio::test]
async fn a_right_password_begins_a_session() {
    let server = Server::start().await;
    let (_, first) = newcomer(&anon(&server), ADA).await;
    let reply = sign_in(&anon(&server), "ADA@example.com", PASSWORD).await.expect(200);
    assert_json_snapshot!(reply.body, {
        ".session.accessToken" => "[token]",
        ".session.refreshToken" => "[uuid]",
        ".session.refreshTokenId" => "[uuid]",
        ".session.user.id" => "[uuid]",
    });
    assert_eq!(reply.body["session"]["user"], first["user"]);
    assert_ne!(reply.body["session"]["refreshTokenId"], first["refreshTokenId"]);
    let ada = anon(&server).with_token(text(&reply.body["session"], "accessToken"));
    ada.get("/user").await.expect(200);
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_are_the_same() {
    let server = Server::start().await;
    newcomer(&anon(&server), ADA).await;
    let wrong = sign_in(&anon(&server), ADA, WRONG).await.expect(401);
    let unknown = sign_in(&anon(&server), "eve@example.com", WRONG).await.expect(401);
    assert_eq!(wrong.whole(), unknown.whole());
    assert_snapshot!(wrong.text);
}

/// What is stored goes before what the schema of a new password says: an operator may have set a longer one.
#[tokio::test]
async fn a_password_that_could_not_be_chosen_here_may_be_on_file() {
    let server = Server::start().await;
    let long = "x".repeat(100);
    let body = json!({ "email": ADA, "password": long });
    crate::persona::Persona::anon(&server).post("/signup", &body).await.expect(201);
    sign_in(&anon(&server), ADA, &long).await.expect(200);
    sign_in(&anon(&server), ADA, "").await.expect(400);
}

/// A wrong password says nothing of the account's state; the right one does.
#[tokio::test]
async fn the_state_of_an_account_is_told_to_who_knows_its_password() {
    let server =
        Server::with(&[("PROJECT__DEFAULT__NOMA__ENABLED", "true"), ("PROJECT__STRICT__VERIFICATION__MODE", "strict")])
            .await;
    let anon = anon(&server).in_project(Some(&crate::persona::project_id(&server, "default")));
    newcomer(&anon, ADA).await;
    let default = project(&server, "default").await;
    accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    assert_eq!(refused(&sign_in(&anon, ADA, WRONG).await, 401), "invalid-email-password");
    assert_eq!(refused(&sign_in(&anon, ADA, PASSWORD).await, 401), "disabled-user");

    let strict = anon.in_project(Some(&crate::persona::project_id(&server, "strict")));
    assert_snapshot!(super::sign_up(&strict, ADA).await.expect(200).text, @"{}");
    assert_eq!(refused(&sign_in(&strict, ADA, WRONG).await, 401), "invalid-email-password");
    assert_eq!(refused(&sign_in(&strict, ADA, PASSWORD).await, 401), "unverified-user");
}

#[tokio::test]
async fn after_too_many_wrong_ones_the_right_one_waits_too() {
    let server = Server::start().await;
    newcomer(&anon(&server), ADA).await;
    for _ in 0..5 {
        assert_eq!(refused(&sign_in(&anon(&server), ADA, WRONG).await, 401), "invalid-email-password");
    }
    for (email, password) in [(ADA, PASSWORD), ("Ada@Example.com", WRONG)] {
        let locked = sign_in(&anon(&server), email, password).await.expect(429);
        assert_eq!((locked.text.as_str(), locked.headers["retry-after"].to_str().expect("text")), ("", "900"));
    }
    sign_in(&anon(&server), "eve@example.com", WRONG).await.expect(401);
    server.clock().advance(Duration::from_secs(900));
    signed_in(&anon(&server), ADA).await.0.get("/user").await.expect(200);
}

#[tokio::test]
async fn of_many_wrong_ones_at_once_five_are_looked_at() {
    let server = Server::start().await;
    newcomer(&anon(&server), ADA).await;
    let before = server.projects().shared().pool.hashes_computed();
    let replies = all_at_once((0..64).map(|_| {
        let anon = anon(&server);
        async move { sign_in(&anon, ADA, WRONG).await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 401).count(), 5);
    assert_eq!(replies.iter().filter(|status| **status == 429).count(), 59);
    assert_eq!(server.projects().shared().pool.hashes_computed() - before, 5);
}

/// Public endpoints ignore the bearer: the client attaches its own, expired or not, to every request (contract 0).
#[tokio::test]
async fn nobody_looks_at_the_bearer_of_a_sign_in() {
    let server = Server::start().await;
    newcomer(&anon(&server), ADA).await;
    signed_in(&anon(&server).with_token("x"), ADA).await;
    signed_in(&anon(&server).with_header("authorization", "Basic x"), ADA).await;
}
