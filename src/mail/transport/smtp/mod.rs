//! Mail by SMTP: to the operator's mail server, encrypted, over connections that a burst of mails shares.
//!
//! ```text
//! session   one conversation: greeting, STARTTLS, AUTH, mails; what each failure means
//! auth      PLAIN, LOGIN, CRAM-MD5: which, and what they say
//! wire      the socket under it: bounded lines, TLS begun in place, a listener for `keystead mail test`
//! ```
//!
//! A conversation that took a mail is kept for the next one for a few seconds. It is asked with RSET whether it is still
//! alive before it is used again, so a mail is never begun on a connection that is known to be dead; and one that
//! failed in any way is not kept.

mod auth;
mod session;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::written::Written;
use crate::crypto::Secret;
use crate::env::{Env, Timestamp};
use crate::mail::{Message, SendError};
use crate::net::{CaFile, ClientTls};
use session::{Session, Way, secrets_of};
use wire::Listener;

/// Conversations kept for the next mail.
const KEPT: usize = 4;
/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// Mails over one conversation: servers end long ones.
const MAILS_EACH: u32 = 100;

/// `[mail.smtp]`: the server that takes the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpSettings {
    /// Its name, which its certificate must carry, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What protects the conversation.
    pub tls: SmtpTls,
    /// Who we are to it; `None`: nobody in particular.
    pub login: Option<Login>,
    /// Authorities to trust besides the public ones.
    pub ca_file: Option<CaFile>,
    /// The name we introduce ourselves with; `None`: our address.
    pub helo_name: Option<String>,
}

/// What protects a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmtpTls {
    /// It begins in clear and must become encrypted before anything is said (RFC 3207).
    #[default]
    StartTls,
    /// Encrypted from the first byte (RFC 8314).
    Implicit,
    /// Nothing: only to this machine.
    None,
}

impl SmtpTls {
    /// The port that goes with it.
    pub const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

/// An account at a mail server.
#[derive(Clone)]
pub struct Login {
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: Secret<String>,
}

impl PartialEq for Login {
    /// Whether it is the same account, to see whether settings changed; nobody outside chooses either side.
    fn eq(&self, other: &Self) -> bool {
        self.username == other.username && self.password.expose() == other.password.expose()
    }
}

impl Eq for Login {}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the connection itself, all addresses of its name together.
    pub connect: Duration,
    /// For the answer to a command, and for a TLS handshake.
    pub step: Duration,
    /// For taking the mail and saying so. Long: giving up too early makes duplicates (RFC 5321, section 4.5.3.2.6).
    pub content: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), step: Duration::from_secs(45), content: Duration::from_secs(90) }
    }
}

/// The way out over SMTP.
pub struct Smtp {
    server: SmtpSettings,
    way: Way,
    limits: Limits,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept(Mutex<Vec<Session>>);

impl Smtp {
    /// To the server that `settings` name. Nothing is connected yet.
    pub fn new(settings: &SmtpSettings, env: &Env) -> Self {
        let tls = ClientTls::new(settings.ca_file.as_ref(), env);
        let way = Way { resolver: Arc::clone(&env.resolver), tls };
        Self { server: settings.clone(), way, limits: Limits::default(), kept: Arc::default() }
    }

    /// The same with other time limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sends a mail, dated `now`.
    ///
    /// # Errors
    /// [`SendError`] says whether it may work later.
    pub async fn send(&self, message: &Message, now: Timestamp) -> Result<(), SendError> {
        let mail = Written::write(message, now)?;
        let mut session = match self.kept().await {
            Some(session) => session,
            None => Session::open(&self.server, &self.way, self.limits, None).await?,
        };
        match session.submit(&mail, &secrets_of(message)).await {
            Ok(_) => {
                self.keep(session);
                Ok(())
            }
            Err(error) => {
                // Nobody waits for the goodbye.
                tokio::spawn(session.quit());
                Err(error)
            }
        }
    }

    /// Sends a mail over a conversation of its own, every line of which goes to `lines` as it is said; passwords as
    /// `…`. What the server said to the mail.
    ///
    /// # Errors
    /// As [`Smtp::send`].
    pub async fn try_out(
        &self,
        message: &Message,
        now: Timestamp,
        lines: UnboundedSender<String>,
    ) -> Result<String, SendError> {
        let secrets = self.server.login.as_ref().map(auth::forms_of).unwrap_or_default();
        let mail = Written::write(message, now)?;
        let mut session =
            Session::open(&self.server, &self.way, self.limits, Some(Listener { lines, secrets })).await?;
        let said = session.submit(&mail, &secrets_of(message)).await;
        session.quit().await;
        said
    }

    /// One of the conversations that were kept, if it is alive.
    async fn kept(&self) -> Option<Session> {
        loop {
            // The youngest: it is the likeliest to be alive.
            let mut session = self.kept.lock().pop()?;
            if session.is_ready().await {
                return Some(session);
            }
        }
    }

    fn keep(&self, session: Session) {
        let mut kept = self.kept.lock();
        if session.sent >= MAILS_EACH || kept.len() >= KEPT {
            tokio::spawn(session.quit());
            return;
        }
        let id = session.id();
        kept.push(session);
        let all = Arc::downgrade(&self.kept);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT_FOR).await;
            let left = all.upgrade().and_then(|all| all.take(id));
            if let Some(session) = left {
                session.quit().await;
            }
        });
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out the session that was kept under this number, unless it has been used since.
    fn take(&self, id: (usize, u32)) -> Option<Session> {
        let mut kept = self.lock();
        let at = kept.iter().position(|session| session.id() == id)?;
        Some(kept.swap_remove(at))
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("server", &self.server).finish_non_exhaustive()
    }
}
