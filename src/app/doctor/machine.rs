//! The machine around: the data directory, the certificate, the clock, limits of the system.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::Facts;
use crate::admin::{self, Finding, Severity};
use crate::app::{backups as files, data_dir};
use crate::config::{ListenAddress, TlsMode};
use crate::env::Timestamp;
use crate::net;

const DAY: Duration = Duration::from_secs(86_400);
/// With less than that a project's file cannot grow twice more.
const LITTLE_SPACE: u64 = 512 << 20;
const NO_SPACE: u64 = 32 << 20;
/// Files may come from a machine whose clock is a little ahead.
const SKEW: Duration = Duration::from_secs(120);
/// 2026-01-01T00:00:00Z: before this version existed.
const THEN: Timestamp = Timestamp::from_secs(1_767_225_600);

pub(super) fn data_dir_private(facts: &Facts) -> Vec<Finding> {
    let Some(dir) = &facts.data_dir else { return Vec::new() };
    let shown = dir.display();
    let found = match fs::metadata(dir) {
        Ok(found) => found,
        Err(error) => {
            return vec![Finding::new(
                Severity::Error,
                format!("{shown} cannot be looked at: {error}"),
                "everything is kept there",
                "run this as the user the server runs as",
            )];
        }
    };
    let mut findings = Vec::new();
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        findings.push(Finding::new(
            Severity::Error,
            format!("{shown} has mode {mode:03o}"),
            "other users of this machine can read what is kept there",
            format!("chmod 700 {shown}"),
        ));
    }
    if found.uid() != admin::own_uid().0 {
        findings.push(Finding::new(
            Severity::Error,
            format!("{shown} belongs to user {}", found.uid()),
            "a server of another user cannot write there",
            format!("chown -R to user {}, or run as user {}", admin::own_uid().0, found.uid()),
        ));
    }
    findings.extend(exposed(dir));
    findings
}

/// Files in the data directory that others may read, should the directory itself ever be opened.
fn exposed(dir: &Path) -> Option<Finding> {
    let secret = [data_dir::master_key(dir), data_dir::tls(dir).join("ca.key"), data_dir::tls(dir).join("server.key")];
    let is_open = |path: &&PathBuf| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    let open = secret.iter().find(is_open)?;
    Some(Finding::new(
        Severity::Error,
        format!("{} may be read by other users", open.display()),
        "whoever has that key can do what the server can",
        format!("chmod 600 {}", open.display()),
    ))
}

pub(super) fn disk_full(facts: &Facts) -> Vec<Finding> {
    let Some(dir) = &facts.data_dir else { return Vec::new() };
    let Ok(disk) = rustix::fs::statvfs(dir) else { return Vec::new() };
    space(disk.f_bavail.saturating_mul(disk.f_frsize), dir).into_iter().collect()
}

pub(super) fn space(free: u64, dir: &Path) -> Option<Finding> {
    let severity = match free {
        NO_SPACE.. if free >= LITTLE_SPACE => return None,
        NO_SPACE.. => Severity::Warning,
        _ => Severity::Error,
    };
    Some(Finding::new(
        severity,
        format!("{} MiB are free at {}", free >> 20, dir.display()),
        "a full disk lets nobody sign up or sign in",
        "make room, or move the data directory",
    ))
}

pub(super) fn kept_copies(facts: &Facts) -> Vec<Finding> {
    let Some(dir) = facts.data_dir.as_deref().map(data_dir::projects) else { return Vec::new() };
    let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
    let kept = entries.filter(|entry| entry.file_name().to_string_lossy().contains(".redb.format-"));
    let sizes: Vec<u64> = kept.filter_map(|entry| Some(entry.metadata().ok()?.len())).collect();
    if sizes.is_empty() {
        return Vec::new();
    }
    let mib = sizes.iter().sum::<u64>().div_ceil(1 << 20);
    vec![Finding::new(
        Severity::Hint,
        format!("{} project files are kept as they were before an upgrade ({mib} MiB)", sizes.len()),
        "they are the way back to the program of before, and hold what the projects held then",
        format!("when you are sure to stay with this one: rm {}/*.redb.format-*", dir.display()),
    )]
}

