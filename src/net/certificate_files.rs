//! A certificate and its key from the operator's files.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::tls::{Identity, TlsError};
use crate::env::Timestamp;

/// What is wrong with the files, each named.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// Missing, or not readable by this user.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// PEM whose Base64 or markers are broken.
    #[error("{path}: not a PEM file: {error}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is broken.
        error: pem::Error,
    },
    /// No `BEGIN CERTIFICATE`.
    #[error("{path}: there is no certificate inside")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// PEM around something that is no certificate.
    #[error("{path}: a certificate inside cannot be read")]
    MalformedCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No private key in PKCS #8, SEC 1 or PKCS #1.
    #[error("{path}: there is no private key inside (PKCS #8, SEC 1 and PKCS #1 are read; encrypted keys are not)")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The two do not fit together, or one is not usable.
    #[error("{cert} with {key}: {error}")]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What does not fit.
        error: TlsError,
    },
}

/// Reads a chain (the server's own certificate first) and its key from PEM files; both may be the same file.
///
/// A certificate that is not valid at `now` is served all the same, with a warning: clients will say so, and an
/// operator whose clock is wrong still gets a server.
pub fn load_certificate(cert: &Path, key: &Path, now: Timestamp) -> Result<Identity, CertificateFileError> {
    let chain = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateFileError::NotPem { path: cert.to_owned(), error })?;
    if chain.is_empty() {
        return Err(CertificateFileError::NoCertificate { path: cert.to_owned() });
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateFileError::NoKey { path: key.to_owned() },
        error => CertificateFileError::NotPem { path: key.to_owned(), error },
    })?;
    let identity = Identity::new(chain, private).map_err(|error| CertificateFileError::Unusable {
        cert: cert.to_owned(),
        key: key.to_owned(),
        error,
    })?;
    if identity.expires_at() <= now {
        tracing::warn!(file = %cert.display(), since = %identity.expires_at().rfc3339(), "the certificate has expired");
    } else if identity.not_before() > now {
        tracing::warn!(file = %cert.display(), from = %identity.not_before().rfc3339(), "the certificate is not valid yet");
    }
    Ok(identity)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CertificateFileError> {
    std::fs::read(path).map_err(|error| CertificateFileError::Unreadable { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use rcgen::{CertificateParams, KeyPair};

    fn files(cert: &str, key: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (cert_path, key_path) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&cert_path, cert).unwrap();
        std::fs::write(&key_path, key).unwrap();
        (dir, cert_path, key_path)
    }

    fn pair() -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key)
    }

    fn error(cert: &str, key: &str) -> String {
        let (dir, cert, key) = files(cert, key);
        let message = load_certificate(&cert, &key, Env::system().now()).unwrap_err().to_string();
        message.replace(&format!("{}/", dir.path().display()), "")
    }

    #[test]
    fn an_expired_certificate_is_served_and_known_to_be_expired() {
        let (cert, key) = pair();
        let (_dir, cert, key) = files(&cert, &key.serialize_pem());
        let identity = load_certificate(&cert, &key, Env::system().now()).unwrap();
        assert_eq!(identity.expires_at().rfc3339(), "2020-01-01T00:00:00Z");
    }

    #[test]
    fn one_file_may_hold_both() {
        let (cert, key) = pair();
        let (_dir, both, _) = files(&format!("{}{cert}", key.serialize_pem()), "");
        load_certificate(&both, &both, Env::system().now()).unwrap();
    }

    /// P-256 as OpenSSL's `ecparam -genkey` writes it (RFC 5915).
    #[test]
    fn sec1_keys_are_read() {
        let (cert, key) = pair();
        let pkcs8 = key.serialize_der();
        // The PKCS #8 wrapping of a P-256 key ends with the SEC 1 structure, which begins 30 xx 02 01 01 04 20.
        let at = pkcs8.windows(5).position(|w| w == [0x02, 0x01, 0x01, 0x04, 0x20]).unwrap() - 2;
        let mut sec1 = pkcs8[at..].to_vec();
        // The wrapped form leaves the curve out; name it: [0] { OID prime256v1 }, before [1] the public key.
        sec1.splice(39..39, [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        sec1[1] += 12;
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sec1);
        let key = format!("-----BEGIN EC PRIVATE KEY-----\n{base64}\n-----END EC PRIVATE KEY-----\n");
        let (_dir, cert, key) = files(&cert, &key);
        load_certificate(&cert, &key, Env::system().now()).unwrap();
    }

    #[test]
    fn each_mistake_names_its_file() {
        let (cert, key) = pair();
        let (key, other) = (key.serialize_pem(), KeyPair::generate().unwrap().serialize_pem());
        assert_eq!(error("nothing", &key), "cert.pem: there is no certificate inside");
        assert!(error(&cert, "nothing").starts_with("key.pem: there is no private key inside"));
        assert!(error(&cert, &cert).starts_with("key.pem: there is no private key inside"));
        assert_eq!(error(&cert, &other), "cert.pem with key.pem: the key does not belong to the certificate");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(broken, &key), "cert.pem with key.pem: the certificate cannot be read");
        assert!(error("-----BEGIN CERTIFICATE-----\n", &key).starts_with("cert.pem: not a PEM file"));
        let missing =
            load_certificate(Path::new("/nowhere/cert.pem"), Path::new("/nowhere/key.pem"), Timestamp::default());
        assert!(missing.unwrap_err().to_string().starts_with("/nowhere/cert.pem: No such file"));
    }
}
