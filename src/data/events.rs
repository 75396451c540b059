//! Security events: what an operator should be able to look up afterwards. Appended in the transaction they tell of.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, end_of, key, store};
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// Something that happened to an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its id, time-ordered.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// To whom; `None` where no account has the address.
    pub user: Option<Uuid>,
    /// From where: IPv6, or IPv4 mapped into it; `None` for the operator.
    pub ip: Option<[u8; 16]>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
}

impl Record for Event {}

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
