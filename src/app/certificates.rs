//! What protects the listeners: the certificate by `tls.mode`, and who keeps it fresh.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StartError;
use super::acme::{self, Acme, Answers};
use super::data_dir::DataDir;
use crate::config::{ListenAddress, Settings, TlsMode};
use crate::env::Env;
use crate::net::{self, Identity, LocalCa, Tls};

/// The certificate that is served, and who sees to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificates {
    /// What listeners speak; `None`: plain HTTP.
    pub(super) tls: Option<Tls>,
    /// The local CA, in its mode.
    pub(super) ca: Option<Arc<LocalCa>>,
    /// The ACME server's client, in its mode.
    pub(super) acme: Option<Arc<Acme>>,
    /// What the plain listener answers to HTTP-01 challenges.
    pub(super) answers: Answers,
    /// How the operator's files looked when they were last read, in their mode.
    seen: Arc<Mutex<Option<Look>>>,
}

/// What a file with a certificate or a key looks like from outside: another look, another content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look([Option<(u64, u64, i64, i64, i64, i64)>; 2]);

impl Look {
    /// Of both files, links followed: a link to another file is another look.
    fn at(cert: &Path, key: &Path) -> Self {
        let look = |path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()))
        };
        Self([look(cert), look(key)])
    }
}

/// A certificate that may be served instead of the present one.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    identity: Option<(Identity, Look)>,
    /// What the local certificate must name.
    names: Vec<String>,
}

/// Where certificates lie in a data directory.
#[derive(Debug)]
pub(super) struct Places {
    tls: PathBuf,
    acme: PathBuf,
}

impl Places {
    pub(super) fn of(dir: &DataDir) -> Self {
        Self { tls: dir.tls(), acme: dir.acme() }
    }
}

impl Certificates {
    /// Loads or makes what `settings` ask for. `places` are `None` in memory. Blocks.
    ///
    /// # Errors
    /// When there is nothing that could be served.
    pub(super) fn open(settings: &Settings, places: Option<&Places>, env: &Env) -> Result<Self, StartError> {
        let local = || -> Result<LocalCa, StartError> {
            let names = names(settings);
            Ok(match places {
                Some(places) => LocalCa::open(&places.tls, &names, env)?,
                None => LocalCa::in_memory(&names, env)?,
            })
        };
        Ok(match (&settings.tls.mode, places) {
            (TlsMode::Off, _) => Self::default(),
            (TlsMode::Files { cert, key }, _) => {
                let look = Look::at(cert, key);
                let identity = net::load_certificate(cert, key, env.now())?;
                let seen = Arc::new(Mutex::new(Some(look)));
                Self { tls: Some(Tls::new(identity, env)?), seen, ..Self::default() }
            }
            (TlsMode::Acme, Some(places)) => {
                // Something must be served before the first certificate is there: its order needs the listener.
                let identity = match acme::kept(&places.acme, &settings.tls.acme, env.now()) {
                    Ok(Some(kept)) => kept,
                    Ok(None) => local()?.tls().identity(),
                    Err(error) => {
                        tracing::warn!(%error, "the kept certificate cannot be served; a new one will be ordered");
                        local()?.tls().identity()
                    }
                };
                let tls = Tls::new(identity, env)?;
                let answers = Answers::default();
                let http01 = settings.listen.redirect.is_some().then(|| answers.clone());
                let acme = Acme::new(places.acme.clone(), tls.clone(), http01);
                Self { tls: Some(tls), acme: Some(Arc::new(acme)), answers, ..Self::default() }
            }
            // Refused by the configuration: an account and its certificates need a place that stays.
            (TlsMode::SelfSigned, _) | (TlsMode::Acme, None) => {
                let ca = local()?;
                Self { tls: Some(ca.tls().clone()), ca: Some(Arc::new(ca)), ..Self::default() }
            }
        })
    }

    /// Reads the certificate that `settings` name, whose `tls.mode` is the present one. Blocks.
    ///
    /// # Errors
    /// The key whose value is wrong and the reason. Nothing has changed then.
    pub(super) fn prepare(&self, settings: &Settings, env: &Env) -> Result<Prepared, (&'static str, String)> {
        let names = names(settings);
        let identity = match &settings.tls.mode {
            TlsMode::Files { cert, key } => {
                let look = Look::at(cert, key);
                let identity = net::load_certificate(cert, key, env.now());
                Some((identity.map_err(|error| ("tls.cert", error.to_string()))?, look))
            }
            TlsMode::SelfSigned | TlsMode::Acme | TlsMode::Off => None,
        };
        Ok(Prepared { identity, names })
    }

