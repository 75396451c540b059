//! Every accepted form against vectors from elsewhere, and every bound at its edge.

use argon2::{AssociatedData, ParamsBuilder};
use proptest::prelude::*;

use super::*;

const CHEAP: HashCost = HashCost { memory_kib: 64, iterations: 1, parallelism: 1 };

fn matches(stored: &str, password: &str) -> bool {
    StoredHash::parse_import(stored).unwrap().matches(password.as_bytes(), &mut Vec::new())
}

#[test]
fn rfc_9106_section_5_3() {
    let mut params = ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).data(AssociatedData::new(&[4; 12]).unwrap());
    let argon2 =
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params.build().unwrap()).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into_with_memory(&[1; 32], &[2; 16], &mut tag, vec![Block::new(); 32]).unwrap();
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
}

#[test]
fn our_own_form_is_compact_and_checks_every_byte() {
    let mut memory = Vec::new();
    let long = "x".repeat(100);
    let stored = StoredHash::compute(CHEAP, [9; 16], long.as_bytes(), &mut memory);
    assert!(stored.matches(long.as_bytes(), &mut memory));
    assert!(!stored.matches(format!("{}y", &long[..99]).as_bytes(), &mut memory), "no cut at 72 bytes");
    assert!(!stored.matches(b"", &mut memory));
    assert!(stored.is_current(CHEAP) && !stored.is_current(HashCost { memory_kib: 65, ..CHEAP }));
    let bytes = postcard::to_allocvec(&stored).unwrap();
    assert!(bytes.len() <= 56, "{} bytes", bytes.len());
    assert!(postcard::from_bytes::<StoredHash>(&bytes).unwrap() == stored);
    assert_eq!(format!("{stored:?}"), "[stored hash]");
}

#[test]
fn reused_memory_leaves_no_trace_in_the_next_hash() {
    let mut memory = Vec::new();
    let first = StoredHash::compute(CHEAP, [1; 16], b"a", &mut memory);
    StoredHash::compute(HashCost { memory_kib: 256, ..CHEAP }, [2; 16], b"b", &mut memory);
    assert!(StoredHash::compute(CHEAP, [1; 16], b"a", &mut memory) == first);
}

#[test]
fn bcrypt_of_three_prefixes() {
    // John the Ripper's vector for $2a$05.
    let body = "05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    for prefix in ["2a", "2b", "2y"] {
        assert!(matches(&format!("${prefix}${body}"), "U*U"));
        assert!(!matches(&format!("${prefix}${body}"), "U*u"));
    }
    let of_72 = bcrypt::hash_with_salt([b'x'; 72], 4, [3; 16]).unwrap().to_string();
    assert!(matches(&of_72, &"x".repeat(80)), "an imported bcrypt hash never saw more than 72 bytes");
}

#[test]
fn scrypt_of_rfc_7914() {
    // Section 12, third vector: N = 16384, r = 8, p = 1, salt "SodiumChloride", 64 bytes.
    let hash = "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw";
    let stored = format!("$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU${hash}");
    assert!(matches(&stored, "pleaseletmein"));
    assert!(!matches(&stored, "pleaseletmeout"));
}

#[test]
fn pbkdf2_of_both_digests() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    // RFC 7914 section 11: PBKDF2-HMAC-SHA256, "Password", "NaCl" has a salt too short for a PHC string; the salts
    // here are longer and the hashes come from aws-lc-rs.
    use aws_lc_rs::pbkdf2;
    let rounds = std::num::NonZeroU32::new(1000).unwrap();
    for (name, algorithm, length) in
        [("sha256", pbkdf2::PBKDF2_HMAC_SHA256, 32), ("sha512", pbkdf2::PBKDF2_HMAC_SHA512, 64)]
    {
        let mut hash = vec![0; length];
        pbkdf2::derive(algorithm, rounds, b"sixteen bytes of", b"correct horse", &mut hash);
        let (salt, hash) = (STANDARD_NO_PAD.encode("sixteen bytes of"), STANDARD_NO_PAD.encode(&hash));
        for params in ["i=1000".to_owned(), format!("i=1000,l={length}")] {
            let stored = format!("$pbkdf2-{name}${params}${salt}${hash}");
            assert!(matches(&stored, "correct horse"), "{stored}");
            assert!(!matches(&stored, "correct Horse"));
        }
        let stored = format!("$pbkdf2-{name}$i=1000,l=10${salt}${hash}");
        assert_eq!(StoredHash::parse_import(&stored).unwrap_err(), ImportError::Malformed);
    }
}

