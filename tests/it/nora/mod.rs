//! The Nora dialect as its contract says it, one file a capability.

mod bot;
mod credentials;
mod limits;
mod profile;
mod sign_in;
mod sign_up;
mod transport;

use keystead::testing::Server;
use serde_json::json;

use crate::persona::Persona;

pub const ADA: &str = "ada@example.com";
pub const PASSWORD: &str = "correct horse";

/// Somebody without an account.
pub fn anon(server: &Server) -> Persona {
    Persona::anon(server).speaking_nora()
}

/// Makes an account, signs in: the user and the token.
pub async fn newcomer(anon: &Persona, email: &str) -> (Persona, String) {
    anon.post("/signup", &json!({ "email": email, "password": PASSWORD })).await.expect(200);
    signed_in(anon, email).await
}

/// Signs in: the user and the token.
pub async fn signed_in(anon: &Persona, email: &str) -> (Persona, String) {
    let token = anon.sign_in(email, PASSWORD).await.expect(200).text_at("token").to_owned();
    (anon.with_token(&token), token)
}
