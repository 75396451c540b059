//! Signing keys of a project: made, listed, rotated with overlap.

use std::time::Duration;

use uuid::Uuid;

use super::events::{self, EventKind};
use super::project::Shared;
use super::{Error, Operator, Project};
use crate::data::project::{self as rows, SealedKey};
use crate::env::Timestamp;
use crate::token::KeyRecord;

/// A signing key as an operator sees it.
#[derive(Clone, Debug)]
pub struct KeyView {
    /// Its id.
    pub id: Uuid,
    /// The id published with it (PASERK `k4.pid`).
    pub kid: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on nothing signed by it is accepted; `None` for the key that signs.
    pub retires_at: Option<Timestamp>,
}

/// The project's signing keys, oldest first.
///
/// # Errors
/// Only the store's.
pub fn list(project: &Project) -> Result<Vec<KeyView>, Error> {
    read(project)?.iter().map(view).collect()
}

/// Makes a new key that signs from now on. The ones before it verify for `overlap` longer (at least as long as a token
/// they signed may live); with `overlap` zero nothing they signed is accepted any more.
///
/// # Errors
/// Only the store's.
pub async fn rotate(project: &Project, by: Operator, overlap: Duration) -> Result<KeyView, Error> {
    let now = by.now;
    let shared = project.shared();
    let until = now.plus(overlap);
    let new = KeyRecord::generate(&shared.env, now);
    let (mut kept, mut gone) = (vec![seal(shared, project.id(), &new)], Vec::new());
    for old in read(project)? {
        match old.retires_at {
            Some(at) if at <= now => gone.push(old.id),
            Some(at) if at <= until => {}
            _ => kept.push(seal(shared, project.id(), &KeyRecord { retires_at: Some(until), ..old })),
        }
    }
    let event = events::by_operator(project, by, EventKind::KeysRotated, None);
    let teller = project.teller();
    project
        .store()
        .write(move |w| {
            for key in &kept {
                rows::put_signing_key(w, key)?;
            }
            for &id in &gone {
                rows::remove_signing_key(w, id)?;
            }
            Ok::<_, Error>(teller.record(w, &event)?)
        })
        .await?;
    project.reload_keys()?;
    view(&new)
}

/// A fresh signing key, sealed.
pub(crate) fn new_signing_key(shared: &Shared, project: Uuid, now: Timestamp) -> SealedKey {
    seal(shared, project, &KeyRecord::generate(&shared.env, now))
}

/// The key in a row.
pub(crate) fn unseal(shared: &Shared, project: Uuid, key: &SealedKey) -> Result<KeyRecord, Error> {
    KeyRecord::unseal(&shared.master, project, key.id, &key.sealed)
        .map_err(|error| Error::Internal(format!("signing key {}: {error}", key.id)))
}

fn seal(shared: &Shared, project: Uuid, record: &KeyRecord) -> SealedKey {
    SealedKey { id: record.id, sealed: record.seal(&shared.master, &shared.env, project) }
}

fn read(project: &Project) -> Result<Vec<KeyRecord>, Error> {
    let rows = project.store().read(|r| Ok::<_, Error>(rows::signing_keys(r)?))?;
    rows.iter().map(|key| unseal(project.shared(), project.id(), key)).collect()
}

fn view(record: &KeyRecord) -> Result<KeyView, Error> {
    let kid = record.kid().ok_or_else(|| Error::Internal("a signing key is damaged".into()))?;
    Ok(KeyView { id: record.id, kid, created_at: record.created_at, retires_at: record.retires_at })
}
