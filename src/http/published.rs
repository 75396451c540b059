//! What a project publishes: the keys for those who check access tokens themselves, and what its APIs look like.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::openapi::Scope;
use crate::auth::{Project, ProjectSettings};
use crate::dialect::Dialect;

/// OpenAPI documents that are kept; one more, and all are made anew when they are asked for.
const KEPT: usize = 32;

/// The documents. Those of APIs are made once for a project's settings: making one takes a while, and anybody may ask.
#[derive(Default)]
pub(super) struct Documents(Mutex<HashMap<(Uuid, Dialect), Kept>>);

struct Kept {
    /// What it was made from.
    settings: Arc<ProjectSettings>,
    text: Bytes,
}

impl Documents {
    /// The document at `path`, if that is one of ours: `/.well-known/jwks.json` (RFC 7517), `/.well-known/paserk.json`,
    /// or `/openapi/DIALECT.json` of a dialect that is on.
    pub(super) fn document(&self, method: &Method, path: &str, project: &Project) -> Option<Response> {
        let now = project.env().now();
        let text = match path {
            JWKS => project.keys().jwks(now).to_string().into(),
            PASERK => project.keys().paserk(now).to_string().into(),
            _ => self.openapi(path, project.id(), &project.settings())?,
        };
        if method != Method::GET && method != Method::HEAD {
            let body = Json(json!({ "message": "Method not allowed." }));
            return Some((StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET, HEAD")], body).into_response());
        }
        let mut reply = ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response();
        // Short: a rotated key signs at once, and verifiers look again on an unknown `kid`.
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        Some(reply)
    }

    fn openapi(&self, path: &str, project: Uuid, settings: &Arc<ProjectSettings>) -> Option<Bytes> {
        let name = path.strip_prefix(OPENAPI)?.strip_suffix(".json")?;
        let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.name() == name)?;
        let mount = dialect.mounts(settings).next()?;
        let known = (project, dialect);
        let same = |kept: &&Kept| Arc::ptr_eq(&kept.settings, settings);
        if let Some(kept) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&known).filter(same) {
            return Some(kept.text.clone());
        }
        // Not under the lock: whoever asks meanwhile makes it too.
        let url = format!("{}{mount}", settings.public_url.as_deref().unwrap_or_default());
        let document = dialect.document(&Scope { settings, url, project: Some(project) });
        let text = Bytes::from(document.to_string());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(known, Kept { settings: Arc::clone(settings), text: text.clone() });
        Some(text)
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Documents")
    }
}

/// Whether `path` is one of ours.
pub(super) fn is_document(path: &str) -> bool {
    path == JWKS || path == PASERK || path.starts_with(OPENAPI)
}

const JWKS: &str = "/.well-known/jwks.json";
const PASERK: &str = "/.well-known/paserk.json";
const OPENAPI: &str = "/openapi/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_made_once_for_its_settings_and_a_bounded_number_is_kept() {
        let documents = Documents::default();
        let made = |project: u128, settings: &Arc<ProjectSettings>| {
            let text = documents.openapi("/openapi/noma.json", Uuid::from_u128(project), settings);
            text.expect("a dialect that is on")
        };
        let settings = Arc::new(ProjectSettings::named("default"));
        let first = made(1, &settings);
        assert_eq!(made(1, &settings).as_ptr(), first.as_ptr(), "the same bytes, not others like them");
        let elsewhere = ProjectSettings { public_url: Some("https://else.example".into()), ..(*settings).clone() };
        let changed = made(1, &Arc::new(elsewhere));
        assert!(String::from_utf8_lossy(&changed).contains("https://else.example/api/auth"));
        assert_ne!(made(2, &settings), made(1, &settings), "each project has its own");
        for project in 0..KEPT as u128 + 3 {
            made(project, &settings);
        }
        assert!(documents.0.lock().unwrap().len() <= KEPT);
    }
}
