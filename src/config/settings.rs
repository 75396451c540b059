//! The checked, immutable settings of the server: what every other part may rely on without asking again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::{Declared, ProjectSettings};
use crate::crypto::Secret;
use crate::mail::Templates;
pub use crate::mail::TransportSettings;
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
    /// How mails are made and sent.
    pub mail: Mail,
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
            mail: Mail::default(),
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

/// `[mail]`: how mails are made and sent.
#[derive(Clone, Debug)]
pub struct Mail {
    /// How mails leave. `None`: nothing was said; then a server in memory keeps them in its mailbox, any other sends none
    /// and keeps them waiting.
    pub transport: Option<TransportSettings>,
    /// The sender, `Name <address>` or an address. `None`: `no-reply@` and the host of `public_url`.
    pub from: Option<String>,
    /// Where answers go. `None`: to the sender.
    pub reply_to: Option<String>,
    /// Templates that replace the built-in ones: `LOCALE/NAME.subject`, `.txt`, `.html`.
    pub templates: Option<PathBuf>,
    /// The language of mails where neither the user nor the project says one.
    pub locale: String,
    /// Mails sent at once.
    pub concurrency: usize,
    /// How long a mail that cannot be sent is tried again, before it becomes a dead letter.
    pub retry_for: Duration,
    /// The templates, compiled and tried: those of `templates` over the built-in ones.
    pub compiled: Arc<Templates>,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            transport: None,
            from: None,
            reply_to: None,
            templates: None,
            locale: "en".into(),
            concurrency: 8,
            retry_for: Duration::from_secs(48 * 3600),
            compiled: Arc::new(Templates::embedded()),
        }
    }
}

impl Settings {
    /// Whether mails go anywhere.
    pub fn sends_mail(&self) -> bool {
        match &self.mail.transport {
            Some(transport) => *transport != TransportSettings::None,
            None => self.ephemeral,
        }
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
