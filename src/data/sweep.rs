//! Removing what has expired, in small steps, so that a file's growth is bounded and no step holds up a writer.

use std::ops::ControlFlow;

use super::{
    Record, Table, codes, decode, decode_row, end_of, key, lockouts, one_time, outbox, personal_tokens, rates, sessions,
};
use crate::data::one_time::OneTime;
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// Where the next step goes on. One round visits every table that holds things that expire.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    table: usize,
    after: Option<Vec<u8>>,
}

/// What a step found: expired keys with what else must go with them, and where to go on.
#[derive(Clone, Debug)]
pub struct Step {
    /// Keys of expired rows as they were read. [`remove`] looks at each again.
    pub expired: Vec<Vec<u8>>,
    /// Where the next step goes on.
    pub next: Cursor,
    /// Whether this step ended a round.
    pub round_done: bool,
}

const TABLES: [Table; 10] = [
    // Before the sessions in their places: what is put back there is no longer hidden by a newer row.
    Table::SessionRefreshed,
    Table::Session,
    Table::OneTime,
    Table::PersonalToken,
    Table::Code,
    Table::LockoutByClient,
    Table::LockoutByAccount,
    Table::Cooldown,
    Table::Rate,
    Table::DeadLetter,
];

/// Looks at up to `limit` rows from `cursor` on. Reads only: a step that finds nothing costs no write.
pub fn look(r: &(impl Read + ?Sized), cursor: &Cursor, limit: usize, now: Timestamp) -> Result<Step, StoreError> {
    let table = TABLES[cursor.table % TABLES.len()];
    let from = match &cursor.after {
        Some(last) => [last.as_slice(), &[0]].concat(),
        None => key(table, &[]),
    };
    let (mut expired, mut last, mut seen) = (Vec::new(), None, 0);
    r.scan(&from, &end_of(&key(table, &[])), limit, &mut |key, value| {
        seen += 1;
        last = Some(key.to_vec());
        // A row that cannot be read is left for an operator to see; it must not stop the sweep.
        if is_expired(table, value, now).unwrap_or(false) {
            expired.push(key.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    let table_done = seen < limit;
    let next_table = (cursor.table + usize::from(table_done)) % TABLES.len();
    Ok(Step {
        expired,
        round_done: table_done && next_table == 0,
        next: Cursor { table: next_table, after: if table_done { None } else { last } },
    })
}

/// Removes rows that [`look`] found and that still are expired (a session may have been refreshed since).
pub fn remove(w: &mut (impl Write + ?Sized), expired: &[Vec<u8>], now: Timestamp) -> Result<usize, StoreError> {
    let mut removed = 0;
    for key in expired {
        let (Some(value), Some(table)) = (w.get(key)?, table_of(key)) else { continue };
        if !is_expired(table, &value, now)? {
            continue;
        }
        match table {
            Table::SessionRefreshed => {
                sessions::settle(w, &decode_row(key, &value)?)?;
                continue;
            }
            Table::Session => {
                let begun: sessions::Session = decode_row(key, &value)?;
                // It may have been refreshed since; then the row here is only behind.
                match sessions::get(w, begun.id)? {
                    Some(session) if session.expires_at <= now => sessions::remove(w, session.user, session.id)?,
                    _ => continue,
                }
            }
            Table::OneTime => {
                let secret: OneTime = decode(&value)?;
                // The account's slot points here unless a newer secret took it.
                w.delete(key)?;
                one_time::forget_slot(w, key, secret.user)?;
            }
            Table::PersonalToken => personal_tokens::remove(w, &decode_row(key, &value)?)?,
            Table::DeadLetter => outbox::remove_dead(w, super::id_of_key(key)?)?,
            _ => w.delete(key)?,
        }
        removed += 1;
    }
    Ok(removed)
}

fn table_of(key: &[u8]) -> Option<Table> {
    TABLES.into_iter().find(|&table| key.first() == Some(&(table as u8)))
}

fn is_expired(table: Table, value: &[u8], now: Timestamp) -> Result<bool, StoreError> {
    fn row<T: Record>(value: &[u8]) -> Result<T, StoreError> {
        decode(value)
    }
    Ok(match table {
        Table::SessionRefreshed => sessions::is_settled(&row(value)?, now),
        Table::Session => row::<sessions::Session>(value)?.expires_at <= now,
        Table::OneTime => row::<OneTime>(value)?.expires_at <= now,
        Table::Code => row::<codes::Code>(value)?.keep_until <= now,
        Table::PersonalToken => row::<personal_tokens::PersonalToken>(value)?.expires_at <= now,
        Table::LockoutByClient => row::<lockouts::ByClient>(value)?.keep_until <= now,
        Table::LockoutByAccount => row::<lockouts::ByAccount>(value)?.keep_until <= now,
        Table::Cooldown => row::<one_time::Cooldown>(value)?.until <= now,
        Table::Rate => row::<rates::RateWindow>(value)?.until <= now,
        Table::DeadLetter => row::<outbox::DeadLetter>(value)?.keep_until() <= now,
        _ => false,
    })
}
