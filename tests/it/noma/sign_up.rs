//! Sign-up (contract 3.1) and how its fields are read (2.1).

use insta::assert_json_snapshot;
use keystead::auth::accounts;
use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::{Persona, account, all_at_once, operator, project};

const PASSWORD: &str = "correct horse";

#[tokio::test]
async fn the_answer_is_the_documented_token_payload() {
    let server = Server::start().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "display_name": "Ada" });
    let reply = Persona::anon(&server).post("/signup", &body).await.expect(201);
    assert_json_snapshot!(reply.body, {
        ".access_token" => "[access token]", ".refresh_token" => "[refresh token]", ".user.uuid" => "[uuid]",
    });
    assert!(reply.text_at("access_token").starts_with("v4.public."));
    assert!(reply.text_at("refresh_token").len() >= 40);
    assert_eq!(reply.body["user"]["uuid"].as_str().map(str::len), Some(36));
}

#[tokio::test]
async fn every_wrong_field_is_named_with_its_reason() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let ada = "ada@example.com";
    let mut table = Vec::new();
    for body in [
        json!({}),
        json!({ "email": "", "password": "" }),
        json!({ "email": "  \t\n", "password": null }),
        json!({ "email": null, "password": PASSWORD }),
        json!({ "email": "ada", "password": PASSWORD }),
        json!({ "email": "ada@example..com", "password": PASSWORD }),
        json!({ "email": "a\u{0}da@example.com", "password": PASSWORD }),
        json!({ "email": "ada@example.com\r\nbcc: eve@example.com", "password": PASSWORD }),
        json!({ "email": 7, "password": true }),
        json!({ "email": ["ada@example.com"], "password": { "a": 1 } }),
        json!({ "email": ada, "password": "1234567" }),
        json!({ "email": ada, "password": PASSWORD, "display_name": 7 }),
        json!({ "email": ada, "password": PASSWORD, "display_name": "a\u{0}b" }),
    ] {
        let reply = anon.post("/signup", &body).await.expect(422);
        table.push(json!({ "sent": body, "errors": reply.body["errors"] }));
    }
    assert_json_snapshot!(table);
}

#[tokio::test]
async fn lengths_count_characters_at_their_edges() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    // One byte, two bytes, four bytes a character.
    for (number, letter) in ["x", "é", "😀"].into_iter().enumerate() {
        let try_with = async |what: &str, password: usize, name: usize| {
            let email = format!("{what}{number}@example.com");
            let body =
                json!({ "email": email, "password": letter.repeat(password), "display_name": letter.repeat(name) });
            anon.post("/signup", &body).await
        };
        assert_eq!(try_with("a", 7, 1).await.refused("password"), "The password field must be at least 8 characters.");
        try_with("b", 8, 1).await.expect(201);
        let longest = try_with("c", 255, 255).await.expect(201);
        assert_eq!(longest.body["user"]["display_name"], letter.repeat(255));
        let long = "The password field must not be greater than 255 characters.";
        assert_eq!(try_with("d", 256, 1).await.refused("password"), long);
        let long = "The display name field must not be greater than 255 characters.";
        assert_eq!(try_with("e", 8, 256).await.refused("display_name"), long);
        anon.sign_in(&format!("c{number}@example.com"), &letter.repeat(255)).await.expect(200);
    }
    for letter in ["x", "é"] {
        let longest = format!("{}@example.com", letter.repeat(255 - "@example.com".len()));
        let (_, body) = anon.sign_up(&longest, PASSWORD).await;
        assert_eq!(body["user"]["email"], longest);
        let reply = anon.post("/signup", &json!({ "email": format!("{letter}{longest}"), "password": PASSWORD })).await;
        assert_eq!(reply.refused("email"), "The email field must not be greater than 255 characters.");
    }
}

#[tokio::test]
async fn every_byte_of_a_long_password_counts() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let common = "x".repeat(254);
    anon.sign_up("ada@example.com", &format!("{common}1")).await;
    anon.sign_in("ada@example.com", &format!("{common}2")).await.expect(401);
    anon.sign_in("ada@example.com", &common).await.expect(401);
    anon.sign_in("ada@example.com", &format!("{common}1")).await.expect(200);
    // A NUL ends nothing.
    anon.sign_up("eve@example.com", "correct\u{0}horse").await;
    anon.sign_in("eve@example.com", "correct\u{0}zebra").await.expect(401);
    anon.sign_in("eve@example.com", "correct\u{0}horse").await.expect(200);
}

