//! What becomes of an account when somebody comes who can read the mail of its address.

use super::events::{By, Event, EventKind};
use super::{Ctx, Error, sign_out};
use crate::data::users::{self, EmailProof, ProofKind, User};
use crate::data::{api_keys, one_time};
use crate::store::Write;

/// What a proof says of who made the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Who proves the address is who was asked to: whoever made the account asked them.
    Same,
    /// Who proves the address came for the account themselves. Somebody else may have made it in their name and wait in
    /// it: what was there before the first proof, a password above all, dies (security, 8).
    Unknown,
}

/// The address of `user` is proved by a mail; `proved` is the event that says so. Writes the account.
pub(crate) fn by_mail(
    w: &mut dyn Write,
    ctx: &Ctx,
    user: &mut User,
    owner: Owner,
    proved: &Event,
) -> Result<(), Error> {
    let is_new = user.email_proof.is_none_or(|proof| proof.kind == ProofKind::Asserted);
    if !is_new {
        return Ok(());
    }
    if owner == Owner::Unknown {
        user.password = None;
        sign_out::all(w, user.id, None)?;
        one_time::withdraw_all(w, user.id)?;
        api_keys::remove_all(w, user.id)?;
    }
    user.email_proof = Some(EmailProof { at: ctx.now, kind: ProofKind::Mailed });
    users::put(w, user)?;
    Ok(ctx.record(w, &Event { user: Some(user.id), ..proved.clone() })?)
}

/// The event of a proof that is about to be given.
pub(crate) fn event(ctx: &Ctx) -> Event {
    ctx.event(EventKind::EmailVerified, By::User, None)
}
