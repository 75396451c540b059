//! The Nhost dialect as its contract says it, one file a capability.

mod access;
mod anonymous;
mod cors;
mod later;
mod limits;
mod personal_tokens;
mod proof;
mod service;
mod sessions;
mod sign_in;
mod sign_up;
mod tokens;

use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::{Persona, Reply};

pub const ADA: &str = "ada@example.com";
pub const PASSWORD: &str = "correct horse";

/// Somebody without an account.
pub fn anon(server: &Server) -> Persona {
    Persona::anon(server).speaking_nhost()
}

/// Signs up, with whatever comes of it.
pub async fn sign_up(anon: &Persona, email: &str) -> Reply {
    anon.post("/signup/email-password", &json!({ "email": email, "password": PASSWORD })).await
}

/// Signs in, with whatever comes of it.
pub async fn sign_in(anon: &Persona, email: &str, password: &str) -> Reply {
    anon.post("/signin/email-password", &json!({ "email": email, "password": password })).await
}

/// Exchanges a refresh token, with whatever comes of it.
pub async fn refresh(anon: &Persona, token: &str) -> Reply {
    anon.post("/token", &json!({ "refreshToken": token })).await
}

/// Makes an account: the user and the session.
pub async fn newcomer(anon: &Persona, email: &str) -> (Persona, Value) {
    let session = sign_up(anon, email).await.expect(200).body["session"].take();
    (anon.with_token(text(&session, "accessToken")), session)
}

/// Signs in: the user and the session.
pub async fn signed_in(anon: &Persona, email: &str) -> (Persona, Value) {
    let session = sign_in(anon, email, PASSWORD).await.expect(200).body["session"].take();
    (anon.with_token(text(&session, "accessToken")), session)
}

/// A text in an object.
#[track_caller]
pub fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("no text {name} in {object}"))
}

/// The code of an error of the contract's section 4, with its status.
#[track_caller]
pub fn refused(reply: &Reply, status: u16) -> &str {
    assert_eq!(reply.status, status, "{}", reply.text);
    reply.text_at("error")
}

/// That the persona's session has ended.
pub async fn is_out(user: &Persona) {
    let reply = user.get("/user").await.expect(401);
    let body = json!({ "error": "unauthorized", "reason": "invalid or expired token", "securityScheme": "BearerAuth" });
    assert_eq!(reply.body, body);
}
