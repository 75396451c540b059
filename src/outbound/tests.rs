//! Calls to real servers over real TLS: what comes back, and what is refused before a byte is sent.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;

use super::*;
use crate::env::Resolver;
use crate::net::{self, BoundAddress, Limits, ListenAddress, LocalCa};

const LONG: Duration = Duration::from_secs(30);
/// For calls that must run into their limit.
const SHORT: Duration = Duration::from_millis(300);

/// An HTTPS server on loopback, with the file of the authority that vouches for it.
struct Remote {
    address: SocketAddr,
    _dir: tempfile::TempDir,
    ca_file: PathBuf,
    /// Requests that came in.
    seen: Arc<AtomicUsize>,
    arrived: Arc<Notify>,
}

impl Remote {
    async fn start() -> Self {
        let ca = LocalCa::in_memory(&["remote.example"], &Env::system()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, ca.ca_pem().as_bytes()).unwrap();
        let listen = ListenAddress::Tcp { host: "127.0.0.1".into(), port: 0 };
        let bound = net::bind(&listen, Some(ca.tls())).await.unwrap();
        let BoundAddress::Tcp(address) = bound[0].address() else { panic!("a TCP listener") };
        let (address, seen, arrived) = (*address, Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let service = {
            let (seen, arrived) = (Arc::clone(&seen), Arc::clone(&arrived));
            tower::service_fn(move |request| answer(request, Arc::clone(&seen), Arc::clone(&arrived)))
        };
        tokio::spawn(net::serve(bound, Limits::with_connections(64), service, std::future::pending()));
        Self { address, _dir: dir, ca_file, seen, arrived }
    }

    fn policy(&self) -> Policy {
        Policy { allow: vec!["127.0.0.1/32".parse().unwrap()], ca_file: Some(self.ca_file.clone()) }
    }

    fn target(&self, path: &str) -> Target {
        Target::parse(&format!("https://{}{path}", self.address)).unwrap()
    }
}

async fn answer(
    request: Request<Body>,
    seen: Arc<AtomicUsize>,
    arrived: Arc<Notify>,
) -> Result<Response<Body>, Infallible> {
    seen.fetch_add(1, Ordering::SeqCst);
    arrived.notify_one();
    let (parts, body) = request.into_parts();
    let response = match parts.uri.path() {
        "/echo" => {
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let head = format!("{} {:?} {:?} ", parts.method, parts.version, parts.headers);
            Response::new(Body::from([head.as_bytes(), &body].concat()))
        }
        "/moved" => Response::builder().status(302).header("location", "/echo").body(Body::from("moved")).unwrap(),
        "/big" => Response::new(Body::from(vec![b'x'; 200_000])),
        "/hangs" => std::future::pending().await,
        "/stalls" => {
            let (mut sender, body) = tokio::io::duplex(64);
            sender.write_all(b"begun").await.unwrap();
            tokio::spawn(async move {
                let _open = sender;
                std::future::pending::<()>().await;
            });
            Response::new(Body::new(Stalling(body)))
        }
        other => Response::builder().status(404).body(Body::from(other.to_owned())).unwrap(),
    };
    Ok(response)
}

/// A body that yields what is in the pipe, and then waits for ever.
struct Stalling(tokio::io::DuplexStream);

impl hyper::body::Body for Stalling {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, io::Error>>> {
        let mut space = [0; 64];
        let mut buffer = tokio::io::ReadBuf::new(&mut space);
        std::task::ready!(tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut self.0), context, &mut buffer))?;
        let bytes = Bytes::copy_from_slice(buffer.filled());
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(bytes))))
    }
}

/// Names as the test says, in the order it says.
struct Names(Vec<(&'static str, Vec<&'static str>)>, AtomicUsize);

impl Resolver for Names {
    fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let turn = self.1.fetch_add(1, Ordering::SeqCst);
        let answers: Vec<_> = self.0.iter().filter(|(name, _)| *name == host).collect();
        let (_, addresses) = answers.get(turn).or(answers.last()).ok_or(io::ErrorKind::NotFound)?;
        Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }
}

fn env(names: Vec<(&'static str, Vec<&'static str>)>) -> Env {
    Env { resolver: Arc::new(Names(names, AtomicUsize::new(0))), ..Env::system() }
}

fn call(target: &Target, time_limit: Duration) -> Call<'_> {
    Call {
        target,
        content_type: "text/plain",
        headers: vec![("x-key", "value".into())],
        body: Bytes::from_static(b"hello"),
        time_limit,
        answer_limit: 4096,
    }
}

