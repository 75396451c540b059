//! API keys of users: found by owner, or by the public part of the key's text. Revoked and expired ones stay listed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, end_of, fetch, key, keys, store};
use crate::crypto::Digest;
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// A user's API key, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its number within the project, counted up from 1 and never used again.
    pub number: u64,
    /// Whose it is.
    pub user: Uuid,
    /// What its owner calls it, at most 255 characters.
    pub name: String,
    /// The text before the secret, `uak_` and 12 characters; unique within the project.
    pub prefix: String,
    /// Digest of the whole key.
    pub digest: Digest,
    /// What the app lets it do; only stored here.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it no longer works.
    pub expires_at: Option<Timestamp>,
    /// About when it last proved itself.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Record for ApiKey {}

/// Writes a new key and its index row. The caller has seen that the prefix is free.
pub fn insert(w: &mut (impl Write + ?Sized), api_key: &ApiKey) -> Result<(), StoreError> {
    w.put(&by_public(&api_key.prefix), &row(api_key.user, api_key.number))?;
    put(w, api_key)
}

/// Writes a key that has its index row.
pub fn put(w: &mut (impl Write + ?Sized), api_key: &ApiKey) -> Result<(), StoreError> {
    store(w, &row(api_key.user, api_key.number), api_key)
}

/// The key with this number, if it is this user's.
pub fn get(r: &(impl Read + ?Sized), user: Uuid, number: u64) -> Result<Option<ApiKey>, StoreError> {
    fetch(r, &row(user, number))
}

/// The key whose text begins so.
pub fn by_prefix(r: &(impl Read + ?Sized), prefix: &str) -> Result<Option<ApiKey>, StoreError> {
    match r.get(&by_public(prefix))? {
        Some(row) => fetch(r, &row),
        None => Ok(None),
    }
}

/// A user's keys, oldest first.
pub fn of_user(r: &(impl Read + ?Sized), user: Uuid) -> Result<Vec<ApiKey>, StoreError> {
    let from = key(Table::ApiKey, &[user.as_bytes()]);
    super::collect(r, &from, &end_of(&from), usize::MAX)
}

/// How many keys a user has, revoked and expired ones among them.
pub fn count(r: &(impl Read + ?Sized), user: Uuid) -> Result<usize, StoreError> {
    let from = key(Table::ApiKey, &[user.as_bytes()]);
    Ok(keys(r, &from, &end_of(&from), usize::MAX)?.len())
}

/// Removes all keys of a user who is being deleted.
pub fn remove_all(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<(), StoreError> {
    for api_key in of_user(w, user)? {
        w.delete(&by_public(&api_key.prefix))?;
        w.delete(&row(user, api_key.number))?;
    }
    Ok(())
}

fn row(user: Uuid, number: u64) -> Vec<u8> {
    key(Table::ApiKey, &[user.as_bytes(), &number.to_be_bytes()])
}

fn by_public(prefix: &str) -> Vec<u8> {
    key(Table::ApiKeyByPublic, &[prefix.as_bytes()])
}
