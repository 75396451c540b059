//! Proving that an address belongs to an account: a secret goes out, by the app or by mail, and comes back.
//!
//! An address without an account to verify is treated like one: the same rows are written, for an account that stands in
//! (a phantom) and with a mail that is never sent.

use std::time::Duration;

use super::events::{By, Event, EventKind};
use super::limits::{self, Limit, Limiter};
use super::mail::Mail;
use super::tickets::{Admitted, TicketMail};
use super::{Ctx, Email, Error, ProjectSettings, Unverified, notices};
use crate::config::{Delivery, VerificationMode};
use crate::crypto::{Digest, Secret};
use crate::data::one_time::{self, OneTime, Purpose};
use crate::data::users::{self, EmailProof, ProofKind, User};
use crate::env::Timestamp;
use crate::mail::{Letter, Template};
use crate::store::{StoreError, Write};
use crate::token::{OneTimeSecret, TicketKind, TypeableCode};

/// Secrets that one client may ask for, known addresses or not: each is written down for its whole life, and nothing else
/// about asking costs anything. The client may well be an app's own server that asks for all of its users.
pub(super) const RESENDS: Limit = Limit::new(600, 600);

/// The answer to a request for another verification secret.
#[derive(Debug)]
pub enum Resent {
    /// A secret, real or (for an address that has nothing to verify) a decoy that looks the same.
    Token(Secret<String>),
    /// If the address has something to verify, a mail is on its way.
    Mailed,
    /// One was asked for just now.
    Cooldown {
        /// When the next may be asked for.
        retry_after: Duration,
    },
}

/// Whether an account may do nothing before its address is proved.
pub fn is_required(settings: &ProjectSettings) -> bool {
    settings.verification.mode == VerificationMode::Strict
}

/// Issues another verification secret for `email`; earlier ones stop working. Unknown and verified addresses get the
/// same answers, after the same writes.
///
/// # Errors
/// `TooManyRequests`, and the store's.
pub async fn resend(ctx: &Ctx, email: Email) -> Result<Resent, Error> {
    limits::count(ctx, Limiter::Resend, Some(RESENDS)).await?;
    let candidate = Candidate::new(ctx);
    let job_ctx = ctx.clone();
    ctx.project
        .store()
        .write(move |w| {
            let ctx = &job_ctx;
            if let Some(retry_after) = cooling_down(w, ctx, &email)? {
                return Ok(Resent::Cooldown { retry_after });
            }
            let pending =
                users::by_email(w, &email)?.filter(|user| user.email_proof.is_none() && user.disabled_at.is_none());
            match pending {
                Some(user) => candidate.issue(w, ctx, &user, &email)?,
                None => candidate.pretend(w, ctx, &email)?,
            }
            Ok(candidate.token().map_or(Resent::Mailed, Resent::Token))
        })
        .await
}

/// Redeems a verification secret, as it was given out or as its code was typed: the account's address counts as proved,
/// as *asserted* where the app was given the secret. No session begins.
///
/// # Errors
/// `InvalidVerificationToken` for every cause on the secret's side; `Locked` after too many wrong codes.
pub async fn confirm(ctx: &Ctx, secret: &str) -> Result<User, Error> {
    let (digest, is_code) = match (OneTimeSecret::parse(secret), TypeableCode::parse(secret)) {
        (Some(secret), _) => (secret.digest(Purpose::VerifyEmail.name()), false),
        (None, Some(code)) => (code.digest(Purpose::VerifyEmail.code_name()), true),
        (None, None) => return Err(Error::InvalidVerificationToken),
    };
    if is_code {
        // Counted before it is looked at: of many at once, no more than the limit are.
        limits::guess(ctx)?;
    }
    let event = ctx.event(EventKind::EmailVerified, By::User, None);
    let job_ctx = ctx.clone();
    let user = ctx
        .project
        .store()
        .write(move |w| {
            let now = job_ctx.now;
            let Some(found) = one_time::consume(w, Purpose::VerifyEmail, &digest, now)? else { return Ok(None) };
            let Some(mut user) = users::get(w, found.user)?.filter(|user| user.disabled_at.is_none()) else {
                return Ok(None);
            };
            let kind = if found.mailed { ProofKind::Mailed } else { ProofKind::Asserted };
            match &user.email_proof {
                // What was only asserted is now worth more.
                Some(proof) if proof.kind != ProofKind::Asserted || !found.mailed => {}
                Some(_) | None => user.email_proof = Some(EmailProof { at: now, kind }),
            }
            users::put(w, &user)?;
            job_ctx.record(w, &Event { user: Some(user.id), ..event.clone() })?;
            Ok::<_, Error>(Some(user))
        })
        .await?;
    if is_code && user.is_some() {
        limits::forgive_guess(ctx);
    }
    user.ok_or(Error::InvalidVerificationToken)
}

