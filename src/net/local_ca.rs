//! A certificate authority of our own, for machines without a public name.
//!
//! It lives in `data_dir/tls`: `ca.pem` and `ca.key` (ten years), `server.pem` and `server.key` (90 days), in a folder
//! of mode 0700, each file 0600. All is kept between starts, so that a client which was given `ca.pem` goes on
//! trusting us. The server's certificate is made anew when less than a third of its life is left, when the wanted names
//! are others, or when anything about it is not right; the authority is renewed under the same key and name, so that
//! clients holding the old `ca.pem` accept what it signs. Keys are made by the TLS library's own random source.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::ParsedExtension;

use super::certificate_files::load_certificate;
use super::private_file;
use super::tls::{Identity, Tls, TlsError};
use crate::env::{Env, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);
const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 86_400);
/// Well below the 397 days some clients accept at most.
const SERVER_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Clients' clocks may be behind ours.
const SKEW: Duration = DAY;
/// What every certificate names: this machine, seen from itself.
const ALWAYS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// 9999-12-31T00:00:00Z, the last day X.509 can spell (RFC 5280, 4.1.2.5).
const LAST_DAY: Timestamp = Timestamp::from_secs(253_402_214_400);
/// Validity in memory, where nothing is renewed: a test's clock may stand anywhere, its client's stands at today.
const IN_MEMORY: (Timestamp, Timestamp) = (Timestamp::from_secs(946_684_800), Timestamp::from_secs(4_102_444_800));

/// Why there is no local authority.
#[derive(Debug, thiserror::Error)]
pub enum LocalCaError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The authority's files are damaged. They are not replaced unasked: clients may trust them.
    #[error("{path}: {reason}; remove ca.pem and ca.key to have a new authority made")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a host name or address a certificate can carry.
    #[error("a certificate cannot name {0:?}")]
    BadName(String),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// What was made could not be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The local authority and the server certificate it signed, being served.
#[derive(Debug)]
pub struct LocalCa {
    dir: Option<PathBuf>,
    names: ArcSwap<BTreeSet<String>>,
    ca_pem: ArcSwap<String>,
    tls: Tls,
}

impl LocalCa {
    /// Opens or makes the authority in `dir`, with a certificate for `names` (host names and addresses; `[::1]` too)
    /// and for this machine. Unspecified addresses (`0.0.0.0`) are passed over.
    pub fn open<N: AsRef<str>>(dir: &Path, names: &[N], env: &Env) -> Result<Self, LocalCaError> {
        let names = wanted_names(names)?;
        let (ca_pem, identity) = keep_or_make(dir, &names, env)?;
        let tls = Tls::new(identity, env)?;
        Ok(Self {
            dir: Some(dir.to_owned()),
            names: ArcSwap::from_pointee(names),
            ca_pem: ArcSwap::from_pointee(ca_pem),
            tls,
        })
    }

    /// An authority that is never written down. Its certificates are valid from 2000 to 2100.
    pub fn in_memory<N: AsRef<str>>(names: &[N], env: &Env) -> Result<Self, LocalCaError> {
        let names = wanted_names(names)?;
        let authority = Authority::make(env, IN_MEMORY)?;
        let (chain, key) = authority.sign(&names, env, IN_MEMORY)?;
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("just written as PEM")];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("just written as PEM");
        let tls = Tls::new(Identity::new(chain, key)?, env)?;
        Ok(Self { dir: None, names: ArcSwap::from_pointee(names), ca_pem: ArcSwap::from_pointee(authority.pem), tls })
    }

    /// The configuration to serve with; it follows every renewal.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The authority's certificate, for clients to trust.
    pub fn ca_pem(&self) -> Arc<String> {
        self.ca_pem.load_full()
    }

    /// Where the authority's certificate lies; nowhere in memory.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.dir.as_deref().map(|dir| dir.join("ca.pem"))
    }

    /// What the certificate must name from the next [`LocalCa::renew_if_due`] on. One in memory keeps its names.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate; then the former names stay.
    pub fn set_names<N: AsRef<str>>(&self, names: &[N]) -> Result<(), LocalCaError> {
        self.names.store(Arc::new(wanted_names(names)?));
        Ok(())
    }

    /// Makes new certificates when they are due or have other names and serves them; says whether it did. To be called daily or oftener.
    pub fn renew_if_due(&self, env: &Env) -> Result<bool, LocalCaError> {
        let Some(dir) = &self.dir else { return Ok(false) };
        let (ca_pem, identity) = keep_or_make(dir, &self.names.load(), env)?;
        if identity.leaf() == self.tls.identity().leaf() {
            return Ok(false);
        }
        self.ca_pem.store(Arc::new(ca_pem));
        self.tls.replace(identity);
        Ok(true)
    }
}

