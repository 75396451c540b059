//! JWTs of every algorithm against another implementation, and against whoever changes anything.

use std::slice;
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as B64};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use proptest::prelude::*;

use super::*;
use crate::crypto::Secret;
use crate::env::Env;
use crate::token::KeyMaterial;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com/v1";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NAMESPACE: &str = "https://hasura.io/jwt/claims";

static RSA: LazyLock<KeyRecord> = LazyLock::new(|| fresh(KeyKind::Rs256));
static EC: LazyLock<KeyRecord> = LazyLock::new(|| fresh(KeyKind::Es256));

fn fresh(kind: KeyKind) -> KeyRecord {
    KeyRecord::generate(kind, &Env::system(), NOW).unwrap()
}

fn ec() -> JwtRing {
    JwtRing::own(slice::from_ref(&*EC), KeyKind::Es256, ISSUER).unwrap()
}

fn pem(kind: &str, der: &[u8]) -> String {
    let lines: Vec<_> =
        STANDARD.encode(der).into_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// The RSA key's PKCS #8.
fn rsa_der() -> &'static [u8] {
    let KeyMaterial::Rs256(der) = &RSA.material else { panic!("an RSA key") };
    der.expose()
}

/// A P-256 key in PKCS #8 and in SEC 1.
fn ec_der() -> (Vec<u8>, Vec<u8>) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
    (pair.to_pkcs8v1().unwrap().as_ref().to_vec(), sec1.as_ref().to_vec())
}

fn given(algorithm: JwtAlgorithm, kid: Option<&str>) -> (JwtRing, EncodingKey, Algorithm) {
    let (text, theirs) = match algorithm {
        JwtAlgorithm::Es256 => {
            let text = pem("PRIVATE KEY", &ec_der().0);
            let theirs = EncodingKey::from_ec_pem(text.as_bytes()).unwrap();
            (text, theirs)
        }
        JwtAlgorithm::Rs256 | JwtAlgorithm::Rs384 | JwtAlgorithm::Rs512 => {
            let text = pem("PRIVATE KEY", rsa_der());
            let theirs = EncodingKey::from_rsa_pem(text.as_bytes()).unwrap();
            (text, theirs)
        }
        _ => (SECRET.to_owned(), EncodingKey::from_secret(SECRET.as_bytes())),
    };
    let ring = JwtRing::given(algorithm, &text, kid, ISSUER).unwrap();
    (ring, theirs, algorithm.name().parse().unwrap())
}

fn claims() -> JwtClaims<'static, Value> {
    JwtClaims {
        user: Uuid::from_u128(1),
        session: Uuid::from_u128(0x0193_a5e2_7c1e_7d3a_9b1f_3f6c_2a7d_9e10),
        issued_at: Timestamp::from_millis(NOW.millis() + 999),
        expires_at: Timestamp::from_secs(NOW.secs() + 900),
        namespace: NAMESPACE,
        claims: json!({ "x-hasura-allowed-roles": ["user", "me"] }),
    }
}

fn proof() -> JwtProof {
    let JwtClaims { user, session, expires_at, .. } = claims();
    JwtProof { user, session, expires_at }
}

/// The payload of a good token without its tail.
fn payload() -> Value {
    let user = Uuid::from_u128(1);
    json!({
        "sub": user, "iss": ISSUER, "iat": NOW.secs(), "exp": NOW.secs() + 900,
        NAMESPACE: { "x-hasura-allowed-roles": ["user", "me"] },
    })
}

fn tail() -> String {
    white_space::write(claims().session.as_u128(), TAIL).map(char::from).collect()
}

