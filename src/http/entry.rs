//! Where every request comes in: project, dialect, context; and where every reply gets its common headers.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::{Body, HttpBody};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HOST, ORIGIN, RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use tower::ServiceExt;
use uuid::Uuid;

use super::panics::contained;
use super::{cors, pages, published};
use crate::auth::projects::Selector;
use crate::auth::{Client, Ctx, Error, Project, ProjectSettings, Projects, RequestId};
use crate::dialect::{Dialect, Trouble};
use crate::net::{ClientAddress, LiveLimits, Peer};

/// The one way in for requests from outside.
#[derive(Clone, Debug)]
pub struct Entry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    projects: Arc<Projects>,
    /// Whose forwarded headers are believed is said there.
    limits: LiveLimits,
    /// Routers by dialect and mount path; most projects share the first.
    routers: ArcSwap<Vec<Mounted>>,
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
    /// An entry to `projects` for connections under `limits`, whose trust settles the client's address.
    pub fn new(projects: Arc<Projects>, limits: LiveLimits) -> Self {
        // Only a name for log lines: unpredictable starts keep two runs apart.
        let first_request = u64::from_be_bytes(projects.shared().env.random());
        Self(Arc::new(Inner {
            projects,
            limits,
            routers: ArcSwap::default(),
            first_request,
            requests: AtomicU64::new(0),
        }))
    }

    /// Answers a request.
    pub async fn handle(self, request: Request<Body>) -> Result<Response, Infallible> {
        let count = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let id = RequestId(self.0.first_request.wrapping_add(count));
        let head = request.method() == Method::HEAD;
        let mut reply = self.answer(request, id).await;
        if head {
            reply = without_body(reply);
        }
        let headers = reply.headers_mut();
        headers.insert(X_REQUEST_ID, header_of(id));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        Ok(reply)
    }

    async fn answer(&self, request: Request<Body>, id: RequestId) -> Response {
        let path = request.uri().path();
        match path {
            "/healthz" => return Json(json!({ "status": "ok" })).into_response(),
            "/readyz" => return self.ready(),
            _ => {}
        }
        let headers = request.headers();
        let origin = headers.get(ORIGIN).cloned();
        let named = self.project_of(request.uri(), request.headers()).await;
        if cors::is_preflight(request.method(), headers) {
            return self.preflight(origin.as_ref(), named.ok().as_deref());
        }
        let project = match named {
            Ok(project) => project,
            Err(trouble) => return by_default_mount(path, &trouble),
        };
        let settings = project.settings();
        if path == pages::VERIFY_EMAIL {
            // No script of another origin has any business with it.
            return self.page(request, id, project, &settings).await;
        }
        let mut reply = if published::is_document(path) {
            published::document(request.method(), path, &project).unwrap_or_else(|| unknown(&Trouble::NotFound))
        } else {
            match mounted(&settings, path) {
                Some((dialect, mount)) => self.dispatch(request, id, dialect, mount, project, &settings).await,
                None => unknown(&Trouble::NotFound),
            }
        };
        if origin.is_some() {
            cors::allow(&mut reply, cors::allowed(origin.as_ref(), settings.cors.origins.iter()));
        }
        reply
    }

    /// Whether the open projects' files can be read: who asks may send requests here, or not.
    fn ready(&self) -> Response {
        match self.0.projects.all_open().iter().try_for_each(|project| project.readable()) {
            Ok(()) => Json(json!({ "status": "ok" })).into_response(),
            Err(error) => {
                tracing::warn!(%error, "not ready");
                let body = Json(json!({ "status": "unavailable", "message": "A project's store cannot be read." }));
                (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], body).into_response()
            }
        }
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
        if !settings.enabled {
            return dialect.trouble(&Trouble::ProjectDisabled);
        }
        let ctx = self.ctx(&request, id, dialect, project, settings);
        request.extensions_mut().insert(ctx);
        let router = self.router(dialect, mount);
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let work = contained(router.oneshot(request));
        let done = if reads {
            work.await.ok()
        } else {
            // A change runs to its end even when the client hangs up: half of it must not depend on a connection.
            tokio::spawn(work).await.ok().and_then(Result::ok)
        };
        match done {
            Some(Ok(reply)) => reply,
            Some(Err(never)) => match never {},
            None => {
                tracing::error!(request = %id, "a handler panicked");
                dialect.trouble(&Trouble::Internal)
            }
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
        let locale = self.0.projects.settings().mail.locale.clone();
        let work = async move { Ok::<_, Infallible>(pages::verify_email(&ctx, &locale, request).await) };
        match tokio::spawn(contained(work)).await.ok().and_then(Result::ok) {
            Some(Ok(reply)) => reply,
            Some(Err(never)) => match never {},
            None => {
                tracing::error!(request = %id, "a handler panicked");
                unknown(&Trouble::Internal)
            }
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
        match projects.find(selector).await {
            Ok(found) => found.ok_or(Trouble::UnknownProject),
            Err(error) => {
                tracing::error!(%error, "a project cannot be opened");
                Err(match error {
                    Error::Unwritable(_) => Trouble::Unavailable { retry_after: Duration::from_secs(1) },
                    _ => Trouble::Internal,
                })
            }
        }
    }

    fn preflight(&self, origin: Option<&HeaderValue>, project: Option<&Project>) -> Response {
        // A preflight cannot carry `project-id`: where nothing else names the project, an origin that any project
        // allows may ask; the request itself is then judged by its own project's list.
        match project {
            Some(project) => cors::preflight(cors::allowed(origin, project.settings().cors.origins.iter())),
            None => cors::preflight(cors::allowed(origin, self.0.projects.all_origins().iter())),
        }
    }

    fn router(&self, dialect: Dialect, mount: &str) -> Router {
        let of = |mounted: &&Mounted| mounted.dialect == dialect && mounted.path == mount;
        if let Some(mounted) = self.0.routers.load().iter().find(of) {
            return mounted.router.clone();
        }
        let mounted = Mounted { dialect, path: mount.to_owned(), router: dialect.routes(mount) };
        self.0.routers.rcu(|known| known.iter().chain([&mounted]).cloned().collect::<Vec<_>>());
        mounted.router
    }

    fn client(&self, request: &Request<Body>) -> Client {
        let peer = request.extensions().get::<Peer>();
        let address = match peer {
            Some(peer) => ClientAddress::settle(peer.address, request.headers(), &self.0.limits.current().trust),
            None => ClientAddress::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        };
        // Only kept with a session, which only a change begins.
        let agent = match *request.method() {
            Method::GET | Method::HEAD => None,
            _ => request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned),
        };
        Client { ip: address.ip, group: address.group, agent }
    }
}

