//! From the rows of a project's file to lines. What becomes of each table is said in one place, for all tables.

use std::ops::ControlFlow;

use super::access::{ApiKey, Code, OneTime, PersonalToken, Session};
use super::counters::{Cooldown, LockoutAccount, LockoutClient, Rate};
use super::line::Line;
use super::people::{Device, GoneUser, Identity, User};
use super::trail::Audit;
use super::whole::Project;
use crate::data::outbox::{DeadLetter, Item};
use crate::data::project::{self, SealedKey, Sequence};
use crate::data::{Table, decode_row, end_of, key, keys, users};
use crate::store::{Read, StoreError};

/// What a row says: a line, or something sealed, which is the caller's to open or to leave out.
#[derive(Clone, Debug)]
pub enum Row {
    /// As it stands.
    Line(Line),
    /// The sealed secret from which refresh tokens are derived.
    RefreshSecret(Vec<u8>),
    /// A signing key.
    SigningKey(SealedKey),
    /// Something that waits to be sent; what it says may be sealed.
    Outbox(Item),
    /// Something that was given up; the same.
    DeadLetter(DeadLetter),
}

/// What a row with this key and this value says; it may have to look at others.
type RowOf = fn(&dyn Read, &[u8], &[u8]) -> Result<Option<Row>, StoreError>;

/// What becomes of a table's rows.
enum Fate {
    /// Each is told, unless this says that it says nothing.
    Told(RowOf),
    /// They are not, as what they say follows from others or is told elsewhere.
    Untold,
}

/// Nothing here may be forgotten: a new table has to be decided on.
fn fate(table: Table) -> Fate {
    match table {
        // Told first, by name.
        Table::Meta => Fate::Untold,
        Table::SigningKey => Fate::Told(|_, key, value| Ok(Some(Row::SigningKey(decode_row(key, value)?)))),
        Table::User => Fate::Told(|r, key, value| told(Line::User(Box::new(User::read(r, decode_row(key, value)?)?)))),
        // Follows from the accounts.
        Table::UserByEmail => Fate::Untold,
        // Told with the account.
        Table::Avatar => Fate::Untold,
        Table::UserGone => Fate::Told(|_, key, _| told(Line::GoneUser(GoneUser::read(key)?))),
        Table::Identity => Fate::Told(|_, key, value| told(Line::Identity(Identity::read(key, value)?))),
        // Follows from the identities.
        Table::IdentityByUser => Fate::Untold,
        Table::Session => {
            Fate::Told(|r, key, _| Ok(Session::read(r, key)?.map(|session| Row::Line(Line::Session(session.into())))))
        }
        // Follows from the sessions.
        Table::SessionByUser | Table::SessionByToken => Fate::Untold,
        // Told with the session.
        Table::SessionRefreshed => Fate::Untold,
        Table::Device => Fate::Told(|_, key, value| told(Line::Device(Device::read(key, value)?))),
        // Told with its slot, which knows all forms of a secret.
        Table::OneTime => Fate::Untold,
        Table::OneTimeSlot => {
            Fate::Told(|r, key, value| Ok(OneTime::read(r, key, value)?.map(|secret| Row::Line(Line::OneTime(secret)))))
        }
        Table::Code => Fate::Told(|_, key, value| told(Line::Code(Code::read(key, value)?))),
        Table::ApiKey => Fate::Told(|_, _, value| told(Line::ApiKey(Box::new(ApiKey::read(value)?)))),
        // Follows from the API keys.
        Table::ApiKeyByPublic => Fate::Untold,
        Table::PersonalToken => Fate::Told(|_, key, value| told(Line::PersonalToken(PersonalToken::read(key, value)?))),
        // Follows from the personal access tokens.
        Table::PersonalTokenByDigest => Fate::Untold,
        Table::LockoutByClient => {
            Fate::Told(|_, key, value| told(Line::LockoutClient(LockoutClient::read(key, value)?)))
        }
        Table::LockoutByAccount => {
            Fate::Told(|_, key, value| told(Line::LockoutAccount(LockoutAccount::read(key, value)?)))
        }
        Table::Cooldown => {
            Fate::Told(|_, key, value| Ok(Cooldown::read(key, value)?.map(|pause| Row::Line(Line::Cooldown(pause)))))
        }
        Table::Rate => Fate::Told(|_, key, value| told(Line::Rate(Rate::read(key, value)?))),
        // What version 0.1.0 wrote before there was a trail: nothing reads it.
        Table::Event => Fate::Untold,
        Table::Audit => Fate::Told(|_, key, value| told(Line::Audit(Box::new(Audit::read(key, value)?)))),
        Table::Outbox => Fate::Told(|_, key, value| Ok(Some(Row::Outbox(decode_row(key, value)?)))),
        // Follows from the outbox.
        Table::OutboxDue => Fate::Untold,
        Table::DeadLetter => Fate::Told(|_, key, value| Ok(Some(Row::DeadLetter(decode_row(key, value)?)))),
    }
}

