//! The checked, immutable settings of one project.

use std::time::Duration;

use uuid::Uuid;

use crate::crypto::Secret;
use crate::token::SessionKey;
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
            noma: Noma::default(),
            nora: Nora::default(),
            nhost: Nhost::default(),
        }
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
    /// How long a token is good.
    pub ttl: Duration,
    /// The pause between two tokens for one address; zero: none.
    pub cooldown: Duration,
}

impl Default for Verification {
    fn default() -> Self {
        Self { mode: VerificationMode::Off, delivery: Delivery::App, ttl: DAY, cooldown: MINUTE }
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
    /// Requests of one client, as "600/1m", or "off". Guessing passwords is limited without it, by the lockout; what it
    /// adds also hits the many users behind one office's address.
    pub limit: Option<Limit>,
}

impl Default for Noma {
    fn default() -> Self {
        Self { enabled: true, path: "/api/auth".into(), token_format: TokenFormat::Paseto, limit: None }
    }
}

/// How many requests of one client (an IPv4 address, an IPv6 /64) are taken in a window that begins with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many pass.
    pub count: u32,
    /// How long the window is, in whole seconds.
    pub window: Duration,
}

impl Limit {
    /// `count` requests in `secs` seconds.
    pub const fn new(count: u32, secs: u64) -> Self {
        Self { count, window: Duration::from_secs(secs) }
    }
}

/// `[project.SLUG.nora]`: the Nora dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nora {
    /// Off: 404.
    pub enabled: bool,
    /// Where it is mounted; also at `/api/auth` where the other APIs are off.
    pub path: String,
    /// What signs its tokens (HS256), 32 to 1024 characters, for other services that check them. Unset: a secret of the
    /// project's own, kept sealed in its file.
    pub jwt_secret: Option<SessionKey>,
    /// How long a session lasts.
    pub token_ttl: Duration,
    /// Whether its cookie is always `Secure`, also where the connection does not look it.
    pub force_secure_cookies: bool,
    /// Whether the first account of an empty project gets the role `admin`. `None`, "auto": only while every listener is
    /// on loopback and no proxy is in front, so that no stranger can be first.
    pub first_user_admin: Option<bool>,
    /// How many requests one client may send.
    pub limits: NoraLimits,
}

impl Default for Nora {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/auth".into(),
            jwt_secret: None,
            token_ttl: 7 * DAY,
            force_secure_cookies: false,
            first_user_admin: None,
            limits: NoraLimits::default(),
        }
    }
}

/// `[project.SLUG.nora.limits]`: each as "COUNT/WINDOW" for one client, or "off".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoraLimits {
    /// All requests.
    pub global: Option<Limit>,
    /// All that may change something: POST, PUT, PATCH, DELETE.
    pub mutation: Option<Limit>,
    /// Sign-ins, right ones too.
    pub login: Option<Limit>,
    /// Sign-ups in a short time.
    pub signup_burst: Option<Limit>,
    /// Sign-ups in a day; counted in the project's file, so that a restart forgets none.
    pub signup_daily: Option<Limit>,
}

impl Default for NoraLimits {
    fn default() -> Self {
        Self {
            global: Some(Limit::new(1000, 900)),
            mutation: Some(Limit::new(60, 60)),
            login: Some(Limit::new(20, 900)),
            signup_burst: Some(Limit::new(5, 600)),
            signup_daily: Some(Limit::new(20, 86_400)),
        }
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