/// The authority's PEM and a server certificate that is right and not due, from `dir` or made anew.
fn keep_or_make(dir: &Path, names: &BTreeSet<String>, env: &Env) -> Result<(String, Identity), LocalCaError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| LocalCaError::Io { path, error }
    };
    private_file::create_dir(dir).map_err(at(dir))?;
    let now = env.now();
    let authority = Authority::keep_or_make(dir, env)?;
    let (cert, key) = (dir.join("server.pem"), dir.join("server.key"));
    if let Ok(identity) = load_certificate(&cert, &key, now)
        && !identity.is_due(now)
        && authority.signed(&identity, names)
    {
        return Ok((authority.pem, identity));
    }
    let (cert_pem, pair) = authority.sign(names, env, life(now, SERVER_LIFE))?;
    // A crash between the two leaves a key that does not match, which is found at the next start and made anew.
    private_file::write(&key, pair.serialize_pem().as_bytes()).map_err(at(&key))?;
    private_file::write(&cert, cert_pem.as_bytes()).map_err(at(&cert))?;
    let identity = load_certificate(&cert, &key, now)
        .map_err(|error| LocalCaError::Io { path: cert, error: io::Error::other(error) })?;
    Ok((authority.pem, identity))
}

struct Authority {
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn make(env: &Env, life: (Timestamp, Timestamp)) -> Result<Self, LocalCaError> {
        // A name of its own for each: two authorities in one trust store must not be taken for one another.
        let suffix = u32::from_be_bytes(env.random());
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, format!("Keystead local CA {suffix:08x}"));
        Self::certify(KeyPair::generate()?, name, env, life)
    }

    fn certify(
        key: KeyPair,
        name: DistinguishedName,
        env: &Env,
        life: (Timestamp, Timestamp),
    ) -> Result<Self, LocalCaError> {
        let mut params = params(name, env, life);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { pem: params.self_signed(&key)?.pem(), key })
    }

    fn keep_or_make(dir: &Path, env: &Env) -> Result<Self, LocalCaError> {
        let (cert, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        let authority = match (read(&cert)?, read(&key)?) {
            (Some(cert_pem), Some(key_pem)) => match Self::parse(cert_pem, &key_pem, &cert, &key, env)? {
                (authority, false) => return Ok(authority),
                (renewed, true) => renewed,
            },
            _ => Self::make(env, life(env.now(), AUTHORITY_LIFE))?,
        };
        // The key first: a crash between the two leaves no certificate (both are made anew), or the old one with the
        // key it always had.
        private_file::write(&key, authority.key.serialize_pem().as_bytes())
            .map_err(|error| LocalCaError::Io { path: key, error })?;
        private_file::write(&cert, authority.pem.as_bytes()).map_err(|error| LocalCaError::Io { path: cert, error })?;
        Ok(authority)
    }

    /// What lies on disk, renewed when it is due (then `true`).
    fn parse(
        pem: String,
        key: &str,
        cert_path: &Path,
        key_path: &Path,
        env: &Env,
    ) -> Result<(Self, bool), LocalCaError> {
        let damaged = |path: &Path, reason| LocalCaError::Damaged { path: path.to_owned(), reason };
        let key = KeyPair::from_pem(key).map_err(|_| damaged(key_path, "not a private key"))?;
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged(cert_path, "not a certificate"))?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&der).map_err(|_| damaged(cert_path, "not a certificate"))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(damaged(cert_path, "it does not belong to ca.key"));
        }
        if !is_due(moment(parsed.validity().not_before), moment(parsed.validity().not_after), env.now()) {
            return Ok((Self { pem, key }, false));
        }
        let mut name = DistinguishedName::new();
        let common_name = parsed.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
        name.push(DnType::CommonName, common_name.ok_or_else(|| damaged(cert_path, "it has no name"))?);
        Ok((Self::certify(key, name, env, life(env.now(), AUTHORITY_LIFE))?, true))
    }

    fn sign(
        &self,
        names: &BTreeSet<String>,
        env: &Env,
        life: (Timestamp, Timestamp),
    ) -> Result<(String, KeyPair), LocalCaError> {
        let mut common_name = DistinguishedName::new();
        common_name.push(DnType::CommonName, "Keystead");
        let mut params = params(common_name, env, life);
        params.subject_alt_names = names.iter().map(|name| san(name)).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_ca_cert_pem(&self.pem, &self.key)?;
        Ok((params.signed_by(&key, &issuer)?.pem(), key))
    }

    /// Whether `identity` was signed under this key (as its authority key identifier says; nobody else can write the
    /// file) and names exactly `names`.
    fn signed(&self, identity: &Identity, names: &BTreeSet<String>) -> bool {
        let Ok((_, leaf)) = x509_parser::parse_x509_certificate(identity.leaf()) else { return false };
        let ours = CertificateParams::default().key_identifier(&self.key);
        let signed_by_us = leaf.extensions().iter().any(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().is_some_and(|id| id.0 == ours),
            _ => false,
        });
        signed_by_us && identity.names() == *names
    }
}

