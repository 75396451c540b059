//! The checked, immutable settings of the server: what every other part may rely on without asking again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use documented::DocumentedFields;
use ipnet::IpNet;

use super::backup::BackupSettings;
use super::forms;
use super::keys::{Keys, Section};
pub use super::mail::{MailFile, MailSmtp, MailWebhook};
use super::tls::WrittenTls;
pub use super::tls::{Acme, ExternalAccount, Tls, TlsMode};
use crate::config::{Declared, ProjectSettings};
use crate::crypto::HashCost;
use crate::crypto::Secret;
use crate::mail::Templates;
pub use crate::net::ListenAddress;
use crate::outbound::Policy;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// 1 GiB in KiB.
const MAX_MEMORY_KIB: u64 = 1024 * 1024;

/// Everything an operator can decide, checked. Made by [`crate::config::load`]; `Settings::default()` is what a server
/// without file, environment and flags gets.
#[derive(Clone, Debug, DocumentedFields)]
pub struct Settings {
    /// Where projects, keys and the control socket live; made with mode 0700. Flag: --data-dir.
    pub data_dir: PathBuf,
    /// Everything in memory, gone at the end (`--ephemeral`, a flag only).
    pub ephemeral: bool,
    /// Where connections come from.
    pub listen: Listen,
    /// What protects connections.
    pub tls: Tls,
    /// What a password costs (Argon2id, RFC 9106). Hashes of another cost are replaced at the next sign-in.
    pub hashing: Hashing,
    /// The store's memory.
    pub store: StoreSettings,
    /// The master key, which seals signing keys at rest, from elsewhere than data_dir/master.key. Or the systemd
    /// credential "master_key". 32 bytes, raw or as 64 hexadecimal digits; never inline.
    pub master_key: Option<MasterKeySource>,
    /// What the server backs up by itself.
    pub backup: BackupSettings,
    /// How mails are made and sent.
    pub mail: Mail,
    /// Whom the server may call: webhooks, bot checks, mail over HTTP.
    pub outbound: Outbound,
    /// How events are posted to the webhooks of projects.
    pub webhooks: Webhooks,
    /// What is said on stderr.
    pub log: Log,
    /// What is measured, for Prometheus.
    pub metrics: MetricsSettings,
    /// A project, by its slug: 1 to 63 of a-z, 0-9 and "-". A section here declares it: it is made when it does not
    /// exist. Without any, an empty data directory gets the project "default".
    // By slug. Projects made by the command line are not here: see [`Settings::project`].
    pub projects: BTreeMap<String, ProjectSettings>,
    /// Where all that comes from.
    pub(super) declared: Declared,
}

impl Section for Settings {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.text("data_dir", &mut self.data_dir, forms::path);
        keys.master_key(&mut self.master_key);
        keys.section("listen", &mut self.listen);
        let mut tls = WrittenTls::of(&self.tls);
        keys.section("tls", &mut tls);
        self.tls = tls.understood();
        if self.tls.mode == TlsMode::Off
            && !self.listen.behind_proxy
            && let Some(exposed) = self.listen.addresses.iter().find(|address| !address.is_local())
        {
            let reason = format!(
                "\"off\" would send passwords in clear over {exposed}: listen only on loopback or unix sockets, or say \
                 by `listen.behind_proxy = true` that a proxy in front ends TLS"
            );
            keys.refuse("tls.mode", reason);
        }
        if self.tls.mode == TlsMode::Off && self.listen.redirect.is_some() {
            keys.refuse("listen.redirect", "there is no https to send clients to: tls.mode is \"off\"");
        }
        keys.section("hashing", &mut self.hashing);
        keys.section("store", &mut self.store);
        keys.section("backup", &mut self.backup);
        keys.section("mail", &mut self.mail);
        keys.section("outbound", &mut self.outbound);
        keys.section("webhooks", &mut self.webhooks);
        keys.section("log", &mut self.log);
        keys.section("metrics", &mut self.metrics);
        let slug = |name: &str| forms::slug(name).map(drop);
        keys.map("project", "projects", &mut self.projects, ProjectSettings::named, slug, "default");
        for (key, reason) in super::project::conflicts(self.projects.values()) {
            keys.refuse(&key, reason);
        }
    }
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
            backup: BackupSettings::default(),
            mail: Mail::default(),
            outbound: Outbound::default(),
            webhooks: Webhooks::default(),
            log: Log::default(),
            metrics: MetricsSettings::default(),
            projects: BTreeMap::new(),
            declared: Declared::default(),
        }
    }
}