/// What another implementation signs.
fn jws(header: &str, payload: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let signed = format!("{}.{}", B64.encode(header), B64.encode(payload));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

#[test]
fn every_algorithm_agrees_with_jsonwebtoken_both_ways() {
    for algorithm in JwtAlgorithm::ALL {
        for kid in [None, Some("2026-11")] {
            let (ring, theirs, name) = given(algorithm, kid);
            let token = ring.mint(&claims()).unwrap();
            let kid_member = kid.map_or_else(String::new, |kid| format!(r#","kid":"{kid}""#));
            let header = format!(r#"{{"alg":"{}","typ":"JWT"{kid_member}}}"#, algorithm.name());
            assert_eq!(B64.decode(token.split('.').next().unwrap()).unwrap(), header.as_bytes());

            let set: JwkSet = serde_json::from_value(ring.jwks(NOW)).unwrap();
            let key = match algorithm.shortest_secret() {
                Some(_) => {
                    assert!(set.keys.is_empty(), "a secret is published nowhere");
                    DecodingKey::from_secret(SECRET.as_bytes())
                }
                None => {
                    assert_eq!(set.keys.len(), 1);
                    let id = ring.signing_key_id().unwrap();
                    assert!(kid.is_none_or(|kid| kid == id));
                    DecodingKey::from_jwk(set.find(id).unwrap()).unwrap()
                }
            };
            let mut rules = Validation::new(name);
            rules.set_issuer(&[ISSUER]);
            // The token is of a fixed moment and that crate reads the real clock.
            rules.validate_exp = false;
            let read = jsonwebtoken::decode::<Value>(&token, &key, &rules).unwrap();
            assert_eq!(read.claims, payload(), "{algorithm:?}");

            let again = jws(&header, &format!("{}{}", payload(), tail()), &theirs, name);
            assert_eq!(ring.verify(&again, NOW), Ok(proof()), "{algorithm:?}");
            if algorithm != JwtAlgorithm::Es256 {
                assert_eq!(again, token, "these sign alike everywhere");
            }
        }
    }
}

#[test]
fn own_keys_are_named_and_published() {
    let own = [fresh(KeyKind::Ed25519), EC.clone(), RSA.clone()];
    for (kind, record) in [(KeyKind::Es256, &*EC), (KeyKind::Rs256, &*RSA)] {
        let ring = JwtRing::own(&own, kind, ISSUER).unwrap();
        let token = ring.mint(&claims()).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((header.kid, header.typ.as_deref()), (record.kid(), Some("JWT")));
        assert_eq!(ring.signing_key_id().map(str::to_owned), record.kid());
        assert_eq!(ring.verify(&token, NOW), Ok(proof()));
        let names = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        let set = ring.jwks(NOW);
        let (first, second) = (&set["keys"][0], &set["keys"][1]);
        assert_eq!((&first["alg"], &first["use"]), (&json!(kind.algorithm()), &json!("sig")));
        let (ec, rsa) = if kind == KeyKind::Es256 { (first, second) } else { (second, first) };
        assert_eq!(
            (names(ec), &ec["kty"], &ec["crv"]),
            ("crv kty x y kid use alg".into(), &json!("EC"), &json!("P-256"))
        );
        assert_eq!((names(rsa), &rsa["kty"], &rsa["e"]), ("e kty n kid use alg".into(), &json!("RSA"), &json!("AQAB")));
        // Either kind of key verifies, whichever signs.
        let other = if kind == KeyKind::Es256 { KeyKind::Rs256 } else { KeyKind::Es256 };
        let before = JwtRing::own(&own, other, ISSUER).unwrap();
        assert_eq!(ring.verify(&before.mint(&claims()).unwrap(), NOW), Ok(proof()));
    }
    let KeyMaterial::Es256(scalar) = &EC.material else { panic!("a P-256 key") };
    let ring = JwtRing::own(&own, KeyKind::Es256, ISSUER).unwrap();
    let shown = format!("{} {ring:?}", ring.jwks(NOW));
    assert!(!shown.contains(&B64.encode(scalar.expose())) && !shown.contains("\"d\""));
}

#[test]
fn a_token_is_good_until_it_expires_and_in_its_own_name_only() {
    let ring = ec();
    let token = ring.mint(&claims()).unwrap();
    let end = proof().expires_at;
    // Twice: from the signature, and from memory.
    for _ in 0..2 {
        assert_eq!(ring.verify(&token, Timestamp::from_millis(end.millis() - 1)), Ok(proof()));
        assert_eq!(ring.verify(&token, end), Err(Rejected::Expired));
        assert_eq!(ring.verify(&token, Timestamp::default()), Ok(proof()), "a clock may step back");
    }
    let other = JwtRing::own(slice::from_ref(&*EC), KeyKind::Es256, "https://auth.example.com").unwrap();
    assert_eq!(other.verify(&token, NOW), Err(Rejected::WrongIssuer));
    let fresh = ec();
    assert_eq!(fresh.verify(&token, end), Err(Rejected::Expired));
}

#[test]
fn only_a_session_in_the_tail_makes_an_access_token() {
    for (algorithm, kid) in [(JwtAlgorithm::Hs256, None), (JwtAlgorithm::Es256, Some("k"))] {
        let (ring, key, name) = given(algorithm, kid);
        let header = B64.decode(ring.mint(&claims()).unwrap().split('.').next().unwrap()).unwrap();
        let header = String::from_utf8(header).unwrap();
        let signed = |payload: String| ring.verify(&jws(&header, &payload, &key, name), NOW);
        assert_eq!(signed(format!("{}{}", payload(), tail())), Ok(proof()));
        let refused = [
            payload().to_string(),
            format!("{}{}", payload(), &tail()[1..]),
            format!("{}{} ", payload(), tail()),
            format!("{} {}", payload(), tail()),
            format!("{}{}", payload(), " ".repeat(128)),
            format!("{}{}", payload(), tail().replace(' ', "\u{c}").replace('\n', "\u{b}")),
            format!("{}{}", payload(), tail().replacen(['\t', ' ', '\r', '\n'], "0", 1)),
            format!("{}{}", tail(), payload()),
            tail(),
            String::new(),
            "}".into(),
            format!("}}{}", tail()),
            format!("[]{}", tail()),
            format!("{{}}{}", tail()),
        ];
        for payload in refused {
            assert_eq!(signed(payload.clone()), Err(Rejected::WrongPurpose), "{payload:?}");
        }
        for (claim, value) in [
            ("sub", json!("somebody")),
            ("sub", json!(null)),
            ("iss", json!([ISSUER])),
            ("exp", json!("4000000000")),
            ("exp", json!(-1)),
            ("exp", json!(4e9)),
        ] {
            let mut changed = payload();
            changed[claim] = value;
            assert_eq!(signed(format!("{changed}{}", tail())), Err(Rejected::WrongPurpose), "{changed}");
            changed.as_object_mut().unwrap().remove(claim);
            assert_eq!(signed(format!("{changed}{}", tail())), Err(Rejected::WrongPurpose), "{changed}");
        }
        let twice = payload().to_string().replacen('{', r#"{"exp":4000000000,"#, 1);
        assert_eq!(signed(format!("{twice}{}", tail())), Err(Rejected::WrongPurpose));
        let elsewhere = payload().to_string().replace(ISSUER, "https://evil.test");
        assert_eq!(signed(format!("{elsewhere}{}", tail())), Err(Rejected::WrongIssuer));
    }
}

#[test]
fn the_token_chooses_neither_algorithm_nor_key() {
    let (ring, key, name) = given(JwtAlgorithm::Rs256, Some("ours"));
    let body = format!("{}{}", payload(), tail());
    let public = ring.jwks(NOW)["keys"][0]["n"].as_str().unwrap().to_owned();
    for header in [
        r#"{"alg":"none","typ":"JWT","kid":"ours"}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"ours"}"#,
        r#"{"alg":"RS384","typ":"JWT","kid":"ours"}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"theirs"}"#,
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"alg":"RS256","kid":"ours","typ":"JWT"}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"ours","jku":"https://evil.test/jwks.json"}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"ours","jwk":{"kty":"oct","k":"AA"}}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"ours","x5u":"https://evil.test/cert.pem"}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"ours","crit":["exp"]}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"ours","kid":"theirs"}"#,
        "{}",
        "",
    ] {
        assert_eq!(ring.verify(&jws(header, &body, &key, name), NOW), Err(Rejected::UnknownKey), "{header}");
        // The public key as a secret.
        let secret = EncodingKey::from_secret(public.as_bytes());
        assert!(ring.verify(&jws(header, &body, &secret, Algorithm::HS256), NOW).is_err());
    }
    let header = r#"{"alg":"RS256","typ":"JWT","kid":"ours"}"#;
    let secret = EncodingKey::from_secret(public.as_bytes());
    assert_eq!(ring.verify(&jws(header, &body, &secret, Algorithm::HS256), NOW), Err(Rejected::BadSignature));
    let good = jws(header, &body, &key, name);
    assert_eq!(ring.verify(&good, NOW), Ok(proof()));
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(ring.verify(&format!("{signed}."), NOW), Err(Rejected::BadSignature));
    assert_eq!(ring.verify(signed, NOW), Err(Rejected::Malformed));
    // The body under the header of a key that signs otherwise.
    let own = JwtRing::own(&[EC.clone(), RSA.clone()], KeyKind::Es256, ISSUER).unwrap();
    let rsa = JwtRing::own(slice::from_ref(&*RSA), KeyKind::Rs256, ISSUER).unwrap();
    let (ec, rsa) = (own.mint(&claims()).unwrap(), rsa.mint(&claims()).unwrap());
    let swapped = format!("{}{}", ec.split_once('.').unwrap().0, &rsa[rsa.find('.').unwrap()..]);
    assert_eq!(own.verify(&swapped, NOW), Err(Rejected::BadSignature));
}

