//! Tokens against two other implementations, and against whoever changes a byte.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use pasetors::footer::Footer;
use pasetors::keys::{AsymmetricPublicKey, AsymmetricSecretKey};
use pasetors::paserk::{FormatAsPaserk, Id};
use pasetors::token::{Public, UntrustedToken};
use pasetors::version4::{PublicToken, V4};
use proptest::prelude::*;

use super::*;
use crate::crypto::Secret;
use crate::token::KeyMaterial;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const PROJECT: Uuid = Uuid::from_u128(0xA);
const ISSUER: &str = "https://auth.example.com";
const FORMATS: [TokenFormat; 2] = [TokenFormat::Paseto, TokenFormat::Jwt];

fn record(seed: u8, created: u64, retires_at: Option<u64>) -> KeyRecord {
    KeyRecord {
        id: Uuid::from_u128(u128::from(seed)),
        material: KeyMaterial::Ed25519(Secret::new([seed; 32])),
        created_at: Timestamp::from_secs(created),
        retires_at: retires_at.map(Timestamp::from_secs),
    }
}

fn ring(seed: u8) -> KeyRing {
    KeyRing::new(&[record(seed, 1, None)]).unwrap()
}

fn claims() -> AccessClaims {
    AccessClaims {
        user: Uuid::from_u128(1),
        project: PROJECT,
        session: Uuid::from_u128(2),
        token_id: Uuid::from_u128(3),
        issued_at: NOW,
        expires_at: Timestamp::from_secs(NOW.secs() + 900),
    }
}

/// The key pair of a ring as `pasetors` wants it.
fn oracle(seed: u8) -> (AsymmetricSecretKey<V4>, AsymmetricPublicKey<V4>) {
    let public = ring(seed).jwks(NOW)["keys"][0]["x"].as_str().map(|x| B64.decode(x).unwrap()).unwrap();
    let secret = [[seed; 32].as_slice(), &public].concat();
    (AsymmetricSecretKey::from(&secret).unwrap(), AsymmetricPublicKey::from(&public).unwrap())
}

