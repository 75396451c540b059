//! Personal access tokens: found by the token's digest, listed by owner. One that has expired goes with the next sweep.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, end_of, fetch, key, keys, store};
use crate::crypto::Digest;
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// A personal access token, without its text: it begins sessions of its owner, as often as they like.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PersonalToken {
    /// Its id, time-ordered.
    #[serde(skip)] // the row's key
    pub id: Uuid,
    /// Whose it is.
    #[serde(skip)] // the row's key
    pub user: Uuid,
    /// Digest of the token.
    pub digest: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it no longer works.
    pub expires_at: Timestamp,
    /// A JSON object of the app's own, as text.
    pub metadata: Option<String>,
}

impl Record for PersonalToken {
    fn take_key(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let (user, id) = key.get(2..).unwrap_or_default().split_at_checked(16).unwrap_or_default();
        (self.user, self.id) = (super::uuid_of(user)?, super::uuid_of(id)?);
        Ok(())
    }
}

/// Writes a new token and its index row. The caller has seen that the digest is nobody else's.
pub fn insert(w: &mut (impl Write + ?Sized), token: &PersonalToken) -> Result<(), StoreError> {
    let row = row(token.user, token.id);
    w.put(&by_digest(&token.digest), &row)?;
    store(w, &row, token)
}

/// The token with this digest, expired or not.
pub fn find(r: &(impl Read + ?Sized), digest: &Digest) -> Result<Option<PersonalToken>, StoreError> {
    match r.get(&by_digest(digest))? {
        Some(row) => fetch(r, &row),
        None => Ok(None),
    }
}

/// Whether a user has a token with this id.
pub(super) fn is_there(r: &(impl Read + ?Sized), user: Uuid, id: Uuid) -> Result<bool, StoreError> {
    Ok(r.get(&row(user, id))?.is_some())
}

/// A user's tokens, oldest first, expired ones that were not yet swept among them.
pub fn of_user(r: &(impl Read + ?Sized), user: Uuid) -> Result<Vec<PersonalToken>, StoreError> {
    let from = key(Table::PersonalToken, &[user.as_bytes()]);
    super::collect(r, &from, &end_of(&from), usize::MAX)
}

/// How many tokens a user has, expired ones that were not yet swept among them.
pub fn count(r: &(impl Read + ?Sized), user: Uuid) -> Result<usize, StoreError> {
    let from = key(Table::PersonalToken, &[user.as_bytes()]);
    Ok(keys(r, &from, &end_of(&from), usize::MAX)?.len())
}

/// Removes a token.
pub fn remove(w: &mut (impl Write + ?Sized), token: &PersonalToken) -> Result<(), StoreError> {
    w.delete(&by_digest(&token.digest))?;
    w.delete(&row(token.user, token.id))
}

/// Removes all tokens of a user; how many.
pub fn remove_all(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<usize, StoreError> {
    let all = of_user(w, user)?;
    all.iter().try_for_each(|token| remove(w, token))?;
    Ok(all.len())
}

fn row(user: Uuid, id: Uuid) -> Vec<u8> {
    key(Table::PersonalToken, &[user.as_bytes(), id.as_bytes()])
}

fn by_digest(digest: &Digest) -> Vec<u8> {
    key(Table::PersonalTokenByDigest, &[digest.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sweep::{self, Cursor};
    use crate::store::Store;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn token(n: u8, user: u128, expires_at: u64) -> PersonalToken {
        PersonalToken {
            id: Uuid::from_u128(u128::from(n)),
            user: Uuid::from_u128(user),
            digest: Digest::of("test", &[n]),
            created_at: NOW,
            expires_at: Timestamp::from_secs(expires_at),
            metadata: Some("{}".into()),
        }
    }

    #[tokio::test]
    async fn a_token_is_found_and_listed_until_it_goes() {
        let store = Store::memory();
        let tokens = [token(1, 7, 1001), token(2, 7, 2000), token(3, 8, 2000)];
        let all = tokens.clone();
        store.write(move |w| all.iter().try_for_each(|token| insert(w, token))).await.unwrap();
        let ids = |user| {
            let listed = store.read(|r| of_user(r, Uuid::from_u128(user))).unwrap();
            listed.iter().map(|token| token.id.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!((ids(7), ids(8)), (vec![1, 2], vec![3]));
        let found = store.read(|r| find(r, &tokens[2].digest)).unwrap().unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", tokens[2]));
        assert_eq!(store.read(|r| count(r, Uuid::from_u128(7))).unwrap(), 2);

        let (mut cursor, mut expired, later) = (Cursor::default(), Vec::new(), Timestamp::from_secs(1001));
        loop {
            let step = store.read(|r| sweep::look(r, &cursor, 100, later)).unwrap();
            expired.extend(step.expired);
            if step.round_done {
                break;
            }
            cursor = step.next;
        }
        assert_eq!(store.write(move |w| sweep::remove(w, &expired, later)).await.unwrap(), 1);
        assert_eq!(ids(7), [2]);
        let gone = tokens[0].digest;
        store
            .write(move |w| {
                assert!(find(w, &gone)?.is_none());
                assert_eq!((remove_all(w, Uuid::from_u128(7))?, remove_all(w, Uuid::from_u128(8))?), (1, 1));
                keys(w, &[0], &[255], 9).map(|rows| assert!(rows.is_empty()))
            })
            .await
            .unwrap();
    }

    /// The row as version 1 has it; what it says must be read for ever.
    #[test]
    fn a_row_of_version_1_is_read() {
        let token = token(1, 7, 2000);
        let bytes = crate::data::encode(&token);
        let mut golden = vec![1];
        golden.extend(token.digest.as_bytes());
        golden.extend(b"\xc0\x84\x3d\x80\x89\x7a\x01\x02{}");
        assert_eq!(bytes, golden);
        let read: PersonalToken = crate::data::decode_row(&row(token.user, token.id), &golden).unwrap();
        assert_eq!(format!("{read:?}"), format!("{token:?}"));
    }
}
