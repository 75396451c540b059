//! API keys of users: made, listed, revoked by their owner; proved by the integrator's own services.

use std::time::Duration;

use super::events::{By, EventKind};
use super::{Actor, Ctx, Error, session};
use crate::crypto::Secret;
use crate::data::api_keys as rows;
pub use crate::data::api_keys::ApiKey;
use crate::data::project::{self, Sequence};
use crate::data::users::{self, User};
use crate::env::Timestamp;
use crate::token::ApiKey as ApiKeySecret;

/// API keys one user may have, revoked ones among them.
pub const MAX_PER_USER: usize = 1000;

/// `last_used_at` is only this exact, so that proving a key seldom writes.
const LAST_USED_STEP: Duration = Duration::from_secs(60);

/// What an owner says of a new key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What to call it.
    pub name: String,
    /// What the app lets it do.
    pub scopes: Vec<String>,
    /// From when on it no longer works.
    pub expires_at: Option<Timestamp>,
}

/// The actor's keys, newest first, revoked and expired ones among them.
///
/// # Errors
/// Only the store's.
pub fn list(ctx: &Ctx, actor: &Actor) -> Result<Vec<ApiKey>, Error> {
    let mut keys = ctx.project.store().read(|r| Ok::<_, Error>(rows::of_user(r, actor.user.id)?))?;
    keys.reverse();
    Ok(keys)
}

/// Makes a key; its text is returned this once.
///
/// # Errors
/// `TooManyApiKeys`, `Unauthenticated` when the session has ended meanwhile, and the store's.
pub async fn create(ctx: &Ctx, actor: Actor, new: NewApiKey) -> Result<(ApiKey, Secret<String>), Error> {
    let secret = ApiKeySecret::generate(ctx.project.env());
    let (prefix, digest, now) = (secret.prefix(), secret.digest(), ctx.now);
    let event = ctx.event(EventKind::ApiKeyCreated, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    let made = ctx
        .project
        .store()
        .write(move |w| {
            let user = session::recheck(w, &actor, now)?;
            if rows::count(w, user.id)? >= MAX_PER_USER {
                return Err(Error::TooManyApiKeys);
            }
            if rows::by_prefix(w, &prefix)?.is_some() {
                return Err(Error::Internal("two API keys with one random prefix".into()));
            }
            let key = ApiKey {
                number: project::next(w, Sequence::ApiKeys)?,
                user: user.id,
                name: new.name.clone(),
                prefix: prefix.clone(),
                digest,
                scopes: new.scopes.clone(),
                created_at: now,
                expires_at: new.expires_at,
                last_used_at: None,
                revoked_at: None,
            };
            rows::insert(w, &key)?;
            job_ctx.record(w, &event)?;
            Ok(key)
        })
        .await?;
    Ok((made, Secret::new(secret.text())))
}

/// Revokes one of the actor's keys; once revoked it stays as it is.
///
/// # Errors
/// `UnknownApiKey`, `Unauthenticated` when the session has ended meanwhile, and the store's.
pub async fn revoke(ctx: &Ctx, actor: Actor, number: u64) -> Result<(), Error> {
    let event = ctx.event(EventKind::ApiKeyRevoked, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            let now = job_ctx.now;
            let user = session::recheck(w, &actor, now)?;
            let mut key = rows::get(w, user.id, number)?.ok_or(Error::UnknownApiKey)?;
            if key.revoked_at.is_none() {
                key.revoked_at = Some(now);
                rows::put(w, &key)?;
                job_ctx.record(w, &event)?;
            }
            Ok(())
        })
        .await
}

/// Proves a key to a service of the integrator: whose it is and what it may do.
///
/// # Errors
/// `UnknownApiKey` when it is unknown, wrong, revoked or expired, or its owner is disabled.
pub async fn prove(ctx: &Ctx, text: &str) -> Result<(ApiKey, User), Error> {
    let secret = ApiKeySecret::parse(text).ok_or(Error::UnknownApiKey)?;
    let (prefix, digest, now) = (secret.prefix(), secret.digest(), ctx.now);
    let found = ctx.project.store().read(|r| {
        let Some(key) = rows::by_prefix(r, &prefix)? else { return Ok::<_, Error>(None) };
        Ok(users::get(r, key.user)?.map(|user| (key, user)))
    })?;
    let usable = |key: &ApiKey, user: &User| {
        key.digest == digest
            && key.revoked_at.is_none()
            && key.expires_at.is_none_or(|at| now < at)
            && user.disabled_at.is_none()
    };
    let (mut key, user) = found.filter(|(key, user)| usable(key, user)).ok_or(Error::UnknownApiKey)?;
    if key.last_used_at.is_none_or(|at| now.since(at) >= LAST_USED_STEP) {
        key.last_used_at = Some(now);
        let (owner, number) = (key.user, key.number);
        ctx.project
            .store()
            .write(move |w| {
                // Only the one field: the key may have been revoked meanwhile.
                if let Some(mut row) = rows::get(w, owner, number)? {
                    row.last_used_at = Some(now);
                    rows::put(w, &row)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
    }
    Ok((key, user))
}
