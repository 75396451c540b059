//! The operator's API: JSON over HTTP on the control socket, and in process for the command line.
//!
//! | method and path below `/v1` | body or query | answer |
//! |---|---|---|
//! | `GET /projects` | `?after=ID&limit=N` | `{"projects": [Project], "next": ID or null}` |
//! | `POST /projects` | `{"slug", "id"?, "settings"?: {KEY: VALUE}}` | 201 `Project` with `settings` |
//! | `GET /projects/P` | | `Project` with `settings` |
//! | `DELETE /projects/P` | | `Project` |
//! | `GET /projects/P/users` | `?after=ID&limit=N` | `{"users": [User], "next": ID or null}` |
//! | `POST /projects/P/users` | `{"email", "password"?, "password_hash"?, "display_name"?, "verified"?, "role"?, "metadata"?}` | 201 `User` |
//! | `POST /projects/P/users/import` | `{"accounts": [{"line", "email", "id"?, "password_hash"?, "display_name"?, "role"?, "avatar"?, "locale"?, "created_at"?, "verified"?, "disabled"?, "metadata"?, "is_anonymous"?, "default_role"?, "roles"?: [ROLE], "phone"?, "phone_verified"?, "sessions"?: [{"digest", "created_at"?, "expires_at"}], "personal_tokens"?: [{"digest", "id"?, "created_at"?, "expires_at", "metadata"?}], "identities"?: [{"provider", "id"}]}], "skip_invalid"?, "verified"?}` | `{"made": N, "present": N, "sessions": N, "personal_tokens": N, "identities": N, "refused": [{"line", "reason"}]}` |
//! | `GET /projects/P/users/WHO`, `DELETE` | | `User` |
//! | `POST /projects/P/users/WHO/disable`, `/enable` | | `User` |
//! | `PUT /projects/P/users/WHO/password` | `{"password"?, "password_hash"?}` | `User` |
//! | `PUT /projects/P/users/WHO/role` | `{"role": "user" or "admin"}` | `User` |
//! | `DELETE /projects/P/users/WHO/sessions` | | `{"revoked": N}` |
//! | `POST /projects/P/unlock` | `{"email"}` | `{"counters": N}` |
//! | `GET /projects/P/sessions` | `?user=WHO&after=ID&limit=N` | `{"sessions": [Session], "next": ID or null}` |
//! | `DELETE /projects/P/sessions/ID` | | `{"revoked": 1}` |
//! | `GET /projects/P/keys` | | `{"keys": [Key]}` |
//! | `GET /export` | `?projects=P,P&secrets=true` | JSON lines: all that projects hold ([`crate::data::portable`]) |
//! | `POST /import` | `?project=P&slug=SLUG&new_id=true&dry_run=true`; such lines | `{"projects": [{"id", "slug", "written": {TYPE: N}, "left_out": {TYPE: N}}], "dry_run"}` |
//! | `GET /backup` | `?projects=P,P` | a tar: projects as of one moment ([`crate::backup`]) |
//! | `POST /restore` | `?project=P&as_new=true&slug=SLUG&replace=true&end_sessions=true`; such a tar | `{"moment", "projects": [{"id", "slug", "was", "kept"}]}` |
//! | `POST /reload` | | `{"changed": [KEY], "needs_restart": [KEY], "made": [SLUG], "undeclared": [SLUG], "new_certificate"}` |
//! | `GET /config` | | `{"settings": [{"key", "value", "source"}]}` |
//! | `GET /findings` | | `{"findings": [{"severity", "what", "why", "remedy"}]}` |
//! | `POST /projects/P/keys/rotate` | `{"overlap"?: "24h"}` | 201 `Key`, the one that signs now, with `"jwt"`: the one for JWTs that other services check, or null |
//! | `GET /projects/P/audit` | `?after=SEQ&limit=N&last=N&since=MOMENT&address=EMAIL` | `{"entries": [Entry], "next": SEQ or null, "end": SEQ}` |
//! | `GET /projects/P/audit/verify` | `?expect=SEQ:HASH` | `{"ok", "entries", "first", "head": {"seq", "hash"}, "broken_at", "reason"}` |
//! | `GET /projects/P/outbox` | `?state=waiting\|dead&after=ID&limit=N` | `{"items": [Item], "next": ID or null, "waiting": N, "dead": N}` |
//! | `POST /projects/P/outbox/resend` | | `{"resent": N}`: every dead letter that still can work is tried anew |
//! | `GET /projects/P/outbox/ID` | | `Item`, without what it says |
//! | `GET /projects/P/outbox/ID/mail` | | what a mail says, the link and the code in it too |
//! | `POST /projects/P/outbox/ID/resend` | | `Item`: tried now |
//! | `DELETE /projects/P/outbox/ID` | | `{"dropped": 1}` |
//! | `GET /projects/P/webhooks` | | `{"webhooks": [Webhook]}` |
//! | `POST /projects/P/webhooks/NAME/test` | | `{"ok", "status", "answer", "error", "milliseconds"}` |
//! | `GET /health` | | `{"status", "checks": {NAME: {"status", "detail"}}}`, of a running server only |
//!
//! Beside them, without `/v1`, `GET /metrics` is OpenMetrics text.
//!
//! A server that `serve --ephemeral` has begun also answers, not below `/v1`:
//!
//! | method and path | body or query | answer |
//! |---|---|---|
//! | `GET /testing/clock` | | `{"now"}` |
//! | `POST /testing/clock` | `{"advance": "15m"}` | `{"now"}`, the new time |
//! | `GET /testing/mailbox` | `?to=ADDRESS&wait=10s&count=N` | the mails, newest last; waits until there are `N` (1) |
//! | `DELETE /testing/mailbox` | `?to=ADDRESS` | `{"deleted": N}` |
//!
//! `P` is a slug or an id, `WHO` an address or an id. Every error is `{"error": {"code", "message"}}`, every moment
//! RFC 3339 in UTC. Lists go by id, oldest first; `next` is the `after` of the next page.
//!
//! Whoever may open the socket and is the server's own user or root may do everything. Nothing is decided here: a
//! handler parses, calls one verb of `auth`, and says what came of it.

