//! Data directories with many users, written before a server starts on them.

use std::path::{Path, PathBuf};

use keystead::config::Settings;
use keystead::testing::Seeded;

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
    /// Accounts given away by address.
    given: usize,
}

impl Site {
    /// Seeds `data` and keeps `sample` sessions for the driver.
    pub(crate) fn seeded(data: PathBuf, users: usize, sample: usize) -> Outcome<Self> {
        let sessions = seed(&data, users, sample.min(users))?;
        Ok(Self { data, users, sessions, given: 0 })
    }

    /// `count` sessions that nobody else was given: a rotated refresh token has one owner.
    pub(crate) fn take(&mut self, count: usize) -> Outcome<Vec<SeededSession>> {
        let rest = self.sessions.len().checked_sub(count).ok_or("the sample of seeded sessions is used up")?;
        Ok(self.sessions.split_off(rest))
    }

    /// `count` addresses that nobody else was given, counted from the last account: of these only the address is known.
    pub(crate) fn addresses(&mut self, count: usize) -> Outcome<Vec<String>> {
        let end = self.users - self.given;
        let first = end.checked_sub(count).ok_or("the accounts are used up")?;
        self.given += count;
        Ok((first..end).map(|number| format!("user{number}@example.com")).collect())
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

/// The password of every seeded account.
const PASSWORD: &str = "correct horse battery staple";

/// Writes a data directory with the project `default` and `users` users of one session each, and returns `sample` of
/// the sessions, spread evenly over all users. The server finds the directory as it would have left it itself.
fn seed(data: &Path, users: usize, sample: usize) -> Outcome<Vec<SeededSession>> {
    let mut settings = Settings::default();
    data.clone_into(&mut settings.data_dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let seeded = runtime.block_on(keystead::testing::seed(settings, users, sample, PASSWORD))?;
    Ok(seeded
        .into_iter()
        .map(|Seeded { email, refresh_token }| SeededSession { email, password: PASSWORD.to_owned(), refresh_token })
        .collect())
}