fn told(line: Line) -> Result<Option<Row>, StoreError> {
    Ok(Some(Row::Line(line)))
}

/// What stands under a name of its own.
const NAMES: [&[u8]; 9] = [
    // Told with the project.
    b"project",
    b"sequence/users",
    b"sequence/api-keys",
    b"audit/anchor",
    // Told as a secret.
    b"refresh-key",
    // Follow from the trail, the outbox, the dead letters.
    b"audit/head",
    b"count/outbox",
    b"count/dead-letters",
    // Says nothing but that it was written.
    b"probe",
];

/// Tells all that a project's file holds, to `tell`, in an order in which it can be written again. `false` where the file
/// is no project.
///
/// # Errors
/// What `tell` answers; `Corrupt` for a row that cannot be read, and for one that nobody knows: a part is no export.
pub fn read<E: From<StoreError>>(r: &dyn Read, tell: &mut dyn FnMut(Row) -> Result<(), E>) -> Result<bool, E> {
    let Some(project) = Project::read(r)? else { return Ok(false) };
    nothing_unknown(r)?;
    tell(Row::Line(Line::Project(Box::new(project))))?;
    if let Some(sealed) = project::refresh_key(r)? {
        tell(Row::RefreshSecret(sealed))?;
    }
    for table in Table::ALL {
        let Fate::Told(row_of) = fate(table) else { continue };
        let mut stopped = Ok(());
        r.scan(&key(table, &[]), &end_of(&key(table, &[])), usize::MAX, &mut |key, value| {
            stopped = match row_of(r, key, value) {
                Ok(Some(row)) => tell(row),
                Ok(None) => Ok(()),
                Err(error) => Err(damaged(table, key, error).into()),
            };
            if stopped.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        stopped?;
    }
    Ok(true)
}

/// Whether a file holds no account, and never did.
///
/// # Errors
/// Only the store's.
pub fn is_unused(r: &dyn Read) -> Result<bool, StoreError> {
    let gone = key(Table::UserGone, &[]);
    let is_fresh = project::last(r, Sequence::Users)? == 0 && !users::any(r)?;
    Ok(is_fresh && keys(r, &gone, &end_of(&gone), 1)?.is_empty())
}

/// Refuses rows of tables and names that this program does not know, which an export would lose.
fn nothing_unknown(r: &dyn Read) -> Result<(), StoreError> {
    let mut from = vec![0];
    let tables = Table::ALL.map(|table| key(table, &[]));
    // Between two tables, and behind the last.
    for next in tables.iter().cloned().chain([vec![u8::MAX; 64]]) {
        if let Some(row) = keys(r, &from, &next, 1)?.first() {
            return Err(StoreError::Corrupt(format!(
                "a row {} that this program does not know",
                crate::crypto::hex(row)
            )));
        }
        from = end_of(&next);
    }
    let names = keys(r, &key(Table::Meta, &[]), &end_of(&key(Table::Meta, &[])), usize::MAX)?;
    let unknown = names.iter().find(|name| !NAMES.iter().any(|known| **name == key(Table::Meta, &[known])));
    match unknown {
        Some(name) => {
            let name = String::from_utf8_lossy(name.get(2..).unwrap_or_default()).escape_debug().to_string();
            Err(StoreError::Corrupt(format!("a row `{name}` that this program does not know")))
        }
        None => Ok(()),
    }
}

fn damaged(table: Table, key: &[u8], error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(why) => {
            let key = crate::crypto::hex(key.get(2..).unwrap_or_default());
            StoreError::Corrupt(format!("{table:?} {key}: {why}"))
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn tables_stand_in_the_order_of_their_numbers() {
        assert!(Table::ALL.is_sorted_by(|one, next| (*one as u8) < *next as u8));
    }

    #[tokio::test]
    async fn what_nobody_knows_is_not_lost_in_silence() {
        for stray in [vec![0x62, 1, 7], vec![0x00, 1], vec![0x73, 1], key(Table::Meta, &[b"new"])] {
            let store = Store::memory();
            let written = store.write(move |w| {
                project::put(w, &crate::data::portable::tests::project().record())?;
                w.put(&stray, b"?")
            });
            written.await.expect("a write");
            let read = store.read(|r| read::<StoreError>(r, &mut |_| Ok(())));
            assert!(matches!(read, Err(StoreError::Corrupt(why)) if why.contains("does not know")));
        }
    }
}
