//! Signing in (contract 3.2, 3.3, 7), with passwords from here and from elsewhere.

use insta::assert_json_snapshot;
use keystead::auth::accounts::{self, NewPassword, NewUser};
use keystead::auth::{Email, Role};
use keystead::crypto::{Secret, StoredHash};
use keystead::testing::Server;
use serde_json::json;

use crate::persona::{Persona, account, all_at_once, operator, project};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const PBKDF2_SHA256: &str = "$pbkdf2-sha256$i=1000$c2l4dGVlbiBieXRlcyBvZg$y6QesfSHiadJe14jSg2x291T5Tyg3Jl9BU9qqM70WLU";
const PBKDF2_SHA512: &str = "$pbkdf2-sha512$i=1000$c2l4dGVlbiBieXRlcyBvZg$xtUHJEfRfqTEYYolO3dcYZg/Rmx0gSVJXOJcdPqweU9Cfo1peXdB3Cp2Pg4K2PQMWSd9d0nMQnMQkAbq70N3jw";

#[tokio::test]
async fn every_sign_in_begins_a_session_of_its_own() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (first, up) = anon.sign_up(ADA, PASSWORD).await;
    let reply = anon.sign_in("ADA@example.com", PASSWORD).await.expect(200);
    assert_json_snapshot!(reply.body, {
        ".access_token" => "[access token]", ".refresh_token" => "[refresh token]", ".user.uuid" => "[uuid]",
    });
    assert_eq!(up["user"], reply.body["user"]);
    assert_ne!(up["refresh_token"], reply.body["refresh_token"]);
    let second = anon.with_token(reply.text_at("access_token"));
    first.post_nothing("/logout").await.expect(200);
    first.get("/me").await.expect(401);
    second.get("/me").await.expect(200);
}

#[tokio::test]
async fn a_stray_bearer_is_ignored_where_none_is_needed() {
    let server = Server::start().await;
    for stray in ["Bearer nonsense", "Basic YTpi", "Bearer uak_x_y", ""] {
        let anon = Persona::anon(&server).with_header("authorization", stray);
        let email = format!("u{}@example.com", stray.len());
        let up = anon.post("/signup", &json!({ "email": email, "password": PASSWORD })).await.expect(201);
        anon.sign_in(&email, PASSWORD).await.expect(200);
        anon.refresh(up.text_at("refresh_token")).await.expect(200);
        anon.post("/verify-email/resend", &json!({ "email": email })).await.expect(200);
        anon.post("/verify-email/confirm", &json!({ "token": "nonsense" })).await.expect(422);
    }
}

#[tokio::test]
async fn fields_are_checked_without_the_rules_of_new_passwords() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    assert_eq!(anon.sign_in("", PASSWORD).await.refused("email"), "The email field is required.");
    assert_eq!(anon.sign_in(ADA, "").await.refused("password"), "The password field is required.");
    assert_eq!(anon.sign_in("ada", "x").await.refused("email"), "The email field must be a valid email address.");
    let long = "The password field must not be greater than 255 characters.";
    assert_eq!(anon.sign_in(ADA, &"é".repeat(256)).await.refused("password"), long);
    let long = "The email field must not be greater than 255 characters.";
    assert_eq!(anon.sign_in(&"x".repeat(256), "x").await.refused("email"), long);
    for wrong in [json!(1), json!([]), json!({}), json!(false)] {
        let reply = anon.post("/login", &json!({ "email": ADA, "password": wrong })).await;
        assert_eq!(reply.refused("password"), "The password field must be a string.");
    }
    // No minimum here: an old password may be shorter than a new one has to be.
    anon.sign_in(ADA, "x").await.expect(401);
    anon.sign_in(ADA, &"é".repeat(255)).await.expect(401);
}

/// An unknown address and a wrong password: the same in status, body and headers; equal writes are in `lockout`.
#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_are_the_same() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    anon.sign_up(ADA, PASSWORD).await;
    let new = |email: &str| NewUser {
        email: Email::parse(email).expect("an address"),
        password: None,
        display_name: None,
        verified: true,
        metadata: None,
        role: Role::User,
    };
    accounts::create(&default, operator(&server), new("social@example.com")).await.expect("made");
    anon.sign_up("off@example.com", PASSWORD).await;
    accounts::disable(&default, operator(&server), account("off@example.com")).await.expect("disabled");
    let hashes = || server.projects().shared().pool.hashes_computed();
    let mut replies = Vec::new();
    for (email, password) in [
        (ADA, "wrong horse"),
        ("nobody@example.com", PASSWORD),
        ("social@example.com", PASSWORD),
        ("off@example.com", "wrong horse"),
        ("off@example.com", PASSWORD),
    ] {
        let before = hashes();
        replies.push(anon.sign_in(email, password).await.expect(401));
        assert_eq!(hashes() - before, 1, "{email}: one hash, whoever asks");
    }
    assert_eq!(replies[0].text, r#"{"message":"Invalid credentials."}"#);
    for reply in &replies[1..] {
        assert_eq!(reply.whole(), replies[0].whole());
    }
}

