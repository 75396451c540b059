//! Access tokens (contract 4, design 5): both formats, published keys, rotation with overlap, one purpose each.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use keystead::auth::keys;
use keystead::testing::Server;
use pasetors::keys::AsymmetricPublicKey;
use pasetors::token::{Public, UntrustedToken};
use pasetors::version4::{PublicToken, V4};
use serde_json::{Value, json};

use crate::persona::{Persona, operator, project};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const JWT: (&str, &str) = ("PROJECT__DEFAULT__NOMA__TOKEN_FORMAT", "jwt");

async fn published(anon: &Persona, document: &str) -> Value {
    anon.mounted_at("").get(&format!("/.well-known/{document}.json")).await.expect(200).body
}

/// The claims of a token as `pasetors` reads it with the published keys; `None` when no key verifies it.
async fn read_paseto(anon: &Persona, token: &str) -> Option<Value> {
    let untrusted = UntrustedToken::<Public, V4>::try_from(token).expect("a PASETO");
    published(anon, "paserk").await["keys"].as_array()?.iter().find_map(|entry| {
        let key = entry["key"].as_str()?;
        let key = AsymmetricPublicKey::<V4>::try_from(key).expect("a k4.public");
        let trusted = PublicToken::verify(&key, &untrusted, None, None).ok()?;
        let footer: Value = serde_json::from_slice(trusted.footer()).expect("a JSON footer");
        assert_eq!(footer["kid"], entry["kid"]);
        serde_json::from_str(trusted.payload()).ok()
    })
}

/// The claims of a token as `jsonwebtoken` reads it with the published keys.
async fn read_jwt(anon: &Persona, token: &str) -> Option<Value> {
    let set: JwkSet = serde_json::from_value(published(anon, "jwks").await).expect("a JWKS");
    let header = jsonwebtoken::decode_header(token).expect("a JWT");
    assert_eq!(header.alg, Algorithm::EdDSA);
    let key = DecodingKey::from_jwk(set.find(&header.kid?)?).expect("a key");
    let mut rules = Validation::new(Algorithm::EdDSA);
    // The test clock is not that crate's.
    (rules.validate_exp, rules.validate_aud) = (false, false);
    jsonwebtoken::decode::<Value>(token, &key, &rules).ok().map(|token| token.claims)
}

fn access_token(body: &Value) -> &str {
    body["access_token"].as_str().expect("an access token")
}

#[tokio::test]
async fn a_paseto_says_what_it_should_to_an_independent_library() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (_, up) = anon.sign_up(ADA, PASSWORD).await;
    let claims = read_paseto(&anon, access_token(&up)).await.expect("a good signature");
    assert_eq!((&claims["sub"], &claims["aud"]), (&up["user"]["uuid"], &json!(server.project())));
    assert_eq!((&claims["iss"], &claims["use"]), (&json!(server.url()), &json!("access")));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!("2026-01-01T00:00:00Z"), &up["expires_at"]));
    let again = anon.signed_in(ADA, PASSWORD).await.1;
    let other = read_paseto(&anon, access_token(&again)).await.expect("a good signature");
    assert_ne!(claims["sid"], other["sid"]);
    assert_ne!(claims["jti"], other["jti"]);
    let refreshed = anon.refresh(up["refresh_token"].as_str().expect("a token")).await.expect(200);
    let later = read_paseto(&anon, refreshed.text_at("access_token")).await.expect("a good signature");
    assert_eq!(claims["sid"], later["sid"]);
    assert_ne!(claims["jti"], later["jti"]);
}