fn params(name: DistinguishedName, env: &Env, (not_before, not_after): (Timestamp, Timestamp)) -> CertificateParams {
    let date = |at: Timestamp| date_time_ymd(1970, 1, 1) + Duration::from_secs(at.min(LAST_DAY).secs());
    let mut serial: [u8; 16] = env.random();
    serial[0] = serial[0] & 0x7f | 0x40; // positive, and never shortened (RFC 5280, 4.1.2.2)
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = date(not_before);
    params.not_after = date(not_after);
    params
}

fn life(now: Timestamp, span: Duration) -> (Timestamp, Timestamp) {
    (Timestamp::from_millis(now.millis().saturating_sub(Timestamp::default().plus(SKEW).millis())), now.plus(span))
}

/// Less than a third of its life is left, or it has not begun (a clock was wrong when it was made).
fn is_due(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    now < not_before || not_after.since(now) < not_after.since(not_before) / 3
}

fn moment(time: x509_parser::time::ASN1Time) -> Timestamp {
    Timestamp::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
}

fn read(path: &Path) -> Result<Option<String>, LocalCaError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LocalCaError::Io { path: path.to_owned(), error }),
    }
}

/// The names a certificate shall carry, each in the one form it is compared in.
fn wanted_names<N: AsRef<str>>(names: &[N]) -> Result<BTreeSet<String>, LocalCaError> {
    let mut wanted: BTreeSet<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
    for name in names.iter().map(AsRef::as_ref) {
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        match bare.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => {}
            Ok(ip) => _ = wanted.insert(ip.to_canonical().to_string()),
            Err(_) if is_host_name(bare) => _ = wanted.insert(bare.to_ascii_lowercase()),
            Err(_) => return Err(LocalCaError::BadName(name.to_owned())),
        }
    }
    Ok(wanted)
}

/// RFC 1123 labels, the first of which may be `*`.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
}

