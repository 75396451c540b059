//! An ACME server of our own that issues, forgets and refuses when told to. (Proofs of names are tried with a real one:
//! `tests/clients/acme`.)

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{Acme, FIRST_PAUSE, kept};
use crate::config::Acme as AcmeSettings;
use crate::env::Env;
use crate::net::{self, BoundAddress, Limits, LocalCa, Tls};
use crate::testing::TestClock;

const DAY: Duration = Duration::from_secs(86_400);

/// What the server does.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Issues,
    Refuses,
    Garbage,
}

struct Server {
    url: String,
    env: Env,
    mood: Mutex<Mood>,
    names: Mutex<Vec<String>>,
    chain: Mutex<String>,
    accounts: AtomicU32,
    orders: AtomicU32,
    asked: AtomicU32,
}

struct World {
    server: Arc<Server>,
    clock: Arc<TestClock>,
    env: Env,
    dir: tempfile::TempDir,
    settings: AcmeSettings,
    _stop: watch::Sender<bool>,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(TestClock::default());
        let env = Env { clock: Arc::clone(&clock) as _, ..Env::system() };
        let dir = tempfile::tempdir().unwrap();
        let ca = LocalCa::in_memory(&["127.0.0.1"], &Env::system()).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.ca_pem().as_bytes()).unwrap();
        let bound = net::bind(&"127.0.0.1:0".parse().unwrap(), Some(ca.tls())).await.unwrap();
        let BoundAddress::Tcp(address) = bound[0].address() else { unreachable!("a TCP listener") };
        let server = Arc::new(Server {
            url: format!("https://{address}"),
            env: env.clone(),
            mood: Mutex::new(Mood::Issues),
            names: Mutex::default(),
            chain: Mutex::default(),
            accounts: AtomicU32::new(0),
            orders: AtomicU32::new(0),
            asked: AtomicU32::new(0),
        });
        let router = routes(Arc::clone(&server));
        let service = tower::service_fn(move |request: Request<Body>| router.clone().oneshot(request));
        let (stop, mut stopped) = watch::channel(false);
        tokio::spawn(async move {
            net::serve(bound, Limits::with_connections(16), service, async move {
                let _ = stopped.wait_for(|set| *set).await;
            })
            .await
        });
        let settings = AcmeSettings {
            domains: vec!["auth.example.com".into()],
            contact: vec!["ops@example.com".into()],
            directory_url: format!("{}/dir", server.url),
            ca_file: Some(dir.path().join("ca.pem")),
            eab: None,
        };
        Self { server, clock, env, dir, settings, _stop: stop }
    }

    /// What a start does.
    fn acme(&self) -> Acme {
        let identity = match kept(&self.home(), &self.settings, self.env.now()).unwrap() {
            Some(kept) => kept,
            None => LocalCa::in_memory(&["auth.example.com"], &self.env).unwrap().tls().identity(),
        };
        Acme::new(self.home(), Tls::new(identity, &self.env).unwrap(), None)
    }

    fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("acme")
    }

    fn mood(&self, mood: Mood) {
        *self.server.mood.lock().unwrap() = mood;
    }

    fn orders(&self) -> u32 {
        self.server.orders.load(Ordering::SeqCst)
    }
}

fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/dir", get(directory))
        .route("/nonce", any(async |State(server): State<Arc<Server>>| answer(&server, StatusCode::OK, &json!({}))))
        .route("/account", any(account))
        .route("/new-order", any(new_order))
        .route("/order", any(async |State(server): State<Arc<Server>>| order(&server, StatusCode::OK)))
        .route("/proved", any(proved))
        .route("/finalize", any(finalize))
        .route("/chain", any(chain))
        .with_state(server)
}

fn answer(server: &Server, status: StatusCode, body: &Value) -> Response {
    let mut reply = (status, axum::Json(body)).into_response();
    reply.headers_mut().insert("replay-nonce", HeaderValue::from_static("n"));
    let location = HeaderValue::try_from(format!("{}/order", server.url)).unwrap();
    reply.headers_mut().insert("location", location);
    reply
}

fn problem(server: &Server, status: StatusCode, kind: &str, detail: &str) -> Response {
    answer(server, status, &json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail }))
}