/// `[listen]`: where connections come from.
#[derive(Clone, Debug, DocumentedFields)]
pub struct Listen {
    /// "host:port", "[::1]:port" or "unix:/path"; port 0: any free one. Flag: --listen, repeated.
    // At least one.
    pub addresses: Vec<ListenAddress>,
    /// A plain listener, as a rule port 80, that only sends clients to https and answers ACME challenges.
    pub redirect: Option<ListenAddress>,
    /// The URL clients use; links are built from it, never from a request's headers. https, or http on loopback. Unset:
    /// the first listener's.
    // Without a trailing slash.
    pub public_url: Option<String>,
    /// Networks or addresses of proxies whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections served at once; further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// A proxy in front ends TLS: allows tls.mode = "off" on listeners other machines can reach. Name it in
    /// trusted_proxies.
    pub behind_proxy: bool,
}

impl Section for Listen {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.list("addresses", &mut self.addresses, 64, forms::listener);
        if self.addresses.is_empty() {
            keys.refuse("addresses", "is empty: a server needs at least one listener");
        }
        keys.optional("redirect", &mut self.redirect, forms::listener, "0.0.0.0:80");
        keys.optional("public_url", &mut self.public_url, forms::public_url, "https://auth.example.com");
        keys.list("trusted_proxies", &mut self.trusted_proxies, 256, forms::network);
        keys.number("max_connections", &mut self.max_connections, 1..=1_000_000, "connections");
        keys.flag("behind_proxy", &mut self.behind_proxy);
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            addresses: vec![ListenAddress::Tcp { host: "127.0.0.1".into(), port: 8443 }],
            redirect: None,
            public_url: None,
            trusted_proxies: Vec::new(),
            max_connections: 1024,
            behind_proxy: false,
        }
    }
}

impl Listen {
    /// Whether nobody but this machine's own users can reach it: every listener is on loopback, no proxy is in front, and
    /// clients are not told another name, to which somebody must forward.
    pub fn is_local_only(&self) -> bool {
        let is_loopback = |address: &ListenAddress| matches!(address, ListenAddress::Tcp { .. }) && address.is_local();
        let is_here = |url: &String| forms::is_on_this_machine(url);
        let no_proxy = self.trusted_proxies.is_empty() && !self.behind_proxy;
        no_proxy && self.addresses.iter().all(is_loopback) && self.public_url.as_ref().is_none_or(is_here)
    }
}

/// Whether a host name or IP address (without brackets) can only mean this machine.
pub(super) fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `[hashing]`: what a password costs (Argon2id, RFC 9106).
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Hashing {
    /// Memory of one hash, and at least 8 for each lane.
    // KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Threads that hash; 0: one per core.
    pub threads: usize,
    /// Hashes that may wait; more are answered 503 with Retry-After.
    pub queue: usize,
}

impl Hashing {
    /// What a hash costs.
    pub fn cost(&self) -> HashCost {
        HashCost { memory_kib: self.memory_kib, iterations: self.iterations, parallelism: self.parallelism }
    }
}

impl Section for Hashing {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.number("memory_kib", &mut self.memory_kib, 8..=MAX_MEMORY_KIB, "KiB");
        keys.number("iterations", &mut self.iterations, 1..=64, "");
        keys.number("parallelism", &mut self.parallelism, 1..=16, "");
        keys.number("threads", &mut self.threads, 0..=1024, "threads");
        keys.number("queue", &mut self.queue, 1..=65_536, "hashes");
        if u64::from(self.memory_kib) < 8 * u64::from(self.parallelism) {
            let least = 8 * self.parallelism;
            let reason = format!("is below 8 KiB a lane: at least {least} (RFC 9106, section 3.1)");
            keys.refuse("memory_kib", reason);
        } else if let Err(error) = self.cost().check() {
            keys.refuse("memory_kib", error.to_string());
        }
    }
}

impl Default for Hashing {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1, threads: 0, queue: 1024 }
    }
}

/// `[metrics]`: what is measured, for Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct MetricsSettings {
    /// Where GET /metrics is answered besides the control socket, in plain HTTP and to whoever asks: only on a loopback
    /// address or a unix socket.
    pub listen: Option<ListenAddress>,
}

impl Section for MetricsSettings {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.optional("listen", &mut self.listen, forms::listener, "127.0.0.1:9464");
        if self.listen.as_ref().is_some_and(|address| !address.is_local()) {
            let reason =
                "other machines could read it: listen on a loopback address, and let what is allowed to come there";
            keys.refuse("listen", reason);
        }
    }
}

/// `[store]`: the store's memory.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct StoreSettings {
    /// Page cache of one open project file.
    // MiB.
    pub cache_mib: usize,
}

impl Section for StoreSettings {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.number("cache_mib", &mut self.cache_mib, 1..=65_536, "MiB");
    }
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

