//! JWTs that other services check, too, and the claims in them: no text panics, no change to a genuine token is believed,
//! and no path or metadata makes claims that cannot be signed and checked.
//!
//! The input is taken as a token, as a path and on the next line the metadata it is sought in, and laid over a genuine
//! token: its first byte says which, the second where.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use keystead::env::Timestamp;
use keystead::token::{HasuraClaims, Holder, JwtAlgorithm, JwtClaims, JwtRing};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com/v1";
const SECRET: &str = "4f1b9c0d7e2a83655d10c9b8a7e6f5d4";

/// The P-256 key of RFC 7515, appendix A.3: everybody has it.
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----
MDECAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49AwEH
-----END EC PRIVATE KEY-----";

static RINGS: LazyLock<[JwtRing; 2]> = LazyLock::new(|| {
    [(JwtAlgorithm::Es256, KEY), (JwtAlgorithm::Hs256, SECRET)]
        .map(|(algorithm, key)| JwtRing::given(algorithm, key, None, ISSUER).expect("a key"))
});

static GENUINE: LazyLock<[String; 2]> =
    LazyLock::new(|| [0, 1].map(|ring| mint(&RINGS[ring], json!({ "x-hasura-default-role": "user" }))));

fn mint(ring: &JwtRing, claims: Value) -> String {
    let (user, session) = (Uuid::from_u128(3), Uuid::from_u128(4));
    let expires_at = Timestamp::from_secs(1_800_000_900);
    let claims = JwtClaims { user, session, issued_at: NOW, expires_at, namespace: "claims", claims };
    ring.mint(&claims).expect("claims within their bound")
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        for (ring, genuine) in RINGS.iter().zip(GENUINE.iter()) {
            assert!(ring.verify(text, NOW).is_err() || text == genuine);
        }
        let (path, metadata) = text.split_once('\n').unwrap_or((text, "{}"));
        let custom = BTreeMap::from([("claim".to_owned(), path.to_owned())]);
        if let Ok(claims) = HasuraClaims::new("claims", &custom, &BTreeMap::new()) {
            let user = json!({ "metadata": serde_json::from_str::<Value>(metadata).unwrap_or_default() });
            let holder =
                Holder { user: Uuid::from_u128(3), default_role: "user", roles: &["user"], is_anonymous: false };
            let claims = claims.of(holder, &user);
            let claims = serde_json::to_value(claims).expect("JSON");
            assert!(claims.to_string().len() <= HasuraClaims::ROOM + 256);
            assert!(RINGS[1].verify(&mint(&RINGS[1], claims), NOW).is_ok());
        }
    }
    let [which, at, patch @ ..] = bytes else { return };
    let which = usize::from(which % 2);
    let genuine = &GENUINE[which];
    let mut changed = genuine.clone().into_bytes();
    for (place, byte) in changed.iter_mut().skip(usize::from(*at) * 2).zip(patch) {
        *place = *byte;
    }
    if let Ok(text) = std::str::from_utf8(&changed) {
        assert_eq!(RINGS[which].verify(text, NOW).is_ok(), text == genuine);
    }
});
