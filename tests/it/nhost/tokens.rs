//! Access tokens (contract 2.1): what other services read in them, which keys sign them, and what is none.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use keystead::auth::keys;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon, newcomer, refresh, text};
use crate::persona::{Persona, operator, project, project_id};

const ALGORITHM: &str = "PROJECT__DEFAULT__NHOST__JWT__ALGORITHM";
const KEY: &str = "PROJECT__DEFAULT__NHOST__JWT__KEY";
const SECRET: &str = "4f1b9c0d7e2a83655d10c9b8a7e6f5d4";
const CLAIMS: &str = "https://hasura.io/jwt/claims";

async fn key_set(anon: &Persona) -> Value {
    anon.get("/.well-known/jwks.json").await.expect(200).body
}

/// The claims of a token as `jsonwebtoken` reads it with the published keys.
async fn read(anon: &Persona, token: &str, algorithm: Algorithm) -> Value {
    let header = jsonwebtoken::decode_header(token).expect("a JWT");
    assert_eq!((header.alg, header.typ.as_deref()), (algorithm, Some("JWT")));
    let key = if algorithm == Algorithm::HS256 {
        assert_eq!((header.kid, key_set(anon).await), (None, json!({ "keys": [] })));
        DecodingKey::from_secret(SECRET.as_bytes())
    } else {
        let set: JwkSet = serde_json::from_value(key_set(anon).await).expect("a JWKS");
        DecodingKey::from_jwk(set.find(&header.kid.expect("a kid")).expect("its key")).expect("a key")
    };
    let mut rules = Validation::new(algorithm);
    // The test clock is not that crate's.
    rules.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &key, &rules).expect("a good signature").claims
}

fn signed(header: &Value, payload: &str) -> String {
    let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(payload));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    format!("{signed}.{signature}")
}

/// The piece of a token before the `at`-th dot, decoded.
fn part(token: &str, at: usize) -> String {
    let part = token.split('.').nth(at).expect("three parts");
    String::from_utf8(BASE64URL.decode(part).expect("base64url")).expect("text")
}

#[tokio::test]
async fn another_service_reads_exactly_these_claims() {
    for (algorithm, said) in [
        (Algorithm::ES256, vec![]),
        (Algorithm::RS256, vec![(ALGORITHM, "RS256")]),
        (Algorithm::HS256, vec![(ALGORITHM, "HS256"), (KEY, SECRET)]),
    ] {
        let server = Server::with(&said).await;
        let (ada, session) = newcomer(&anon(&server), ADA).await;
        let mut claims = read(&anon(&server), text(&session, "accessToken"), algorithm).await;
        let (iat, exp) = (claims["iat"].take(), claims["exp"].take());
        assert_eq!(exp.as_u64().expect("seconds") - iat.as_u64().expect("seconds"), 900);
        let user = &session["user"]["id"];
        let expected = json!({
            "sub": user, "iss": format!("{}/v1", server.url()), "iat": null, "exp": null,
            CLAIMS: {
                "x-hasura-allowed-roles": ["me", "user"], "x-hasura-default-role": "user", "x-hasura-user-id": user,
                "x-hasura-user-is-anonymous": "false",
            },
        });
        assert_eq!(claims, expected, "{algorithm:?}");
        // Once from its signature, once from memory.
        for _ in 0..2 {
            assert_eq!(ada.get("/user").await.expect(200).body["id"], *user);
        }
        server.clock().advance(Duration::from_secs(900));
        ada.get("/user").await.expect(401);
    }
}

