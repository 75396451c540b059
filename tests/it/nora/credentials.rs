//! Who presents what (contract 3.3, 3.9): header, cookie, API key, and which of them counts.

use keystead::testing::Server;
use serde_json::json;

use super::{ADA, PASSWORD, anon, newcomer, signed_in};
use crate::persona::{Persona, project_id};

#[tokio::test]
async fn an_explicit_credential_beats_the_cookie_also_a_bad_one() {
    let server = Server::start().await;
    let anon = anon(&server);
    let (_, ada) = newcomer(&anon, ADA).await;
    let (_, eve) = newcomer(&anon, "eve@example.com").await;
    let me = async |who: Persona| who.get("/me").await.expect(200).text_at("email").to_owned();
    assert_eq!(me(anon.with_token(&ada)).await, ADA);
    assert_eq!(me(anon.with_cookie(&ada)).await, ADA);
    assert_eq!(me(anon.with_header("authorization", &format!("bearer {ada}"))).await, ADA);
    assert_eq!(me(anon.with_token(&ada).with_cookie(&eve)).await, ADA);
    assert_eq!(me(anon.with_token(&ada).with_cookie("rubbish")).await, ADA);
    let good = anon.with_cookie(&ada);
    for (who, status, text, code) in [
        (anon.clone(), 401, "Authentication required", None),
        (anon.with_token("rubbish"), 401, "Invalid or expired session", None),
        (anon.with_cookie("rubbish"), 401, "Invalid or expired session", None),
        (good.with_token("rubbish"), 401, "Invalid or expired session", None),
        (good.with_token(&format!("{ada}x")), 401, "Invalid or expired session", None),
        (
            good.with_header("authorization", "Bearer"),
            400,
            "Invalid authentication header",
            Some("invalid_auth_header"),
        ),
        (good.with_header("authorization", ""), 400, "Invalid authentication header", Some("invalid_auth_header")),
        (good.with_header("authorization", &ada), 400, "Invalid authentication header", Some("invalid_auth_header")),
        (
            good.with_header("authorization", "Basic eDp5"),
            400,
            "Invalid authentication header",
            Some("invalid_auth_header"),
        ),
        (good.with_header("x-api-key", "nora_x"), 401, "Invalid or expired API key", None),
        (good.with_header("x-nora-api-key", "nora_x"), 401, "Invalid or expired API key", None),
        (good.with_token("nora_x"), 401, "Invalid or expired API key", None),
        (
            anon.with_token(&ada).with_header("x-api-key", "nora_x"),
            400,
            "Conflicting authentication headers",
            Some("conflicting_auth"),
        ),
    ] {
        for (method, path) in [("GET", "/me"), ("PATCH", "/profile"), ("PATCH", "/password")] {
            let method: reqwest::Method = method.parse().expect("a method");
            let reply = who.send(method, path, None).await.expect(status);
            assert_eq!((reply.text_at("error"), reply.body["code"].as_str()), (text, code), "{path}");
            assert_eq!(reply.headers.contains_key("www-authenticate"), status == 401, "{path}");
        }
    }
}

/// The upgrade takes exactly one form, and no cookie.
#[tokio::test]
async fn an_upgrade_takes_a_bearer_in_its_exact_form() {
    let server = Server::start().await;
    let anon = anon(&server);
    let (user, ada) = newcomer(&anon, ADA).await;
    for (who, status, text) in [
        (anon.clone(), 400, "Bearer token required"),
        (anon.with_cookie(&ada), 400, "Bearer token required"),
        (anon.with_header("authorization", &format!("bearer {ada}")), 400, "Bearer token required"),
        (anon.with_header("authorization", &format!("Bearer  {ada}")), 400, "Bearer token required"),
        (anon.with_token("nora_x"), 401, "Invalid or expired Bearer token"),
        (anon.with_token("rubbish"), 401, "Invalid or expired Bearer token"),
    ] {
        let reply = who.post_nothing("/session-upgrade").await.expect(status);
        assert_eq!(reply.text_at("error"), text);
    }
    user.post_nothing("/session-upgrade").await.expect(200);
    user.post_nothing("/logout").await.expect(200);
    user.post_nothing("/session-upgrade").await.expect(401);
}

/// Signed with the same secret, of another project all the same.
#[tokio::test]
async fn a_token_of_one_project_is_none_in_another() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let server =
        Server::with(&[("PROJECT__ONE__NORA__JWT_SECRET", SECRET), ("PROJECT__TWO__NORA__JWT_SECRET", SECRET)]).await;
    let [one, two] = ["one", "two"].map(|slug| anon(&server).in_project(Some(&project_id(&server, slug))));
    let (_, token) = newcomer(&one, ADA).await;
    newcomer(&two, ADA).await;
    one.with_token(&token).get("/me").await.expect(200);
    two.with_token(&token).get("/me").await.expect(401);
    two.with_cookie(&token).get("/me").await.expect(401);
}

/// A genuine signature is not enough: whoever has the secret makes no session with it.
#[tokio::test]
async fn a_token_that_was_never_issued_is_none() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let server = Server::with(&[("PROJECT__DEFAULT__NORA__JWT_SECRET", SECRET)]).await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    let id = ada.get("/me").await.expect(200).text_at("id").to_owned();
    let claims = json!({ "id": id, "email": ADA, "role": "admin", "iat": 1_767_225_600, "exp": 1_999_999_999 });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let forged = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token");
    anon(&server).with_token(&forged).get("/me").await.expect(401);
}

/// The order of checks: credential, body, rules.
#[tokio::test]
async fn who_is_asked_before_what() {
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    let garbage = || Some(("application/json", b"{".to_vec()));
    anon(&server).send(reqwest::Method::PATCH, "/profile", garbage()).await.expect(401);
    ada.send(reqwest::Method::PATCH, "/profile", garbage()).await.expect(400);
    let change = async |current: serde_json::Value, new: serde_json::Value| {
        let body = json!({ "currentPassword": current, "newPassword": new });
        ada.patch("/password", &body).await
    };
    for (current, new, status, text) in [
        (json!(null), json!("a good password"), 400, "Both passwords required"),
        (json!(PASSWORD), json!(""), 400, "Both passwords required"),
        (json!(7), json!("a good password"), 400, "Both passwords required"),
        (json!("wrong"), json!(7), 400, "Password is required"),
        (json!("wrong"), json!("short"), 400, "Password must be at least 8 characters"),
        (json!("wrong"), json!("x".repeat(129)), 400, "Password too long"),
        (json!("wrong"), json!("a good password"), 401, "Current password is incorrect"),
    ] {
        assert_eq!(change(current, new).await.expect(status).text_at("error"), text);
    }
    // The new one may be the current one.
    assert_eq!(change(json!(PASSWORD), json!(PASSWORD)).await.expect(200).text, r#"{"success":true}"#);
    signed_in(&anon(&server), ADA).await;
}
