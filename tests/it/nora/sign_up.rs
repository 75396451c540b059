//! Signing up (contract 3.1, 3.8): the account, its role, the rules of fields in their order.

use insta::{assert_json_snapshot, assert_snapshot};
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon, signed_in};
use crate::persona::{Persona, all_at_once};

#[tokio::test]
async fn the_answer_is_the_account_and_no_session() {
    let server = Server::start().await;
    let reply = anon(&server)
        .post("/signup", &json!({ "email": " Ada@Example.com ", "password": PASSWORD, "role": "admin", "name": "x" }))
        .await
        .expect(200);
    assert_json_snapshot!(reply.body, { ".id" => "[uuid]" });
    assert!(uuid::Uuid::try_parse(reply.text_at("id")).is_ok());
    assert!(!reply.headers.contains_key("set-cookie"));
    let (ada, _) = signed_in(&anon(&server), ADA).await;
    assert_eq!(ada.get("/me").await.expect(200).body["id"], reply.body["id"]);
}

#[tokio::test]
async fn the_first_rule_that_fails_is_told() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "off"),
        ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_DAILY", "off"),
    ])
    .await;
    let long_address = format!("{}@example.com", "x".repeat(250));
    let mut table = String::new();
    for (what, body) in [
        ("nothing", json!({})),
        ("address no text", json!({ "email": 7, "password": PASSWORD })),
        ("address blank", json!({ "email": "  ", "password": PASSWORD })),
        ("both wrong", json!({ "email": "x", "password": "x" })),
        ("no @", json!({ "email": "ada.example.com", "password": PASSWORD })),
        ("two @", json!({ "email": "ada@@example.com", "password": PASSWORD })),
        ("no dot", json!({ "email": "ada@example", "password": PASSWORD })),
        ("dot at the end", json!({ "email": "ada@example.", "password": PASSWORD })),
        ("white space within", json!({ "email": "a da@example.com", "password": PASSWORD })),
        ("too long and malformed", json!({ "email": long_address.replace('@', ""), "password": PASSWORD })),
        ("too long", json!({ "email": long_address, "password": PASSWORD })),
        ("no password", json!({ "email": ADA })),
        ("password no text", json!({ "email": ADA, "password": 12_345_678 })),
        ("password empty", json!({ "email": ADA, "password": "" })),
        ("password of 7", json!({ "email": ADA, "password": "1234567" })),
        ("password of 129", json!({ "email": ADA, "password": "x".repeat(129) })),
        ("password of 65 pairs", json!({ "email": ADA, "password": "\u{1f600}".repeat(65) })),
    ] {
        let reply = anon(&server).post("/signup", &body).await.expect(400);
        table.push_str(&format!("{what:24} {}\n", reply.text));
    }
    assert_snapshot!(table);
    // At the edges, in JavaScript's characters.
    for (number, password) in ["12345678", &"x".repeat(128), &"\u{1f600}".repeat(64), "        "].iter().enumerate() {
        let email = format!("edge{number}@example.com");
        anon(&server).post("/signup", &json!({ "email": email, "password": password })).await.expect(200);
        anon(&server).sign_in(&email, password).await.expect(200);
    }
}

/// All bytes of a password count, beyond the 72 where the original stops.
#[tokio::test]
async fn no_password_is_cut() {
    let server = Server::start().await;
    let (password, other) = (format!("{}a", "x".repeat(100)), format!("{}b", "x".repeat(100)));
    anon(&server).post("/signup", &json!({ "email": ADA, "password": password })).await.expect(200);
    anon(&server).sign_in(ADA, &other).await.expect(401);
    anon(&server).sign_in(ADA, &password).await.expect(200);
}

