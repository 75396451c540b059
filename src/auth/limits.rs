//! Limiters: how many requests of one client are taken in a while.
//!
//! A limiter is declared in [`Limiter`], with the kind of its windows; its numbers are settings, which a dialect brings.
//! Clients are counted by their group: an IPv4 address, an IPv6 /64.
//!
//! A fixed window begins with the first request and ends as a whole; every request counts, refused ones too. A sliding
//! one looks back over its length from any moment (Nhost contract 3.4); only requests that pass count.

mod windows;

use std::time::Duration;

use super::attempts::retry_after_secs;
use super::verify::RESENDS;
use super::{Ctx, Email, Error};
pub use crate::config::Limit;
use crate::data::rates::{self, RateWindow};
use crate::env::Timestamp;
pub(crate) use windows::Windows;
use windows::{Key, Window, is_over};

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
    /// Every request, in a sliding window.
    Overall = 8,
    /// Requests that send a mail.
    Mails = 9,
    /// Requests that present a secret.
    Secrets = 10,
    /// Every way to sign up, together.
    SignUps = 11,
    /// Accounts made without any credential.
    Anonymous = 12,
    /// Mails that one client has sent to one address: see [`mail`].
    MailsByClient = 13,
    /// Mails that all clients together have sent to one address.
    MailsTo = 14,
}

/// How a limiter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    /// In a fixed window, in memory: asked at every request, so that it must not write.
    Fixed,
    /// In a fixed window in the store, because it is longer than a server may run.
    Kept,
    /// In a sliding window, in memory.
    Sliding,
}

impl Limiter {
    const fn counting(self) -> Counting {
        match self {
            Self::Requests
            | Self::Changes
            | Self::SignIn
            | Self::SignUpBurst
            | Self::Resend
            | Self::Codes
            | Self::Anonymous => Counting::Fixed,
            Self::SignUpDaily => Counting::Kept,
            Self::Overall | Self::Mails | Self::Secrets | Self::SignUps | Self::MailsByClient | Self::MailsTo => {
                Counting::Sliding
            }
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
    /// How long the window still lasts; after a refusal, when a request may pass again.
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
        Some(limit) if limiter.counting() == Counting::Kept => in_store(ctx, limiter, limit).await.map(Some),
        Some(limit) => in_memory(ctx, limiter, limit).map(Some).map_err(Error::TooManyRequests),
    }
}

/// A limiter of requests of one kind, where several may apply to one request: see [`all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Which one: none that lies in the store.
    pub limiter: Limiter,
    /// What it allows; `None`: any number.
    pub limit: Option<Limit>,
    /// Whether all clients are counted as one.
    pub together: bool,
}

/// Counts a request under each of these limiters, also when one of them refuses it.
///
/// # Errors
/// Where it stands under the one it has to wait for longest.
pub fn all(ctx: &Ctx, classes: impl IntoIterator<Item = Class>) -> Result<(), Standing> {
    let refused = classes.into_iter().filter_map(|class| {
        let limit = class.limit?;
        let key = if class.together { Key::of_all(class.limiter, limit) } else { key_of(ctx, class.limiter, limit) };
        counted(ctx, key, limit).err()
    });
    refused.max_by_key(|standing| standing.reset).map_or(Ok(()), Err)
}

/// Mails that one client may have sent to one address. It is the lower bound, so that a stranger who floods an address
/// uses up their own and not its owner's.
const BY_CLIENT: Limit = Limit::new(10, 3600);
/// Mails that all clients together may have sent to one address, against a stranger with many.
const TO_ADDRESS: Limit = Limit::new(60, 3600);

/// Counts a request for a mail to `email`, before it is known whether one is sent: the answer is the same for every
/// address. These bounds hold whatever limits an operator sets.
///
/// # Errors
/// `TooManyRequests`.
pub(crate) fn mail(ctx: &Ctx, email: &Email) -> Result<(), Error> {
    let address = u128::from_be_bytes(email.digest());
    let keys = [
        (key_of(ctx, Limiter::Resend, RESENDS), RESENDS),
        (Key::of(ctx.client.group ^ address, Limiter::MailsByClient, BY_CLIENT), BY_CLIENT),
        // Last: who is over their own bound takes nothing from the others'.
        (Key::of(address, Limiter::MailsTo, TO_ADDRESS), TO_ADDRESS),
    ];
    keys.into_iter().try_for_each(|(key, limit)| counted(ctx, key, limit).map(drop).map_err(Error::TooManyRequests))
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
    counted(ctx, key_of(ctx, limiter, limit), limit)
}

fn counted(ctx: &Ctx, key: Key, limit: Limit) -> Result<Standing, Standing> {
    let (windows, limiter, now) = (ctx.project.windows(), key.limiter, ctx.now);
    match limiter.counting() {
        Counting::Fixed | Counting::Kept => Standing::of(limiter, limit, windows.hit(key, now), now),
        Counting::Sliding => windows
            .slide(key, limit.count, now)
            .map(|(remaining, reset)| Standing { limiter, limit, remaining, reset })
            .map_err(|reset| Standing { limiter, limit, remaining: 0, reset }),
    }
}

fn key_of(ctx: &Ctx, limiter: Limiter, limit: Limit) -> Key {
    Key::of(ctx.client.group, limiter, limit)
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
        let window = Window::fixed(window.began, window.count);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_counts_down_to_a_refusal() {
        let limit = Limit::new(2, 60);
        let began = Timestamp::from_secs(100);
        let standing =
            |count| Standing::of(Limiter::SignIn, limit, Window::fixed(began, count), Timestamp::from_millis(100_001));
        let first = standing(1).expect("passes");
        assert_eq!((first.remaining, first.reset_secs()), (1, 60), "rounded up");
        assert_eq!(standing(2).expect("passes").remaining, 0);
        assert_eq!(standing(3).expect_err("is refused").remaining, 0);
    }
}
