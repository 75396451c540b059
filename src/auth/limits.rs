//! Limiters: how many requests of one client are taken in a fixed window that begins with the first of them.
//!
//! A limiter is declared in [`Limiter`]; its numbers are settings, which a dialect brings. Every request counts, refused
//! ones too; the window then ends as a whole. Clients are counted by their group: an IPv4 address, an IPv6 /64.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::attempts::retry_after_secs;
use super::{Ctx, Error};
pub use crate::config::Limit;
use crate::data::rates::{self, RateWindow};
use crate::env::Timestamp;

/// The limiters there are. Numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Limiter {
    /// Every request.
    Requests = 1,
    /// Every request that may change something.
    Changes = 2,
    /// Every way to sign in, together.
    SignIn = 3,
    /// Sign-ups in a short time.
    SignUpBurst = 4,
    /// Sign-ups in a long time.
    SignUpDaily = 5,
    /// Requests for another verification secret.
    Resend = 6,
    /// Guesses at typeable codes: see [`guess`].
    Codes = 7,
    /// Accounts made without any credential.
    Anonymous = 12,
}

impl Limiter {
    /// Whether its windows lie in the store, because they are longer than a server may run: the others are asked at every
    /// request and must not write.
    const fn survives_restart(self) -> bool {
        match self {
            Self::Requests
            | Self::Changes
            | Self::SignIn
            | Self::SignUpBurst
            | Self::Resend
            | Self::Codes
            | Self::Anonymous => false,
            Self::SignUpDaily => true,
        }
    }
}

/// Where a client stands under a limiter, this request counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which limiter.
    pub limiter: Limiter,
    /// What it allows.
    pub limit: Limit,
    /// How many more requests it takes in this window.
    pub remaining: u32,
    /// How long the window still lasts.
    pub reset: Duration,
}

impl Standing {
    fn of(limiter: Limiter, limit: Limit, window: Window, now: Timestamp) -> Result<Self, Self> {
        let remaining = limit.count.saturating_sub(window.count);
        let reset = limit.window.saturating_sub(now.since(window.began));
        let standing = Self { limiter, limit, remaining, reset };
        if window.count > limit.count { Err(standing) } else { Ok(standing) }
    }

    /// Whole seconds until the window ends, rounded up.
    pub fn reset_secs(&self) -> u64 {
        retry_after_secs(self.reset)
    }
}

/// Counts a request as such, and among those that change something if it may; the last limiter it passed.
///
/// # Errors
/// Where it stands under the limiter it did not pass.
pub fn request(ctx: &Ctx, changes: bool) -> Result<Option<Standing>, Standing> {
    let mut passed = None;
    let limits = [(Limiter::Requests, ctx.rules.requests), (Limiter::Changes, ctx.rules.changes.filter(|_| changes))];
    for (limiter, limit) in limits {
        if let Some(limit) = limit {
            passed = Some(in_memory(ctx, limiter, limit)?);
        }
    }
    Ok(passed)
}

/// Counts a request under one limiter; where it stands, if there is a limit.
///
/// # Errors
/// `TooManyRequests`, and the store's.
pub async fn count(ctx: &Ctx, limiter: Limiter, limit: Option<Limit>) -> Result<Option<Standing>, Error> {
    match limit {
        None => Ok(None),
        Some(limit) if limiter.survives_restart() => in_store(ctx, limiter, limit).await.map(Some),
        Some(limit) => in_memory(ctx, limiter, limit).map(Some).map_err(Error::TooManyRequests),
    }
}

/// Wrong guesses of one client at typeable codes.
///
/// A code is 60 random bits. With a million of them alive, one guess hits with a chance of 10^6 / 2^60, about 10^-12. At
/// 20 in a quarter of an hour a client has 2,000 a day: a million clients guessing for a day come to 2 * 10^9 guesses and
/// hit once in 500 such days. So a count that a restart forgets, or that makes room for another client's, gives nothing
/// away; the limit is there to keep guessing as good as useless, whatever the line can carry.
const CODES: Limit = Limit::new(20, 15 * 60);

