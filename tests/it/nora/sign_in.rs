//! Signing in (contract 3.2, 4): the token, the cookie, and the end of both.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead::auth::accounts::{self, NewUser};
use keystead::auth::{Email, Role};
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon, newcomer, signed_in};
use crate::persona::{account, all_at_once, now, operator, project};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const WEEK: u64 = 7 * 86_400;

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn the_token_says_five_things_and_is_signed_with_the_given_secret() {
    let server = Server::with(&[("PROJECT__DEFAULT__NORA__JWT_SECRET", SECRET)]).await;
    let (ada, token) = newcomer(&anon(&server), ADA).await;
    let id = ada.get("/me").await.expect(200).text_at("id").to_owned();
    let issued = now(&server).secs();
    let expected = json!({ "id": id, "email": ADA, "role": "admin", "iat": issued, "exp": issued + WEEK });
    assert_eq!(claims(&token), expected);
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    rules.validate_exp = false; // the library goes by the wall clock
    let read = jsonwebtoken::decode::<Value>(&token, &key, &rules).expect("signed with the secret");
    assert_eq!(read.claims, expected);
}

/// The claims are the same, second for second; the tokens, and the sessions, are not.
#[tokio::test]
async fn two_sign_ins_in_one_second_are_two_sessions() {
    let server = Server::start().await;
    let anon = anon(&server);
    let (_, first) = newcomer(&anon, ADA).await;
    let tokens = all_at_once((0..8).map(|_| {
        let anon = anon.clone();
        async move { signed_in(&anon, ADA).await.1 }
    }))
    .await;
    assert!(tokens.iter().all(|token| claims(token) == claims(&first) && *token != first));
    anon.with_token(&tokens[0]).post_nothing("/logout").await.expect(200);
    anon.with_token(&tokens[0]).get("/me").await.expect(401);
    for other in tokens[1..].iter().chain([&first]) {
        anon.with_token(other).get("/me").await.expect(200);
    }
}

#[tokio::test]
async fn a_session_lasts_seven_days_whatever_happens() {
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    server.clock().advance(Duration::from_millis(WEEK * 1000 - 1));
    ada.get("/me").await.expect(200);
    server.clock().advance(Duration::from_millis(1));
    ada.get("/me").await.expect(401);
}

