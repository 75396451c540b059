//! Files with keys and certificates that an operator brings: PEM of the server, of authorities, of the local one, keys
//! that sign JWTs, age identities, master keys. What is taken works, and the reason for refusing the rest is short.
//! The input is a certificate and, after a zero byte, its key; without one it is both.
#![no_main]

use keystead::backup::{Encryption, Keys};
use keystead::crypto::{MasterKey, Secret};
use keystead::env::{Env, Timestamp};
use keystead::net::{CaFile, LocalCa, load_certificate};
use keystead::token::{JwtAlgorithm, JwtClaims, JwtRing};
use keystead_fuzz::folder;
use serde_json::json;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let cert = parts.next().unwrap_or_default();
    let key = parts.next().unwrap_or(cert);
    let folder = folder::holding(&[("cert.pem", cert), ("key.pem", key), ("ca/ca.pem", cert), ("ca/ca.key", key)]);
    if let Ok(identity) = load_certificate(&folder.join("cert.pem"), &folder.join("key.pem"), NOW) {
        let _ = (identity.names(), identity.is_due(NOW), identity.expires_at().rfc3339());
        assert!(identity.is_same(&identity.clone()));
    }
    let _ = CaFile::read(&folder.join("cert.pem"));
    let _ = LocalCa::open(&folder.join("ca"), &["auth.example.com"], &Env::system());
    let _ = MasterKey::read(&folder.join("key.pem"));
    let _ = Keys::default().add_identities(&Secret::new(key.to_vec()));
    let Ok(text) = std::str::from_utf8(key) else { return };
    let _ = Encryption::to(&[text.to_owned()]);
    for algorithm in JwtAlgorithm::ALL {
        match JwtRing::given(algorithm, text, None, "https://auth.example.com/v1") {
            Ok(ring) => {
                let claims = JwtClaims {
                    user: Uuid::from_u128(1),
                    session: Uuid::from_u128(2),
                    issued_at: NOW,
                    expires_at: Timestamp::from_secs(1_800_000_900),
                    namespace: "claims",
                    claims: json!({}),
                };
                let token = ring.mint(&claims).expect("a key that is taken signs");
                assert!(ring.verify(&token, NOW).is_ok(), "and checks what it signed");
                assert!(!ring.jwks(NOW).to_string().contains("\"d\""));
            }
            Err(reason) => assert!(reason.to_string().len() < 200),
        }
    }
});
