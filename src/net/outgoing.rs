//! TLS of calls to others: whom we trust, the same for all of them.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::certificate_files::CertificateFileError;

/// A configuration that trusts the public authorities, which are built in (a container may have no store of its own),
/// and those in the PEM file `ca_file`. TLS 1.2 and 1.3; host names are verified.
///
/// # Errors
/// When the file cannot be read or holds no certificate that can be trusted.
pub fn outgoing_tls(ca_file: Option<&Path>) -> Result<ClientConfig, CertificateFileError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let bytes =
            std::fs::read(path).map_err(|error| CertificateFileError::Unreadable { path: path.to_owned(), error })?;
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let certificate =
                certificate.map_err(|error| CertificateFileError::NotPem { path: path.to_owned(), error })?;
            roots.add_parsable_certificates([certificate]);
        }
        if roots.len() == before {
            return Err(CertificateFileError::NoCertificate { path: path.to_owned() });
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
