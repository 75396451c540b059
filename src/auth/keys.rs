//! Signing keys of a project: made, listed, rotated with overlap.

use std::time::Duration;

use uuid::Uuid;

use super::project::Shared;
use super::{Error, Project};
use crate::crypto::Secret;
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
    let keys = project.store().read(|r| Ok::<_, Error>(rows::signing_keys(r)?))?;
    keys.iter()
        .map(|key| {
            let record = unseal(project.shared(), project.id(), key)?;
            Ok(KeyView { id: key.id, kid: record.kid(), created_at: key.created_at, retires_at: key.retires_at })
        })
        .collect()
}

/// Makes a new key that signs from now on. The ones before it verify for `overlap` longer (at least as long as a token
/// they signed may live); with `overlap` zero nothing they signed is accepted any more.
///
/// # Errors
/// Only the store's.
pub async fn rotate(project: &Project, now: Timestamp, overlap: Duration) -> Result<KeyView, Error> {
    let key = new_signing_key(project.shared(), project.id(), now);
    let new = key.clone();
    project
        .store()
        .write(move |w| {
            let until = now.plus(overlap);
            for mut old in rows::signing_keys(w)? {
                match old.retires_at {
                    Some(at) if at <= now => rows::remove_signing_key(w, old.id)?,
                    Some(at) if at <= until => {}
                    _ => {
                        old.retires_at = Some(until);
                        rows::put_signing_key(w, &old)?;
                    }
                }
            }
            rows::put_signing_key(w, &new)?;
            Ok::<_, Error>(())
        })
        .await?;
    project.reload_keys(now)?;
    let record = unseal(project.shared(), project.id(), &key)?;
    Ok(KeyView { id: key.id, kid: record.kid(), created_at: key.created_at, retires_at: None })
}

/// A fresh Ed25519 key, sealed.
pub(crate) fn new_signing_key(shared: &Shared, project: Uuid, now: Timestamp) -> SealedKey {
    let id = shared.env.new_id(now);
    let seed = Secret::new(shared.env.random::<32>());
    let sealed = shared.master.seal(&shared.env, &context(project, id), seed.expose());
    SealedKey { id, sealed, created_at: now, retires_at: None }
}

/// The key in a row.
pub(crate) fn unseal(shared: &Shared, project: Uuid, key: &SealedKey) -> Result<KeyRecord, Error> {
    let plain = shared
        .master
        .open(&context(project, key.id), &key.sealed)
        .map_err(|_| Error::Internal("a signing key is sealed under another master key".into()))?;
    let seed: [u8; 32] = plain
        .expose()
        .as_slice()
        .try_into()
        .map_err(|_| Error::Internal("a signing key of the wrong length".into()))?;
    Ok(KeyRecord { id: key.id, seed: Secret::new(seed), created_at: key.created_at, retires_at: key.retires_at })
}

fn context(project: Uuid, key: Uuid) -> String {
    format!("keystead/signing-key/{project}/{key}")
}
