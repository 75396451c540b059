//! Where every request comes in: project, dialect, context; and where every reply gets its common headers.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::body::{Body, HttpBody};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HOST, ORIGIN, RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use tokio::time::timeout;
use tower::ServiceExt;
use uuid::Uuid;

use super::health::Health;
use super::panics::contained;
use super::scope::{self, NoteRoute};
use super::{cors, pages, published};
use crate::auth::projects::Selector;
use crate::auth::{Client, Ctx, Error, Project, ProjectSettings, Projects, RequestId, limits};
use crate::dialect::{Asked, CorsManner, Dialect, Trouble};
use crate::net::{ClientAddress, LiveLimits, Peer, is_secure};

/// The one way in for requests from outside.
#[derive(Clone, Debug)]
pub struct Entry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    projects: Arc<Projects>,
    health: Health,
    /// Whose forwarded headers are believed is said there.
    limits: LiveLimits,
    /// Routers by dialect and mount path; most projects share the first.
    routers: ArcSwap<Vec<Mounted>>,
    documents: published::Documents,
    first_request: u64,
    requests: AtomicU64,
}

#[derive(Clone, Debug)]
struct Mounted {
    dialect: Dialect,
    path: String,
    router: Router,
}

impl Entry {
    /// An entry to `projects` for connections under `limits`, whose trust settles the client's address; whoever asks how
    /// the server does is told by `health`.
    pub fn new(projects: Arc<Projects>, limits: LiveLimits, health: Health) -> Self {
        // Only a name for log lines: unpredictable starts keep two runs apart.
        let first_request = u64::from_be_bytes(projects.shared().env.random());
        Self(Arc::new(Inner {
            projects,
            health,
            limits,
            routers: ArcSwap::default(),
            documents: published::Documents::default(),
            first_request,
            requests: AtomicU64::new(0),
        }))
    }

    /// Answers a request.
    pub async fn handle(self, request: Request<Body>) -> Result<Response, Infallible> {
        let begun = Instant::now();
        let id = self.name(&request);
        let header = header_of(&id);
        let method = request.method().clone();
        let mut reply = scope::within(id.clone(), async {
            let reply = self.answer(request, id).await;
            self.note(&method, reply.status(), begun.elapsed());
            reply
        })
        .await;
        if method == Method::HEAD {
            reply = without_body(reply);
        }
        let headers = reply.headers_mut();
        headers.insert(X_REQUEST_ID, header);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        Ok(reply)
    }

    /// The request's name: one a trusted proxy gave it, else our own. A stranger's would let him write into the log what
    /// another request did.
    fn name(&self, request: &Request<Body>) -> RequestId {
        let count = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let number = self.0.first_request.wrapping_add(count);
        let trusted = || {
            let peer = request.extensions().get::<Peer>();
            peer.is_some_and(|peer| self.0.limits.current().trust.includes(peer.address))
        };
        match request.headers().get(X_REQUEST_ID) {
            Some(given) if trusted() => RequestId::given(number, given.as_bytes()),
            _ => RequestId::new(number),
        }
    }

    /// Counts an answer, and tells of it: what went wrong or took long by itself, the rest to whoever listens closely.
    /// Paths are not told, for they may hold what only the client should know; templates of routes are.
    fn note(&self, method: &Method, status: StatusCode, took: Duration) {
        let route = scope::route().unwrap_or_else(|| self.0.projects.shared().metrics.requests.at("server", "other"));
        route.answered(status.as_u16(), took);
        let (status, took_ms) = (status.as_u16(), took.as_millis());
        let (dialect, route) = (route.dialect, route.template.as_str());
        if status >= 500 && status != 503 {
            tracing::warn!(%method, dialect, route, status, took_ms, "answered");
        } else if status == 503 || took >= SLOW {
            tracing::info!(%method, dialect, route, status, took_ms, "answered");
        } else {
            tracing::debug!(%method, dialect, route, status, took_ms, "answered");
        }
    }

    /// Says that the request is for one of the server's own paths.
    fn is_for(&self, path: &'static str) {
        scope::set_route(Some(self.0.projects.shared().metrics.requests.at("server", path)));
    }

