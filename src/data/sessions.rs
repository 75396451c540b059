//! Sessions: one row each, found by id, listed by account. A session that has no row does not exist.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

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
    /// Digest of the refresh token that works, or of the session's token where that is the only one (`by_token`).
    pub refresh: Digest,
    /// Digest of the one before it, which within the grace leads to the same successor.
    pub previous: Option<Digest>,
    /// From where it was begun: IPv6, or IPv4 mapped into it.
    pub ip: [u8; 16],
    /// The client's `User-Agent` at the beginning, cut to 120 characters.
    pub agent: Option<String>,
    /// What its client holds.
    pub carrier: Carrier,
}

/// What the client of a session holds. Numbers are on disk: those of version 2's `by_token` first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carrier {
    /// Access tokens, and a refresh token that names the session.
    Pair,
    /// One token, by whose digest the session is found, and which is never refreshed.
    Token,
    /// Access tokens, and a refresh token in the form of a UUID that names the session.
    Uuid,
    /// The same, but the refresh token was brought from elsewhere: until it is rotated, the session is found by its digest.
    Brought,
}

impl Carrier {
    /// Whether such a session is refreshed by a token that is a UUID, or by one of the other form.
    pub const fn is_refreshed(self, by_uuid: bool) -> bool {
        match self {
            Self::Pair => !by_uuid,
            Self::Uuid | Self::Brought => by_uuid,
            Self::Token => false,
        }
    }
}

impl Record for Session {
    const VERSION: u8 = 3;

    fn take_key(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.id = super::id_of_key(key)?;
        Ok(())
    }
}

impl Session {
    /// The digest by which it is found, where it is found by one. A token that was brought stays so until the one that
    /// replaced it is replaced: within the grace it may come again.
    pub(super) fn indexed(&self) -> Option<Digest> {
        match self.carrier {
            Carrier::Pair | Carrier::Uuid => None,
            Carrier::Token => Some(self.refresh),
            Carrier::Brought if self.generation == 0 => Some(self.refresh),
            Carrier::Brought => self.previous,
        }
    }

    /// From where it was begun.
    pub fn address(&self) -> IpAddr {
        Ipv6Addr::from(self.ip).to_canonical()
    }
}

/// The session with this id, as it was last refreshed.
pub fn get(r: &(impl Read + ?Sized), id: Uuid) -> Result<Option<Session>, StoreError> {
    // The row in its place says whether there is one at all; the other only what is newer.
    match fetch(r, &row(id))? {
        Some(begun) => Ok(Some(fetch(r, &refreshed(id))?.unwrap_or(begun))),
        None => Ok(None),
    }
}

/// The id of the session whose one token has this digest.
pub fn id_by_token(r: &(impl Read + ?Sized), digest: &Digest) -> Result<Option<Uuid>, StoreError> {
    r.get(&token(digest))?.map(|bytes| uuid_of(&bytes)).transpose()
}

/// Writes a new session and its index rows. The caller has seen that its token, if it has one, is nobody else's.
pub fn insert(w: &mut (impl Write + ?Sized), session: &Session) -> Result<(), StoreError> {
    w.put(&index(session.user, session.id), &[])?;
    if let Some(digest) = session.indexed() {
        w.put(&token(&digest), session.id.as_bytes())?;
    }
    store(w, &row(session.id), session)
}

/// Writes a session that was refreshed.
///
/// Not to its place among a million others: the sessions in use lie far apart there, and a commit would write a page
/// for each. They are kept together instead, on a few pages, until [`settle`] puts them back.
pub fn put_refreshed(w: &mut (impl Write + ?Sized), session: &Session) -> Result<(), StoreError> {
    store(w, &refreshed(session.id), session)
}

/// Makes a session whose refresh token was brought from elsewhere one of ours: that token leads to it no more. The caller
/// writes what else changes.
pub fn adopt(w: &mut (impl Write + ?Sized), session: &mut Session) -> Result<(), StoreError> {
    if let Some(digest) = session.indexed() {
        w.delete(&token(&digest))?;
    }
    session.carrier = Carrier::Uuid;
    // In its place too: what the row there says of the index must be true when the session ends.
    store(w, &row(session.id), session)
}

/// How long after its refresh a session is kept among those in use.
const IN_USE: Duration = Duration::from_secs(300);

/// Whether a session among those in use may be put back in its place.
pub(crate) fn is_settled(session: &Session, now: Timestamp) -> bool {
    now.since(session.refreshed_at) >= IN_USE
}

/// Puts a session among those in use back in its place.
pub(crate) fn settle(w: &mut (impl Write + ?Sized), session: &Session) -> Result<(), StoreError> {
    w.delete(&refreshed(session.id))?;
    // One that has ended meanwhile stays ended.
    if w.get(&row(session.id))?.is_some() {
        store(w, &row(session.id), session)?;
    }
    Ok(())
}