#[tokio::test]
async fn what_is_no_access_token_of_a_session_is_refused() {
    let server = Server::with(&[(ALGORITHM, "HS256"), (KEY, SECRET)]).await;
    let (_, session) = newcomer(&anon(&server), ADA).await;
    let token = text(&session, "accessToken");
    let (header, payload) = (json!({"alg": "HS256", "typ": "JWT"}), part(token, 1));
    let is = async |token: &str, status| anon(&server).with_token(token).get("/user").await.expect(status);
    assert_eq!(signed(&header, &payload), token, "whoever has the secret may");
    is(token, 200).await;
    let claims = payload.trim_end();
    assert_eq!(payload.len() - claims.len(), 64);
    let forged = [
        // Of no session, or of none there is.
        signed(&header, claims),
        signed(&header, &format!("{claims}{}", " ".repeat(64))),
        signed(&header, &format!("{payload} ")),
        signed(&header, &payload[..payload.len() - 1]),
        // In another's name, or for longer.
        signed(&header, &payload.replacen("/v1\"", "/v2\"", 1)),
        signed(&header, &payload.replacen(text(&session["user"], "id"), "00000000-0000-0000-0000-000000000001", 1)),
        // Under another header.
        signed(&json!({"alg": "none", "typ": "JWT"}), &payload),
        signed(&json!({"alg": "HS512", "typ": "JWT"}), &payload),
        signed(&json!({"alg": "HS256", "typ": "JWT", "kid": "other"}), &payload),
        format!(
            "{}.{}.",
            BASE64URL.encode(r#"{"alg":"none","typ":"JWT"}"#),
            token.split('.').nth(1).expect("a payload")
        ),
        format!("{}A", &token[..token.len() - 1]),
        "a".repeat(9000),
    ];
    for token in forged.iter().filter(|forged| *forged != token) {
        is(token, 401).await;
    }
    // Of another API, and at another API.
    let noma = anon(&server).speaking_noma();
    let theirs = noma.sign_in(ADA, PASSWORD).await.expect(200);
    is(theirs.text_at("access_token"), 401).await;
    noma.with_token(token).get("/me").await.expect(401);
}

#[tokio::test]
async fn a_token_of_one_project_is_none_of_another() {
    // Even where an operator gives both the same secret.
    let said = [
        ("PROJECT__ONE__NHOST__JWT__ALGORITHM", "HS256"),
        ("PROJECT__ONE__NHOST__JWT__KEY", SECRET),
        ("PROJECT__ONE__NHOST__JWT__ISSUER", "shared"),
        ("PROJECT__OTHER__NHOST__JWT__ALGORITHM", "HS256"),
        ("PROJECT__OTHER__NHOST__JWT__KEY", SECRET),
        ("PROJECT__OTHER__NHOST__JWT__ISSUER", "shared"),
    ];
    let server = Server::with(&said).await;
    let [one, other] = ["one", "other"].map(|slug| anon(&server).in_project(Some(&project_id(&server, slug))));
    let (ada, session) = newcomer(&one, ADA).await;
    newcomer(&other, ADA).await;
    ada.get("/user").await.expect(200);
    other.with_token(text(&session, "accessToken")).get("/user").await.expect(401);
}

#[tokio::test]
async fn keys_rotate_with_overlap() {
    let server = Server::start().await;
    let anon = anon(&server);
    let (ada, session) = newcomer(&anon, ADA).await;
    let default = project(&server, "default").await;
    let new = keys::rotate(&default, operator(&server), Duration::from_secs(3600)).await.expect("rotated");
    let set = key_set(&anon).await;
    let kids: Vec<_> = set["keys"].as_array().expect("keys").iter().map(|key| key["kid"].clone()).collect();
    assert_eq!((kids.len(), &kids[0]), (2, &json!(new.jwt.as_ref().map(|key| &key.kid))), "the signing key first");
    ada.get("/user").await.expect(200);
    let next = refresh(&anon, text(&session, "refreshToken")).await.expect(200);
    let token = next.text_at("accessToken");
    assert_eq!(jsonwebtoken::decode_header(token).expect("a JWT").kid, new.jwt.map(|key| key.kid));
    anon.with_token(token).get("/user").await.expect(200);
    keys::rotate(&default, operator(&server), Duration::ZERO).await.expect("rotated");
    ada.get("/user").await.expect(401);
    anon.with_token(token).get("/user").await.expect(401);
    assert_eq!(key_set(&anon).await["keys"].as_array().map(Vec::len), Some(1));
    // The session goes on.
    let again = refresh(&anon, next.text_at("refreshToken")).await.expect(200);
    anon.with_token(again.text_at("accessToken")).get("/user").await.expect(200);
}

#[tokio::test]
async fn an_operator_adds_claims_from_what_the_user_is() {
    let said = [
        ("PROJECT__DEFAULT__NHOST__CUSTOM_CLAIMS__PLAN", "metadata.plan"),
        ("PROJECT__DEFAULT__NHOST__CUSTOM_CLAIMS__TEAMS", "metadata.teams[].id"),
        ("PROJECT__DEFAULT__NHOST__CUSTOM_CLAIMS__NAME", "displayName"),
        ("PROJECT__DEFAULT__NHOST__CUSTOM_CLAIMS_DEFAULTS__PLAN", "free"),
        ("PROJECT__DEFAULT__NHOST__JWT__CLAIMS_NAMESPACE", "claims.example"),
    ];
    let server = Server::with(&said).await;
    let options = json!({
        "displayName": "Ada",
        "metadata": {"teams": [{"id": "t1"}, {"id": "t2"}], "user-id": "evil", "auth-elevated": "evil"},
    });
    let body = json!({ "email": ADA, "password": PASSWORD, "options": options });
    let reply = anon(&server).post("/signup/email-password", &body).await.expect(200);
    let session = &reply.body["session"];
    let claims = read(&anon(&server), text(session, "accessToken"), Algorithm::ES256).await;
    let user = &session["user"]["id"];
    let expected = json!({
        "x-hasura-allowed-roles": ["me", "user"], "x-hasura-default-role": "user", "x-hasura-user-id": user,
        "x-hasura-user-is-anonymous": "false", "x-hasura-name": "Ada", "x-hasura-plan": "free",
        "x-hasura-teams": r#"{"t1","t2"}"#,
    });
    assert_eq!(claims["claims.example"], expected);
}
