//! The callers of the Nora dialect: the bytes they send and what they keep of an answer.

use crate::Outcome;
use crate::callers::{Dialect, Rounds};
use crate::process::Server;
use crate::seed::SeededSession;
use crate::wire::Connection;

/// Limits that no run reaches, so that they cost what they cost and refuse nothing.
pub(crate) const UNLIMITED: [(&str, &str); 3] = [
    ("KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__GLOBAL", "1000000000/15m"),
    ("KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__MUTATION", "1000000000/1m"),
    ("KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__LOGIN", "1000000000/15m"),
];

/// Writes requests for one server and project.
#[derive(Clone)]
pub(crate) struct Api {
    headers: String,
}

impl Api {
    /// For the server's first project.
    pub(crate) fn of(server: &Server) -> Self {
        let project = server.project().map_or_else(String::new, |id| format!("project-id: {id}\r\n"));
        Self { headers: format!("host: {}\r\naccept: application/json\r\n{project}", server.target().host()) }
    }

    /// `GET /auth/me`.
    pub(crate) fn me(&self, token: &str) -> Vec<u8> {
        format!("GET /auth/me HTTP/1.1\r\n{}authorization: Bearer {token}\r\n\r\n", self.headers).into_bytes()
    }

    /// `POST /auth/logout`.
    pub(crate) fn logout(&self, token: &str) -> Vec<u8> {
        let head = format!("POST /auth/logout HTTP/1.1\r\n{}authorization: Bearer {token}\r\n", self.headers);
        format!("{head}content-length: 0\r\n\r\n").into_bytes()
    }

    /// `PATCH /auth/profile` with a picture.
    pub(crate) fn picture(&self, token: &str, picture: &str) -> Vec<u8> {
        let body = format!(r#"{{"avatar":"{picture}"}}"#);
        let head = format!("PATCH /auth/profile HTTP/1.1\r\n{}authorization: Bearer {token}\r\n", self.headers);
        format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// Signs each account in.
    pub(crate) async fn tokens(&self, on: &mut Connection, of: &[SeededSession]) -> Outcome<Vec<String>> {
        let mut tokens = Vec::with_capacity(of.len());
        for account in of {
            let reply = on.call(&self.sign_in(&account.email, &account.password)).await?;
            let text = std::str::from_utf8(reply.body)?;
            let token = text.strip_prefix(r#"{"token":""#).and_then(|rest| rest.split('"').next());
            tokens.push(token.ok_or_else(|| format!("login answered {}: {text:?}", reply.status))?.to_owned());
        }
        Ok(tokens)
    }
}

impl Dialect for Api {
    fn sign_in(&self, email: &str, password: &str) -> Vec<u8> {
        let body = format!(r#"{{"email":"{email}","password":"{password}"}}"#);
        let head = format!("POST /auth/login HTTP/1.1\r\n{}content-type: application/json\r\n", self.headers);
        format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }
}

/// Asks `me` with one token.
pub(crate) fn me(api: &Api, token: &str) -> Rounds {
    Rounds::of(vec![api.me(token)], 200)
}
