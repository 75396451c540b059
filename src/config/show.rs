//! Settings written back as the TOML that would make them, for `keystead config show`; secrets stay unseen.

use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};

use super::forms::spell_duration;
use super::project_settings::{Delivery, ProjectSettings, TokenFormat, VerificationMode};
use super::settings::{LogFormat, MasterKeySource, Settings, TlsMode};

/// What stands in a secret's place.
const UNSEEN: &str = "[secret]";

impl Settings {
    /// The settings in force as TOML, defaults included. A secret is shown as `[secret]`; a value that is not set, and
    /// a master key handed over as a credential, not at all.
    pub fn to_toml(&self) -> String {
        let master_key = match &self.master_key {
            Some(MasterKeySource::File(file)) => Some(path(file)),
            Some(MasterKeySource::Bytes(_)) | None => None,
        };
        let (mode, cert, key) = match &self.tls.mode {
            TlsMode::SelfSigned => ("self-signed", None, None),
            TlsMode::Files { cert, key } => ("files", Some(path(cert)), Some(path(key))),
            TlsMode::Off => ("off", None, None),
        };
        let format = match self.log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let (listen, hashing) = (&self.listen, &self.hashing);
        let projects = self.projects.iter().map(|(slug, project)| (slug.clone(), Value::Table(shown(project))));
        let whole = table([
            ("data_dir", Some(path(&self.data_dir))),
            ("master_key_file", master_key),
            (
                "listen",
                section([
                    ("addresses", Some(list(&listen.addresses))),
                    ("public_url", listen.public_url.as_deref().map(text)),
                    ("trusted_proxies", Some(list(&listen.trusted_proxies))),
                    ("max_connections", Some(number(listen.max_connections))),
                    ("behind_proxy", Some(Value::Boolean(listen.behind_proxy))),
                ]),
            ),
            (
                "tls",
                section([
                    ("mode", Some(text(mode))),
                    ("cert", cert),
                    ("key", key),
                    ("names", Some(list(&self.tls.names))),
                ]),
            ),
            (
                "hashing",
                section([
                    ("memory_kib", Some(number(hashing.memory_kib))),
                    ("iterations", Some(number(hashing.iterations))),
                    ("parallelism", Some(number(hashing.parallelism))),
                    ("threads", Some(number(hashing.threads))),
                    ("queue", Some(number(hashing.queue))),
                ]),
            ),
            ("store", section([("cache_mib", Some(number(self.store.cache_mib)))])),
            ("mail", section([("transport", Some(text("none")))])),
            (
                "outbound",
                section([
                    ("allow", Some(list(&self.outbound.allow))),
                    ("ca_file", self.outbound.ca_file.as_deref().map(path)),
                ]),
            ),
            ("log", section([("format", Some(text(format))), ("level", Some(text(self.log.level.as_str())))])),
            ("project", Some(Value::Table(projects.collect()))),
        ]);
        whole.to_string()
    }
}

impl ProjectSettings {
    /// The project's settings in force as TOML, with keys as below `[project.SLUG]`; a secret is shown as `[secret]`.
    pub fn to_toml(&self) -> String {
        shown(self).to_string()
    }
}

fn shown(project: &ProjectSettings) -> Table {
    let mode = match project.verification.mode {
        VerificationMode::Off => "off",
        VerificationMode::Lenient => "lenient",
        VerificationMode::Strict => "strict",
    };
    let delivery = match project.verification.delivery {
        Delivery::App => "app",
    };
    let token_format = match project.noma.token_format {
        TokenFormat::Paseto => "paseto",
        TokenFormat::Jwt => "jwt",
    };
    let (verification, lockout, tokens) = (&project.verification, &project.lockout, &project.tokens);
    let mount = |enabled: bool, at: &str| [("enabled", Some(Value::Boolean(enabled))), ("path", Some(text(at)))];
    let noma = mount(project.noma.enabled, &project.noma.path);
    table([
        ("id", project.id.map(|id| text(&id.to_string()))),
        ("enabled", Some(Value::Boolean(project.enabled))),
        ("hosts", Some(list(&project.hosts))),
        ("public_url", project.public_url.as_deref().map(text)),
        ("secret", project.secret.as_ref().map(|_| text(UNSEEN))),
        ("conceal", Some(Value::Boolean(project.conceal))),
        ("signup", section([("enabled", Some(Value::Boolean(project.signup.enabled)))])),
        (
            "verification",
            section([
                ("mode", Some(text(mode))),
                ("delivery", Some(text(delivery))),
                ("ttl", Some(duration(verification.ttl))),
                ("cooldown", Some(duration(verification.cooldown))),
            ]),
        ),
        ("password", section([("min_length", Some(number(project.password.min_length)))])),
        (
            "lockout",
            section([
                ("failures", Some(number(lockout.failures))),
                ("account_failures", Some(number(lockout.account_failures))),
                ("window", Some(duration(lockout.window))),
                ("duration", Some(duration(lockout.duration))),
            ]),
        ),
        (
            "tokens",
            section([
                ("access_ttl", Some(duration(tokens.access_ttl))),
                ("refresh_ttl", Some(duration(tokens.refresh_ttl))),
                ("refresh_grace", Some(duration(tokens.refresh_grace))),
                ("key_overlap", Some(duration(tokens.key_overlap))),
            ]),
        ),
        ("sessions", section([("max", Some(number(project.sessions.max)))])),
        ("cors", section([("origins", Some(list(&project.cors.origins)))])),
        ("noma", section(noma.into_iter().chain([("token_format", Some(text(token_format)))]))),
        ("nora", section(mount(project.nora.enabled, &project.nora.path))),
        ("nhost", section(mount(project.nhost.enabled, &project.nhost.path))),
    ])
}

type Entry = (&'static str, Option<Value>);

fn table(entries: impl IntoIterator<Item = Entry>) -> Table {
    entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn section(entries: impl IntoIterator<Item = Entry>) -> Option<Value> {
    Some(Value::Table(table(entries)))
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn path(value: &Path) -> Value {
    text(&value.to_string_lossy())
}

fn duration(span: Duration) -> Value {
    Value::String(spell_duration(span))
}

fn list<T: ToString>(items: &[T]) -> Value {
    Value::Array(items.iter().map(|item| Value::String(item.to_string())).collect())
}

fn number<N: TryInto<i64>>(value: N) -> Value {
    // Every bound lies below 2^63.
    Value::Integer(value.try_into().unwrap_or(i64::MAX))
}
