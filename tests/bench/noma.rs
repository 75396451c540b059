//! The callers of the Noma dialect (contract section 3): the bytes they send and what they keep of an answer.

use crate::Outcome;
use crate::callers::{Dialect, Rounds};
use crate::load::Caller;
use crate::process::Server;
use crate::seed::SeededSession;
use crate::wire::Connection;

/// Writes requests for one server and project.
#[derive(Clone)]
pub(crate) struct Api {
    headers: String,
}

impl Api {
    /// For the server's first project.
    pub(crate) fn of(server: &Server) -> Self {
        Self::within(server, server.project())
    }

    /// For the project of that id.
    pub(crate) fn within(server: &Server, project: Option<&str>) -> Self {
        let project = project.map_or_else(String::new, |id| format!("project-id: {id}\r\n"));
        Self { headers: format!("host: {}\r\naccept: application/json\r\n{project}", server.target().host()) }
    }

    /// `GET /api/auth/me`.
    pub(crate) fn me(&self, access: &str) -> Vec<u8> {
        format!("GET /api/auth/me HTTP/1.1\r\n{}authorization: Bearer {access}\r\n\r\n", self.headers).into_bytes()
    }

    /// `POST /api/auth/logout`.
    pub(crate) fn logout(&self, access: &str) -> Vec<u8> {
        let head = format!("POST /api/auth/logout HTTP/1.1\r\n{}authorization: Bearer {access}\r\n", self.headers);
        format!("{head}content-length: 0\r\n\r\n").into_bytes()
    }

    /// A `POST` of flat JSON; the values need no escapes.
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let members: Vec<_> = fields.iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
        let body = format!("{{{}}}", members.join(","));
        let head = format!("POST /api/auth/{path} HTTP/1.1\r\n{}content-type: application/json\r\n", self.headers);
        format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// `POST /api/auth/signup`.
    pub(crate) fn sign_up(&self, email: &str, password: &str) -> Vec<u8> {
        self.post("signup", &[("email", email), ("password", password)])
    }

    /// Trades each session's refresh token for an access token.
    pub(crate) async fn access_tokens(&self, on: &mut Connection, of: &[SeededSession]) -> Outcome<Vec<String>> {
        let mut tokens = Vec::with_capacity(of.len());
        for session in of {
            let reply = on.call(&self.post("refresh", &[("refresh_token", &session.refresh_token)])).await?;
            match field(reply.body, "access_token") {
                Some(token) => tokens.push(token.to_owned()),
                None => {
                    return Err(format!("refresh answered {}: {:?}", reply.status, reply.body.escape_ascii()).into());
                }
            }
        }
        Ok(tokens)
    }
}

impl Dialect for Api {
    fn sign_in(&self, email: &str, password: &str) -> Vec<u8> {
        self.post("login", &[("email", email), ("password", password)])
    }
}

/// A string member of a flat JSON answer, without parsing the rest. The tokens looked for hold no escapes.
pub(crate) fn field<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(&format!(r#""{name}":"#))?;
    rest.trim_start().strip_prefix('"')?.split_once('"').map(|(value, _)| value)
}

/// Asks `me` with one of the access tokens after the other, at least one.
pub(crate) fn me(api: &Api, access: &[String]) -> Rounds {
    Rounds::of(access.iter().map(|token| api.me(token)).collect(), 200)
}

/// Refreshes one session after the other, each time with the newest token of that session.
pub(crate) struct Refresh {
    api: Api,
    tokens: Vec<String>,
    turn: usize,
    request: Vec<u8>,
}

impl Refresh {
    /// With the given sessions, at least one.
    pub(crate) fn new(api: &Api, sessions: &[SeededSession]) -> Self {
        let tokens = sessions.iter().map(|session| session.refresh_token.clone()).collect();
        Self { api: api.clone(), tokens, turn: 0, request: Vec::new() }
    }
}

impl Caller for Refresh {
    fn request(&mut self) -> &[u8] {
        self.turn = (self.turn + 1) % self.tokens.len();
        self.request = self.api.post("refresh", &[("refresh_token", &self.tokens[self.turn])]);
        &self.request
    }

    fn reply(&mut self, status: u16, body: &[u8]) -> bool {
        let Some(token) = field(body, "refresh_token").filter(|_| status == 200) else { return false };
        // "Every answer rotated" is part of the scenario: the same token again would mean that nothing was written.
        let rotated = self.tokens[self.turn] != token;
        token.clone_into(&mut self.tokens[self.turn]);
        rotated
    }
}

/// Signs up a new address each time.
pub(crate) struct SignUp {
    api: Api,
    name: String,
    count: u64,
    request: Vec<u8>,
}

impl SignUp {
    /// Addresses begin with `name`, which no other caller may use.
    pub(crate) fn new(api: &Api, name: String) -> Self {
        Self { api: api.clone(), name, count: 0, request: Vec::new() }
    }
}

impl Caller for SignUp {
    fn request(&mut self) -> &[u8] {
        self.count += 1;
        let email = format!("{}-{}@signup.example", self.name, self.count);
        self.request = self.api.sign_up(&email, "a password of the storm");
        &self.request
    }

    fn reply(&mut self, status: u16, _: &[u8]) -> bool {
        status == 201
    }
}

/// Asks for a verification token for one address after the other, and keeps what comes.
pub(crate) struct Resend {
    requests: std::vec::IntoIter<Vec<u8>>,
    request: Vec<u8>,
    tokens: Vec<String>,
}

impl Resend {
    /// For each of the addresses, once.
    pub(crate) fn new(api: &Api, emails: &[String]) -> Self {
        let requests: Vec<_> =
            emails.iter().map(|email| api.post("verify-email/resend", &[("email", email)])).collect();
        Self { requests: requests.into_iter(), request: Vec::new(), tokens: Vec::new() }
    }

    /// Proves each address whose token came.
    pub(crate) fn confirmations(&self, api: &Api) -> Rounds {
        Rounds::of(self.tokens.iter().map(|token| api.post("verify-email/confirm", &[("token", token)])).collect(), 200)
    }
}

impl Caller for Resend {
    fn request(&mut self) -> &[u8] {
        self.request = self.requests.next().unwrap_or_default();
        &self.request
    }

    fn reply(&mut self, status: u16, body: &[u8]) -> bool {
        let Some(token) = field(body, "verification_token").filter(|_| status == 200) else { return false };
        self.tokens.push(token.to_owned());
        true
    }
}
