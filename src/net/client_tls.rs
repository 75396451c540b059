//! TLS as a client: whom we trust when we call others, and why a handshake failed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate_files::{CertificateFileError, read};
use super::tls::EnvTime;
use crate::env::Env;

/// Certificates of authorities that an operator trusts besides the public ones, from a PEM file.
#[derive(Clone, PartialEq, Eq)]
pub struct CaFile {
    path: PathBuf,
    /// Each was taken by the library.
    certificates: Vec<CertificateDer<'static>>,
}

impl CaFile {
    /// Reads `path`; every certificate in it must be one.
    pub fn read(path: &Path) -> Result<Self, CertificateFileError> {
        let certificates = CertificateDer::pem_slice_iter(&read(path)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CertificateFileError::NotPem { path: path.to_owned(), error })?;
        if certificates.is_empty() {
            return Err(CertificateFileError::NoCertificate { path: path.to_owned() });
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots
                .add(certificate.clone())
                .map_err(|_| CertificateFileError::MalformedCertificate { path: path.to_owned() })?;
        }
        Ok(Self { path: path.to_owned(), certificates })
    }

    /// Where they were read from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CaFile").field(&self.path).finish()
    }
}

/// An encrypted connection that this side began.
pub type ClientStream = TlsStream<TcpStream>;

/// TLS 1.3 and 1.2 towards servers whose certificate names them and comes from an authority that Mozilla trusts, or
/// that the operator does.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

impl ClientTls {
    /// Trusts the public authorities, and those in `more`. The clock of `env` decides whether a certificate is valid.
    pub fn new(more: Option<&CaFile>, env: &Env) -> Self {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in more.iter().flat_map(|more| &more.certificates) {
            roots.add(certificate.clone()).expect("taken before, when the file was read");
        }
        let config = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(EnvTime(env.clone())))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the default provider has suites of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// Shakes hands with the server that is to be `host`, a name or an address.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> Result<ClientStream, HandshakeError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| HandshakeError::BadName)?;
        self.0.connect(name, stream).await.map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(reason)) => HandshakeError::Certificate(reason.to_string()),
                _ => HandshakeError::Failed(error),
            }
        })
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

/// Why no encrypted connection came about.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The host is neither a name nor an address.
    #[error("the host is neither a name nor an address")]
    BadName,
    /// The server's certificate was not accepted.
    #[error("{0}")]
    Certificate(String),
    /// Anything else.
    #[error("{0}")]
    Failed(io::Error),
}

/// The version of an encrypted connection, such as `TLS 1.3`.
pub fn tls_version(stream: &ClientStream) -> &'static str {
    match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    }
}
