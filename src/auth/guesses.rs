//! A limit on guessing typeable codes, counted in memory by client.
//!
//! A code is 60 random bits. With a million of them alive, one guess hits with a chance of 10^6 / 2^60, about 10^-12. A
//! client gets [`MOST`] wrong guesses in a quarter of an hour, 2,000 a day: a million clients guessing for a day come to
//! 2 * 10^9 guesses and hit once in 500 such days. So a count that a restart forgets, or that makes room for another
//! client's, gives nothing away; the limit is there to keep guessing as good as useless, whatever the line can carry.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Error;
use crate::env::Timestamp;

/// Wrong guesses of one client within [`WINDOW`].
const MOST: u32 = 20;
/// How long a guess counts.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Clients counted at once; beyond it those whose window began first are forgotten.
const MAX_CLIENTS: usize = 16_384;

/// The guesses of a project's clients.
#[derive(Debug, Default)]
pub struct Guesses {
    by_client: Mutex<HashMap<u128, Count>>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Timestamp,
    guesses: u32,
}

impl Guesses {
    /// Counts a guess of this client.
    ///
    /// # Errors
    /// `Locked` when it has used up its own.
    pub(crate) fn count(&self, client: u128, now: Timestamp) -> Result<(), Error> {
        let mut by_client = self.lock();
        if by_client.len() >= MAX_CLIENTS && !by_client.contains_key(&client) {
            make_room(&mut by_client, now);
        }
        let count = by_client.entry(client).or_insert(Count { since: now, guesses: 0 });
        // A clock that stepped back begins a window too: else it might never end.
        if now.since(count.since) >= WINDOW || now < count.since {
            *count = Count { since: now, guesses: 0 };
        }
        if count.guesses >= MOST {
            return Err(Error::Locked { retry_after: WINDOW.saturating_sub(now.since(count.since)) });
        }
        count.guesses += 1;
        Ok(())
    }

    /// Takes back a guess that was right.
    pub(crate) fn forgive(&self, client: u128) {
        if let Some(count) = self.lock().get_mut(&client) {
            count.guesses = count.guesses.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Count>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets windows that are over; where none is, the older half.
fn make_room(by_client: &mut HashMap<u128, Count>, now: Timestamp) {
    by_client.retain(|_, count| now.since(count.since) < WINDOW);
    if by_client.len() < MAX_CLIENTS {
        return;
    }
    let mut since: Vec<Timestamp> = by_client.values().map(|count| count.since).collect();
    let middle = since.len() / 2;
    let (_, &mut median, _) = since.select_nth_unstable(middle);
    by_client.retain(|_, count| count.since > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_client_gets_its_guesses_and_waits_for_the_next() {
        let guesses = Guesses::default();
        for _ in 0..MOST {
            guesses.count(1, at(100)).expect("a guess");
        }
        let Err(Error::Locked { retry_after }) = guesses.count(1, at(400)) else { panic!("one too many") };
        assert_eq!(retry_after, Duration::from_secs(600));
        guesses.count(2, at(400)).expect("another client's");
        guesses.forgive(1);
        guesses.count(1, at(400)).expect("one was right");
        assert!(guesses.count(1, at(999)).is_err());
        guesses.count(1, at(1000)).expect("a new window");
    }

    #[test]
    fn memory_is_bounded_and_a_flood_leaves_room() {
        let guesses = Guesses::default();
        for client in 0..3 * MAX_CLIENTS as u128 {
            guesses.count(client, at(100)).expect("a guess");
            assert!(guesses.lock().len() <= MAX_CLIENTS);
        }
    }
}