fn paseto_of(seed: u8, payload: &serde_json::Value) -> String {
    let footer = format!(r#"{{"kid":"{}"}}"#, ring(seed).signing_key_id());
    PublicToken::sign(&oracle(seed).0, payload.to_string().as_bytes(), Some(footer.as_bytes()), None).unwrap()
}

/// PKCS#8 version 1 of an Ed25519 seed (RFC 8410 section 7).
fn der(seed: u8) -> Vec<u8> {
    [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".as_slice(), &[seed; 32]].concat()
}

fn jws(header: &str, payload: &str, seed: u8) -> String {
    let signed = format!("{}.{}", B64.encode(header), B64.encode(payload));
    let key = EncodingKey::from_ed_der(&der(seed));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{signed}.{signature}")
}

#[test]
fn what_is_minted_is_accepted_until_it_expires() {
    let ring = ring(1);
    for format in FORMATS {
        let odd = AccessClaims { issued_at: Timestamp::from_millis(NOW.millis() + 999), ..claims() };
        let token = ring.mint(format, ISSUER, &odd);
        assert!(token.len() < 700, "{} bytes", token.len());
        assert_eq!(ring.verify(&token, PROJECT, NOW), Ok(claims()), "whole seconds");
        let end = claims().expires_at;
        let last = Timestamp::from_millis(end.millis() - 1);
        assert_eq!(ring.verify(&token, PROJECT, last), Ok(claims()));
        assert_eq!(ring.verify(&token, PROJECT, end), Err(Rejected::Expired));
        assert_eq!(ring.verify(&token, PROJECT, Timestamp::default()), Ok(claims()), "a clock may step back");
    }
}

#[test]
fn paseto_agrees_with_pasetors_both_ways() {
    let (ring, (secret, public)) = (ring(1), oracle(1));
    let token = ring.mint(TokenFormat::Paseto, ISSUER, &claims());
    let untrusted = UntrustedToken::<Public, V4>::try_from(&token).unwrap();
    let trusted = PublicToken::verify(&public, &untrusted, None, None).unwrap();
    let payload: serde_json::Value = serde_json::from_str(trusted.payload()).unwrap();
    let id = |number: u128| Uuid::from_u128(number).to_string();
    let expected = json!({
        "iss": ISSUER, "sub": id(1), "aud": id(0xA), "sid": id(2), "jti": id(3),
        "iat": "2027-01-15T08:00:00Z", "nbf": "2027-01-15T08:00:00Z", "exp": "2027-01-15T08:15:00Z", "use": "access",
    });
    assert_eq!(payload, expected);
    let again = PublicToken::sign(&secret, trusted.payload().as_bytes(), Some(trusted.footer()), None).unwrap();
    assert_eq!(again, token, "Ed25519 signs alike everywhere");
    assert_eq!(ring.verify(&paseto_of(1, &expected), PROJECT, NOW), Ok(claims()));

    let mut footer = Footer::new();
    footer.parse_bytes(trusted.footer()).unwrap();
    let mut text = String::new();
    Id::from(&public).fmt(&mut text).unwrap();
    assert_eq!(footer.get_claim("kid").unwrap(), &json!(text));
    let mut key = String::new();
    public.fmt(&mut key).unwrap();
    assert_eq!(ring.paserk(NOW), json!({ "keys": [{ "kid": text, "key": key }] }));
}

#[test]
fn jwt_agrees_with_jsonwebtoken_both_ways() {
    let ring = ring(1);
    let token = ring.mint(TokenFormat::Jwt, ISSUER, &claims());
    let set: JwkSet = serde_json::from_value(ring.jwks(NOW)).unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("JWT")));
    let key = DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&[PROJECT]);
    rules.set_issuer(&[ISSUER]);
    rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    // The token is of a fixed moment and that crate reads the real clock.
    rules.validate_exp = false;
    let decoded = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &rules).unwrap().claims;
    assert_eq!(decoded["use"], "access");
    assert_eq!((decoded["iat"].as_u64(), decoded["exp"].as_u64()), (Some(NOW.secs()), Some(NOW.secs() + 900)));

    let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, ring.signing_key_id());
    let theirs = jws(&header, &decoded.to_string(), 1);
    assert_eq!(theirs, token);
    assert_eq!(ring.verify(&theirs, PROJECT, NOW), Ok(claims()));
}

#[test]
fn a_token_of_one_project_is_none_of_another() {
    let (ours, theirs, other) = (ring(1), ring(2), Uuid::from_u128(0xB));
    for format in FORMATS {
        let token = ours.mint(format, ISSUER, &claims());
        assert_eq!(ours.verify(&token, other, NOW), Err(Rejected::WrongProject));
        assert_eq!(theirs.verify(&token, PROJECT, NOW), Err(Rejected::UnknownKey));
        assert_eq!(theirs.verify(&token, other, NOW), Err(Rejected::UnknownKey));
    }
}

#[test]
fn a_value_signed_for_another_purpose_is_refused() {
    let ring = ring(1);
    let full = |purpose: serde_json::Value, time: serde_json::Value| {
        let id = Uuid::from_u128(1);
        json!({
            "iss": ISSUER, "sub": id, "aud": PROJECT, "sid": id, "jti": id, "iat": time, "nbf": time, "exp": time,
            "use": purpose,
        })
    };
    let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, ring.signing_key_id());
    for purpose in [json!("refresh"), json!("Access"), json!(""), json!(null), json!(["access"])] {
        let paseto = paseto_of(1, &full(purpose.clone(), json!("2099-01-01T00:00:00Z")));
        assert_eq!(ring.verify(&paseto, PROJECT, NOW), Err(Rejected::WrongPurpose));
        let jwt = jws(&header, &full(purpose, json!(4_000_000_000_u64)).to_string(), 1);
        assert_eq!(ring.verify(&jwt, PROJECT, NOW), Err(Rejected::WrongPurpose));
    }
    for payload in ["{}", "[]", "", "access", "{\"sub\":1}"] {
        assert_eq!(ring.verify(&jws(&header, payload, 1), PROJECT, NOW), Err(Rejected::WrongPurpose));
    }
    let paseto = paseto_of(1, &full(json!("access"), json!("tomorrow")));
    assert_eq!(ring.verify(&paseto, PROJECT, NOW), Err(Rejected::Malformed));
    let before_epoch = paseto_of(1, &full(json!("access"), json!("1969-01-01T00:00:00Z")));
    assert_eq!(ring.verify(&before_epoch, PROJECT, NOW), Err(Rejected::Malformed));
    // A payload of one format under the other's envelope.
    let crossed = paseto_of(1, &full(json!("access"), json!(4_000_000_000_u64)));
    assert_eq!(ring.verify(&crossed, PROJECT, NOW), Err(Rejected::Malformed));
}

