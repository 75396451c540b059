//! CORS (Fetch standard): which pages' scripts may call, per project.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::dialect::{Cors, CorsManner};

/// Whether the request only asks what a script may do, or is answered as if it did.
pub(super) fn is_preflight(manner: CorsManner, method: &Method, headers: &HeaderMap) -> bool {
    let asks = || headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    method == Method::OPTIONS && (manner == CorsManner::Open || asks())
}

/// The answer to a preflight with these headers; without CORS headers when the origin is not `allowed`.
pub(super) fn preflight(cors: Cors, asked: &HeaderMap, allowed: Option<HeaderValue>) -> Response {
    let mut reply = StatusCode::NO_CONTENT.into_response();
    let headers = reply.headers_mut();
    let (varies, max_age) = match cors.manner {
        CorsManner::Listed => ("Origin, Access-Control-Request-Method, Access-Control-Request-Headers", "7200"),
        CorsManner::Open => (VARIES_OPEN, "86400"),
    };
    headers.insert(VARY, HeaderValue::from_static(varies));
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
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(max_age));
        with_credentials(cors.manner, headers);
    }
    reply
}

const VARIES_OPEN: &str = "Origin, Access-Control-Request-Method";

/// Adds to a reply what lets an allowed page's script read it.
pub(super) fn allow(manner: CorsManner, reply: &mut Response, allowed: Option<HeaderValue>) {
    let headers = reply.headers_mut();
    let varies = match manner {
        CorsManner::Listed => "Origin",
        CorsManner::Open => VARIES_OPEN,
    };
    headers.append(VARY, HeaderValue::from_static(varies));
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, x-request-id"));
        with_credentials(manner, headers);
    }
}

fn with_credentials(manner: CorsManner, headers: &mut HeaderMap) {
    if manner == CorsManner::Open {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// What to answer to `origin`: itself when listed, `*` when any is; where credentials go along, itself then too. `unlisted`
/// says whether a project may be meant that lists none, which opens it where the dialect is open.
pub(super) fn allowed(
    manner: CorsManner,
    origin: Option<&HeaderValue>,
    origins: &[String],
    unlisted: bool,
) -> Option<HeaderValue> {
    let origin = origin?;
    let text = origin.to_str().ok().filter(|text| !text.is_empty())?;
    let open = manner == CorsManner::Open;
    if open && unlisted {
        return Some(origin.clone());
    }
    let listed = origins.iter().find(|listed| *listed == "*" || listed.eq_ignore_ascii_case(text))?;
    Some(if listed == "*" && !open { HeaderValue::from_static("*") } else { origin.clone() })
}