/// Under parallel first sign-ups exactly one is admin.
#[tokio::test]
async fn the_first_account_of_an_empty_project_is_its_admin() {
    let server = Server::start().await;
    let status = async || anon(&server).get("/bootstrap-status").await.expect(200).body["needsFirstAdmin"].clone();
    assert_eq!(status().await, true);
    let replies = all_at_once((0..5).map(|number| {
        let anon = anon(&server);
        let body = json!({ "email": format!("u{number}@example.com"), "password": PASSWORD });
        async move { anon.post("/signup", &body).await.expect(200).text_at("role").to_owned() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|role| *role == "admin").count(), 1, "{replies:?}");
    assert_eq!(replies.iter().filter(|role| *role == "user").count(), 4, "{replies:?}");
    assert_eq!(status().await, false);
}

/// Where strangers can come, nobody is made admin for being first.
#[tokio::test]
async fn who_is_first_is_admin_only_where_no_stranger_can_be() {
    const RULE: &str = "PROJECT__DEFAULT__NORA__FIRST_USER_ADMIN";
    for (settings, expected) in [
        (&[][..], "admin"),
        (&[(RULE, "auto")], "admin"),
        (&[(RULE, "false")], "user"),
        (&[("LISTEN__TRUSTED_PROXIES", "127.0.0.1/32")], "user"),
        (&[("LISTEN__BEHIND_PROXY", "true")], "user"),
        (&[("LISTEN__BEHIND_PROXY", "true"), (RULE, "true")], "admin"),
        (&[("LISTEN__ADDRESSES", "127.0.0.1:0,0.0.0.0:0")], "user"),
    ] {
        let server = Server::with(settings).await;
        let status = anon(&server).get("/bootstrap-status").await.expect(200);
        assert_eq!(status.body["needsFirstAdmin"], expected == "admin", "{settings:?}");
        let reply = anon(&server).post("/signup", &json!({ "email": ADA, "password": PASSWORD })).await.expect(200);
        assert_eq!(reply.text_at("role"), expected, "{settings:?}");
    }
}

/// The role is this API's; who comes through another is a user, and takes the first place.
#[tokio::test]
async fn an_account_of_another_api_is_no_admin() {
    let server = Server::start().await;
    Persona::anon(&server).sign_up("eve@example.com", PASSWORD).await;
    let reply = anon(&server).post("/signup", &json!({ "email": ADA, "password": PASSWORD })).await.expect(200);
    assert_eq!(reply.text_at("role"), "user");
    let (eve, _) = signed_in(&anon(&server), "eve@example.com").await;
    assert_eq!(eve.get("/me").await.expect(200).text_at("role"), "user");
}

#[tokio::test]
async fn what_a_client_learns_before_anyone_signed_in() {
    let server = Server::start().await;
    assert_json_snapshot!(anon(&server).get("/bootstrap-status").await.expect(200).body);
    let server = Server::with(&[("PROJECT__DEFAULT__SIGNUP__ENABLED", "false")]).await;
    let status = anon(&server).get("/bootstrap-status").await.expect(200).body;
    assert_eq!((&status["needsFirstAdmin"], &status["signupEnabled"]), (&json!(false), &json!(false)));
}

/// Switched off it is so before anything else, and counts under no limit.
#[tokio::test]
async fn a_closed_sign_up_says_so_first() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__SIGNUP__ENABLED", "false"),
        ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "1/10m"),
    ])
    .await;
    for _ in 0..3 {
        let reply = anon(&server).post("/signup", &json!({})).await.expect(403);
        assert_eq!(reply.text_at("code"), "SIGNUP_DISABLED");
        assert_eq!(reply.headers["ratelimit-policy"], "60;w=60", "no limit of sign-ups");
    }
}

/// With `conceal` an address that is taken looks like one that was free: same keys, another id each time, same hash.
#[tokio::test]
async fn a_concealed_duplicate_looks_like_a_success() {
    let server =
        Server::with(&[("PROJECT__DEFAULT__CONCEAL", "true"), ("PROJECT__DEFAULT__NORA__FIRST_USER_ADMIN", "false")])
            .await;
    let body = json!({ "email": ADA, "password": PASSWORD });
    let pool = &server.projects().shared().pool;
    let mut seen: Vec<(Value, u64)> = Vec::new();
    for _ in 0..3 {
        let before = pool.hashes_computed();
        let mut reply = anon(&server).post("/signup", &body).await.expect(200);
        let id = reply.body["id"].take();
        assert_eq!(reply.body, json!({ "id": null, "email": ADA, "role": "user" }));
        assert!(seen.iter().all(|(other, _)| *other != id), "every id is a new one");
        seen.push((id, pool.hashes_computed() - before));
    }
    assert!(seen.iter().all(|(_, hashes)| *hashes == 1), "{seen:?}");
    let (ada, _) = signed_in(&anon(&server), ADA).await;
    assert_eq!(ada.get("/me").await.expect(200).body["id"], seen[0].0, "the account is the first one's");
    // Its password is not the second one's.
    let other = json!({ "email": ADA, "password": "another password" });
    anon(&server).post("/signup", &other).await.expect(200);
    anon(&server).sign_in(ADA, "another password").await.expect(401);
}
