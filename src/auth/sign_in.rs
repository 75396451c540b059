//! Signing in with address and password.

use std::sync::Arc;

use super::events::{By, Event, EventKind};
use super::session::{Draft, Issued};
use super::verify::{self, Candidate};
use super::{Ctx, Email, Error, Unverified, access, attempts, events, session};
use crate::crypto::{Secret, Verdict};
use crate::data::lockouts;
use crate::data::users::{self, User};
use crate::store::Write;

/// Checks a password and begins a session. An unknown address costs the same hash, the same writes and the same
/// answer as a wrong password.
///
/// # Errors
/// `InvalidCredentials`, `NoPassword` (where the dialect tells), `AccountDisabled`, `Locked`, `VerificationRequired` (only after the right password), `Busy`,
/// and the store's.
pub async fn with_password(ctx: &Ctx, email: Email, password: Secret<String>) -> Result<Issued, Error> {
    let result = check(ctx, email, password).await;
    ctx.count_sign_in(&result);
    result
}

async fn check(ctx: &Ctx, email: Email, password: Secret<String>) -> Result<Issued, Error> {
    let subject = ctx.subject(&email);
    let attempt = attempts::admit(ctx, subject).await?;
    // An address that is not admitted is as good as unknown, and costs as much.
    let admitted = access::admits(&ctx.settings, &email);
    let found = ctx.project.store().read(|r| users::by_email(r, &email))?.filter(|_| admitted);
    let stored = found.as_ref().and_then(|user| user.password.clone());
    let verdict = ctx.project.pool().verify(ctx.hash_group(), password, stored).await?;

    let user = found.as_ref().map(|user| user.id);
    let job = Arc::new(Judgement {
        verdict,
        draft: found.as_ref().map(|user| Draft::new(ctx, user)).transpose()?,
        found,
        candidate: Candidate::where_strict(ctx),
        lockout: ctx.event_on(EventKind::LockedOut, By::Server, user, &email),
        failed: ctx.event_on(EventKind::SignInFailed, By::Stranger, user, &email),
        signed_in: ctx.event(EventKind::SignedIn, By::User, user),
        email,
        ctx: ctx.clone(),
    });
    let outcome = ctx
        .project
        .store()
        .write_within(ctx.project.pool().patience(), {
            let job = Arc::clone(&job);
            move |w| job.run(w)
        })
        .await?;
    // Only now is the verdict stored; the next attempt may look.
    drop(attempt);
    match (outcome, &job.draft) {
        (Outcome::In(user), Some(draft)) => draft.issue(ctx, *user),
        (Outcome::In(_), None) => Err(Error::Internal("an account was found but no session drafted".into())),
        (Outcome::Unverified(unverified), _) => Err(Error::VerificationRequired(unverified)),
        (Outcome::Wrong { locked }, _) => {
            ctx.count_lockout(locked);
            attempts::say_failed(ctx, attempts::Reason::Credentials);
            Err(Error::InvalidCredentials)
        }
        (Outcome::NoPassword { locked }, _) => {
            ctx.count_lockout(locked);
            attempts::say_failed(ctx, attempts::Reason::Credentials);
            Err(Error::NoPassword)
        }
        (Outcome::Disabled { locked }, _) => {
            ctx.count_lockout(locked);
            attempts::say_failed(ctx, attempts::Reason::Disabled);
            Err(Error::AccountDisabled)
        }
    }
}

struct Judgement {
    verdict: Verdict,
    found: Option<User>,
    draft: Option<Draft>,
    /// Only where a fresh secret goes out to an unproved address that may not sign in.
    candidate: Option<Candidate>,
    lockout: Event,
    failed: Event,
    signed_in: Event,
    email: Email,
    ctx: Ctx,
}

enum Outcome {
    In(Box<User>),
    Unverified(Box<Unverified>),
    /// Not an `Err`: the failure must be counted.
    Wrong {
        locked: bool,
    },
    /// There is no password that could be right, and the answer may say so.
    NoPassword {
        locked: bool,
    },
    Disabled {
        locked: bool,
    },
}

impl Judgement {
    fn run(&self, w: &mut dyn Write) -> Result<Outcome, Error> {
        let ctx = &self.ctx;
        let subject = ctx.subject(&self.email);
        // The account as it is now: it may have been deleted, or its password changed, while the hash was computed.
        let now = match &self.found {
            Some(seen) => users::get(w, seen.id)?.filter(|user| user.password == seen.password),
            None => None,
        };
        let tells = ctx.rules.tells_missing_password && !ctx.settings.conceal;
        let without = now.as_ref().is_some_and(|user| user.password.is_none() && user.disabled_at.is_none());
        let (Some(mut user), true) = (now, self.verdict.matches) else {
            let locked = self.wrong(w, events::Outcome::WrongCredentials)?;
            return Ok(if tells && without { Outcome::NoPassword { locked } } else { Outcome::Wrong { locked } });
        };
        if user.disabled_at.is_some() {
            let locked = self.wrong(w, events::Outcome::AccountDisabled)?;
            return Ok(Outcome::Disabled { locked });
        }
        lockouts::succeed(w, &subject)?;
        if let Some(hash) = &self.verdict.rehash {
            user.password = Some(hash.clone());
            users::put(w, &user)?;
        }
        if session::must_verify(ctx, &user) {
            let unverified = verify::unverified(w, ctx, user, self.candidate.as_ref())?;
            // Somebody knows the password: that is worth an entry, and counts as no failure.
            let outcome = events::Outcome::Unverified;
            ctx.record(w, &Event { by: By::User, outcome, ..self.failed.clone() })?;
            return Ok(Outcome::Unverified(Box::new(unverified)));
        }
        if let Some(draft) = &self.draft {
            draft.begin(w, ctx, &user)?;
        }
        ctx.record(w, &self.signed_in)?;
        Ok(Outcome::In(Box::new(user)))
    }

    fn wrong(&self, w: &mut dyn Write, outcome: events::Outcome) -> Result<bool, Error> {
        let failed = Event { outcome, ..self.failed.clone() };
        Ok(attempts::fail(w, &self.ctx, &self.email, self.found.as_ref(), &failed, &self.lockout)?)
    }
}
