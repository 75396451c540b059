//! What a client may ask without an account (contract 1.1).

use keystead::testing::Server;
use reqwest::Method;
use serde_json::json;

use super::anon;

#[tokio::test]
async fn health_and_version_are_told() {
    let server = Server::start().await;
    assert_eq!(anon(&server).get("/healthz").await.expect(200).text, "\"OK\"");
    let head = anon(&server).send(Method::HEAD, "/healthz", None).await.expect(200);
    assert_eq!(head.text, "");
    assert_eq!(anon(&server).get("/version").await.expect(200).body, json!({ "version": env!("CARGO_PKG_VERSION") }));
}

#[tokio::test]
async fn the_key_set_is_one() {
    let server = Server::start().await;
    let reply = anon(&server).get("/.well-known/jwks.json").await.expect(200);
    let keys = reply.body["keys"].as_array().expect("a list");
    assert!(!keys.is_empty() && keys.iter().all(|key| key["kid"].is_string()), "{}", reply.text);
}
