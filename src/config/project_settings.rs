//! The checked, immutable settings of one project.

use std::time::Duration;

use uuid::Uuid;

use crate::crypto::Secret;
pub use crate::token::TokenFormat;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `[project.SLUG]`: one tenant.
#[derive(Clone, Debug)]
pub struct ProjectSettings {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
    pub slug: String,
    /// Its id when the configuration fixes it; else made with the project's file and kept there.
    pub id: Option<Uuid>,
    /// Off: every dialect answers that authentication is off.
    pub enabled: bool,
    /// Host names that lead to it, lower case, without port.
    pub hosts: Vec<String>,
    /// The URL its links are built from, without a trailing slash. `None`: `listen.public_url`.
    pub public_url: Option<String>,
    /// What the integrator's own services authenticate with; at least 32 characters.
    pub secret: Option<Secret<String>>,
    /// Answers reveal no account state, whatever the dialect's contract would say.
    pub conceal: bool,
    /// Who may sign up.
    pub signup: Signup,
    /// How addresses are proved.
    pub verification: Verification,
    /// What a password must be.
    pub password: PasswordSettings,
    /// When guessing ends.
    pub lockout: Lockout,
    /// How long tokens and keys live.
    pub tokens: Tokens,
    /// How many sessions a user may hold.
    pub sessions: Sessions,
    /// Which pages' scripts may call.
    pub cors: Cors,
    /// What its mails look like.
    pub mail: ProjectMail,
    /// What owners of accounts are told by mail.
    pub notify: Notify,
    /// The NomaCMS dialect.
    pub noma: Noma,
    /// The Nora dialect.
    pub nora: Nora,
    /// The Nhost dialect.
    pub nhost: Nhost,
}

impl ProjectSettings {
    /// A project nobody said anything about.
    pub fn named(slug: &str) -> Self {
        Self {
            slug: slug.to_owned(),
            id: None,
            enabled: true,
            hosts: Vec::new(),
            public_url: None,
            secret: None,
            conceal: false,
            signup: Signup::default(),
            verification: Verification::default(),
            password: PasswordSettings::default(),
            lockout: Lockout::default(),
            tokens: Tokens::default(),
            sessions: Sessions::default(),
            cors: Cors::default(),
            mail: ProjectMail::default(),
            notify: Notify::default(),
            noma: Noma::default(),
            nora: Nora::default(),
            nhost: Nhost::default(),
        }
    }
}

impl ProjectSettings {
    /// The name that mails and pages call it by.
    pub fn app_name(&self) -> &str {
        self.mail.app_name.as_deref().unwrap_or(&self.slug)
    }
}

/// `[project.SLUG.mail]`: what its mails look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectMail {
    /// The sender. `None`: `mail.from`.
    pub from: Option<String>,
    /// The language of mails to who prefers none. `None`: `mail.locale`.
    pub locale: Option<String>,
    /// The name mails and pages call the app by. `None`: the slug.
    pub app_name: Option<String>,
}

/// `[project.SLUG.notify]`: what owners of accounts are told by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// That failed attempts locked the account; at most once a day.
    pub lockout: bool,
    /// That the password was changed.
    pub password_change: bool,
    /// That somebody signed in from a device not seen before.
    pub new_device: bool,
}

impl Default for Notify {
    fn default() -> Self {
        Self { lockout: true, password_change: true, new_device: true }
    }
}

/// `[project.SLUG.signup]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signup {
    /// Whether a stranger may make an account.
    pub enabled: bool,
}

impl Default for Signup {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// `[project.SLUG.verification]`: how an address is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// What an unproved address may do.
    pub mode: VerificationMode,
    /// Who brings the token to the user.
    pub delivery: Delivery,
    /// The page of the app's own that a mail leads to, with `{token}` where the token goes. `None`: ours.
    pub link: Option<String>,
    /// How long a token is good.
    pub ttl: Duration,
    /// The pause between two tokens for one address; zero: none.
    pub cooldown: Duration,
}

impl Default for Verification {
    fn default() -> Self {
        Self { mode: VerificationMode::Off, delivery: Delivery::App, link: None, ttl: DAY, cooldown: MINUTE }
    }
}

/// What an account with an unproved address may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerificationMode {
    /// Everything; nothing asks for a proof.
    Off,
    /// Everything; the proof may follow.
    Lenient,
    /// Nothing until it is proved.
    Strict,
}

/// Who brings a token to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The integrator's app, which gets it in the answer. Addresses proved so are *asserted* only.
    App,
    /// We, by mail to the address: whoever brings it back can read its mail.
    Mail,
}

/// `[project.SLUG.password]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordSettings {
    /// Characters a new password must have.
    pub min_length: usize,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self { min_length: 8 }
    }
}

/// `[project.SLUG.lockout]`: when guessing ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Wrong answers for one address from one client that lock.
    pub failures: u32,
    /// Wrong answers for one address from anywhere that lock.
    pub account_failures: u32,
    /// How far back they count.
    pub window: Duration,
    /// How long the lock holds.
    pub duration: Duration,
}

impl Default for Lockout {
    fn default() -> Self {
        Self { failures: 5, account_failures: 100, window: 15 * MINUTE, duration: 15 * MINUTE }
    }
}

/// `[project.SLUG.tokens]`: how long tokens and keys live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// An access token's life.
    pub access_ttl: Duration,
    /// A refresh token's life; every rotation starts it anew.
    pub refresh_ttl: Duration,
    /// How long the previous refresh token still yields the same successor; zero: not at all.
    pub refresh_grace: Duration,
    /// How long a replaced signing key still verifies; never shorter than `access_ttl`.
    pub key_overlap: Duration,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access_ttl: 15 * MINUTE,
            refresh_ttl: 30 * DAY,
            refresh_grace: Duration::from_secs(10),
            key_overlap: 24 * HOUR,
        }
    }
}

/// `[project.SLUG.sessions]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// Sessions of one user; beyond it the oldest ends. 0: no limit.
    pub max: u32,
}

/// `[project.SLUG.cors]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins as a browser sends them (`https://app.example.com`), or `*` for any.
    pub origins: Vec<String>,
}

/// `[project.SLUG.noma]`: the NomaCMS dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noma {
    /// Off: 404.
    pub enabled: bool,
    /// Where it is mounted: begins with `/`, does not end with one.
    pub path: String,
    /// How access tokens are written.
    pub token_format: TokenFormat,
}

impl Default for Noma {
    fn default() -> Self {
        Self { enabled: true, path: "/api/auth".into(), token_format: TokenFormat::Paseto }
    }
}

/// `[project.SLUG.nora]`: the Nora dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nora {
    /// Off: 404.
    pub enabled: bool,
    /// Where it is mounted.
    pub path: String,
}

impl Default for Nora {
    fn default() -> Self {
        Self { enabled: true, path: "/auth".into() }
    }
}

/// `[project.SLUG.nhost]`: the Nhost dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nhost {
    /// Off: 404.
    pub enabled: bool,
    /// Where it is mounted.
    pub path: String,
}

impl Default for Nhost {
    fn default() -> Self {
        Self { enabled: true, path: "/v1".into() }
    }
}
