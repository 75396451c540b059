//! What happened to accounts, as an operator should be able to look it up afterwards. Appended in the transaction that
//! made it so.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, end_of, key, store};
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id, time-ordered.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Who did it.
    pub by: By,
    /// To which account; `None` where there is none, such as a failed sign-in with an unknown address.
    pub user: Option<Uuid>,
    /// From where: IPv6, or IPv4 mapped into it; `None` for the operator.
    pub ip: Option<[u8; 16]>,
    /// The request it happened in, as logs and `x-request-id` name it; `None` for the operator.
    pub request: Option<u64>,
}

/// Who did it. Numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// Somebody who proved nothing, or not enough.
    Stranger,
    /// The account itself.
    User,
    /// Whoever may use the command line.
    Operator,
    /// The server, by a rule.
    Server,
}

/// What happened. Numbers are on disk: new kinds go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// Failed attempts locked an address.
    LockedOut,
    /// A refresh token was presented after its successor was in use: the session was ended.
    RefreshTokenReused,
    /// The password was changed by its owner.
    PasswordChanged,
    /// The password was set by an operator.
    PasswordSet,
    /// The account was switched off.
    Disabled,
    /// The account was switched on again.
    Enabled,
    /// The account was deleted.
    Deleted,
    /// An operator ended a lock.
    Unlocked,
    /// An operator ended sessions.
    SessionsRevoked,
    /// An account was made by its owner.
    SignedUp,
    /// A session began.
    SignedIn,
    /// A secret presented to sign in was wrong, or the account may not.
    SignInFailed,
    /// The owner ended a session.
    SignedOut,
    /// The owner ended all sessions.
    SignedOutEverywhere,
    /// The address was proved.
    EmailVerified,
    /// An API key was made.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// An account was made by an operator.
    Created,
    /// The signing keys were rotated.
    KeysRotated,
    /// A session began from a device not seen before.
    NewDevice,
    /// Somebody tried to sign up with an address that has an account, and was answered as if it had none.
    SignUpConcealed,
}

impl EventKind {
    /// Whether recording it may put something into the outbox.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::PasswordChanged | Self::PasswordSet)
    }
}

impl Record for Event {
    const VERSION: u8 = 2;
}

/// Appends an event.
pub fn append(w: &mut (impl Write + ?Sized), event: &Event) -> Result<(), StoreError> {
    store(w, &key(Table::Event, &[event.id.as_bytes()]), event)
}

/// At most `limit` events in the order they happened, after the one with the id `after`.
pub fn list(r: &(impl Read + ?Sized), after: Option<Uuid>, limit: usize) -> Result<Vec<Event>, StoreError> {
    let from = match after {
        Some(id) => key(Table::Event, &[id.as_bytes(), &[0]]),
        None => key(Table::Event, &[]),
    };
    super::collect(r, &from, &end_of(&key(Table::Event, &[])), limit)
}