#[tokio::test]
async fn a_call_reaches_a_server_that_is_allowed_and_vouched_for() {
    let remote = Remote::start().await;
    let outbound = Outbound::new(&env(vec![]), &remote.policy()).unwrap();
    let target = remote.target("/echo");
    let answer = outbound.post(call(&target, LONG)).await.unwrap();
    assert!(answer.is_success());
    let text = String::from_utf8(answer.whole().unwrap().to_vec()).unwrap();
    assert!(text.starts_with("POST HTTP/2.0") && text.ends_with(" hello"), "{text}");
    for header in [concat!("\"user-agent\": \"keystead/", env!("CARGO_PKG_VERSION"), "\""), "\"x-key\": \"value\""] {
        assert!(text.contains(header), "{text}");
    }
    for header in ["cookie", "referer", "accept-encoding"] {
        assert!(!text.contains(header), "{text}");
    }
}

#[tokio::test]
async fn a_form_arrives_as_one() {
    let remote = Remote::start().await;
    let outbound = Outbound::new(&env(vec![]), &remote.policy()).unwrap();
    let target = remote.target("/echo");
    let answer = outbound.post(Call::form(&target, &[("secret", "a b"), ("response", "&")], LONG, 4096)).await.unwrap();
    let text = String::from_utf8(answer.whole().unwrap().to_vec()).unwrap();
    assert!(text.contains("x-www-form-urlencoded") && text.ends_with(" secret=a+b&response=%26"), "{text}");
}

#[tokio::test]
async fn asking_sends_headers_and_nothing_else_within_the_same_bounds() {
    let remote = Remote::start().await;
    let outbound = Outbound::new(&env(vec![]), &remote.policy()).unwrap();
    let headers = || vec![("x-key", "value".to_owned())];
    let answer = outbound.get(&remote.target("/echo"), headers(), LONG, 4096).await.unwrap();
    let text = String::from_utf8(answer.whole().unwrap().to_vec()).unwrap();
    assert!(text.starts_with("GET HTTP/2.0") && text.ends_with("} "), "{text}");
    assert!(text.contains("\"x-key\": \"value\"") && !text.contains("content-"), "{text}");
    let big = outbound.get(&remote.target("/big"), headers(), LONG, 4096).await.unwrap();
    assert_eq!(big.whole(), Err(CallError::AnswerTooLarge));
    assert_eq!(outbound.get(&remote.target("/hangs"), headers(), SHORT, 4096).await, Err(CallError::TimedOut));
    let guarded = Outbound::new(&env(vec![]), &Policy { allow: vec![], ..remote.policy() }).unwrap();
    let error = guarded.get(&remote.target("/echo"), headers(), LONG, 4096).await.unwrap_err();
    assert!(matches!(error, CallError::Forbidden(_)), "{error:?}");
}

