//! Tickets: made before the transaction that issues them, sent by mail, taken by the verbs that redeem them.
//!
//! An address without an account to write to is treated like one, wherever the answer does not tell: the same rows are
//! written, for an account that stands in (a phantom) and with a mail that is never sent.

use std::time::Duration;

use uuid::Uuid;

use super::mail::Mail;
use super::redirect::{Redirect, Targets};
use super::ticket_mail::TicketLetter;
use super::{Ctx, Email, Error, session};
use crate::crypto::Digest;
use crate::data::one_time::{self, OneTime, Purpose};
use crate::data::users::User;
use crate::env::Timestamp;
use crate::mail::Template;
use crate::store::{StoreError, Write};
pub use crate::token::TicketKind;
use crate::token::{Challenge, Ticket};

const HOUR: Duration = Duration::from_secs(3600);
/// How long a ticket that proves an address works (Nhost contract 1.8).
const TO_VERIFY: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where the reader of a mail goes on to, as a stranger asks for it.
#[derive(Clone, Debug, Default)]
pub struct Onward {
    /// A page of the app; `None`: the project's client URL.
    pub redirect_to: Option<String>,
    /// The challenge that the code which arrives there is bound to (RFC 7636); `None`: a session arrives there.
    pub code_challenge: Option<String>,
}

/// The same, where the project allows it.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    redirect_to: Redirect,
    challenge: Option<Challenge>,
}

impl Onward {
    /// Holds it against the project's settings. Without a client URL, who asked for no page ends at this server.
    ///
    /// # Errors
    /// `RedirectNotAllowed`; `InvalidExchange` when no verifier could answer the challenge.
    pub(crate) fn admit(&self, ctx: &Ctx) -> Result<Admitted, Error> {
        let targets = Targets::of(&ctx.settings);
        let chosen = targets.choose(self.redirect_to.as_deref()).map_err(|_| Error::RedirectNotAllowed)?;
        let chosen = match chosen {
            Some(chosen) => chosen,
            None => targets
                .admit(ctx.settings.public_url.as_deref().unwrap_or_default())
                .map_err(|_| Error::RedirectNotAllowed)?,
        };
        let parse = |text: &String| Challenge::parse(text).ok_or(Error::InvalidExchange);
        Ok(Admitted { redirect_to: chosen, challenge: self.code_challenge.as_ref().map(parse).transpose()? })
    }
}

impl Admitted {
    /// Where to.
    pub(crate) fn redirect_to(&self) -> &Redirect {
        &self.redirect_to
    }
}

/// A ticket in its mail, before the transaction that may issue it.
pub(crate) struct TicketMail {
    purpose: Purpose,
    pub(super) digest: Digest,
    pub(super) expires_at: Timestamp,
    about: Option<String>,
    pub(super) mail: Mail,
}

impl TicketMail {
    /// One for the account of the address that it goes to.
    pub(crate) fn new(ctx: &Ctx, kind: TicketKind, next: &Admitted) -> Self {
        Self::make(ctx, kind, next, None)
    }

    /// One that gives an account another address, the one it goes to. `former` is that of the account until now.
    pub(crate) fn change_email(ctx: &Ctx, next: &Admitted, former: &str, email: &Email) -> Self {
        Self::make(ctx, TicketKind::EmailConfirmChange, next, Some((former, email.typed())))
    }

    fn make(ctx: &Ctx, kind: TicketKind, next: &Admitted, addresses: Option<(&str, &str)>) -> Self {
        let ticket = Ticket::generate(ctx.project.env(), kind);
        let (text, purpose) = (ticket.text(), purpose_of(kind));
        let expires_at = ctx.now.plus(if kind == TicketKind::VerifyEmail { TO_VERIFY } else { HOUR });
        let letter = TicketLetter {
            code_challenge: next.challenge.as_ref().map(Challenge::as_str),
            email: addresses.map(|(former, _)| former),
            new_email: addresses.map(|(_, new)| new),
            ..TicketLetter::new(template_of(kind), &text, Some(&next.redirect_to), expires_at)
        };
        Self {
            purpose,
            digest: ticket.digest(purpose.name()),
            expires_at,
            about: addresses.map(|(_, new)| new.to_owned()),
            mail: Mail::ticket(ctx, &letter),
        }
    }

    /// Stores it as the account's one of its kind, and sends it on its way.
    pub(crate) fn issue(&self, w: &mut dyn Write, ctx: &Ctx, user: Uuid, to: &str) -> Result<(), StoreError> {
        self.write(w, user)?;
        self.mail.enqueue(w, &ctx.project, to)
    }

    /// Writes the same for an address that nobody is written to at. Nothing leads anywhere.
    pub(crate) fn pretend(&self, w: &mut dyn Write, ctx: &Ctx, email: &Email) -> Result<(), StoreError> {
        self.write(w, one_time::phantom(email))?;
        self.mail.pretend(w, &ctx.project, email.typed())
    }

    fn write(&self, w: &mut dyn Write, user: Uuid) -> Result<(), StoreError> {
        let secret = OneTime { user, expires_at: self.expires_at, mailed: true, about: self.about.clone() };
        one_time::issue(w, self.purpose, &[self.digest], &secret)
    }
}

/// What a text that may be a ticket is for; `None` when it is none. Whether it works is another question.
pub fn kind_of(text: &str) -> Option<TicketKind> {
    Ticket::parse(text).map(|ticket| ticket.kind())
}

/// What the store keeps a ticket of this kind under.
pub(crate) const fn purpose_of(kind: TicketKind) -> Purpose {
    match kind {
        TicketKind::VerifyEmail => Purpose::VerifyEmail,
        TicketKind::PasswordlessEmail => Purpose::SignIn,
        TicketKind::EmailConfirmChange => Purpose::ChangeEmail,
        TicketKind::PasswordReset => Purpose::ResetPassword,
    }
}

const fn template_of(kind: TicketKind) -> Template {
    match kind {
        TicketKind::VerifyEmail => Template::EmailVerify,
        TicketKind::PasswordlessEmail => Template::SigninPasswordless,
        TicketKind::EmailConfirmChange => Template::EmailConfirmChange,
        TicketKind::PasswordReset => Template::PasswordReset,
    }
}

/// Whether an account may do things ([`session::usable`]). Who is about to prove the address need not have proved it
/// (`unproved`).
///
/// # Errors
/// As [`session::usable`].
pub(crate) fn check(ctx: &Ctx, user: &User, unproved: bool) -> Result<(), Error> {
    match session::usable(ctx, user) {
        Err(Error::VerificationRequired(_)) if unproved => match user.is_anonymous {
            true => Err(Error::AnonymousForbidden),
            false => Ok(()),
        },
        checked => checked,
    }
}