pub(super) fn master_key(facts: &Facts) -> Vec<Finding> {
    match (&facts.data_dir, &facts.settings.master_key) {
        (Some(dir), None) => vec![Finding::new(
            Severity::Hint,
            format!("the master key lies beside the projects, at {}", data_dir::master_key(dir).display()),
            "a backup of the whole directory holds both: whoever steals it can open what is sealed",
            "keep it elsewhere with master_key_file or the systemd credential `master_key`, or out of the backups",
        )],
        _ => Vec::new(),
    }
}

/// Whether the backups are there that the server should have taken by itself.
pub(super) fn backups(facts: &Facts) -> Vec<Finding> {
    let settings = &facts.settings.backup;
    let Some(dir) = &settings.dir else { return Vec::new() };
    let last = files::newest(dir);
    let is_late = last.is_none_or(|at| facts.now.since(at) > 2 * settings.every);
    let what = match (&facts.backup_trouble, last) {
        (Some(why), _) => format!("the last backup failed: {why}"),
        (None, _) if !is_late => return Vec::new(),
        (None, Some(at)) => format!("the last backup in {} is of {}", dir.display(), at.rfc3339()),
        (None, None) => format!("there is no backup in {}", dir.display()),
    };
    vec![Finding::new(
        Severity::Warning,
        what,
        "what is written since the last one is lost with the disk",
        "see that the server runs and may write to backup.dir, which has space; `keystead backup FILE` takes one now",
    )]
}

pub(super) fn certificate(facts: &Facts) -> Vec<Finding> {
    let Some(identity) = &facts.identity else {
        let TlsMode::Files { cert, key } = &facts.settings.tls.mode else { return Vec::new() };
        let reason = net::load_certificate(cert, key, facts.now).err().map(|error| error.to_string());
        let what = reason.unwrap_or_else(|| "the certificate is not served".into());
        let remedy = "put the certificate's chain and its own key there, both whole and readable to the server";
        return vec![Finding::new(Severity::Error, what, "without a certificate no server starts", remedy)];
    };
    let mut findings = Vec::new();
    if let Some(why) = &facts.trouble {
        let what = format!("the certificate could not be renewed: {why}");
        let why = "what is served stays, until it expires";
        let remedy = match facts.settings.tls.mode {
            TlsMode::Acme => {
                "see that every name of tls.acme.domains leads here; `keystead reload` lets it be tried again within a minute"
            }
            _ => "see that the files in the data directory may be written",
        };
        findings.push(Finding::new(Severity::Warning, what, why, remedy));
    }
    let (until, left) = (identity.expires_at().rfc3339(), identity.expires_at().since(facts.now));
    let renewed_by_us = !matches!(facts.settings.tls.mode, TlsMode::Files { .. });
    // Ours are renewed with a third of their life left; that may be short.
    let soon = if renewed_by_us { DAY } else { 14 * DAY };
    let remedy = match &facts.settings.tls.mode {
        TlsMode::Files { .. } => "renew it: the new files are taken up by themselves within seconds".to_owned(),
        TlsMode::Acme => "see the log for why no new one could be had".to_owned(),
        TlsMode::SelfSigned | TlsMode::Off if facts.serving => "see the log for why it is not renewed".to_owned(),
        TlsMode::SelfSigned | TlsMode::Off => "start the server: it renews it".to_owned(),
    };
    if left.is_zero() {
        let severity = if renewed_by_us && !facts.serving { Severity::Hint } else { Severity::Error };
        let what = format!("the certificate has expired at {until}");
        findings.push(Finding::new(severity, what, "clients refuse to connect", remedy));
    } else if identity.not_before() > facts.now {
        let what = format!("the certificate is not valid before {}", identity.not_before().rfc3339());
        let why = "clients refuse to connect, or this machine's clock is wrong";
        findings.push(Finding::new(
            Severity::Error,
            what,
            why,
            "compare `date -u` with the time; renew the certificate",
        ));
    } else if left < soon {
        let what = format!("the certificate expires at {until}");
        findings.push(Finding::new(Severity::Warning, what, "then clients refuse to connect", remedy));
    }
    let names = identity.names();
    let urls = facts.settings.listen.public_url.iter();
    let urls = urls.chain(facts.settings.projects.values().filter_map(|project| project.public_url.as_ref()));
    for host in urls.filter_map(|url| host_of(url)) {
        // Behind a proxy clients see its certificate.
        if !facts.settings.listen.behind_proxy && !names.iter().any(|name| covers(name, &host)) {
            let what = format!("the certificate is not for {host}, the host of a public URL");
            let remedy = match facts.settings.tls.mode {
                TlsMode::Acme => format!("add \"{host}\" to tls.acme.domains"),
                TlsMode::Files { .. } => "bring a certificate that names it".to_owned(),
                TlsMode::SelfSigned | TlsMode::Off => {
                    "`keystead reload`, or start the server: it makes another".to_owned()
                }
            };
            findings.push(Finding::new(Severity::Error, what, "clients refuse to connect", remedy));
        }
    }
    findings
}

