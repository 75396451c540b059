//! Admission to guessing: no more secrets are checked at once than the lockout still allows to be wrong.
//!
//! Failures are counted in the store with the verdict. Between asking and verdict lies a hash, so attempts in flight
//! are counted here: an attempt is admitted while failures stored + attempts in flight stay below the limit, else it
//! waits for a verdict. Twelve right sign-ins all pass; of 500 wrong ones only the allowed number costs a hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Ctx, Error};
use crate::data::lockouts::{self, LockoutPolicy, Standing, Subject};

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
                Standing::Locked(retry_after) => return Err(Error::Locked { retry_after }),
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
