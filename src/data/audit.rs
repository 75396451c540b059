//! The audit trail: every event of a project in the order it was recorded, each entry holding the hash of the one before.
//!
//! An entry's key is a sequence number that only grows: ids go by the wall clock, which may step back. Its hash is the
//! [`Digest`] (SHA-256, purpose `keystead/audit`) of its number and its value as stored, and the value begins with the
//! hash before it. A head row holds the next number and the last hash; the first entry follows a digest of the project's
//! id, so that the trail of one project is none of another's. When the beginning is trimmed, an anchor row says which
//! entry is the first that is kept and the hash before it, so that what is left still verifies.
//!
//! An append reads and writes the head in the job of the change it tells of; jobs of one batch see each other's, so one
//! commit carries one head row however many entries it has. The digest of some 150 bytes is all that is computed there.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::events::Event;
use super::{Record, Table, decode_row, encode, end_of, fetch, key, project, store};
use crate::crypto::Digest;
use crate::store::{Read, StoreError, Write};

/// An event in its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    #[serde(skip)] // the row's key
    pub seq: u64,
    /// The hash of the entry before.
    pub previous: Digest,
    /// What happened.
    pub event: Event,
}

impl Record for Entry {
    fn take_key(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.seq = seq_of(key)?;
        Ok(())
    }
}

/// An entry as it lies in the store, readable or not.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub seq: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Row {
    /// The row with this key and this value.
    pub(super) fn of(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        Ok(Self { seq: seq_of(key)?, key: key.to_vec(), value: value.to_vec() })
    }

    /// What it says.
    ///
    /// # Errors
    /// `Corrupt` when it is no entry.
    pub fn entry(&self) -> Result<Entry, StoreError> {
        decode_row(&self.key, &self.value)
    }

    /// Its hash, which the next entry holds.
    pub fn hash(&self) -> Digest {
        hash(self.seq, &self.value)
    }
}

/// Between which numbers the trail lies, and what it hangs on.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The first entry that is kept.
    pub first: u64,
    /// The hash before it.
    pub before: Digest,
    /// The number of the next entry.
    pub next: u64,
    /// The hash of the last one.
    pub last: Digest,
}

impl Bounds {
    /// How many entries there are.
    pub fn count(&self) -> u64 {
        self.next.saturating_sub(self.first)
    }
}

/// Where the next entry goes.
#[derive(Serialize, Deserialize)]
struct Head {
    next: u64,
    last: Digest,
}

impl Record for Head {}

/// Where what is kept begins; there is none before anything was trimmed.
#[derive(Serialize, Deserialize)]
struct Anchor {
    first: u64,
    before: Digest,
}

impl Record for Anchor {}

/// Appends an entry.
pub fn append(w: &mut (impl Write + ?Sized), event: &Event) -> Result<(), StoreError> {
    let head = match fetch::<Head>(w, &head_key())? {
        Some(head) => head,
        None => Head { next: 1, last: beginning(w)? },
    };
    let value = encode(&Entry { seq: head.next, previous: head.last, event: event.clone() });
    let last = hash(head.next, &value);
    w.put(&entry_key(head.next), &value)?;
    store(w, &head_key(), &Head { next: head.next.saturating_add(1), last })
}

/// Keeps the trail whole where the file is about to become another project: it goes on hanging on what it began with.
pub fn pin_beginning(w: &mut (impl Write + ?Sized)) -> Result<(), StoreError> {
    let Bounds { first, before, .. } = bounds(w)?;
    store(w, &anchor_key(), &Anchor { first, before })
}

/// Lets a trail begin where it did elsewhere: with the entry `first`, after the hash `before`.
pub(super) fn begin(w: &mut (impl Write + ?Sized), first: u64, before: Digest) -> Result<(), StoreError> {
    if first == 1 && before == beginning(w)? {
        return Ok(());
    }
    store(w, &anchor_key(), &Anchor { first, before })?;
    store(w, &head_key(), &Head { next: first, last: before })
}