#[test]
fn the_token_chooses_neither_algorithm_nor_key() {
    let ring = ring(1);
    let good = ring.mint(TokenFormat::Jwt, ISSUER, &claims());
    let (kid, payload) = (ring.signing_key_id(), good.split('.').nth(1).unwrap());
    let payload = String::from_utf8(B64.decode(payload).unwrap()).unwrap();
    for header in [
        format!(r#"{{"alg":"none","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}","jku":"https://evil.test/jwks.json"}}"#),
        format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}","x5u":"https://evil.test/cert.pem"}}"#),
        format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}","jwk":{{"kty":"OKP"}}}}"#),
        format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}","crit":["exp"]}}"#),
        r#"{"alg":"EdDSA","typ":"JWT"}"#.to_owned(),
        "{}".to_owned(),
        String::new(),
    ] {
        assert_eq!(ring.verify(&jws(&header, &payload, 1), PROJECT, NOW), Err(Rejected::UnknownKey), "{header}");
        assert!(ring.verify(&jws(&header, &payload, 2), PROJECT, NOW).is_err());
    }
    let unsigned = format!("{}.{}.", good.split('.').next().unwrap(), B64.encode(&payload));
    assert_eq!(ring.verify(&unsigned, PROJECT, NOW), Err(Rejected::Malformed));
}

#[test]
fn no_changed_byte_passes() {
    let ring = ring(1);
    for format in FORMATS {
        let token = ring.mint(format, ISSUER, &claims());
        for at in 0..token.len() {
            for other in [b'A', b'B', b'-', b'_', b'.', b'=', b'+', b'/', b' ', b'\n', 0, 127] {
                let mut changed = token.clone().into_bytes();
                if std::mem::replace(&mut changed[at], other) == other {
                    continue;
                }
                let changed = String::from_utf8(changed).unwrap();
                assert!(ring.verify(&changed, PROJECT, NOW).is_err(), "{format:?} at {at}: {other}");
            }
            let mut shorter = token.clone();
            shorter.remove(at);
            assert!(ring.verify(&shorter, PROJECT, NOW).is_err(), "{format:?} without {at}");
            assert!(ring.verify(&token[..at], PROJECT, NOW).is_err(), "{format:?} cut at {at}");
        }
        for longer in
            [format!("{token}A"), format!("{token}."), format!("{token}="), format!(" {token}"), token.repeat(2)]
        {
            assert!(ring.verify(&longer, PROJECT, NOW).is_err());
        }
    }
}

#[test]
fn every_bit_of_message_and_signature_counts() {
    let ring = ring(1);
    let token = ring.mint(TokenFormat::Paseto, ISSUER, &claims());
    let (body, footer) = token.strip_prefix("v4.public.").unwrap().split_once('.').unwrap();
    let bytes = B64.decode(body).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let forged = format!("v4.public.{}.{footer}", B64.encode(changed));
        assert_eq!(ring.verify(&forged, PROJECT, NOW), Err(Rejected::BadSignature), "bit {bit}");
    }
    // RFC 8032 section 5.1.7: S must be below the group order, else one signature has many spellings.
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (mut twin, mut carry) = (bytes.clone(), 0u16);
    let scalar = bytes.len() - 32;
    for (byte, add) in twin[scalar..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        [*byte, _] = carry.to_le_bytes();
        carry >>= 8;
    }
    let forged = format!("v4.public.{}.{footer}", B64.encode(twin));
    assert_eq!(ring.verify(&forged, PROJECT, NOW), Err(Rejected::BadSignature));
    for other in
        [format!("v4.public.{body}"), format!("v4.local.{body}.{footer}"), format!("v3.public.{body}.{footer}")]
    {
        assert!(ring.verify(&other, PROJECT, NOW).is_err());
    }
}