#[tokio::test]
async fn a_jwt_says_the_same_where_the_project_wants_one() {
    let server = Server::with(&[JWT]).await;
    let anon = Persona::anon(&server);
    let (ada, up) = anon.sign_up(ADA, PASSWORD).await;
    ada.get("/me").await.expect(200);
    let claims = read_jwt(&anon, access_token(&up)).await.expect("a good signature");
    assert_eq!((&claims["sub"], &claims["aud"]), (&up["user"]["uuid"], &json!(server.project())));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1_767_225_600), &json!(1_767_226_500)));
    assert_eq!((&claims["iss"], &claims["use"]), (&json!(server.url()), &json!("access")));
    ada.post_nothing("/logout").await.expect(200);
    ada.get("/me").await.expect(401);
}

/// What names this server comes from its configuration, never from a request.
#[tokio::test]
async fn the_issuer_is_the_public_url_whatever_the_request_says() {
    let server = Server::with(&[("LISTEN__PUBLIC_URL", "https://auth.example.com"), ("TLS__MODE", "off")]).await;
    let anon = Persona::anon(&server)
        .with_header("host", "evil.example")
        .with_header("x-forwarded-host", "evil.example")
        .with_header("forwarded", "host=evil.example;proto=http");
    let (_, up) = anon.sign_up(ADA, PASSWORD).await;
    let claims = read_paseto(&anon, access_token(&up)).await.expect("a good signature");
    assert_eq!(claims["iss"], "https://auth.example.com");
}

/// The algorithm is never taken from the token, and keys in it are not followed.
#[tokio::test]
async fn a_jwt_with_another_header_is_refused() {
    let server = Server::with(&[JWT]).await;
    let anon = Persona::anon(&server);
    let (_, up) = anon.sign_up(ADA, PASSWORD).await;
    let token = access_token(&up);
    let parts: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().expect("a JWT has three parts");
    let [header, claims, signature] = parts;
    let original: Value = serde_json::from_slice(&BASE64URL.decode(header).expect("base64")).expect("a header");
    let public = published(&anon, "jwks").await["keys"][0].clone();
    for change in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "ES256" }),
        json!({ "jku": "https://evil.example/jwks.json" }),
        json!({ "x5u": "https://evil.example/cert.pem" }),
        json!({ "jwk": public }),
        json!({ "kid": "k4.pid.other" }),
        json!({ "crit": ["exp"] }),
    ] {
        let mut changed = original.clone();
        for (name, value) in change.as_object().expect("an object") {
            changed[name] = value.clone();
        }
        let changed = BASE64URL.encode(changed.to_string());
        for token in [format!("{changed}.{claims}.{signature}"), format!("{changed}.{claims}.")] {
            anon.with_token(&token).get("/me").await.expect(401);
        }
    }
    // The public key as an HMAC secret: the classic confusion.
    let secret = BASE64URL.decode(public["x"].as_str().expect("a key")).expect("base64");
    let claims: Value = serde_json::from_slice(&BASE64URL.decode(claims).expect("base64")).expect("claims");
    let mut header = jsonwebtoken::Header::new(Algorithm::HS256);
    header.kid = public["kid"].as_str().map(str::to_owned);
    let forged =
        jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_secret(&secret)).expect("signed");
    anon.with_token(&forged).get("/me").await.expect(401);
    anon.with_token(token).get("/me").await.expect(200);
}

#[tokio::test]
async fn keys_rotate_with_overlap() {
    for settings in [&[][..], &[JWT]] {
        let server = Server::with(settings).await;
        let anon = Persona::anon(&server);
        let default = project(&server, "default").await;
        let (before, up) = anon.sign_up(ADA, PASSWORD).await;
        let overlap = Duration::from_secs(600);
        let new = keys::rotate(&default, operator(&server), overlap).await.expect("rotated");
        let (after, body) = anon.signed_in(ADA, PASSWORD).await;
        let jwks = published(&anon, "jwks").await;
        assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(2));
        assert_eq!(jwks["keys"][0]["kid"], new.signing.kid, "the signing key first");
        for body in [&up, &body] {
            let token = access_token(body);
            let read = if settings.is_empty() { read_paseto(&anon, token).await } else { read_jwt(&anon, token).await };
            assert_eq!(read.expect("a good signature")["sub"], up["user"]["uuid"]);
        }
        before.get("/me").await.expect(200);
        server.clock().advance(overlap - Duration::from_millis(1));
        before.get("/me").await.expect(200);
        server.clock().advance(Duration::from_millis(1));
        before.get("/me").await.expect(401);
        after.get("/me").await.expect(200);
        assert_eq!(published(&anon, "jwks").await["keys"].as_array().map(Vec::len), Some(1));
        assert_eq!(published(&anon, "paserk").await["keys"].as_array().map(Vec::len), Some(1));
        // The session is no worse for it.
        anon.refresh(up["refresh_token"].as_str().expect("a token")).await.expect(200);
    }
}

