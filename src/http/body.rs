//! JSON bodies, read within limits and without ambiguity: a repeated key is refused, not resolved.

use std::fmt;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::BODY_TIMEOUT;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Larger than the limit.
    TooLarge,
    /// Did not come in time.
    Slow,
    /// Ended early.
    Interrupted,
    /// There is a body, and its `Content-Type` is something else.
    NotJsonType,
    /// Not JSON, not UTF-8, or nested too deep.
    Malformed,
    /// JSON, but an object has a key twice.
    DuplicateKey,
    /// JSON, but not an object.
    NotAnObject,
}

/// The JSON object in a request's body of at most `limit` bytes; no body at all is an empty object.
///
/// # Errors
/// [`BodyError`] says what is wrong.
pub async fn json_object(request: Request<Body>, limit: usize) -> Result<Map<String, Value>, BodyError> {
    let (parts, body) = request.into_parts();
    // Told at once, before a byte is read.
    if declared_length(&parts.headers).is_some_and(|length| length > limit as u64) {
        return Err(BodyError::TooLarge);
    }
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect());
    let bytes = match collected.await {
        Err(_) => return Err(BodyError::Slow),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(BodyError::TooLarge),
        Ok(Err(_)) => return Err(BodyError::Interrupted),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    if !is_json_type(&parts.headers) {
        return Err(BodyError::NotJsonType);
    }
    parse_object(&bytes)
}

/// The JSON object in `bytes`.
///
/// # Errors
/// `Malformed`, `DuplicateKey` or `NotAnObject`.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, BodyError> {
    // serde_json itself stops at 128 levels.
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(object))) => Ok(object),
        Ok(_) => Err(BodyError::NotAnObject),
        Err(error) if error.is_data() => Err(BodyError::DuplicateKey),
        Err(_) => Err(BodyError::Malformed),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Absent, `application/json` or `application/…+json`, with whatever parameters.
fn is_json_type(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A JSON value without repeated keys.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated keys")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_is_refused() {
        assert_eq!(parse_object(br#"{"a":{"b":[1,-2,3.5,true,null,"x"]}}"#).map(|object| object.len()), Ok(1));
        for (text, error) in [
            (&b"{\"a\":1,\"a\":2}"[..], BodyError::DuplicateKey),
            (b"{\"o\":{\"a\":1,\"\\u0061\":2}}", BodyError::DuplicateKey),
            (b"[]", BodyError::NotAnObject),
            (b"\"x\"", BodyError::NotAnObject),
            (b"{", BodyError::Malformed),
            (b"{} {}", BodyError::Malformed),
            (b"{\"a\":\"\xff\"}", BodyError::Malformed),
            (b"{\"a\":\"\\ud800\"}", BodyError::Malformed),
        ] {
            assert_eq!(parse_object(text).map(|_| ()), Err(error), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(60_000), "]".repeat(60_000));
        assert_eq!(parse_object(deep.as_bytes()).map(|_| ()), Err(BodyError::Malformed));
    }
}
