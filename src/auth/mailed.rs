//! Signing in and up without a password, first half: a link or six digits go out by mail.

use super::events::{By, Event, EventKind};
use super::mail::Mail;
use super::ticket_mail::TicketLetter;
use super::tickets::{self, Admitted, Onward, TicketMail};
use super::wishes::{self, Granted, Wishes};
use super::{Ctx, Email, Error, access, bot, limits, sign_up};
use crate::crypto::StoredHash;
use crate::data::project::{self, Sequence};
use crate::data::users::{self, User};
use crate::data::{codes, one_time};
use crate::env::Timestamp;
use crate::mail::Template;
use crate::store::{StoreError, Write};
use crate::token::{SixDigits, TicketKind};

/// What the mail brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brings {
    /// A link: see [`super::follow`].
    Link,
    /// Six digits: see [`super::digits`].
    Digits,
}

/// What a stranger asks for.
#[derive(Debug)]
pub struct Asked {
    /// What the mail is to bring.
    pub brings: Brings,
    /// To where.
    pub email: Email,
    /// What they wish for an account that is made for them; `redirect_to` is where a link goes on to.
    pub wishes: Wishes,
    /// What the code is bound to that a link leads to.
    pub code_challenge: Option<String>,
    /// What the browser got for a solved challenge.
    pub bot_token: Option<String>,
}

/// Sends what signs in. An address without an account gets one, where the project wants that; where it does not, nothing
/// is sent, with the same answer after the same work and writes.
///
/// # Errors
/// `FeatureOff`, `BotCheckFailed`, `AddressNotAllowed`, `RedirectNotAllowed`,
/// `RoleNotAllowed`, `DefaultRoleNotAllowed`, `TooManyRequests`; unless `conceal` is on also `AccountDisabled` (also when
/// the account was made and waits for an operator), `AnonymousForbidden`, `SignupDisabled`; `Busy`, and the store's.
pub async fn sign_in(ctx: &Ctx, asked: Asked) -> Result<(), Error> {
    send(ctx, asked, false).await
}

/// Makes an account and sends what signs in.
///
/// # Errors
/// As [`sign_in`], and `EmailTaken`: not where `conceal` is on, or the project keeps silent about it; then the answer is
/// that of a new account, after the same work and writes.
pub async fn sign_up(ctx: &Ctx, asked: Asked) -> Result<(), Error> {
    feature(ctx, asked.brings)?;
    sign_up::open(ctx)?;
    send(ctx, asked, true).await
}

async fn send(ctx: &Ctx, asked: Asked, signs_up: bool) -> Result<(), Error> {
    let Asked { brings, email, wishes, code_challenge, bot_token } = asked;
    feature(ctx, brings)?;
    bot::check(ctx, bot_token.as_deref()).await?;
    access::check(ctx, &email)?;
    let onward = Onward { redirect_to: wishes.redirect_to.clone(), code_challenge };
    let next = onward.admit(ctx)?;
    let granted = wishes::grant(ctx, wishes)?;
    let conceal = ctx.settings.conceal;
    let silent = conceal || ctx.settings.nhost.silent_sign_up;
    // Saves a hash and a count where the answer reveals the account anyway; the transaction below decides.
    if signs_up && !silent && ctx.project.store().read(|r| users::id_by_email(r, &email))?.is_some() {
        return Err(Error::EmailTaken);
    }
    limits::mail(ctx, &email)?;
    let job = Sending {
        secret: Secret::make(ctx, brings, &next).await?,
        user: new_user(ctx, &email, granted),
        requested: ctx.event_on(EventKind::MailRequested, By::Stranger, None, &email),
        signed_up: ctx.event_on(EventKind::SignedUp, By::User, None, &email),
        concealed: ctx.event_on(EventKind::SignUpConcealed, By::Stranger, None, &email),
        email,
        signs_up,
        silent,
        conceal,
        ctx: ctx.clone(),
    };
    ctx.project.store().write(move |w| job.run(w)).await?
}

/// The account that would be made, without its number.
fn new_user(ctx: &Ctx, email: &Email, granted: Granted) -> User {
    let waits = ctx.settings.signup.disable_new_users;
    granted.put_into(User {
        email: Some(email.typed().to_owned()),
        disabled_at: waits.then_some(ctx.now),
        ..User::new(ctx.project.env().new_id(ctx.now), ctx.now)
    })
}

fn feature(ctx: &Ctx, brings: Brings) -> Result<(), Error> {
    let nhost = &ctx.settings.nhost;
    let on = match brings {
        Brings::Link => nhost.passwordless_email,
        Brings::Digits => nhost.otp_email,
    };
    if on { Ok(()) } else { Err(Error::FeatureOff) }
}

struct Sending {
    secret: Secret,
    user: User,
    requested: Event,
    signed_up: Event,
    concealed: Event,
    email: Email,
    signs_up: bool,
    /// Whether a sign-up says nothing of an account there is.
    silent: bool,
    conceal: bool,
    ctx: Ctx,
}