const PROJECT_ID: HeaderName = HeaderName::from_static("project-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

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
fn header_of(id: RequestId) -> HeaderValue {
    let mut hex = [0; 16];
    for (digit, shift) in hex.iter_mut().zip((0..16).rev()) {
        *digit = b"0123456789abcdef"[((id.0 >> (4 * shift)) & 15) as usize];
    }
    HeaderValue::from_bytes(&hex).expect("hexadecimal digits may stand in a header")
}

/// The dialect mounted over `path`, and where.
fn mounted<'a>(settings: &'a ProjectSettings, path: &str) -> Option<(Dialect, &'a str)> {
    let mounts = Dialect::ALL.into_iter().filter_map(|dialect| Some((dialect, dialect.mount(settings)?)));
    mounts.filter(|(_, mount)| is_under(path, mount)).max_by_key(|(_, mount)| mount.len())
}

fn is_under(path: &str, mount: &str) -> bool {
    path.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Without a project its mounts are unknown: the dialect whose usual path it is answers.
fn by_default_mount(path: &str, trouble: &Trouble) -> Response {
    let usual = ProjectSettings::named("");
    match mounted(&usual, path) {
        Some((dialect, _)) => dialect.trouble(trouble),
        None => unknown(trouble),
    }
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
        | Trouble::Slow => (StatusCode::NOT_FOUND, "Not found."),
    };
    (status, Json(json!({ "message": message }))).into_response()
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
