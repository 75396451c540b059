//! The checked, immutable settings of the server: what every other part may rely on without asking again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::{Declared, ProjectSettings};
use crate::crypto::Secret;
pub use crate::net::ListenAddress;

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
    /// Whom the server may call.
    pub outbound: Outbound,
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
            outbound: Outbound::default(),
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
        Self { cache_mib: 4 }
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

/// `[outbound]`: whom the server may call, for webhooks, bot checks and mail over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Networks or addresses of your own services. Without this only public addresses are called, and only over https;
    /// to these also plain http may go. A name counts by the addresses it is resolved to at each connection.
    pub allow: Vec<IpNet>,
    /// Further certificate authorities to trust for such calls, as PEM, beside those of the public web.
    pub ca_file: Option<PathBuf>,
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
