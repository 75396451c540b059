//! Real sockets, real TLS, real HTTP clients against `serve`, with limits shortened where one is waited for.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{Request, StatusCode};
use http_body_util::channel::Channel;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::env::Env;
use crate::metrics::Network;

const SHORT: Duration = Duration::from_millis(80);

struct Server {
    addresses: Vec<SocketAddr>,
    ca: LocalCa,
    /// Says each time `/wait` was entered.
    entered: mpsc::UnboundedReceiver<()>,
    /// Lets one `/wait`, or `/slow`, go on for each permit.
    gate: Arc<Semaphore>,
    /// What reading the body of `/body` came to.
    bodies: mpsc::UnboundedReceiver<String>,
    /// What was counted.
    counts: Arc<Network>,
    stop: Option<oneshot::Sender<()>>,
    done: JoinHandle<Drained>,
}

impl Server {
    async fn start(limits: Limits, listen: &[&str]) -> Self {
        let ca = LocalCa::in_memory(&[""; 0], &Env::system()).unwrap();
        let mut bound = Vec::new();
        for address in listen {
            bound.extend(bind(&address.parse().unwrap(), Some(ca.tls())).await.unwrap());
        }
        let addresses = bound.iter().filter_map(|b| match b.address() {
            BoundAddress::Tcp(address) => Some(*address),
            BoundAddress::Unix(_) => None,
        });
        let addresses = addresses.collect();
        let (entered_tx, entered) = mpsc::unbounded_channel();
        let (bodies_tx, bodies) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let (wait_gate, slow_gate) = (gate.clone(), gate.clone());
        let router = Router::new()
            .route("/", get(|Extension(peer): Extension<Peer>| async move { format!("{peer:?}") }))
            .route("/uid", get(|Extension(PeerUid(uid)): Extension<PeerUid>| async move { uid.to_string() }))
            .route("/big", get(async || vec![7; 8 << 20]))
            .route(
                "/slow",
                get(async move || {
                    let (mut to, body) = Channel::<Bytes, Infallible>::new(1);
                    tokio::spawn(async move {
                        to.send_data(vec![7; 20_000].into()).await.unwrap();
                        slow_gate.acquire().await.unwrap().forget();
                        to.send_data("done".into()).await.unwrap();
                    });
                    Body::new(body)
                }),
            )
            .route(
                "/body",
                post(async move |body: Body| {
                    let read = to_bytes(body, usize::MAX).await;
                    let told = read.map_or_else(|e| format!("{e:?}"), |bytes| bytes.len().to_string());
                    bodies_tx.send(told).unwrap();
                }),
            )
            .route(
                "/wait",
                get(async move || {
                    entered_tx.send(()).unwrap();
                    wait_gate.acquire().await.unwrap().forget();
                    "done"
                }),
            );
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let terms = Terms { refusal: crate::http::refusal, ..limits.into() };
        let counts = terms.counts.clone();
        let done = tokio::spawn(serve(bound, terms, router, shutdown));
        Self { addresses, ca, entered, gate, bodies, counts, stop: Some(stop), done }
    }

    async fn local(limits: Limits) -> Self {
        Self::start(limits, &["127.0.0.1:0"]).await
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addresses[0])
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.addresses[0]).await.unwrap()
    }

    async fn tls(&self) -> TlsStream<TcpStream> {
        self.tls_with(rustls::ALL_VERSIONS).await.unwrap()
    }

    async fn tls_with(&self, versions: &[&'static SupportedProtocolVersion]) -> io::Result<TlsStream<TcpStream>> {
        self.connect(self.client_config(versions)).await
    }

    async fn connect(&self, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.addresses[0]).await?;
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
    }

    fn client_config(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        config.with_root_certificates(roots).with_no_client_auth()
    }

    fn client(&self, http2: bool) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(self.ca.ca_pem().as_bytes()).unwrap();
        // The library comes without a provider of its own; whoever is second finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy();
        if http2 { builder } else { builder.http1_only() }.build().unwrap()
    }
}

/// Sends one HTTP/1.1 request and reads the answer's head and, to its length, its body.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |l| l.parse().unwrap()) {
                return text;
            }
        }
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed after {text:?}");
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Reads until the server closes the connection, in good form or not.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
    String::from_utf8_lossy(&rest).into_owned()
}

/// A test that waits for what never comes shall fail, not hang.
async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it should have happened by now")
}

