//! Public keys of a project, for those who check access tokens themselves.

use axum::Json;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::auth::Project;

/// The document at `path`, if that is one of ours: `/.well-known/jwks.json` (RFC 7517) or `/.well-known/paserk.json`.
pub(super) fn document(method: &Method, path: &str, project: &Project) -> Option<Response> {
    let now = project.env().now();
    let keys = match path {
        JWKS => project.keys().jwks(now),
        PASERK => project.keys().paserk(now),
        _ => return None,
    };
    if method != Method::GET && method != Method::HEAD {
        let body = Json(json!({ "message": "Method not allowed." }));
        return Some((StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET, HEAD")], body).into_response());
    }
    let mut reply = Json(keys).into_response();
    // Short: a rotated key signs at once, and verifiers look again on an unknown `kid`.
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    Some(reply)
}

/// Whether `path` is one of ours.
pub(super) fn is_document(path: &str) -> bool {
    path == JWKS || path == PASERK
}

const JWKS: &str = "/.well-known/jwks.json";
const PASERK: &str = "/.well-known/paserk.json";