/// Counts a guess at a code before it is looked at: of many at once, no more than the limit are.
///
/// # Errors
/// `Locked` when the client has used up its guesses; such a guess does not count.
pub(crate) fn guess(ctx: &Ctx) -> Result<(), Error> {
    in_memory(ctx, Limiter::Codes, CODES).map(drop).map_err(|standing| {
        forgive_guess(ctx);
        Error::Locked { retry_after: standing.reset }
    })
}

/// Takes back a guess that was right.
pub(crate) fn forgive_guess(ctx: &Ctx) {
    ctx.project.windows().take_back(key_of(ctx, Limiter::Codes, CODES));
}

fn in_memory(ctx: &Ctx, limiter: Limiter, limit: Limit) -> Result<Standing, Standing> {
    let window = ctx.project.windows().hit(key_of(ctx, limiter, limit), ctx.now);
    Standing::of(limiter, limit, window, ctx.now)
}

fn key_of(ctx: &Ctx, limiter: Limiter, limit: Limit) -> Key {
    Key { client: ctx.client.group, limiter, length: limit.window }
}

/// Whether a window that began then has ended. So has one that begins further ahead than it lasts: a clock that ran
/// ahead has been set right since, and the window would stand until that clock's time comes.
fn is_over(began: Timestamp, length: Duration, now: Timestamp) -> bool {
    now.since(began).max(began.since(now)) >= length
}

async fn in_store(ctx: &Ctx, limiter: Limiter, limit: Limit) -> Result<Standing, Error> {
    let (number, client, now) = (limiter as u8, ctx.client.group, ctx.now);
    let next = move |stored: Option<RateWindow>| match stored.filter(|window| !is_over(window.began, limit.window, now))
    {
        // One above the limit says all there is to say.
        Some(window) => {
            RateWindow { count: window.count.saturating_add(1).min(limit.count.saturating_add(1)), ..window }
        }
        None => RateWindow { began: now, count: 1, until: now.plus(limit.window) },
    };
    let standing = move |window: RateWindow| {
        let window = Window { began: window.began, count: window.count };
        Standing::of(limiter, limit, window, now).map_err(Error::TooManyRequests)
    };
    // Refusals write nothing: who is over the limit cannot make the disk work.
    standing(next(ctx.project.store().read(|r| rates::get(r, number, limit.window, client))?))?;
    ctx.project
        .store()
        .write(move |w| {
            let window = next(rates::get(w, number, limit.window, client)?);
            let standing = standing(window)?;
            rates::put(w, number, limit.window, client, &window)?;
            Ok(standing)
        })
        .await
}

/// The windows in memory of one project: at most [`SHARDS`] times [`SHARD`] of them. Beyond that the oldest go, and
/// their clients begin anew: a bound on memory goes before a bound on a million addresses.
pub(crate) struct Windows {
    shards: [Mutex<Shard>; SHARDS],
}

/// So that two requests seldom wait for one lock.
const SHARDS: usize = 16;
/// Windows of a shard, about 100 bytes each.
const SHARD: usize = 4096;

#[derive(Default)]
struct Shard {
    windows: HashMap<Key, Window>,
    /// When each window began, oldest first; an entry whose window has begun anew since stands for nothing.
    begun: VecDeque<(Key, Timestamp)>,
}

/// Windows of different lengths are different windows: a changed setting begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    client: u128,
    limiter: Limiter,
    length: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    began: Timestamp,
    count: u32,
}

impl Default for Windows {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Windows {
    /// Counts one more; the window with it counted.
    fn hit(&self, key: Key, now: Timestamp) -> Window {
        let mut shard = self.shard(key.client);
        match shard.windows.get_mut(&key) {
            Some(window) if !is_over(window.began, key.length, now) => {
                window.count = window.count.saturating_add(1);
                *window
            }
            _ => shard.begin(key, now),
        }
    }

    /// Counts one less, where there is a window.
    fn take_back(&self, key: Key) {
        if let Some(window) = self.shard(key.client).windows.get_mut(&key) {
            window.count = window.count.saturating_sub(1);
        }
    }