async fn directory(State(server): State<Arc<Server>>) -> Response {
    server.asked.fetch_add(1, Ordering::SeqCst);
    let at = |path: &str| format!("{}/{path}", server.url);
    match *server.mood.lock().unwrap() {
        Mood::Garbage => "<html>".into_response(),
        Mood::Issues | Mood::Refuses => answer(
            &server,
            StatusCode::OK,
            &json!({ "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("new-order"),
                "revokeCert": at("revoke"), "keyChange": at("key") }),
        ),
    }
}

async fn account(State(server): State<Arc<Server>>) -> Response {
    server.accounts.fetch_add(1, Ordering::SeqCst);
    answer(&server, StatusCode::CREATED, &json!({ "status": "valid" }))
}

async fn new_order(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    if *server.mood.lock().unwrap() == Mood::Refuses {
        return problem(&server, StatusCode::TOO_MANY_REQUESTS, "rateLimited", "too many certificates");
    }
    if server.accounts.load(Ordering::SeqCst) == 0 {
        return problem(&server, StatusCode::BAD_REQUEST, "accountDoesNotExist", "who are you");
    }
    server.orders.fetch_add(1, Ordering::SeqCst);
    let wanted = payload(&body);
    let names = wanted["identifiers"].as_array().unwrap().iter();
    *server.names.lock().unwrap() = names.map(|name| name["value"].as_str().unwrap().to_owned()).collect();
    server.chain.lock().unwrap().clear();
    order(&server, StatusCode::CREATED)
}

fn order(server: &Server, status: StatusCode) -> Response {
    let done = !server.chain.lock().unwrap().is_empty();
    let names = server.names.lock().unwrap().clone();
    let at = |path: &str| format!("{}/{path}", server.url);
    let identifiers: Vec<_> = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    let body = json!({ "status": if done { "valid" } else { "ready" }, "identifiers": identifiers,
        "authorizations": [at("proved")], "finalize": at("finalize"), "certificate": done.then(|| at("chain")) });
    answer(server, status, &body)
}

async fn proved(State(server): State<Arc<Server>>) -> Response {
    let name = server.names.lock().unwrap()[0].clone();
    let body = json!({ "status": "valid", "identifier": { "type": "dns", "value": name }, "challenges": [] });
    answer(&server, StatusCode::OK, &body)
}

async fn finalize(State(server): State<Arc<Server>>, body: Bytes) -> Response {
    let request = URL_SAFE_NO_PAD.decode(payload(&body)["csr"].as_str().unwrap()).unwrap();
    let mut request = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
    let begin = date_time_ymd(1970, 1, 1) + Duration::from_secs(server.env.now().secs());
    (request.params.not_before, request.params.not_after) = (begin, begin + 90 * DAY);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    *server.chain.lock().unwrap() = request.signed_by(&authority).unwrap().pem();
    order(&server, StatusCode::OK)
}

async fn chain(State(server): State<Arc<Server>>) -> Response {
    let chain = server.chain.lock().unwrap().clone();
    ([("replay-nonce", "n"), ("content-type", "application/pem-certificate-chain")], chain).into_response()
}

