//! Settings, certificates and templates taken anew while the server runs: all of them checked first, then all in force.
//!
//! Nothing that lives is touched: connections, open projects with what they remember, counters. What a running server
//! cannot change stays as it was and is named as needing a restart; everything else changes.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::certificates::Certificates;
use super::serve;
use super::supervisor::Supervisor;
use crate::admin::{Finding, NotReloaded, Reloaded, Severity};
use crate::auth::Projects;
use crate::auth::projects::NotAdopted;
use crate::config::{Problem, Problems, Settings};
use crate::env::Env;
use crate::net::LiveLimits;

/// Where a running server takes its settings from anew.
pub struct Source {
    /// Reads them, as at the start. Blocks.
    pub read: Box<dyn Fn() -> Result<Settings, Problems> + Send + Sync>,
    /// Told of settings that are in force now: what the process outside the server does by them.
    pub adopted: Box<dyn Fn(&Settings) + Send + Sync>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// Puts a value of the old settings into the new ones.
type Keep = fn(&mut Settings, &Settings);

/// What a running server keeps as it was at its start, and how.
const FIXED: &[(&str, Keep)] = &[
    ("data_dir", |new, old| new.data_dir.clone_from(&old.data_dir)),
    ("master_key_file", |new, old| new.master_key.clone_from(&old.master_key)),
    ("listen.addresses", |new, old| new.listen.addresses.clone_from(&old.listen.addresses)),
    ("listen.redirect", |new, old| new.listen.redirect.clone_from(&old.listen.redirect)),
    ("metrics.listen", |new, old| new.metrics.listen.clone_from(&old.metrics.listen)),
    ("tls.mode", |new, old| new.tls.mode.clone_from(&old.tls.mode)),
    ("hashing.threads", |new, old| new.hashing.threads = old.hashing.threads),
    ("hashing.queue", |new, old| new.hashing.queue = old.hashing.queue),
    ("store.cache_mib", |new, old| new.store.cache_mib = old.store.cache_mib),
    ("log.format", |new, old| new.log.format = old.log.format),
];

/// Takes settings anew.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) projects: Arc<Projects>,
    pub(super) certificates: Certificates,
    pub(super) limits: LiveLimits,
    /// `None`: settings are only given.
    pub(super) source: Option<Source>,
    pub(super) supervisor: Supervisor,
    /// What the supervisor is told when all is well.
    pub(super) status: String,
    /// The time that certificates go by.
    pub(super) wall: Env,
    /// The first listener's URL, for links where nothing else is said.
    pub(super) listener_url: String,
    /// Addresses of sockets that were handed over, which the local certificate names too.
    pub(super) inherited_names: Vec<String>,
    /// One at a time.
    pub(super) turn: Mutex<()>,
}

impl Reloader {
    /// Reads the settings anew and puts them in force. The log tells what came of it.
    ///
    /// # Errors
    /// Everything that is wrong; nothing has changed then.
    pub(super) async fn reload(self: &Arc<Self>) -> Result<Reloaded, NotReloaded> {
        self.supervisor.reloading();
        let outcome = match self.read().await {
            Ok(settings) => self.put_in_force(settings).await,
            Err(refused) => Err(refused),
        };
        tell(&outcome);
        self.supervisor.ready(&self.status);
        outcome
    }

