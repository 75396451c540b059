//! The main job, start to end.

use keystead::testing::Server;
use serde_json::json;

use crate::persona::Persona;

#[tokio::test]
async fn a_stranger_becomes_a_user_and_leaves() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, body) = anon.sign_up("Ada@Example.com", "correct horse").await;
    assert_eq!(body["user"]["email"], "ada@example.com");
    let me = ada.get("/me").await;
    assert_eq!((me.status.as_u16(), me.body["user"]["id"].as_u64()), (200, Some(1)));
    let again = anon.sign_in("ada@example.com", "correct horse").await;
    assert_eq!(again.status, 200, "{}", again.text);
    let refreshed = anon.post("/refresh", &json!({ "refresh_token": again.text_at("refresh_token") })).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    let change = json!({ "current_password": "correct horse", "new_password": "battery staple" });
    let changed = ada.post("/change-password", &change).await;
    assert_eq!(changed.body["message"], "Password updated.");
    let old = anon.with_token(refreshed.text_at("access_token")).get("/me").await;
    assert_eq!(old.status, 401);
    let out = ada.post("/logout", &json!({})).await;
    assert_eq!(out.body["message"], "Logged out.");
    assert_eq!(ada.get("/me").await.status, 401);
    server.stop().await;
}
