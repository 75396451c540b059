//! Changing a password from within a session.

use uuid::Uuid;

use super::events::{By, Event, EventKind};
use super::{Actor, Ctx, Email, Error, attempts, events, password_policy, session, sign_out};
use crate::crypto::{Secret, StoredHash};
use crate::data::users::User;
use crate::data::{lockouts, one_time, users};
use crate::store::Write;

/// Replaces the actor's password and ends all sessions but the actor's own. A wrong current password counts like a
/// failed sign-in.
///
/// # Errors
/// What [`password_policy::check`] says, `WrongCurrentPassword`, `NoPassword`, `SamePassword` (where the dialect minds), `Locked`, `Unauthenticated` when the
/// session has ended meanwhile, `Busy`, and the store's.
pub async fn change(ctx: &Ctx, actor: Actor, current: Secret<String>, new: Secret<String>) -> Result<(), Error> {
    if actor.user.password.is_none() {
        // Its owner is told nothing new, and nothing was guessed.
        return Err(Error::NoPassword);
    }
    // Before the attempt is admitted: others at this account may have to wait for its verdict.
    password_policy::check(ctx, &new).await?;
    // One without an address has no password.
    let email = actor.user.address()?.ok_or(Error::NoPassword)?;
    let subject = ctx.subject(&email);
    let attempt = attempts::admit(ctx, subject).await?;
    let pool = ctx.project.pool();
    let same = !ctx.rules.same_password && current.expose() == new.expose();
    let verdict = pool.verify(ctx.hash_group(), current, actor.user.password.clone()).await?;
    let hash = match (verdict.matches, same) {
        (true, true) => None,
        (true, false) => Some(pool.hash(ctx.hash_group(), new).await?),
        (false, _) => None,
    };
    let job = Change {
        changed: ctx.event(EventKind::PasswordChanged, By::User, Some(actor.user.id)),
        failed: Event {
            outcome: events::Outcome::WrongCredentials,
            ..ctx.event_on(EventKind::SignInFailed, By::User, Some(actor.user.id), &email)
        },
        lockout: ctx.event_on(EventKind::LockedOut, By::Server, Some(actor.user.id), &email),
        matches: verdict.matches,
        email,
        actor,
        hash,
        ctx: ctx.clone(),
    };
    let outcome = ctx.project.store().write(move |w| job.run(w)).await?;
    drop(attempt);
    match outcome {
        Outcome::Changed => Ok(()),
        Outcome::Same => Err(Error::SamePassword),
        Outcome::Wrong { locked } => {
            ctx.count_lockout(locked);
            attempts::say_failed(ctx, attempts::Reason::Credentials);
            Err(Error::WrongCurrentPassword)
        }
    }
}

/// Puts a password in place whatever it was before, as part of a job. All sessions of the account end but `spare`, and
/// whatever waits in mails works no more.
pub(crate) fn replace(w: &mut dyn Write, mut user: User, hash: StoredHash, spare: Option<Uuid>) -> Result<(), Error> {
    user.password = Some(hash);
    sign_out::all(w, user.id, spare)?;
    one_time::withdraw_all(w, user.id)?;
    Ok(users::put(w, &user)?)
}

struct Change {
    actor: Actor,
    email: Email,
    matches: bool,
    /// The new hash; `None` when the new password is the current one.
    hash: Option<StoredHash>,
    changed: Event,
    failed: Event,
    lockout: Event,
    ctx: Ctx,
}

enum Outcome {
    Changed,
    Same,
    /// Not an `Err`: the failure must be counted.
    Wrong {
        locked: bool,
    },
}

impl Change {
    fn run(&self, w: &mut dyn Write) -> Result<Outcome, Error> {
        let ctx = &self.ctx;
        let user = session::recheck(w, &self.actor, ctx.now)?;
        // What was checked must still be what is stored.
        if !self.matches || user.password != self.actor.user.password {
            let locked = attempts::fail(w, ctx, &self.email, Some(&user), &self.failed, &self.lockout)?;
            return Ok(Outcome::Wrong { locked });
        }
        lockouts::succeed(w, &ctx.subject(&self.email))?;
        let Some(hash) = &self.hash else { return Ok(Outcome::Same) };
        replace(w, user, hash.clone(), Some(self.actor.session))?;
        ctx.record(w, &self.changed)?;
        Ok(Outcome::Changed)
    }
}
