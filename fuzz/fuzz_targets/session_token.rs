//! Session tokens, and the headers that carry them: no text panics, and no change to a genuine token is believed.
//!
//! The input is taken as a token, as header lines, and laid over a genuine token: its first byte says where.
#![no_main]

use std::sync::LazyLock;

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use keystead::dialect::nora::credential::{Presented, exact_bearer, presented, tokens};
use keystead::env::{Env, Timestamp};
use keystead::token::{Blank, SessionClaims, SessionKey};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

static KEY: LazyLock<SessionKey> = LazyLock::new(|| SessionKey::given("0123456789abcdef0123456789abcdef"));

static GENUINE: LazyLock<String> = LazyLock::new(|| {
    let claims = SessionClaims {
        id: Uuid::from_u128(3),
        email: "ada@example.com",
        role: "user",
        issued_at: Timestamp::from_secs(1_800_000_000),
        expires_at: Timestamp::from_secs(1_800_604_800),
    };
    KEY.mint(&claims, Blank::generate(&Env::system()))
});

const NAMES: [HeaderName; 4] =
    [AUTHORIZATION, COOKIE, HeaderName::from_static("x-api-key"), HeaderName::from_static("x-nora-api-key")];

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(!KEY.signed(text) || text == *GENUINE);
    }
    let mut headers = HeaderMap::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(&NAMES[index % NAMES.len()], value);
        }
    }
    if let Ok(Presented::Bearer(token) | Presented::Cookie(token)) = presented(&headers) {
        assert!(!token.is_empty());
    }
    assert!(exact_bearer(&headers).is_none_or(|token| !token.is_empty()));
    assert!(tokens(&headers).count() <= 2);
    let [at, patch @ ..] = bytes else { return };
    let mut changed = GENUINE.clone().into_bytes();
    for (place, byte) in changed.iter_mut().skip(usize::from(*at)).zip(patch) {
        *place = *byte;
    }
    if let Ok(text) = std::str::from_utf8(&changed) {
        assert_eq!(KEY.signed(text), text == *GENUINE);
    }
});
