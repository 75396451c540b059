//! Far more than the limits allow, from those who mean it: memory is bounded, and others are served meanwhile and after.

mod connections;
mod dawdlers;
mod endless;
mod frames;
mod handshakes;
mod http2;
mod readers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::{anon_from, connect};
use super::process::{Binary, PATIENCE};
use crate::persona::Persona;

/// The most one served request may take while the others are there, a start of a connection included: in a build that
/// is not optimised, beside other tests.
const BEARABLE: Duration = Duration::from_secs(5);

/// Where those come from who are to be served whatever happens.
const AT_HOME: &str = "127.0.0.200";

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";

/// A signed-in user, and what the server weighed before the trouble began.
struct Bystander {
    ada: Persona,
    kib: u64,
}

impl Bystander {
    /// Signs up.
    async fn of(server: &Binary) -> Self {
        let (ada, _) = anon_from(server, AT_HOME).sign_up(EMAIL, PASSWORD).await;
        Self { ada, kib: server.process.memory_kib().0 }
    }

    /// Asks who they are, and signs in once on a new connection, both in bearable time.
    async fn is_served(&self, server: &Binary) {
        for new_connection in [false, true] {
            let begun = Instant::now();
            let reply = match new_connection {
                false => self.ada.get("/me").await,
                true => anon_from(server, AT_HOME).sign_in(EMAIL, PASSWORD).await,
            };
            assert_eq!(reply.status, 200, "{}", reply.text);
            let took = begun.elapsed();
            assert!(took < BEARABLE, "{took:?}");
        }
    }

    /// The server has never grown by more than this since, serves still, and ends in order without ever a panic.
    async fn survives(self, server: Binary, mib: u64) {
        self.is_served(&server).await;
        let (now, most) = server.process.memory_kib();
        let grown = most.saturating_sub(self.kib);
        assert!(grown < mib * 1024, "{} KiB before, {most} KiB at most, {now} KiB now", self.kib);
        let ended = server.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(!ended.err.contains("panic"), "{}", ended.err);
    }
}

/// The `number`th of many addresses of this machine.
fn address(number: usize) -> String {
    format!("127.1.{}.{}", number / 250 % 250, number % 250 + 1)
}

/// How strangers speak TLS: one configuration for all, so that a thousand connections are no thousand roots.
struct Strangers {
    config: Arc<ClientConfig>,
}

impl Strangers {
    /// Who offer only this protocol.
    fn speaking(server: &Binary, protocol: &str) -> Self {
        // Each connection is a descriptor of this process too.
        keystead::net::raise_descriptor_limit();
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(server.ca_pem().as_bytes()).expect("the CA's file");
        roots.add(ca).expect("a CA certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.expect("versions there are").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self { config: Arc::new(config) }
    }

    /// Connects from `address` and shakes hands.
    async fn stranger(&self, server: &Binary, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = connect(server, address).await?;
        let name = ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into());
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
    }
}

/// One after the other comes, shakes hands, says nothing more, and stays: without an end.
async fn newcomers(strangers: &Strangers, server: &Binary) -> Vec<TlsStream<TcpStream>> {
    let mut all = Vec::new();
    for number in 0.. {
        all.push(strangers.stranger(server, &address(1000 + number)).await.expect("a place for a newcomer"));
    }
    all
}

/// What comes until the connection is closed, in whatever form; the test fails when it is not.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("the server closes the connection");
    read
}

/// Writes `piece` again and again, at most so often, until the server wants no more; how often it did.
async fn pour(to: &mut (impl AsyncWriteExt + Unpin), piece: &[u8], most: usize) -> usize {
    for number in 0..most {
        let written = async {
            to.write_all(piece).await?;
            to.flush().await
        };
        match timeout(PATIENCE, written).await.expect("it is taken or refused") {
            Ok(()) => {}
            Err(_) => return number,
        }
    }
    most
}
