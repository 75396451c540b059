//! Names of requests: given by a trusted proxy or by the server, never by a stranger; and what is refused before it has
//! one.

use keystead::testing::Server;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::persona::{Persona, client};

async fn named(persona: &Persona, name: &str) -> String {
    let reply = persona.with_header("x-request-id", name).get("/me").await.expect(401);
    reply.headers["x-request-id"].to_str().expect("text").to_owned()
}

fn is_ours(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn a_stranger_does_not_name_requests() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (first, second) = (named(&anon, "of-a-stranger").await, named(&anon, "of-a-stranger").await);
    assert!(is_ours(&first) && is_ours(&second) && first != second, "{first} {second}");
}

#[tokio::test]
async fn a_trusted_proxy_does_within_bounds() {
    let server = Server::with(&[("LISTEN__TRUSTED_PROXIES", "127.0.0.1")]).await;
    let anon = Persona::anon(&server);
    let longest = "a".repeat(128);
    for name in ["0", "7f3c-_.Z", longest.as_str()] {
        assert_eq!(named(&anon, name).await, name);
    }
    let too_long = "a".repeat(129);
    for name in [too_long.as_str(), "a b", "a\"b", "a/b", "é", "a,b"] {
        assert!(is_ours(&named(&anon, name).await), "{name}");
    }
    let unnamed = anon.get("/me").await.expect(401);
    assert!(is_ours(unnamed.headers["x-request-id"].to_str().expect("text")));
    // Other people's mistakes are theirs: only the server's own failures carry the name in the body.
    assert_eq!(unnamed.body, json!({ "message": "Unauthenticated." }));
}

#[tokio::test]
async fn too_much_in_the_headers_is_told_in_words() {
    let server = Server::start().await;
    for http1 in [false, true] {
        let client = if http1 { client(&server).http1_only() } else { client(&server) }.build().expect("a client");
        let large = client.get(format!("{}/api/auth/me", server.url())).header("cookie", "c".repeat(20_000));
        let many = client.get(format!("{}/api/auth/me", server.url()));
        let many = (0..65).fold(many, |request, n| request.header(format!("x-{n}"), "a"));
        for request in [large, many] {
            let reply = request.send().await.expect("a reply");
            assert_eq!(reply.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            let body: Value = reply.json().await.expect("a JSON body");
            let expected = json!({
                "message": "The request's headers are too large.", "error": "request_header_fields_too_large",
                "status": 431,
            });
            assert_eq!(body, expected);
        }
    }
}
