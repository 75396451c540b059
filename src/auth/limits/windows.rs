//! The windows of limiters in memory: fixed ones and sliding ones, no more of them than a bound.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Counting, Limit, Limiter};
use crate::env::Timestamp;

/// The windows in memory of one project: at most [`SHARDS`] times [`SHARD`] of them. Beyond that the oldest go, and
/// their clients begin anew: a bound on memory goes before a bound on a million addresses.
pub(crate) struct Windows {
    shards: [Mutex<Shard>; SHARDS],
    /// Those of all clients together, which no number of clients may push out.
    shared: Mutex<Shard>,
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
pub(super) struct Key {
    /// `None`: all of them together.
    client: Option<u128>,
    pub(super) limiter: Limiter,
    length: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// A sliding one begins at a multiple of its length: it stands for itself and the one before it.
    pub(super) began: Timestamp,
    pub(super) count: u32,
    /// Of a sliding one: the count of the window before it.
    previous: u32,
}

impl Key {
    /// One client's window.
    pub(super) fn of(client: u128, limiter: Limiter, limit: Limit) -> Self {
        Self { client: Some(client), limiter, length: limit.window }
    }

    /// The window of all clients together.
    pub(super) fn of_all(limiter: Limiter, limit: Limit) -> Self {
        Self { client: None, limiter, length: limit.window }
    }

    /// How long after its begin a window counts.
    fn counts_for(&self) -> Duration {
        match self.limiter.counting() {
            Counting::Fixed | Counting::Kept => self.length,
            Counting::Sliding => 2 * self.length,
        }
    }
}

impl Window {
    /// A window that does not slide.
    pub(super) fn fixed(began: Timestamp, count: u32) -> Self {
        Self { began, count, previous: 0 }
    }
}

/// Whether a window that began then has ended. So has one that begins further ahead than it lasts: a clock that ran
/// ahead has been set right since, and the window would stand until that clock's time comes.
pub(super) fn is_over(began: Timestamp, length: Duration, now: Timestamp) -> bool {
    now.since(began).max(began.since(now)) >= length
}

impl Default for Windows {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), shared: Mutex::default() }
    }
}

impl Windows {
    /// Counts one more in a fixed window; the window with it counted.
    pub(super) fn hit(&self, key: Key, now: Timestamp) -> Window {
        let mut shard = self.shard(&key);
        match shard.windows.get_mut(&key) {
            Some(window) if !is_over(window.began, key.length, now) => {
                window.count = window.count.saturating_add(1);
                *window
            }
            _ => shard.begin(key, Window::fixed(now, 1), now),
        }
    }

    /// Counts one more in a sliding window, when there is room for it: how many more there is room for now, and how long
    /// the window still lasts.
    ///
    /// The window slides over two that lie side by side: the one before counts with the share of it that is not past,
    /// rounded down (Nhost contract 3.4).
    ///
    /// # Errors
    /// After which time there will be room, if nobody else takes it.
    pub(super) fn slide(&self, key: Key, limit: u32, now: Timestamp) -> Result<(u32, Duration), Duration> {
        let length = u64::try_from(key.length.as_millis()).unwrap_or(u64::MAX).max(1);
        let began = Timestamp::from_millis(now.millis() - now.millis() % length);
        let after = began.plus(key.length);
        let mut shard = self.shard(&key);
        let known = shard.windows.get(&key).copied();
        let window = match known {
            // A clock that steps back a little stands at the window's begin.
            Some(window) if window.began == began || window.began == after => window,
            Some(window) if window.began.plus(key.length) == began => {
                Window { began, count: 0, previous: window.count }
            }
            _ => Window::fixed(began, 0),
        };
        // The limit may have been another when they were counted.
        let previous = window.previous.min(limit);
        let left = length - u64::try_from(now.since(window.began).as_millis()).unwrap_or(u64::MAX).min(length);
        let taken = share(previous, left, length).saturating_add(window.count);
        if taken >= limit {
            return Err(Duration::from_millis(wait(previous, window.count, limit, left, length)));
        }
        let window = Window { count: window.count + 1, ..window };
        match shard.windows.get_mut(&key).filter(|known| known.began == window.began) {
            Some(known) => *known = window,
            None => {
                shard.begin(key, window, now);
            }
        }
        Ok((limit - taken - 1, Duration::from_millis(left)))
    }

    /// Counts one less, where there is a window.
    pub(super) fn take_back(&self, key: Key) {
        if let Some(window) = self.shard(&key).windows.get_mut(&key) {
            window.count = window.count.saturating_sub(1);
        }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let shard = key.client.map_or(&self.shared, |client| self.shard_of(client));
        // Nothing in there can panic halfway.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard_of(&self, client: u128) -> &Mutex<Shard> {
        // Multiplied so that neighbouring addresses and both halves of a /64 spread.
        let folded = (client >> 64) as u64 ^ client as u64;
        let shard = (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % SHARDS;
        &self.shards[shard]
    }

    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .fold((0, 0), |(windows, begun), shard| (windows + shard.windows.len(), begun + shard.begun.len()))
    }
}

/// How much of `previous` still counts with `left` of a length to go, rounded down.
fn share(previous: u32, left: u64, length: u64) -> u32 {
    let share = u128::from(previous) * u128::from(left) / u128::from(length);
    u32::try_from(share).unwrap_or(u32::MAX)
}

/// After how many milliseconds there is room, where there is none: as soon as the window before counts little enough, or,
/// where this one is full by itself, once it is the one before and a millisecond of it is past.
fn wait(previous: u32, count: u32, limit: u32, left: u64, length: u64) -> u64 {
    if count >= limit {
        return left + 1;
    }
    // `share(previous, left)` falls below what there is room for when `previous * left < room * length`.
    let bound = (u128::from(limit - count) * u128::from(length)).div_ceil(u128::from(previous.max(1)));
    left - u64::try_from(bound).unwrap_or(u64::MAX).saturating_sub(1).min(left)
}

