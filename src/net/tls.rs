//! The TLS configuration, whose certificate can be swapped while connections live.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::env::{Env, Timestamp};

/// Why a certificate and key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The key is not the one the certificate speaks of.
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    /// The key is of a kind that cannot sign handshakes.
    #[error("the key cannot be used: {0}")]
    UnusableKey(rustls::Error),
    /// The first certificate is not X.509.
    #[error("the certificate cannot be read")]
    MalformedCertificate,
    /// The library refused the configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// A certificate chain with its key, ready to shake hands.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    not_before: Timestamp,
    expires_at: Timestamp,
}

impl Identity {
    /// `chain` begins with the server's own certificate.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let first = chain.first().ok_or(TlsError::MalformedCertificate)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(first).map_err(|_| TlsError::MalformedCertificate)?;
        let moment = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
        };
        let (not_before, expires_at) = (moment(parsed.validity().not_before), moment(parsed.validity().not_after));
        let certified = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch,
            rustls::Error::InvalidCertificate(_) => TlsError::MalformedCertificate,
            other => TlsError::UnusableKey(other),
        })?;
        Ok(Self { certified: Arc::new(certified), not_before, expires_at })
    }

    /// From when on clients accept the server's certificate.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Until when clients accept the server's certificate.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The server's own certificate.
    pub(super) fn leaf(&self) -> &CertificateDer<'static> {
        self.certified.cert.first().expect("checked when it was made: a chain is never empty")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// TLS 1.3 and 1.2 with HTTP/2 and HTTP/1.1, for any number of listeners. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
}

impl Tls {
    /// Serves `identity` until it is replaced. The clock of `env` decides how old a session ticket is.
    pub fn new(identity: Identity, env: &Env) -> Result<Self, TlsError> {
        let current = Arc::new(Current(ArcSwap::from_pointee(identity)));
        let provider: Arc<CryptoProvider> = Arc::new(default_provider());
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(EnvTime(env.clone())))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions live in tickets only, under keys the library rotates: nothing is kept per client.
        config.ticketer = Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0; // early data can be replayed
        Ok(Self { config: Arc::new(config), current })
    }

    /// New handshakes get `identity`; connections that exist go on.
    pub fn replace(&self, identity: Identity) {
        self.current.0.store(Arc::new(identity));
    }

    /// What new handshakes get now.
    pub fn identity(&self) -> Identity {
        self.current.0.load().as_ref().clone()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("identity", &self.current.0.load()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Current(ArcSwap<Identity>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified.clone())
    }
}

/// The clock that validity is judged by.
#[derive(Debug)]
pub(super) struct EnvTime(pub(super) Env);

impl TimeProvider for EnvTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now().millis())))
    }
}
