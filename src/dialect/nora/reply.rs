//! What every reply has: its correlation id, where the client stands under a limit, and headers that bind browsers.

use axum::Json;
use axum::body::Body;
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::wire::Refused;
use crate::auth::RequestId;
use crate::auth::limits::Standing;
use crate::dialect::Asked;

const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The most characters of a correlation id that is taken over.
const MAX_CORRELATION: usize = 128;

/// Marks a reply of the original's framework, whose body names the request.
#[derive(Clone, Copy)]
pub(super) struct Central(pub(super) &'static str);

impl Central {
    pub(super) const CODE: &'static str = "INTERNAL_ERROR";
}

/// Adds to a reply, whoever made it, what all replies have.
pub fn finish(reply: &mut Response, asked: &Asked<'_>) {
    let correlation = asked.correlation.filter(|value| is_safe(value)).cloned();
    let correlation = correlation.unwrap_or_else(|| new_correlation(&asked.id));
    if let Some(Central(text)) = reply.extensions_mut().remove::<Central>() {
        let body = Refused { error: text, code: Some(Central::CODE), correlation_id: correlation.to_str().ok() };
        *reply.body_mut() = Json(body).into_response().into_body();
        reply.headers_mut().remove(CONTENT_LENGTH);
    }
    if let Some(standing) = &asked.standing {
        show_in(reply, standing);
    }
    let headers = reply.headers_mut();
    headers.insert(X_CORRELATION_ID, correlation);
    // Helmet's set, where it means something for JSON.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none';frame-ancestors 'none'"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    if asked.always_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// Says where the client stands (contract 5). The innermost limiter that a request passed comes first, and stays.
pub(super) fn show(mut reply: Response, standing: &Standing) -> Response {
    show_in(&mut reply, standing);
    reply
}

fn show_in(reply: &mut Response<Body>, standing: &Standing) {
    let headers = reply.headers_mut();
    if headers.contains_key(RATELIMIT_POLICY) {
        return;
    }
    let (count, window) = (standing.limit.count, standing.limit.window.as_secs());
    let policy = HeaderValue::try_from(format!("{count};w={window}")).expect("numbers are visible ASCII");
    headers.insert(RATELIMIT_POLICY, policy);
    headers.insert(RATELIMIT_LIMIT, count.into());
    headers.insert(RATELIMIT_REMAINING, standing.remaining.into());
    headers.insert(RATELIMIT_RESET, standing.reset_secs().into());
}

/// Whether a client's name for its request may be repeated: short, and of characters that mean nothing to a log.
fn is_safe(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    !bytes.is_empty() && bytes.len() <= MAX_CORRELATION && bytes.iter().all(plain)
}

/// A UUID (version 8) made of the request's own name, twice: its first twelve digits are those of the log's.
fn new_correlation(id: &RequestId) -> HeaderValue {
    let half = id.number().to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&half);
    bytes[8..].copy_from_slice(&half);
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = uuid::Builder::from_custom_bytes(bytes).into_uuid().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).expect("a UUID is visible ASCII")
}