/// Ends a session.
pub fn remove(w: &mut (impl Write + ?Sized), user: Uuid, id: Uuid) -> Result<(), StoreError> {
    if let Some(digest) = fetch::<Session>(w, &row(id))?.and_then(|session| session.indexed()) {
        w.delete(&token(&digest))?;
    }
    w.delete(&index(user, id))?;
    w.delete(&refreshed(id))?;
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

/// Ends those sessions of an account whose token says what its role was; how many.
pub fn remove_by_token(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<usize, StoreError> {
    let mut ended = 0;
    for id in of_user(w, user)? {
        if get(w, id)?.is_some_and(|session| session.carrier == Carrier::Token) {
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
    let mut page: Vec<Session> = super::collect(r, &from, &end_of(&key(Table::Session, &[])), limit)?;
    for session in &mut page {
        if let Some(newer) = fetch(r, &refreshed(session.id))? {
            *session = newer;
        }
    }
    Ok(page)
}

fn row(id: Uuid) -> Vec<u8> {
    key(Table::Session, &[id.as_bytes()])
}

fn refreshed(id: Uuid) -> Vec<u8> {
    key(Table::SessionRefreshed, &[id.as_bytes()])
}

fn token(digest: &Digest) -> Vec<u8> {
    key(Table::SessionByToken, &[digest.as_bytes()])
}

fn index(user: Uuid, id: Uuid) -> Vec<u8> {
    key(Table::SessionByUser, &[user.as_bytes(), id.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sweep::{self, Cursor};
    use crate::store::Store;

    fn session(n: u128, expires_at: u64) -> Session {
        Session {
            id: Uuid::from_u128(n),
            user: Uuid::from_u128(7),
            created_at: Timestamp::from_secs(1000),
            refreshed_at: Timestamp::from_secs(1000),
            expires_at: Timestamp::from_secs(expires_at),
            generation: 0,
            refresh: Digest::of("test", b"first"),
            previous: None,
            ip: [0; 16],
            agent: None,
            carrier: Carrier::Pair,
        }
    }

    async fn sweep_all(store: &Store, now: Timestamp) -> usize {
        let (mut cursor, mut removed) = (Cursor::default(), 0);
        loop {
            let step = store.read(|r| sweep::look(r, &cursor, 100, now)).unwrap();
            let expired = step.expired.clone();
            removed += store.write(move |w| sweep::remove(w, &expired, now)).await.unwrap();
            if step.round_done {
                return removed;
            }
            cursor = step.next;
        }
    }

    #[tokio::test]
    async fn a_refreshed_session_is_the_newer_one_until_and_after_it_settles() {
        let store = Store::memory();
        let begun = session(1, 2000);
        let newer = Session { generation: 1, refreshed_at: Timestamp::from_secs(1900), ..session(1, 5000) };
        let rows = (begun.clone(), newer.clone());
        store
            .write(move |w| {
                insert(w, &rows.0)?;
                put_refreshed(w, &rows.1)
            })
            .await
            .unwrap();
        let generations = |store: &Store| {
            store
                .read(|r| {
                    let listed = list(r, None, 10)?;
                    let rows =
                        (keys(r, &key(Table::SessionRefreshed, &[]), &[Table::SessionRefreshed as u8, 9], 9)?).len();
                    Ok::<_, StoreError>((get(r, begun.id)?.map(|s| s.generation), listed[0].generation, rows))
                })
                .unwrap()
        };
        assert_eq!(generations(&store), (Some(1), 1, 1));
        // The row in its place has expired, the session has not.
        assert_eq!(sweep_all(&store, Timestamp::from_secs(2001)).await, 0);
        assert_eq!(generations(&store), (Some(1), 1, 1), "still in use");
        assert_eq!(sweep_all(&store, Timestamp::from_secs(2200)).await, 0);
        assert_eq!(generations(&store), (Some(1), 1, 0), "back in its place");
        assert_eq!(sweep_all(&store, Timestamp::from_secs(5000)).await, 1);
        assert!(store.read(|r| get(r, begun.id)).unwrap().is_none());
    }

    #[tokio::test]
    async fn a_session_is_found_by_its_token_until_it_ends() {
        let store = Store::memory();
        let digest = Digest::of("test", b"token");
        let (by_token, other) =
            (Session { carrier: Carrier::Token, refresh: digest, ..session(1, 2000) }, session(2, 2000));
        store
            .write(move |w| {
                insert(w, &by_token)?;
                insert(w, &other)?;
                assert_eq!(id_by_token(w, &digest)?, Some(by_token.id));
                assert_eq!(id_by_token(w, &other.refresh)?, None, "a refresh token leads nowhere by itself");
                assert_eq!(remove_by_token(w, by_token.user)?, 1);
                assert_eq!((id_by_token(w, &digest)?, of_user(w, other.user)?), (None, vec![other.id]));
                insert(w, &by_token)?;
                assert_eq!(remove_all(w, other.user, None)?, 2);
                keys(w, &[0], &[255], 9).map(|rows| assert!(rows.is_empty()))
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_ended_session_stays_ended() {
        let store = Store::memory();
        let (begun, newer) = (session(1, 2000), Session { generation: 1, ..session(1, 5000) });
        store
            .write(move |w| {
                insert(w, &begun)?;
                put_refreshed(w, &newer)?;
                assert_eq!(remove_all(w, newer.user, None)?, 1);
                settle(w, &newer)?;
                assert!(get(w, newer.id)?.is_none());
                assert!(of_user(w, newer.user)?.is_empty());
                keys(w, &[0], &[255], 9).map(|rows| assert!(rows.is_empty()))
            })
            .await
            .unwrap();
    }
}
