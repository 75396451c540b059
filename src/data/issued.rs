//! Everything a project has given out or is about to send: removed together, in steps, where a file becomes another
//! project or goes back to an earlier day.

use super::outbox::forget_counts;
use super::{Table, end_of, key, keys};
use crate::store::{StoreError, Write};

/// What is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// What ends by itself: sessions, links, tickets, codes.
    Passing,
    /// That, signing keys, API keys, personal access tokens, and all that waits to be sent or was given up.
    All,
}

const PASSING: [Table; 7] = [
    Table::SessionRefreshed,
    Table::Session,
    Table::SessionByUser,
    Table::SessionByToken,
    Table::OneTime,
    Table::OneTimeSlot,
    Table::Code,
];

const LASTING: [Table; 8] = [
    Table::SigningKey,
    Table::ApiKey,
    Table::ApiKeyByPublic,
    Table::PersonalToken,
    Table::PersonalTokenByDigest,
    Table::Outbox,
    Table::OutboxDue,
    Table::DeadLetter,
];

impl Issued {
    /// Whether rows of this table belong to it.
    pub(crate) fn holds(self, table: Table) -> bool {
        PASSING.contains(&table) || self == Self::All && LASTING.contains(&table)
    }
}

/// Removes at most `limit` rows of it. Answers whether that was all.
pub fn remove(w: &mut (impl Write + ?Sized), what: Issued, limit: usize) -> Result<bool, StoreError> {
    let lasting: &[Table] = if what == Issued::All { &LASTING } else { &[] };
    let mut left = limit;
    for table in PASSING.iter().chain(lasting) {
        let all = key(*table, &[]);
        let rows = keys(w, &all, &end_of(&all), left)?;
        rows.iter().try_for_each(|row| w.delete(row))?;
        left -= rows.len();
        if left == 0 {
            return Ok(false);
        }
    }
    if what == Issued::All {
        forget_counts(w)?;
    }
    Ok(true)
}
