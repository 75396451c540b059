//! One-time secrets: a digest that leads once to what the secret stands for. One live secret an account and purpose.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Email, Record, Table, end_of, fetch, key, keys, store};
use crate::crypto::Digest;
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// What a one-time secret is good for. Numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Purpose {
    /// Proves the account's address.
    VerifyEmail = 1,
}

impl Purpose {
    /// The name that goes into the secret's digest, so that a secret of one purpose is unknown under another.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
        }
    }
}

/// What a secret leads to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OneTime {
    /// Whose it is.
    pub user: Uuid,
    /// Until when it works.
    pub expires_at: Timestamp,
}

impl Record for OneTime {}

/// Stores a secret's digest; an earlier secret of the same account and purpose stops working.
pub fn issue(
    w: &mut (impl Write + ?Sized),
    purpose: Purpose,
    digest: &Digest,
    secret: &OneTime,
) -> Result<(), StoreError> {
    withdraw(w, purpose, secret.user)?;
    w.put(&slot(secret.user, purpose), digest.as_bytes())?;
    store(w, &row(purpose, digest.as_bytes()), secret)
}

/// Takes a secret out, so that it works at most once; `None` when it is unknown, used or expired.
pub fn consume(
    w: &mut (impl Write + ?Sized),
    purpose: Purpose,
    digest: &Digest,
    now: Timestamp,
) -> Result<Option<OneTime>, StoreError> {
    let row = row(purpose, digest.as_bytes());
    let Some(secret) = fetch::<OneTime>(w, &row)? else { return Ok(None) };
    w.delete(&row)?;
    w.delete(&slot(secret.user, purpose))?;
    Ok((now < secret.expires_at).then_some(secret))
}

/// Makes an account's live secret of this purpose stop working.
pub fn withdraw(w: &mut (impl Write + ?Sized), purpose: Purpose, user: Uuid) -> Result<(), StoreError> {
    let slot = slot(user, purpose);
    if let Some(digest) = w.get(&slot)? {
        w.delete(&row(purpose, &digest))?;
        w.delete(&slot)?;
    }
    Ok(())
}

/// Makes all live secrets of an account stop working.
pub fn withdraw_all(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<(), StoreError> {
    let from = key(Table::OneTimeSlot, &[user.as_bytes()]);
    for slot in keys(w, &from, &end_of(&from), usize::MAX)? {
        if let (Some(digest), Some(&purpose)) = (w.get(&slot)?, slot.last()) {
            w.delete(&key(Table::OneTime, &[&[purpose], &digest]))?;
        }
        w.delete(&slot)?;
    }
    Ok(())
}

/// Clears the account's slot of a secret whose row (with this key) was swept, unless a newer secret took it.
pub(crate) fn forget_slot(w: &mut (impl Write + ?Sized), row: &[u8], user: Uuid) -> Result<(), StoreError> {
    // table, version, purpose, digest
    let Some((head, digest)) = row.split_at_checked(3) else { return Ok(()) };
    let slot = key(Table::OneTimeSlot, &[user.as_bytes(), &head[2..]]);
    if w.get(&slot)?.as_deref() == Some(digest) {
        w.delete(&slot)?;
    }
    Ok(())
}

/// When a secret of this purpose was last issued for this address, known or not.
pub fn last_issued(r: &(impl Read + ?Sized), purpose: Purpose, email: &Email) -> Result<Option<Timestamp>, StoreError> {
    Ok(fetch::<Cooldown>(r, &cooldown(purpose, email))?.map(|row| row.issued_at))
}

/// Remembers that a secret of this purpose was issued (or pretended) for this address. The row may be swept after
/// `until`.
pub fn note_issued(
    w: &mut (impl Write + ?Sized),
    purpose: Purpose,
    email: &Email,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    store(w, &cooldown(purpose, email), &Cooldown { issued_at: now, until })
}

/// When a secret was last issued for an address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cooldown {
    issued_at: Timestamp,
    pub(crate) until: Timestamp,
}

impl Record for Cooldown {}

fn row(purpose: Purpose, digest: &[u8]) -> Vec<u8> {
    key(Table::OneTime, &[&[purpose as u8], digest])
}

fn slot(user: Uuid, purpose: Purpose) -> Vec<u8> {
    key(Table::OneTimeSlot, &[user.as_bytes(), &[purpose as u8]])
}

fn cooldown(purpose: Purpose, email: &Email) -> Vec<u8> {
    key(Table::Cooldown, &[&[purpose as u8], &email.digest()])
}
