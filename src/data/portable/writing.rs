//! From lines to the rows of a project's file, with the index rows that follow from them. What stands twice, or leads to an
//! account that there is not, is refused.

use std::collections::HashMap;

use super::line::Line;
use super::people::{Identity, User};
use super::reading::Row;
use crate::data::outbox::{self, MAX_DEAD, MAX_WAITING};
use crate::data::{
    Record, api_keys, audit, avatars, identities, one_time, personal_tokens, project, sessions, store, users,
};
use crate::store::{Read, StoreError, Write};
use uuid::Uuid;

/// Why a row was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In words.
    pub reason: &'static str,
    /// Whether that may only be because a line before it was wrong.
    pub follows: bool,
}

/// A row that is twice, or one too many.
fn refused(reason: &'static str) -> Result<Result<(), Refused>, StoreError> {
    Ok(Err(Refused { reason, follows: false }))
}

/// A row that hangs on one which is not there.
fn lost(reason: &'static str) -> Result<Result<(), Refused>, StoreError> {
    Ok(Err(Refused { reason, follows: true }))
}

/// Writes a row of another file. The project's own line is written with [`super::whole::Project::begin`], before all others.
///
/// # Errors
/// Only the store's; a row that does not fit those that are there is refused.
pub fn write(w: &mut dyn Write, row: &Row) -> Result<Result<(), Refused>, StoreError> {
    match row {
        Row::RefreshSecret(sealed) => {
            if project::refresh_key(w)?.is_some() {
                return refused("the project has its refresh secret already");
            }
            project::put_refresh_key(w, sealed.clone())?;
        }
        Row::SigningKey(sealed) => {
            if project::signing_keys(w)?.iter().any(|key| key.id == sealed.id) {
                return refused("there is a signing key with this id already");
            }
            project::put_signing_key(w, sealed)?;
        }
        Row::Outbox(item) => {
            let (waiting, _) = outbox::counts(w)?;
            if outbox::get(w, item.id)?.is_some() {
                return refused("something with this id waits already");
            }
            if waiting >= MAX_WAITING {
                return refused("more waits to be sent than may");
            }
            outbox::bring(w, item)?;
        }
        Row::DeadLetter(letter) => {
            let (_, dead) = outbox::counts(w)?;
            if outbox::dead(w, letter.item.id)?.is_some() {
                return refused("there is a dead letter with this id already");
            }
            if dead >= MAX_DEAD {
                return refused("there are more dead letters than are kept");
            }
            outbox::bring_dead(w, letter)?;
        }
        Row::Line(line) => return write_line(w, line),
    }
    Ok(Ok(()))
}