mod audit;
mod backup;
mod error;
mod host;
mod import;
mod input;
mod keys;
mod outbox;
mod portable;
mod projects;
mod sessions;
mod testing;
#[cfg(test)]
mod tests;
mod users;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};

use crate::auth::projects::Selector;
use crate::auth::{Error, Project, Projects};
use crate::env::Timestamp;
use crate::http::Watch;
use crate::net::PeerUid;
use error::Refusal;
pub use host::{Finding, Host, NotReloaded, Reloaded, Severity, Work};
pub use import::check as check_account;
use input::ProjectName;
pub use testing::TestBench;

/// The API over these projects and the process that holds them. Every request must carry the extension [`PeerUid`].
pub fn routes(projects: Arc<Projects>, host: Arc<dyn Host>) -> Router {
    guarded(api(projects, host))
}

/// The same, and what a test may do with a server in memory.
pub fn routes_for_tests(projects: Arc<Projects>, host: Arc<dyn Host>, bench: TestBench) -> Router {
    guarded(api(projects, host).merge(testing::routes(bench)))
}

fn api(projects: Arc<Projects>, host: Arc<dyn Host>) -> Router {
    let one_project = Router::new()
        .route("/", get(projects::show).delete(projects::delete))
        .route("/users", get(users::list).post(users::create))
        .route("/users/import", post(import::import))
        .route("/users/{who}", get(users::show).delete(users::delete))
        .route("/users/{who}/disable", post(users::disable))
        .route("/users/{who}/enable", post(users::enable))
        .route("/users/{who}/password", put(users::set_password))
        .route("/users/{who}/role", put(users::set_role))
        .route("/users/{who}/sessions", delete(sessions::revoke_all))
        .route("/unlock", post(users::unlock))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{session}", delete(sessions::revoke))
        .route("/keys", get(keys::list))
        .route("/keys/rotate", post(keys::rotate))
        .route("/audit", get(audit::list))
        .route("/audit/verify", get(audit::verify))
        .route("/webhooks", get(webhooks::list))
        .route("/webhooks/{webhook}/test", post(webhooks::test))
        .route("/outbox", get(outbox::list))
        .route("/outbox/resend", post(outbox::resend_all))
        .route("/outbox/{item}", get(outbox::show).delete(outbox::remove))
        .route("/outbox/{item}/mail", get(outbox::words))
        .route("/outbox/{item}/resend", post(outbox::resend));
    Router::new()
        .route("/v1/projects", get(projects::list).post(projects::create))
        .nest("/v1/projects/{project}", one_project)
        .route("/v1/export", get(portable::export))
        .route("/v1/import", post(portable::import))
        .route("/v1/backup", get(backup::backup))
        .route("/v1/restore", post(backup::restore))
        .route("/v1/reload", post(host::reload))
        .route("/v1/config", get(host::settings))
        .route("/v1/findings", get(host::findings))
        .fallback(async || Refusal::UnknownRoute)
        .method_not_allowed_fallback(async || Refusal::WrongMethod)
        .with_state(Admin { projects, host })
}

fn guarded(router: Router) -> Router {
    router.layer(from_fn(to_the_end)).layer(from_fn(only_the_owner))
}

/// What is to be seen of a running server, for its operator. Every request must carry the extension [`PeerUid`].
pub fn watch_routes(watch: Watch) -> Router {
    watch.clone().metrics_routes().merge(watch.health_routes()).layer(from_fn(only_the_owner))
}

/// The user this process runs as: the one that may use the control socket, beside root.
pub fn own_uid() -> PeerUid {
    PeerUid(rustix::process::geteuid().as_raw())
}

/// Refuses every peer but this process's own user and root.
async fn only_the_owner(request: Request, next: Next) -> Response {
    match request.extensions().get::<PeerUid>() {
        Some(&peer) if peer == own_uid() || peer == PeerUid(0) => next.run(request).await,
        Some(_) | None => Refusal::Stranger.into_response(),
    }
}

/// A change runs to its end even when the operator hangs up, and a panic harms only its request.
async fn to_the_end(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::from(Error::Internal("the request ended in a panic".into())).into_response(),
    }
}

/// What handlers work on.
#[derive(Clone)]
struct Admin {
    projects: Arc<Projects>,
    host: Arc<dyn Host>,
}

impl Admin {
    /// The clock reading of a request, taken once, for [`input::Acting`].
    fn now(&self) -> Timestamp {
        self.projects.shared().env.now()
    }

    /// The project of that id, else of that slug.
    async fn project(&self, name: &ProjectName) -> Result<Arc<Project>, Refusal> {
        let by_id = match name.id() {
            Some(id) => self.projects.find(Selector::Id(id)).await?,
            None => None,
        };
        let found = match by_id {
            Some(project) => Some(project),
            None => self.projects.find(Selector::Slug(name.as_str())).await?,
        };
        Ok(found.ok_or(Error::UnknownProject)?)
    }
}

/// 201 with a body.
fn created<T: serde::Serialize>(what: T) -> Response {
    (StatusCode::CREATED, axum::Json(what)).into_response()
}
