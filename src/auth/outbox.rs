//! The outbox as the engine uses it: what is written into it, which items are tried when, what becomes of them.
//!
//! At most one duplicate: the beginning of an attempt is made durable before the first byte goes out. An item that is
//! found begun, and that nobody in this process is sending, was cut off by a crash; the receiver may have it. It is tried
//! once more, and when that is cut off too, given up.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::events::{self, Event, EventKind};
pub use super::mail::message;
use super::project::Shared;
use super::{Email, Error, Operator, Project};
use crate::crypto::Secret;
use crate::data::outbox::{self as rows, DeadLetter, Item, Kind, Lane, Payload};
use crate::data::users;
use crate::env::Timestamp;
use crate::store::{StoreError, Write};

/// The pause after the first failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Items looked at in one step where a lane cannot be sent: for those that have expired.
const LOOKED_AT: usize = 256;
/// When a lane that cannot be sent is looked at again, at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(600);
/// Dead letters given another chance in one transaction.
const REVIVED_AT_ONCE: usize = 256;

/// Stands where a reason would at an item that was told of and not sent.
const ONLY_TOLD: &str = "only logged: mail.transport was \"log\"";

/// The projects whose outbox should be looked at, and the one who does.
#[derive(Debug, Default)]
pub struct Wakes {
    projects: Mutex<BTreeSet<Uuid>>,
    any: Notify,
    tally: watch::Sender<Tally>,
}

/// What became of attempts since the server started, each counted when its end is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The receiver has it.
    pub sent: u64,
    /// Failed, to be tried again.
    pub put_off: u64,
    /// Given up.
    pub given_up: u64,
}

impl Wakes {
    /// Asks for a look at this project's outbox. Also from within a job: whoever looks waits for the job's commit.
    pub fn wake(&self, project: Uuid) {
        if self.lock().insert(project) {
            self.any.notify_one();
        }
    }

    /// Waits until there is something to look at, and takes it.
    pub async fn woken(&self) -> BTreeSet<Uuid> {
        loop {
            let taken = std::mem::take(&mut *self.lock());
            if !taken.is_empty() {
                return taken;
            }
            self.any.notified().await;
        }
    }

    /// What became of attempts, as it changes.
    pub fn tally(&self) -> watch::Receiver<Tally> {
        self.tally.subscribe()
    }

