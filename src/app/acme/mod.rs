//! A certificate from an ACME server (RFC 8555): ordered for the configured names alone, proved, kept, renewed.
//!
//! Kept in `data_dir/acme/ID/`, one folder for each directory URL (so that a certificate of a staging server is never
//! taken for one of the real server): `account.json`, and `certificate.pem` with the key and the chain in one file,
//! which is replaced whole. Until the first certificate is there, the local CA's is served.
//!
//! Control of a name is proved by HTTP-01 where `listen.redirect` is bound (port 80 then reaches us by the operator's
//! word), else by TLS-ALPN-01 (RFC 8737) on the TLS listeners themselves. Renewal information (RFC 9773) is not asked
//! for: a certificate is due when less than a third of its life is left, or when the configured names are others.
//!
//! Whatever fails leaves what is served as it is, is told in the log and by health, and is tried again after a pause
//! that doubles from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`]: public servers count failed proofs and lock out who hurries.

mod client;
mod http01;
mod order;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};

use crate::config::Acme as AcmeSettings;
use crate::env::{Env, Timestamp};
use crate::net::{CertificateFileError, Identity, Tls, create_private_dir, load_certificate, write_private_file};
pub(super) use http01::Answers;
pub(super) use order::OrderError;

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The pause after many.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// How long one attempt may take, from the directory to the certificate.
const ATTEMPT: Duration = Duration::from_secs(300);

/// The one who sees to the certificate.
#[derive(Debug)]
pub(super) struct Acme {
    /// `data_dir/acme`.
    dir: PathBuf,
    tls: Tls,
    /// Where HTTP-01 challenges are answered, when a listener for that is bound.
    http01: Option<Answers>,
    standing: ArcSwap<Standing>,
}

/// How it stands with the certificate, for health and the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Attempts that failed since the last success.
    pub(super) failures: u32,
    /// What the last failure was, in words without secrets.
    pub(super) failure: Option<String>,
    /// Before when no attempt is made.
    pub(super) pause_until: Timestamp,
}

/// The certificate that was kept for these settings, also when it has expired or is due: better than none.
///
/// # Errors
/// When there is a file that holds none.
pub(super) fn kept(
    dir: &Path,
    settings: &AcmeSettings,
    now: Timestamp,
) -> Result<Option<Identity>, CertificateFileError> {
    let file = certificate_file(dir, settings);
    if !file.exists() {
        return Ok(None);
    }
    load_certificate(&file, &file, now).map(Some)
}

impl Acme {
    /// Sees to the certificate that `tls` serves; what is kept lies in `dir`.
    pub(super) fn new(dir: PathBuf, tls: Tls, http01: Option<Answers>) -> Self {
        Self { dir, tls, http01, standing: ArcSwap::default() }
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// Lets the next look make an attempt, whatever failed before: the operator has changed something.
    pub(super) fn forget_failures(&self) {
        self.standing.store(Arc::default());
    }

    /// Orders a certificate when one is due and no pause holds; says whether a new one is served.
    ///
    /// # Errors
    /// Why the attempt failed; it is in [`Acme::standing`] too.
    pub(super) async fn renew_if_due(&self, settings: &AcmeSettings, env: &Env) -> Result<bool, OrderError> {
        let now = env.now();
        if !self.is_due(settings, now) || now < self.standing.load().pause_until {
            return Ok(false);
        }
        let attempt = tokio::time::timeout(ATTEMPT, self.attempt(settings, env, now));
        let outcome = attempt.await.unwrap_or(Err(OrderError::TookTooLong));
        match &outcome {
            Ok(()) => self.standing.store(Arc::default()),
            Err(error) => {
                let failures = self.standing.load().failures.saturating_add(1);
                let pause = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
                let pause_until = env.now().plus(pause);
                self.standing.store(Arc::new(Standing { failures, failure: Some(error.to_string()), pause_until }));
            }
        }
        outcome.map(|()| true)
    }

    /// Whether what is served is not what should be: from elsewhere, for other names, or near its end.
    fn is_due(&self, settings: &AcmeSettings, now: Timestamp) -> bool {
        let served = self.tls.identity();
        let is_kept = kept(&self.dir, settings, now).ok().flatten().is_some_and(|kept| kept.is_same(&served));
        !is_kept || served.is_due(now) || served.names() != settings.domains.iter().cloned().collect()
    }

    async fn attempt(&self, settings: &AcmeSettings, env: &Env, now: Timestamp) -> Result<(), OrderError> {
        // Kept already for these settings (a reload brought them back): nothing to order.
        if let Ok(Some(kept)) = kept(&self.dir, settings, now)
            && !kept.is_due(now)
            && kept.names() == settings.domains.iter().cloned().collect()
        {
            self.tls.replace(kept);
            return Ok(());
        }
        let home = home(&self.dir, settings);
        create_private_dir(&home).map_err(|error| OrderError::File { path: home.clone(), error })?;
        let pem = order::certificate(env, settings, &home, &self.tls, self.http01.as_ref()).await?;
        let file = certificate_file(&self.dir, settings);
        write_private_file(&file, pem.as_bytes()).map_err(|error| OrderError::File { path: file.clone(), error })?;
        let identity = load_certificate(&file, &file, now)?;
        self.tls.replace(identity);
        Ok(())
    }
}

fn certificate_file(dir: &Path, settings: &AcmeSettings) -> PathBuf {
    home(dir, settings).join("certificate.pem")
}

/// What is kept of one ACME server.
fn home(dir: &Path, settings: &AcmeSettings) -> PathBuf {
    let id = digest(&SHA256, settings.directory_url.as_bytes());
    let id: String = id.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    dir.join(id)
}
