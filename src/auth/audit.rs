//! The audit trail of a project: read, trimmed, verified.
//!
//! Every change that a verb or an operator makes adds one entry, in the transaction of the change: who (a stranger, the
//! account's owner, an operator with their user id, the server itself), what, to which account, from where, and what came
//! of it. A sign-in and a sign-up write one entry each, a wrong password one, the one that locks two. Reads write none, and
//! neither do refreshes of a session, which would be nearly all there is; nor does an attempt on a locked address, so that
//! a stranger who goes on knocking fills nothing.
//!
//! What identifies whom: an entry names accounts by id and never holds an address. A failed sign-in holds a digest of the
//! address that was tried, under a key of the project which its file keeps sealed: an operator who asks for an address
//! finds its entries, and whoever comes by the file alone cannot tell which addresses strangers mistyped. An entry about an
//! address without account is as long as any other.
//!
//! # What the chain proves
//!
//! Each entry holds the hash of the one before, so an entry that was changed, removed, inserted or moved breaks the chain
//! at that place, and [`verify`] finds it. That is all a chain inside the file can do. Whoever may write the file may also
//! write a new chain, and may cut off the end. Both are found only by comparing with a head (number and hash) that was noted
//! elsewhere before: the server logs it about once an hour and when it stops, to be kept where logs are kept, and [`verify`]
//! takes one as what is expected. What was written after the last head that got away in time can be rewritten unseen.

use std::sync::atomic::Ordering;

use super::{Email, Error, Project};
use crate::crypto::Digest;
use crate::data::audit::{self as rows, Row};
pub use crate::data::audit::{Bounds, Entry};
use crate::env::Timestamp;

/// Rows read in one snapshot: some milliseconds at most.
const STEP: usize = 1000;

/// An entry's number and hash: what a trail up to there can be recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The number.
    pub seq: u64,
    /// The hash.
    pub hash: Digest,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not those of before.
    pub since: Option<Timestamp>,
    /// Only those about this address: tried, locked or unlocked, or of the account that has it now.
    pub address: Option<Email>,
}

/// Some entries.
#[derive(Clone, Debug)]
pub struct Page {
    /// In order, each with its own hash.
    pub entries: Vec<(Entry, Digest)>,
    /// After which number to go on, when there are more.
    pub next: Option<u64>,
    /// The number of the last entry there was; 0 when there was none.
    pub end: u64,
}

/// What became of a verification.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Every entry is chained to the one before.
    Whole {
        /// The first entry that is kept.
        first: u64,
        /// How many there are.
        entries: u64,
        /// The last one; to be noted.
        head: Point,
    },
    /// Something was changed.
    Broken {
        /// The first entry that is not what it was.
        at: u64,
        /// In which way.
        reason: &'static str,
    },
    /// The entry expected was trimmed: nothing is left to compare it with.
    Forgotten {
        /// The first entry that is kept.
        first: u64,
    },
}

/// At most `limit` entries after the number `after`, in order.
///
/// # Errors
/// Only the store's.
pub async fn list(project: &Project, after: u64, limit: usize, filter: &Filter) -> Result<Page, Error> {
    let wanted = Wanted::new(project, filter)?;
    let (mut seen, mut entries) = (after, Vec::new());
    loop {
        let (end, rows) = project.store().read(|r| {
            let end = rows::bounds(r)?.next.saturating_sub(1);
            Ok::<_, Error>((end, rows::after(r, seen, STEP)?))
        })?;
        let whole = rows.len() < STEP;
        for row in rows {
            if entries.len() == limit {
                return Ok(Page { entries, next: Some(seen), end });
            }
            seen = row.seq;
            entries.extend(wanted.take(&row)?);
        }
        if whole {
            return Ok(Page { entries, next: None, end: end.max(seen) });
        }
        tokio::task::yield_now().await;
    }
}

