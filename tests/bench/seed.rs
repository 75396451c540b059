//! Data directories with many users, written before a server starts on them.

use std::path::{Path, PathBuf};

use crate::Outcome;

/// A user with one live session, as the driver needs it.
#[derive(Clone)]
pub(crate) struct SeededSession {
    /// Unique in the project.
    pub(crate) email: String,
    /// Right for that address.
    pub(crate) password: String,
    /// The session's newest refresh token.
    pub(crate) refresh_token: String,
}

/// A seeded data directory.
pub(crate) struct Site {
    /// The server's `--data-dir`.
    pub(crate) data: PathBuf,
    /// How many users it was seeded with; each has one session.
    pub(crate) users: usize,
    sessions: Vec<SeededSession>,
}

impl Site {
    /// Seeds `data` and keeps `sample` sessions for the driver.
    pub(crate) fn seeded(data: PathBuf, users: usize, sample: usize) -> Outcome<Self> {
        let sessions = seed(&data, users, sample.min(users))?;
        Ok(Self { data, users, sessions })
    }

    /// `count` sessions that nobody else was given: a rotated refresh token has one owner.
    pub(crate) fn take(&mut self, count: usize) -> Outcome<Vec<SeededSession>> {
        let rest = self.sessions.len().checked_sub(count).ok_or("the sample of seeded sessions is used up")?;
        Ok(self.sessions.split_off(rest))
    }

    /// Bytes of the project files.
    pub(crate) fn file_bytes(&self) -> Outcome<u64> {
        let mut total = 0;
        for entry in std::fs::read_dir(self.data.join("projects"))? {
            total += entry?.metadata()?.len();
        }
        Ok(total)
    }
}

/// TO WIRE: writes a data directory with the project `default` and `users` users of one session each, in batches
/// through the data layer, and returns `sample` of the sessions, spread evenly over all users. All users may share one
/// stored hash of one password (default cost); the server must find the directory as it would have left it itself
/// (master key, CA, clean close).
fn seed(_data: &Path, _users: usize, _sample: usize) -> Outcome<Vec<SeededSession>> {
    Err("seeding is not wired to the library yet".into())
}