/// Appends an entry of elsewhere, when it follows the last one and its hash is this; `false` when not.
pub(super) fn bring(w: &mut (impl Write + ?Sized), entry: &Entry, its_hash: &Digest) -> Result<bool, StoreError> {
    let at = bounds(w)?;
    let value = encode(entry);
    let last = hash(entry.seq, &value);
    if entry.seq != at.next || entry.previous != at.last || last != *its_hash {
        return Ok(false);
    }
    w.put(&entry_key(entry.seq), &value)?;
    store(w, &head_key(), &Head { next: at.next.saturating_add(1), last })?;
    Ok(true)
}

/// The bounds as of now.
pub fn bounds(r: &(impl Read + ?Sized)) -> Result<Bounds, StoreError> {
    let beginning = beginning(r)?;
    let anchor = fetch(r, &anchor_key())?.unwrap_or(Anchor { first: 1, before: beginning });
    let head = fetch(r, &head_key())?.unwrap_or(Head { next: 1, last: beginning });
    Ok(Bounds { first: anchor.first, before: anchor.before, next: head.next, last: head.last })
}

/// At most `limit` entries after the number `seq`, in order.
pub fn after(r: &(impl Read + ?Sized), seq: u64, limit: usize) -> Result<Vec<Row>, StoreError> {
    let (from, to) = (entry_key(seq.saturating_add(1)), end_of(&key(Table::Audit, &[])));
    let mut rows = Vec::new();
    let mut bad = None;
    r.scan(&from, &to, limit, &mut |key, value| gather(&mut rows, &mut bad, key, value))?;
    bad.map_or(Ok(rows), Err)
}

/// At most `limit` entries before the number `seq`, the latest first.
pub fn before(r: &(impl Read + ?Sized), seq: u64, limit: usize) -> Result<Vec<Row>, StoreError> {
    let (from, to) = (key(Table::Audit, &[]), entry_key(seq));
    let mut rows = Vec::new();
    let mut bad = None;
    r.scan_back(&from, &to, limit, &mut |key, value| gather(&mut rows, &mut bad, key, value))?;
    bad.map_or(Ok(rows), Err)
}

/// The most entries that are removed in one transaction.
pub const TRIM: usize = 512;

/// Removes the entries from `first` to `upto`, but no more than [`TRIM`], when `first` still is the first; how many.
pub fn trim(w: &mut (impl Write + ?Sized), first: u64, upto: u64) -> Result<usize, StoreError> {
    let bounds = bounds(w)?;
    if bounds.first != first || upto < first || upto >= bounds.next {
        return Ok(0);
    }
    // The rows there are, not the numbers there should be: one that is missing shows as a break at the first that is kept.
    let mut rows = after(w, first.saturating_sub(1), TRIM)?;
    rows.retain(|row| row.seq <= upto);
    let Some(last) = rows.last() else { return Ok(0) };
    let anchor = Anchor { first: last.seq + 1, before: last.hash() };
    for row in &rows {
        w.delete(&row.key)?;
    }
    store(w, &anchor_key(), &anchor)?;
    Ok(rows.len())
}

fn gather(rows: &mut Vec<Row>, bad: &mut Option<StoreError>, key: &[u8], value: &[u8]) -> ControlFlow<()> {
    match Row::of(key, value) {
        Ok(row) => {
            rows.push(row);
            ControlFlow::Continue(())
        }
        Err(error) => {
            *bad = Some(error);
            ControlFlow::Break(())
        }
    }
}

/// Number and value both have one spelling, and the value's own first part is the hash before: nothing can be moved.
fn hash(seq: u64, value: &[u8]) -> Digest {
    Digest::of("keystead/audit", &[&seq.to_be_bytes(), value].concat())
}

/// What the first entry follows.
fn beginning(r: &(impl Read + ?Sized)) -> Result<Digest, StoreError> {
    let id = project::get(r)?.map(|project| project.id).unwrap_or_default();
    Ok(Digest::of("keystead/audit-beginning", id.as_bytes()))
}

fn entry_key(seq: u64) -> Vec<u8> {
    key(Table::Audit, &[&seq.to_be_bytes()])
}

fn head_key() -> Vec<u8> {
    key(Table::Meta, &[b"audit/head"])
}

fn anchor_key() -> Vec<u8> {
    key(Table::Meta, &[b"audit/anchor"])
}

fn seq_of(key: &[u8]) -> Result<u64, StoreError> {
    let number = key.get(2..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    number.ok_or_else(|| StoreError::Corrupt("an entry of the audit trail whose key holds no number".into()))
}
