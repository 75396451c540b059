//! Signing in with six digits that a mail brought.
//!
//! A million codes can be guessed, so guesses are counted three times over: each before it is looked at, in the account's
//! own count that no further code resets ([`codes`]); the wrong ones in the lockout that all ways to sign in share; and
//! those in flight by [`attempts`]. An address without an account, or without a code, costs the same hash, the same writes
//! and the same answer.

use std::sync::Arc;

use uuid::Uuid;

use super::events::{By, Event, EventKind};
use super::proof::{self, Owner};
use super::session::{Draft, Issued};
use super::{Ctx, Email, Error, attempts, events, tickets};
use crate::crypto::{Secret, StoredHash};
use crate::data::codes::{self, Guess};
use crate::data::users::{self, User};
use crate::data::{lockouts, one_time};
use crate::store::Write;
use crate::token::SixDigits;

/// Checks the digits, proves the address by them, and begins a session.
///
/// # Errors
/// `FeatureOff`; `InvalidCode`; `TooManyCodes` when the account's guesses are used up; `Locked`; with the right digits
/// `AddressNotAllowed`, `AccountDisabled`, `AnonymousForbidden` for an account that may not; `Busy`, and the store's.
pub async fn sign_in(ctx: &Ctx, email: Email, typed: &Secret<String>) -> Result<Issued, Error> {
    if !ctx.settings.nhost.otp_email {
        return Err(Error::FeatureOff);
    }
    let result = check(ctx, email, typed).await;
    ctx.count_sign_in(&result);
    result
}

async fn check(ctx: &Ctx, email: Email, typed: &Secret<String>) -> Result<Issued, Error> {
    // What cannot be a code is no guess at one.
    let digits = SixDigits::parse(typed.expose()).ok_or(Error::InvalidCode)?;
    let found = ctx.project.store().read(|r| users::by_email(r, &email))?;
    let id = found.as_ref().map_or_else(|| one_time::phantom(&email), |user| user.id);
    if !ctx.project.store().read(|r| codes::may_guess(r, id, ctx.now))? {
        return Err(Error::TooManyCodes);
    }
    let attempt = attempts::admit(ctx, ctx.subject(&email)).await?;
    let now = ctx.now;
    let expected = match ctx.project.store().write(move |w| codes::guess(w, id, now)).await? {
        Guess::Counted(expected) => expected,
        Guess::TooMany => return Err(Error::TooManyCodes),
    };
    let verdict = ctx.project.pool().verify(ctx.hash_group(), digits.text().clone(), expected.clone()).await?;

    let user = found.as_ref().map(|user| user.id);
    let job = Arc::new(Judgement {
        right: expected.filter(|_| verdict.matches),
        draft: found.as_ref().map(|user| Draft::new(ctx, user)).transpose()?,
        found,
        proved: proof::event(ctx),
        lockout: ctx.event_on(EventKind::LockedOut, By::Server, user, &email),
        failed: ctx.event_on(EventKind::SignInFailed, By::Stranger, user, &email),
        signed_in: ctx.event(EventKind::SignedIn, By::User, user),
        email,
        ctx: ctx.clone(),
    });
    let running = Arc::clone(&job);
    let outcome = ctx.project.store().write(move |w| running.run(w)).await?;
    // Only now is the verdict stored; the next attempt may look.
    drop(attempt);
    match (outcome, &job.draft) {
        (Outcome::In(user), Some(draft)) => draft.issue(ctx, *user),
        (Outcome::In(_), None) => Err(Error::Internal("an account was found but no session drafted".into())),
        (Outcome::Refused(refused), _) => {
            if matches!(refused, Error::AccountDisabled) {
                attempts::say_failed(ctx, attempts::Reason::Disabled);
            }
            Err(refused)
        }
        (Outcome::Wrong { locked }, _) => {
            ctx.count_lockout(locked);
            attempts::say_failed(ctx, attempts::Reason::Credentials);
            Err(Error::InvalidCode)
        }
    }
}

struct Judgement {
    /// The hash that the digits were found to be of.
    right: Option<StoredHash>,
    found: Option<User>,
    draft: Option<Draft>,
    proved: Event,
    lockout: Event,
    failed: Event,
    signed_in: Event,
    email: Email,
    ctx: Ctx,
}

enum Outcome {
    In(Box<User>),
    /// The digits were right and are used up; the account may not.
    Refused(Error),
    /// Not an `Err`: the failure must be counted.
    Wrong {
        locked: bool,
    },
}

impl Judgement {
    fn run(&self, w: &mut dyn Write) -> Result<Outcome, Error> {
        let ctx = &self.ctx;
        let Some(mut user) = self.redeem(w)? else {
            return Ok(Outcome::Wrong { locked: self.wrong(w)? });
        };
        lockouts::succeed(w, &ctx.subject(&self.email))?;
        if let Err(refused) = tickets::check(ctx, &user, true) {
            return Ok(Outcome::Refused(refused));
        }
        proof::by_mail(w, ctx, &mut user, Owner::Unknown, &self.proved)?;
        if let Some(draft) = &self.draft {
            draft.begin(w, ctx, &user)?;
        }
        ctx.record(w, &self.signed_in)?;
        Ok(Outcome::In(Box::new(user)))
    }

    /// The account, when the digits are right and were not used, or replaced, while they were looked at.
    fn redeem(&self, w: &mut dyn Write) -> Result<Option<User>, Error> {
        let (Some(hash), Some(seen)) = (&self.right, &self.found) else { return Ok(None) };
        // Its address may have changed since: the digits went to the one that was named.
        let is_it = |id: Uuid| id == seen.id;
        if !users::id_by_email(w, &self.email)?.is_some_and(is_it) || !codes::redeem(w, seen.id, hash, self.ctx.now)? {
            return Ok(None);
        }
        Ok(users::get(w, seen.id)?)
    }

    fn wrong(&self, w: &mut dyn Write) -> Result<bool, Error> {
        let failed = Event { outcome: events::Outcome::WrongCredentials, ..self.failed.clone() };
        Ok(attempts::fail(w, &self.ctx, &self.email, self.found.as_ref(), &failed, &self.lockout)?)
    }
}
