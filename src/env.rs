//! Clock, entropy and names: all that is not a function of the request and the store comes in through [`Env`].
//!
//! The ambient clock and random source are banned by `.clippy.toml` everywhere but here, so that a test decides both.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

/// The outside world as the engine may see it.
#[derive(Clone)]
pub struct Env {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// What names of other hosts mean.
    pub resolver: Arc<dyn Resolver>,
}

impl Env {
    /// The operating system's clock, random source and name resolution.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), resolver: Arc::new(SystemResolver) }
    }

    /// One clock reading.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `N` unpredictable bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A time-ordered id (RFC 9562, version 7), so that rows written together lie together on disk.
    pub fn new_id(&self, now: Timestamp) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(now.millis(), &self.random()).into_uuid()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

/// What time it is. Wall-clock time: it may step, forwards and backwards.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Ends when this clock says `moment` or later. A clock that does not go by real time must say it itself.
    fn reached(&self, moment: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let left = moment.since(self.now());
                if left.is_zero() {
                    return;
                }
                // In pieces: the clock may be set meanwhile.
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            }
        })
    }
}

/// How long a set clock may go unnoticed by who waits for a moment.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// A cryptographically secure random source.
pub trait Entropy: Send + Sync {
    /// Fills `out` with unpredictable bytes.
    fn fill(&self, out: &mut [u8]);
}

/// What names of hosts mean.
pub trait Resolver: Send + Sync {
    /// The addresses of `host`. Blocks, for as long as the system's resolver may take.
    ///
    /// # Errors
    /// When there is none, or nobody could be asked.
    fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// This moment and `span` later, saturating.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero when it is not (a clock may step back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with whole seconds, `2026-11-22T10:15:00Z`.
    pub fn rfc3339(self) -> String {
        let second = i64::try_from(self.secs()).unwrap_or(i64::MAX).min(MAX_RFC3339_SECOND);
        jiff::Timestamp::from_second(second).map_or_else(|_| String::new(), |t| t.to_string())
    }

    /// RFC 3339 in UTC with milliseconds, `2026-11-22T10:15:00.000Z`.
    pub fn rfc3339_millis(self) -> String {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX).min(MAX_RFC3339_SECOND * 1000 + 999);
        jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |t| format!("{t:.3}"))
    }

    /// The date of an HTTP header (RFC 9110, section 5.6.7), `Sun, 22 Nov 2026 10:15:00 GMT`.
    pub fn http_date(self) -> String {
        let second = i64::try_from(self.secs()).unwrap_or(i64::MAX).min(MAX_RFC3339_SECOND);
        let date = jiff::Timestamp::from_second(second);
        date.map_or_else(|_| String::new(), |t| t.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }
}

/// 9999-12-30T21:59:59Z: the last second that jiff has, a day short of what RFC 3339 can spell.
const MAX_RFC3339_SECOND: i64 = 253_402_207_200 - 1;

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock some time ahead of another; how much only grows.
pub struct AheadClock {
    base: Arc<dyn Clock>,
    ahead: watch::Sender<Duration>,
}

impl AheadClock {
    /// A clock that says what `base` says, until it is moved.
    pub fn new(base: Arc<dyn Clock>) -> Self {
        Self { base, ahead: watch::Sender::new(Duration::ZERO) }
    }

    /// Moves it forward; what waits for a moment in between wakes.
    pub fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead = ahead.saturating_add(by));
    }

    /// How far ahead it is.
    pub fn ahead(&self) -> Duration {
        *self.ahead.borrow()
    }
}

impl Clock for AheadClock {
    fn now(&self) -> Timestamp {
        self.base.now().plus(self.ahead())
    }

    fn reached(&self, moment: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut moved = self.ahead.subscribe();
        Box::pin(async move {
            loop {
                let ahead = *moved.borrow_and_update();
                // When the base says so, this clock does; a step in between shortens the wait.
                let base = Timestamp::from_millis(
                    moment.millis().saturating_sub(u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX)),
                );
                tokio::select! {
                    () = self.base.reached(base) => return,
                    // The sender is this clock, which outlives the wait.
                    _ = moved.changed() => {}
                }
            }
        })
    }
}

impl fmt::Debug for AheadClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AheadClock").field("ahead", &self.ahead()).finish_non_exhaustive()
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the random source")]
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("the operating system has a random source");
    }
}

struct SystemResolver;

impl Resolver for SystemResolver {
    fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_they_are_written() {
        let at = Timestamp::from_millis(1_795_342_500_007);
        assert_eq!(at.rfc3339(), "2026-11-22T10:15:00Z");
        assert_eq!(at.rfc3339_millis(), "2026-11-22T10:15:00.007Z");
        assert_eq!(at.http_date(), "Sun, 22 Nov 2026 10:15:00 GMT");
        for last in [Timestamp::from_millis(u64::MAX), Timestamp::from_secs(u64::MAX)] {
            assert!(last.rfc3339_millis().starts_with("9999-12-3") && last.http_date().contains("9999"));
        }
    }
}