/// `[mail]`: how mails are made and sent.
#[derive(Clone, Debug, DocumentedFields)]
pub struct Mail {
    /// How mails leave. "none": not at all; they wait until they expire. "smtp": to a mail server. "file": into files.
    /// "log": a line in the log, and `keystead mail show ID` shows the mail. "webhook": to a program of yours, over HTTP.
    // Where everything is in memory, "none" is its mailbox.
    pub transport: MailTransport,
    /// The sender: "app@example.com" or "App <app@example.com>". Unset: no-reply@ and the host of the public URL.
    pub from: Option<String>,
    /// Where answers go. Unset: to the sender.
    pub reply_to: Option<String>,
    /// A directory of templates that replace the built-in ones, file by file: LOCALE/NAME.subject, .txt and .html, like
    /// "fr/verify-email.txt"; or as Nhost Auth has them, LOCALE/NAME/subject.txt and body.html with ${link}. They are tried
    /// at start and at reload.
    pub templates: Option<PathBuf>,
    /// The language of mails where neither the user nor the project says one: en, es, fr, de, bg, cs, or one of yours.
    pub locale: String,
    /// Mails sent at once, over all projects.
    pub concurrency: usize,
    /// How long a mail that cannot be sent is tried again before it becomes a dead letter.
    pub retry_for: Duration,
    /// The mail server, for transport "smtp".
    pub smtp: MailSmtp,
    /// A directory of mails, for transport "file".
    pub file: MailFile,
    /// A program that takes mails over HTTP, for transport "webhook".
    pub webhook: MailWebhook,
    /// The templates, compiled and tried: those of `templates` over the built-in ones.
    pub compiled: Arc<Templates>,
}

impl Section for Mail {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.choice("transport", &mut self.transport, &MailTransport::WORDS);
        keys.optional("from", &mut self.from, forms::mailbox, "Example App <auth@example.com>");
        keys.optional("reply_to", &mut self.reply_to, forms::mailbox, "help@example.com");
        keys.optional("templates", &mut self.templates, forms::path, "/etc/keystead/mail");
        keys.text("locale", &mut self.locale, forms::locale);
        keys.number("concurrency", &mut self.concurrency, 1..=256, "mails");
        keys.duration("retry_for", &mut self.retry_for, 60 * SECOND..=30 * DAY);
        keys.section("smtp", &mut self.smtp);
        keys.section("file", &mut self.file);
        keys.section("webhook", &mut self.webhook);
        super::mail::check_together(self, keys);
        match self.templates.as_deref().map(|dir| Templates::load(Some(dir))) {
            Some(Ok(templates)) => self.compiled = Arc::new(templates),
            Some(Err(problems)) => {
                for problem in problems {
                    keys.refuse("templates", problem.to_string());
                }
            }
            None => {}
        }
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            transport: MailTransport::None,
            from: None,
            reply_to: None,
            templates: None,
            locale: "en".into(),
            concurrency: 8,
            retry_for: Duration::from_secs(48 * 3600),
            smtp: MailSmtp::default(),
            file: MailFile::default(),
            webhook: MailWebhook::default(),
            compiled: Arc::new(Templates::embedded()),
        }
    }
}

impl Settings {
    /// Whether mails go anywhere.
    pub fn sends_mail(&self) -> bool {
        self.ephemeral || self.mail.transport != MailTransport::None
    }
}

/// How mail leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTransport {
    /// Not at all.
    #[default]
    None,
    /// To a mail server.
    Smtp,
    /// Into files.
    File,
    /// Into the log, which says that there is one.
    Log,
    /// To a program, over HTTP.
    Webhook,
}

/// `[outbound]`: whom the server may call, for webhooks, bot checks and mail over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct Outbound {
    /// Networks or addresses of your own services. Without this only public addresses are called, and only over https;
    /// to these also plain http may go. A name counts by the addresses it is resolved to at each connection.
    pub allow: Vec<IpNet>,
    /// Further certificate authorities to trust for such calls, as PEM, beside those of the public web.
    pub ca_file: Option<PathBuf>,
}

/// `[webhooks]`: how events are posted.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Webhooks {
    /// How long a post that its receiver does not take is tried again before it becomes a dead letter.
    pub retry_for: Duration,
}

impl Section for Webhooks {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.duration("retry_for", &mut self.retry_for, Duration::from_secs(60)..=Duration::from_secs(30 * 86_400));
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { retry_for: Duration::from_secs(72 * 3600) }
    }
}

impl Outbound {
    /// The same for the client.
    pub fn policy(&self) -> Policy {
        Policy { allow: self.allow.clone(), ca_file: self.ca_file.clone() }
    }
}

impl Section for Outbound {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.list("allow", &mut self.allow, 256, forms::network);
        keys.optional("ca_file", &mut self.ca_file, forms::path, "/etc/keystead/outbound-ca.pem");
    }
}

/// `[log]`: what is said on stderr.
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
    /// The least severe level that is said. The variable KEYSTEAD_LOG is finer: "info,keystead::auth=debug".
    pub level: LogLevel,
}

impl Section for Log {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.choice("format", &mut self.format, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
        keys.choice("level", &mut self.level, &levels.map(|level| (level.as_str(), level)));
    }
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