    async fn answer(&self, request: Request<Body>, id: RequestId) -> Response {
        let path = request.uri().path();
        match path {
            // The second is what Nora's clients ask.
            "/healthz" | "/health" => {
                self.is_for("/healthz");
                return Json(json!({ "status": "ok" })).into_response();
            }
            "/readyz" => {
                self.is_for("/readyz");
                return self.0.health.report().brief();
            }
            _ => {}
        }
        let headers = request.headers();
        let origin = headers.get(ORIGIN).cloned();
        let named = self.project_of(request.uri(), request.headers()).await;
        let here = named.as_ref().ok().map(|project| project.settings());
        if let Some(reply) = self.preflight(&request, here.as_deref()) {
            return reply;
        }
        let project = match named {
            Ok(project) => project,
            Err(trouble) => return by_default_mount(path, &trouble, id, headers),
        };
        let settings = project.settings();
        if path == pages::VERIFY_EMAIL {
            // No script of another origin has any business with it.
            return Box::pin(self.page(request, id, project, &settings)).await;
        }
        let manner = mounted(&settings, path).map_or(CorsManner::Listed, |(dialect, _)| dialect.cors().manner);
        let mut reply = if published::is_document(path) {
            let document = self.0.documents.document(request.method(), path, &project);
            document.unwrap_or_else(|| unknown(&Trouble::NotFound))
        } else {
            match mounted(&settings, path) {
                Some((dialect, mount)) => self.dispatch(request, id, dialect, mount, project, &settings).await,
                None => unknown(&Trouble::NotFound),
            }
        };
        // Also where no page asked: what a cache keeps of this must not be given to one that does.
        let origins = &settings.cors.origins;
        cors::allow(manner, &mut reply, cors::allowed(manner, origin.as_ref(), origins, origins.is_empty()));
        reply
    }

