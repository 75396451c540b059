//! Who presents what (contract 3.3): an explicit credential in a header beats the cookie, also when it is a bad one.

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderName};

use super::cookie;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_NORA_API_KEY: HeaderName = HeaderName::from_static("x-nora-api-key");

/// What tokens of this kind begin with: they are API keys, also in the place of a bearer.
const API_KEY_LEAD: &str = "nora_";

/// A credential of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// None.
    Nothing,
    /// A session's token, out of the header.
    Bearer(&'a str),
    /// A session's token, out of the cookie.
    Cookie(&'a str),
    /// An API key.
    ApiKey,
}

/// Why the headers say nothing that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// One is there, and not in its form, or empty, or more than once.
    Invalid,
    /// Two different credentials.
    Conflicting,
}

/// The credential that counts.
///
/// # Errors
/// [`Malformed`], whatever the cookie says.
pub fn presented(headers: &HeaderMap) -> Result<Presented<'_>, Malformed> {
    let bearer = match only(headers, &AUTHORIZATION)? {
        Some(value) => Some(bearer(value).ok_or(Malformed::Invalid)?),
        None => None,
    };
    let keys = [only(headers, &X_API_KEY)?, only(headers, &X_NORA_API_KEY)?];
    let mut all = keys.into_iter().flatten().chain(bearer);
    let Some(one) = all.next() else {
        return Ok(in_cookie(headers).map_or(Presented::Nothing, Presented::Cookie));
    };
    if all.any(|other| other != one) {
        return Err(Malformed::Conflicting);
    }
    match bearer {
        Some(token) if keys == [None, None] && !token.starts_with(API_KEY_LEAD) => Ok(Presented::Bearer(token)),
        _ => Ok(Presented::ApiKey),
    }
}

/// The one bearer of a request whose `Authorization` is exactly `Bearer <token>` (contract 3.9).
pub fn exact_bearer(headers: &HeaderMap) -> Option<&str> {
    let token = only(headers, &AUTHORIZATION).ok()??.strip_prefix("Bearer ")?;
    is_token(token).then_some(token)
}

/// The tokens of a request, wherever they are: what a logout ends.
pub fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let bearer = only(headers, &AUTHORIZATION).ok().flatten().and_then(bearer);
    bearer.into_iter().chain(in_cookie(headers))
}

/// The value of a header that is there once, and not empty.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Malformed::Invalid)?.trim();
    if all.next().is_some() || text.is_empty() { Err(Malformed::Invalid) } else { Ok(Some(text)) }
}

/// `Bearer <token>`, the scheme in any case, exactly one token.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once([' ', '\t'])?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then_some(token)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// The cookie's value, the first where there are several; an empty one is none.
fn in_cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == cookie::NAME)?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn what_counts() {
        use Presented::{ApiKey, Bearer, Cookie, Nothing};
        for (lines, expected) in [
            (&[][..], Ok(Nothing)),
            (&[("authorization", "Bearer abc")], Ok(Bearer("abc"))),
            (&[("authorization", "bEARER \t abc ")], Ok(Bearer("abc"))),
            (&[("cookie", "a=b; nora_auth=abc; c=d")], Ok(Cookie("abc"))),
            (&[("cookie", "a=b"), ("cookie", "nora_auth=abc")], Ok(Cookie("abc"))),
            (&[("cookie", "nora_auth=abc; nora_auth=def")], Ok(Cookie("abc"))),
            (&[("cookie", "nora_auth=\"abc\"")], Ok(Cookie("abc"))),
            (&[("cookie", "nora_auth=")], Ok(Nothing)),
            (&[("cookie", "xnora_auth=abc; NORA_AUTH=abc; nora_auth")], Ok(Nothing)),
            (&[("authorization", "Bearer abc"), ("cookie", "nora_auth=def")], Ok(Bearer("abc"))),
            (&[("authorization", "Bearer nora_abc")], Ok(ApiKey)),
            (&[("x-api-key", "nora_abc")], Ok(ApiKey)),
            (&[("x-nora-api-key", "abc"), ("cookie", "nora_auth=def")], Ok(ApiKey)),
            (&[("x-api-key", "nora_a"), ("authorization", "Bearer nora_a")], Ok(ApiKey)),
            (&[("x-api-key", "nora_a"), ("authorization", "Bearer abc")], Err(Malformed::Conflicting)),
            (&[("x-api-key", "nora_a"), ("x-nora-api-key", "nora_b")], Err(Malformed::Conflicting)),
            (&[("authorization", "")], Err(Malformed::Invalid)),
            (&[("authorization", "abc")], Err(Malformed::Invalid)),
            (&[("authorization", "Bearer")], Err(Malformed::Invalid)),
            (&[("authorization", "Bearer ")], Err(Malformed::Invalid)),
            (&[("authorization", "Basic abc")], Err(Malformed::Invalid)),
            (&[("authorization", "Bearer a b")], Err(Malformed::Invalid)),
            (&[("authorization", "Bearer a,Bearer b")], Err(Malformed::Invalid)),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer a")], Err(Malformed::Invalid)),
            (&[("authorization", "abc"), ("cookie", "nora_auth=def")], Err(Malformed::Invalid)),
            (&[("x-api-key", "")], Err(Malformed::Invalid)),
        ] {
            assert_eq!(presented(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_upgrade_wants_the_exact_form() {
        let exact = |value: &str| exact_bearer(&headers(&[("authorization", value)])).map(str::to_owned);
        assert_eq!(exact("Bearer abc").as_deref(), Some("abc"));
        for value in ["bearer abc", "Bearer  abc", "Bearer", "abc", "Bearer a b", ""] {
            assert_eq!(exact(value), None, "{value:?}");
        }
        assert_eq!(exact_bearer(&headers(&[("cookie", "nora_auth=abc")])), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(lines in proptest::collection::vec((0..4usize, "[ -~]{0,60}|Bearer [ -~]{0,20}|nora_auth=[ -~]{0,20}"), 0..4)) {
            let names = ["authorization", "cookie", "x-api-key", "x-nora-api-key"];
            let lines: Vec<_> = lines.iter().map(|(name, value)| (names[*name], value.as_str())).collect();
            let map = headers(&lines);
            if let Ok(Presented::Bearer(token) | Presented::Cookie(token)) = presented(&map) {
                prop_assert!(!token.is_empty());
            }
            exact_bearer(&map);
            tokens(&map).count();
        }
    }
}
