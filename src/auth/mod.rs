//! The verbs: every decision about accounts, secrets and sessions, written once for all dialects.
//!
//! A verb takes a [`Ctx`] and parsed values, does its hashing outside any transaction, then checks and writes in one
//! store transaction, then makes tokens. It never learns which dialect called it: where the APIs differ, the
//! difference is a value in [`Rules`] or in the project's settings.

pub mod accounts;
pub mod api_keys;
pub mod attempts;
pub mod audit;
#[cfg(test)]
mod audit_tests;
pub mod bot;
pub mod catalog;
mod error;
pub mod events;
pub mod guesses;
pub mod keys;
mod mail;
#[cfg(test)]
mod mail_tests;
mod notices;
pub mod outbox;
pub mod password;
pub mod project;
pub mod projects;
pub mod session;
pub mod sign_in;
pub mod sign_up;
pub mod sweep;
pub mod verify;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

pub use crate::config::ProjectSettings;
use crate::crypto::ClientGroup;
pub use crate::data::Email;
use crate::data::lockouts::Subject;
pub use crate::data::users::User;
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

/// The name of a request in logs and in the reply's `x-request-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where the APIs really differ.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How access tokens are spelled.
    pub token_format: TokenFormat,
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
