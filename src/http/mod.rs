//! From a request to a dialect and back: the project, the context, CORS, bodies, published keys; health and metrics.

pub mod body;
mod cors;
mod entry;
mod health;
pub mod openapi;
mod pages;
mod panics;
mod published;
pub mod scope;
pub mod sheet;
mod watch;

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::env::Timestamp;
pub use entry::{Entry, refusal};
pub use health::{Check, Health, Report, Status};
pub use watch::Watch;

/// How long a body may take to come in.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The token of `Authorization: Bearer …` (RFC 6750, 2.1; the scheme in any case); `None` when there is none, or more
/// than one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ')).then_some(token)
}

/// Reads a moment: RFC 3339, a date-time without offset (UTC is meant), or a date (its first moment, UTC). `None` for
/// anything else and for moments before 1970.
pub fn moment(text: &str) -> Option<Timestamp> {
    if text.len() > 64 {
        return None;
    }
    let millis = match text.parse::<jiff::Timestamp>() {
        Ok(at) => at.as_millisecond(),
        Err(_) => {
            let local = text.parse::<jiff::civil::DateTime>().ok()?;
            jiff::tz::TimeZone::UTC.to_timestamp(local).ok()?.as_millisecond()
        }
    };
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_every_accepted_form() {
        let at = |text| moment(text).map(Timestamp::rfc3339);
        assert_eq!(at("2026-11-22T10:15:00Z").as_deref(), Some("2026-11-22T10:15:00Z"));
        assert_eq!(at("2026-11-22T12:15:00+02:00").as_deref(), Some("2026-11-22T10:15:00Z"));
        assert_eq!(at("2026-11-22 10:15:00").as_deref(), Some("2026-11-22T10:15:00Z"));
        assert_eq!(at("2026-11-22").as_deref(), Some("2026-11-22T00:00:00Z"));
        for text in ["", "soon", "2026-13-01", "2026-11-22T25:00:00Z", "1969-12-31T23:59:59Z", "20261122T", "\0"] {
            assert_eq!(at(text), None, "{text:?}");
        }
    }

    #[test]
    fn one_bearer_or_none() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().expect("a header value"));
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(with(&["bearer abc"]).as_deref(), Some("abc"));
        for values in [&[][..], &["abc"], &["Basic abc"], &["Bearer "], &["Bearer a b"], &["Bearer a", "Bearer b"]] {
            assert_eq!(with(values), None, "{values:?}");
        }
    }
}