    async fn dispatch(
        &self,
        mut request: Request<Body>,
        id: RequestId,
        dialect: Dialect,
        mount: &str,
        project: Arc<Project>,
        settings: &Arc<ProjectSettings>,
    ) -> Response {
        let correlation = request.headers().get(X_CORRELATION_ID).cloned();
        let client = self.client(&request);
        let always_tls = client.secure && settings.public_url.as_deref().is_some_and(is_public);
        let mut asked = Asked { id: id.clone(), correlation: correlation.as_ref(), standing: None, always_tls };
        let mut reply = if settings.enabled {
            let now = project.env().now();
            project.touch(now);
            let settings = Arc::clone(settings);
            let ctx = Ctx { rules: dialect.rules(&settings), settings, client, project, now, request_id: id.clone() };
            let changes = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH | Method::DELETE);
            match limits::request(&ctx, changes) {
                Ok(standing) => {
                    asked.standing = standing;
                    request.extensions_mut().insert(ctx);
                    self.run(request, id, dialect, mount).await
                }
                Err(standing) => {
                    asked.standing = Some(standing);
                    dialect.trouble(&Trouble::TooManyRequests(standing))
                }
            }
        } else {
            dialect.trouble(&Trouble::ProjectDisabled)
        };
        dialect.finish(&mut reply, &asked);
        reply
    }

    /// Hands a request to its dialect's router.
    async fn run(&self, request: Request<Body>, id: RequestId, dialect: Dialect, mount: &str) -> Response {
        let router = self.router(dialect, mount);
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let done = if reads {
            contained(router.oneshot(request)).await.ok()
        } else {
            // A change runs to its end even when the client hangs up: half of it must not depend on a connection.
            let work = scope::within(id, async { (contained(router.oneshot(request)).await, scope::route()) });
            tokio::spawn(work).await.ok().and_then(|(done, route)| {
                scope::set_route(route);
                done.ok()
            })
        };
        match done {
            Some(Ok(reply)) => reply,
            Some(Err(never)) => match never {},
            // The panic was logged where it happened, once, with the request's name.
            None => dialect.trouble(&Trouble::Internal),
        }
    }

    /// A page for people.
    async fn page(
        &self,
        request: Request<Body>,
        id: RequestId,
        project: Arc<Project>,
        settings: &Arc<ProjectSettings>,
    ) -> Response {
        if !settings.enabled {
            return unknown(&Trouble::NotFound);
        }
        // What a page does, every dialect does in the same way.
        let ctx = self.ctx(&request, id, Dialect::Noma, project, settings);
        if let Err(standing) = limits::request(&ctx, *request.method() == Method::POST) {
            return unknown(&Trouble::TooManyRequests(standing));
        }
        let locale = self.0.projects.settings().mail.locale.clone();
        let work = async move { Ok::<_, Infallible>(pages::verify_email(&ctx, &locale, request).await) };
        match tokio::spawn(contained(work)).await.ok().and_then(Result::ok) {
            Some(Ok(reply)) => reply,
            Some(Err(never)) => match never {},
            // The panic was logged where it happened.
            None => unknown(&Trouble::Internal),
        }
    }

    fn ctx(
        &self,
        request: &Request<Body>,
        id: RequestId,
        dialect: Dialect,
        project: Arc<Project>,
        settings: &Arc<ProjectSettings>,
    ) -> Ctx {
        let now = project.env().now();
        project.touch(now);
        Ctx {
            rules: dialect.rules(settings),
            settings: Arc::clone(settings),
            client: self.client(request),
            project,
            now,
            request_id: id,
        }
    }

    /// The project a request is for: by header, by host name, or the only one.
    async fn project_of(&self, uri: &Uri, headers: &HeaderMap) -> Result<Arc<Project>, Trouble> {
        let projects = &self.0.projects;
        let host;
        let selector = match headers.get(PROJECT_ID) {
            Some(value) => {
                let id = value.to_str().ok().and_then(|text| Uuid::try_parse(text.trim()).ok());
                Selector::Id(id.ok_or(Trouble::UnknownProject)?)
            }
            None => {
                host = host_of(uri, headers);
                let linked = pages::project_in(uri);
                match host.as_deref().map(Selector::Host) {
                    Some(by_host) if projects.knows(by_host) => by_host,
                    _ if projects.count() == 1 => Selector::Only,
                    _ if linked.is_some() => Selector::Id(linked.unwrap_or_default()),
                    _ => return Err(Trouble::NoProject),
                }
            }
        };
        if let Some(project) = projects.find_open(selector) {
            return Ok(project);
        }
        // In a box of its own, as all that few requests come to: where the state of every request has room for it, it is
        // moved about with each of them.
        match timeout(OPENING, Box::pin(projects.find(selector))).await {
            Ok(Ok(found)) => found.ok_or(Trouble::UnknownProject),
            // It goes on without whoever asked.
            Err(_) => {
                tracing::warn!("a project is still being opened: its file is large and is checked or upgraded");
                Err(Trouble::Unavailable { retry_after: Duration::from_secs(5) })
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a project cannot be opened");
                Err(match error {
                    Error::Unwritable(_) => Trouble::Unavailable { retry_after: Duration::from_secs(1) },
                    _ => Trouble::Internal,
                })
            }
        }
    }

    /// The answer to a preflight.
    fn preflight(&self, request: &Request<Body>, here: Option<&ProjectSettings>) -> Option<Response> {
        if *request.method() != Method::OPTIONS {
            return None;
        }
        let path = request.uri().path();
        let dialect_of =
            |settings: &ProjectSettings| mounted(settings, path).map_or(Dialect::Noma, |(dialect, _)| dialect);
        let cors = here.map_or_else(|| dialect_of(&ProjectSettings::named("")), dialect_of).cors();
        let (headers, projects) = (request.headers(), &self.0.projects);
        let origin = headers.get(ORIGIN);
        // A preflight cannot carry `project-id`: where nothing else names the project, an origin that any project
        // allows may ask; the request itself is then judged by its own project's list.
        let allowed = match here.map(|settings| &settings.cors.origins) {
            Some(origins) => cors::allowed(cors.manner, origin, origins, origins.is_empty()),
            None => cors::allowed(cors.manner, origin, &projects.all_origins(), projects.any_lists_no_origin()),
        };
        cors::is_preflight(cors.manner, request.method(), headers).then(|| cors::preflight(cors, headers, allowed))
    }

    fn router(&self, dialect: Dialect, mount: &str) -> Router {
        let of = |mounted: &&Mounted| mounted.dialect == dialect && mounted.path == mount;
        if let Some(mounted) = self.0.routers.load().iter().find(of) {
            return mounted.router.clone();
        }
        let metrics = Arc::clone(&self.0.projects.shared().metrics);
        let note = NoteRoute { dialect: dialect.name(), mount: mount.into(), metrics };
        let mounted = Mounted { dialect, path: mount.to_owned(), router: dialect.routes(mount).layer(note) };
        self.0.routers.rcu(|known| known.iter().chain([&mounted]).cloned().collect::<Vec<_>>());
        mounted.router
    }

    fn client(&self, request: &Request<Body>) -> Client {
        let peer = request.extensions().get::<Peer>();
        let (headers, limits) = (request.headers(), self.0.limits.current());
        let trust = &limits.trust;
        let address = match peer {
            Some(peer) => ClientAddress::settle(peer.address, headers, trust),
            None => ClientAddress::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        };
        let secure = peer.is_some_and(|peer| is_secure(peer, headers, trust));
        // Only kept with a session, which only a change begins.
        let agent = match *request.method() {
            Method::GET | Method::HEAD => None,
            _ => headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned),
        };
        Client { ip: address.ip, group: address.group, agent, secure }
    }
}

