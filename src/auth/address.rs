//! The account's address: a mail that proves it, and a mail that gives the account another.

use super::events::{By, Event, EventKind};
use super::tickets::{self, Onward, TicketMail};
use super::{Actor, Ctx, Email, Error, access, limits, session};
use crate::data::users::{self, ProofKind, User};
use crate::token::TicketKind;

/// Sends a ticket that proves the address of an account. Where `conceal` is on, the answer and what it costs are the same
/// for every address.
///
/// # Errors
/// `RedirectNotAllowed`, `TooManyRequests`; unless `conceal` is on also `InvalidCredentials` for an address without an
/// account, `AlreadyVerified`, `AccountDisabled`, `AnonymousForbidden`; and the store's.
pub async fn send_verification(ctx: &Ctx, email: Email, onward: Onward) -> Result<(), Error> {
    let next = onward.admit(ctx)?;
    limits::mail(ctx, &email)?;
    let ticket = TicketMail::new(ctx, TicketKind::VerifyEmail, &next);
    let requested = ctx.event_on(EventKind::MailRequested, By::Stranger, None, &email);
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            let ctx = &job_ctx;
            let user = users::by_email(w, &email)?;
            let waits = match &user {
                Some(user) => waits_for_proof(ctx, user),
                None => Err(Error::InvalidCredentials),
            };
            match (&user, waits) {
                (Some(user), Ok(())) => ticket.issue(w, ctx, user.id, user.typed_email())?,
                (_, Err(refused)) if !ctx.settings.conceal => return Err(refused),
                _ => ticket.pretend(w, ctx, &email)?,
            }
            Ok(ctx.record(w, &Event { user: user.map(|user| user.id), ..requested.clone() })?)
        })
        .await
}

/// Whether an account has an address to prove. One that was only asserted counts as proved where it is told, and can be
/// proved better all the same.
fn waits_for_proof(ctx: &Ctx, user: &User) -> Result<(), Error> {
    tickets::check(ctx, user, true)?;
    match user.email_proof {
        Some(proof) if proof.kind != ProofKind::Asserted => Err(Error::AlreadyVerified),
        Some(_) | None => Ok(()),
    }
}

/// Sends a ticket to `email` that gives the actor's account that address. Until it comes back nothing changes.
///
/// # Errors
/// `RedirectNotAllowed`, `TooManyRequests`; as [`tickets::check`] for the account; `AddressNotAllowed`; `EmailTaken` (where `conceal` is on the answer is that of a free one, after the same writes);
/// `Unauthenticated` when the session has ended meanwhile; and the store's.
pub async fn change(ctx: &Ctx, actor: Actor, email: Email, onward: Onward) -> Result<(), Error> {
    let next = onward.admit(ctx)?;
    tickets::check(ctx, &actor.user, false)?;
    access::check(ctx, &email)?;
    limits::mail(ctx, &email)?;
    let ticket = TicketMail::change_email(ctx, &next, actor.user.typed_email(), &email);
    let requested = ctx.event_on(EventKind::MailRequested, By::User, Some(actor.user.id), &email);
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            let ctx = &job_ctx;
            let user = session::recheck(w, &actor, ctx.now)?;
            tickets::check(ctx, &user, false)?;
            match users::id_by_email(w, &email)? {
                None => ticket.issue(w, ctx, user.id, email.typed())?,
                Some(_) if ctx.settings.conceal => ticket.pretend(w, ctx, &email)?,
                Some(_) => return Err(Error::EmailTaken),
            }
            Ok(ctx.record(w, &requested)?)
        })
        .await
}