    fn shard(&self, client: u128) -> MutexGuard<'_, Shard> {
        // Multiplied so that neighbouring addresses and both halves of a /64 spread.
        let folded = (client >> 64) as u64 ^ client as u64;
        let shard = (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % SHARDS;
        // Nothing in there can panic halfway.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .fold((0, 0), |(windows, begun), shard| (windows + shard.windows.len(), begun + shard.begun.len()))
    }
}

impl Shard {
    fn begin(&mut self, key: Key, now: Timestamp) -> Window {
        while let Some(&(oldest, began)) = self.begun.front() {
            let stands = self.windows.get(&oldest).is_some_and(|window| window.began == began);
            if stands && !is_over(began, oldest.length, now) && self.begun.len() < SHARD {
                break;
            }
            self.begun.pop_front();
            if stands {
                self.windows.remove(&oldest);
            }
        }
        let window = Window { began: now, count: 1 };
        self.windows.insert(key, window);
        self.begun.push_back((key, now));
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn key(client: u128) -> Key {
        Key { client, limiter: Limiter::Requests, length: MINUTE }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_secs(second)
    }

    #[test]
    fn a_window_begins_with_the_first_request_and_ends_as_a_whole() {
        let windows = Windows::default();
        for (second, count) in [(100, 1), (101, 2), (159, 3), (160, 1), (219, 2), (220, 1)] {
            assert_eq!(windows.hit(key(7), at(second)).count, count, "{second}");
        }
        // A clock that steps back a little ends no window and begins none.
        assert_eq!(windows.hit(key(7), at(161)).count, 2);
        // One that ran ahead and was set right: else the window would stand until that time comes.
        assert_eq!(windows.hit(key(7), at(160)).count, 1);
        assert_eq!(windows.hit(key(7), at(161)).count, 2);
    }

    #[test]
    fn what_is_taken_back_does_not_count() {
        let windows = Windows::default();
        windows.take_back(key(7));
        for _ in 0..3 {
            assert_eq!(windows.hit(key(7), at(100)).count, 1);
            windows.take_back(key(7));
        }
        windows.take_back(key(7));
        assert_eq!(windows.hit(key(7), at(159)).count, 1, "never below none");
        assert_eq!(windows.hit(key(7), at(160)).count, 1, "it ends when it would have");
    }

    #[test]
    fn clients_limiters_and_lengths_are_counted_apart() {
        let windows = Windows::default();
        windows.hit(key(7), at(0));
        for other in [key(8), Key { limiter: Limiter::Changes, ..key(7) }, Key { length: 2 * MINUTE, ..key(7) }] {
            assert_eq!(windows.hit(other, at(0)).count, 1, "{other:?}");
        }
        assert_eq!(windows.hit(key(7), at(0)).count, 2);
    }

    #[test]
    fn a_million_addresses_are_borne() {
        let windows = Windows::default();
        for client in 0..1_000_000_u128 {
            windows.hit(key(client << 64), at(1));
        }
        let (kept, begun) = windows.len();
        assert!(kept <= SHARDS * SHARD && begun <= SHARDS * SHARD, "{kept} {begun}");
        assert!(kept > SHARDS * SHARD / 2, "addresses spread: {kept}");
        // The newest are remembered, the oldest begin anew.
        assert_eq!(windows.hit(key(999_999 << 64), at(1)).count, 2);
        assert_eq!(windows.hit(key(0), at(1)).count, 1);
    }

    #[test]
    fn what_is_over_is_let_go() {
        let windows = Windows::default();
        for second in 0..100_000 {
            windows.hit(key(u128::from(second) % 50), at(second));
        }
        let (kept, begun) = windows.len();
        assert!(kept <= 50 && begun <= 120, "{kept} {begun}");
    }

    #[test]
    fn standing_counts_down_to_a_refusal() {
        let limit = Limit::new(2, 60);
        let standing = |count| {
            Standing::of(Limiter::SignIn, limit, Window { began: at(100), count }, Timestamp::from_millis(100_001))
        };
        let first = standing(1).expect("passes");
        assert_eq!((first.remaining, first.reset_secs()), (1, 60), "rounded up");
        assert_eq!(standing(2).expect("passes").remaining, 0);
        assert_eq!(standing(3).expect_err("is refused").remaining, 0);
    }
}