const PROJECT_ID: HeaderName = HeaderName::from_static("project-id");
const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// How long a request waits for a project that is being opened.
const OPENING: Duration = Duration::from_secs(10);

/// An answer that took longer is told of.
const SLOW: Duration = Duration::from_secs(3);

/// What GET would be answered, without its body (RFC 9110, section 9.3.2): over HTTP/2 nobody else takes it away.
fn without_body(mut reply: Response) -> Response {
    if let Some(length) = reply.body().size_hint().exact() {
        // Where a router took the body away, it said the length before.
        reply.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
    *reply.body_mut() = Body::empty();
    reply
}

/// A request's name as a header.
fn header_of(id: &RequestId) -> HeaderValue {
    if let Some(given) = id.given_name().and_then(|name| HeaderValue::from_str(name).ok()) {
        return given;
    }
    let mut hex = [0; 16];
    for (digit, shift) in hex.iter_mut().zip((0..16).rev()) {
        *digit = b"0123456789abcdef"[((id.number() >> (4 * shift)) & 15) as usize];
    }
    HeaderValue::from_bytes(&hex).expect("hexadecimal digits may stand in a header")
}

/// The dialect mounted over `path`, and where.
fn mounted<'a>(settings: &'a ProjectSettings, path: &str) -> Option<(Dialect, &'a str)> {
    Dialect::ALL
        .into_iter()
        .flat_map(|dialect| dialect.mounts(settings).map(move |mount| (dialect, mount)))
        .filter(|(_, mount)| is_under(path, mount))
        .max_by_key(|(_, mount)| mount.len())
}

fn is_under(path: &str, mount: &str) -> bool {
    path.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Without a project its mounts are unknown: the dialect whose usual path it is answers.
fn by_default_mount(path: &str, trouble: &Trouble, id: RequestId, headers: &HeaderMap) -> Response {
    let usual = ProjectSettings::named("");
    let Some((dialect, _)) = mounted(&usual, path) else { return unknown(trouble) };
    let mut reply = dialect.trouble(trouble);
    let correlation = headers.get(X_CORRELATION_ID);
    dialect.finish(&mut reply, &Asked { id, correlation, standing: None, always_tls: false });
    reply
}

/// Whether a URL is of TLS and of another name than the local machine's.
fn is_public(url: &str) -> bool {
    let is_local = |host: &str| ["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local));
    url.strip_prefix("https://").is_some_and(|host| !is_local(host))
}

/// The reply where no dialect is.
fn unknown(trouble: &Trouble) -> Response {
    let (status, message) = match trouble {
        Trouble::NoProject => (StatusCode::BAD_REQUEST, "Project header missing."),
        Trouble::UnknownProject => (StatusCode::NOT_FOUND, "Project not found."),
        Trouble::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "The service is busy. Try again shortly."),
        Trouble::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Server error."),
        Trouble::ProjectDisabled
        | Trouble::NotFound
        | Trouble::MethodNotAllowed
        | Trouble::TooLarge
        | Trouble::TooManyRequests(_)
        | Trouble::Slow => (StatusCode::NOT_FOUND, "Not found."),
    };
    let body = match scope::request().filter(|_| status.is_server_error()) {
        Some(request) => json!({ "message": message, "request_id": request.to_string() }),
        None => json!({ "message": message }),
    };
    (status, Json(body)).into_response()
}

/// The reply to a request that is refused before it has a project, a dialect or a name: readable by the clients of every
/// dialect, some of which look for `message` and some for `error`.
pub fn refusal(status: StatusCode) -> Response {
    let (message, error) = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("The request's headers are too large.", "request_header_fields_too_large")
        }
        StatusCode::SERVICE_UNAVAILABLE => ("The service is busy. Try again shortly.", "service_unavailable"),
        _ => ("The request was refused.", "refused"),
    };
    let body = Json(json!({ "message": message, "error": error, "status": status.as_u16() }));
    let mut reply = (status, body).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// The host name a request is for, lower-case, without port.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    // HTTP/2 has it in the URI, HTTP/1.1 in the header.
    let text = match uri.host() {
        Some(host) => host.to_owned(),
        None => header_host(headers)?,
    };
    Some(text.trim_end_matches('.').to_ascii_lowercase())
}

fn header_host(headers: &HeaderMap) -> Option<String> {
    let authority: axum::http::uri::Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
    Some(authority.host().to_owned())
}
