//! The callers of the Nhost dialect: the bytes they send and what they keep of an answer.

use crate::Outcome;
use crate::callers::{Dialect, Rounds};
use crate::load::Caller;
use crate::process::Server;
use crate::seed::SeededSession;
use crate::wire::Connection;

/// Limits that no run reaches, so that they cost what they cost and refuse nothing.
pub(crate) const UNLIMITED: [(&str, &str); 2] = [
    ("KEYSTEAD_PROJECT__DEFAULT__NHOST__LIMITS__GLOBAL", "1000000000/1m"),
    ("KEYSTEAD_PROJECT__DEFAULT__NHOST__LIMITS__BRUTE_FORCE", "1000000000/5m"),
];

/// Writes requests for one server and project.
#[derive(Clone)]
pub(crate) struct Api {
    headers: String,
}

/// What a session's client holds.
pub(crate) struct Tokens {
    pub(crate) access: String,
    refresh: String,
}

impl Api {
    /// For the server's first project.
    pub(crate) fn of(server: &Server) -> Self {
        let project = server.project().map_or_else(String::new, |id| format!("project-id: {id}\r\n"));
        Self { headers: format!("host: {}\r\naccept: application/json\r\n{project}", server.target().host()) }
    }

    /// `GET /v1/user`.
    pub(crate) fn user(&self, access: &str) -> Vec<u8> {
        format!("GET /v1/user HTTP/1.1\r\n{}authorization: Bearer {access}\r\n\r\n", self.headers).into_bytes()
    }

    /// `POST /v1/signout` of every session.
    pub(crate) fn sign_out(&self, access: &str) -> Vec<u8> {
        let bearer = format!("authorization: Bearer {access}\r\n");
        self.post("signout", &bearer, r#"{"all":true}"#)
    }

    fn post(&self, path: &str, more: &str, body: &str) -> Vec<u8> {
        let head = format!("POST /v1/{path} HTTP/1.1\r\n{}{more}content-type: application/json\r\n", self.headers);
        format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// Signs each account in.
    pub(crate) async fn tokens(&self, on: &mut Connection, of: &[SeededSession]) -> Outcome<Vec<Tokens>> {
        let mut tokens = Vec::with_capacity(of.len());
        for account in of {
            let reply = on.call(&self.sign_in(&account.email, &account.password)).await?;
            let text = std::str::from_utf8(reply.body)?;
            let both = field(text, "accessToken").zip(field(text, "refreshToken"));
            let (access, refresh) = both.ok_or_else(|| format!("sign-in answered {}: {text:?}", reply.status))?;
            tokens.push(Tokens { access: access.to_owned(), refresh: refresh.to_owned() });
        }
        Ok(tokens)
    }
}

/// A string member, whose value holds no escapes, without parsing the rest.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!(r#""{name}":""#))?;
    rest.split_once('"').map(|(value, _)| value)
}

impl Dialect for Api {
    fn sign_in(&self, email: &str, password: &str) -> Vec<u8> {
        self.post("signin/email-password", "", &format!(r#"{{"email":"{email}","password":"{password}"}}"#))
    }
}

/// Asks for the account with one access token after the other, of at least one session.
pub(crate) fn user(api: &Api, of: &[Tokens]) -> Rounds {
    Rounds::of(of.iter().map(|tokens| api.user(&tokens.access)).collect(), 200)
}

/// Has a link sent to one address after the other.
pub(crate) fn send_links(api: &Api, emails: &[String]) -> Rounds {
    let request =
        |email: &String| api.post("user/email/send-verification-email", "", &format!(r#"{{"email":"{email}"}}"#));
    Rounds::of(emails.iter().map(request).collect(), 200)
}

/// Follows one link after the other, each ticket once.
pub(crate) fn follow(api: &Api, tickets: &[String]) -> Rounds {
    let request = |ticket: &String| {
        let path = format!("/v1/verify?ticket={ticket}&type=emailVerify&redirectTo=https://app.example.com");
        format!("GET {path} HTTP/1.1\r\n{}\r\n", api.headers).into_bytes()
    };
    Rounds::of(tickets.iter().map(request).collect(), 302)
}

/// Refreshes one session after the other, each time with the newest token of that session.
pub(crate) struct Refresh {
    api: Api,
    tokens: Vec<String>,
    turn: usize,
    request: Vec<u8>,
}

impl Refresh {
    /// With the tokens of at least one session.
    pub(crate) fn new(api: &Api, of: &[Tokens]) -> Self {
        let tokens = of.iter().map(|tokens| tokens.refresh.clone()).collect();
        Self { api: api.clone(), tokens, turn: 0, request: Vec::new() }
    }
}

impl Caller for Refresh {
    fn request(&mut self) -> &[u8] {
        self.turn = (self.turn + 1) % self.tokens.len();
        let body = format!(r#"{{"refreshToken":"{}"}}"#, self.tokens[self.turn]);
        self.request = self.api.post("token", "", &body);
        &self.request
    }

    fn reply(&mut self, status: u16, body: &[u8]) -> bool {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let Some(token) = field(text, "refreshToken").filter(|_| status == 200) else { return false };
        // "Every answer rotated" is part of the scenario: the same token again would mean that nothing was written.
        let rotated = self.tokens[self.turn] != token;
        token.clone_into(&mut self.tokens[self.turn]);
        rotated
    }
}