    /// Serves what was prepared, to handshakes from now on; says whether that is another certificate.
    pub(super) fn adopt(&self, Prepared { identity, names }: Prepared) -> bool {
        self.forget_failures();
        if let Some(Err(error)) = self.ca.as_ref().map(|ca| ca.set_names(&names)) {
            tracing::error!(%error, "the local certificate keeps its names");
        }
        match (identity, &self.tls) {
            (Some((identity, look)), Some(tls)) => {
                *self.seen() = Some(look);
                let is_new = !identity.is_same(&tls.identity());
                tls.replace(identity);
                is_new
            }
            _ => false,
        }
    }

    /// Serves the operator's files when they have changed since they were last read. One half of a new pair, or half a
    /// file, changes nothing: they are read again when they change again. Blocks.
    pub(super) fn look(&self, settings: &Settings, env: &Env) {
        let (TlsMode::Files { cert, key }, Some(tls)) = (&settings.tls.mode, &self.tls) else { return };
        let look = Look::at(cert, key);
        if self.seen().replace(look.clone()) == Some(look) {
            return;
        }
        match net::load_certificate(cert, key, env.now()) {
            Ok(identity) if identity.is_same(&tls.identity()) => {}
            Ok(identity) => {
                tracing::info!(until = %identity.expires_at().rfc3339(), "another certificate is served");
                tls.replace(identity);
            }
            Err(error) => tracing::warn!(
                %error,
                "the certificate's files have changed and cannot be served; what is served stays until they are whole"
            ),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Option<Look>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operator has changed something: what failed before may work now.
    pub(super) fn forget_failures(&self) {
        if let Some(acme) = &self.acme {
            acme.forget_failures();
        }
    }

    fn note_trouble(&self, why: Option<String>) {
        if let Some(tls) = &self.tls {
            tls.note_trouble(why);
        }
    }

    /// Renews what is due; called from time to time, and after a reload.
    pub(super) async fn renew_if_due(&self, settings: &Settings, env: &Env) {
        match self.ca.as_ref().map(|ca| ca.renew_if_due(env)) {
            Some(Ok(renewed)) => {
                self.note_trouble(None);
                if renewed {
                    tracing::info!("the local certificate was renewed");
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the local certificate could not be renewed");
                self.note_trouble(Some(error.to_string()));
            }
            None => {}
        }
        let Some(acme) = &self.acme else { return };
        match acme.renew_if_due(&settings.tls.acme, env).await {
            Ok(true) => {
                self.note_trouble(None);
                let until = self.tls.as_ref().map(|tls| tls.identity().expires_at().rfc3339());
                tracing::info!(domains = ?settings.tls.acme.domains, until, "a new certificate is served");
            }
            Ok(false) => {}
            Err(error) => {
                self.note_trouble(Some(error.to_string()));
                let again = acme.standing().pause_until.rfc3339();
                tracing::error!(%error, again, "no certificate could be had; what is served stays as it is");
            }
        }
    }
}

/// The host names that are ours: what the local certificate must name, and where plain requests may be sent.
pub(super) fn names(settings: &Settings) -> Vec<String> {
    let mut names = settings.tls.names.clone();
    for address in &settings.listen.addresses {
        if let ListenAddress::Tcp { host, .. } = address {
            names.push(host.clone());
        }
    }
    let projects = settings.projects.values();
    let urls = settings.listen.public_url.iter().chain(projects.clone().filter_map(|p| p.public_url.as_ref()));
    names.extend(urls.filter_map(|url| host_of(url)));
    names.extend(projects.flat_map(|project| project.hosts.clone()));
    names.extend(settings.tls.acme.domains.clone());
    names.sort();
    names.dedup();
    names
}

fn host_of(url: &str) -> Option<String> {
    let uri: axum::http::Uri = url.parse().ok()?;
    Some(uri.host()?.trim_matches(['[', ']']).to_owned())
}