/// What a signed request says (RFC 8555, section 6.2). Its signature is for a real server to check.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_certificate_is_ordered_kept_and_renewed_in_time() {
    let world = World::new().await;
    let acme = world.acme();
    assert!(acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert_eq!(acme.tls.identity().names(), ["auth.example.com".to_owned()].into());
    assert!(!acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert_eq!(world.orders(), 1);

    // A new start serves what was kept, and orders nothing; nobody but the owner may read it.
    let acme = world.acme();
    assert!(!acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert_eq!(world.orders(), 1);
    for file in files(&world.home()) {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }

    world.clock.advance(59 * DAY);
    assert!(!acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    world.clock.advance(2 * DAY);
    let before = acme.tls.identity();
    assert!(acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert!(!acme.tls.identity().is_same(&before));
    assert_eq!((world.orders(), world.server.accounts.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn other_names_and_another_server_want_another_certificate() {
    let mut world = World::new().await;
    let acme = world.acme();
    acme.renew_if_due(&world.settings, &world.env).await.unwrap();
    world.settings.domains.push("login.example.com".into());
    assert!(acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    let both = ["auth.example.com".to_owned(), "login.example.com".to_owned()];
    assert_eq!(acme.tls.identity().names(), both.into());
    let first = world.settings.directory_url.clone();
    world.settings.directory_url.push('?');
    assert!(acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert_eq!((world.orders(), world.server.accounts.load(Ordering::SeqCst)), (3, 2));
    // Back at the first one, its certificate is still there.
    world.settings.directory_url = first;
    assert!(acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert_eq!(world.orders(), 3);
}

#[tokio::test]
async fn a_server_that_refuses_changes_nothing_and_is_not_pressed() {
    let world = World::new().await;
    let acme = world.acme();
    acme.renew_if_due(&world.settings, &world.env).await.unwrap();
    let served = acme.tls.identity();
    world.clock.advance(61 * DAY);
    world.mood(Mood::Refuses);
    let error = acme.renew_if_due(&world.settings, &world.env).await.unwrap_err().to_string();
    assert!(error.contains("too many certificates"), "{error}");
    let standing = acme.standing();
    assert_eq!((standing.failures, standing.failure.as_deref()), (1, Some(error.as_str())));
    assert!(acme.tls.identity().is_same(&served));

    // Within the pause nobody is asked.
    let asked = world.server.asked.load(Ordering::SeqCst);
    world.clock.advance(FIRST_PAUSE - Duration::from_secs(1));
    assert!(!acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert_eq!(world.server.asked.load(Ordering::SeqCst), asked);
    world.clock.advance(Duration::from_secs(1));
    world.mood(Mood::Garbage);
    acme.renew_if_due(&world.settings, &world.env).await.unwrap_err();
    let standing = acme.standing();
    assert_eq!((standing.failures, standing.pause_until.since(world.env.now())), (2, 2 * FIRST_PAUSE));
    assert!(acme.tls.identity().is_same(&served));

    // The operator says that something has changed.
    world.mood(Mood::Issues);
    acme.forget_failures();
    assert!(acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert_eq!(*acme.standing(), super::Standing::default());
    assert!(!acme.tls.identity().is_same(&served));
}

#[tokio::test]
async fn an_account_the_server_forgot_is_made_anew() {
    let world = World::new().await;
    let acme = world.acme();
    acme.renew_if_due(&world.settings, &world.env).await.unwrap();
    world.server.accounts.store(0, Ordering::SeqCst);
    world.clock.advance(61 * DAY);
    assert!(acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert_eq!(world.server.accounts.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_not_trusted_is_told_in_words() {
    let mut world = World::new().await;
    let acme = world.acme();
    world.settings.ca_file = None;
    let error = acme.renew_if_due(&world.settings, &world.env).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    acme.forget_failures();
    world.settings.directory_url = "https://127.0.0.1:1/dir".into();
    let error = acme.renew_if_due(&world.settings, &world.env).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
    acme.forget_failures();
    world.settings.ca_file = Some(world.dir.path().join("absent.pem"));
    let error = acme.renew_if_due(&world.settings, &world.env).await.unwrap_err().to_string();
    assert!(error.contains("absent.pem"), "{error}");
}

#[tokio::test]
async fn a_damaged_certificate_is_ordered_anew() {
    let world = World::new().await;
    world.acme().renew_if_due(&world.settings, &world.env).await.unwrap();
    let file = files(&world.home()).into_iter().find(|file| file.ends_with("certificate.pem")).unwrap();
    std::fs::write(&file, "half").unwrap();
    assert!(kept(&world.home(), &world.settings, world.env.now()).is_err());
    let identity = LocalCa::in_memory(&["auth.example.com"], &world.env).unwrap().tls().identity();
    let acme = Acme::new(world.home(), Tls::new(identity, &world.env).unwrap(), None);
    assert!(acme.renew_if_due(&world.settings, &world.env).await.unwrap());
    assert!(kept(&world.home(), &world.settings, world.env.now()).unwrap().is_some());
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
