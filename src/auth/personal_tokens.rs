//! Personal access tokens: made by a user for programs of theirs, exchanged for a session as often as those like.

use std::sync::Arc;

use uuid::Uuid;

use super::events::{By, Event, EventKind};
use super::session::{Draft, Issued};
use super::{Actor, Ctx, Error, attempts, session};
use crate::crypto::{Digest, Secret};
use crate::data::personal_tokens as rows;
use crate::data::users::{self, User};
use crate::env::Timestamp;
use crate::store::{Read, Write};
use crate::token::refresh_uuid_digest;

/// Tokens one user may have.
pub const MAX_PER_USER: usize = 100;

/// What a user says of a new token.
#[derive(Clone, Debug)]
pub struct NewPersonalToken {
    /// From when on it no longer works.
    pub expires_at: Timestamp,
    /// A JSON object of the app's own, as text.
    pub metadata: Option<String>,
}

/// Makes a token: its id, and its text, which is returned this once. It is a random UUID, which the store keeps the
/// SHA-256 of.
///
/// # Errors
/// `TooManyApiKeys`, `Unauthenticated` when the session has ended meanwhile, and the store's.
pub async fn create(ctx: &Ctx, actor: Actor, new: NewPersonalToken) -> Result<(Uuid, Secret<String>), Error> {
    let env = ctx.project.env();
    let text = uuid::Builder::from_random_bytes(env.random()).into_uuid();
    let token = rows::PersonalToken {
        id: env.new_id(ctx.now),
        user: actor.user.id,
        digest: refresh_uuid_digest(text),
        created_at: ctx.now,
        expires_at: new.expires_at,
        metadata: new.metadata,
    };
    let id = token.id;
    let event = ctx.event(EventKind::PersonalTokenCreated, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            let user = session::recheck(w, &actor, job_ctx.now)?;
            session::usable(&job_ctx, &user)?;
            if rows::count(w, user.id)? >= MAX_PER_USER {
                // The sweep comes now and then; who makes another must not wait for it.
                for old in rows::of_user(w, user.id)?.iter().filter(|old| old.expires_at <= job_ctx.now) {
                    rows::remove(w, old)?;
                }
                if rows::count(w, user.id)? >= MAX_PER_USER {
                    return Err(Error::TooManyApiKeys);
                }
            }
            if rows::find(w, &token.digest)?.is_some() {
                return Err(Error::Internal("two personal access tokens are the same".into()));
            }
            rows::insert(w, &token)?;
            Ok(job_ctx.record(w, &event)?)
        })
        .await?;
    Ok((id, Secret::new(text.to_string())))
}

/// Begins a session of the token's owner. The token goes on working.
///
/// # Errors
/// `InvalidPersonalToken`; as [`session::usable`] for its owner; `Busy`, and the store's.
pub async fn sign_in(ctx: &Ctx, token: Uuid) -> Result<Issued, Error> {
    let result = begin(ctx, token).await;
    if matches!(result, Err(Error::InvalidPersonalToken)) {
        attempts::say_failed(ctx, attempts::Reason::Credentials);
    }
    ctx.count_sign_in(&result);
    result
}

async fn begin(ctx: &Ctx, token: Uuid) -> Result<Issued, Error> {
    let digest = refresh_uuid_digest(token);
    // Strangers' guesses never reach the writer.
    let owner = ctx.project.store().read(|r| owner(r, ctx, &digest))?;
    let job = Arc::new((Draft::new(ctx, &owner)?, ctx.event(EventKind::SignedIn, By::User, Some(owner.id))));
    let user = ctx
        .project
        .store()
        .write({
            let (job, ctx) = (Arc::clone(&job), ctx.clone());
            move |w| {
                let user = self::owner(w, &ctx, &digest)?;
                job.0.begin(w, &ctx, &user)?;
                ctx.record(w, &job.1)?;
                Ok::<_, Error>(user)
            }
        })
        .await?;
    job.0.issue(ctx, user)
}

/// Whose token this is, when it works and its owner may sign in.
fn owner(r: &(impl Read + ?Sized), ctx: &Ctx, digest: &Digest) -> Result<User, Error> {
    let token = rows::find(r, digest)?.filter(|token| ctx.now < token.expires_at);
    let token = token.ok_or(Error::InvalidPersonalToken)?;
    let user = users::get(r, token.user)?.ok_or(Error::InvalidPersonalToken)?;
    session::usable(ctx, &user)?;
    Ok(user)
}

/// Revokes a token, as part of a job, when it is one; `event` says so.
pub(crate) fn revoke(w: &mut dyn Write, ctx: &Ctx, digest: &Digest, event: &Event) -> Result<(), Error> {
    let Some(token) = rows::find(w, digest)? else { return Ok(()) };
    rows::remove(w, &token)?;
    Ok(ctx.record(w, &Event { user: Some(token.user), ..event.clone() })?)
}