/// Contract 4, attribute by attribute.
#[tokio::test]
async fn the_cookie_byte_for_byte() {
    let plain = [("TLS__MODE", "off"), ("LISTEN__TRUSTED_PROXIES", "127.0.0.1/32")];
    let forced = [("TLS__MODE", "off"), ("PROJECT__DEFAULT__NORA__FORCE_SECURE_COOKIES", "true")];
    for (settings, forwarded, secure) in [
        (&[][..], None, "; Secure"),
        (&plain, None, ""),
        (&plain, Some("https"), "; Secure"),
        (&plain, Some("http"), ""),
        (&[("TLS__MODE", "off")], Some("https"), ""),
        (&forced, None, "; Secure"),
    ] {
        let server = Server::with(settings).await;
        let mut anon = anon(&server);
        if let Some(scheme) = forwarded {
            anon = anon.with_header("x-forwarded-proto", scheme);
        }
        anon.post("/signup", &json!({ "email": ADA, "password": PASSWORD })).await.expect(200);
        let cookie = |reply: &crate::persona::Reply| reply.headers["set-cookie"].to_str().expect("text").to_owned();
        let reply = anon.sign_in(ADA, PASSWORD).await.expect(200);
        let token = reply.text_at("token");
        let attributes = format!(
            "nora_auth={token}; Max-Age=604800; Path=/; Expires=Thu, 08 Jan 2026 00:00:00 GMT; HttpOnly{secure}; SameSite=Lax"
        );
        assert_eq!(cookie(&reply), attributes, "{settings:?}");
        // A day later the cookie begins anew; its token does not.
        server.clock().advance(Duration::from_secs(86_400));
        let upgraded = anon.with_token(token).post_nothing("/session-upgrade").await.expect(200);
        assert_eq!(upgraded.text, r#"{"success":true}"#);
        assert_eq!(cookie(&upgraded), attributes.replace("Thu, 08", "Fri, 09"));
        let out = anon.with_cookie(token).post_nothing("/logout").await.expect(200);
        assert_eq!(out.text, r#"{"success":true}"#);
        let gone = format!("nora_auth=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly{secure}; SameSite=Lax");
        assert_eq!(cookie(&out), gone);
        anon.with_token(token).get("/me").await.expect(401);
    }
}

/// A logout is 200 whatever is presented, and ends what was.
#[tokio::test]
async fn a_logout_ends_the_session_of_header_and_cookie() {
    let server = Server::start().await;
    let anon = anon(&server);
    let (_, header) = newcomer(&anon, ADA).await;
    let (_, cookie) = signed_in(&anon, ADA).await;
    for nobody in
        [anon.clone(), anon.with_token("x"), anon.with_header("authorization", "x y z"), anon.with_cookie("x")]
    {
        nobody.post_nothing("/logout").await.expect(200);
    }
    anon.with_token(&header).with_cookie(&cookie).post_nothing("/logout").await.expect(200);
    for token in [header, cookie] {
        anon.with_token(&token).get("/me").await.expect(401);
        anon.with_token(&token).post_nothing("/logout").await.expect(200);
    }
}

#[tokio::test]
async fn what_is_no_sign_in_at_all() {
    let server = Server::with(&[("PROJECT__DEFAULT__NORA__LIMITS__LOGIN", "off")]).await;
    for body in [
        json!({}),
        json!({ "email": ADA }),
        json!({ "password": PASSWORD }),
        json!({ "email": "", "password": PASSWORD }),
        json!({ "email": ADA, "password": "" }),
        json!({ "email": [ADA], "password": PASSWORD }),
        json!({ "email": ADA, "password": 7 }),
        json!({ "email": null, "password": null }),
    ] {
        let reply = anon(&server).post("/login", &body).await.expect(400);
        assert_eq!(reply.text, r#"{"error":"Email and password required"}"#, "{body}");
    }
    // No rules of form: what cannot be anybody's is a wrong one.
    for (email, password) in [("x", "y"), (ADA, &*"x".repeat(100_000)), ("ada@example", PASSWORD)] {
        let reply = anon(&server).sign_in(email, password).await.expect(401);
        assert_eq!(reply.text_at("error"), "Invalid email or password");
    }
}

/// Contract 3.2: told by default, not where the project conceals.
#[tokio::test]
async fn an_account_without_a_password_says_so_unless_concealed() {
    for (conceal, expected) in [("false", "uses OAuth login"), ("true", "Invalid email or password")] {
        let server = Server::with(&[("PROJECT__DEFAULT__CONCEAL", conceal)]).await;
        let default = project(&server, "default").await;
        let new = NewUser {
            email: Email::parse(ADA).expect("an address"),
            password: None,
            display_name: None,
            verified: true,
            metadata: None,
            role: Role::User,
        };
        accounts::create(&default, operator(&server), new).await.expect("made");
        let before = server.projects().shared().pool.hashes_computed();
        let reply = anon(&server).sign_in(ADA, PASSWORD).await.expect(401);
        assert!(reply.text_at("error").contains(expected), "{}", reply.text);
        assert_eq!(server.projects().shared().pool.hashes_computed(), before + 1, "the same work");
        let unknown = anon(&server).sign_in("nobody@example.com", PASSWORD).await.expect(401);
        assert_eq!(unknown.body == reply.body, conceal == "true");
    }
}

/// The role is in the token: with another role the token is another's.
#[tokio::test]
async fn a_changed_role_ends_the_sessions_that_say_the_former() {
    let server = Server::start().await;
    let default = project(&server, "default").await;
    let anon = anon(&server);
    let (ada, token) = newcomer(&anon, ADA).await;
    assert_eq!(claims(&token)["role"], "admin");
    accounts::set_role(&default, operator(&server), account(ADA), Role::Admin).await.expect("the same again");
    ada.get("/me").await.expect(200);
    let noma = crate::persona::Persona::anon(&server).signed_in(ADA, PASSWORD).await.0;
    accounts::set_role(&default, operator(&server), account(ADA), Role::User).await.expect("changed");
    ada.get("/me").await.expect(401);
    noma.get("/me").await.expect(200);
    let (ada, token) = signed_in(&anon, ADA).await;
    assert_eq!((claims(&token)["role"].as_str(), ada.get("/me").await.text_at("role")), (Some("user"), "user"));
}

/// An account that must prove its address first has no session (an addition to the contract).
#[tokio::test]
async fn an_unproved_address_waits_where_the_project_is_strict() {
    let server = Server::with(&[("PROJECT__DEFAULT__VERIFICATION__MODE", "strict")]).await;
    anon(&server).post("/signup", &json!({ "email": ADA, "password": PASSWORD })).await.expect(200);
    let reply = anon(&server).sign_in(ADA, PASSWORD).await.expect(403);
    assert_eq!(reply.text_at("code"), "EMAIL_VERIFICATION_REQUIRED");
    anon(&server).sign_in(ADA, "wrong horse").await.expect(401);
}

/// No provider can be enabled yet; asking counts as an attempt to sign in.
#[tokio::test]
async fn sign_in_with_a_provider_is_disabled_and_counts() {
    let server = Server::start().await;
    let anon = anon(&server);
    let reply = anon.post("/oauth-login", &json!({ "provider": "google", "oauthIdToken": "x" })).await.expect(403);
    assert!(reply.text_at("error").contains("disabled"));
    assert_eq!(reply.headers["ratelimit-remaining"], "19");
    let reply = anon.sign_in(ADA, PASSWORD).await.expect(401);
    assert_eq!(reply.headers["ratelimit-remaining"], "18", "one bucket for both");
}
