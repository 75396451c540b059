//! The settings of a project's APIs: where each is mounted, and what it does its own way.

use std::time::Duration;

use documented::DocumentedFields;

use super::forms;
use super::keys::{Keys, Section, Spell};
use super::project;
use crate::token::SessionKey;
pub use crate::token::TokenFormat;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// `[project.SLUG.noma]`: the NomaCMS dialect.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Noma {
    /// false: 404.
    pub enabled: bool,
    /// Where it is mounted: begins with "/", does not end with one.
    pub path: String,
    /// How access tokens are written: as v4.public or as EdDSA.
    pub token_format: TokenFormat,
    /// Requests of one client (an IPv4 address, an IPv6 /64), as "600/1m", or "off". Guessing passwords is limited without
    /// it, by the lockout; what it adds also hits the many users behind one office's address.
    pub limit: Option<Limit>,
}

impl Section for Noma {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.flag("enabled", &mut self.enabled);
        keys.text("path", &mut self.path, forms::mount);
        let formats = [("paseto", TokenFormat::Paseto), ("jwt", TokenFormat::Jwt)];
        keys.choice("token_format", &mut self.token_format, &formats);
        keys.text("limit", &mut self.limit, forms::limit);
    }
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

impl Spell for Option<Limit> {
    fn spell(&self) -> String {
        forms::spell_limit(*self)
    }
}

/// `[project.SLUG.nora]`: the Nora dialect.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Nora {
    /// false: 404.
    pub enabled: bool,
    /// Where it is mounted; also at /api/auth where the other APIs are off.
    pub path: String,
    /// What signs its tokens (HS256), for other services that check them: 32 to 1024 characters. Give one of jwt_secret,
    /// jwt_secret_file, the credential "project.default.nora.jwt_secret". Unset: a secret of the project's own, which lies
    /// sealed in its file.
    pub jwt_secret: Option<SessionKey>,
    /// How long a session lasts.
    pub token_ttl: Duration,
    /// true: its cookie is always Secure, also where the connection does not look it.
    pub force_secure_cookies: bool,
    /// Whether the first account of an empty project gets the role "admin": true, false, or "auto": only while every
    /// listener is on loopback and no proxy is in front, so that no stranger can be first.
    pub first_user_admin: Option<bool>,
    /// Requests of one client (an IPv4 address, an IPv6 /64) in a window that begins with the first, as "COUNT/WINDOW",
    /// or "off".
    pub limits: NoraLimits,
}

impl Section for Nora {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.flag("enabled", &mut self.enabled);
        keys.text("path", &mut self.path, forms::mount);
        keys.secret_as("jwt_secret", &mut self.jwt_secret, project::jwt_secret, SessionKey::given);
        keys.duration("token_ttl", &mut self.token_ttl, SECOND..=YEARS);
        keys.flag("force_secure_cookies", &mut self.force_secure_cookies);
        let words = [("auto", None), ("true", Some(true)), ("false", Some(false))];
        keys.choice("first_user_admin", &mut self.first_user_admin, &words);
        keys.section("limits", &mut self.limits);
    }
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
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct NoraLimits {
    /// All requests.
    pub global: Option<Limit>,
    /// All that may change something.
    pub mutation: Option<Limit>,
    /// Sign-ins, right ones too.
    pub login: Option<Limit>,
    /// Sign-ups in a short time.
    pub signup_burst: Option<Limit>,
    /// Sign-ups in a day; a restart forgets none.
    pub signup_daily: Option<Limit>,
}

impl Section for NoraLimits {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.text("global", &mut self.global, forms::limit);
        keys.text("mutation", &mut self.mutation, forms::limit);
        keys.text("login", &mut self.login, forms::limit);
        keys.text("signup_burst", &mut self.signup_burst, forms::limit);
        keys.text("signup_daily", &mut self.signup_daily, forms::limit);
    }
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
