//! Two projects of one server know nothing of each other (contract 1).

use std::time::Duration;

use keystead::auth::projects::NewProject;
use keystead::auth::{accounts, keys};
use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::{Persona, account, operator, project, project_id};

const ADA: &str = "ada@example.com";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn two() -> (Server, Persona, Persona) {
    let server = Server::with(&[
        ("PROJECT__ONE__SECRET", SECRET),
        ("PROJECT__TWO__SECRET", "another secret of 32 characters!".replace(' ', "-").as_str()),
        ("PROJECT__ONE__VERIFICATION__MODE", "lenient"),
        ("PROJECT__TWO__VERIFICATION__MODE", "lenient"),
    ])
    .await;
    let anon = Persona::anon(&server);
    let (one, two) = (project_id(&server, "one"), project_id(&server, "two"));
    (server, anon.in_project(Some(&one)), anon.in_project(Some(&two)))
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().expect("a text")
}

#[tokio::test]
async fn the_same_address_is_two_accounts() {
    let (_server, one, two) = two().await;
    let (_, first) = one.sign_up(ADA, "password of one").await;
    two.sign_in(ADA, "password of one").await.expect(401);
    let (_, second) = two.sign_up(ADA, "password of two").await;
    assert_eq!((&first["user"]["id"], &second["user"]["id"]), (&json!(1), &json!(1)), "each counts for itself");
    assert_ne!(first["user"]["uuid"], second["user"]["uuid"]);
    one.sign_in(ADA, "password of two").await.expect(401);
    one.sign_in(ADA, "password of one").await.expect(200);
    two.sign_in(ADA, "password of two").await.expect(200);
}

#[tokio::test]
async fn nothing_issued_by_one_is_accepted_by_the_other() {
    let (_server, one, two) = two().await;
    let (ada, body) = one.sign_up(ADA, "correct horse").await;
    let (_, theirs) = two.sign_up(ADA, "correct horse").await;
    let key = ada.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
    let sent = one.post("/verify-email/resend", &json!({ "email": ADA })).await.expect(200);

    let stranger = two.with_token(text(&body, "access_token"));
    for reply in
        [stranger.get("/me").await, stranger.get("/api-keys").await, stranger.post_nothing("/logout-all").await]
    {
        assert_eq!(reply.expect(401).text, r#"{"message":"Unauthenticated."}"#);
    }
    let refused = two.refresh(text(&body, "refresh_token")).await.expect(401);
    assert_eq!(refused.text, r#"{"message":"Invalid refresh token."}"#);
    two.post("/verify-email/confirm", &json!({ "token": sent.text_at("verification_token") })).await.refused("token");
    two.with_token(SECRET).post("/api-keys/verify", &json!({ "key": key.text_at("plain_text_key") })).await.expect(401);
    let service = two.with_token("another-secret-of-32-characters!");
    service.post("/api-keys/verify", &json!({ "key": key.text_at("plain_text_key") })).await.refused("key");

    // Not even used up, and no session of either ended.
    ada.get("/me").await.expect(200);
    two.with_token(text(&theirs, "access_token")).get("/me").await.expect(200);
    one.refresh(text(&body, "refresh_token")).await.expect(200);
    one.post("/verify-email/confirm", &json!({ "token": sent.text_at("verification_token") })).await.expect(200);
    one.with_token(SECRET).post("/api-keys/verify", &json!({ "key": key.text_at("plain_text_key") })).await.expect(200);
    let me = two.with_token(text(&theirs, "access_token")).get("/me").await;
    assert_eq!(me.body["user"]["email_verified_at"], Value::Null);
}

#[tokio::test]
async fn lockout_cooldown_and_operators_verbs_stay_in_their_project() {
    let (server, one, two) = two().await;
    for anon in [&one, &two] {
        anon.sign_up(ADA, "correct horse").await;
    }
    for _ in 0..5 {
        one.sign_in(ADA, "wrong horse").await.expect(401);
    }
    one.sign_in(ADA, "correct horse").await.expect(429);
    let (theirs, _) = two.signed_in(ADA, "correct horse").await;
    let resend = json!({ "email": ADA });
    for anon in [&one, &two] {
        assert!(anon.post("/verify-email/resend", &resend).await.body["verification_token"].is_string());
    }
    let ours = project(&server, "one").await;
    accounts::disable(&ours, operator(&server), account(ADA)).await.expect("disabled");
    theirs.get("/me").await.expect(200);
    accounts::delete(&ours, operator(&server), account(ADA)).await.expect("deleted");
    keys::rotate(&ours, operator(&server), Duration::ZERO).await.expect("rotated");
    theirs.get("/me").await.expect(200);
    two.sign_in(ADA, "correct horse").await.expect(200);
}

#[tokio::test]
async fn each_publishes_its_own_keys() {
    let (_server, one, two) = two().await;
    for document in ["/.well-known/jwks.json", "/.well-known/paserk.json"] {
        let (ours, theirs) =
            (one.mounted_at("").get(document).await.expect(200), two.mounted_at("").get(document).await.expect(200));
        assert_ne!(ours.body["keys"][0]["kid"], theirs.body["keys"][0]["kid"]);
        one.mounted_at("").in_project(None).get(document).await.expect(400);
    }
}

#[tokio::test]
async fn a_deleted_project_is_gone_and_a_new_one_of_its_name_is_another() {
    let (server, one, two) = two().await;
    let new = |slug: &str| NewProject { slug: slug.to_owned(), id: None, settings: None };
    let made = server.projects().create(new("three"), operator(&server)).await.expect("made");
    let three = one.in_project(Some(&made.id().to_string()));
    let (ada, body) = three.sign_up(ADA, "correct horse").await;
    let id = made.id();
    drop(made);
    server.projects().delete(id, operator(&server)).await.expect("deleted");
    assert_eq!(ada.get("/me").await.expect(404).text, r#"{"message":"Project not found."}"#);
    three.refresh(text(&body, "refresh_token")).await.expect(404);
    let again = server.projects().create(new("three"), operator(&server)).await.expect("made");
    let three = one.in_project(Some(&again.id().to_string()));
    assert_ne!(again.id(), id);
    three.sign_in(ADA, "correct horse").await.expect(401);
    three.with_token(text(&body, "access_token")).get("/me").await.expect(401);
    three.refresh(text(&body, "refresh_token")).await.expect(401);
    two.sign_up(ADA, "correct horse").await;
}

#[tokio::test]
async fn one_host_leads_to_one_project_even_when_two_are_made_at_once() {
    let server = Server::start().await;
    let projects = server.projects();
    let made = |slug: &str| {
        let settings = Some("hosts = [\"shop.example.com\"]".to_owned());
        let new = keystead::auth::projects::NewProject { slug: slug.to_owned(), id: None, settings };
        projects.create(new, operator(&server))
    };
    let (first, second) = tokio::join!(made("first"), made("second"));
    assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|made| **made).count(), 1);
    assert_eq!(projects.count(), 2, "`default` and the one that got the host");
    server.stop().await;
}