/// A verification secret made before the transaction that may issue it.
pub(crate) struct Candidate {
    /// Its digests: of the token, and of the code where a mail carries one.
    digests: Vec<Digest>,
    expires_at: Timestamp,
    out: Out,
}

/// How it goes out.
enum Out {
    /// In the answer.
    Answer(OneTimeSecret),
    /// By mail, and never in the answer.
    Mail {
        mail: Box<Mail>,
        /// Instead of it, to who has an account already.
        exists: Box<Mail>,
    },
}

impl Candidate {
    /// One for who may not do anything with an unproved address, where trying to sends another secret.
    pub(crate) fn where_strict(ctx: &Ctx) -> Option<Self> {
        let strict = is_required(&ctx.settings);
        (strict && ctx.rules.unproved_gets_another).then(|| Self::new(ctx))
    }

    pub(crate) fn new(ctx: &Ctx) -> Self {
        let env = ctx.project.env();
        let secret = OneTimeSecret::generate(env);
        let digest = secret.digest(Purpose::VerifyEmail.name());
        let expires_at = ctx.now.plus(ctx.settings.verification.ttl);
        if ctx.settings.verification.delivery == Delivery::App {
            return Self { digests: vec![digest], expires_at, out: Out::Answer(secret) };
        }
        let code = TypeableCode::generate(env);
        let letter = Letter {
            link: Some(Secret::new(link(ctx, &secret))),
            code: Some(Secret::new(code.text())),
            values: [("expires_at".to_owned(), notices::spoken(expires_at))].into(),
            ..Letter::of(Template::VerifyEmail)
        };
        Self {
            digests: vec![digest, code.digest(Purpose::VerifyEmail.code_name())],
            expires_at,
            out: Out::Mail {
                mail: Box::new(Mail::sealed(&ctx.project, ctx.now, &letter, expires_at)),
                exists: Box::new(exists(ctx, expires_at)),
            },
        }
    }

    /// One that is a ticket, and goes out by mail whatever the project's settings say of other secrets.
    pub(crate) fn ticket(ctx: &Ctx, next: &Admitted) -> Self {
        let TicketMail { digest, expires_at, mail, .. } = TicketMail::new(ctx, TicketKind::VerifyEmail, next);
        let exists = Box::new(exists(ctx, expires_at));
        Self { digests: vec![digest], expires_at, out: Out::Mail { mail: Box::new(mail), exists } }
    }

    /// What goes into the answer, where it is the app that delivers.
    fn token(&self) -> Option<Secret<String>> {
        match &self.out {
            Out::Answer(secret) => Some(Secret::new(secret.text())),
            Out::Mail { .. } => None,
        }
    }

    /// Stores it as the one that works for `user`, sends it on its way, and starts the address's cooldown.
    fn issue(&self, w: &mut dyn Write, ctx: &Ctx, user: &User, email: &Email) -> Result<(), StoreError> {
        self.write(w, ctx, user.id, email)?;
        match &self.out {
            Out::Mail { mail, .. } => mail.enqueue(w, &ctx.project, user.typed_email()),
            Out::Answer(_) => Ok(()),
        }
    }

