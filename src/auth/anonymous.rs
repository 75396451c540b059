//! Accounts that are made without any credential, and what makes such an account one like any other (Nhost contract 1.3,
//! 1.5).

use std::sync::Arc;

use super::events::{By, Event, EventKind};
use super::limits::{self, Limit, Limiter};
use super::session::{self, Draft, Issued};
use super::tickets::{Onward, TicketKind, TicketMail};
use super::wishes::{self, Granted, Wishes};
use super::{Actor, Ctx, Email, Error, access, password_policy, sign_out, sign_up};
use crate::config::VerificationMode;
use crate::crypto::{Secret, StoredHash};
use crate::data::one_time;
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

/// Gives the actor's account an address and a way to sign in. Where the address must be proved first, or a link is what
/// signs in, that link goes out and all sessions end; else they go on.
///
/// # Errors
/// In this order: `NotAnonymous`, what [`password_policy::check`] says, `RedirectNotAllowed`, `RoleNotAllowed`,
/// `DefaultRoleNotAllowed`, `AddressNotAllowed`, `TooManyRequests`, `EmailTaken` (where `conceal` is on and a link goes out
/// the answer is that of a free address, after the same work and writes); `AwaitsOperator` when it became an account that
/// waits for an operator, as all new ones do; `Unauthenticated` when the session has ended meanwhile, `Busy`, and the
/// store's.
pub async fn deanonymize(ctx: &Ctx, actor: Actor, new: Deanonymize) -> Result<(), Error> {
    if !actor.user.is_anonymous {
        return Err(Error::NotAnonymous);
    }
    let Deanonymize { email, password, wishes, code_challenge } = new;
    if let Some(password) = &password {
        password_policy::check(ctx, password).await?;
    }
    let next = Onward { redirect_to: wishes.redirect_to.clone(), code_challenge }.admit(ctx)?;
    let granted = wishes::grant(ctx, wishes)?;
    access::check(ctx, &email)?;
    // It says who has an account, and sends mails.
    limits::mail(ctx, &email)?;
    let waits = ctx.settings.signup.disable_new_users;
    let strict = ctx.settings.verification.mode == VerificationMode::Strict;
    let kind = match &password {
        // Who waits for an operator is sent nothing.
        _ if waits => None,
        Some(_) if strict => Some(TicketKind::VerifyEmail),
        Some(_) => None,
        None => Some(TicketKind::PasswordlessEmail),
    };
    // Where sessions go on, that they do says the address was free.
    let conceal = ctx.settings.conceal && kind.is_some();
    // Saves a hash; the transaction below decides.
    if !conceal && ctx.project.store().read(|r| users::id_by_email(r, &email))?.is_some() {
        return Err(Error::EmailTaken);
    }
    let hash = match password {
        Some(password) => Some(ctx.project.pool().hash(ctx.hash_group(), password).await?),
        None => None,
    };
    let job = Becoming {
        ticket: kind.map(|kind| TicketMail::new(ctx, kind, &next)),
        event: ctx.event(EventKind::Deanonymized, By::User, Some(actor.user.id)),
        hash,
        concealed: ctx.event_on(EventKind::SignUpConcealed, By::User, Some(actor.user.id), &email),
        email,
        granted,
        actor,
        conceal,
        waits,
        ctx: ctx.clone(),
    };
    ctx.project.store().write(move |w| job.run(w)).await?;
    if waits { Err(Error::AwaitsOperator) } else { Ok(()) }
}

struct Becoming {
    actor: Actor,
    email: Email,
    hash: Option<StoredHash>,
    granted: Granted,
    /// What goes out to the address; then all sessions end.
    ticket: Option<TicketMail>,
    event: Event,
    concealed: Event,
    /// Whether nothing is said of an account that has the address.
    conceal: bool,
    /// Whether new accounts wait for an operator: this becomes one.
    waits: bool,
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
        let taken = users::id_by_email(w, &self.email)?.is_some();
        match &self.ticket {
            Some(ticket) if taken && self.conceal => return self.pretend(w, ticket, &before),
            _ if taken => return Err(Error::EmailTaken),
            _ => {}
        }
        let bare = User {
            is_anonymous: false,
            password: self.hash.clone(),
            display_name: None,
            locale: None,
            metadata: None,
            roles: None,
            disabled_at: self.waits.then_some(ctx.now),
            ..before
        };
        let mut user = self.granted.clone().put_into(bare);
        users::move_to(w, &mut user, &self.email)?;
        if self.waits || self.ticket.is_some() {
            sign_out::all(w, user.id, None)?;
        }
        if let Some(ticket) = &self.ticket {
            ticket.issue(w, ctx, user.id, user.typed_email())?;
        }
        Ok(ctx.record(w, &self.event)?)
    }

    /// Does what is seen of it where the address has an account: the sessions end, as when the link goes out.
    fn pretend(&self, w: &mut dyn Write, ticket: &TicketMail, user: &User) -> Result<(), Error> {
        let ctx = &self.ctx;
        sign_out::all(w, user.id, None)?;
        ticket.pretend(w, ctx, &self.email)?;
        // One row for the account, one for its address.
        one_time::pad_as_account(w, user.id, ctx.now, ticket.expires_at)?;
        Ok(ctx.record(w, &self.concealed)?)
    }
}
