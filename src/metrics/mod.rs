//! What is counted and measured, for whoever watches the server. Nothing is decided by it.
//!
//! Every part counts into a group of instruments it is given; [`page`] writes them all as OpenMetrics text. On the way of
//! a request there are only relaxed atomics. A label is a word of ours or the template of a route: never an address, an
//! account, a project or anything else a request says. Counters live as long as the process: a reload keeps them.

mod instruments;
mod page;
mod process;
mod routes;

use std::sync::Arc;

pub use instruments::{Backups, Count, Counts, Held, Level, Spread};
pub use page::{Page, page};
pub use routes::{Route, Routes};

/// All instruments of a server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests, by where they were answered.
    pub requests: Routes,
    /// Connections.
    pub network: Arc<Network>,
    /// Password hashing.
    pub hashing: Arc<Hashing>,
    /// The project files.
    pub store: Arc<Stores>,
    /// How attempts to sign in ended.
    pub sign_ins: Counts<SignIn, { SignIn::ALL.len() }>,
    /// How refresh tokens were answered.
    pub refreshes: Counts<Refresh, { Refresh::ALL.len() }>,
    /// Refresh tokens presented after their successors were in use: theft, and the session was ended.
    pub thefts: Count,
    /// Addresses locked for too many wrong answers.
    pub lockouts: Count,
    /// Attempts to deliver a mail or a webhook.
    pub deliveries: Counts<Delivery, { Delivery::ALL.len() }>,
    /// Rows removed because their time was over.
    pub swept: Count,
    /// Backups that the server takes by itself.
    pub backups: Backups,
    /// Log lines nobody took in time.
    pub lost_lines: Arc<Count>,
}

/// How an attempt to sign in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// A session began.
    Succeeded,
    /// Unknown address or wrong secret.
    Wrong,
    /// The account is switched off.
    Disabled,
    /// Nothing was checked, for too many wrong answers before.
    Locked,
    /// The address must be proved first.
    Unverified,
    /// Nothing was checked, for lack of time or space.
    Busy,
    /// The server failed.
    Failed,
}

impl SignIn {
    /// Each with the word that labels it.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Succeeded, "succeeded"),
        (Self::Wrong, "wrong"),
        (Self::Disabled, "disabled"),
        (Self::Locked, "locked"),
        (Self::Unverified, "unverified"),
        (Self::Busy, "busy"),
        (Self::Failed, "failed"),
    ];
}

impl From<SignIn> for usize {
    fn from(outcome: SignIn) -> usize {
        outcome as usize
    }
}

/// How a refresh token was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Exchanged for its successor.
    Succeeded,
    /// Unknown, expired, foreign, or stolen.
    Invalid,
    /// The address must be proved first.
    Unverified,
    /// The server failed, or could not write.
    Failed,
}

impl Refresh {
    /// Each with the word that labels it.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Succeeded, "succeeded"),
        (Self::Invalid, "invalid"),
        (Self::Unverified, "unverified"),
        (Self::Failed, "failed"),
    ];
}

impl From<Refresh> for usize {
    fn from(outcome: Refresh) -> usize {
        outcome as usize
    }
}

/// How an attempt to deliver something ended: what is postponed is tried again, what failed never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Delivery {
    MailSent,
    MailPostponed,
    MailFailed,
    WebhookSent,
    WebhookPostponed,
    WebhookFailed,
}

impl Delivery {
    /// Each with the words that label it: what, and how it ended.
    pub const ALL: [(Self, [&'static str; 2]); 6] = [
        (Self::MailSent, ["mail", "sent"]),
        (Self::MailPostponed, ["mail", "postponed"]),
        (Self::MailFailed, ["mail", "failed"]),
        (Self::WebhookSent, ["webhook", "sent"]),
        (Self::WebhookPostponed, ["webhook", "postponed"]),
        (Self::WebhookFailed, ["webhook", "failed"]),
    ];
}

impl From<Delivery> for usize {
    fn from(outcome: Delivery) -> usize {
        outcome as usize
    }
}

/// Connections of one server, whichever listener they came through.
#[derive(Debug, Default)]
pub struct Network {
    /// Open now.
    pub open: Level,
    /// Accepted so far.
    pub accepted: Count,
    /// Closed at once: their address had too many.
    pub turned_away: Count,
    /// Closed because another wanted the place.
    pub gave_way: Count,
    /// Handshakes that failed.
    pub handshakes_failed: Count,
    /// Handshakes that took too long.
    pub handshakes_slow: Count,
    /// Requests refused for their headers, 431.
    pub oversized: Count,
    /// Requests refused because there were too many at a time, 503.
    pub overload: Count,
}

/// The password hashing pool.
#[derive(Debug)]
pub struct Hashing {
    /// From being asked for to being begun.
    pub waits: Spread,
    /// Refused because too many waited.
    pub refused: Count,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            waits: Spread::of_seconds(&[1_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000]),
            refused: Count::default(),
        }
    }
}

/// The files of all projects together.
#[derive(Debug)]
pub struct Stores {
    /// How long a durable commit took.
    pub commits: Spread,
    /// Jobs that were committed together.
    pub batches: Spread,
    /// Commits that failed.
    pub failed: Count,
}

impl Default for Stores {
    fn default() -> Self {
        Self {
            commits: Spread::of_seconds(&[100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000]),
            batches: Spread::of_things(&[1, 2, 4, 8, 16, 32, 64, 128, 256, 1024]),
            failed: Count::default(),
        }
    }
}
