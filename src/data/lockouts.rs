//! Failure counters of sign-in: by (address, client) and by address alone. Rows exist for addresses without an account too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Email, Record, Table, end_of, fetch, key, keys, store};
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// How much failure is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// Failures of one client on one address within `window` that lock the pair.
    pub failures: u32,
    /// Consecutive failures on one address, whoever makes them, that lock it for everyone.
    pub account_failures: u32,
    /// How long a failure counts.
    pub window: Duration,
    /// How long a lock lasts.
    pub duration: Duration,
}

/// Who fails on what: the address, and the group the client belongs to (an IPv4 address, an IPv6 /64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub(super) address: [u8; 16],
    pub(super) client: [u8; 16],
}

impl Subject {
    /// The counter of `email` as tried by `client`.
    pub fn new(email: &Email, client: u128) -> Self {
        Self { address: email.digest(), client: client.to_be_bytes() }
    }

    /// The part all clients share.
    pub fn address(&self) -> [u8; 16] {
        self.address
    }
}

/// Where a subject stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Locked, and for how much longer.
    Locked(Duration),
    /// Free to try: how many more failures the pair and the address may make.
    Open {
        /// Before the pair is locked; at least 1.
        client: u32,
        /// Before the address is locked; at least 1.
        account: u32,
    },
}

/// Where `subject` stands at `now`.
pub fn standing(
    r: &(impl Read + ?Sized),
    subject: &Subject,
    policy: &LockoutPolicy,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    let client = fetch::<ByClient>(r, &client_key(subject))?.unwrap_or_default();
    let account = fetch::<ByAccount>(r, &account_key(subject))?.unwrap_or_default();
    let locked = remaining(client.locked_at, policy, now).max(remaining(account.locked_at, policy, now));
    if !locked.is_zero() {
        return Ok(Standing::Locked(locked));
    }
    Ok(Standing::Open {
        client: policy.failures.saturating_sub(client.count(policy, now)).max(1),
        account: policy.account_failures.saturating_sub(account.count(policy, now)).max(1),
    })
}

/// Counts a failure; `true` when this one locked the pair or the address.
pub fn fail(
    w: &mut (impl Write + ?Sized),
    subject: &Subject,
    policy: &LockoutPolicy,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut client = fetch::<ByClient>(w, &client_key(subject))?.unwrap_or_default();
    let mut account = fetch::<ByAccount>(w, &account_key(subject))?.unwrap_or_default();
    client.settle(policy, now);
    client.failures.push(now);
    if client.failures.len() >= policy.failures as usize {
        client.failures.clear();
        client.locked_at = Some(now);
    }
    account.failures = account.count(policy, now).saturating_add(1);
    account.locked_at = None;
    account.last = now;
    if account.failures >= policy.account_failures {
        account.failures = 0;
        account.locked_at = Some(now);
    }
    let keep = now.plus(policy.window.max(policy.duration));
    (client.keep_until, account.keep_until) = (keep, keep);
    let locked = client.locked_at == Some(now) || account.locked_at == Some(now);
    store(w, &client_key(subject), &client)?;
    store(w, &account_key(subject), &account)?;
    Ok(locked)
}

/// Forgets the failures of the pair and of the address: a success. Other clients' own counters stay.
pub fn succeed(w: &mut (impl Write + ?Sized), subject: &Subject) -> Result<(), StoreError> {
    // A delete of an absent row would still dirty pages.
    for key in [client_key(subject), account_key(subject)] {
        if w.get(&key)?.is_some() {
            w.delete(&key)?;
        }
    }
    Ok(())
}

/// Forgets every failure on an address: an operator's unlock. How many rows there were.
pub fn unlock(w: &mut (impl Write + ?Sized), email: &Email) -> Result<usize, StoreError> {
    let mut rows = Vec::new();
    for table in [Table::LockoutByClient, Table::LockoutByAccount] {
        let from = key(table, &[&email.digest()]);
        rows.extend(keys(w, &from, &end_of(&from), usize::MAX)?);
    }
    for key in &rows {
        w.delete(key)?;
    }
    Ok(rows.len())
}

/// The pair's counter: when it failed, within the window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ByClient {
    pub(super) failures: Vec<Timestamp>,
    pub(super) locked_at: Option<Timestamp>,
    pub(crate) keep_until: Timestamp,
}

impl Record for ByClient {}

impl ByClient {
    fn count(&self, policy: &LockoutPolicy, now: Timestamp) -> u32 {
        let live = self.failures.iter().filter(|&&at| now.since(at) < policy.window).count();
        u32::try_from(live).unwrap_or(u32::MAX)
    }

    fn settle(&mut self, policy: &LockoutPolicy, now: Timestamp) {
        self.failures.retain(|&at| now.since(at) < policy.window);
        if remaining(self.locked_at, policy, now).is_zero() {
            self.locked_at = None;
        }
    }
}

/// The address's counter: consecutive failures, forgotten a window after the last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ByAccount {
    pub(super) failures: u32,
    pub(super) last: Timestamp,
    pub(super) locked_at: Option<Timestamp>,
    pub(crate) keep_until: Timestamp,
}

impl Record for ByAccount {}

impl ByAccount {
    fn count(&self, policy: &LockoutPolicy, now: Timestamp) -> u32 {
        if now.since(self.last) < policy.window { self.failures } else { 0 }
    }
}

fn remaining(locked_at: Option<Timestamp>, policy: &LockoutPolicy, now: Timestamp) -> Duration {
    locked_at.map_or(Duration::ZERO, |at| policy.duration.saturating_sub(now.since(at)))
}

pub(super) fn client_key(subject: &Subject) -> Vec<u8> {
    key(Table::LockoutByClient, &[&subject.address, &subject.client])
}

pub(super) fn account_key(subject: &Subject) -> Vec<u8> {
    key(Table::LockoutByAccount, &[&subject.address])
}
