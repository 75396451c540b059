//! Access tokens: no text panics, and no change to a genuine token is believed.
//!
//! The input is taken as a token, and also laid over a genuine one: its first byte says which format, the second where.
#![no_main]

use std::sync::LazyLock;

use keystead::crypto::Secret;
use keystead::env::Timestamp;
use keystead::token::{AccessClaims, KeyMaterial, KeyRecord, KeyRing, TokenFormat};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const PROJECT: Uuid = Uuid::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let (id, created_at) = (Uuid::from_u128(2), Timestamp::from_secs(1));
    let material = KeyMaterial::Ed25519(Secret::new([7; 32]));
    KeyRing::new(&[KeyRecord { id, material, created_at, retires_at: None }]).expect("a ring")
});

static GENUINE: LazyLock<[String; 2]> = LazyLock::new(|| {
    let claims = AccessClaims {
        user: Uuid::from_u128(3),
        project: PROJECT,
        session: Uuid::from_u128(4),
        token_id: Uuid::from_u128(5),
        issued_at: NOW,
        expires_at: Timestamp::from_secs(1_800_000_900),
    };
    [TokenFormat::Paseto, TokenFormat::Jwt].map(|format| RING.mint(format, "https://auth.example.com", &claims))
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(RING.verify(text, PROJECT, NOW).is_err() || GENUINE.iter().any(|genuine| genuine == text));
    }
    let [format, at, patch @ ..] = bytes else { return };
    let genuine = &GENUINE[usize::from(format % 2)];
    let mut changed = genuine.clone().into_bytes();
    for (place, byte) in changed.iter_mut().skip(usize::from(*at) * 2).zip(patch) {
        *place = *byte;
    }
    if let Ok(text) = std::str::from_utf8(&changed) {
        assert_eq!(RING.verify(text, PROJECT, NOW).is_ok(), text == genuine);
    }
});
