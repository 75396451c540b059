//! Admission to guessing: no more secrets are checked at once than the lockout still allows to be wrong.
//!
//! Failures are counted in the store with the verdict. Between asking and verdict lies a hash, so attempts in flight
//! are counted here: an attempt is admitted while failures stored + attempts in flight stay below the limit, else it
//! waits for a verdict. Twelve right sign-ins all pass; of 500 wrong ones only the allowed number costs a hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::events::Event;
use super::{Ctx, Email, Error, User, notices};
use crate::data::lockouts::{self, LockoutPolicy, Standing, Subject};
use crate::store::{StoreError, Write};

/// Attempts that wait for others' verdicts, over all subjects; more are told to come back.
const MAX_WAITING: usize = 4096;

/// The attempts in flight of one project.
#[derive(Debug, Default)]
pub struct Attempts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_subject: HashMap<Subject, u32>,
    by_address: HashMap<[u8; 16], InFlight>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct InFlight {
    count: u32,
    /// Woken at every verdict on this address.
    verdict: Arc<Notify>,
}

/// The right to check one secret. Held until the verdict is stored; dropping it lets the next one in.
#[derive(Debug)]
pub struct Attempt<'a> {
    attempts: &'a Attempts,
    subject: Subject,
}

/// Waits until one more guess on `subject` may be made.
///
/// # Errors
/// `Locked` when the failures are used up, `Busy` when too many wait already.
pub async fn admit<'a>(ctx: &'a Ctx, subject: Subject) -> Result<Attempt<'a>, Error> {
    let attempts = ctx.project.attempts();
    let policy = policy(ctx);
    loop {
        let verdict = {
            let mut state = attempts.lock();
            // The store is read under the lock: a verdict is stored before its attempt leaves the count, so each
            // attempt is seen in at least one of the two.
            let standing = ctx.project.store().read(|r| lockouts::standing(r, &subject, &policy, ctx.now));
            let (client, account) = match standing? {
                Standing::Locked(retry_after) => {
                    // Nothing is written: a stranger who goes on knocking must not fill the store.
                    say_failed(ctx, Reason::Locked);
                    return Err(Error::Locked { retry_after });
                }
                Standing::Open { client, account } => (client, account),
            };
            let own = state.by_subject.get(&subject).copied().unwrap_or(0);
            let in_flight = state.by_address.entry(subject.address()).or_default();
            if own < client && in_flight.count < account {
                in_flight.count += 1;
                state.by_subject.insert(subject, own + 1);
                return Ok(Attempt { attempts, subject });
            }
            let verdict = Arc::clone(&in_flight.verdict);
            if state.waiting >= MAX_WAITING {
                return Err(Error::Busy { retry_after: Duration::from_secs(1) });
            }
            state.waiting += 1;
            // Registered while the lock is held, so no verdict can slip between looking and waiting.
            verdict.notified_owned()
        };
        let _waiting = Waiting(attempts);
        verdict.await;
    }
}

/// Counts a wrong secret for `email`, as part of a job; whether that locked the address, whose owner, if there is one, is
/// then told. As many rows of the same length whether or not the address has an account.
pub(crate) fn fail(
    w: &mut dyn Write,
    ctx: &Ctx,
    email: &Email,
    owner: Option<&User>,
    failed: &Event,
    lockout: &Event,
) -> Result<bool, StoreError> {
    let locked = lockouts::fail(w, &ctx.subject(email), &policy(ctx), ctx.now)?;
    ctx.record(w, failed)?;
    if locked {
        ctx.record(w, lockout)?;
        notices::locked_out(w, ctx, email, owner, lockout)?;
    }
    Ok(locked)
}

/// Why a secret that was presented let nobody in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    /// Unknown address or wrong secret.
    Credentials,
    /// Locked: it was not even looked at.
    Locked,
    /// The right secret of an account that is switched off.
    Disabled,
}

/// The one log line of every failed sign-in, whatever was presented and to whichever API, for programs that ban
/// addresses. Its text stays as it is, and a test holds it to the byte. As text:
///
/// ```text
/// 2026-11-25T10:15:00.123456Z  INFO keystead::sign_in: sign-in failed client=192.0.2.1 project=default reason=credentials request=00a1b2c3d4e5f607
/// ```
///
/// and as JSON the same in `"fields"`. `client` is the address settled from the socket and trusted proxies, never one
/// that a stranger could claim; `reason` is `credentials`, `locked` or `disabled`; `request` is the reply's
/// `x-request-id`, the only text that may come from outside: letters, digits and `._-`. `packaging/fail2ban` reads it.
pub(crate) fn say_failed(ctx: &Ctx, reason: Reason) {
    let reason = match reason {
        Reason::Credentials => "credentials",
        Reason::Locked => "locked",
        Reason::Disabled => "disabled",
    };
    let (client, project, request) = (ctx.client.ip, &ctx.project.record().slug, &ctx.request_id);
    // Outside every span: what they add would stand before the text.
    tracing::info!(target: "keystead::sign_in", parent: None, %client, %project, %reason, %request, "sign-in failed");
}

/// The project's lockout as the store counts it.
pub(crate) fn policy(ctx: &Ctx) -> LockoutPolicy {
    policy_of(&ctx.settings)
}

/// The lockout these settings ask for.
pub(crate) fn policy_of(settings: &super::ProjectSettings) -> LockoutPolicy {
    let lockout = &settings.lockout;
    LockoutPolicy {
        failures: lockout.failures,
        account_failures: lockout.account_failures,
        window: lockout.window,
        duration: lockout.duration,
    }
}

impl Attempts {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut state = self.attempts.lock();
        if let Some(own) = state.by_subject.get_mut(&self.subject) {
            *own -= 1;
            if *own == 0 {
                state.by_subject.remove(&self.subject);
            }
        }
        let address = self.subject.address();
        if let Some(in_flight) = state.by_address.get_mut(&address) {
            in_flight.count -= 1;
            in_flight.verdict.notify_waiters();
            if in_flight.count == 0 {
                state.by_address.remove(&address);
            }
        }
    }
}

struct Waiting<'a>(&'a Attempts);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// What remains of a lock, in whole seconds, rounded up: never 0 while it holds.
pub fn retry_after_secs(retry_after: Duration) -> u64 {
    retry_after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
