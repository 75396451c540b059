//! What a project's file says of the project itself: identity, settings it was made with, counters, sealed keys.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, end_of, fetch, key, store};
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// A project.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProjectRecord {
    /// Its id: the name of the file, and the `project-id` of its clients.
    pub id: Uuid,
    /// Its name for people and configuration.
    pub slug: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The settings it was made with, as TOML; the configuration goes before them.
    pub settings: Option<String>,
}

impl Record for ProjectRecord {}

/// A signing key, sealed under the master key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealedKey {
    /// Its id.
    pub id: Uuid,
    /// Seed, age and end, sealed.
    pub sealed: Vec<u8>,
}

impl Record for SealedKey {}

/// A number counted up, never down.
#[derive(Serialize, Deserialize)]
pub(crate) struct Counter(pub(crate) u64);

impl Record for Counter {}

/// Secrets sealed as plain bytes.
#[derive(Serialize, Deserialize)]
struct Sealed(Vec<u8>);

impl Record for Sealed {}

/// The counters of a project. Names are on disk.
#[derive(Clone, Copy, Debug)]
pub enum Sequence {
    /// Numbers of users.
    Users,
    /// Numbers of API keys.
    ApiKeys,
}

impl Sequence {
    fn key(self) -> Vec<u8> {
        let name: &[u8] = match self {
            Self::Users => b"sequence/users",
            Self::ApiKeys => b"sequence/api-keys",
        };
        key(Table::Meta, &[name])
    }
}

/// The next number of a sequence, from 1.
pub fn next(w: &mut (impl Write + ?Sized), sequence: Sequence) -> Result<u64, StoreError> {
    let key = sequence.key();
    let number = last(w, sequence)? + 1;
    store(w, &key, &Counter(number))?;
    Ok(number)
}

/// The number that [`next`] gave last; 0 before the first.
pub fn last(r: &(impl Read + ?Sized), sequence: Sequence) -> Result<u64, StoreError> {
    Ok(fetch::<Counter>(r, &sequence.key())?.map_or(0, |counter| counter.0))
}

/// Goes on after `last`, as the project did elsewhere.
pub(super) fn go_on_after(w: &mut (impl Write + ?Sized), sequence: Sequence, last: u64) -> Result<(), StoreError> {
    if last > 0 { store(w, &sequence.key(), &Counter(last)) } else { Ok(()) }
}

/// The project this file is; `None` in a file that was never made into one.
pub fn get(r: &(impl Read + ?Sized)) -> Result<Option<ProjectRecord>, StoreError> {
    fetch(r, &key(Table::Meta, &[b"project"]))
}

/// Says which project this file is.
pub fn put(w: &mut (impl Write + ?Sized), project: &ProjectRecord) -> Result<(), StoreError> {
    store(w, &key(Table::Meta, &[b"project"]), project)
}

/// Writes a row that says nothing but that it was written.
pub fn put_probe(w: &mut (impl Write + ?Sized), now: Timestamp) -> Result<(), StoreError> {
    store(w, &key(Table::Meta, &[b"probe"]), &Counter(now.millis()))
}

/// The sealed secret from which refresh tokens are derived.
pub fn refresh_key(r: &(impl Read + ?Sized)) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(fetch::<Sealed>(r, &key(Table::Meta, &[b"refresh-key"]))?.map(|sealed| sealed.0))
}

/// Keeps the sealed secret from which refresh tokens are derived.
pub fn put_refresh_key(w: &mut (impl Write + ?Sized), sealed: Vec<u8>) -> Result<(), StoreError> {
    store(w, &key(Table::Meta, &[b"refresh-key"]), &Sealed(sealed))
}

/// The signing keys, oldest first.
pub fn signing_keys(r: &(impl Read + ?Sized)) -> Result<Vec<SealedKey>, StoreError> {
    let from = key(Table::SigningKey, &[]);
    super::collect(r, &from, &end_of(&from), usize::MAX)
}

/// Writes a signing key.
pub fn put_signing_key(w: &mut (impl Write + ?Sized), signing_key: &SealedKey) -> Result<(), StoreError> {
    store(w, &key(Table::SigningKey, &[signing_key.id.as_bytes()]), signing_key)
}

/// Removes a signing key whose time is over.
pub fn remove_signing_key(w: &mut (impl Write + ?Sized), id: Uuid) -> Result<(), StoreError> {
    w.delete(&key(Table::SigningKey, &[id.as_bytes()]))
}