#[tokio::test]
async fn rotation_without_overlap_ends_every_token_at_once() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    let (before, up) = anon.sign_up(ADA, PASSWORD).await;
    before.get("/me").await.expect(200);
    keys::rotate(&default, operator(&server), Duration::ZERO).await.expect("rotated");
    before.get("/me").await.expect(401);
    let fresh = anon.refresh(up["refresh_token"].as_str().expect("a token")).await.expect(200);
    anon.with_token(fresh.text_at("access_token")).get("/me").await.expect(200);
    assert_eq!(keys::list(&default).expect("keys").len(), 4, "two of each kind, until it is swept or rotated away");
}

#[tokio::test]
async fn changing_the_format_keeps_old_tokens_good() {
    // Both spellings are of the same keys: a project may switch without signing anybody out.
    let server = Server::with(&[JWT]).await;
    let anon = Persona::anon(&server);
    let (_, up) = anon.sign_up(ADA, PASSWORD).await;
    let document = anon.mounted_at("").get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(document.headers["cache-control"], "public, max-age=60");
    assert_eq!(document.body["keys"][0]["kty"], "OKP");
    assert!(document.body["keys"][0].get("d").is_none(), "only the public half");
    let wrong = anon.mounted_at("").post_nothing("/.well-known/jwks.json").await.expect(405);
    assert_eq!(wrong.headers["allow"], "GET, HEAD");
    anon.mounted_at("").get("/.well-known/other.json").await.expect(404);
    anon.with_token(access_token(&up)).get("/me").await.expect(200);
}

/// Every signed or opaque value serves one purpose.
#[tokio::test]
async fn no_value_works_where_another_is_wanted() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server =
        Server::with(&[("PROJECT__DEFAULT__SECRET", secret), ("PROJECT__DEFAULT__VERIFICATION__MODE", "lenient")])
            .await;
    let anon = Persona::anon(&server);
    let (ada, up) = anon.sign_up(ADA, PASSWORD).await;
    let key = ada.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
    let sent = anon.post("/verify-email/resend", &json!({ "email": ADA })).await.expect(200);
    let (access, refresh) = (access_token(&up), up["refresh_token"].as_str().expect("a token"));
    let (key, verification) = (key.text_at("plain_text_key"), sent.text_at("verification_token"));
    for value in [refresh, key, verification, secret] {
        anon.with_token(value).get("/me").await.expect(401);
    }
    for value in [access, key, verification] {
        anon.refresh(value).await.expect(401);
    }
    for value in [access, refresh, key, secret] {
        anon.post("/verify-email/confirm", &json!({ "token": value })).await.refused("token");
    }
    for value in [access, refresh, verification, secret] {
        anon.with_token(secret).post("/api-keys/verify", &json!({ "key": value })).await.refused("key");
    }
    for value in [access, refresh, verification, key] {
        anon.with_token(value).post("/api-keys/verify", &json!({ "key": key })).await.expect(401);
    }
    // None of that used anything up.
    ada.get("/me").await.expect(200);
    anon.refresh(refresh).await.expect(200);
    anon.post("/verify-email/confirm", &json!({ "token": verification })).await.expect(200);
    anon.with_token(secret).post("/api-keys/verify", &json!({ "key": key })).await.expect(200);
}
