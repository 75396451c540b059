//! Whether all is well: every check a function in a list, every finding with what is to be done about it.
//!
//! | module | what it looks at |
//! |---|---|
//! | `settings` | what the settings allow strangers, and each other; the start screen says these too |
//! | `machine` | the data directory, the certificate, the clock, limits of the system |
//! | `contents` | the projects' files, mails and calls that do not get through |
//!
//! A running server looks at itself, with what it has in force; a stopped one is looked at by the command.

mod contents;
mod machine;
mod settings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::acme;
use super::data_dir;
use crate::admin::{Finding, Severity};
use crate::auth::Projects;
use crate::config::{ProjectSettings, Settings, TlsMode};
use crate::crypto::{ClientGroup, Secret};
use crate::env::{Env, Timestamp};
use crate::net::{self, Identity, Tls};
pub(super) use settings::first_look;

/// What the checks look at, gathered before.
pub(super) struct Facts {
    pub(super) settings: Arc<Settings>,
    /// Every project there is, also those that no configuration declares.
    pub(super) projects: Vec<Found>,
    /// `None` in memory.
    pub(super) data_dir: Option<PathBuf>,
    /// What is served, or would be; `None`: nothing, or unknown.
    pub(super) identity: Option<Identity>,
    /// Why that could not be renewed.
    pub(super) trouble: Option<String>,
    /// Why the last backup failed that the server takes by itself.
    pub(super) backup_trouble: Option<String>,
    /// What one password costs on this machine.
    pub(super) hash: Option<Duration>,
    pub(super) now: Timestamp,
    /// Whether a server runs, and this is it.
    pub(super) serving: bool,
}

/// A project as it was found.
pub(super) struct Found {
    pub(super) slug: String,
    /// `Err`: why its file cannot be used.
    pub(super) state: Result<State, String>,
}

/// A project that can be used.
pub(super) struct State {
    pub(super) settings: Arc<ProjectSettings>,
    /// Whether nobody has an account.
    pub(super) empty: bool,
    /// Mails and calls that were given up.
    pub(super) dead: u64,
    /// Hosts of webhooks whose calls have failed several times.
    pub(super) failing: Vec<String>,
}

type Check = fn(&Facts) -> Vec<Finding>;

/// Every check, in the order of what harms most.
const CHECKS: &[Check] = &[
    contents::unreadable,
    machine::data_dir_private,
    machine::disk_full,
    machine::certificate,
    machine::port,
    machine::descriptors,
    machine::clock,
    machine::hash_time,
    settings::proxies,
    settings::public_url,
    settings::hash_cost,
    settings::mail,
    settings::protection,
    settings::verification,
    contents::first_admin,
    machine::backups,
    contents::dead_letters,
    contents::webhooks,
    machine::kept_copies,
    machine::master_key,
];

/// Projects that are opened for their state; with more, the rest is left to those who use them.
const LOOKED_AT: usize = 200;

/// Looks at everything. `tls` is what listeners speak now, where a server runs.
pub(super) async fn examine(projects: &Projects, tls: Option<&Tls>, serving: bool) -> Vec<Finding> {
    let facts = gather(projects, tls, serving).await;
    // Files are looked at, and the disk may be slow.
    let findings = tokio::task::spawn_blocking(move || judge(&facts));
    findings.await.unwrap_or_else(|_| {
        let what = "looking ended in a panic".to_owned();
        vec![Finding::new(Severity::Error, what, "this is a defect of Keystead", "see the log, and report it")]
    })
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(facts)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

async fn gather(projects: &Projects, tls: Option<&Tls>, serving: bool) -> Facts {
    let settings = projects.settings();
    let shared = projects.shared();
    let mut found = Vec::new();
    for (id, entry) in projects.list().into_iter().take(LOOKED_AT) {
        let state = contents::look(projects, id).await;
        found.push(Found { slug: entry.slug, state });
    }
    // Measured by the pool itself; where it is busy, by those who keep it busy.
    let _ = shared.pool.hash(ClientGroup(0), Secret::new("a password to measure by".into())).await;
    let data_dir = (!settings.ephemeral).then(|| settings.data_dir.clone());
    let identity = tls.map(Tls::identity).or_else(|| kept_identity(&settings, &shared.env));
    let trouble = tls.and_then(Tls::trouble);
    let hash = shared.pool.measured_hash_time();
    let backup_trouble = shared.metrics.backups.trouble().map(|why| why.to_string());
    let now = shared.env.now();
    Facts { projects: found, data_dir, identity, trouble, backup_trouble, hash, now, serving, settings }
}

/// What a server would serve, where that can be known without making anything.
fn kept_identity(settings: &Settings, env: &Env) -> Option<Identity> {
    let (cert, key) = match &settings.tls.mode {
        TlsMode::Files { cert, key } => (cert.clone(), key.clone()),
        TlsMode::SelfSigned => {
            let tls = data_dir::tls(&settings.data_dir);
            (tls.join("server.pem"), tls.join("server.key"))
        }
        TlsMode::Acme => {
            return acme::kept(&data_dir::acme(&settings.data_dir), &settings.tls.acme, env.now()).ok().flatten();
        }
        TlsMode::Off => return None,
    };
    net::load_certificate(&cert, &key, env.now()).ok()
}

/// `a`, `a and b`, `a, b and 3 more`.
fn listed(names: &[&str]) -> String {
    const MOST: usize = 5;
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [firsts @ .., last] if names.len() <= MOST => format!("{} and {last}", firsts.join(", ")),
        _ => format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST),
    }
}