impl Sending {
    /// The inner error is a refusal after which what was written stays.
    fn run(&self, w: &mut dyn Write) -> Result<Result<(), Error>, Error> {
        let (ctx, settings) = (&self.ctx, &self.ctx.settings);
        match users::by_email(w, &self.email)? {
            Some(_) if self.signs_up && !self.silent => Err(Error::EmailTaken),
            Some(owner) if self.signs_up => {
                self.secret.pretend(w, ctx, &self.email)?;
                self.pad(w)?;
                ctx.record(w, &Event { user: Some(owner.id), ..self.concealed.clone() })?;
                Ok(Ok(()))
            }
            Some(user) => {
                match tickets::check(ctx, &user, true) {
                    Ok(()) => self.secret.issue(w, ctx, &user)?,
                    Err(_) if self.conceal => self.secret.pretend(w, ctx, &self.email)?,
                    Err(refused) => return Err(refused),
                }
                if self.conceal && settings.signup.auto && settings.signup.enabled {
                    // Another address would have got an account.
                    self.pad(w)?;
                }
                self.requested(w, Some(user.id))
            }
            None if !self.signs_up && !settings.signup.auto => {
                self.secret.pretend(w, ctx, &self.email)?;
                self.requested(w, None)
            }
            None if !settings.signup.enabled && self.conceal => {
                self.secret.pretend(w, ctx, &self.email)?;
                self.requested(w, None)
            }
            None if !settings.signup.enabled => Err(Error::SignupDisabled),
            None => self.make(w),
        }
    }

    /// Makes the account.
    fn make(&self, w: &mut dyn Write) -> Result<Result<(), Error>, Error> {
        let ctx = &self.ctx;
        let user = User { number: project::next(w, Sequence::Users)?, ..self.user.clone() };
        users::insert(w, &user)?;
        ctx.record(w, &Event { user: Some(user.id), ..self.signed_up.clone() })?;
        match (user.is_enabled(), self.conceal) {
            (true, _) => self.secret.issue(w, ctx, &user)?,
            // It waits for an operator, and nothing is sent.
            (false, true) => self.secret.pretend(w, ctx, &self.email)?,
            (false, false) => return Ok(Err(Error::AccountDisabled)),
        }
        Ok(Ok(()))
    }

    /// Writes as much as the making of an account; a number is used up too, else the next account's would give it away.
    fn pad(&self, w: &mut dyn Write) -> Result<(), Error> {
        project::next(w, Sequence::Users)?;
        one_time::pad_as_account(w, self.user.id, self.ctx.now, self.secret.expires_at())?;
        if !self.ctx.settings.webhooks.is_empty() {
            // What stands where webhooks would be told goes at once.
            self.ctx.project.wake_outbox();
        }
        Ok(())
    }

    fn requested(&self, w: &mut dyn Write, user: Option<uuid::Uuid>) -> Result<Result<(), Error>, Error> {
        self.ctx.record(w, &Event { user, ..self.requested.clone() })?;
        Ok(Ok(()))
    }
}

/// What the mail brings, made before the transaction.
enum Secret {
    Link(Box<TicketMail>),
    Digits { hash: StoredHash, expires_at: Timestamp, mail: Box<Mail> },
}

impl Secret {
    async fn make(ctx: &Ctx, brings: Brings, next: &Admitted) -> Result<Self, Error> {
        if brings == Brings::Link {
            return Ok(Self::Link(Box::new(TicketMail::new(ctx, TicketKind::PasswordlessEmail, next))));
        }
        let digits = SixDigits::generate(ctx.project.env());
        let hash = ctx.project.pool().hash(ctx.hash_group(), digits.text().clone()).await?;
        let expires_at = ctx.now.plus(codes::WINDOW);
        let letter = TicketLetter::new(Template::SigninOtp, digits.text(), Some(next.redirect_to()), expires_at);
        Ok(Self::Digits { hash, expires_at, mail: Box::new(Mail::ticket(ctx, &letter)) })
    }

    fn expires_at(&self) -> Timestamp {
        match self {
            Self::Link(ticket) => ticket.expires_at,
            Self::Digits { expires_at, .. } => *expires_at,
        }
    }

    fn issue(&self, w: &mut dyn Write, ctx: &Ctx, user: &User) -> Result<(), StoreError> {
        match self {
            Self::Link(ticket) => ticket.issue(w, ctx, user.id, user.typed_email()),
            Self::Digits { hash, expires_at, mail } => {
                codes::issue(w, user.id, hash.clone(), *expires_at, ctx.now)?;
                mail.enqueue(w, &ctx.project, user.typed_email())
            }
        }
    }

    fn pretend(&self, w: &mut dyn Write, ctx: &Ctx, email: &Email) -> Result<(), StoreError> {
        match self {
            Self::Link(ticket) => ticket.pretend(w, ctx, email),
            Self::Digits { hash, expires_at, mail } => {
                codes::issue(w, one_time::phantom(email), hash.clone(), *expires_at, ctx.now)?;
                mail.pretend(w, &ctx.project, email.typed())
            }
        }
    }
}