/// The last `count` entries, in order.
///
/// # Errors
/// Only the store's.
pub async fn last(project: &Project, count: usize, filter: &Filter) -> Result<Page, Error> {
    let wanted = Wanted::new(project, filter)?;
    let end = project.store().read(|r| Ok::<_, Error>(rows::bounds(r)?.next))?.saturating_sub(1);
    let (mut seen, mut entries) = (end.saturating_add(1), Vec::new());
    loop {
        let rows = project.store().read(|r| Ok::<_, Error>(rows::before(r, seen, STEP)?))?;
        let whole = rows.len() < STEP;
        for row in rows {
            seen = row.seq;
            if entries.len() < count {
                entries.extend(wanted.take(&row)?);
            }
        }
        if whole || entries.len() == count {
            entries.reverse();
            return Ok(Page { entries, next: None, end });
        }
        tokio::task::yield_now().await;
    }
}

/// Walks the whole chain as it is when it begins, a small step at a time; entries may be added and trimmed meanwhile.
///
/// # Errors
/// Only the store's.
pub async fn verify(project: &Project, expected: Option<Point>) -> Result<Verdict, Error> {
    let begun = project.store().read(|r| Ok::<_, Error>(rows::bounds(r)?))?;
    let head = Point { seq: begun.next.saturating_sub(1), hash: begun.last };
    if expected.is_some_and(|point| point.seq > head.seq) {
        return Ok(Verdict::Broken {
            at: head.seq + 1,
            reason: "it is missing: the trail ends before the entry expected",
        });
    }
    let mut walk = Walk { first: begun.first, seq: begun.first.saturating_sub(1), hash: begun.before, expected };
    if expected.is_some_and(|point| point.seq < walk.seq) {
        return Ok(Verdict::Forgotten { first: begun.first });
    }
    if let Some(broken) = walk.compare() {
        return Ok(broken);
    }
    loop {
        let (bounds, rows) =
            project.store().read(|r| Ok::<_, Error>((rows::bounds(r)?, rows::after(r, walk.seq, STEP)?)))?;
        if walk.seq < bounds.first.saturating_sub(1) {
            // Trimmed since: what is gone needs no verification, what is kept hangs on the new anchor.
            (walk.first, walk.seq, walk.hash) = (bounds.first, bounds.first - 1, bounds.before);
            if walk.seq < head.seq {
                continue;
            }
        }
        for row in rows.iter().take_while(|row| row.seq <= head.seq) {
            if let Some(broken) = walk.step(row)? {
                return Ok(broken);
            }
        }
        if rows.last().is_some_and(|row| row.seq >= bounds.next) {
            return Ok(Verdict::Broken { at: bounds.next, reason: "the trail was said to end before it" });
        }
        if rows.len() < STEP || walk.seq >= head.seq {
            return Ok(walk.arrive(head));
        }
        tokio::task::yield_now().await;
    }
}

/// Removes what the project's settings no longer keep: by age, and beyond the number. A small step; how many it removed.
///
/// Only from the beginning on: an entry that was written while the clock ran ahead holds the ones after it until its time,
/// or until they are too many.
///
/// # Errors
/// Only the store's.
pub(crate) async fn trim(project: &Project, now: Timestamp) -> Result<usize, Error> {
    let settings = project.settings();
    let keep = &settings.audit;
    let due = project.store().read(|r| {
        let bounds = rows::bounds(r)?;
        let beyond = bounds.count().saturating_sub(keep.max_entries);
        let oldest = rows::after(r, bounds.first.saturating_sub(1), rows::TRIM)?;
        // One that cannot be read is left for an operator to see until it is one too many.
        let is_old = |row: &Row| row.entry().is_ok_and(|entry| entry.event.at.plus(keep.keep) <= now);
        let due = oldest.iter().take_while(|row| row.seq - bounds.first < beyond || is_old(row)).last();
        Ok::<_, Error>(due.map(|row| (bounds.first, row.seq)))
    })?;
    let Some((first, upto)) = due else { return Ok(0) };
    project.store().write(move |w| Ok::<_, Error>(rows::trim(w, first, upto)?)).await
}

