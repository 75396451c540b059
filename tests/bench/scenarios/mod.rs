//! What is measured: one file per group of scenarios, each adding its rows to the report.

pub(crate) mod backup;
pub(crate) mod bounds;
pub(crate) mod footprint;
pub(crate) mod import;
pub(crate) mod nhost;
pub(crate) mod nora;
pub(crate) mod passwords;
pub(crate) mod projects;
mod series;
pub(crate) mod soak;
pub(crate) mod storm;
pub(crate) mod tokens;
pub(crate) mod verification;

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::Outcome;
use crate::seed::Site;

/// Connections of every closed loop that has a target.
const CONNECTIONS: usize = 64;

/// Silence before idle memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// Address groups of the driver: no two loads share a client address.
mod group {
    pub(super) const TOKENS: u8 = 10;
    pub(super) const SIGN_IN: u8 = 11;
    pub(super) const STORM: u8 = 13;
    pub(super) const PROBE: u8 = 14;
    pub(super) const THIRD: u8 = 15;
    pub(super) const CRASH: u8 = 16;
    pub(super) const BACKUP: u8 = 17;
    pub(super) const HTTP2: u8 = 18;
    pub(super) const PROOFS: u8 = 19;
    pub(super) const IMPORT: u8 = 20;
    pub(super) const PROJECTS: u8 = 21;
    pub(super) const SOAK: u8 = 40;
    pub(super) const SOAK_GUESSES: u8 = 41;
}

/// How long and how often.
pub(crate) struct Pace {
    /// Rounds of the fast scenarios; ours and the limit take turns.
    pub(crate) rounds: usize,
    /// One measured window of a fast scenario, in seconds.
    pub(crate) window: f64,
    /// Rounds of the scenarios that hash.
    pub(crate) hash_rounds: usize,
    /// One measured window of a scenario that hashes, in seconds.
    pub(crate) hash_window: f64,
    /// A storm, in seconds.
    pub(crate) storm: f64,
    /// Starts of each kind.
    pub(crate) starts: usize,
    /// Rounds in which addresses are proved.
    pub(crate) proof_rounds: usize,
    /// Addresses that each connection proves in one of them.
    pub(crate) proofs: usize,
    /// Accounts of the import.
    pub(crate) accounts: usize,
    /// Projects where there are many, at least as many as connections ask.
    pub(crate) projects: usize,
}

impl Pace {
    /// For figures, in less than ten minutes.
    pub(crate) fn full() -> Self {
        Self {
            rounds: 6,
            window: 1.0,
            hash_rounds: 4,
            hash_window: 2.0,
            storm: 15.0,
            starts: 7,
            proof_rounds: 3,
            proofs: 100,
            accounts: 100_000,
            projects: 1000,
        }
    }

    /// For a look whether all works.
    pub(crate) fn quick() -> Self {
        Self {
            rounds: 2,
            window: 0.5,
            hash_rounds: 1,
            hash_window: 1.0,
            storm: 3.0,
            starts: 2,
            proof_rounds: 1,
            proofs: 10,
            accounts: 2000,
            projects: 100,
        }
    }
}

/// What the scenarios share.
pub(crate) struct Bench {
    folder: PathBuf,
    pace: Pace,
    runtime: Runtime,
    /// The data directory with few users.
    pub(crate) few: Option<Site>,
    /// The data directory with many.
    pub(crate) many: Option<Site>,
}

impl Bench {
    /// Everything is written below `folder`.
    pub(crate) fn new(folder: PathBuf, pace: Pace) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { folder, pace, runtime, few: None, many: None })
    }

    fn sites(&mut self) -> Outcome<[&mut Site; 2]> {
        Ok([self.few.as_mut().ok_or("no data directory")?, self.many.as_mut().ok_or("no data directory")?])
    }
}