    async fn read(self: &Arc<Self>) -> Result<Settings, NotReloaded> {
        let reader = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || match &reader.source {
            Some(source) => (source.read)(),
            None => Ok(Settings::clone(&reader.projects.settings())),
        });
        let read = read.await.map_err(|_| NotReloaded::Failed("reading the configuration ended in a panic".into()))?;
        read.map_err(NotReloaded::Settings)
    }

    /// What a reload or a restart would find in the configuration as it stands in its files now.
    pub(super) async fn pending(self: &Arc<Self>) -> Vec<Finding> {
        let mut written = match self.read().await {
            Ok(written) => written,
            Err(refused) => {
                let (why, remedy) = ("the next start would fail", "`keystead config check`");
                return vec![Finding::new(Severity::Error, refused.to_string(), why, remedy)];
            }
        };
        let before = self.projects.settings();
        let mut findings = Vec::new();
        let mut say = |keys: Vec<String>, why: &str, remedy: &str| {
            if !keys.is_empty() {
                let what = format!("the configuration has other values than are in force: {}", keys.join(", "));
                findings.push(Finding::new(Severity::Hint, what, why, remedy));
            }
        };
        say(keep_fixed(&mut written, &before), "they change only with a restart", "restart the server");
        say(before.differences(&written), "they change with a reload", "`keystead reload`");
        findings
    }

    /// Puts `settings` in force, but for what needs a restart.
    ///
    /// # Errors
    /// Everything that is wrong; nothing has changed then.
    pub(super) async fn put_in_force(self: &Arc<Self>, mut settings: Settings) -> Result<Reloaded, NotReloaded> {
        let _turn = self.turn.lock().await;
        let before = self.projects.settings();
        let needs_restart = keep_fixed(&mut settings, &before);
        let changed = before.differences(&settings);

        let mut problems = self.projects.problems_with(&settings);
        let (certificates, mut checked, env) = (self.certificates.clone(), settings.clone(), self.wall.clone());
        checked.tls.names.extend(self.inherited_names.iter().cloned());
        let prepared = tokio::task::spawn_blocking(move || certificates.prepare(&checked, &env)).await;
        let prepared = match prepared {
            Ok(Ok(prepared)) if problems.is_empty() => prepared,
            Ok(Ok(_)) => return Err(NotReloaded::Settings(Problems(problems))),
            Ok(Err((key, reason))) => {
                problems.push(settings.problem(key, reason));
                return Err(NotReloaded::Settings(Problems(problems)));
            }
            Err(_) => return Err(NotReloaded::Failed("reading the certificate ended in a panic".into())),
        };

        let url = settings.listen.public_url.clone().unwrap_or_else(|| self.listener_url.clone());
        let adopted = self.projects.adopt(settings, &url, self.projects.shared().env.now()).await.map_err(
            |refused| match refused {
                NotAdopted::Settings(problems) => NotReloaded::Settings(problems),
                // Both were well a moment ago, when all was checked.
                NotAdopted::Outbound(_) | NotAdopted::Project(_) => NotReloaded::Failed(refused.to_string()),
            },
        )?;
        // From here on nothing is refused.
        let settings = self.projects.settings();
        let new_certificate = self.certificates.adopt(prepared);
        self.limits.replace(serve::limits(&settings));
        if let Err(error) = self.projects.shared().pool.set_cost(settings.hashing.cost()) {
            tracing::error!(%error, "the configuration lets a cost through that the hashing pool refuses");
        }
        if let Some(source) = &self.source {
            (source.adopted)(&settings);
        }
        Ok(Reloaded { changed, needs_restart, made: adopted.made, undeclared: adopted.undeclared, new_certificate })
    }
}

/// Gives `new` the values of `old` that cannot change now; the keys where it had others.
fn keep_fixed(new: &mut Settings, old: &Settings) -> Vec<String> {
    new.ephemeral = old.ephemeral;
    let same_mode = std::mem::discriminant(&new.tls.mode) == std::mem::discriminant(&old.tls.mode);
    let differing = old.differences(new);
    let mut kept = Vec::new();
    for (key, keep) in FIXED {
        // Other files for the same mode are taken up.
        if differing.iter().any(|path| path == key) && !(*key == "tls.mode" && same_mode) {
            keep(new, old);
            kept.push((*key).to_owned());
        }
    }
    kept
}

fn tell(outcome: &Result<Reloaded, NotReloaded>) {
    match outcome {
        Ok(reloaded) => {
            let Reloaded { changed, needs_restart, made, undeclared, new_certificate } = reloaded;
            tracing::info!(?changed, new_certificate, "the configuration was taken anew");
            if !needs_restart.is_empty() {
                tracing::warn!(keys = ?needs_restart, "these settings change only with a restart");
            }
            for project in made {
                tracing::info!(%project, "a project was made, as the configuration declares it");
            }
            for project in undeclared {
                tracing::warn!(%project, "a project is declared no more; it stays, with what it was created with");
            }
        }
        Err(NotReloaded::Settings(Problems(problems))) => {
            for Problem { source, key, reason } in problems {
                tracing::error!(%source, %key, %reason, "the configuration was not taken anew: nothing has changed");
            }
        }
        Err(refused) => tracing::error!(error = %refused, "the configuration was not taken anew: nothing has changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TlsMode;

    #[test]
    fn every_fixed_key_exists_and_is_kept() {
        let mut other = Settings::default();
        other.data_dir = "elsewhere".into();
        other.master_key = Some(crate::config::MasterKeySource::File("k".into()));
        other.listen.addresses.clear();
        other.listen.redirect = "0.0.0.0:80".parse().ok();
        other.metrics.listen = "127.0.0.1:9090".parse().ok();
        other.tls.mode = TlsMode::Off;
        other.hashing.threads = 3;
        other.hashing.queue = 3;
        other.store.cache_mib = 3;
        other.log.format = crate::config::LogFormat::Json;
        other.hashing.iterations = 3;
        let kept = keep_fixed(&mut other, &Settings::default());
        assert_eq!(kept, FIXED.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>());
        assert_eq!(Settings::default().differences(&other), ["hashing.iterations"]);
    }

    #[test]
    fn other_certificate_files_need_no_restart() {
        let with = |cert: &str| {
            let mut settings = Settings::default();
            settings.tls.mode = TlsMode::Files { cert: cert.into(), key: "k".into() };
            settings
        };
        let mut new = with("new");
        assert_eq!(keep_fixed(&mut new, &with("old")), Vec::<String>::new());
        assert_eq!(new.tls.mode, with("new").tls.mode);
    }
}
