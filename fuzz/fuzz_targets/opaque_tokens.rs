//! Refresh tokens, API keys, one-time secrets, tickets and what PKCE compares: what is recognised is written exactly so.
#![no_main]

use keystead::crypto::Secret;
use keystead::token::{ApiKey, Challenge, OneTimeSecret, RefreshKey, SixDigits, Ticket};
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
    if let Some(ticket) = Ticket::parse(text) {
        assert_eq!(ticket.text().expose(), text);
    }
    if let Some(code) = SixDigits::parse(text) {
        assert_eq!(code.text().expose(), text.trim());
    }
    if let Some(challenge) = Challenge::parse(text) {
        assert_eq!(challenge.as_str(), text);
        assert!(!challenge.is_answered_by(text), "a challenge that is its own hash");
    }
});