#[tokio::test]
async fn the_shortest_password_is_the_projects_choice() {
    let server = Server::with(&[("PROJECT__DEFAULT__PASSWORD__MIN_LENGTH", "12")]).await;
    let anon = Persona::anon(&server);
    let short = anon.post("/signup", &json!({ "email": "ada@example.com", "password": "x".repeat(11) })).await;
    assert_eq!(short.refused("password"), "The password field must be at least 12 characters.");
    anon.sign_up("ada@example.com", &"x".repeat(12)).await;
}

#[tokio::test]
async fn text_is_trimmed_and_an_empty_one_is_absent_but_passwords_stay_as_they_are() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let body =
        json!({ "email": "\t Ada@Example.COM \n", "password": "  spaces count  ", "display_name": "  Ada L.  " });
    let user = anon.post("/signup", &body).await.expect(201).body["user"].clone();
    assert_eq!((&user["email"], &user["display_name"]), (&json!("ada@example.com"), &json!("Ada L.")));
    anon.sign_in("ada@example.com", "spaces count").await.expect(401);
    anon.sign_in(" ADA@example.com ", "  spaces count  ").await.expect(200);
    for (number, name) in [json!(""), json!("   "), Value::Null].into_iter().enumerate() {
        let body = json!({ "email": format!("u{number}@example.com"), "password": "        ", "display_name": name });
        let reply = anon.post("/signup", &body).await.expect(201);
        assert_eq!(reply.body["user"]["display_name"], Value::Null);
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_give_nothing() {
    let server = Server::start().await;
    let body = json!({
        "email": "ada@example.com", "password": PASSWORD, "id": 77, "uuid": "x", "role": "admin", "metadata": { "a": 1 },
        "email_verified_at": "2020-01-01T00:00:00Z", "nested": { "deep": [[[{}]]] },
    });
    let user = Persona::anon(&server).post("/signup", &body).await.expect(201).body["user"].clone();
    assert_eq!(user["id"], 1);
    assert_eq!((&user["metadata"], &user["email_verified_at"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn one_address_is_one_account_however_it_is_spelled() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up("jos\u{e9}@example.com", PASSWORD).await;
    for spelling in
        ["jos\u{e9}@example.com", "JOS\u{c9}@EXAMPLE.COM", "jose\u{301}@example.com", " \u{ff4a}os\u{e9}@example.com"]
    {
        let again = anon.post("/signup", &json!({ "email": spelling, "password": "another one" })).await;
        assert_eq!(again.refused("email"), "The email has already been taken.", "{spelling}");
        anon.sign_in(spelling, PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn of_many_sign_ups_at_once_one_makes_the_account() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let replies = all_at_once((0..16).map(|number| {
        let anon = anon.clone();
        async move {
            anon.post("/signup", &json!({ "email": "ada@example.com", "password": format!("password {number}") })).await
        }
    }))
    .await;
    let made: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(made.len(), 1);
    for other in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!(other.refused("email"), "The email has already been taken.");
    }
    anon.with_token(made[0].text_at("access_token")).get("/me").await.expect(200);
}

#[tokio::test]
async fn sign_up_can_be_switched_off() {
    let server = Server::with(&[("PROJECT__DEFAULT__SIGNUP__ENABLED", "false")]).await;
    let anon = Persona::anon(&server);
    let reply = anon.post("/signup", &json!({ "email": "ada@example.com", "password": PASSWORD })).await.expect(403);
    assert_eq!(reply.text_at("code"), "signup_disabled");
    // What is wrong with the body is told first (order of checks).
    anon.post("/signup", &json!({ "email": "ada@example.com" })).await.expect(422);
}

/// Whatever is named by an id stays named by nobody else.
#[tokio::test]
async fn a_user_id_is_never_reused() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, first) = anon.sign_up("ada@example.com", PASSWORD).await;
    let default = project(&server, "default").await;
    accounts::delete(&default, operator(&server), account("ada@example.com")).await.expect("deleted");
    let (again, second) = anon.sign_up("ada@example.com", PASSWORD).await;
    assert_eq!((&first["user"]["id"], &second["user"]["id"]), (&json!(1), &json!(2)));
    assert_ne!(first["user"]["uuid"], second["user"]["uuid"]);
    ada.get("/me").await.expect(401);
    again.get("/me").await.expect(200);
}
