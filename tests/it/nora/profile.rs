//! The account as its owner sees and changes it (contract 3.4, 3.5).

use insta::{assert_json_snapshot, assert_snapshot};
use keystead::auth::accounts;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, anon, newcomer, signed_in};
use crate::persona::{account, operator, project};

/// A picture of this many characters in all.
fn picture(chars: usize) -> String {
    let lead = "data:image/png;base64,";
    format!("{lead}{}", "A".repeat(chars - lead.len()))
}

#[tokio::test]
async fn me_is_the_account_as_stored_now() {
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), "Ada@Example.com").await;
    let me = ada.get("/me").await.expect(200);
    assert_json_snapshot!(me.body, { ".id" => "[uuid]" });
    assert_eq!(me.headers["ratelimit-policy"], "1000;w=900");
    ada.patch("/profile", &json!({ "name": " Ada ", "avatar": picture(100), "preferredLocale": "zh-Hans" }))
        .await
        .expect(200);
    assert_json_snapshot!(ada.get("/me").await.expect(200).body, { ".id" => "[uuid]" });
}

#[tokio::test]
async fn all_of_it_changes_or_nothing() {
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    let changed = ada.patch("/profile", &json!({ "name": "Ada", "avatar": picture(50) })).await.expect(200);
    assert_json_snapshot!(changed.body);
    let mut table = String::new();
    for body in [
        json!({}),
        json!({ "email": "eve@example.com", "role": "admin" }),
        json!({ "name": null }),
        json!({ "name": "  " }),
        json!({ "name": 7 }),
        json!({ "name": "x".repeat(101) }),
        json!({ "name": "\u{1f600}".repeat(51) }),
        json!({ "name": "Eve", "avatar": "https://example.com/eve.png" }),
        json!({ "avatar": 7 }),
        json!({ "avatar": "" }),
        json!({ "avatar": "data:text/html,x" }),
        json!({ "preferredLocale": "de" }),
        json!({ "preferredLocale": "EN" }),
        json!({ "preferredLocale": 7 }),
        json!({ "name": "Eve", "avatar": null, "preferredLocale": "" }),
    ] {
        let reply = ada.patch("/profile", &body).await.expect(400);
        let body = body.to_string().chars().take(70).collect::<String>();
        table.push_str(&format!("{body:70} {}\n", reply.text));
    }
    assert_snapshot!(table);
    let me = ada.get("/me").await.expect(200).body;
    assert_eq!((&me["name"], &me["avatar"]), (&json!("Ada"), &json!(picture(50))));
    // Each field by itself; null takes a picture and a language away.
    ada.patch("/profile", &json!({ "preferredLocale": " fr " })).await.expect(200);
    ada.patch("/profile", &json!({ "name": "x".repeat(100) })).await.expect(200);
    let gone = ada.patch("/profile", &json!({ "avatar": null, "preferredLocale": null })).await.expect(200).body;
    assert_eq!(
        (&gone["avatar"], &gone["preferredLocale"], &gone["effectiveLocale"]),
        (&Value::Null, &Value::Null, &json!("en"))
    );
    assert_eq!(ada.get("/me").await.expect(200).body["avatar"], Value::Null);
}

#[tokio::test]
async fn a_picture_is_of_500_000_characters_at_most_and_goes_with_the_account() {
    let server = Server::start().await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    let refused = ada.patch("/profile", &json!({ "avatar": picture(500_001) })).await.expect(400);
    assert_eq!(refused.text_at("error"), "Image too large. Max 500KB.");
    let kept = ada.patch("/profile", &json!({ "avatar": picture(500_000) })).await.expect(200);
    assert_eq!(kept.text_at("avatar").len(), 500_000);
    assert_eq!(ada.get("/me").await.expect(200).text_at("avatar"), picture(500_000));
    // Characters are JavaScript's, not bytes.
    let wide = format!("data:image/svg+xml,{}", "\u{e9}".repeat(499_980));
    assert_eq!(ada.patch("/profile", &json!({ "avatar": wide })).await.expect(200).text_at("avatar"), wide);
    // What other APIs show does not carry it.
    let noma = crate::persona::Persona::anon(&server).signed_in(ADA, super::PASSWORD).await.0;
    assert!(noma.get("/me").await.expect(200).text.len() < 500);
    let default = project(&server, "default").await;
    accounts::delete(&default, operator(&server), account(ADA)).await.expect("deleted");
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    assert_eq!(ada.get("/me").await.expect(200).body["avatar"], Value::Null);
    signed_in(&anon(&server), ADA).await;
}