#[test]
fn no_changed_byte_passes() {
    for algorithm in [JwtAlgorithm::Es256, JwtAlgorithm::Hs384] {
        let (ring, ..) = given(algorithm, None);
        let token = ring.mint(&claims()).unwrap();
        assert_eq!(ring.verify(&token, NOW), Ok(proof()));
        for at in 0..token.len() {
            for other in [b'A', b'B', b'-', b'.', b'=', b'+', b' ', 0] {
                let mut changed = token.clone().into_bytes();
                if std::mem::replace(&mut changed[at], other) == other {
                    continue;
                }
                let changed = String::from_utf8(changed).unwrap();
                assert!(ring.verify(&changed, NOW).is_err(), "{algorithm:?} at {at}: {other}");
            }
            let mut shorter = token.clone();
            shorter.remove(at);
            assert!(ring.verify(&shorter, NOW).is_err() && ring.verify(&token[..at], NOW).is_err(), "without {at}");
        }
        for longer in
            [format!("{token}A"), format!("{token}."), format!("{token}="), format!(" {token}"), token.repeat(2)]
        {
            assert!(ring.verify(&longer, NOW).is_err());
        }
    }
}

#[test]
fn keys_rotate_with_overlap() {
    let end = Timestamp::from_secs(NOW.secs() + 100);
    let retiring = KeyRecord { retires_at: Some(end), ..EC.clone() };
    let new = KeyRecord { created_at: end, ..fresh(KeyKind::Es256) };
    let old = ec();
    let both = JwtRing::own(&[retiring.clone(), new.clone()], KeyKind::Es256, ISSUER).unwrap();
    assert_eq!(both.signing_key_id().map(str::to_owned), new.kid());
    let token = old.mint(&claims()).unwrap();
    for _ in 0..2 {
        assert_eq!(both.verify(&token, Timestamp::from_millis(end.millis() - 1)), Ok(proof()));
        assert_eq!(both.verify(&token, end), Err(Rejected::UnknownKey));
    }
    assert_eq!(both.verify(&both.mint(&claims()).unwrap(), end), Ok(proof()));
    let ids = |now| both.jwks(now)["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(NOW), [json!(new.kid()), json!(EC.kid())]);
    assert_eq!(ids(end), [json!(new.kid())]);
    // Of several the newest signs, whatever their order.
    let newer = KeyRecord { created_at: Timestamp::from_secs(end.secs() + 1), ..fresh(KeyKind::Es256) };
    for order in [[&new, &newer, &*EC], [&newer, &*EC, &new]] {
        let ring = JwtRing::own(&order.map(Clone::clone), KeyKind::Es256, ISSUER).unwrap();
        assert_eq!(ring.signing_key_id().map(str::to_owned), newer.kid());
    }
    // With none that may sign, what was signed is still checked.
    for kind in [KeyKind::Es256, KeyKind::Rs256] {
        let none = JwtRing::own(slice::from_ref(&retiring), kind, ISSUER).unwrap();
        assert_eq!((none.mint(&claims()), none.signing_key_id()), (Err(NotMinted::NoKey), None));
        assert_eq!(none.verify(&token, NOW), Ok(proof()));
    }
    let damaged = KeyRecord { material: KeyMaterial::Rs256(Secret::new(vec![1; 9])), ..EC.clone() };
    assert_eq!(JwtRing::own(&[damaged], KeyKind::Es256, ISSUER).unwrap_err(), RingError::BadKey);
    let zero = KeyRecord { material: KeyMaterial::Es256(Secret::new([0; 32])), ..EC.clone() };
    assert_eq!(JwtRing::own(&[zero], KeyKind::Es256, ISSUER).unwrap_err(), RingError::BadKey);
}

#[test]
fn a_given_key_is_taken_in_every_usual_form_and_no_other() {
    let refused = |algorithm, text: &str| JwtRing::given(algorithm, text, None, ISSUER).unwrap_err();
    let (pkcs8, sec1) = ec_der();
    let (ec, ec_sec1) = (pem("PRIVATE KEY", &pkcs8), pem("EC PRIVATE KEY", &sec1));
    // The key of PKCS #8 is behind 26 bytes of its algorithm.
    let (rsa, rsa_pkcs1) = (pem("PRIVATE KEY", rsa_der()), pem("RSA PRIVATE KEY", &rsa_der()[26..]));
    let parameters = pem("EC PARAMETERS", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
    for (algorithm, forms) in [
        (JwtAlgorithm::Es256, [ec.clone(), ec_sec1.clone(), format!("{parameters}{ec_sec1}")]),
        (JwtAlgorithm::Rs512, [rsa.clone(), rsa_pkcs1.clone(), rsa.replace('\n', "\r\n")]),
    ] {
        let rings = forms.map(|text| JwtRing::given(algorithm, &text, None, ISSUER).unwrap());
        let token = rings[0].mint(&claims()).unwrap();
        assert!(rings.iter().all(|ring| ring.verify(&token, NOW) == Ok(proof())));
        assert_eq!(rings[0].signing_key_id(), rings[1].signing_key_id(), "the thumbprint");
    }
    let p384 = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let p384 = pem("PRIVATE KEY", p384.to_pkcs8v1().unwrap().as_ref());
    for (algorithm, text) in [
        (JwtAlgorithm::Es256, &rsa),
        (JwtAlgorithm::Es256, &rsa_pkcs1),
        (JwtAlgorithm::Es256, &p384),
        (JwtAlgorithm::Rs256, &ec),
        (JwtAlgorithm::Rs256, &ec_sec1),
        (JwtAlgorithm::Rs256, &pem("PRIVATE KEY", &rsa_der()[..100])),
    ] {
        assert_eq!(refused(algorithm, text), BadJwtKey::WrongKey(algorithm));
    }
    assert_eq!(refused(JwtAlgorithm::Rs256, SECRET), BadJwtKey::NoPem);
    assert_eq!(refused(JwtAlgorithm::Es256, &pem("PUBLIC KEY", &pkcs8)), BadJwtKey::NoPem);
    assert_eq!(refused(JwtAlgorithm::Hs256, &rsa), BadJwtKey::NoSecret(JwtAlgorithm::Hs256));
    for (algorithm, shortest) in [(JwtAlgorithm::Hs256, 32), (JwtAlgorithm::Hs384, 48), (JwtAlgorithm::Hs512, 64)] {
        assert_eq!(refused(algorithm, &SECRET[..shortest - 1]), BadJwtKey::ShortSecret(algorithm));
        assert!(JwtRing::given(algorithm, &SECRET[..shortest], None, ISSUER).is_ok());
    }
    let said =
        [BadJwtKey::NoSecret(JwtAlgorithm::Hs256), BadJwtKey::ShortSecret(JwtAlgorithm::Hs512)].map(|e| e.to_string());
    assert_eq!(
        said,
        ["is a key in PEM: HS256 wants a secret", "is too short: a secret for HS512 has at least 64 bytes"]
    );
}

#[test]
fn a_token_beyond_the_bound_is_neither_made_nor_looked_at() {
    let ring = ec();
    let with = |length| JwtClaims { claims: json!("c".repeat(length)), ..claims() };
    let longest = ring.mint(&with(11_700)).unwrap();
    assert!((16_000..=JwtRing::MAX_TOKEN).contains(&longest.len()), "{}", longest.len());
    assert_eq!(ring.verify(&longest, NOW), Ok(proof()));
    assert_eq!(ring.mint(&with(12_500)), Err(NotMinted::TooLong));
    assert_eq!(ring.verify(&"a".repeat(JwtRing::MAX_TOKEN + 1), NOW), Err(Rejected::Malformed));
}

#[test]
fn a_session_token_under_the_same_secret_is_no_access_token() {
    use crate::token::{Blank, SessionClaims, SessionKey};
    let (ring, key, name) = given(JwtAlgorithm::Hs256, None);
    let session = SessionClaims {
        id: Uuid::from_u128(1),
        email: "ada@example.com",
        role: "admin",
        issued_at: NOW,
        expires_at: Timestamp::from_secs(4_000_000_000),
    };
    let token = SessionKey::given(SECRET).mint(&session, Blank::generate(&Env::system()));
    assert_eq!(ring.verify(&token, NOW), Err(Rejected::WrongPurpose));
    // And without anything behind its claims.
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    assert_eq!(ring.verify(&jws(header, &payload().to_string(), &key, name), NOW), Err(Rejected::WrongPurpose));
}

proptest! {
    #[test]
    fn no_text_passes_or_panics(text in "\\PC{0,200}|([A-Za-z0-9_-]{0,90}\\.){0,4}[A-Za-z0-9_-]{0,90}") {
        let ring = ec();
        prop_assert!(ring.verify(&text, NOW).is_err());
    }

    #[test]
    fn no_signed_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..200), tail in any::<u128>()) {
        let (ring, key, name) = given(JwtAlgorithm::Hs256, None);
        let header = r#"{"alg":"HS256","typ":"JWT"}"#;
        for ending in [String::new(), white_space::write(tail, TAIL).map(char::from).collect()] {
            let signed = format!("{}.{}", B64.encode(header), B64.encode([&payload, ending.as_bytes()].concat()));
            let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, name).unwrap();
            let token = format!("{signed}.{signature}");
            prop_assert!(ring.verify(&token, NOW).is_err());
        }
    }

    #[test]
    fn every_id_survives(user in any::<u128>(), session in any::<u128>(), lives in 1_u64..1_000_000) {
        let ring = ec();
        let (user, session) = (Uuid::from_u128(user), Uuid::from_u128(session));
        let expires_at = Timestamp::from_secs(NOW.secs() + lives);
        let token = ring.mint(&JwtClaims { user, session, expires_at, ..claims() }).unwrap();
        prop_assert_eq!(ring.verify(&token, NOW), Ok(JwtProof { user, session, expires_at }));
    }
}
