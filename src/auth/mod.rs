//! The verbs: every decision about accounts, secrets and sessions, written once for all dialects.
//!
//! A verb takes a [`Ctx`] and parsed values, does its hashing outside any transaction, then checks and writes in one
//! store transaction, then makes tokens. It never learns which dialect called it: where the APIs differ, the
//! difference is a value in [`Rules`] or in the project's settings.

pub mod access;
pub mod accounts;
pub mod address;
pub mod anonymous;
pub mod api_keys;
pub mod attempts;
pub mod audit;
#[cfg(test)]
mod audit_tests;
pub mod bot;
pub mod catalog;
mod counting;
pub mod digits;
mod error;
pub mod events;
pub mod export;
pub mod follow;
pub mod import;
pub mod jwt;
pub mod keys;
#[cfg(test)]
mod keys_tests;
pub mod limits;
mod mail;
#[cfg(test)]
mod mail_tests;
pub mod mailed;
mod notices;
pub mod outbox;
pub mod password;
pub mod password_policy;
pub mod person;
pub mod personal_tokens;
pub mod profile;
pub mod project;
pub mod projects;
mod proof;
pub mod redirect;
pub mod reset;
pub mod session;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
pub mod sweep;
mod ticket_mail;
#[cfg(test)]
mod ticket_mail_tests;
#[cfg(test)]
mod ticket_tests;
pub mod tickets;
pub mod transplant;
pub mod verify;
pub mod webhooks;
pub mod wishes;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

pub use crate::config::{Limit, ProjectSettings};
use crate::crypto::ClientGroup;
pub use crate::data::Email;
use crate::data::lockouts::Subject;
pub use crate::data::users::{Role, User};
use crate::env::Timestamp;
pub use crate::token::TokenFormat;
pub use error::{Error, Unverified};
pub use project::Project;
pub use projects::Projects;

/// What a verb knows of the request: made once, with the one clock reading.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// The project it is about.
    pub project: Arc<Project>,
    /// The project's settings as they were when the request came in.
    pub settings: Arc<ProjectSettings>,
    /// What the dialect does its own way.
    pub rules: Rules,
    /// When the request came in.
    pub now: Timestamp,
    /// Who sent it.
    pub client: Client,
    /// What log lines about it are found by.
    pub request_id: RequestId,
}

/// The name of a request in logs, in error bodies and in the reply's `x-request-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId {
    number: u64,
    given: Option<Arc<str>>,
}

impl RequestId {
    /// The longest name that is taken over, bytes.
    const LONGEST: usize = 128;

    /// A name of our own.
    pub fn new(number: u64) -> Self {
        Self { number, given: None }
    }

    /// The name somebody trustworthy gave it, when that is 1 to 128 of `A-Z a-z 0-9 . _ -`; else our own.
    pub fn given(number: u64, name: &[u8]) -> Self {
        let fits = (1..=Self::LONGEST).contains(&name.len())
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
        let given = std::str::from_utf8(name).ok().filter(|_| fits).map(Arc::from);
        Self { number, given }
    }

    /// Our own number of it, which rows keep.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The name it was given by somebody else.
    pub fn given_name(&self) -> Option<&str> {
        self.given.as_deref()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Some(name) => f.write_str(name),
            None => write!(f, "{:016x}", self.number),
        }
    }
}

/// Where the APIs really differ.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What a session is carried by.
    pub credential: Credential,
    /// Whether a sign-up begins a session.
    pub sign_up_signs_in: bool,
    /// Whether the first account of an empty project gets the role of an administrator.
    pub first_is_admin: bool,
    /// Whether a sign-in says that an account has no password (not where `conceal` is on).
    pub tells_missing_password: bool,
    /// Whether a right password of an account that must prove its address first sends out another secret to prove it with.
    pub unproved_gets_another: bool,
    /// Whether what proves an address goes out as a ticket, by mail in any case, and leads on to a page that the request
    /// may name.
    pub proves_by_ticket: bool,
    /// Whether a new password may be the current one.
    pub same_password: bool,
    /// Requests of one client.
    pub requests: Option<Limit>,
    /// Requests of one client that may change something.
    pub changes: Option<Limit>,
}

/// What a session is carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A signed access token that lives for minutes, and a refresh token.
    Pair(TokenFormat),
    /// A JWT that other services check, with the claims that Hasura reads and a life of minutes, and a refresh token
    /// that is a UUID.
    Hasura,
    /// One token that lives as long as the session.
    Token {
        /// How long that is.
        ttl: Duration,
    },
}

/// The sender of a request.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address, settled by `net`.
    pub ip: IpAddr,
    /// What is counted as one client: an IPv4 address, an IPv6 /64.
    pub group: u128,
    /// Its `User-Agent`.
    pub agent: Option<String>,
    /// Whether it speaks TLS, to this server or to a trusted proxy before it.
    pub secure: bool,
}

impl Client {
    /// The address as rows keep it: IPv6, or IPv4 mapped into it.
    pub(crate) fn ip_bytes(&self) -> [u8; 16] {
        match self.ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        }
    }
}

/// A proven user: an access token that checks out, of a session and an account that exist.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The account, read for this request.
    pub user: Arc<User>,
    /// The session its token belongs to.
    pub session: Uuid,
}

/// An operator at work: when, and as which user of the operating system, where that is known.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// The one clock reading of what they do.
    pub now: Timestamp,
    /// Their user id.
    pub uid: Option<u32>,
}

impl Ctx {
    /// The failure counter of `email` as tried by this client.
    pub(crate) fn subject(&self, email: &Email) -> Subject {
        Subject::new(email, self.client.group)
    }

    /// As whom the hashing pool queues this client's work.
    pub(crate) fn hash_group(&self) -> ClientGroup {
        ClientGroup(self.client.group)
    }
}
