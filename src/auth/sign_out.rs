//! Ending sessions: by who is in them, by who has their refresh token, all of an account at once.

use uuid::Uuid;

use super::events::{By, Event, EventKind};
use super::session::recheck;
use super::{Actor, Ctx, Error, personal_tokens};
use crate::data::{personal_tokens as tokens, sessions};
use crate::store::{StoreError, Write};
use crate::token::refresh_uuid_digest;

/// Ends the actor's session.
///
/// # Errors
/// `Unauthenticated` when it has ended meanwhile.
pub async fn here(ctx: &Ctx, actor: Actor) -> Result<(), Error> {
    let event = ctx.event(EventKind::SignedOut, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            recheck(w, &actor, job_ctx.now)?;
            sessions::remove(w, actor.user.id, actor.session)?;
            Ok(job_ctx.record(w, &event)?)
        })
        .await
}

/// Ends the sessions of an account but `spare`, and with them what could begin others without its owner: personal access
/// tokens. How many sessions there were.
pub(crate) fn all(w: &mut dyn Write, user: Uuid, spare: Option<Uuid>) -> Result<usize, StoreError> {
    tokens::remove_all(w, user)?;
    sessions::remove_all(w, user, spare)
}

/// Ends the session whose refresh token this is, or was, or revokes the personal access token that it is; an unknown one
/// is of a session that has ended already.
///
/// # Errors
/// Only the store's.
pub async fn by_token(ctx: &Ctx, token: Uuid) -> Result<(), Error> {
    let (project, digest) = (&ctx.project, refresh_uuid_digest(token));
    // One that is ours says itself which session, and that whoever has it was given it: there is nothing to compare.
    let session = match project.refresh_uuid_key().parse(token) {
        Some(ours) => Some(ours.session()),
        None => project.store().read(|r| sessions::id_by_token(r, &digest))?,
    };
    let is_personal = || project.store().read(|r| tokens::find(r, &digest)).map(|found| found.is_some());
    if session.is_none() && !is_personal()? {
        return Ok(());
    }
    let event = ctx.event(EventKind::SignedOut, By::User, None);
    let job_ctx = ctx.clone();
    project
        .store()
        .write(move |w| {
            let Some(session) = session else { return personal_tokens::revoke(w, &job_ctx, &digest, &event) };
            let Some(session) = sessions::get(w, session)?.filter(|found| found.carrier.is_refreshed(true)) else {
                return Ok(());
            };
            sessions::remove(w, session.user, session.id)?;
            Ok(job_ctx.record(w, &Event { user: Some(session.user), ..event.clone() })?)
        })
        .await
}

/// Ends all sessions of the actor's account, its own included.
///
/// # Errors
/// `Unauthenticated` when it has ended meanwhile.
pub async fn everywhere(ctx: &Ctx, actor: Actor) -> Result<(), Error> {
    let event = ctx.event(EventKind::SignedOutEverywhere, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            recheck(w, &actor, job_ctx.now)?;
            all(w, actor.user.id, None)?;
            Ok(job_ctx.record(w, &event)?)
        })
        .await
}
