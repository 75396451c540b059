//! A whole server in process, for tests: in memory, on a free port, with a clock that moves.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! let server = keystead::testing::Server::start().await;
//! let url = format!("{}/api/auth/signup", server.url()); // trust server.ca_pem() in your client
//! let mail = server.mailbox().next_to("ada@example.com").await; // as soon as it is sent
//! println!("{}: {:?} or {:?}", mail.subject, mail.code, mail.link);
//! server.clock().advance(Duration::from_secs(15 * 60)); // access tokens have expired now
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It is the real server: the real engine over the memory store, real TLS, real HTTP. Only passwords are cheap to hash.
//! There is no global state; hundreds run side by side. Tests in other languages start `keystead serve --ephemeral`.

mod clock;
mod disk;
mod mailbox;
mod seed;

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::admin::{NotReloaded, Reloaded};
use crate::app::{self, Process, Running, StartError};
use crate::auth::Projects;
use crate::config::{self, MasterKeySource, Overrides, Problems, Settings};
use crate::crypto::Secret;
use crate::env::Env;
pub use clock::TestClock;
pub use disk::{Disk, Fault, Survival};
pub use mailbox::Mailbox;
pub use seed::{Seeded, seed};

/// The master key of servers on a [`Disk`].
const MASTER_KEY: [u8; 32] = [0x6b; 32];

/// A running server. Dropped without [`Server::stop`], it ends with the runtime.
#[derive(Debug)]
pub struct Server {
    running: Running,
    clock: Arc<TestClock>,
    mailbox: Mailbox,
}

impl Server {
    /// Starts a server with default settings.
    ///
    /// # Panics
    /// When it cannot start: a test has nothing else to do then.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with settings in the form of environment variables without the `KEYSTEAD_` prefix, such as
    /// `("PROJECT__DEFAULT__VERIFICATION__MODE", "strict")`.
    ///
    /// # Panics
    /// When a setting is wrong or the server cannot start.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        match Self::settings(settings) {
            Ok(settings) => Self::run(settings).await,
            Err(problems) => panic_with(&problems.to_string()),
        }
    }

    /// The settings of a server started [`Server::with`] these.
    fn settings(settings: &[(&str, &str)]) -> Result<Settings, Problems> {
        let mut all: BTreeMap<String, String> = [
            ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:0"),
            // The least that Argon2 takes: a test has no attackers.
            ("KEYSTEAD_HASHING__MEMORY_KIB", "8"),
            ("KEYSTEAD_HASHING__ITERATIONS", "1"),
            ("KEYSTEAD_HASHING__THREADS", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        all.extend(settings.iter().map(|(name, value)| (format!("KEYSTEAD_{name}"), (*value).to_owned())));
        config::load(&Overrides { ephemeral: true, ..Overrides::default() }, &all)
    }

    /// Puts other settings in force while it runs, in the form and with the defaults of [`Server::with`].
    ///
    /// # Errors
    /// Everything that is wrong; nothing has changed then.
    pub async fn reload(&self, settings: &[(&str, &str)]) -> Result<Reloaded, NotReloaded> {
        self.running.put_in_force(Self::settings(settings).map_err(NotReloaded::Settings)?).await
    }

    /// Starts a server with these settings, whatever they say: a data directory is used when they are not ephemeral.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn run(settings: Settings) -> Self {
        match Self::try_run(settings, Process::default()).await {
            Ok(server) => server,
            Err(error) => panic_with(&error.to_string()),
        }
    }

    /// Starts a server with settings in the form and with the defaults of [`Server::with`], whose project files lie on
    /// `disk`. All such servers have the same master key, so that one goes on where another stopped; the clock begins anew.
    ///
    /// # Errors
    /// When it cannot start.
    ///
    /// # Panics
    /// When a setting is wrong.
    pub async fn on(disk: &Disk, settings: &[(&str, &str)]) -> Result<Self, StartError> {
        let mut settings = Self::settings(settings).unwrap_or_else(|problems| panic_with(&problems.to_string()));
        settings.master_key = Some(MasterKeySource::Bytes(Secret::new(MASTER_KEY)));
        Self::try_run(settings, Process { volume: Some(Arc::new(disk.clone())), ..Process::default() }).await
    }

    async fn try_run(settings: Settings, process: Process) -> Result<Self, StartError> {
        let clock = Arc::new(TestClock::default());
        let env = Env { clock: Arc::clone(&clock) as _, ..Env::system() };
        let running = app::start_in(settings, env, process).await?;
        Ok(Self { mailbox: Mailbox::new(running.app().mailbox()), running, clock })
    }

    /// Where it listens, such as `https://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        self.running.ready().urls.first().map_or("", String::as_str)
    }

    /// Where its metrics are, with the setting `metrics.listen`.
    pub fn metrics_url(&self) -> Option<&str> {
        self.running.ready().metrics.as_deref()
    }

    /// The certificate a client must trust, as PEM; empty when TLS is off.
    pub fn ca_pem(&self) -> String {
        self.running.ca_pem().map(|pem| pem.to_string()).unwrap_or_default()
    }

    /// The id of its first project.
    pub fn project(&self) -> Uuid {
        self.running.ready().projects.first().map_or(Uuid::nil(), |project| project.id)
    }

    /// The clock it goes by.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// The mails it sent. Filled when the server is in memory and `mail.transport` is not set.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// What an operator works on: the same projects that it serves.
    pub fn projects(&self) -> &Arc<Projects> {
        self.running.app().projects()
    }

    /// Finishes what was accepted and ends it.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

#[expect(clippy::panic, reason = "a test server that cannot start has nobody to report to")]
fn panic_with(reason: &str) -> ! {
    panic!("the test server does not start: {reason}")
}
