//! What a project publishes: the keys for those who check access tokens themselves, and what its APIs look like.

use axum::Json;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::openapi::Scope;
use crate::auth::Project;
use crate::dialect::Dialect;

/// The document at `path`, if that is one of ours: `/.well-known/jwks.json` (RFC 7517), `/.well-known/paserk.json`, or
/// `/openapi/DIALECT.json` of a dialect that is on.
pub(super) fn document(method: &Method, path: &str, project: &Project) -> Option<Response> {
    let now = project.env().now();
    let document = match path {
        JWKS => project.keys().jwks(now),
        PASERK => project.keys().paserk(now),
        _ => openapi(path, project)?,
    };
    if method != Method::GET && method != Method::HEAD {
        let body = Json(json!({ "message": "Method not allowed." }));
        return Some((StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET, HEAD")], body).into_response());
    }
    let mut reply = Json(document).into_response();
    // Short: a rotated key signs at once, and verifiers look again on an unknown `kid`.
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    Some(reply)
}

fn openapi(path: &str, project: &Project) -> Option<Value> {
    let name = path.strip_prefix(OPENAPI)?.strip_suffix(".json")?;
    let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name)?;
    let settings = project.settings();
    let mount = dialect.mounts(&settings).next()?;
    let url = format!("{}{mount}", settings.public_url.as_deref().unwrap_or_default());
    Some(dialect.document(&Scope { settings: &settings, url, project: Some(project.id()) }))
}

/// Whether `path` is one of ours.
pub(super) fn is_document(path: &str) -> bool {
    path == JWKS || path == PASERK || path.starts_with(OPENAPI)
}

const JWKS: &str = "/.well-known/jwks.json";
const PASERK: &str = "/.well-known/paserk.json";
const OPENAPI: &str = "/openapi/";