#[tokio::test]
async fn twelve_right_sign_ins_at_once_all_succeed() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    let replies = all_at_once((0..12).map(|_| {
        let anon = anon.clone();
        async move { anon.sign_in(ADA, PASSWORD).await }
    }))
    .await;
    assert_eq!(replies.iter().map(|reply| reply.status.as_u16()).collect::<Vec<_>>(), [200; 12]);
}

#[tokio::test]
async fn hashes_from_elsewhere_sign_in_and_are_replaced() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    // bcrypt: John the Ripper's vector. scrypt: RFC 7914 section 12. Argon2: the reference implementation's test.c.
    for (number, (password, hash)) in [
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        (
            "pleaseletmein",
            "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw",
        ),
        // PBKDF2: from Python's hashlib, salt "sixteen bytes of".
        ("correct horse", PBKDF2_SHA256),
        ("correct horse", PBKDF2_SHA512),
        ("password", "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8"),
        ("password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("u{number}@example.com");
        let new = NewUser {
            email: Email::parse(&email).expect("an address"),
            password: Some(NewPassword::Imported(StoredHash::parse_import(hash).expect("a hash"))),
            display_name: None,
            verified: true,
            metadata: Some(r#"{"plan":"pro","n":1.50}"#.to_owned()),
            role: Role::User,
        };
        accounts::create(&default, operator(&server), new).await.expect("made");
        anon.sign_in(&email, "something else").await.expect(401);
        let stored = || accounts::show(&default, &account(&email)).expect("an account").password.expect("a password");
        let imported = stored();
        assert!(imported == StoredHash::parse_import(hash).expect("a hash"), "a wrong password replaces nothing");
        let reply = anon.sign_in(&email, password).await.expect(200);
        assert_eq!(reply.body["user"]["metadata"], json!({ "plan": "pro", "n": 1.5 }));
        assert!(reply.body["user"]["email_verified_at"].is_string());
        let replaced = stored();
        assert!(replaced != imported, "{hash}");
        anon.sign_in(&email, password).await.expect(200);
        assert!(stored() == replaced, "replaced once");
    }
}

#[tokio::test]
async fn a_disabled_account_is_let_in_again_when_enabled() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    anon.sign_up(ADA, PASSWORD).await;
    accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    anon.sign_in(ADA, PASSWORD).await.expect(401);
    accounts::enable(&default, operator(&server), account(ADA)).await.expect("enabled");
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_operators_password_ends_every_session() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    let (ada, body) = anon.sign_up(ADA, PASSWORD).await;
    let new = NewPassword::Plain(Secret::new("battery staple".to_owned()));
    accounts::set_password(&default, operator(&server), account(ADA), new).await.expect("set");
    ada.get("/me").await.expect(401);
    anon.refresh(body["refresh_token"].as_str().expect("a token")).await.expect(401);
    anon.sign_in(ADA, PASSWORD).await.expect(401);
    anon.sign_in(ADA, "battery staple").await.expect(200);
}

#[tokio::test]
async fn no_provider_is_enabled_so_each_is_an_unknown_one() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let social = async |body| anon.post("/login/social", &body).await;
    let invalid = "The selected provider is invalid.";
    assert_eq!(social(json!({ "provider": "google", "id_token": "a.b.c" })).await.refused("provider"), invalid);
    assert_eq!(
        social(json!({ "provider": " x ", "id_token": "t", "nonce": "n".repeat(255) })).await.refused("provider"),
        invalid
    );
    let missing = social(json!({})).await.expect(422);
    assert_eq!(missing.body["errors"].as_object().map(|errors| errors.len()), Some(2), "{}", missing.text);
    let reply = social(json!({ "provider": "google", "id_token": "t", "nonce": "é".repeat(256) })).await;
    assert_eq!(reply.refused("nonce"), "The nonce field must not be greater than 255 characters.");
    assert_eq!(
        social(json!({ "provider": 1, "id_token": "t" })).await.refused("provider"),
        "The provider field must be a string."
    );
    assert_eq!(
        social(json!({ "provider": "google", "id_token": {} })).await.refused("id_token"),
        "The id token field must be a string."
    );
}
