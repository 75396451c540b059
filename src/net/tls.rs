//! The TLS configuration, whose certificate can be swapped while connections live.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::{GeneralName, ParsedExtension};

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
    /// The certificate that answers a challenge could not be made.
    #[error("the answer to a challenge could not be made: {0}")]
    Challenge(#[from] rcgen::Error),
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

    /// Whether less than a third of its life is left at `now`, or it has not begun (a clock was wrong when it was made).
    pub fn is_due(&self, now: Timestamp) -> bool {
        now < self.not_before || self.expires_at.since(now) < self.expires_at.since(self.not_before) / 3
    }

    /// The host names and addresses it is for.
    pub fn names(&self) -> BTreeSet<String> {
        let Ok((_, leaf)) = x509_parser::parse_x509_certificate(self.leaf()) else { return BTreeSet::new() };
        let mut names = BTreeSet::new();
        for extension in leaf.extensions() {
            if let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() {
                names.extend(san.general_names.iter().filter_map(name_of));
            }
        }
        names
    }

    /// Whether it is the same certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.leaf() == other.leaf()
    }

    /// The server's own certificate.
    pub(super) fn leaf(&self) -> &CertificateDer<'static> {
        self.certified.cert.first().expect("checked when it was made: a chain is never empty")
    }
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
        },
        _ => None,
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
        let current = Arc::new(Current {
            identity: ArcSwap::from_pointee(identity),
            challenges: ArcSwap::default(),
            trouble: ArcSwapOption::empty(),
        });
        let provider: Arc<CryptoProvider> = Arc::new(default_provider());
        let mut config = ServerConfig::builder_with_details(provider, Arc::new(EnvTime(env.clone())))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        // Only an ACME server offers the last, and offers no other (RFC 8737, section 3).
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec(), ACME_TLS.to_vec()];
        // Sessions live in tickets only, under keys the library rotates: nothing is kept per client.
        config.ticketer = Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0; // early data can be replayed
        Ok(Self { config: Arc::new(config), current })
    }

    /// New handshakes get `identity`; connections that exist go on.
    pub fn replace(&self, identity: Identity) {
        self.current.identity.store(Arc::new(identity));
    }

    /// What new handshakes get now.
    pub fn identity(&self) -> Identity {
        self.current.identity.load().as_ref().clone()
    }

    /// Notes why the certificate could not be renewed, or with `None` that nothing is wrong, for those who watch.
    pub fn note_trouble(&self, why: Option<String>) {
        self.current.trouble.store(why.map(Arc::new));
    }

    /// Why the certificate could not be renewed when that was last tried.
    pub fn trouble(&self) -> Option<String> {
        self.current.trouble.load().as_ref().map(|why| why.to_string())
    }

    /// Answers TLS-ALPN-01 challenges for `name` (RFC 8737) as long as what it returns is held. `digest` is the SHA-256
    /// of the key authorization.
    ///
    /// # Errors
    /// When the name cannot stand in a certificate.
    pub fn answer_challenge(&self, name: &str, digest: &[u8]) -> Result<Answering, TlsError> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        let chain = vec![params.self_signed(&key)?.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| TlsError::MalformedCertificate)?;
        // Not by `from_der`, which reads the certificate: its critical extension is nobody's but an ACME server's.
        let certified = Arc::new(CertifiedKey::new(chain, any_supported_type(&key)?));
        let name = name.to_ascii_lowercase();
        self.current.change_challenges(|all| _ = all.insert(name.clone(), Arc::clone(&certified)));
        Ok(Answering { current: Arc::clone(&self.current), name })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("identity", &self.current.identity.load()).finish_non_exhaustive()
    }
}

/// The protocol of a handshake that is nothing but an ACME challenge.
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// A challenge being answered, until dropped.
pub struct Answering {
    current: Arc<Current>,
    name: String,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.current.change_challenges(|all| _ = all.remove(&self.name));
    }
}

#[derive(Debug)]
struct Current {
    identity: ArcSwap<Identity>,
    /// What answers challenges, by name in lower case; nearly always empty.
    challenges: ArcSwap<HashMap<String, Arc<CertifiedKey>>>,
    trouble: ArcSwapOption<String>,
}

impl Current {
    fn change_challenges(&self, change: impl Fn(&mut HashMap<String, Arc<CertifiedKey>>)) {
        self.challenges.rcu(|all| {
            let mut all = HashMap::clone(all);
            change(&mut all);
            all
        });
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_challenge = hello.alpn().is_some_and(|mut all| all.next() == Some(ACME_TLS) && all.next().is_none());
        if is_challenge {
            let name = hello.server_name()?.to_ascii_lowercase();
            return self.challenges.load().get(&name).cloned();
        }
        Some(self.identity.load().certified.clone())
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
