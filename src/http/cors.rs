//! CORS (Fetch standard): which pages' scripts may call, per project.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::dialect::Cors;

/// Whether the request only asks what a script may do.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight with these headers; without CORS headers when the origin is not `allowed`.
pub(super) fn preflight(cors: Cors, asked: &HeaderMap, allowed: Option<HeaderValue>) -> Response {
    let mut reply = StatusCode::NO_CONTENT.into_response();
    let headers = reply.headers_mut();
    headers.insert(VARY, HeaderValue::from_static(VARIES));
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(cors.methods));
        let names = match cors.headers {
            Some(names) => Some(HeaderValue::from_static(names)),
            None => asked.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
        };
        if let Some(names) = names {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
    reply
}

const VARIES: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// Adds to a reply what lets an allowed page's script read it.
pub(super) fn allow(reply: &mut Response, allowed: Option<HeaderValue>) {
    let headers = reply.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, x-request-id"));
    }
}

/// What to answer to `origin`: itself when listed, `*` when any is.
pub(super) fn allowed<'a>(
    origin: Option<&HeaderValue>,
    mut origins: impl Iterator<Item = &'a String>,
) -> Option<HeaderValue> {
    let origin = origin?;
    let text = origin.to_str().ok()?;
    origins
        .find(|listed| listed.as_str() == "*" || listed.eq_ignore_ascii_case(text))
        .map(|listed| if listed == "*" { HeaderValue::from_static("*") } else { origin.clone() })
}