fn san(name: &str) -> Result<SanType, LocalCaError> {
    Ok(match name.parse() {
        Ok(ip) => SanType::IpAddress(ip),
        Err(_) => SanType::DnsName(name.try_into()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Clock;
    use rustls::client::danger::ServerCertVerifier;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    /// An Env whose clock stands at 2030-01-01 until it is moved.
    fn env() -> (Env, Arc<Hand>) {
        let hand = Arc::new(Hand(AtomicU64::new(1_893_456_000)));
        (Env { clock: hand.clone(), ..Env::system() }, hand)
    }

    fn later(hand: &Hand, days: u64) {
        hand.0.fetch_add(days * 86_400, Ordering::SeqCst);
    }

    fn leaf(ca: &LocalCa) -> Vec<u8> {
        ca.tls().identity().leaf().to_vec()
    }

    #[test]
    fn all_is_kept_between_starts() {
        let dir = tempfile::tempdir().unwrap();
        let (env, hand) = env();
        let first = LocalCa::open(dir.path(), &["auth.example.com"], &env).unwrap();
        later(&hand, 59);
        let second = LocalCa::open(dir.path(), &["Auth.Example.com", "[::1]", "0.0.0.0"], &env).unwrap();
        assert_eq!((leaf(&first), first.ca_pem()), (leaf(&second), second.ca_pem()));
        assert!(!first.renew_if_due(&env).unwrap());
    }

    #[test]
    fn the_server_certificate_is_renewed_in_time_and_served_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (env, hand) = env();
        let ca = LocalCa::open(dir.path(), &[""; 0], &env).unwrap();
        let (old, authority) = (leaf(&ca), ca.ca_pem());
        later(&hand, 61);
        assert!(ca.renew_if_due(&env).unwrap());
        assert_ne!(leaf(&ca), old);
        assert_eq!(ca.ca_pem(), authority);
        assert_eq!(ca.tls().identity().expires_at(), env.now().plus(SERVER_LIFE));
        assert!(!ca.renew_if_due(&env).unwrap());
    }

    #[test]
    fn other_names_need_another_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let (env, _) = env();
        let first = LocalCa::open(dir.path(), &["a.example"], &env).unwrap();
        let second = LocalCa::open(dir.path(), &["a.example", "192.0.2.1"], &env).unwrap();
        assert_ne!(leaf(&first), leaf(&second));
        assert_eq!(first.ca_pem(), second.ca_pem());
        assert!(matches!(LocalCa::open(dir.path(), &["a b"], &env), Err(LocalCaError::BadName(name)) if name == "a b"));
    }

    #[test]
    fn the_authority_is_renewed_under_its_key_and_name() {
        let dir = tempfile::tempdir().unwrap();
        let (env, hand) = env();
        let ca = LocalCa::open(dir.path(), &[""; 0], &env).unwrap();
        let (old, key) = (ca.ca_pem(), std::fs::read(dir.path().join("ca.key")).unwrap());
        later(&hand, 2500);
        assert!(ca.renew_if_due(&env).unwrap());
        assert_ne!(ca.ca_pem(), old);
        assert_eq!(std::fs::read(dir.path().join("ca.key")).unwrap(), key);
        // A client that holds the old certificate accepts what is signed now, as long as the old one is valid.
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(old.as_bytes()).unwrap()).unwrap();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        );
        let identity = ca.tls().identity();
        let verified = verifier.build().unwrap().verify_server_cert(
            identity.leaf(),
            &[],
            &"localhost".try_into().unwrap(),
            &[],
            rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(env.now().secs())),
        );
        verified.unwrap();
    }

    #[test]
    fn a_torn_or_damaged_server_certificate_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (env, _) = env();
        let mut seen = vec![leaf(&LocalCa::open(dir.path(), &[""; 0], &env).unwrap())];
        let other = KeyPair::generate().unwrap().serialize_pem();
        for (file, content) in [("server.key", other.as_str()), ("server.pem", "rubbish"), ("server.key", "")] {
            std::fs::write(dir.path().join(file), content).unwrap();
            let ca = LocalCa::open(dir.path(), &[""; 0], &env).unwrap();
            assert!(!seen.contains(&leaf(&ca)), "{file}");
            seen.push(leaf(&ca));
        }
        // A new authority does not serve what the old one signed.
        std::fs::remove_file(dir.path().join("ca.pem")).unwrap();
        assert!(!seen.contains(&leaf(&LocalCa::open(dir.path(), &[""; 0], &env).unwrap())));
    }

    #[test]
    fn a_damaged_authority_is_not_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let (env, _) = env();
        LocalCa::open(dir.path(), &[""; 0], &env).unwrap();
        let message = || {
            let message = LocalCa::open(dir.path(), &[""; 0], &env).unwrap_err().to_string();
            message.replace(&format!("{}/", dir.path().display()), "")
        };
        let advice = "remove ca.pem and ca.key to have a new authority made";
        std::fs::write(dir.path().join("ca.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert_eq!(message(), format!("ca.pem: it does not belong to ca.key; {advice}"));
        std::fs::write(dir.path().join("ca.key"), "rubbish").unwrap();
        assert_eq!(message(), format!("ca.key: not a private key; {advice}"));
    }

    #[test]
    fn only_the_owner_may_read_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let (env, _) = env();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for (umask, name) in [(0o000, "open"), (0o277, "shut")] {
            let path = dir.path().join(name);
            let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
            let made = LocalCa::open(&path, &[""; 0], &env);
            rustix::process::umask(before);
            made.unwrap();
            assert_eq!(mode(&path), 0o700);
            for file in ["ca.pem", "ca.key", "server.pem", "server.key"] {
                assert_eq!(mode(&path.join(file)), 0o600, "{file}");
            }
        }
    }
}