#[tokio::test]
async fn an_unknown_authority_is_not_believed() {
    let remote = Remote::start().await;
    let policy = Policy { ca_file: None, ..remote.policy() };
    let outbound = Outbound::new(&env(vec![]), &policy).unwrap();
    let error = outbound.post(call(&remote.target("/echo?secret"), LONG)).await.unwrap_err();
    assert!(matches!(error, CallError::Untrusted(_)) && error.may_work_later(), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    assert_eq!(remote.seen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn own_addresses_are_refused_in_the_url_and_behind_a_name() {
    let remote = Remote::start().await;
    let names = env(vec![("remote.example", vec!["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1"])]);
    let policy = Policy { allow: vec![], ..remote.policy() };
    let outbound = Outbound::new(&names, &policy).unwrap();
    let error = outbound.post(call(&remote.target("/echo"), LONG)).await.unwrap_err();
    assert!(matches!(error, CallError::Forbidden(_)) && !error.may_work_later(), "{error:?}");
    let port = remote.address.port();
    let named = Target::parse(&format!("https://remote.example:{port}/echo")).unwrap();
    let error = outbound.post(call(&named, LONG)).await.unwrap_err();
    assert!(matches!(error, CallError::Misled(_)) && error.may_work_later(), "{error:?}");
    assert_eq!(remote.seen.load(Ordering::SeqCst), 0);
    // A policy given later holds for the next call.
    outbound.adopt(outbound.prepare(&remote.policy()).unwrap());
    assert!(outbound.post(call(&named, LONG)).await.unwrap().is_success());
    let unknown = Target::parse("https://nobody.example/").unwrap();
    assert_eq!(outbound.post(call(&unknown, LONG)).await, Err(CallError::Unresolved));
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_by_what_it_says_now() {
    let remote = Remote::start().await;
    let names = env(vec![("remote.example", vec!["127.0.0.1"]), ("remote.example", vec!["127.0.0.2"])]);
    let outbound = Outbound::new(&names, &remote.policy()).unwrap();
    let url = |path: &str| Target::parse(&format!("https://remote.example:{}{path}", remote.address.port())).unwrap();
    assert!(outbound.post(call(&url("/echo"), LONG)).await.unwrap().is_success());
    // Fresh connections; the former would be used again.
    outbound.adopt(outbound.prepare(&remote.policy()).unwrap());
    let error = outbound.post(call(&url("/echo"), LONG)).await.unwrap_err();
    assert!(matches!(error, CallError::Misled(_)), "{error:?}");
    assert_eq!(remote.seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let remote = Remote::start().await;
    let outbound = Outbound::new(&env(vec![]), &remote.policy()).unwrap();
    let answer = outbound.post(call(&remote.target("/moved"), LONG)).await.unwrap();
    assert_eq!((answer.status, answer.whole()), (302, Ok(b"moved".as_slice())));
    assert_eq!(remote.seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_ends_at_its_limit_of_bytes_and_of_time() {
    let remote = Remote::start().await;
    let outbound = Outbound::new(&env(vec![]), &remote.policy()).unwrap();
    let big = outbound.post(call(&remote.target("/big"), LONG)).await.unwrap();
    assert_eq!((big.status, big.body.len(), big.whole()), (200, 4096, Err(CallError::AnswerTooLarge)));
    assert_eq!(outbound.post(call(&remote.target("/hangs"), SHORT)).await, Err(CallError::TimedOut));
    let stalled = outbound.post(call(&remote.target("/stalls"), SHORT)).await.unwrap();
    assert_eq!((stalled.status, stalled.body.as_slice()), (200, b"begun".as_slice()));
    assert!(matches!(stalled.whole(), Err(CallError::Broken(_))));
}

#[tokio::test]
async fn one_host_gets_only_its_part_of_the_calls_in_flight() {
    let remote = Remote::start().await;
    let names = env(vec![("remote.example", vec!["127.0.0.1"])]);
    let outbound = Outbound::new(&names, &remote.policy()).unwrap();
    let hanging = remote.target("/hangs");
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT_TO_HOST {
        let (outbound, target) = (outbound.clone(), hanging.clone());
        calls.spawn(async move { outbound.post(call(&target, LONG)).await });
    }
    while remote.seen.load(Ordering::SeqCst) < IN_FLIGHT_TO_HOST {
        remote.arrived.notified().await;
    }
    let one_more = remote.target("/echo");
    assert_eq!(outbound.post(call(&one_more, LONG)).await, Err(CallError::Busy));
    let other = Target::parse(&format!("https://remote.example:{}/echo", remote.address.port())).unwrap();
    assert!(outbound.post(call(&other, LONG)).await.unwrap().is_success());
    calls.shutdown().await;
    assert!(outbound.post(call(&one_more, LONG)).await.unwrap().is_success());
    assert!(outbound.0.by_host.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_server_is_an_error_that_may_pass() {
    // Bound and not listening: refused, and nobody else gets the port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let garbage = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (closed_at, garbage_at) = (closed.local_addr().unwrap(), garbage.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = garbage.accept().await {
            socket.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        }
    });
    let policy = Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], ca_file: None };
    let outbound = Outbound::new(&env(vec![]), &policy).unwrap();
    for (url, wanted) in [
        (format!("https://{closed_at}/s3cret"), "no connection: "),
        (format!("http://{closed_at}/s3cret"), "no connection: "),
        (format!("https://{garbage_at}/s3cret"), "TLS: "),
        (format!("http://{garbage_at}/s3cret"), "the call broke off: "),
    ] {
        let error = outbound.post(call(&Target::parse(&url).unwrap(), LONG)).await.unwrap_err();
        assert!(error.to_string().starts_with(wanted) && error.may_work_later(), "{url}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn a_bad_ca_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let refused = |path: &Path| {
        let policy = Policy { ca_file: Some(path.to_owned()), ..Policy::default() };
        Outbound::new(&env(vec![]), &policy).unwrap_err().to_string()
    };
    assert!(refused(&dir.path().join("none.pem")).contains("none.pem"));
    for content in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, content).unwrap();
        assert!(refused(&file).starts_with(&format!("{}: ", file.display())), "{content}");
    }
}
