//! New passwords without the old one: from within a session, or by a ticket that a mail brought.

use super::events::{By, Event, EventKind};
use super::proof::{self, Owner};
use super::tickets::{self, Onward, TicketMail};
use super::{Actor, Ctx, Email, Error, bot, limits, password, password_policy, session};
use crate::crypto::Secret;
use crate::data::one_time::{self, Purpose};
use crate::data::users;
use crate::token::{Ticket, TicketKind};

/// Sends a ticket for a new password to `email`, if it has an account that may be used. The answer and what it costs are
/// the same for every address.
///
/// # Errors
/// `BotCheckFailed`, `RedirectNotAllowed`, `TooManyRequests`, and the store's.
pub async fn ask(ctx: &Ctx, email: Email, onward: Onward, bot_token: Option<&str>) -> Result<(), Error> {
    bot::check(ctx, bot_token).await?;
    let next = onward.admit(ctx)?;
    limits::mail(ctx, &email)?;
    let ticket = TicketMail::new(ctx, TicketKind::PasswordReset, &next);
    let asked = ctx.event_on(EventKind::MailRequested, By::Stranger, None, &email);
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            let ctx = &job_ctx;
            let user = users::by_email(w, &email)?.filter(|user| tickets::check(ctx, user, false).is_ok());
            match &user {
                Some(user) => ticket.issue(w, ctx, user.id, user.typed_email())?,
                None => ticket.pretend(w, ctx, &email)?,
            }
            Ok(ctx.record(w, &Event { user: user.map(|user| user.id), ..asked.clone() })?)
        })
        .await
}

/// Sets the password of the actor's account. All its sessions end but the actor's own.
///
/// # Errors
/// What [`password_policy::check`] says; as [`tickets::check`] for the account; `Unauthenticated` when the session has ended meanwhile; `Busy`, and the store's.
pub async fn set(ctx: &Ctx, actor: Actor, new: Secret<String>) -> Result<(), Error> {
    tickets::check(ctx, &actor.user, false)?;
    password_policy::check(ctx, &new).await?;
    let hash = ctx.project.pool().hash(ctx.hash_group(), new).await?;
    let event = ctx.event(EventKind::PasswordChanged, By::User, Some(actor.user.id));
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            let user = session::recheck(w, &actor, job_ctx.now)?;
            tickets::check(&job_ctx, &user, false)?;
            password::replace(w, user, hash.clone(), Some(actor.session))?;
            Ok(job_ctx.record(w, &event)?)
        })
        .await
}

/// Sets the password of the account that a ticket is for, which is used up; all its sessions end. Who has the ticket can
/// read the account's mail, so the address is proved.
///
/// # Errors
/// What [`password_policy::check`] says; `InvalidTicket` for every cause on the ticket's side; as [`tickets::check`] for the
/// account; `Busy`, and the store's.
pub async fn with_ticket(ctx: &Ctx, ticket: &str, new: Secret<String>) -> Result<(), Error> {
    // A password that is refused leaves the ticket for a better one.
    password_policy::check(ctx, &new).await?;
    let ticket = Ticket::parse(ticket).filter(|ticket| ticket.kind() == TicketKind::PasswordReset);
    let digest = ticket.ok_or(Error::InvalidTicket)?.digest(Purpose::ResetPassword.name());
    // Nobody's ticket is not worth a hash. Whether it is somebody's cannot be guessed.
    if ctx.project.store().read(|r| one_time::find(r, Purpose::ResetPassword, &digest))?.is_none() {
        return Err(Error::InvalidTicket);
    }
    let hash = ctx.project.pool().hash(ctx.hash_group(), new).await?;
    let changed = ctx.event(EventKind::PasswordChanged, By::User, None);
    let (proved, job_ctx) = (proof::event(ctx), ctx.clone());
    ctx.project
        .store()
        .write(move |w| {
            let ctx = &job_ctx;
            let found = one_time::consume(w, Purpose::ResetPassword, &digest, ctx.now)?;
            let user = match found {
                Some(found) => users::get(w, found.user)?,
                None => None,
            };
            let Some(mut user) = user else { return Ok(Err(Error::InvalidTicket)) };
            if let Err(refused) = tickets::check(ctx, &user, false) {
                return Ok(Err(refused));
            }
            let id = user.id;
            proof::by_mail(w, ctx, &mut user, Owner::Unknown, &proved)?;
            password::replace(w, user, hash.clone(), None)?;
            ctx.record(w, &Event { user: Some(id), ..changed.clone() })?;
            Ok::<_, Error>(Ok(()))
        })
        .await?
}
