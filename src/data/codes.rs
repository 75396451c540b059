//! Short codes that mails bring: one row an account, with the code's hash and the guesses at it. Rows exist for addresses
//! without an account too, under a phantom's id ([`super::one_time::phantom`]).
//!
//! The guesses belong to the account and not to a code: another code does not bring them back. They go by success, by
//! age, or with an operator's unlock.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, fetch, key, store};
use crate::crypto::StoredHash;
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// How long a guess counts.
pub const WINDOW: Duration = Duration::from_secs(3600);
/// Guesses within [`WINDOW`] that are looked at. With a million codes a guesser who keeps at it day and night succeeds
/// with one address in 23 years, on average.
pub const MOST: usize = 5;

/// What is known of an account's code.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Code {
    /// The hash of the code that works, until it expires.
    pub(super) hash: Option<StoredHash>,
    pub(super) expires_at: Timestamp,
    /// When it was guessed at.
    pub(super) guesses: Vec<Timestamp>,
    pub(crate) keep_until: Timestamp,
}

impl Record for Code {}

/// What becomes of a guess that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guess {
    /// It was counted, and may be looked at: against this hash, if a code is expected.
    Counted(Option<StoredHash>),
    /// There were too many, and it was not counted.
    TooMany,
}

/// Whether another guess at the account's code may be looked at.
pub fn may_guess(r: &(impl Read + ?Sized), user: Uuid, now: Timestamp) -> Result<bool, StoreError> {
    Ok(fetch::<Code>(r, &row(user))?.is_none_or(|code| code.living(now).count() < MOST))
}

/// Puts a code in place of an earlier one. The guesses stay.
pub fn issue(
    w: &mut (impl Write + ?Sized),
    user: Uuid,
    hash: StoredHash,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let earlier = fetch::<Code>(w, &row(user))?.unwrap_or_default();
    put(w, user, Code { hash: Some(hash), expires_at, ..earlier }, now)
}

/// Counts a guess before it is looked at: of many at once, no more than [`MOST`] are.
pub fn guess(w: &mut (impl Write + ?Sized), user: Uuid, now: Timestamp) -> Result<Guess, StoreError> {
    let mut code = fetch::<Code>(w, &row(user))?.unwrap_or_default();
    code.guesses = code.living(now).collect();
    if code.guesses.len() >= MOST {
        return Ok(Guess::TooMany);
    }
    code.guesses.push(now);
    let expected = code.hash.clone().filter(|_| now < code.expires_at);
    put(w, user, code, now)?;
    Ok(Guess::Counted(expected))
}

/// Uses up the code with this hash, and forgets the guesses; `false` when another took its place, or it was used.
pub fn redeem(
    w: &mut (impl Write + ?Sized),
    user: Uuid,
    hash: &StoredHash,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let found = fetch::<Code>(w, &row(user))?;
    let is_it = found.is_some_and(|code| now < code.expires_at && code.hash.as_ref() == Some(hash));
    if is_it {
        w.delete(&row(user))?;
    }
    Ok(is_it)
}

/// Makes the account's code stop working. The guesses stay.
pub fn withdraw(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<(), StoreError> {
    match fetch::<Code>(w, &row(user))? {
        Some(code) if code.hash.is_some() => store(w, &row(user), &Code { hash: None, ..code }),
        _ => Ok(()),
    }
}

/// Forgets the guesses at the account's code: an operator's unlock. Whether there were any.
pub fn unlock(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<bool, StoreError> {
    match fetch::<Code>(w, &row(user))? {
        Some(code) if !code.guesses.is_empty() => {
            store(w, &row(user), &Code { guesses: Vec::new(), ..code }).map(|()| true)
        }
        _ => Ok(false),
    }
}

impl Code {
    /// The guesses that still count. One of a moment to come was made by a clock that was set right since.
    fn living(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        self.guesses.iter().copied().filter(move |&at| now.since(at) < WINDOW && at.since(now) < WINDOW)
    }
}

fn put(w: &mut (impl Write + ?Sized), user: Uuid, mut code: Code, now: Timestamp) -> Result<(), StoreError> {
    code.keep_until = code.expires_at.max(now.plus(WINDOW));
    store(w, &row(user), &code)
}

pub(super) fn row(user: Uuid) -> Vec<u8> {
    key(Table::Code, &[user.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    const ID: Uuid = Uuid::from_u128(7);
    const ENDS: Timestamp = Timestamp::from_secs(5000);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn two() -> [StoredHash; 2] {
        ["A", "E"].map(|last| {
            let text = format!("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA${}{last}", "A".repeat(42));
            StoredHash::parse_import(&text).expect("a hash")
        })
    }

    #[tokio::test]
    async fn another_code_does_not_bring_guesses_back() {
        let [one, other] = two();
        let store = Store::memory();
        let done = store.write(move |w| {
            issue(w, ID, one.clone(), ENDS, at(1000))?;
            for second in 0..5 {
                assert_eq!(guess(w, ID, at(1000 + second))?, Guess::Counted(Some(one.clone())));
            }
            assert!(!may_guess(w, ID, at(1005))?);
            assert_eq!(guess(w, ID, at(1005))?, Guess::TooMany);
            issue(w, ID, other.clone(), ENDS, at(1006))?;
            assert_eq!(guess(w, ID, at(1007))?, Guess::TooMany);
            // They go one by one as they age.
            assert_eq!(guess(w, ID, at(4600))?, Guess::Counted(Some(other.clone())));
            assert_eq!(guess(w, ID, at(4600))?, Guess::TooMany);
            assert!(unlock(w, ID)?);
            assert!(!unlock(w, ID)?);
            assert_eq!(guess(w, ID, at(5000))?, Guess::Counted(None), "expired");
            Ok::<_, StoreError>(())
        });
        done.await.expect("a write");
    }

    #[tokio::test]
    async fn a_code_works_once_and_success_forgets() {
        let [one, other] = two();
        let store = Store::memory();
        let done = store.write(move |w| {
            issue(w, ID, one.clone(), ENDS, at(1000))?;
            issue(w, ID, other.clone(), ENDS, at(1000))?;
            for _ in 0..5 {
                guess(w, ID, at(1001))?;
            }
            assert!(!redeem(w, ID, &one, at(1001))?, "another took its place");
            assert!(!redeem(w, ID, &other, ENDS)?, "expired");
            assert!(redeem(w, ID, &other, at(1001))?);
            assert!(!redeem(w, ID, &other, at(1001))?);
            assert_eq!(guess(w, ID, at(1002))?, Guess::Counted(None));
            issue(w, ID, one.clone(), ENDS, at(1003))?;
            withdraw(w, ID)?;
            assert!(!redeem(w, ID, &one, at(1003))?);
            // A clock that ran ahead keeps nobody out for longer.
            for _ in 0..4 {
                guess(w, ID, at(90_000))?;
            }
            assert!(may_guess(w, ID, at(1004))?);
            Ok::<_, StoreError>(())
        });
        done.await.expect("a write");
    }
}
