//! The outbox: what is to be sent to the world, written with the change that causes it, kept until it is sent or given
//! up; and the dead letters, which are what was given up.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::project::Counter;
use super::{Record, Table, end_of, fetch, key, store, uuid_of};
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// The largest payload, bytes. A larger one never goes out: it becomes a dead letter, without the payload.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// Items of a project that may wait; one more becomes a dead letter at once, so that a receiver who is away for days
/// neither fills the disk nor stops anybody from signing in.
pub const MAX_WAITING: u64 = 100_000;
/// Of these, the places that webhooks may take: a receiver who is away for days must not keep a verification mail from
/// whoever signs up meanwhile.
pub const MAX_WAITING_CALLS: u64 = MAX_WAITING / 4 * 3;
/// Dead letters of a project that are kept; beyond it the oldest goes.
pub const MAX_DEAD: u64 = 10_000;
/// How long a dead letter is kept.
const KEEP_DEAD: Duration = Duration::from_secs(30 * 24 * 3600);
/// The longest reason kept with an item, characters.
const MAX_ERROR: usize = 500;

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id, time-ordered, made before the transaction that writes it; the same at every attempt.
    #[serde(skip)] // the row's key
    pub id: Uuid,
    /// How it is sent.
    pub kind: Kind,
    /// What it is about: a mail's template, a webhook's event type.
    pub purpose: String,
    /// To whom: an address, or the name of an endpoint.
    pub recipient: String,
    /// What is sent.
    pub payload: Payload,
    /// When it was written.
    pub created_at: Timestamp,
    /// Since when it is being tried: when it was written, or last given another chance by an operator.
    pub since: Timestamp,
    /// When it is to be tried next.
    pub next_at: Timestamp,
    /// When sending it makes no sense any more, such as the end of the secret in it.
    pub expires_at: Timestamp,
    /// Attempts that were begun.
    pub attempts: u32,
    /// An attempt was begun and its end is not written yet.
    pub begun: bool,
    /// Some attempt before this one was cut off by a crash, so that the receiver may have got it already.
    pub interrupted: bool,
    /// Why the last attempt failed; never a secret.
    pub last_error: Option<String>,
}

/// How an item is sent. Numbers are on disk: new kinds go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// By mail.
    Mail,
    /// By an HTTP request to an endpoint of the integrator's.
    Webhook,
    /// Not at all: the row stands where a mail would, so that an address without an account costs the same writes.
    Decoy,
}

/// What an item carries.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Sealed under the master key: whatever holds a secret.
    Sealed(Vec<u8>),
    /// As it is: nothing in it is a secret.
    Plain(Vec<u8>),
}

impl Payload {
    fn len(&self) -> usize {
        match self {
            Self::Sealed(bytes) | Self::Plain(bytes) => bytes.len(),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.len())
    }
}

impl Record for Item {
    fn take_key(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.id = super::id_of_key(key)?;
        Ok(())
    }
}

/// An item that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// It, as it was then; `last_error` says why.
    pub item: Item,
    /// When it was given up.
    pub died_at: Timestamp,
}

impl Record for DeadLetter {
    fn take_key(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.item.id = super::id_of_key(key)?;
        Ok(())
    }
}

impl DeadLetter {
    pub(crate) fn keep_until(&self) -> Timestamp {
        self.died_at.plus(KEEP_DEAD)
    }
}

/// Which items are looked at together when one is due. What cannot be sent in one lane does not hold up another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Mails, and the decoys among them.
    Mail,
    /// What the webhook of this name is told, of at most [`MAX_NAME`] bytes.
    Webhook(String),
}

/// Bytes of a webhook's name, for which keys have a place of that length.
pub const MAX_NAME: usize = 32;
const MAIL: u8 = 0;
const WEBHOOK: u8 = 1;

impl Lane {
    /// How the keys of its items begin.
    fn prefix(&self) -> Vec<u8> {
        match self {
            Self::Mail => key(Table::OutboxDue, &[&[MAIL]]),
            Self::Webhook(name) => {
                let mut place = [0; MAX_NAME];
                for (to, from) in place.iter_mut().zip(name.bytes()) {
                    *to = from;
                }
                key(Table::OutboxDue, &[&[WEBHOOK], &place])
            }
        }
    }
}

impl Item {
    fn lane(&self) -> Lane {
        match self.kind {
            Kind::Mail | Kind::Decoy => Lane::Mail,
            Kind::Webhook => Lane::Webhook(self.recipient.clone()),
        }
    }
}

/// Writes an item that is to be sent. One too many, or one too large, becomes a dead letter.
pub fn enqueue(w: &mut (impl Write + ?Sized), item: &Item) -> Result<(), StoreError> {
    let waiting = count(w, WAITING)?;
    let places = match item.kind {
        Kind::Webhook => MAX_WAITING_CALLS,
        Kind::Mail | Kind::Decoy => MAX_WAITING,
    };
    let refused = match item.payload.len() {
        length if length > MAX_PAYLOAD => Some("it is too large to be sent"),
        _ if waiting >= places => Some("the outbox was full"),
        _ => None,
    };
    match refused {
        Some(why) => entomb(w, item.clone(), item.created_at, why),
        None => insert(w, item, waiting),
    }
}

