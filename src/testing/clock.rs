//! A clock that moves only when told to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::env::{Clock, Timestamp};

/// Stands still until it is moved. Begins at 2026-01-01T00:00:00Z.
#[derive(Debug)]
pub struct TestClock(AtomicU64);

const BEGIN_SECS: u64 = 1_767_225_600;

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicU64::new(Timestamp::from_secs(BEGIN_SECS).millis()))
    }
}

impl TestClock {
    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Moves it back, as a wall clock may be.
    pub fn step_back(&self, by: Duration) {
        self.0.fetch_sub(millis(by), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
