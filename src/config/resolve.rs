//! Raw to checked: every key of the server's own sections, its bounds, and what must hold between them.

use std::collections::BTreeMap;

use super::forms;
use super::project::{conflicts, project};
use super::project_settings::ProjectSettings;
use super::reader::Reader;
use super::settings::{
    Hashing, Listen, ListenAddress, Log, LogFormat, LogLevel, Outbound, Settings, StoreSettings, Tls, TlsMode,
};

/// 4 GiB in KiB.
const MAX_MEMORY_KIB: u64 = 4 * 1024 * 1024;

/// Reads everything. What is wrong is in `reader.problems` afterwards, unknown keys included.
pub(super) fn settings(reader: &mut Reader) -> Settings {
    let default = Settings::default();
    let data_dir = reader.text("data_dir", forms::path).unwrap_or(default.data_dir);
    let listen = listen(reader, default.listen);
    let tls = tls(reader, &listen);
    let hashing = hashing(reader, &default.hashing);
    let store =
        StoreSettings { cache_mib: reader.number("store.cache_mib", default.store.cache_mib, 1..=65_536, "MiB") };
    reader.choice("mail.transport", (), &[("none", ())], &["smtp", "file", "log"]);
    let settings = Settings {
        data_dir,
        ephemeral: default.ephemeral,
        listen,
        tls,
        hashing,
        store,
        master_key: reader.master_key(),
        outbound: outbound(reader),
        log: log(reader),
        projects: projects(reader),
        declared: default.declared,
    };
    reader.refuse_unknown("");
    settings
}

fn listen(reader: &mut Reader, default: Listen) -> Listen {
    let before = reader.problems.len();
    let addresses = reader.list("listen.addresses", 64, forms::listener);
    if addresses.as_ref().is_some_and(Vec::is_empty) && reader.problems.len() == before {
        reader.refuse("listen.addresses", "is empty: a server needs at least one listener");
    }
    Listen {
        addresses: addresses.filter(|list| !list.is_empty()).unwrap_or(default.addresses),
        public_url: reader.text("listen.public_url", forms::public_url),
        trusted_proxies: reader.list("listen.trusted_proxies", 256, forms::network).unwrap_or_default(),
        max_connections: reader.number("listen.max_connections", default.max_connections, 1..=1_000_000, "connections"),
        behind_proxy: reader.flag("listen.behind_proxy", default.behind_proxy),
    }
}

/// The words of `tls.mode`, before they are brought together with the files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    SelfSigned,
    Files,
    Off,
}

fn tls(reader: &mut Reader, listen: &Listen) -> Tls {
    let words = [("self-signed", Mode::SelfSigned), ("files", Mode::Files), ("off", Mode::Off)];
    let before = reader.problems.len();
    let mode = reader.choice("tls.mode", Mode::SelfSigned, &words, &["acme"]);
    let mode_stands = reader.problems.len() == before;
    let cert = reader.text("tls.cert", forms::path);
    let key = reader.text("tls.key", forms::path);
    let names = reader.list("tls.names", 64, forms::certificate_name).unwrap_or_default();
    let files = [("tls.cert", &cert), ("tls.key", &key)];
    if mode_stands {
        for (path, file) in files {
            match mode {
                Mode::Files if file.is_none() => reader.refuse("tls.mode", format!("\"files\" needs `{path}`")),
                Mode::SelfSigned | Mode::Off if file.is_some() => {
                    reader.refuse(path, "has no effect unless tls.mode is \"files\"");
                }
                _ => {}
            }
        }
    }
    if mode == Mode::Off
        && !listen.behind_proxy
        && let Some(exposed) = listen.addresses.iter().find(|a| !a.is_local())
    {
        reader.refuse("tls.mode", plain_refused(exposed));
    }
    let mode = match (mode, cert, key) {
        (Mode::Files, Some(cert), Some(key)) => TlsMode::Files { cert, key },
        (Mode::Off, ..) => TlsMode::Off,
        _ => TlsMode::SelfSigned,
    };
    Tls { mode, names }
}

fn plain_refused(exposed: &ListenAddress) -> String {
    format!(
        "\"off\" would send passwords in clear over {exposed}: listen only on loopback or unix sockets, or say by \
         `listen.behind_proxy = true` that a proxy in front ends TLS"
    )
}

fn hashing(reader: &mut Reader, default: &Hashing) -> Hashing {
    let hashing = Hashing {
        memory_kib: reader.number("hashing.memory_kib", default.memory_kib, 8..=MAX_MEMORY_KIB, "KiB"),
        iterations: reader.number("hashing.iterations", default.iterations, 1..=64, ""),
        parallelism: reader.number("hashing.parallelism", default.parallelism, 1..=64, ""),
        threads: reader.number("hashing.threads", default.threads, 0..=1024, "threads"),
        queue: reader.number("hashing.queue", default.queue, 1..=65_536, "hashes"),
    };
    if u64::from(hashing.memory_kib) < 8 * u64::from(hashing.parallelism) {
        let least = 8 * hashing.parallelism;
        reader.refuse("hashing.memory_kib", format!("is below 8 KiB a lane: at least {least} (RFC 9106, section 3.1)"));
    }
    hashing
}

fn outbound(reader: &mut Reader) -> Outbound {
    Outbound {
        allow: reader.list("outbound.allow", 256, forms::network).unwrap_or_default(),
        ca_file: reader.text("outbound.ca_file", forms::path),
    }
}

fn log(reader: &mut Reader) -> Log {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    Log {
        format: reader.choice("log.format", LogFormat::default(), &formats, &[]),
        level: reader.choice("log.level", LogLevel::default(), &levels.map(|level| (level.as_str(), level)), &[]),
    }
}

fn projects(reader: &mut Reader) -> BTreeMap<String, ProjectSettings> {
    let mut projects = BTreeMap::new();
    for slug in reader.names("project") {
        let path = format!("project.{slug}");
        match forms::slug(&slug) {
            Ok(_) if reader.is_table(&path) => {
                projects.insert(slug.clone(), project(reader, &slug));
            }
            Ok(_) => reader.refuse_known(&path, "expects a section, with keys in it"),
            // Refused as a quoted key: its path would mean another.
            Err(_) if slug.is_empty() || slug.contains('.') => {}
            Err(reason) => reader.refuse_known(&path, reason),
        }
    }
    for (key, reason) in conflicts(projects.values()) {
        reader.refuse(&key, reason);
    }
    projects
}