fn insert(w: &mut (impl Write + ?Sized), item: &Item, waiting: u64) -> Result<(), StoreError> {
    set_count(w, WAITING, waiting + 1)?;
    w.put(&due_key(item), &[])?;
    store(w, &row(item.id), item)
}

/// The item with this id that waits.
pub fn get(r: &(impl Read + ?Sized), id: Uuid) -> Result<Option<Item>, StoreError> {
    fetch(r, &row(id))
}

/// Of a lane at most `limit` items in the order they are due, `(when, id)`.
pub fn due(r: &(impl Read + ?Sized), lane: &Lane, limit: usize) -> Result<Vec<(Timestamp, Uuid)>, StoreError> {
    let from = lane.prefix();
    let (mut all, mut bad) = (Vec::new(), None);
    r.scan(&from, &end_of(&from), limit, &mut |key, _| match due_of(&key[from.len()..]) {
        Ok(entry) => {
            all.push(entry);
            ControlFlow::Continue(())
        }
        Err(error) => {
            bad = Some(error);
            ControlFlow::Break(())
        }
    })?;
    bad.map_or(Ok(all), Err)
}

/// The names of webhooks for which something waits.
pub fn webhooks(r: &(impl Read + ?Sized)) -> Result<Vec<String>, StoreError> {
    let nameless = || StoreError::Corrupt("a webhook without a name".into());
    let all = key(Table::OutboxDue, &[&[WEBHOOK]]);
    let (mut from, end) = (all.clone(), end_of(&all));
    let mut names = Vec::new();
    // From the first item of one to the first of the next: what waits between is not looked at.
    while let Some(first) = super::keys(r, &from, &end, 1)?.pop() {
        // Behind the place itself, whatever is in it: a damaged key must not be come upon again.
        let lane = first.get(..all.len() + MAX_NAME).ok_or_else(nameless)?;
        let name = lane.get(all.len()..).and_then(|place| place.split(|byte| *byte == 0).next()).unwrap_or_default();
        names.push(std::str::from_utf8(name).map_err(|_| nameless())?.to_owned());
        from = end_of(lane);
    }
    Ok(names)
}

/// Whether anything waits.
pub fn any(r: &(impl Read + ?Sized)) -> Result<bool, StoreError> {
    Ok(count(r, WAITING)? > 0)
}

/// Writes that an attempt is beginning. Its place in the order of what is due stays, so that it is found after a crash.
pub fn put(w: &mut (impl Write + ?Sized), item: &Item) -> Result<(), StoreError> {
    store(w, &row(item.id), item)
}

/// Ends an attempt that failed; the next is at `next_at`.
pub fn postpone(w: &mut (impl Write + ?Sized), item: Item, next_at: Timestamp, error: &str) -> Result<(), StoreError> {
    w.delete(&due_key(&item))?;
    let item = Item { next_at, begun: false, last_error: Some(cut(error)), ..item };
    w.put(&due_key(&item), &[])?;
    store(w, &row(item.id), &item)
}

/// Makes an item that waits due now.
pub fn hasten(w: &mut (impl Write + ?Sized), item: Item, now: Timestamp) -> Result<(), StoreError> {
    w.delete(&due_key(&item))?;
    let item = Item { next_at: now, ..item };
    w.put(&due_key(&item), &[])?;
    store(w, &row(item.id), &item)
}

/// Removes an item that was sent, or is not to be.
pub fn remove(w: &mut (impl Write + ?Sized), item: &Item) -> Result<(), StoreError> {
    let waiting = count(w, WAITING)?;
    set_count(w, WAITING, waiting.saturating_sub(1))?;
    w.delete(&due_key(item))?;
    w.delete(&row(item.id))
}

/// Gives an item up.
pub fn bury(w: &mut (impl Write + ?Sized), item: Item, now: Timestamp, error: &str) -> Result<(), StoreError> {
    remove(w, &item)?;
    entomb(w, item, now, error)
}

fn entomb(w: &mut (impl Write + ?Sized), mut item: Item, now: Timestamp, error: &str) -> Result<(), StoreError> {
    if item.kind == Kind::Decoy {
        return Ok(());
    }
    if item.payload.len() > MAX_PAYLOAD {
        item.payload = Payload::Plain(Vec::new());
    }
    item.last_error = Some(cut(error));
    let mut dead = count(w, DEAD)?;
    while dead >= MAX_DEAD {
        let Some(oldest) = super::keys(w, &tombs(), &end_of(&tombs()), 1)?.pop() else { break };
        w.delete(&oldest)?;
        dead -= 1;
    }
    set_count(w, DEAD, dead + 1)?;
    store(w, &tomb(item.id), &DeadLetter { item, died_at: now })
}

/// Writes an item that waited elsewhere. The caller has seen that its id is free, and that there is room.
pub(super) fn bring(w: &mut (impl Write + ?Sized), item: &Item) -> Result<(), StoreError> {
    let waiting = count(w, WAITING)?;
    insert(w, item, waiting)
}

