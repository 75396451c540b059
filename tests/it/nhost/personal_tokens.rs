//! Personal access tokens (contract 1.3, 1.4, 2.4).

use std::time::Duration;

use keystead::auth::accounts::{self, NewPassword};
use keystead::crypto::Secret;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon, is_out, newcomer, refresh, refused, signed_in, text};
use crate::persona::{Persona, Reply, account, all_at_once, operator, project, project_id};

/// The test clock begins with 2026.
const LATER: &str = "2026-02-01T00:00:00Z";

async fn make(user: &Persona) -> String {
    let made = user.post("/pat", &json!({ "expiresAt": LATER, "metadata": { "name": "CI" } })).await.expect(200);
    made.text_at("personalAccessToken").to_owned()
}

async fn sign_in(anon: &Persona, token: &str) -> Reply {
    anon.post("/signin/pat", &json!({ "personalAccessToken": token })).await
}

#[tokio::test]
async fn a_token_begins_sessions_until_it_expires() {
    let server = Server::start().await;
    let (ada, session) = newcomer(&anon(&server), ADA).await;
    let made = ada.post("/pat", &json!({ "expiresAt": LATER })).await.expect(200);
    let names: Vec<_> = made.body.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["id", "personalAccessToken"]);
    let token = made.text_at("personalAccessToken");
    assert_eq!(uuid::Uuid::try_parse(token).expect("a UUID").get_version_num(), 4);
    for _ in 0..2 {
        let reply = sign_in(&anon(&server), &token.to_uppercase()).await.expect(200);
        let begun = &reply.body["session"];
        assert_eq!(begun["user"], session["user"]);
        anon(&server).with_token(text(begun, "accessToken")).get("/user").await.expect(200);
        // A regular one: refreshed and ended like any other.
        refresh(&anon(&server), text(begun, "refreshToken")).await.expect(200);
    }
    server.clock().advance(Duration::from_secs(31 * 24 * 3600 - 1));
    sign_in(&anon(&server), token).await.expect(200);
    server.clock().advance(Duration::from_secs(1));
    assert_eq!(refused(&sign_in(&anon(&server), token).await, 401), "invalid-pat");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let server = Server::start().await;
    let (ada, session) = newcomer(&anon(&server), ADA).await;
    for body in [
        json!({}),
        json!({ "expiresAt": 7 }),
        json!({ "expiresAt": "tomorrow" }),
        json!({ "expiresAt": "2026-02-01" }),
        json!({ "expiresAt": LATER, "metadata": [] }),
        json!({ "expiresAt": LATER, "name": "CI" }),
    ] {
        let reply = ada.post("/pat", &body).await.expect(400);
        assert_eq!(reply.text_at("error"), "schema-validation-error", "{body}");
    }
    anon(&server).post("/pat", &json!({ "expiresAt": LATER })).await.expect(401);
    // One that has expired already is made, and is none.
    let made = ada.post("/pat", &json!({ "expiresAt": "2020-01-01T00:00:00+01:00" })).await.expect(200);
    let past = made.text_at("personalAccessToken").to_owned();
    for token in [&past, text(&session, "refreshToken"), text(&session, "refreshTokenId"), made.text_at("id")] {
        assert_eq!(refused(&sign_in(&anon(&server), token).await, 401), "invalid-pat", "{token}");
    }
    let reply = sign_in(&anon(&server), "x").await.expect(400);
    assert_eq!(reply.text_at("error"), "schema-validation-error");
}

/// A token of one kind, project or account is none of another.
#[tokio::test]
async fn a_token_serves_one_purpose_in_one_project() {
    let server =
        Server::with(&[("PROJECT__ONE__NOMA__ENABLED", "true"), ("PROJECT__OTHER__NOMA__ENABLED", "true")]).await;
    let [one, other] = ["one", "other"].map(|slug| anon(&server).in_project(Some(&project_id(&server, slug))));
    let (ada, _) = newcomer(&one, ADA).await;
    newcomer(&other, ADA).await;
    let token = make(&ada).await;
    assert_eq!(refused(&sign_in(&other, &token).await, 401), "invalid-pat");
    assert_eq!(refused(&refresh(&one, &token).await, 401), "invalid-refresh-token");
    is_out(&one.with_token(&token)).await;
    assert_eq!(refused(&one.post("/token/verify", &json!({ "token": token })).await, 400), "invalid-request");
    other.post("/signout", &json!({ "refreshToken": token })).await.expect(200);
    sign_in(&one, &token).await.expect(200);
}