#[test]
fn keys_rotate_with_overlap() {
    let end = NOW.secs() + 100;
    let old = ring(1);
    let both = KeyRing::new(&[record(1, 1, Some(end)), record(2, 2, None)]).unwrap();
    assert_eq!(both.signing_key_id(), ring(2).signing_key_id());
    let after = Timestamp::from_secs(end);
    for format in FORMATS {
        let token = old.mint(format, ISSUER, &claims());
        assert_eq!(both.verify(&token, PROJECT, Timestamp::from_millis(after.millis() - 1)), Ok(claims()));
        assert_eq!(both.verify(&token, PROJECT, after), Err(Rejected::UnknownKey));
        assert_eq!(both.verify(&both.mint(format, ISSUER, &claims()), PROJECT, after), Ok(claims()));
    }
    let ids = |set: Value| set["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(both.jwks(NOW)), [both.signing_key_id(), old.signing_key_id()]);
    assert_eq!(both.paserk(NOW)["keys"][1]["retires_at"], after.rfc3339());
    assert_eq!(ids(both.jwks(after)), [both.signing_key_id()]);
    assert_eq!(ids(both.paserk(after)), [both.signing_key_id()]);
}

#[test]
fn the_newest_key_without_an_end_signs() {
    let newest = ring(3).signing_key_id().to_owned();
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let records = order.map(|seed| record(seed, u64::from(seed), None));
        let mut records = records.to_vec();
        records.push(record(4, 9, Some(u64::MAX / 1000)));
        assert_eq!(KeyRing::new(&records).unwrap().signing_key_id(), newest);
    }
    assert_eq!(KeyRing::new(&[]).unwrap_err(), RingError::NoSigningKey);
    assert_eq!(KeyRing::new(&[record(1, 1, Some(2))]).unwrap_err(), RingError::NoSigningKey);
}

#[test]
fn publication_holds_nothing_secret() {
    let ring = ring(7);
    let seed = B64.encode([7; 32]);
    let shown = format!("{} {} {ring:?}", ring.jwks(NOW), ring.paserk(NOW));
    assert!(!shown.contains(&seed) && !shown.contains("\"d\""));
    let key = &ring.jwks(NOW)["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["use"], &key["alg"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("sig"), &json!("EdDSA"))
    );
}

#[test]
fn a_text_beyond_the_bound_is_not_looked_at() {
    let ring = ring(1);
    let long = AccessClaims::clone(&claims());
    let token = ring.mint(TokenFormat::Jwt, &"i".repeat(4000), &long);
    assert_eq!(ring.verify(&token, PROJECT, NOW), Err(Rejected::Malformed));
}

proptest! {
    #[test]
    fn no_text_passes_or_panics(
        text in "\\PC{0,200}|v4\\.public\\.[A-Za-z0-9_-]{0,200}(\\.[A-Za-z0-9_-]{0,90})?|([A-Za-z0-9_-]{0,90}\\.){0,4}[A-Za-z0-9_-]{0,90}"
    ) {
        prop_assert!(ring(1).verify(&text, PROJECT, NOW).is_err());
    }

    #[test]
    fn every_claim_survives(ids in any::<[u128; 3]>(), issued in 0u64..200_000_000_000, lives in 1u64..100_000) {
        let claims = AccessClaims {
            user: Uuid::from_u128(ids[0]),
            session: Uuid::from_u128(ids[1]),
            token_id: Uuid::from_u128(ids[2]),
            project: PROJECT,
            issued_at: Timestamp::from_secs(issued),
            expires_at: Timestamp::from_secs(issued + lives),
        };
        for format in FORMATS {
            prop_assert_eq!(ring(1).verify(&ring(1).mint(format, ISSUER, &claims), PROJECT, claims.issued_at), Ok(claims));
        }
    }
}
