//! Somebody else's HTTPS server: a webhook's target, a bot check's service. Real TLS, in process; answers as the test says.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use keystead::env::Env;
use keystead::net::{self, BoundAddress, Limits, ListenAddress, LocalCa};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A server that others call.
pub struct Receiver {
    url: String,
    ca_file: String,
    answer: Arc<Mutex<Answer>>,
    requests: UnboundedReceiver<Received>,
    _dir: tempfile::TempDir,
}

/// A request as it came in.
#[derive(Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// How the server answers from now on.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With a status and a body.
    Says(u16, String),
    /// Never.
    Hangs,
    /// With a status of success and a body without an end.
    Floods,
}

impl Receiver {
    pub async fn start(answer: Answer) -> Self {
        let ca = LocalCa::in_memory::<&str>(&[], &Env::system()).expect("a certificate");
        let dir = tempfile::tempdir().expect("a folder");
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, ca.ca_pem().as_bytes()).expect("a file");
        let listen = ListenAddress::Tcp { host: "127.0.0.1".into(), port: 0 };
        let bound = net::bind(&listen, Some(ca.tls())).await.expect("a listener");
        let address = bound.iter().find_map(|bound| match bound.address() {
            BoundAddress::Tcp(address) => Some(*address),
            BoundAddress::Unix(_) => None,
        });
        let address = address.expect("a TCP listener");
        let url = format!("https://{address}");
        let (sender, requests) = unbounded_channel();
        let answer = Arc::new(Mutex::new(answer));
        let service = {
            let answer = Arc::clone(&answer);
            tower::service_fn(move |request| serve(request, sender.clone(), Arc::clone(&answer)))
        };
        tokio::spawn(net::serve(bound, Limits::with_connections(256), service, std::future::pending()));
        Self { url, ca_file: ca_file.to_string_lossy().into_owned(), answer, requests, _dir: dir }
    }

    /// Where it listens, with a path behind.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What a server needs to be allowed to call it.
    pub fn settings(&self) -> [(&'static str, &str); 2] {
        [("OUTBOUND__ALLOW", "127.0.0.1"), ("OUTBOUND__CA_FILE", &self.ca_file)]
    }

    /// Answers like this from now on.
    pub fn answers(&self, answer: Answer) {
        *self.answer.lock().expect("no panic inside") = answer;
    }

    /// The next request, as soon as it is there.
    pub async fn next(&mut self) -> Received {
        self.requests.recv().await.expect("the server holds a sender")
    }

    /// A request that is there already.
    pub fn at_hand(&mut self) -> Option<Received> {
        self.requests.try_recv().ok()
    }
}

impl Received {
    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).ok_or(name).expect("a header of that name").to_str().expect("text")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

async fn serve(
    request: Request<Body>,
    sender: UnboundedSender<Received>,
    answer: Arc<Mutex<Answer>>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes().to_vec();
    let answer = answer.lock().expect("no panic inside").clone();
    // The test has ended when nobody listens.
    let _ = sender.send(Received {
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: parts.headers,
        body,
    });
    let response = match answer {
        Answer::Says(status, body) => Response::builder().status(status).body(Body::from(body)),
        Answer::Hangs => std::future::pending().await,
        Answer::Floods => Response::builder().status(200).body(Body::new(Flood)),
    };
    Ok(response.expect("a response"))
}

/// A body without an end.
struct Flood;

impl hyper::body::Body for Flood {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Infallible>>> {
        let piece = bytes::Bytes::from_static(&[b' '; 4096]);
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(piece))))
    }
}