fn host_of(url: &str) -> Option<String> {
    let uri: axum::http::Uri = url.parse().ok()?;
    Some(uri.host()?.trim_matches(['[', ']']).to_ascii_lowercase())
}

/// A certificate's name and a host's: a `*` stands for one label (RFC 6125, section 6.4.3).
pub(super) fn covers(name: &str, host: &str) -> bool {
    let wild = || {
        let (first, rest) = host.split_once('.')?;
        (!first.is_empty() && name.strip_prefix("*.")?.eq_ignore_ascii_case(rest)).then_some(())
    };
    name.eq_ignore_ascii_case(host) || wild().is_some()
}

pub(super) fn port(facts: &Facts) -> Vec<Finding> {
    if facts.serving || may_take_low_ports() {
        return Vec::new();
    }
    let from = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let from: u16 = from.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    let listen = &facts.settings.listen;
    let low = listen.addresses.iter().chain(&listen.redirect).filter(|address| match address {
        ListenAddress::Tcp { port, .. } => (1..from).contains(port),
        ListenAddress::Unix(_) => false,
    });
    let finding = |address: &ListenAddress| {
        Finding::new(
            Severity::Warning,
            format!("this user may not listen on {address}"),
            format!("ports below {from} are for root and for who is allowed"),
            "under systemd AmbientCapabilities=CAP_NET_BIND_SERVICE, as in the packaged unit; else \
             `setcap cap_net_bind_service=+ep` on the executable, or another port",
        )
    };
    low.map(finding).collect()
}

/// CAP_NET_BIND_SERVICE (capabilities(7)), bit 10 of the effective set.
fn may_take_low_ports() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_none_or(|set| set & (1 << 10) != 0)
}

pub(super) fn descriptors(facts: &Facts) -> Vec<Finding> {
    let wanted = facts.settings.listen.max_connections;
    let affordable = net::affordable_connections(wanted);
    if affordable >= wanted {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::Warning,
        format!("only {affordable} of {wanted} connections can be served"),
        "the system lets this process open no more files (ulimit -n)",
        "under systemd LimitNOFILE=; else raise `ulimit -n`, or lower listen.max_connections",
    )]
}

pub(super) fn clock(facts: &Facts) -> Vec<Finding> {
    let newest = facts.data_dir.as_deref().and_then(newest);
    let what = match newest {
        Some(newest) if newest > facts.now.plus(SKEW) => {
            format!("it is {}, and a file of ours was written at {}", facts.now.rfc3339(), newest.rfc3339())
        }
        _ if facts.now < THEN => format!("it is {}", facts.now.rfc3339()),
        _ => return Vec::new(),
    };
    vec![Finding::new(
        Severity::Error,
        format!("the clock is wrong: {what}"),
        "sessions, locks and certificates end by the clock",
        "set the time, for example with `timedatectl set-ntp true`",
    )]
}

/// When something in the data directory was last written.
fn newest(dir: &Path) -> Option<Timestamp> {
    let modified = |path: PathBuf| -> io::Result<Timestamp> {
        let since = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    };
    let projects = fs::read_dir(data_dir::projects(dir)).into_iter().flatten().flatten().map(|entry| entry.path());
    projects.chain([data_dir::catalog(dir), data_dir::master_key(dir)]).filter_map(|path| modified(path).ok()).max()
}

pub(super) fn hash_time(facts: &Facts) -> Vec<Finding> {
    let Some(took) = facts.hash else { return Vec::new() };
    let millis = took.as_millis();
    let hashing = &facts.settings.hashing;
    if took < Duration::from_secs(1) {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::Warning,
        format!("one password takes {millis} ms to hash on this machine"),
        "everybody who signs in waits that long, and longer when others sign in too",
        format!("lower hashing.memory_kib ({}) or hashing.iterations ({})", hashing.memory_kib, hashing.iterations),
    )]
}