#[tokio::test]
async fn every_family_and_version_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let unix: PathBuf = dir.path().join("s");
    let server =
        Server::start(Limits::default(), &["127.0.0.1:0", "[::1]:0", &format!("unix:{}", unix.display())]).await;
    for (address, ip) in server.addresses.iter().zip(["127.0.0.1", "::1"]) {
        for (http2, version) in [(false, http::Version::HTTP_11), (true, http::Version::HTTP_2)] {
            let answer = server.client(http2).get(format!("https://{address}/")).send().await.unwrap();
            assert_eq!(answer.version(), version);
            assert_eq!(answer.text().await.unwrap(), format!("Peer {{ address: Ip({ip}), tls: true }}"));
        }
    }
    let mut stream = UnixStream::connect(&unix).await.unwrap();
    assert!(ask(&mut stream, GET).await.ends_with("Peer { address: Unix, tls: false }"));
    let uid = rustix::process::getuid().as_raw().to_string();
    assert!(ask(&mut stream, &GET.replace("/ ", "/uid ")).await.ends_with(&uid));
}

#[tokio::test]
async fn tls_1_2_is_enough() {
    let server = Server::local(Limits::default()).await;
    let mut stream = server.tls_with(&[&rustls::version::TLS12]).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    assert!(ask(&mut stream, GET).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_dropped() {
    let server = Server::local(Limits { handshake: SHORT, ..Limits::default() }).await;
    let mut silent = server.tcp().await;
    let mut partial = server.tcp().await;
    partial.write_all(&[0x16, 0x03, 0x01, 0x40]).await.unwrap();
    let mut plain = server.tcp().await;
    plain.write_all(GET.as_bytes()).await.unwrap();
    for stream in [&mut silent, &mut partial, &mut plain] {
        assert!(!closed(stream).await.contains("HTTP"));
    }
    let failures = (server.counts.handshakes_slow.get(), server.counts.handshakes_failed.get());
    assert_eq!(failures, (2, 1));
    assert!(ask(&mut server.tls().await, GET).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_too_many_waits_for_a_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let limits = Limits { patience: Duration::from_secs(3600), ..Limits::with_connections(1) };
    let _server = Server::start(limits, &[&format!("unix:{}", path.display())]).await;
    let mut first = UnixStream::connect(&path).await.unwrap();
    ask(&mut first, GET).await;
    let mut second = UnixStream::connect(&path).await.unwrap();
    second.write_all(GET.as_bytes()).await.unwrap();
    ask(&mut first, GET).await;
    assert_eq!(second.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(first);
    assert!(within(ask(&mut second, GET)).await.starts_with("HTTP/1.1 200"));
}

/// Whatever it is that they keep the server waiting for.
#[tokio::test]
async fn whoever_keeps_us_waiting_gives_way_and_whoever_waits_does_not() {
    let limits = Limits { patience: Duration::ZERO, connections_per_client: 9, ..Limits::with_connections(1) };
    let mut server = Server::local(limits).await;
    let silent = server.tcp().await;
    let mut idle = server.tls().await;
    ask(&mut idle, GET).await;
    let mut half_a_head = server.tls().await;
    half_a_head.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx: ").await.unwrap();
    let mut half_a_body = server.tls().await;
    half_a_body.write_all(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
    let mut not_reading = server.tls().await;
    not_reading.write_all(GET.replace("/ ", "/big ").as_bytes()).await.unwrap();
    let mut working = server.tls().await;
    working.write_all(GET.replace("/ ", "/wait ").as_bytes()).await.unwrap();
    within(server.entered.recv()).await.unwrap();
    for mut gone in [idle, half_a_head, half_a_body] {
        assert_eq!(closed(&mut gone).await, "");
    }
    assert_eq!(server.counts.gave_way.get(), 5);
    drop((silent, not_reading));
    // The last one is worked for: it stays, and the next one waits until it was answered.
    let before = server.counts.accepted.get();
    let (next, answer) = tokio::join!(server.tls_with(rustls::ALL_VERSIONS), async {
        within(async {
            while server.counts.accepted.get() == before {
                tokio::task::yield_now().await
            }
        })
        .await;
        server.gate.add_permits(1);
        within(ask(&mut working, "")).await
    });
    assert!(answer.ends_with("done"), "{answer}");
    assert!(within(ask(&mut next.unwrap(), GET)).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_address_gets_only_its_share() {
    let server = Server::local(Limits { connections_per_client: 1, ..Limits::default() }).await;
    let mut first = server.tls().await;
    ask(&mut first, GET).await;
    assert!(server.tls_with(rustls::ALL_VERSIONS).await.is_err());
    ask(&mut first, GET).await;
    drop(first);
    // The server learns of the end in its own time.
    while server.tls_with(rustls::ALL_VERSIONS).await.is_err() {}
}

#[tokio::test]
async fn too_many_requests_are_told_to_come_back() {
    let mut server = Server::local(Limits { requests_per_client: 1, ..Limits::default() }).await;
    let mut first = server.tls().await;
    first.write_all(GET.replace("/ ", "/wait ").as_bytes()).await.unwrap();
    within(server.entered.recv()).await.unwrap();
    let refusal = server.client(true).get(server.url("/")).send().await.unwrap();
    assert_eq!(
        (refusal.status(), &refusal.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    let body: serde_json::Value = refusal.json().await.unwrap();
    assert_eq!((&body["error"], &body["status"]), (&"service_unavailable".into(), &503.into()));
    assert!(body["message"].is_string(), "{body}");
    assert_eq!((server.counts.overload.get(), server.counts.open.get() >= 1), (1, true));
    server.gate.add_permits(1);
    assert!(ask(&mut first, "").await.ends_with("done"));
    assert_eq!(server.client(true).get(server.url("/")).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn large_headers_are_refused() {
    let server = Server::local(Limits::default()).await;
    for http2 in [false, true] {
        let get = || server.client(http2).get(server.url("/"));
        let send = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
        assert_eq!(send(get().header("x-large", "a".repeat(12_000))).await, StatusCode::OK);
        assert_eq!(
            send(get().header("x-large", "a".repeat(17_000))).await,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        );
        // Beyond what the library reads at all.
        assert_eq!(
            send(get().header("x-large", "a".repeat(40_000))).await,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        );
        let many = (0..65).fold(get(), |request, n| request.header(format!("x-{n}"), "a"));
        assert_eq!(send(many).await, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    assert!(server.counts.oversized.get() >= 4, "those that were read");
}

#[tokio::test]
async fn slow_headers_are_cut_however_they_trickle() {
    let server = Server::local(Limits { header_read: SHORT, ..Limits::default() }).await;
    let mut mute = server.tls().await;
    assert_eq!(closed(&mut mute).await, "");
    let mut used = server.tls().await;
    ask(&mut used, GET).await;
    used.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx: ").await.unwrap();
    // It keeps sending, a byte whenever it can, and is cut all the same.
    let (mut from, mut to) = tokio::io::split(used);
    let trickle = async {
        let mut tick = tokio::time::interval(SHORT / 8);
        while to.write_all(b"a").await.is_ok() && to.flush().await.is_ok() {
            tick.tick().await;
        }
    };
    tokio::select! {
        rest = closed(&mut from) => assert_eq!(rest, ""),
        () = trickle => {}
    }
}

#[tokio::test]
async fn idle_connections_are_let_go() {
    let server = Server::local(Limits { idle: SHORT, ..Limits::default() }).await;
    let mut stream = server.tls().await;
    ask(&mut stream, GET).await;
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap(); // in good form: with close_notify
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_slow_request_is_not_idle() {
    let limits = Limits { idle: SHORT, header_read: SHORT, stall: SHORT, ..Limits::default() };
    let mut server = Server::local(limits).await;
    let mut stream = server.tls().await;
    stream.write_all(GET.replace("/ ", "/wait ").as_bytes()).await.unwrap();
    within(server.entered.recv()).await.unwrap();
    tokio::time::timeout(SHORT * 5, stream.read_u8()).await.expect_err("nothing can have come yet");
    server.gate.add_permits(1);
    assert!(within(ask(&mut stream, "")).await.ends_with("done"));
}

#[tokio::test]
async fn an_answer_that_takes_long_to_make_is_not_the_clients_fault() {
    for http2 in [false, true] {
        let server = Server::local(Limits { stall: SHORT, ..Limits::default() }).await;
        let mut answer = server.client(http2).get(server.url("/slow")).send().await.unwrap();
        let mut taken = 0;
        while taken < 20_000 {
            taken += within(answer.chunk()).await.unwrap().unwrap().len();
        }
        tokio::time::timeout(SHORT * 5, answer.chunk()).await.expect_err("nothing can have come yet");
        server.gate.add_permits(1);
        assert_eq!(within(answer.text()).await.unwrap(), "done", "HTTP/2: {http2}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let mut server = Server::local(Limits { stall: SHORT, ..Limits::default() }).await;
    let mut stream = server.tls().await;
    stream.write_all(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
    let told = within(server.bodies.recv()).await.unwrap();
    assert!(told.contains("BodyTooSlow"), "{told}");
    closed(&mut stream).await;
    let client = server.client(true);
    client.post(server.url("/body")).body(vec![1; 60_000]).send().await.unwrap();
    assert_eq!(server.bodies.recv().await.unwrap(), "60000");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let limits = Limits { stall: SHORT, connections_per_client: 1, ..Limits::default() };
    let server = Server::local(limits).await;
    let mut stream = server.tls().await;
    stream.write_all(GET.replace("/ ", "/big ").as_bytes()).await.unwrap();
    // Its place is free again once it was cut.
    within(async { while server.tls_with(rustls::ALL_VERSIONS).await.is_err() {} }).await;
    assert!(closed(&mut stream).await.len() < 8 << 20);
}

#[tokio::test]
async fn an_http2_stream_that_is_never_taken_is_cut() {
    let server = Server::local(Limits { stall: SHORT, ..Limits::default() }).await;
    let mut config = server.client_config(rustls::ALL_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let io = TokioIo::new(server.connect(config).await.unwrap());
    let mut http = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut h2, connection) = http.initial_stream_window_size(1024).handshake(io).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::get("https://localhost/big").body(Body::empty()).unwrap();
    let answer = h2.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    // The body is not read, so that the stream's window stays shut; the connection itself answers every ping.
    let _ = within(driver).await.unwrap();
    drop(answer);
}

#[tokio::test]
async fn stopping_finishes_what_was_accepted() {
    let mut server = Server::local(Limits::default()).await;
    let mut busy = server.tls().await;
    busy.write_all(GET.replace("/ ", "/wait ").as_bytes()).await.unwrap();
    let (client, url) = (server.client(true), server.url("/wait"));
    let busy2 = tokio::spawn(async move { client.get(url).send().await.unwrap().text().await.unwrap() });
    within(server.entered.recv()).await.unwrap();
    within(server.entered.recv()).await.unwrap();
    let mut idle = server.tls().await;
    ask(&mut idle, GET).await;
    let mut fresh = server.tls().await; // accepted, and its request is still on the way
    server.stop();
    assert_eq!(closed(&mut idle).await, "");
    assert!(ask(&mut fresh, GET).await.starts_with("HTTP/1.1 200"));
    while TcpStream::connect(server.addresses[0]).await.is_ok() {}
    assert!(!server.done.is_finished());
    server.gate.add_permits(2);
    assert!(ask(&mut busy, "").await.ends_with("done"));
    assert_eq!(busy2.await.unwrap(), "done");
    assert_eq!(within(server.done).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let mut server = Server::local(Limits { drain: SHORT, ..Limits::default() }).await;
    let mut busy = server.tls().await;
    busy.write_all(GET.replace("/ ", "/wait ").as_bytes()).await.unwrap();
    within(server.entered.recv()).await.unwrap();
    server.stop();
    assert_eq!(within(server.done).await.unwrap(), Drained { cut: 1 });
    assert_eq!(closed(&mut busy).await, "");
}

#[tokio::test]
async fn a_certificate_is_swapped_under_living_connections() {
    let server = Server::local(Limits::default()).await;
    let served = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let mut old = server.tls().await;
    ask(&mut old, GET).await;
    let other = LocalCa::in_memory(&["other.example"], &Env::system()).unwrap();
    server.ca.tls().replace(other.tls().identity());
    assert!(server.tls_with(rustls::ALL_VERSIONS).await.is_err(), "the old authority did not sign this one");
    let server = Server { ca: other, ..server };
    let new = server.tls().await;
    assert_ne!(served(&old), served(&new));
    assert!(ask(&mut old, GET).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn sessions_are_resumed() {
    let server = Server::local(Limits::default()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = server.client_config(&[version]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = server.connect(config.clone()).await.unwrap();
            ask(&mut stream, GET).await;
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        }
        assert_eq!(kinds[1], rustls::HandshakeKind::Resumed, "{version:?}");
    }
}
