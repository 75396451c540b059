//! Sweeping a project of what has expired, a small step at a time.

use super::{Error, Project, audit};
use crate::data::sweep::{self as rows, Cursor};
use crate::env::Timestamp;

/// Rows looked at in one step: some milliseconds of reading at most.
const STEP: usize = 512;

/// What one step did.
#[derive(Debug)]
pub struct Swept {
    /// Rows removed.
    pub removed: usize,
    /// Where to go on.
    pub next: Cursor,
    /// Whether every table has been visited since the round began.
    pub round_done: bool,
}

/// Looks at the next rows and removes the expired ones, and the oldest entries of the audit trail that are not kept.
///
/// # Errors
/// Only the store's.
pub async fn step(project: &Project, cursor: &Cursor, now: Timestamp) -> Result<Swept, Error> {
    let step = project.store().read(|r| Ok::<_, Error>(rows::look(r, cursor, STEP, now)?))?;
    let expired = step.expired;
    let removed = if expired.is_empty() {
        0
    } else {
        project.store().write(move |w| Ok::<_, Error>(rows::remove(w, &expired, now)?)).await?
    };
    let trimmed = audit::trim(project, now).await?;
    // A trail with more to trim gets another round.
    let round_done = step.round_done && audit::is_trimmed(trimmed);
    Ok(Swept { removed: removed + trimmed, next: step.next, round_done })
}

/// Sweeps one whole round.
///
/// # Errors
/// Only the store's.
pub async fn round(project: &Project, now: Timestamp) -> Result<usize, Error> {
    let (mut cursor, mut removed) = (Cursor::default(), 0);
    loop {
        let swept = step(project, &cursor, now).await?;
        removed += swept.removed;
        if swept.round_done {
            return Ok(removed);
        }
        cursor = swept.next;
        tokio::task::yield_now().await;
    }
}