    fn count(&self, more: Tally) {
        if more != Tally::default() {
            self.tally.send_modify(|tally| {
                tally.sent += more.sent;
                tally.put_off += more.put_off;
                tally.given_up += more.given_up;
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Uuid>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What may be sent, how much of it, and for how long it is tried.
#[derive(Clone, Debug)]
pub struct Terms {
    /// When this is.
    pub now: Timestamp,
    /// How long a failing item is tried.
    pub retry_for: Duration,
    /// Of which items.
    pub lane: Lane,
    /// Whether they can be sent at all.
    pub sends: bool,
    /// How many attempts may begin.
    pub most: usize,
    /// What is being sent by this process.
    pub in_flight: HashSet<Uuid>,
}

impl Terms {
    /// When an item is given up.
    fn until(&self, item: &Item) -> Timestamp {
        item.since.plus(self.retry_for).min(item.expires_at)
    }
}

/// What is to be sent now, and when to look again.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Items whose attempt has durably begun.
    pub items: Vec<Item>,
    /// When the next is due, of those that are not in flight; `None`: nothing else waits.
    pub next: Option<Timestamp>,
    /// Items that were given up.
    pub buried: u64,
    /// Items that cannot be read. They stay for an operator to see, and hold nothing up.
    pub damaged: Vec<Uuid>,
}

/// Begins attempts on what is due, under each of these terms, in their order: one write for all of them. What has
/// expired, or was cut off twice, is given up.
///
/// # Errors
/// Only the store's; nothing has begun then.
pub async fn claim(project: &Project, terms: Vec<Terms>) -> Result<Vec<Claimed>, Error> {
    // A write even when there is nothing to do: it comes after the commit of whoever woke us.
    let claimed: Vec<Claimed> = project
        .store()
        .write(move |w| Ok::<_, Error>(terms.iter().map(|terms| claim_in(w, terms)).collect::<Result<_, _>>()?))
        .await?;
    for item in claimed.iter().flat_map(|claimed| &claimed.damaged) {
        let project = &project.record().slug;
        tracing::error!(%project, %item, "an item of the outbox cannot be read: it is passed over");
    }
    let given_up = claimed.iter().map(|claimed| claimed.buried).sum();
    project.shared().wakes.count(Tally { given_up, ..Tally::default() });
    Ok(claimed)
}

fn claim_in(w: &mut dyn Write, terms: &Terms) -> Result<Claimed, StoreError> {
    let (mut claimed, sends) = (Claimed::default(), terms.sends);
    let limit = if sends { terms.most + terms.in_flight.len() + LOOKED_AT } else { LOOKED_AT };
    let due = rows::due(w, &terms.lane, limit)?;
    let mut more = due.len() == limit;
    for (at, id) in due {
        if terms.in_flight.contains(&id) {
            continue;
        }
        let no_room = sends && claimed.items.len() >= terms.most;
        if (sends && at > terms.now) || no_room {
            claimed.look_at(at.max(terms.now));
            more = false;
            break;
        }
        match rows::get(w, id) {
            Ok(Some(item)) => claimed.take(w, item, terms)?,
            Ok(None) | Err(StoreError::Corrupt(_)) => claimed.damaged.push(id),
            Err(error) => return Err(error),
        }
    }
    if more {
        claimed.look_at(if sends { terms.now } else { terms.now.plus(LOOK_AGAIN) });
    }
    Ok(claimed)
}

/// The names of webhooks for which something waits.
///
/// # Errors
/// Only the store's.
pub fn webhooks(project: &Project) -> Result<Vec<String>, Error> {
    project.store().read(|r| Ok(rows::webhooks(r)?))
}

impl Claimed {
    fn look_at(&mut self, at: Timestamp) {
        self.next = self.next.into_iter().chain([at]).min();
    }

    fn take(&mut self, w: &mut dyn Write, mut item: Item, terms: &Terms) -> Result<(), StoreError> {
        if item.kind == Kind::Decoy {
            return rows::remove(w, &item);
        }
        if item.expires_at <= terms.now && item.last_error.as_deref() == Some(ONLY_TOLD) {
            return rows::remove(w, &item);
        }
        if terms.until(&item) <= terms.now {
            self.buried += 1;
            let why = match &item.last_error {
                Some(last) => format!("gave up after {} attempts: {last}", item.attempts),
                None if item.attempts > 0 => "it expired after a crash during the attempt".to_owned(),
                None => "it expired before it could be sent".to_owned(),
            };
            return rows::bury(w, item, terms.now, &why);
        }
        if !terms.sends {
            self.look_at(terms.until(&item).min(terms.now.plus(LOOK_AGAIN)));
            return Ok(());
        }
        if item.begun && item.interrupted {
            self.buried += 1;
            return rows::bury(w, item, terms.now, "cut off twice by a crash; the receiver may have it");
        }
        item.interrupted |= item.begun;
        item.begun = true;
        item.attempts = item.attempts.saturating_add(1);
        rows::put(w, &item)?;
        self.items.push(item);
        Ok(())
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Sent,
    /// It was only told of, and is to be read here until it expires.
    Told,
    /// It may work later.
    Later {
        /// Why not now; no secret.
        error: String,
        /// When to try again.
        next_at: Timestamp,
    },
    /// It will never work.
    Never {
        /// Why; no secret.
        error: String,
    },
}

/// Ends attempts: one write for all of them. What became of them.
///
/// # Errors
/// Only the store's; the attempts then count as cut off.
pub async fn settle(
    project: &Project,
    now: Timestamp,
    retry_for: Duration,
    ended: Vec<(Uuid, Outcome)>,
) -> Result<Tally, Error> {
    let (tally, counted) = project
        .store()
        .write(move |w| {
            let (mut tally, mut counted) = (Tally::default(), Vec::new());
            for (id, outcome) in &ended {
                // An operator may have dropped it meanwhile.
                let Some(item) = rows::get(w, *id)? else { continue };
                counted.push((item.kind, outcome.clone()));
                match outcome {
                    Outcome::Sent => {
                        tally.sent += 1;
                        rows::remove(w, &item)?;
                    }
                    Outcome::Told => {
                        tally.put_off += 1;
                        let until = item.expires_at;
                        rows::postpone(w, item, until, ONLY_TOLD)?;
                    }
                    Outcome::Later { error, next_at } if *next_at < item.since.plus(retry_for).min(item.expires_at) => {
                        tally.put_off += 1;
                        rows::postpone(w, item, *next_at, error)?;
                    }
                    Outcome::Later { error, .. } => {
                        tally.given_up += 1;
                        let why = format!("gave up after {} attempts: {error}", item.attempts);
                        rows::bury(w, item, now, &why)?;
                    }
                    Outcome::Never { error } => {
                        tally.given_up += 1;
                        rows::bury(w, item, now, error)?;
                    }
                }
            }
            Ok::<_, Error>((tally, counted))
        })
        .await?;
    for (kind, outcome) in counted {
        project.count_delivery(kind, &outcome);
    }
    project.shared().wakes.count(tally);
    Ok(tally)
}

/// The pause after an attempt that failed: doubling, with up to a quarter more by chance (`jitter`), so that what failed
/// together does not come back together.
pub fn pause_after(attempts: u32, jitter: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    doubled + doubled.mul_f64(f64::from(jitter) / f64::from(u32::MAX) / 4.0)
}

/// What an item says, opened.
///
/// # Errors
/// `Internal` when it does not open: sealed under another master key, or damaged.
pub fn open(project: &Project, item: &Item) -> Result<Secret<Vec<u8>>, Error> {
    open_of(project.shared(), project.id(), item)
}

/// The same, of a project that need not be open.
pub(crate) fn open_of(shared: &Shared, project: Uuid, item: &Item) -> Result<Secret<Vec<u8>>, Error> {
    match &item.payload {
        Payload::Plain(bytes) => Ok(Secret::new(bytes.clone())),
        Payload::Sealed(bytes) => shared
            .master
            .open(&context(project, item.id), bytes)
            .map_err(|error| Error::Internal(format!("an item of the outbox: {error}"))),
    }
}

/// Seals what an item is to say, before the transaction that writes it.
pub(crate) fn seal(project: &Project, item: Uuid, plain: &[u8]) -> Payload {
    seal_of(project.shared(), project.id(), item, plain)
}

/// The same, of a project that need not be open.
pub(crate) fn seal_of(shared: &Shared, project: Uuid, item: Uuid, plain: &[u8]) -> Payload {
    Payload::Sealed(shared.master.seal(&shared.env, &context(project, item), plain))
}

fn context(project: Uuid, item: Uuid) -> String {
    format!("keystead/outbox/{project}/{item}")
}

/// At most `limit` items that wait, oldest first, after the one with the id `after`.
///
/// # Errors
/// Only the store's.
pub fn waiting(project: &Project, after: Option<Uuid>, limit: usize) -> Result<Vec<Item>, Error> {
    project.store().read(|r| Ok(rows::waiting(r, after, limit)?))
}

/// At most `limit` dead letters, oldest first, after the one with the id `after`.
///
/// # Errors
/// Only the store's.
pub fn dead_letters(project: &Project, after: Option<Uuid>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    project.store().read(|r| Ok(rows::dead_letters(r, after, limit)?))
}

/// An item, waiting or dead.
#[derive(Clone, Debug)]
pub enum Found {
    /// It waits.
    Waiting(Item),
    /// It was given up.
    Dead(DeadLetter),
}

impl Found {
    /// It, either way.
    pub fn item(&self) -> &Item {
        match self {
            Self::Waiting(item) => item,
            Self::Dead(letter) => &letter.item,
        }
    }
}

/// The item with this id.
///
/// # Errors
/// `UnknownItem`, and the store's.
pub fn show(project: &Project, id: Uuid) -> Result<Found, Error> {
    project.store().read(|r| {
        let waiting = rows::get(r, id)?.filter(|item| item.kind != Kind::Decoy).map(Found::Waiting);
        match waiting {
            Some(found) => Ok(found),
            None => rows::dead(r, id)?.map(Found::Dead).ok_or(Error::UnknownItem),
        }
    })
}

/// How many items wait (decoys among them), and how many dead letters there are.
///
/// # Errors
/// Only the store's.
pub fn counts(project: &Project) -> Result<(u64, u64), Error> {
    project.store().read(|r| Ok(rows::counts(r)?))
}

/// Tries an item now: one that waits at once, a dead letter anew. One that is being sent is tried already.
///
/// # Errors
/// `UnknownItem`; `ItemExpired` where what is in it does not work any more; the store's.
pub async fn resend(project: &Project, by: Operator, id: Uuid) -> Result<Item, Error> {
    let event = of_item(project, by, EventKind::OutboxResent, id)?;
    let teller = project.teller();
    let item = project
        .store()
        .write(move |w| {
            if let Some(letter) = rows::dead(w, id)? {
                if letter.item.expires_at <= by.now {
                    return Err(Error::ItemExpired);
                }
                rows::revive(w, letter, by.now)?;
                teller.record(w, &event)?;
            } else {
                let item = rows::get(w, id)?.ok_or(Error::UnknownItem)?;
                if !item.begun {
                    rows::hasten(w, item, by.now)?;
                    teller.record(w, &event)?;
                }
            }
            rows::get(w, id)?.ok_or(Error::UnknownItem)
        })
        .await?;
    project.wake_outbox();
    Ok(item)
}

/// Tries every dead letter anew that still can work; how many.
///
/// # Errors
/// Only the store's.
pub async fn resend_all(project: &Project, by: Operator) -> Result<usize, Error> {
    let (mut revived, mut after) = (0, None);
    loop {
        let from = after;
        let event = events::by_operator(project, by, EventKind::OutboxResent, None);
        let teller = project.teller();
        let (count, last) = project
            .store()
            .write(move |w| {
                let letters = rows::dead_letters(w, from, REVIVED_AT_ONCE)?;
                let last = letters.last().map(|letter| letter.item.id);
                let mut count = 0;
                for letter in letters.into_iter().filter(|letter| by.now < letter.item.expires_at) {
                    rows::revive(w, letter, by.now)?;
                    count += 1;
                }
                if count > 0 {
                    teller.record(w, &event)?;
                }
                Ok::<_, Error>((count, last))
            })
            .await?;
        revived += count;
        match last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    project.wake_outbox();
    Ok(revived)
}

/// Removes an item, waiting or dead. One that is being sent may still arrive.
///
/// # Errors
/// `UnknownItem`, and the store's.
pub async fn remove(project: &Project, by: Operator, id: Uuid) -> Result<(), Error> {
    let event = of_item(project, by, EventKind::OutboxDropped, id)?;
    let teller = project.teller();
    project
        .store()
        .write(move |w| {
            if rows::dead(w, id)?.is_some() {
                rows::remove_dead(w, id)?;
            } else {
                let item = rows::get(w, id)?.ok_or(Error::UnknownItem)?;
                rows::remove(w, &item)?;
            }
            Ok(teller.record(w, &event)?)
        })
        .await
}

/// What an operator is about to do to an item: of a mail, to which address, and whose that is.
fn of_item(project: &Project, by: Operator, kind: EventKind, id: Uuid) -> Result<Event, Error> {
    let mut event = events::by_operator(project, by, kind, None);
    let found = show(project, id)?;
    let item = found.item();
    if item.kind == Kind::Mail
        && let Ok(email) = Email::parse(&item.recipient)
    {
        event.address = Some(project.address_digest(&email));
        event.user = project.store().read(|r| users::id_by_email(r, &email))?;
    }
    Ok(event)
}