impl Shard {
    fn begin(&mut self, key: Key, window: Window, now: Timestamp) -> Window {
        while let Some(&(oldest, began)) = self.begun.front() {
            let stands = self.windows.get(&oldest).is_some_and(|window| window.began == began);
            if stands && !is_over(began, oldest.counts_for(), now) && self.begun.len() < SHARD {
                break;
            }
            self.begun.pop_front();
            if stands {
                self.windows.remove(&oldest);
            }
        }
        self.windows.insert(key, window);
        self.begun.push_back((key, window.began));
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn key(client: u128) -> Key {
        Key { client: Some(client), limiter: Limiter::Requests, length: MINUTE }
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

    fn sliding(client: u128) -> Key {
        Key { limiter: Limiter::Secrets, ..key(client) }
    }

    fn room(windows: &Windows, limit: u32, now: Timestamp) -> u32 {
        (0..).take_while(|_| windows.slide(sliding(7), limit, now).is_ok()).count().try_into().expect("few")
    }

    #[test]
    fn a_sliding_window_lets_go_by_and_by() {
        let windows = Windows::default();
        // Ten in the first minute, and no more, however often somebody knocks.
        assert_eq!(room(&windows, 10, at(59)), 10);
        assert_eq!(room(&windows, 10, at(59)), 0);
        // At the begin of the next all ten count, in its middle five, near its end none.
        assert_eq!(room(&windows, 10, at(60)), 0);
        assert_eq!(room(&windows, 10, Timestamp::from_millis(60_001)), 1, "rounded down");
        assert_eq!(room(&windows, 10, at(90)), 4);
        assert_eq!(room(&windows, 10, at(119)), 5);
        // The ten of the second minute count in the third; those of the first no more.
        assert_eq!(room(&windows, 10, at(120)), 0);
        assert_eq!(room(&windows, 10, at(150)), 5);
        // After a whole window without any nothing counts.
        assert_eq!(room(&windows, 10, at(240)), 10);
    }

    #[test]
    fn a_sliding_window_bears_a_clock_that_is_set_and_a_limit_that_changes() {
        let windows = Windows::default();
        assert_eq!(room(&windows, 10, at(125)), 10);
        assert_eq!(room(&windows, 10, at(119)), 0, "a step back of seconds begins nothing anew");
        assert_eq!(room(&windows, 12, at(125)), 2);
        assert_eq!(room(&windows, 5, at(125)), 0);
        // Twelve were taken; five is what one window may hold now.
        assert_eq!(room(&windows, 5, at(192)), 1);
        // From far ahead: else the window would stand until that time comes.
        assert_eq!(room(&windows, 10, at(59)), 10);
    }

    #[test]
    fn all_clients_together_are_one_that_nobody_pushes_out() {
        let (windows, limit) = (Windows::default(), Limit::new(2, 60));
        let all = Key::of_all(Limiter::Mails, limit);
        assert!(windows.slide(all, 2, at(1)).is_ok());
        for client in 0..200_000_u128 {
            let _ = windows.slide(Key::of(client << 64, Limiter::Mails, limit), 2, at(1));
        }
        assert_eq!(windows.slide(all, 2, at(1)), Ok((0, Duration::from_secs(59))));
        assert!(windows.slide(all, 2, at(1)).is_err());
        let (kept, begun) = windows.len();
        assert!(kept <= SHARDS * SHARD && begun <= SHARDS * SHARD, "{kept} {begun}");
    }

    #[test]
    fn a_sliding_window_is_kept_as_long_as_it_counts() {
        let windows = Windows::default();
        assert_eq!(room(&windows, 10, at(59)), 10);
        for client in 0..100 {
            let _ = windows.slide(sliding(client << 64), 10, at(100));
        }
        assert_eq!(room(&windows, 10, at(101)), 7);
        for second in 0..10_000 {
            let _ = windows.slide(sliding(u128::from(second) % 50), 10, at(second));
        }
        let (kept, begun) = windows.len();
        assert!(kept <= 50 && begun <= 200, "{kept} {begun}");
    }

    proptest::proptest! {
        /// Whoever waits as long as told passes, and not a millisecond earlier; and no stretch of one length ever holds
        /// twice the limit.
        #[test]
        fn a_refusal_says_how_long(
            limit in 1_u32..30,
            length in 1_u64..5,
            steps in proptest::collection::vec((0_u64..3000, 1_u32..40), 1..30),
        ) {
            let key = Key { length: Duration::from_secs(length), ..sliding(7) };
            let windows = Windows::default();
            let mut now = 1_000_000_u64;
            let mut passed: Vec<u64> = Vec::new();
            for (pause, requests) in steps {
                now += pause;
                for _ in 0..requests {
                    if windows.slide(key, limit, Timestamp::from_millis(now)).is_ok() {
                        passed.push(now);
                    }
                }
                if let Err(wait) = windows.slide(key, limit, Timestamp::from_millis(now)) {
                    let wait = u64::try_from(wait.as_millis()).expect("short");
                    proptest::prop_assert!(wait > 0);
                    proptest::prop_assert!(windows.slide(key, limit, Timestamp::from_millis(now + wait - 1)).is_err());
                    proptest::prop_assert!(windows.slide(key, limit, Timestamp::from_millis(now + wait)).is_ok());
                    now += wait;
                    passed.push(now);
                } else {
                    passed.push(now);
                }
            }
            for &first in &passed {
                let within = passed.iter().filter(|at| (first..first + length * 1000).contains(at)).count();
                proptest::prop_assert!(within <= 2 * limit as usize, "{within}");
            }
        }
    }
}
