//! Sessions: one row each, found by id, listed by account. A session that has no row does not exist.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, end_of, fetch, key, keys, store, uuid_of};
use crate::crypto::Digest;
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// A session: the one thing every credential leads to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Its id, time-ordered.
    #[serde(skip)] // the row's key
    pub id: Uuid,
    /// Whose it is.
    pub user: Uuid,
    /// When it began.
    pub created_at: Timestamp,
    /// When its refresh token was last rotated.
    pub refreshed_at: Timestamp,
    /// When it ends by itself; every rotation moves it.
    pub expires_at: Timestamp,
    /// How often the refresh token was rotated.
    pub generation: u32,
    /// Digest of the refresh token that works.
    pub refresh: Digest,
    /// Digest of the one before it, which within the grace leads to the same successor.
    pub previous: Option<Digest>,
    /// From where it was begun: IPv6, or IPv4 mapped into it.
    pub ip: [u8; 16],
    /// The client's `User-Agent` at the beginning, cut to 120 characters.
    pub agent: Option<String>,
}

impl Record for Session {
    fn take_key(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.id = super::id_of_key(key)?;
        Ok(())
    }
}

impl Session {
    /// From where it was begun.
    pub fn address(&self) -> IpAddr {
        Ipv6Addr::from(self.ip).to_canonical()
    }
}

/// The session with this id.
pub fn get(r: &(impl Read + ?Sized), id: Uuid) -> Result<Option<Session>, StoreError> {
    fetch(r, &row(id))
}

/// Writes a new session and its index row.
pub fn insert(w: &mut (impl Write + ?Sized), session: &Session) -> Result<(), StoreError> {
    w.put(&index(session.user, session.id), &[])?;
    put(w, session)
}

/// Writes a session that has its index row.
pub fn put(w: &mut (impl Write + ?Sized), session: &Session) -> Result<(), StoreError> {
    store(w, &row(session.id), session)
}

/// Ends a session.
pub fn remove(w: &mut (impl Write + ?Sized), user: Uuid, id: Uuid) -> Result<(), StoreError> {
    w.delete(&index(user, id))?;
    w.delete(&row(id))
}

/// The ids of an account's sessions, oldest first; expired ones that were not yet swept among them.
pub fn of_user(r: &(impl Read + ?Sized), user: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let from = key(Table::SessionByUser, &[user.as_bytes()]);
    keys(r, &from, &end_of(&from), usize::MAX)?.iter().map(|key| uuid_of(&key[from.len()..])).collect()
}

/// Ends all sessions of an account but `spare`; how many.
pub fn remove_all(w: &mut (impl Write + ?Sized), user: Uuid, spare: Option<Uuid>) -> Result<usize, StoreError> {
    let mut ended = 0;
    for id in of_user(w, user)? {
        if Some(id) != spare {
            remove(w, user, id)?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// At most `limit` sessions in the order they began, after the one with the id `after`.
pub fn list(r: &(impl Read + ?Sized), after: Option<Uuid>, limit: usize) -> Result<Vec<Session>, StoreError> {
    let from = match after {
        Some(id) => key(Table::Session, &[id.as_bytes(), &[0]]),
        None => key(Table::Session, &[]),
    };
    super::collect(r, &from, &end_of(&key(Table::Session, &[])), limit)
}

fn row(id: Uuid) -> Vec<u8> {
    key(Table::Session, &[id.as_bytes()])
}

fn index(user: Uuid, id: Uuid) -> Vec<u8> {
    key(Table::SessionByUser, &[user.as_bytes(), id.as_bytes()])
}
