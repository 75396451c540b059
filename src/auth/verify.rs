//! Proving that an address belongs to an account.

use std::time::Duration;

use super::events::{By, Event, EventKind};
use super::{Ctx, Email, Error, Unverified};
use crate::crypto::{Digest, Secret};
use crate::data::one_time::{self, OneTime, Purpose};
use crate::data::users::{self, EmailProof, ProofKind, User};
use crate::store::{StoreError, Write};
use crate::token::OneTimeSecret;

/// The answer to a request for another verification secret.
#[derive(Debug)]
pub enum Resent {
    /// A secret, real or (for an address that has nothing to verify) a decoy that looks the same.
    Token(Secret<String>),
    /// One was asked for just now.
    Cooldown {
        /// When the next may be asked for.
        retry_after: Duration,
    },
}

/// Issues another verification secret for `email`; earlier ones stop working. Unknown and verified addresses get the
/// same answers.
///
/// # Errors
/// Only the store's.
pub async fn resend(ctx: &Ctx, email: Email) -> Result<Resent, Error> {
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
                None => candidate.note(w, ctx, &email)?,
            }
            Ok(Resent::Token(candidate.text()))
        })
        .await
}

/// Redeems a verification secret: the account's address counts as proved, as *asserted* where the app was given the
/// secret. No session begins.
///
/// # Errors
/// `InvalidVerificationToken` for every cause on the secret's side.
pub async fn confirm(ctx: &Ctx, secret: &str) -> Result<User, Error> {
    let secret = OneTimeSecret::parse(secret).ok_or(Error::InvalidVerificationToken)?;
    let digest = secret.digest(Purpose::VerifyEmail.name());
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
            user.email_proof.get_or_insert(EmailProof { at: now, kind: ProofKind::Asserted });
            users::put(w, &user)?;
            job_ctx.record(w, &Event { user: Some(user.id), ..event.clone() })?;
            Ok::<_, Error>(Some(user))
        })
        .await?;
    user.ok_or(Error::InvalidVerificationToken)
}

/// A verification secret made before the transaction that may issue it.
pub(crate) struct Candidate {
    secret: OneTimeSecret,
    digest: Digest,
}

impl Candidate {
    pub(crate) fn new(ctx: &Ctx) -> Self {
        let secret = OneTimeSecret::generate(ctx.project.env());
        let digest = secret.digest(Purpose::VerifyEmail.name());
        Self { secret, digest }
    }

    fn text(&self) -> Secret<String> {
        Secret::new(self.secret.text())
    }

    /// Stores it as the one that works for `user`, and starts the address's cooldown.
    fn issue(&self, w: &mut dyn Write, ctx: &Ctx, user: &User, email: &Email) -> Result<(), StoreError> {
        let expires_at = ctx.now.plus(ctx.settings.verification.ttl);
        one_time::issue(w, Purpose::VerifyEmail, &self.digest, &OneTime { user: user.id, expires_at })?;
        self.note(w, ctx, email)
    }

    /// Starts the address's cooldown.
    fn note(&self, w: &mut dyn Write, ctx: &Ctx, email: &Email) -> Result<(), StoreError> {
        let until = ctx.now.plus(ctx.settings.verification.cooldown);
        one_time::note_issued(w, Purpose::VerifyEmail, email, ctx.now, until)
    }

    /// For an address that turned out to have an account: what [`unverified`] would answer for a new one, with a text
    /// that leads nowhere.
    pub(crate) fn decoy(
        &self,
        w: &mut dyn Write,
        ctx: &Ctx,
        email: &Email,
    ) -> Result<Option<Secret<String>>, StoreError> {
        if cooling_down(w, ctx, email)?.is_some() {
            return Ok(None);
        }
        self.note(w, ctx, email)?;
        Ok(Some(self.text()))
    }
}

/// The answer to right credentials of an account that must prove its address first: with a fresh secret, unless one
/// was issued just now.
pub(crate) fn unverified(
    w: &mut dyn Write,
    ctx: &Ctx,
    user: User,
    candidate: &Candidate,
) -> Result<Unverified, StoreError> {
    let email = user.address()?;
    let token = if cooling_down(w, ctx, &email)?.is_some() {
        None
    } else {
        candidate.issue(w, ctx, &user, &email)?;
        Some(candidate.text())
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
