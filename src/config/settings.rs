//! The checked, immutable settings: what every other part may rely on without asking again.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use uuid::Uuid;

use crate::config::Declared;
use crate::crypto::secret::Secret;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything an operator can decide, checked. Made by [`crate::config::load`]; `Settings::default()` is what a server
/// without file, environment and flags gets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where project files, keys and the control socket live; relative to the working directory.
    pub data_dir: PathBuf,
    /// Everything in memory, gone at the end (`--ephemeral`, a flag only).
    pub ephemeral: bool,
    /// Where connections come from.
    pub listen: Listen,
    /// What protects them.
    pub tls: Tls,
    /// What a password costs.
    pub hashing: Hashing,
    /// The store's memory.
    pub store: StoreSettings,
    /// The master key when it is not `data_dir/master.key`.
    pub master_key: Option<MasterKeySource>,
    /// What is said on stderr.
    pub log: Log,
    /// The projects declared in the file or the environment, by slug. Empty when none is: the app then makes `default`
    /// in an empty data directory. Projects made by the command line are not here: see [`Settings::project`].
    pub projects: BTreeMap<String, ProjectSettings>,
    pub(super) declared: Declared,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("keystead-data"),
            ephemeral: false,
            listen: Listen::default(),
            tls: Tls::default(),
            hashing: Hashing::default(),
            store: StoreSettings::default(),
            master_key: None,
            log: Log::default(),
            projects: BTreeMap::new(),
            declared: Declared::default(),
        }
    }
}

/// `[listen]`: where connections come from.
#[derive(Clone, Debug)]
pub struct Listen {
    /// At least one.
    pub addresses: Vec<ListenAddress>,
    /// The URL clients use, without a trailing slash. `None`: the first listener's.
    pub public_url: Option<String>,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections served at once; further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// A proxy in front ends TLS, which makes `tls.mode = "off"` legal on any listener.
    pub behind_proxy: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            addresses: vec![ListenAddress::Tcp { host: "127.0.0.1".into(), port: 8443 }],
            public_url: None,
            trusted_proxies: Vec::new(),
            max_connections: 1024,
            behind_proxy: false,
        }
    }
}

/// One place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A name or an IP address (IPv6 without brackets) and a port; port 0 lets the system choose.
    Tcp {
        /// What to resolve or bind.
        host: String,
        /// 0: any free one.
        port: u16,
    },
    /// A socket file.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this machine can reach it: a loopback address, `localhost` or a unix socket.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => is_loopback_host(host),
            Self::Unix(_) => true,
        }
    }
}

/// The form it is written in: `host:port`, `[::1]:port`, `unix:/path`.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Whether a host name or IP address (without brackets) can only mean this machine.
pub(super) fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `[tls]`: what protects connections.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Where the certificate comes from.
    pub mode: TlsMode,
    /// Further names and addresses in the self-signed certificate, beside the listeners' and projects' own.
    pub names: Vec<String>,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// A local CA, made once and kept in the data directory.
    #[default]
    SelfSigned,
    /// PEM files of the operator.
    Files {
        /// The certificate chain, leaf first.
        cert: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// Plain HTTP: only on local listeners or behind a declared proxy.
    Off,
}

/// `[hashing]`: what a password costs (Argon2id, RFC 9106).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// Memory of one hash, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Threads that hash; 0: one per core.
    pub threads: usize,
    /// Hashes that may wait; more are answered 503.
    pub queue: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1, threads: 0, queue: 1024 }
    }
}

/// `[store]`: the store's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Page cache of one open project file, MiB.
    pub cache_mib: usize,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { cache_mib: 16 }
    }
}

/// A master key from outside the data directory.
#[derive(Clone, Debug)]
pub enum MasterKeySource {
    /// The file to read it from (`master_key_file`).
    File(PathBuf),
    /// The key itself, from the systemd credential `master_key`.
    Bytes(Secret<[u8; 32]>),
}

/// `[log]`: what is said on stderr.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
    /// The least severe level said.
    pub level: LogLevel,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The least severe level that is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may soon.
    Warn,
    /// And what happened.
    #[default]
    Info,
    /// And why.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level's name as a filter directive.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

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
}

impl Default for Noma {
    fn default() -> Self {
        Self { enabled: true, path: "/api/auth".into(), token_format: TokenFormat::Paseto }
    }
}

/// How access tokens are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// PASETO v4.public.
    Paseto,
    /// JWT.
    Jwt,
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
