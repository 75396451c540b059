//! What protects the listeners: the certificate by `tls.mode`, and who keeps it fresh.

use std::path::PathBuf;
use std::sync::Arc;

use super::StartError;
use super::acme::{self, Acme, Answers};
use super::data_dir::DataDir;
use crate::config::{ListenAddress, Settings, TlsMode};
use crate::env::Env;
use crate::net::{self, LocalCa, Tls};

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
                let identity = net::load_certificate(cert, key, env.now())?;
                Self { tls: Some(Tls::new(identity, env)?), ..Self::default() }
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
                Self { tls: Some(tls), ca: None, acme: Some(Arc::new(acme)), answers }
            }
            // Refused by the configuration: an account and its certificates need a place that stays.
            (TlsMode::SelfSigned, _) | (TlsMode::Acme, None) => {
                let ca = local()?;
                Self { tls: Some(ca.tls().clone()), ca: Some(Arc::new(ca)), ..Self::default() }
            }
        })
    }

    /// The operator has changed something: what failed before may work now.
    pub(super) fn forget_failures(&self) {
        if let Some(acme) = &self.acme {
            acme.forget_failures();
        }
    }

    /// Renews what is due; called from time to time, and after a reload.
    pub(super) async fn renew_if_due(&self, settings: &Settings, env: &Env) {
        match self.ca.as_ref().map(|ca| ca.renew_if_due(env)) {
            Some(Ok(true)) => tracing::info!("the local certificate was renewed"),
            Some(Err(error)) => tracing::error!(%error, "the local certificate could not be renewed"),
            Some(Ok(false)) | None => {}
        }
        let Some(acme) = &self.acme else { return };
        match acme.renew_if_due(&settings.tls.acme, env).await {
            Ok(true) => {
                let until = self.tls.as_ref().map(|tls| tls.identity().expires_at().rfc3339());
                tracing::info!(domains = ?settings.tls.acme.domains, until, "a new certificate is served");
            }
            Ok(false) => {}
            Err(error) => {
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
