//! What holds for every request (contract 1): mounts, bodies, correlation, scripts of other pages.

use keystead::testing::Server;
use reqwest::Method;
use serde_json::json;

use super::{ADA, PASSWORD, anon, newcomer};
use crate::persona::Persona;

#[tokio::test]
async fn where_it_is_mounted() {
    const ONLY: [(&str, &str); 2] =
        [("PROJECT__DEFAULT__NOMA__ENABLED", "false"), ("PROJECT__DEFAULT__NHOST__ENABLED", "false")];
    let at = async |settings: &[(&str, &str)], mount| {
        let server = Server::with(settings).await;
        let anon = anon(&server).mounted_at(mount);
        let reply = if mount == "/api/auth" && settings.is_empty() {
            // Another API is there.
            Persona::anon(&server).get("/bootstrap-status").await
        } else if settings.iter().any(|(name, _)| name.contains("NORA__ENABLED")) {
            Persona::anon(&server).mounted_at(mount).get("/bootstrap-status").await
        } else {
            anon.get("/bootstrap-status").await
        };
        reply.status.as_u16()
    };
    assert_eq!(at(&[], "/auth").await, 200);
    assert_eq!(at(&[], "/api/auth").await, 404);
    assert_eq!(at(&ONLY, "/auth").await, 200);
    assert_eq!(at(&ONLY, "/api/auth").await, 200);
    assert_eq!(at(&[("PROJECT__DEFAULT__NORA__PATH", "/login")], "/login").await, 200);
    assert_eq!(at(&[("PROJECT__DEFAULT__NORA__ENABLED", "false")], "/auth").await, 404);
}

#[tokio::test]
async fn bodies_up_to_a_mebibyte_and_no_further() {
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    let padded = |bytes: usize| {
        let body = r#"{"name":"Ada","x":""}"#;
        let body = body.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - body.len())));
        Some(("application/json", body.into_bytes()))
    };
    ada.send(Method::PATCH, "/profile", padded(1_048_576)).await.expect(200);
    let reply = ada.send(Method::PATCH, "/profile", padded(1_048_577)).await.expect(413);
    assert_eq!((reply.text_at("error"), reply.text_at("code")), ("request entity too large", "INTERNAL_ERROR"));
}

#[tokio::test]
async fn what_is_no_body_is_400() {
    let server = Server::start().await;
    let send = async |kind, text: &[u8]| anon(&server).send(Method::POST, "/login", Some((kind, text.to_vec()))).await;
    for text in [&b"{"[..], b"7", b"\"x\"", b"null", b"[]", b"{\"a\":1,\"a\":2}", b"\xff", b"{\"a\":\"\\ud800\"}"] {
        let reply = send("application/json", text).await.expect(400);
        assert_eq!((reply.text_at("error"), reply.text_at("code")), ("Invalid JSON body", "INTERNAL_ERROR"));
    }
    // None at all, or of another type: as if it were empty.
    let credentials = json!({ "email": ADA, "password": PASSWORD }).to_string();
    for reply in [
        anon(&server).post_nothing("/login").await,
        send("text/plain", credentials.as_bytes()).await,
        send("application/x-www-form-urlencoded", b"email=a&password=b").await,
    ] {
        assert_eq!(reply.expect(400).text_at("error"), "Email and password required");
    }
}

#[tokio::test]
async fn a_request_keeps_the_name_its_client_gave_it() {
    let server = Server::start().await;
    let named = |name: &str| anon(&server).with_header("x-correlation-id", name);
    let kept = async |name: &str| named(name).get("/bootstrap-status").await.headers["x-correlation-id"].clone();
    for name in ["trace-1", "0193a5e2-7c1e-7d3a-9b1f-3f6c2a7d9e10", &"x".repeat(128)] {
        assert_eq!(kept(name).await, name);
    }
    for name in ["", "a b", "<script>", "a;b", &"x".repeat(129)] {
        let given = kept(name).await;
        assert!(uuid::Uuid::try_parse(given.to_str().expect("text")).is_ok(), "{name:?} {given:?}");
    }
    let reply = anon(&server).get("/bootstrap-status").await;
    let digits = |name: &str| reply.headers[name].to_str().expect("text").replace('-', "");
    assert_eq!(digits("x-correlation-id")[..12], digits("x-request-id")[..12], "found in the log");
    let broken = named("trace-2").send(Method::POST, "/login", Some(("application/json", b"{".to_vec()))).await;
    assert_eq!(broken.expect(400).text_at("correlationId"), "trace-2");
}

#[tokio::test]
async fn scripts_of_listed_pages_may_call_without_the_cookie() {
    let server = Server::with(&[("PROJECT__DEFAULT__CORS__ORIGINS", "https://app.example.com")]).await;
    let from = |origin| anon(&server).with_header("origin", origin);
    let preflight = async |origin| {
        from(origin)
            .with_header("access-control-request-method", "PATCH")
            .with_header("access-control-request-headers", "authorization,content-type,x-anything")
            .send(Method::OPTIONS, "/profile", None)
            .await
            .expect(204)
    };
    let allowed = preflight("https://app.example.com").await.headers;
    assert_eq!(allowed["access-control-allow-origin"], "https://app.example.com");
    assert_eq!(allowed["access-control-allow-methods"], "GET,HEAD,PUT,PATCH,POST,DELETE");
    assert_eq!(allowed["access-control-allow-headers"], "authorization,content-type,x-anything");
    let refused = preflight("https://evil.example.com").await.headers;
    assert!(refused.keys().all(|name| !name.as_str().starts_with("access-control-")));
    let reply = from("https://app.example.com").get("/bootstrap-status").await.expect(200);
    assert_eq!(reply.headers["access-control-allow-origin"], "https://app.example.com");
    let reply = from("https://evil.example.com").get("/bootstrap-status").await.expect(200);
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
    // What a cache keeps of an answer to nobody's page must not be given to a page.
    let keys = Persona::anon(&server).mounted_at("/.well-known").get("/jwks.json").await.expect(200);
    for reply in [anon(&server).get("/bootstrap-status").await, keys] {
        assert_eq!(reply.headers["vary"], "Origin");
    }
}

/// Browsers are told to stay with TLS only where that is a public name's.
#[tokio::test]
async fn strict_transport_is_for_public_names() {
    let server = Server::start().await;
    assert!(!anon(&server).get("/me").await.headers.contains_key("strict-transport-security"));
    let server = Server::with(&[("LISTEN__PUBLIC_URL", "https://auth.example.com")]).await;
    let reply = anon(&server).get("/me").await;
    assert_eq!(reply.headers["strict-transport-security"], "max-age=31536000");
}