/// Whether a step of [`trim`] that removed so many was the last one for now.
pub(crate) fn is_trimmed(removed: usize) -> bool {
    removed < rows::TRIM
}

/// Says the head in the log, unless it was said already: kept elsewhere, it proves later that nothing before it changed.
///
/// # Errors
/// Only the store's.
pub fn note_head(project: &Project) -> Result<(), Error> {
    let bounds = project.store().read(|r| Ok::<_, Error>(rows::bounds(r)?))?;
    let seq = bounds.next.saturating_sub(1);
    // Relaxed: at worst a head is said twice.
    if project.noted().swap(seq, Ordering::Relaxed) < seq {
        let (project, hash) = (&project.record().slug, bounds.last.hex());
        tracing::info!(target: "keystead::audit", parent: None, %project, %seq, %hash, "head of the audit trail");
    }
    Ok(())
}

/// A filter, ready to be applied.
struct Wanted {
    since: Option<Timestamp>,
    address: Option<([u8; 16], Option<uuid::Uuid>)>,
}

impl Wanted {
    fn new(project: &Project, filter: &Filter) -> Result<Self, Error> {
        let address = match &filter.address {
            Some(email) => {
                let user = project.store().read(|r| Ok::<_, Error>(crate::data::users::id_by_email(r, email)?))?;
                Some((project.address_digest(email), user))
            }
            None => None,
        };
        Ok(Self { since: filter.since, address })
    }

    fn take(&self, row: &Row) -> Result<Option<(Entry, Digest)>, Error> {
        let entry = row.entry()?;
        let event = &entry.event;
        let wanted = self.since.is_none_or(|since| since <= event.at)
            && self
                .address
                .is_none_or(|(digest, user)| event.address == Some(digest) || (user.is_some() && event.user == user));
        Ok(wanted.then(|| (entry, row.hash())))
    }
}

/// How far a verification has come.
struct Walk {
    first: u64,
    /// The last entry that is proved.
    seq: u64,
    hash: Digest,
    expected: Option<Point>,
}

impl Walk {
    /// One entry further; the verdict when it does not follow.
    fn step(&mut self, row: &Row) -> Result<Option<Verdict>, Error> {
        let next = self.seq + 1;
        if row.seq != next {
            return Ok(Some(Verdict::Broken { at: next, reason: "it is missing" }));
        }
        let Ok(entry) = row.entry() else {
            return Ok(Some(Verdict::Broken { at: next, reason: "it cannot be read" }));
        };
        if entry.previous != self.hash {
            return Ok(Some(if next == self.first {
                Verdict::Broken { at: next, reason: "it does not follow what was there before it" }
            } else {
                Verdict::Broken { at: self.seq, reason: "it is not the one that the next entry was chained to" }
            }));
        }
        (self.seq, self.hash) = (next, row.hash());
        Ok(self.compare())
    }

    /// Whether this is the entry expected and is not as expected.
    fn compare(&self) -> Option<Verdict> {
        let expected = self.expected.filter(|point| point.seq == self.seq)?;
        (expected.hash != self.hash).then_some(Verdict::Broken {
            at: self.seq,
            reason: "its hash is not the one expected: the trail was rewritten",
        })
    }

    fn arrive(&self, head: Point) -> Verdict {
        if self.seq < head.seq {
            return Verdict::Broken { at: self.seq + 1, reason: "it is missing" };
        }
        if self.seq == head.seq && self.hash != head.hash {
            return Verdict::Broken { at: self.seq, reason: "it is not the one that the trail was said to end with" };
        }
        Verdict::Whole { first: self.first, entries: (self.seq + 1).saturating_sub(self.first), head }
    }
}