#[test]
fn argon2_of_other_kinds_and_costs() {
    // From the reference implementation's test.c: version 0x13, t=2, m=2^8, p=1, "password", "somesalt".
    let argon2i = "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";
    let argon2id = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    for stored in [argon2i, argon2id] {
        assert!(matches(stored, "password"));
        assert!(!matches(stored, "Password"));
        assert!(!matches(&stored.replace("t=2", "t=3"), "password"));
    }
}

#[test]
fn argon2id_of_our_shape_becomes_our_own_form() {
    let phc = |salt: &str| format!("$argon2id$v=19$m=64,t=1,p=1${salt}$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert!(StoredHash::parse_import(&phc("AAAAAAAAAAAAAAAAAAAAAA")).unwrap().is_current(CHEAP));
    assert!(!StoredHash::parse_import(&phc("AAAAAAAAAAAAAAA")).unwrap().is_current(CHEAP));
}

#[test]
fn absurd_costs_are_refused_before_any_work() {
    let tail = "c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";
    let bcrypt = |cost| format!("$2b${cost:02}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
    for (text, fits) in [
        (format!("$argon2id$v=19$m=262144,t=4,p=4${tail}"), true),
        (format!("$argon2id$v=19$m=262145,t=1,p=1${tail}"), false),
        (format!("$argon2id$v=19$m=262144,t=5,p=1${tail}"), false),
        (format!("$argon2id$v=19$m=4294967295,t=4294967295,p=1${tail}"), false),
        (format!("$argon2id$v=19$m=65536,t=1,p=16777215${tail}"), false),
        (format!("$argon2id$v=19$m=64,t=65,p=1${tail}"), false),
        (format!("$scrypt$ln=18,r=8,p=4${tail}"), true),
        (format!("$scrypt$ln=18,r=9,p=1${tail}"), false),
        (format!("$scrypt$ln=18,r=8,p=5${tail}"), false),
        (format!("$scrypt$ln=63,r=8,p=1${tail}"), false),
        (format!("$scrypt$ln=4294967295,r=4294967295,p=4294967295${tail}"), false),
        (format!("$pbkdf2-sha256$i=5000000${tail}"), true),
        (format!("$pbkdf2-sha256$i=5000001${tail}"), false),
        (bcrypt(15), true),
        (bcrypt(16), false),
        (bcrypt(99), false),
    ] {
        let parsed = StoredHash::parse_import(&text).map(|_| ());
        assert_eq!(parsed, if fits { Ok(()) } else { Err(ImportError::TooCostly) }, "{text}");
    }
}

#[test]
fn what_is_not_a_hash_is_refused() {
    for text in ["", "plain", "$1$salt$hash", "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$", "$$"]
    {
        assert_eq!(StoredHash::parse_import(text).unwrap_err(), ImportError::Unknown, "{text}");
    }
    let salt_hash = "c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";
    for text in [
        "$2b$".to_owned(),
        "$2b$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
        "$argon2id$v=19$m=64,t=1,p=1".to_owned(),
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ".to_owned(),
        format!("$argon2id$v=18$m=64,t=1,p=1${salt_hash}"),
        format!("$argon2id$v=19$m=64,t=1,p=1,keyid=AAAA${salt_hash}"),
        format!("$argon2id$v=19$m=64,t=1${salt_hash}"),
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ=$AAAA".to_owned(),
        format!("$scrypt$ln=0,r=8,p=1${salt_hash}"),
        format!("$pbkdf2-sha256$i=0${salt_hash}"),
        format!("$pbkdf2-sha512${salt_hash}"),
        format!("$argon2id$v=19$m=64,t=1,p=1${}", "A".repeat(600)),
    ] {
        assert_eq!(StoredHash::parse_import(&text).unwrap_err(), ImportError::Malformed, "{text}");
    }
}

#[test]
fn a_configured_cost_has_bounds() {
    assert_eq!(HashCost::default().check(), Ok(()));
    assert_eq!(CHEAP.check(), Ok(()));
    for (memory_kib, iterations, parallelism) in
        [(7, 1, 1), (64, 0, 1), (64, 1, 0), (64, 1, 9), (64, 65, 1), (1 << 21, 1, 1), (1 << 20, 5, 1), (u32::MAX, 1, 1)]
    {
        assert_eq!(HashCost { memory_kib, iterations, parallelism }.check(), Err(BadCost));
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
        let _ = StoredHash::parse_import(&text);
    }

    #[test]
    fn no_near_hash_makes_the_parser_panic(
        text in r"\$(2[abyx]|argon2(id|i|d)|scrypt|pbkdf2-sha(256|512))(\$(v=[0-9]{0,3}))?\$([a-z]{1,2}=[0-9a-zA-Z]{0,11},?){0,4}\$[A-Za-z0-9+/=.]{0,40}\$[A-Za-z0-9+/=.é]{0,90}"
    ) {
        let _ = StoredHash::parse_import(&text);
    }
}
