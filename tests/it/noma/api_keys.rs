//! API keys of users (contract 3.10) and the extension that proves them to the integrator's services.

use std::time::Duration;

use insta::assert_json_snapshot;
use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::{Persona, all_at_once};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "correct horse";

async fn ada_with_secret() -> (Server, Persona, Persona) {
    let server = Server::with(&[("PROJECT__DEFAULT__SECRET", SECRET)]).await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", PASSWORD).await;
    (server, anon, ada)
}

#[tokio::test]
async fn the_life_of_a_key() {
    let (server, anon, ada) = ada_with_secret().await;
    let body = json!({ "name": " CI ", "scopes": ["content:read", "é"], "expires_at": "2026-02-01" });
    let made = ada.post("/api-keys", &body).await.expect(201);
    assert_json_snapshot!("made", made.body, { ".key_prefix" => "[prefix]", ".plain_text_key" => "[key]" });
    let (text, prefix) = (made.text_at("plain_text_key"), made.text_at("key_prefix"));
    assert!(text.starts_with(&format!("{prefix}_")) && prefix.starts_with("uak_") && prefix.len() == 16, "{text}");
    assert!(text.len() - prefix.len() > 43);

    let service = anon.with_token(SECRET);
    server.clock().advance(Duration::from_secs(3600));
    let proved = service.post("/api-keys/verify", &json!({ "key": text })).await.expect(200);
    assert_json_snapshot!("proved", proved.body, { ".data.key_prefix" => "[prefix]", ".user.uuid" => "[uuid]" });
    // The list needs a living access token; the hour ended Ada's.
    let (ada, _) = anon.signed_in("ada@example.com", PASSWORD).await;
    let listed = ada.get("/api-keys").await.expect(200);
    assert_json_snapshot!("listed", listed.body, { ".data[].key_prefix" => "[prefix]" });

    let revoked = ada.post_nothing("/api-keys/1/revoke").await.expect(200);
    assert_eq!(revoked.body, json!({ "message": "API key revoked." }));
    let at = ada.get("/api-keys").await.body["data"][0]["revoked_at"].clone();
    assert_eq!(at, "2026-01-01T01:00:00Z");
    server.clock().advance(Duration::from_secs(60));
    ada.post_nothing("/api-keys/1/revoke").await.expect(200);
    assert_eq!(ada.get("/api-keys").await.body["data"][0]["revoked_at"], at, "kept from the first call");
    let refused = service.post("/api-keys/verify", &json!({ "key": text })).await;
    assert_eq!(refused.refused("key"), "The API key is invalid, revoked or expired.");
}