#[tokio::test]
async fn a_token_ends_with_what_ends_all_sessions() {
    let server = Server::start().await;
    let default = project(&server, "default").await;
    newcomer(&anon(&server), ADA).await;
    for (what, status) in [
        ("itself", 401),
        ("everywhere", 401),
        ("everywhere, elsewhere", 401),
        ("a changed password", 401),
        ("a set password", 401),
        ("revoked sessions", 401),
        ("disabled", 401),
        ("deleted", 401),
        ("a sign-out", 200),
    ] {
        if what == "a sign-out" {
            newcomer(&anon(&server), ADA).await;
        }
        let (ada, session) = signed_in(&anon(&server), ADA).await;
        let token = make(&ada).await;
        sign_in(&anon(&server), &token).await.expect(200);
        let who = account(ADA);
        match what {
            "itself" => drop(anon(&server).post("/signout", &json!({ "refreshToken": token })).await.expect(200)),
            "everywhere" => drop(ada.post("/signout", &json!({ "all": true })).await.expect(200)),
            "everywhere, elsewhere" => {
                let noma = anon(&server).speaking_noma();
                let noma = noma.signed_in(ADA, PASSWORD).await.0;
                noma.post_nothing("/logout-all").await.expect(200);
            }
            "a changed password" => {
                let noma = anon(&server).speaking_noma().signed_in(ADA, PASSWORD).await.0;
                let body = json!({ "current_password": PASSWORD, "new_password": "battery staple" });
                noma.post("/change-password", &body).await.expect(200);
            }
            "a set password" | "a sign-out" => {
                if what == "a set password" {
                    let password = NewPassword::Plain(Secret::new(PASSWORD.to_owned()));
                    accounts::set_password(&default, operator(&server), who, password).await.expect("set");
                } else {
                    ada.post("/signout", &json!({ "refreshToken": text(&session, "refreshToken") })).await.expect(200);
                }
            }
            "revoked sessions" => {
                accounts::revoke_sessions(&default, operator(&server), who).await.expect("revoked");
            }
            "disabled" => {
                accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
                assert_eq!(refused(&sign_in(&anon(&server), &token).await, 401), "invalid-pat");
                accounts::enable(&default, operator(&server), who).await.expect("enabled");
            }
            _ => drop(accounts::delete(&default, operator(&server), who).await.expect("deleted")),
        }
        let reply = sign_in(&anon(&server), &token).await;
        assert_eq!(reply.status.as_u16(), status, "{what}: {}", reply.text);
        if what == "a changed password" {
            let password = NewPassword::Plain(Secret::new(PASSWORD.to_owned()));
            accounts::set_password(&default, operator(&server), account(ADA), password).await.expect("set");
        }
    }
}

#[tokio::test]
async fn a_token_works_as_often_as_one_likes_also_at_once() {
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    let token = make(&ada).await;
    let ids = all_at_once((0..64).map(|_| {
        let (anon, token) = (anon(&server), token.clone());
        async move { sign_in(&anon, &token).await.expect(200).body["session"]["refreshTokenId"].clone() }
    }))
    .await;
    let distinct: std::collections::HashSet<_> = ids.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), 64, "a session each");
}

#[tokio::test]
async fn one_account_has_so_many_and_expired_ones_make_room() {
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    for _ in 0..100 {
        make(&ada).await;
    }
    assert_eq!(refused(&ada.post("/pat", &json!({ "expiresAt": LATER })).await, 400), "invalid-request");
    server.clock().advance(Duration::from_secs(31 * 24 * 3600));
    let (ada, _) = signed_in(&anon(&server), ADA).await;
    ada.post("/pat", &json!({ "expiresAt": "2026-03-01T00:00:00Z" })).await.expect(200);
}

/// Its owner's state is told to who has it, as to who knows the password.
#[tokio::test]
async fn the_owner_must_be_one_that_may_sign_in() {
    let strict = [("PROJECT__DEFAULT__VERIFICATION__MODE", "strict")];
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    let token = make(&ada).await;
    server.reload(&strict).await.expect("reloaded");
    assert_eq!(refused(&sign_in(&anon(&server), &token).await, 401), "unverified-user");
    server.reload(&[("PROJECT__DEFAULT__ACCESS__BLOCKED_EMAILS", ADA)]).await.expect("reloaded");
    assert_eq!(refused(&sign_in(&anon(&server), &token).await, 401), "invalid-email-password");
    assert_eq!(refused(&ada.get("/user").await, 401), "invalid-email-password");
    server.reload(&[]).await.expect("reloaded");
    sign_in(&anon(&server), &token).await.expect(200);
}