    /// Writes the same for an address that has nothing to verify. Nothing leads anywhere.
    fn pretend(&self, w: &mut dyn Write, ctx: &Ctx, email: &Email) -> Result<(), StoreError> {
        self.write(w, ctx, one_time::phantom(email), email)?;
        match &self.out {
            Out::Mail { mail, .. } => mail.pretend(w, &ctx.project, email.typed()),
            Out::Answer(_) => Ok(()),
        }
    }

    fn write(&self, w: &mut dyn Write, ctx: &Ctx, user: uuid::Uuid, email: &Email) -> Result<(), StoreError> {
        let mailed = matches!(self.out, Out::Mail { .. });
        let secret = OneTime { user, expires_at: self.expires_at, mailed, about: None };
        one_time::issue(w, Purpose::VerifyEmail, &self.digests, &secret)?;
        let until = ctx.now.plus(ctx.settings.verification.cooldown);
        one_time::note_issued(w, Purpose::VerifyEmail, email, ctx.now, until)
    }

    /// For a sign-up with an address that turned out to have the account `owner`: what [`unverified`] would answer for a
    /// new one, with a text that leads nowhere. Where we send mails, the owner is told.
    pub(crate) fn decoy(
        &self,
        w: &mut dyn Write,
        ctx: &Ctx,
        owner: &User,
        email: &Email,
    ) -> Result<Option<Secret<String>>, StoreError> {
        if cooling_down(w, ctx, email)?.is_some() {
            return Ok(None);
        }
        self.write(w, ctx, one_time::phantom(email), email)?;
        match &self.out {
            Out::Mail { exists, .. } if owner.disabled_at.is_none() => {
                exists.enqueue(w, &ctx.project, owner.typed_email())?
            }
            Out::Mail { exists, .. } => exists.pretend(w, &ctx.project, email.typed())?,
            Out::Answer(_) => {}
        }
        Ok(self.token())
    }
}

/// What goes to who has an account already.
fn exists(ctx: &Ctx, expires_at: Timestamp) -> Mail {
    let letter =
        Letter { values: [("at".to_owned(), notices::spoken(ctx.now))].into(), ..Letter::of(Template::AccountExists) };
    Mail::sealed(&ctx.project, ctx.now, &letter, expires_at)
}

/// The answer to right credentials of an account that must prove its address first: a fresh secret goes out, unless one
/// did just now.
pub(crate) fn unverified(
    w: &mut dyn Write,
    ctx: &Ctx,
    user: User,
    candidate: Option<&Candidate>,
) -> Result<Unverified, StoreError> {
    let Some(email) = user.address()? else { return Ok(Unverified { user, token: None }) };
    let token = match candidate {
        Some(candidate) if cooling_down(w, ctx, &email)?.is_none() => {
            candidate.issue(w, ctx, &user, &email)?;
            candidate.token()
        }
        Some(_) | None => None,
    };
    Ok(Unverified { user, token })
}

/// How long until another secret may be issued for this address.
fn cooling_down(w: &dyn Write, ctx: &Ctx, email: &Email) -> Result<Option<Duration>, StoreError> {
    let last = one_time::last_issued(w, Purpose::VerifyEmail, email)?;
    Ok(last
        .map(|at| ctx.settings.verification.cooldown.saturating_sub(ctx.now.since(at)))
        .filter(|left| !left.is_zero()))
}

/// Where the mail leads: the app's own page, else ours. Built from settings, never from a request.
fn link(ctx: &Ctx, secret: &OneTimeSecret) -> String {
    let (settings, token) = (&ctx.settings, secret.text());
    if let Some(page) = &settings.verification.link {
        return page.replace("{token}", &token);
    }
    let url = settings.public_url.as_deref().unwrap_or_default();
    let host = url.split_once("://").map_or("", |(_, rest)| rest).split([':', '/']).next().unwrap_or_default();
    let mut link = format!("{url}/verify-email?token={token}");
    // Where the host does not say which project is meant, the link does; also when there is only one now.
    if !settings.hosts.iter().any(|own| own == host) {
        link.push_str(&format!("&project={}", ctx.project.id()));
    }
    link
}
