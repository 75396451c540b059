//! `Authorization`, what a proxy calls a request, and moments in bodies.
#![no_main]

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use keystead::auth::RequestId;
use keystead::http::{bearer, moment};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, value.clone())]);
        if let Some(token) = bearer(&headers) {
            assert!(!token.is_empty() && !token.contains(' '));
        }
        headers.append(AUTHORIZATION, value);
        assert_eq!(bearer(&headers), None, "two are none");
    }
    let name = RequestId::given(1, bytes).to_string();
    assert!((1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(at) = moment(text) {
            assert!(moment(&at.rfc3339()).is_some(), "what is written is read");
        }
    }
});
