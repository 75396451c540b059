//! Clients of the executable: personas, and connections that can stop half way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::process::{Binary, PATIENCE};
use crate::persona::Persona;

/// Where clients come from unless a test says otherwise.
pub const HOME: &str = "127.0.0.1";

/// Somebody without an account.
pub fn anon(server: &Binary) -> Persona {
    anon_by(server, server.client())
}

/// Somebody without an account, at another address.
pub fn anon_from(server: &Binary, address: &str) -> Persona {
    anon_by(server, server.client_from(address))
}

/// Somebody without an account, who speaks in a certain way.
pub fn anon_by(server: &Binary, client: ClientBuilder) -> Persona {
    Persona::at(client.build().expect("a client"), server.url(), server.project())
}

/// The JSON at a path of the server's root.
pub async fn json_at(server: &Binary, path: &str) -> Value {
    let client = server.client().build().expect("a client");
    let request = client.get(format!("{}{path}", server.url())).header("project-id", server.project());
    request.send().await.expect("a reply").json().await.expect("a JSON body")
}

/// A TCP connection from `address`, on which nothing was said yet.
pub async fn connect(server: &Binary, address: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(address.parse::<IpAddr>().expect("an IP address"), 0))?;
    socket.connect(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), server.port())).await
}

/// A TLS connection that speaks HTTP/1.1, byte by byte as the test wants.
pub struct Raw(TlsStream<TcpStream>);

impl Raw {
    /// Connects and shakes hands.
    pub async fn to(server: &Binary, address: &str) -> std::io::Result<Self> {
        Self::with(server, address, &[&TLS13, &TLS12]).await
    }

    /// The same, offering only these versions of TLS.
    pub async fn with(
        server: &Binary,
        address: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(server.ca_pem().as_bytes()).expect("the CA's file");
        roots.add(ca).expect("a CA certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let mut config = config.expect("versions there are").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::IpAddress(IpAddr::from([127, 0, 0, 1]).into());
        let stream = connect(server, address).await?;
        Ok(Self(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
    }

    /// What version of TLS was agreed on.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.0.get_ref().1.protocol_version()
    }

    /// Sends these bytes.
    pub async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("an open connection");
        self.0.flush().await.expect("an open connection");
    }

    /// Reads until `needle` has come; everything read.
    pub async fn until(&mut self, needle: &str) -> String {
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&read).contains(needle) {
            let count = timeout(PATIENCE, self.0.read(&mut buffer)).await.expect("an answer").expect("an answer");
            assert_ne!(count, 0, "closed after: {}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Says goodbye to nobody: the connection is reset.
    pub fn vanish(self) {
        let stream = self.0.into_inner().0;
        // Without lingering, what was not sent yet is thrown away and the peer hears of a reset.
        let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO));
    }
}

/// A sign-up as HTTP/1.1: its head, then its body.
pub fn sign_up_request(server: &Binary, email: &str, password: &str, more: &str) -> (String, String) {
    let body = serde_json::json!({ "email": email, "password": password }).to_string();
    let head = format!(
        "POST /api/auth/signup HTTP/1.1\r\nhost: 127.0.0.1\r\nproject-id: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{more}\r\n",
        server.project(),
        body.len(),
    );
    (head, body)
}
