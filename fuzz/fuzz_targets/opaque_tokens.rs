//! Refresh tokens, API keys and one-time secrets: what is recognised is written exactly so.
#![no_main]

use keystead::crypto::Secret;
use keystead::token::{ApiKey, OneTimeSecret, RefreshKey};
use uuid::Uuid;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let refresh = RefreshKey::new(&Secret::new([7; 32]), Uuid::from_u128(1));
    if let Some(token) = refresh.parse(text) {
        assert_eq!(token.text(), text);
    }
    if let Some(key) = ApiKey::parse(text) {
        assert_eq!(key.text(), text);
    }
    if let Some(secret) = OneTimeSecret::parse(text) {
        assert_eq!(secret.text(), text);
    }
});
