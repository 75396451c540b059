//! The limit of an HTTPS answer: hyper and rustls with nothing behind them, in a process of its own as keystead is.
//!
//! This executable started with `--serve-bare TEMPLATE` answers every request with the template's headers and body,
//! which were taken from a real answer of keystead's to `GET /api/auth/me`.

use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::Outcome;
use crate::wire::Reply;

/// One answer: what the bare server says to everybody.
#[derive(Serialize, Deserialize)]
pub(crate) struct Template {
    headers: Vec<(String, String)>,
    body: String,
}

impl Template {
    /// The answer as keystead gave it.
    pub(crate) fn of(reply: &Reply<'_>) -> Outcome<Self> {
        let head = std::str::from_utf8(reply.head)?;
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        Ok(Self {
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: String::from_utf8(reply.body.to_vec())?,
        })
    }

    /// Contract section 2's example, for a run without keystead.
    pub(crate) fn example() -> Self {
        let body = r#"{"user":{"id":7,"uuid":"0193a7a0-0000-7000-8000-000000000007","email":"user7@example.com","#
            .to_owned()
            + r#""display_name":"Ada","email_verified_at":null,"metadata":null}}"#;
        Self { headers: vec![("content-type".to_owned(), "application/json".to_owned())], body }
    }

    /// Writes it where the bare server will look.
    pub(crate) fn save(&self, path: &Path) -> Outcome<()> {
        Ok(fs::write(path, serde_json::to_vec(self)?)?)
    }

    /// The headers hyper does not write by itself.
    fn header_map(&self) -> Outcome<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            if name != DATE && name != CONTENT_LENGTH {
                map.append(name, HeaderValue::from_str(value)?);
            }
        }
        Ok(map)
    }
}

/// Serves until killed. The CA is written beside the template; the ready line has keystead's form.
#[expect(clippy::print_stdout, reason = "stdout carries the ready line")]
pub(crate) fn serve(template: &Path) -> Outcome<()> {
    let answer: Template = serde_json::from_slice(&fs::read(template)?)?;
    let (headers, body) = (answer.header_map()?, Bytes::from(answer.body));
    let ca = template.with_extension("ca.pem");
    let acceptor = TlsAcceptor::from(Arc::new(tls(&ca)?));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        println!("{}", serde_json::json!({ "ready": true, "urls": [url], "ca": ca }));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (acceptor, headers, body) = (acceptor.clone(), headers.clone(), body.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|_| {
                    let mut response = Response::new(Full::new(body.clone()));
                    *response.headers_mut() = headers.clone();
                    async { Ok::<_, Infallible>(response) }
                });
                // A client that went away is the driver's matter.
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

/// A throw-away CA and a P-256 server certificate under it, as keystead's self-signed mode makes them.
fn tls(ca_file: &Path) -> Outcome<ServerConfig> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(ca_file, ca.self_signed(&ca_key)?.pem())?;
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &Issuer::new(ca, ca_key))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