fn write_line(w: &mut dyn Write, line: &Line) -> Result<Result<(), Refused>, StoreError> {
    match line {
        Line::User(user) => return account(w, user),
        Line::GoneUser(gone) => {
            if users::get(w, gone.id)?.is_some() || users::is_gone(w, gone.id)? {
                return refused("this id stands twice");
            }
            users::put_gone(w, gone.id)?;
        }
        Line::Identity(identity) => return identity_of(w, identity),
        Line::Session(session) => {
            let session = session.record();
            let by_token = session.indexed().map(|digest| sessions::id_by_token(w, &digest)).transpose()?.flatten();
            if sessions::get(w, session.id)?.is_some() || by_token.is_some() {
                return refused("there is a session with this id or token already");
            }
            if !is_there(w, session.user)? {
                return lost(NO_ACCOUNT);
            }
            sessions::insert(w, &session)?;
        }
        Line::Device(device) => {
            let (row, record) = device.record();
            if !is_there(w, device.user)? {
                return lost(NO_ACCOUNT);
            }
            return once(w, &row, &record);
        }
        Line::OneTime(secret) => {
            let (purpose, (digests, record)) = (secret.purpose.0, secret.record());
            let mut known = w.get(&one_time::slot(record.user, purpose))?.is_some();
            for digest in &digests {
                known |= one_time::find(w, purpose, digest)?.is_some();
            }
            if known {
                return refused("there is such a secret of this account already");
            }
            one_time::issue(w, purpose, &digests, &record)?;
        }
        Line::Code(code) => {
            let (row, record) = code.record();
            return once(w, &row, &record);
        }
        Line::ApiKey(api_key) => {
            let api_key = api_key.record();
            let same = api_keys::get(w, api_key.user, api_key.number)?.is_some();
            if same || api_keys::by_prefix(w, &api_key.prefix)?.is_some() {
                return refused("there is an API key with this number or prefix already");
            }
            if !is_there(w, api_key.user)? {
                return lost(NO_ACCOUNT);
            }
            api_keys::insert(w, &api_key)?;
        }
        Line::PersonalToken(token) => {
            let token = token.record();
            let of_user = personal_tokens::of_user(w, token.user)?;
            if of_user.iter().any(|one| one.id == token.id) || personal_tokens::find(w, &token.digest)?.is_some() {
                return refused("there is a personal access token with this id or digest already");
            }
            if !is_there(w, token.user)? {
                return lost(NO_ACCOUNT);
            }
            personal_tokens::insert(w, &token)?;
        }
        Line::LockoutClient(lockout) => {
            let (row, record) = lockout.record();
            return once(w, &row, &record);
        }
        Line::LockoutAccount(lockout) => {
            let (row, record) = lockout.record();
            return once(w, &row, &record);
        }
        Line::Cooldown(cooldown) => {
            let (row, record) = cooldown.record();
            return once(w, &row, &record);
        }
        Line::Rate(rate) => {
            let (row, record) = rate.record();
            return once(w, &row, &record);
        }
        Line::Audit(entry) => {
            let (entry, hash) = entry.record();
            if !audit::bring(w, &entry, &hash)? {
                return lost(
                    "this entry of the audit trail does not follow the one before, or is not what its hash says",
                );
            }
        }
        // Opened and sealed by the caller, or no row.
        Line::Keystead(_)
        | Line::Project(_)
        | Line::RefreshSecret(_)
        | Line::SigningKey(_)
        | Line::Outbox(_)
        | Line::DeadLetter(_)
        | Line::End(_)
        | Line::Failed(_) => return refused("such a line has no place here"),
    }
    Ok(Ok(()))
}

const NO_ACCOUNT: &str = "no account with the id `user` stands before it";

fn account(w: &mut dyn Write, user: &User) -> Result<Result<(), Refused>, StoreError> {
    let record = user.record();
    if users::get(w, user.id)?.is_some() || users::is_gone(w, user.id)? {
        return refused("there is, or was, an account with this id already");
    }
    if let Some(email) = record.address()?
        && users::id_by_email(w, &email)?.is_some()
    {
        return refused("there is an account with this address already");
    }
    users::insert(w, &record)?;
    if let Some(picture) = &user.picture {
        avatars::put(w, user.id, picture)?;
    }
    Ok(Ok(()))
}

fn identity_of(w: &mut dyn Write, identity: &Identity) -> Result<Result<(), Refused>, StoreError> {
    let Some((name, record)) = identity.record() else { return refused("that is no name of an account at a provider") };
    if identities::get(w, &name)?.is_some() {
        return refused("this identity leads to an account already");
    }
    if !is_there(w, identity.user)? {
        return lost(NO_ACCOUNT);
    }
    identities::insert(w, &name, &record)?;
    Ok(Ok(()))
}

fn is_there(r: &(impl Read + ?Sized), user: Uuid) -> Result<bool, StoreError> {
    Ok(users::get(r, user)?.is_some())
}

fn once<T: Record>(w: &mut dyn Write, row: &[u8], record: &T) -> Result<Result<(), Refused>, StoreError> {
    if w.get(row)?.is_some() {
        return refused("this stands twice");
    }
    store(w, row, record)?;
    Ok(Ok(()))
}

/// The numbers of a project that were given out, so that none is twice: a bit for each.
#[derive(Debug, Default)]
pub struct Numbers(HashMap<u64, u64>);

impl Numbers {
    /// Takes a number; `false` when it was taken already.
    pub fn take(&mut self, number: u64) -> bool {
        let (word, bit) = (self.0.entry(number / 64).or_default(), 1 << (number % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
