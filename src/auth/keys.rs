//! Signing keys of a project: made, listed, rotated with overlap.

use std::time::Duration;

use uuid::Uuid;

use super::events::{self, Event, EventKind};
use super::jwt::Need;
use super::project::Shared;
use super::{Error, Operator, Project};
use crate::data::project::{self as rows, SealedKey};
use crate::env::{Env, Timestamp};
use crate::token::{KeyKind, KeyRecord};

/// A signing key as an operator sees it.
#[derive(Clone, Debug)]
pub struct KeyView {
    /// Its id.
    pub id: Uuid,
    /// The id published with it (PASERK `k4.pid`, or the thumbprint of RFC 7638).
    pub kid: String,
    /// How it signs, as JWTs spell it (`alg`).
    pub algorithm: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on nothing signed by it is accepted; `None` for the keys that sign.
    pub retires_at: Option<Timestamp>,
}

/// The keys that sign after a rotation.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The one for tokens that this server checks.
    pub signing: KeyView,
    /// The one for JWTs that other services check, where the project has such keys.
    pub jwt: Option<KeyView>,
}

/// The project's signing keys: those for tokens that this server checks, then those for JWTs that others check; both
/// oldest first. A key that is given by the settings is not among them.
///
/// # Errors
/// Only the store's.
pub fn list(project: &Project) -> Result<Vec<KeyView>, Error> {
    let mut records = read(project)?;
    records.sort_by_key(|record| record.kind() != KeyKind::Ed25519);
    records.iter().map(view).collect()
}

/// Makes new keys that sign from now on. The ones before them verify for `overlap` longer (at least as long as a token
/// they signed may live); with `overlap` zero nothing they signed is accepted any more.
///
/// # Errors
/// Only the store's.
pub async fn rotate(project: &Project, by: Operator, overlap: Duration) -> Result<Rotated, Error> {
    let env = &project.shared().env;
    let signing = make(KeyKind::Ed25519, env, by.now).await?;
    let jwt = match Need::of(&project.settings()) {
        Need::Own(kind) => Some(make(kind, env, by.now).await?),
        Need::Given | Need::Unused => None,
    };
    let mut change = Change::default();
    for new in [Some(&signing), jwt.as_ref()].into_iter().flatten() {
        change.put(project, new);
    }
    for old in read(project)? {
        change.retire(project, old, by.now, overlap);
    }
    change.make(project, Some(events::by_operator(project, by, EventKind::KeysRotated, None))).await?;
    Ok(Rotated { signing: view(&signing)?, jwt: jwt.as_ref().map(view).transpose()? })
}

/// Sees to it that there is a key for the JWTs that the project's settings want, and that those of another kind, which
/// sign nothing any more, retire. Does nothing where all is well.
///
/// RSA keys are made beside the threads that serve.
///
/// # Errors
/// The store's.
pub(crate) async fn provide(project: &Project, now: Timestamp) -> Result<(), Error> {
    let settings = project.settings();
    let wanted = match Need::of(&settings) {
        Need::Unused => return Ok(()),
        Need::Given => None,
        Need::Own(kind) => Some(kind),
    };
    let records = read(project)?;
    // Ed25519 keys are none of this.
    let (right, wrong): (Vec<_>, Vec<_>) = records
        .into_iter()
        .filter(|key| key.kind() != KeyKind::Ed25519 && key.retires_at.is_none())
        .partition(|key| Some(key.kind()) == wanted);
    let missing = wanted.filter(|_| right.is_empty());
    if missing.is_none() && wrong.is_empty() {
        return Ok(());
    }
    let mut change = Change::default();
    let event = (!wrong.is_empty()).then(|| events::by_server(project, now, EventKind::KeysRotated));
    for old in wrong {
        change.retire(project, old, now, settings.tokens.key_overlap);
    }
    if let Some(kind) = missing {
        let new = make(kind, &project.shared().env, now).await?;
        change.put(project, &new);
        let (kid, algorithm) = (new.kid(), kind.algorithm());
        tracing::debug!(project = %project.record().slug, kid, algorithm, "a key for JWTs was made");
    }
    change.make(project, event).await
}

/// A fresh Ed25519 key, sealed.
pub(crate) fn new_signing_key(shared: &Shared, project: Uuid, now: Timestamp) -> Result<SealedKey, Error> {
    let record = KeyRecord::generate(KeyKind::Ed25519, &shared.env, now).map_err(internal)?;
    Ok(seal(shared, project, &record))
}

/// The keys in rows, opened.
pub(crate) fn unseal(shared: &Shared, project: Uuid, keys: &[SealedKey]) -> Result<Vec<KeyRecord>, Error> {
    let unsealed = |key: &SealedKey| {
        KeyRecord::unseal(&shared.master, project, key.id, &key.sealed)
            .map_err(|error| Error::Internal(format!("signing key {}: {error}", key.id)))
    };
    keys.iter().map(unsealed).collect()
}

/// What is to become of a project's keys.
#[derive(Default)]
struct Change {
    kept: Vec<SealedKey>,
    gone: Vec<Uuid>,
}

impl Change {
    fn put(&mut self, project: &Project, key: &KeyRecord) {
        self.kept.push(seal(project.shared(), project.id(), key));
    }

    /// A key ends after `overlap`, if it does not before; one that has ended goes.
    fn retire(&mut self, project: &Project, old: KeyRecord, now: Timestamp, overlap: Duration) {
        let until = now.plus(overlap);
        match old.retires_at {
            Some(at) if at <= now => self.gone.push(old.id),
            Some(at) if at <= until => {}
            _ => self.put(project, &KeyRecord { retires_at: Some(until), ..old }),
        }
    }

    async fn make(self, project: &Project, event: Option<Event>) -> Result<(), Error> {
        let teller = project.teller();
        project
            .store()
            .write(move |w| {
                for key in &self.kept {
                    rows::put_signing_key(w, key)?;
                }
                for &id in &self.gone {
                    rows::remove_signing_key(w, id)?;
                }
                if let Some(event) = &event {
                    teller.record(w, event)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        project.reload_keys()
    }
}

async fn make(kind: KeyKind, env: &Env, now: Timestamp) -> Result<KeyRecord, Error> {
    let env = env.clone();
    let make = move || KeyRecord::generate(kind, &env, now).map_err(internal);
    match kind {
        KeyKind::Ed25519 | KeyKind::Es256 => make(),
        KeyKind::Rs256 => tokio::task::spawn_blocking(make).await.map_err(internal)?,
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

pub(crate) fn seal(shared: &Shared, project: Uuid, record: &KeyRecord) -> SealedKey {
    SealedKey { id: record.id, sealed: record.seal(&shared.master, &shared.env, project) }
}

fn read(project: &Project) -> Result<Vec<KeyRecord>, Error> {
    let rows = project.store().read(|r| Ok::<_, Error>(rows::signing_keys(r)?))?;
    unseal(project.shared(), project.id(), &rows)
}

fn view(record: &KeyRecord) -> Result<KeyView, Error> {
    let kid = record.kid().ok_or_else(|| Error::Internal("a signing key is damaged".into()))?;
    let algorithm = record.kind().algorithm();
    Ok(KeyView { id: record.id, kid, algorithm, created_at: record.created_at, retires_at: record.retires_at })
}