#[tokio::test]
async fn the_list_is_the_owners_newest_first_and_never_shows_a_secret() {
    let (server, anon, ada) = ada_with_secret().await;
    assert_eq!(ada.get("/api-keys").await.expect(200).body, json!({ "data": [] }));
    let (bob, _) = anon.sign_up("bob@example.com", PASSWORD).await;
    for name in ["first", "second", "third"] {
        ada.post("/api-keys", &json!({ "name": name })).await.expect(201);
        bob.post("/api-keys", &json!({ "name": "Bob's" })).await.expect(201);
        server.clock().advance(Duration::from_secs(1));
    }
    let list = ada.get("/api-keys").await.expect(200);
    let names: Vec<_> = list.body["data"].as_array().expect("a list").iter().map(|key| &key["name"]).collect();
    assert_eq!(names, ["third", "second", "first"]);
    assert!(!list.text.contains("plain_text_key"));
    let theirs = bob.get("/api-keys").await.body["data"][0]["id"].clone();
    for id in [
        theirs.to_string(),
        "0".into(),
        "-1".into(),
        "x".into(),
        "99999999999999999999999".into(),
        "1.0".into(),
        "%00".into(),
    ] {
        let reply = ada.post_nothing(&format!("/api-keys/{id}/revoke")).await.expect(404);
        assert_eq!(reply.text, r#"{"message":"API key not found."}"#, "{id}");
    }
    ada.post_nothing("/api-keys/%ff/revoke").await.expect(404);
    assert_eq!(bob.get("/api-keys").await.body["data"][0]["revoked_at"], Value::Null);
}

#[tokio::test]
async fn the_rules_of_its_fields_at_their_edges() {
    let (_server, _, ada) = ada_with_secret().await;
    let long = "é".repeat(256);
    let hundred: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let mut table = Vec::new();
    for body in [
        json!({}),
        json!({ "name": "  " }),
        json!({ "name": 7 }),
        json!({ "name": "a\u{0}" }),
        json!({ "name": "CI", "scopes": "content:read" }),
        json!({ "name": "CI", "scopes": { "0": "a" } }),
        json!({ "name": "CI", "scopes": ["ok", 7, null, ["a"]] }),
        json!({ "name": "CI", "scopes": ["a\u{0}"] }),
        json!({ "name": "CI", "expires_at": "soon" }),
        json!({ "name": "CI", "expires_at": 1_900_000_000 }),
        json!({ "name": "CI", "expires_at": "2026-01-01T00:00:00Z" }),
        json!({ "name": "CI", "expires_at": "2025-12-31" }),
        json!({ "name": "CI", "expires_at": "2026-01-01T01:00:00+02:00" }),
        json!({ "name": "CI", "expires_at": "-009999-01-01T00:00:00Z" }),
    ] {
        let reply = ada.post("/api-keys", &body).await.expect(422);
        table.push(json!({ "sent": body, "errors": reply.body["errors"] }));
    }
    assert_json_snapshot!(table);
    let too_long = "The name field must not be greater than 255 characters.";
    assert_eq!(ada.post("/api-keys", &json!({ "name": long })).await.refused("name"), too_long);
    ada.post("/api-keys", &json!({ "name": "x", "scopes": [long] })).await.expect(422);
    ada.post("/api-keys", &json!({ "name": "x", "scopes": hundred })).await.expect(422);
    let most = json!({ "name": "é".repeat(255), "scopes": vec!["é".repeat(255); 100] });
    let reply = ada.post("/api-keys", &most).await.expect(201);
    assert_eq!((&reply.body["name"], &reply.body["scopes"]), (&most["name"], &most["scopes"]));
    for (sent, kept) in [
        (json!("2026-01-01T00:00:01Z"), json!("2026-01-01T00:00:01Z")),
        (json!("2026-01-01T03:00:00+02:00"), json!("2026-01-01T01:00:00Z")),
        (json!("2026-01-02 03:04:05"), json!("2026-01-02T03:04:05Z")),
        (json!(""), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let reply = ada.post("/api-keys", &json!({ "name": "CI", "expires_at": sent })).await.expect(201);
        assert_eq!((&reply.body["expires_at"], &reply.body["scopes"]), (&kept, &json!([])));
    }
}

#[tokio::test]
async fn a_key_ends_by_the_clock_and_stays_listed() {
    let (server, anon, ada) = ada_with_secret().await;
    let made = ada.post("/api-keys", &json!({ "name": "CI", "expires_at": "2026-01-01T00:10:00Z" })).await.expect(201);
    let proof = json!({ "key": made.text_at("plain_text_key") });
    let service = anon.with_token(SECRET);
    server.clock().advance(Duration::from_millis(599_999));
    service.post("/api-keys/verify", &proof).await.expect(200);
    server.clock().advance(Duration::from_millis(1));
    service.post("/api-keys/verify", &proof).await.refused("key");
    assert_eq!(ada.get("/api-keys").await.body["data"][0]["expires_at"], "2026-01-01T00:10:00Z");
}

#[tokio::test]
async fn only_the_projects_own_services_may_ask_whose_a_key_is() {
    let (_server, anon, ada) = ada_with_secret().await;
    let made = ada.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
    let key = made.text_at("plain_text_key");
    let proof = json!({ "key": key });
    for stranger in
        [&anon, &ada, &anon.with_token(key), &anon.with_token(&SECRET[1..]), &anon.with_token(&SECRET.to_uppercase())]
    {
        stranger.post("/api-keys/verify", &proof).await.expect(401);
    }
    let service = anon.with_token(SECRET);
    let other = format!("{}A", &key[..key.len() - 1]);
    let other = if other == key { format!("{}E", &key[..key.len() - 1]) } else { other };
    for wrong in [
        &other,
        &key[..key.len() - 1],
        &format!("{key}x"),
        &format!(" {key}"),
        made.text_at("key_prefix"),
        "uak__",
        "x",
    ] {
        service.post("/api-keys/verify", &json!({ "key": wrong })).await.refused("key");
    }
    assert_eq!(service.post("/api-keys/verify", &json!({})).await.refused("key"), "The key field is required.");
    assert_eq!(
        service.post("/api-keys/verify", &json!({ "key": 1 })).await.refused("key"),
        "The key field must be a string."
    );
    service.post("/api-keys/verify", &proof).await.expect(200);
    // The secret opens nothing else.
    service.get("/me").await.expect(401);
    service.get("/api-keys").await.expect(401);
}

#[tokio::test]
async fn a_project_without_a_secret_answers_no_service() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", PASSWORD).await;
    let made = ada.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
    for bearer in ["", "x", "undefined", SECRET] {
        let proof = json!({ "key": made.text_at("plain_text_key") });
        anon.with_token(bearer).post("/api-keys/verify", &proof).await.expect(401);
    }
}

#[tokio::test]
async fn last_use_is_kept_to_the_minute() {
    let (server, anon, ada) = ada_with_secret().await;
    let made = ada.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
    let proof = json!({ "key": made.text_at("plain_text_key") });
    let service = anon.with_token(SECRET);
    let used_at =
        async || service.post("/api-keys/verify", &proof).await.expect(200).body["data"]["last_used_at"].clone();
    assert_eq!(used_at().await, "2026-01-01T00:00:00Z");
    server.clock().advance(Duration::from_secs(59));
    assert_eq!(used_at().await, "2026-01-01T00:00:00Z");
    server.clock().advance(Duration::from_secs(1));
    assert_eq!(used_at().await, "2026-01-01T00:01:00Z");
}

#[tokio::test]
async fn one_user_has_a_thousand_keys_at_most() {
    let (_server, anon, ada) = ada_with_secret().await;
    let replies = all_at_once((0..1010).map(|_| {
        let ada = ada.clone();
        async move { ada.post("/api-keys", &json!({ "name": "CI" })).await }
    }))
    .await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1000);
    for refused in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!(refused.refused("name"), "No more API keys may be created for this account.");
    }
    let (bob, _) = anon.sign_up("bob@example.com", PASSWORD).await;
    bob.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
}
