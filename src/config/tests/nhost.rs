//! What signs the Nhost API's tokens, and what an operator adds to them.

use super::*;

fn nhost(keys: &str) -> Result<Settings, Problems> {
    load_with(&format!("[project.shop.nhost]\n{keys}"), &[])
}

#[test]
fn a_signing_key_is_one_for_its_algorithm() {
    let jwt = |keys: &str| load_with(&format!("[project.shop.nhost.jwt]\n{keys}"), &[]);
    let secret = "4f1b9c0d7e2a83655d10c9b8a7e6f5d4";
    for good in [
        String::new(),
        "algorithm = \"RS256\"".into(),
        format!("algorithm = \"HS256\"\nkey = \"{secret}\"\nkid = \"2026-11\""),
        format!("algorithm = \"HS512\"\nkey = \"{secret}{secret}\""),
    ] {
        assert!(jwt(&good).is_ok(), "{good}");
    }
    for (keys, key, reason) in [
        ("algorithm = \"HS256\"".to_owned(), "algorithm", "needs `nhost.jwt.key`"),
        ("algorithm = \"RS512\"".to_owned(), "algorithm", "needs `nhost.jwt.key`"),
        (format!("key = \"{secret}\""), "key", "no private key in PEM"),
        (format!("algorithm = \"HS512\"\nkey = \"{secret}\""), "key", "at least 64 bytes"),
        (format!("algorithm = \"HS256\"\nkey = \"{}\"", "changeme".repeat(6)), "key", "placeholder"),
        (
            "key = \"-----BEGIN PRIVATE KEY-----\\nAAAAAAAAAAAA\\n-----END PRIVATE KEY-----\"".to_owned(),
            "key",
            "no private key for ES256 (P-256)",
        ),
        (
            "algorithm = \"HS256\"\nkey = \"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\""
                .to_owned(),
            "key",
            "wants a secret",
        ),
    ] {
        let (_, at, found) = problem(jwt(&keys));
        assert!(at == format!("project.shop.nhost.jwt.{key}") && found.contains(reason), "{keys}: {at}: {found}");
        assert!(!found.contains("AAAA") && !found.contains(secret), "{found}");
    }
}

#[test]
fn custom_claims_are_paths_and_none_of_the_standard_ones() {
    let good = "custom_claims = { plan = \"metadata.plan\", X-Hasura-Teams = \"metadata.teams[].id\" }\n\
                custom_claims_defaults = { plan = \"free\" }";
    assert_eq!(nhost(good).unwrap().projects["shop"].nhost.custom_claims.len(), 2);
    for (keys, key, reason) in [
        ("custom_claims = { plan = \"metadata[\" }", "custom_claims.plan", "no JSONPath"),
        ("custom_claims = { plan = \"\" }", "custom_claims.plan", "no JSONPath"),
        ("custom_claims = { user-id = \"metadata.x\" }", "custom_claims.user-id", "every token has"),
        (
            "custom_claims = { X-HASURA-Auth-Elevated = \"id\" }",
            "custom_claims.X-HASURA-Auth-Elevated",
            "every token has",
        ),
        ("custom_claims = { plan = \"id\", Plan = \"id\" }", "custom_claims.plan", "same claim"),
        ("custom_claims_defaults = { plan = \"free\" }", "custom_claims_defaults.plan", "no claim"),
    ] {
        let (_, at, found) = problem(nhost(keys));
        assert!(at == format!("project.shop.nhost.{key}") && found.contains(reason), "{keys}: {at}: {found}");
    }
}