/// Writes a dead letter of elsewhere. The same.
pub(super) fn bring_dead(w: &mut (impl Write + ?Sized), letter: &DeadLetter) -> Result<(), StoreError> {
    let dead = count(w, DEAD)?;
    set_count(w, DEAD, dead + 1)?;
    store(w, &tomb(letter.item.id), letter)
}

/// The dead letter with this id.
pub fn dead(r: &(impl Read + ?Sized), id: Uuid) -> Result<Option<DeadLetter>, StoreError> {
    fetch(r, &tomb(id))
}

/// Removes a dead letter.
pub fn remove_dead(w: &mut (impl Write + ?Sized), id: Uuid) -> Result<(), StoreError> {
    let dead = count(w, DEAD)?;
    set_count(w, DEAD, dead.saturating_sub(1))?;
    w.delete(&tomb(id))
}

/// Lets an item that was given up be tried again, from `now` on.
pub fn revive(w: &mut (impl Write + ?Sized), letter: DeadLetter, now: Timestamp) -> Result<(), StoreError> {
    remove_dead(w, letter.item.id)?;
    // What the operator sends again may arrive twice: he decided so, and a crash counts from here.
    let fresh = Item { since: now, next_at: now, attempts: 0, begun: false, interrupted: false, ..letter.item };
    enqueue(w, &fresh)
}

/// What has waited longest, be it a decoy. One row is read, however many wait.
pub fn oldest(r: &(impl Read + ?Sized)) -> Result<Option<Item>, StoreError> {
    let from = key(Table::Outbox, &[]);
    Ok(super::collect(r, &from, &end_of(&from), 1)?.pop())
}

/// At most `limit` items that wait, oldest first, after the one with the id `after`; no decoys.
pub fn waiting(r: &(impl Read + ?Sized), after: Option<Uuid>, limit: usize) -> Result<Vec<Item>, StoreError> {
    let from = match after {
        Some(id) => key(Table::Outbox, &[id.as_bytes(), &[0]]),
        None => key(Table::Outbox, &[]),
    };
    let (mut all, mut bad) = (Vec::new(), None);
    r.scan(&from, &end_of(&key(Table::Outbox, &[])), usize::MAX, &mut |key, value| {
        match super::decode_row::<Item>(key, value) {
            Ok(item) if item.kind == Kind::Decoy => {}
            Ok(item) => all.push(item),
            Err(error) => bad = Some(error),
        }
        if all.len() < limit && bad.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    bad.map_or(Ok(all), Err)
}

/// At most `limit` dead letters, oldest first, after the one with the id `after`.
pub fn dead_letters(
    r: &(impl Read + ?Sized),
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<DeadLetter>, StoreError> {
    let from = match after {
        Some(id) => key(Table::DeadLetter, &[id.as_bytes(), &[0]]),
        None => tombs(),
    };
    super::collect(r, &from, &end_of(&tombs()), limit)
}

/// How many items wait (decoys among them), and how many dead letters there are.
pub fn counts(r: &(impl Read + ?Sized)) -> Result<(u64, u64), StoreError> {
    Ok((count(r, WAITING)?, count(r, DEAD)?))
}

/// Nothing waits and nothing was given up: for whoever has removed all rows.
pub(super) fn forget_counts(w: &mut (impl Write + ?Sized)) -> Result<(), StoreError> {
    set_count(w, WAITING, 0)?;
    set_count(w, DEAD, 0)
}

const WAITING: &[u8] = b"count/outbox";
const DEAD: &[u8] = b"count/dead-letters";

fn count(r: &(impl Read + ?Sized), name: &[u8]) -> Result<u64, StoreError> {
    Ok(fetch::<Counter>(r, &key(Table::Meta, &[name]))?.map_or(0, |counter| counter.0))
}

fn set_count(w: &mut (impl Write + ?Sized), name: &[u8], count: u64) -> Result<(), StoreError> {
    store(w, &key(Table::Meta, &[name]), &Counter(count))
}

fn cut(error: &str) -> String {
    error.chars().take(MAX_ERROR).collect()
}

fn row(id: Uuid) -> Vec<u8> {
    key(Table::Outbox, &[id.as_bytes()])
}

fn tombs() -> Vec<u8> {
    key(Table::DeadLetter, &[])
}

fn tomb(id: Uuid) -> Vec<u8> {
    key(Table::DeadLetter, &[id.as_bytes()])
}

/// Lane, moment, id: in the order things are due.
fn due_key(item: &Item) -> Vec<u8> {
    let mut key = item.lane().prefix();
    key.extend_from_slice(&item.next_at.millis().to_be_bytes());
    key.extend_from_slice(item.id.as_bytes());
    key
}

fn due_of(rest: &[u8]) -> Result<(Timestamp, Uuid), StoreError> {
    let corrupt = || StoreError::Corrupt("an outbox row that says no moment".into());
    let (at, id) = rest.split_first_chunk::<8>().ok_or_else(corrupt)?;
    Ok((Timestamp::from_millis(u64::from_be_bytes(*at)), uuid_of(id)?))
}

#[cfg(test)]
mod tests;
