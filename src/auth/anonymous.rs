//! Accounts that are made without any credential, and what makes such an account one like any other (Nhost contract 1.3,
//! 1.5).

use std::sync::Arc;

use super::events::{By, Event, EventKind};
use super::limits::{self, Limit, Limiter};
use super::session::{self, Draft, Issued};
use super::tickets::{Onward, TicketKind, TicketMail};
use super::verify::RESENDS;
use super::wishes::{self, Granted, Wishes};
use super::{Actor, Ctx, Email, Error, access, password_policy, sign_out, sign_up};
use crate::config::VerificationMode;
use crate::crypto::{Secret, StoredHash};
use crate::data::project::{self, Sequence};
use crate::data::users::{self, User};
use crate::store::Write;

/// Such accounts that one client may make: nothing else about making one costs anything, and each stays.
const NEW: Limit = Limit::new(600, 600);

/// Makes an account without any credential and begins its session. Whether new accounts wait for an operator does not
/// matter: this one could never come back.
///
/// # Errors
/// `SignupDisabled`, `FeatureOff`, `TooManyRequests`, `Busy`, and the store's.
pub async fn sign_in(ctx: &Ctx, wishes: Wishes) -> Result<Issued, Error> {
    sign_up::open(ctx)?;
    if !ctx.settings.nhost.anonymous {
        return Err(Error::FeatureOff);
    }
    limits::count(ctx, Limiter::Anonymous, Some(NEW)).await?;
    let result = make(ctx, wishes).await;
    ctx.count_sign_in(&result);
    result
}

async fn make(ctx: &Ctx, wishes: Wishes) -> Result<Issued, Error> {
    let user = User { is_anonymous: true, ..User::new(ctx.project.env().new_id(ctx.now), ctx.now) };
    let user = wishes::grant(ctx, wishes)?.put_into(user);
    let signed_up = ctx.event(EventKind::SignedUp, By::User, Some(user.id));
    let job = Arc::new((Draft::new(ctx, &user)?, user, signed_up));
    let user = ctx
        .project
        .store()
        .write({
            let (job, ctx) = (Arc::clone(&job), ctx.clone());
            move |w| {
                let (draft, user, signed_up) = &*job;
                let user = User { number: project::next(w, Sequence::Users)?, ..user.clone() };
                users::insert(w, &user)?;
                ctx.record(w, signed_up)?;
                draft.begin(w, &ctx, &user)?;
                Ok::<_, Error>(user)
            }
        })
        .await?;
    job.0.issue(ctx, user)
}

/// What an account without any credential is to become.
#[derive(Debug)]
pub struct Deanonymize {
    /// Its address.
    pub email: Email,
    /// Its password; `None`: it signs in by links that are sent there.
    pub password: Option<Secret<String>>,
    /// What it wishes; what it leaves out is the project's to choose, whatever it was before.
    pub wishes: Wishes,
    /// What the code is bound to that a link leads to (RFC 7636, section 4.2).
    pub code_challenge: Option<String>,
}

/// Whether the actor's account still is without any credential: for a dialect that says so before it looks for what is
/// missing.
///
/// # Errors
/// `NotAnonymous`.
pub fn lacks_credential(actor: &Actor) -> Result<(), Error> {
    if actor.user.is_anonymous { Ok(()) } else { Err(Error::NotAnonymous) }
}

/// Gives the actor's account an address and a way to sign in. Where the address must be proved first, or a link is what
/// signs in, that link goes out and all sessions end; else they go on.
///
/// # Errors
/// In this order: `NotAnonymous`, what [`password_policy::check`] says, `RedirectNotAllowed`, `RoleNotAllowed`,
/// `DefaultRoleNotAllowed`, `AddressNotAllowed`, `TooManyRequests`, `EmailTaken`; `Unauthenticated` when the session has
/// ended meanwhile, `Busy`, and the store's.
pub async fn deanonymize(ctx: &Ctx, actor: Actor, new: Deanonymize) -> Result<(), Error> {
    lacks_credential(&actor)?;
    let Deanonymize { email, password, wishes, code_challenge } = new;
    if let Some(password) = &password {
        password_policy::check(ctx, password).await?;
    }
    let next = Onward { redirect_to: wishes.redirect_to.clone(), code_challenge }.admit(ctx)?;
    let granted = wishes::grant(ctx, wishes)?;
    access::check(ctx, &email)?;
    // It says who has an account, and sends mails.
    limits::count(ctx, Limiter::Resend, Some(RESENDS)).await?;
    // Saves a hash; the transaction below decides.
    if ctx.project.store().read(|r| users::id_by_email(r, &email))?.is_some() {
        return Err(Error::EmailTaken);
    }
    let strict = ctx.settings.verification.mode == VerificationMode::Strict;
    let kind = match &password {
        Some(_) if strict => Some(TicketKind::VerifyEmail),
        Some(_) => None,
        None => Some(TicketKind::PasswordlessEmail),
    };
    let hash = match password {
        Some(password) => Some(ctx.project.pool().hash(ctx.hash_group(), password).await?),
        None => None,
    };
    let job = Becoming {
        ticket: kind.map(|kind| TicketMail::new(ctx, kind, &next)),
        event: ctx.event(EventKind::Deanonymized, By::User, Some(actor.user.id)),
        email,
        hash,
        granted,
        actor,
        ctx: ctx.clone(),
    };
    ctx.project.store().write(move |w| job.run(w)).await
}

struct Becoming {
    actor: Actor,
    email: Email,
    hash: Option<StoredHash>,
    granted: Granted,
    /// What goes out to the address; then all sessions end.
    ticket: Option<TicketMail>,
    event: Event,
    ctx: Ctx,
}

impl Becoming {
    fn run(&self, w: &mut dyn Write) -> Result<(), Error> {
        let ctx = &self.ctx;
        let before = session::recheck(w, &self.actor, ctx.now)?;
        // Of two at once one comes second.
        if !before.is_anonymous {
            return Err(Error::NotAnonymous);
        }
        if users::id_by_email(w, &self.email)?.is_some() {
            return Err(Error::EmailTaken);
        }
        let bare = User {
            is_anonymous: false,
            password: self.hash.clone(),
            display_name: None,
            locale: None,
            metadata: None,
            roles: None,
            ..before
        };
        let mut user = self.granted.clone().put_into(bare);
        users::move_to(w, &mut user, &self.email)?;
        if let Some(ticket) = &self.ticket {
            sign_out::all(w, user.id, None)?;
            ticket.issue(w, ctx, user.id, user.typed_email())?;
        }
        Ok(ctx.record(w, &self.event)?)
    }
}
