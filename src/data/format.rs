//! The formats of a project's file: what each step rewrites, and records as earlier formats had them.
//!
//! | format | what it has |
//! |---|---|
//! | 1 | rows of several record versions side by side; events without a chain |
//! | 2 | one version of each record |
//!
//! A record or key that is to be written otherwise gets a format of its own: raise the record's `VERSION`, put how it was
//! into this file, add a step, and name the version of the program that brings it. `tests/formats/README.md` says how to
//! make the file of the format that ends with it.

use std::ops::ControlFlow;

use serde::Deserialize;
use uuid::Uuid;

use super::one_time::OneTime;
use super::sessions::{Carrier, Session};
use super::users::{EmailProof, Role, User};
use super::{Record, Table, encode, end_of, key, keys};
use crate::crypto::{Digest, StoredHash};
use crate::env::Timestamp;
use crate::store::{Step, StoreError, Write};

/// From each format to the next.
pub const STEPS: &[Step] = &[Step { to: 2, needs: "0.1.0", run: to_2 }];

/// Rows that are held in memory at a time.
const CHUNK: usize = 1000;

fn to_2(w: &mut dyn Write) -> Result<(), StoreError> {
    rewrite(w, Table::User, user_of_1)?;
    rewrite(w, Table::Session, session_of_1)?;
    rewrite(w, Table::SessionRefreshed, session_of_1)?;
    rewrite(w, Table::OneTime, one_time_of_1)?;
    clear(w, Table::Event)
}

/// Writes the rows of `table` that are of another version than today's as `earlier` reads them: version and body.
///
/// A row that nobody can read stays as it is. It harms whoever asks for it, as it did before; it must not keep everybody
/// else out.
fn rewrite<T: Record>(w: &mut dyn Write, table: Table, earlier: fn(u8, &[u8]) -> Option<T>) -> Result<(), StoreError> {
    let end = end_of(&key(table, &[]));
    let (mut from, mut unreadable) = (key(table, &[]), 0_u64);
    loop {
        let (mut seen, mut rewritten, mut last) = (0, Vec::new(), None);
        w.scan(&from, &end, CHUNK, &mut |key, value| {
            seen += 1;
            last = Some(key.to_vec());
            match value.split_first() {
                Some((&version, _)) if version == T::VERSION => {}
                Some((&version, body)) => match earlier(version, body) {
                    Some(record) => rewritten.push((key.to_vec(), encode(&record))),
                    None => unreadable += 1,
                },
                None => unreadable += 1,
            }
            ControlFlow::Continue(())
        })?;
        rewritten.iter().try_for_each(|(key, value)| w.put(key, value))?;
        match last {
            Some(last) if seen == CHUNK => from = [last.as_slice(), &[0]].concat(),
            _ => break,
        }
    }
    if unreadable > 0 {
        tracing::error!(?table, rows = unreadable, "rows that cannot be read were left as they are");
    }
    Ok(())
}

fn clear(w: &mut dyn Write, table: Table) -> Result<(), StoreError> {
    let from = key(table, &[]);
    loop {
        let found = keys(w, &from, &end_of(&from), CHUNK)?;
        if found.is_empty() {
            return Ok(());
        }
        found.iter().try_for_each(|key| w.delete(key))?;
    }
}

fn user_of_1(version: u8, body: &[u8]) -> Option<User> {
    match version {
        1 => postcard::from_bytes::<UserV1>(body).ok().map(UserV1::upgraded),
        2 => postcard::from_bytes::<UserV2>(body).ok().map(UserV2::upgraded),
        _ => None,
    }
}

/// An account as version 1 of the record had it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
struct UserV1 {
    number: u64,
    email: String,
    display_name: Option<String>,
    email_proof: Option<EmailProof>,
    metadata: Option<String>,
    password: Option<StoredHash>,
    disabled_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl UserV1 {
    fn upgraded(self) -> User {
        UserV2 {
            number: self.number,
            email: self.email,
            display_name: self.display_name,
            email_proof: self.email_proof,
            metadata: self.metadata,
            locale: None,
            role: Role::User,
            has_avatar: false,
            password: self.password,
            disabled_at: self.disabled_at,
            created_at: self.created_at,
        }
        .upgraded()
    }
}

/// An account as version 2 of the record had it: always with an address.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
struct UserV2 {
    number: u64,
    email: String,
    display_name: Option<String>,
    email_proof: Option<EmailProof>,
    metadata: Option<String>,
    locale: Option<String>,
    role: Role,
    has_avatar: bool,
    password: Option<StoredHash>,
    disabled_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl UserV2 {
    fn upgraded(self) -> User {
        User {
            number: self.number,
            email: Some(self.email),
            display_name: self.display_name,
            email_proof: self.email_proof,
            metadata: self.metadata,
            locale: self.locale,
            role: self.role,
            has_avatar: self.has_avatar,
            password: self.password,
            disabled_at: self.disabled_at,
            // The id is the row's key, which stays.
            ..User::new(Uuid::nil(), self.created_at)
        }
    }
}

fn session_of_1(version: u8, body: &[u8]) -> Option<Session> {
    match version {
        1 => postcard::from_bytes::<SessionV1>(body).ok().map(SessionV1::upgraded),
        // Where a carrier stands now it had a flag, which is written as the first two of them are.
        2 => postcard::from_bytes(body).ok(),
        _ => None,
    }
}

/// A session as version 1 of the record had it: always with refresh tokens.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
struct SessionV1 {
    user: Uuid,
    created_at: Timestamp,
    refreshed_at: Timestamp,
    expires_at: Timestamp,
    generation: u32,
    refresh: Digest,
    previous: Option<Digest>,
    ip: [u8; 16],
    agent: Option<String>,
}

impl SessionV1 {
    fn upgraded(self) -> Session {
        Session {
            id: Uuid::nil(),
            user: self.user,
            created_at: self.created_at,
            refreshed_at: self.refreshed_at,
            expires_at: self.expires_at,
            generation: self.generation,
            refresh: self.refresh,
            previous: self.previous,
            ip: self.ip,
            agent: self.agent,
            carrier: Carrier::Pair,
        }
    }
}

fn one_time_of_1(version: u8, body: &[u8]) -> Option<OneTime> {
    let (user, expires_at, mailed) = match version {
        // The first version was handed to the app only.
        1 => postcard::from_bytes::<(Uuid, Timestamp)>(body).ok().map(|(user, until)| (user, until, false))?,
        2 => postcard::from_bytes(body).ok()?,
        _ => return None,
    };
    Some(OneTime { user, expires_at, mailed, about: None })
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
