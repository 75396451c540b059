//! The driver's end of the wire: one keep-alive HTTP/1.1 connection over TLS that reuses its buffers. Streams of HTTP/2
//! are in `streams`; [`Wire`] is either.
//!
//! Driver and server share the cores, so every microsecond spent here is taken from what is measured. Therefore no
//! client library: a request is ready bytes, an answer is its status, its head and `content-length` bytes of body.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Outcome;
use crate::streams::Stream;

/// How long opening a connection or one answer may take before the run is called broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where to connect, and whom to trust there.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    tls_http2: Arc<ClientConfig>,
}

/// What is spoken inside TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Target {
    /// From the ready line's URL (`https://ip:port`) and its CA file (PEM).
    pub(crate) fn new(url: &str, ca: &Path) -> Outcome<Self> {
        let address = url.strip_prefix("https://").ok_or("the server's URL is not https")?.trim_end_matches('/');
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&fs::read(ca)?) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tls_http2 = tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        tls_http2.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { address: address.parse()?, tls: Arc::new(tls), tls_http2: Arc::new(tls_http2) })
    }

    /// A connection from `source`, hands shaken.
    pub(crate) async fn connect(&self, source: Ipv4Addr, protocol: Protocol) -> Outcome<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let tls = if protocol == Protocol::Http2 { &self.tls_http2 } else { &self.tls };
        Ok(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?)
    }

    /// The `Host` header's value.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }
}

/// The `index`th client address of a `group` of clients; groups share none (all of 127.0.0.0/8 is this host).
pub(crate) fn client(group: u8, index: usize) -> Ipv4Addr {
    let low = u8::try_from(index % 250).unwrap_or(0) + 1;
    let high = u8::try_from(index / 250 % 250).unwrap_or(0);
    Ipv4Addr::new(127, group, high, low)
}

/// One connection, used by one closed loop.
pub(crate) struct Connection {
    target: Target,
    source: Ipv4Addr,
    stream: TlsStream<TcpStream>,
    inbox: Vec<u8>,
    filled: usize,
}

/// An answer, borrowed from the connection's buffer.
pub(crate) struct Reply<'a> {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: &'a [u8],
    /// The whole body.
    pub(crate) body: &'a [u8],
}

impl Connection {
    /// Connects from `source` and shakes hands.
    pub(crate) async fn open(target: &Target, source: Ipv4Addr) -> Outcome<Self> {
        let stream = in_time(target.connect(source, Protocol::Http1)).await?;
        Ok(Self { target: target.clone(), source, stream, inbox: vec![0; 16 * 1024], filled: 0 })
    }

    /// Drops the connection and opens it anew, after an error.
    pub(crate) async fn reopen(&mut self) -> Outcome<()> {
        *self = Self::open(&self.target, self.source).await?;
        Ok(())
    }

    /// Sends `request` and reads the whole answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Outcome<Reply<'_>> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.filled = 0;
        let head = loop {
            if let Some(end) = head_end(&self.inbox[..self.filled]) {
                break end;
            }
            self.read_more().await?;
        };
        let (status, length) = parse_head(&self.inbox[..head])?;
        let end = head + length;
        if end > self.inbox.len() {
            self.inbox.resize(end, 0);
        }
        while self.filled < end {
            self.read_more().await?;
        }
        Ok(Reply { status, head: &self.inbox[..head], body: &self.inbox[head..end] })
    }

    /// Sends these bytes, leaves without a word, and connects anew.
    pub(crate) async fn break_off(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        self.reopen().await
    }

    async fn read_more(&mut self) -> Outcome<()> {
        if self.filled == self.inbox.len() {
            return Err("an answer larger than the driver's buffer".into());
        }
        match self.stream.read(&mut self.inbox[self.filled..]).await? {
            0 => Err("the server closed the connection".into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }
}

/// The connection, or an error when it takes too long.
pub(crate) async fn in_time<T>(connecting: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| "no connection in time")?
}

/// What a closed loop speaks on.
pub(crate) enum Wire {
    /// A connection of its own.
    Http1(Box<Connection>),
    /// A share of a connection.
    Http2(Stream),
}

impl Wire {
    /// Sends `request` and reads the whole answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Outcome<Reply<'_>> {
        match self {
            Self::Http1(connection) => connection.call(request).await,
            Self::Http2(stream) => stream.call(request).await,
        }
    }

    /// Opens it anew, after an error.
    pub(crate) async fn reopen(&mut self) -> Outcome<()> {
        match self {
            Self::Http1(connection) => connection.reopen().await,
            Self::Http2(_) => Err("a connection of HTTP/2 broke".into()),
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Status and body length of a complete head. An answer without `content-length` has no place in these scenarios.
fn parse_head(head: &[u8]) -> Outcome<(u16, usize)> {
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|text| text.parse().ok());
    let status = status.ok_or("an answer without a status")?;
    let name = b"content-length:";
    for line in head.split(|byte| *byte == b'\n') {
        if line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name) {
            return Ok((status, std::str::from_utf8(&line[name.len()..])?.trim().parse()?));
        }
    }
    Err("an answer without content-length".into())
}
