//! A clock that moves only when told to.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;

use crate::env::{Clock, Timestamp};

/// Stands still until it is moved. Begins at 2026-01-01T00:00:00Z.
#[derive(Debug)]
pub struct TestClock(watch::Sender<Timestamp>);

const BEGIN_SECS: u64 = 1_767_225_600;

impl Default for TestClock {
    fn default() -> Self {
        Self(watch::Sender::new(Timestamp::from_secs(BEGIN_SECS)))
    }
}

impl TestClock {
    /// Moves it forward; what waits for a moment in between wakes.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = now.plus(by));
    }

    /// Moves it back, as a wall clock may be.
    pub fn step_back(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.send_modify(|now| *now = Timestamp::from_millis(now.millis().saturating_sub(by)));
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn reached(&self, moment: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut moved = self.0.subscribe();
        Box::pin(async move {
            // The sender is this clock, which outlives the wait.
            let _ = moved.wait_for(|now| *now >= moment).await;
        })
    }
}
