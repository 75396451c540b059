//! Signing up with a password (contract 1.2): the session, the order of checks, wishes.

use insta::{assert_json_snapshot, assert_snapshot};
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon, newcomer, refused, sign_in, sign_up, text};
use crate::persona::{account, all_at_once, operator, project};

#[tokio::test]
async fn the_answer_is_a_session() {
    let server = Server::start().await;
    let reply = sign_up(&anon(&server), "Ada@Example.com").await.expect(200);
    assert_json_snapshot!(reply.body, {
        ".session.accessToken" => "[token]",
        ".session.refreshToken" => "[uuid]",
        ".session.refreshTokenId" => "[uuid]",
        ".session.user.id" => "[uuid]",
    });
    let session = &reply.body["session"];
    for name in ["refreshToken", "refreshTokenId"] {
        assert!(uuid::Uuid::try_parse(text(session, name)).is_ok());
    }
    let ada = anon(&server).with_token(text(session, "accessToken"));
    assert_eq!(ada.get("/user").await.expect(200).body, session["user"]);
}

#[tokio::test]
async fn a_list_of_pages_without_a_client_url_stops_nobody_who_names_none() {
    let server = Server::with(&[("PROJECT__DEFAULT__NHOST__REDIRECT_URLS", "https://app.example.com")]).await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    ada.post("/user/password/reset", &json!({ "email": ADA })).await.expect(200);
    let elsewhere = json!({ "email": ADA, "options": { "redirectTo": "https://evil.example" } });
    assert_eq!(refused(&ada.post("/user/password/reset", &elsewhere).await, 400), "redirectTo-not-allowed");
}

#[tokio::test]
async fn wishes_are_granted_within_what_the_project_allows() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__NHOST__ALLOWED_ROLES", "me,editor"),
        ("PROJECT__DEFAULT__NHOST__LOCALES", "en,fr"),
    ])
    .await;
    let sign_up = async |email: &str, options: Value| {
        let body = json!({ "email": email, "password": PASSWORD, "options": options });
        anon(&server).post("/signup/email-password", &body).await
    };
    let wished = json!({
        "allowedRoles": ["editor", "me"], "defaultRole": "editor", "displayName": "Ada, Countess of L'ace-1 \u{20ac}",
        "locale": "fr", "metadata": { "plan": { "name": "free" }, "list": [1, null] },
    });
    let reply = sign_up(ADA, wished.clone()).await.expect(200);
    let user = &reply.body["session"]["user"];
    assert_eq!((&user["roles"], &user["defaultRole"]), (&json!(["editor", "me"]), &json!("editor")));
    assert_eq!((&user["displayName"], &user["locale"]), (&wished["displayName"], &json!("fr")));
    assert_eq!(user["metadata"], wished["metadata"]);

    let reply = sign_up("eve@example.com", json!({ "locale": "de", "allowedRoles": ["user"] })).await.expect(200);
    let user = &reply.body["session"]["user"];
    assert_eq!((&user["locale"], &user["roles"]), (&json!("en"), &json!(["user"])), "the project's language");

    let bob = "bob@example.com";
    for (options, error) in [
        (json!({ "allowedRoles": ["me", "admin"] }), "role-not-allowed"),
        (json!({ "allowedRoles": ["me"] }), "default-role-must-be-in-allowed-roles"),
        (json!({ "defaultRole": "admin" }), "default-role-must-be-in-allowed-roles"),
        (json!({ "allowedRoles": [], "defaultRole": "me" }), "default-role-must-be-in-allowed-roles"),
        (json!({ "allowedRoles": ["admin"], "defaultRole": "nobody" }), "role-not-allowed"),
    ] {
        assert_eq!(refused(&sign_up(bob, options.clone()).await, 400), error, "{options}");
    }
    assert_eq!(refused(&sign_in(&anon(&server), bob, PASSWORD).await, 401), "invalid-email-password");
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said() {
    let server = Server::start().await;
    let mut table = String::new();
    let with = |name: &str, value: Value| {
        let mut body = json!({ "email": ADA, "password": PASSWORD });
        body[name] = value;
        body
    };
    let option = |name: &str, value: Value| with("options", json!({ name: value }));
    for (what, body) in [
        ("nothing", json!({})),
        ("no password", json!({ "email": ADA })),
        ("address no text", json!({ "email": 7, "password": PASSWORD })),
        ("address none", json!({ "email": "ada", "password": PASSWORD })),
        ("address null", json!({ "email": null, "password": PASSWORD })),
        ("password no text", json!({ "email": ADA, "password": 7 })),
        ("password of 2", json!({ "email": ADA, "password": "xx" })),
        ("password of 7", json!({ "email": ADA, "password": "1234567" })),
        ("password of 51", json!({ "email": ADA, "password": "x".repeat(51) })),
        ("another field", with("role", json!("admin"))),
        ("options no object", with("options", json!([]))),
        ("another option", option("role", json!("admin"))),
        ("roles no list", option("allowedRoles", json!("me"))),
        ("roles no texts", option("allowedRoles", json!([1]))),
        ("default role no text", option("defaultRole", json!(1))),
        ("name empty", option("displayName", json!(""))),
        ("name of 33", option("displayName", json!("x".repeat(33)))),
        ("name with a slash", option("displayName", json!("a/b"))),
        ("name with an at", option("displayName", json!("a@b"))),
        ("name with a line", option("displayName", json!("a\nb"))),
        ("locale of 1", option("locale", json!("e"))),
        ("locale of 4", option("locale", json!("engl"))),
        ("metadata a list", option("metadata", json!([]))),
        ("metadata too large", option("metadata", json!({ "x": "x".repeat(65_536) }))),
        ("challenge of 42", with("codeChallenge", json!("x".repeat(42)))),
        ("challenge not base64url", with("codeChallenge", json!("=".repeat(43)))),
    ] {
        let reply = anon(&server).post("/signup/email-password", &body).await.expect(400);
        table.push_str(&format!("{what:24} {}\n", reply.text));
    }
    assert_snapshot!(table);
    let umlauts = "\u{e4}".repeat(4);
    let body = json!({ "email": ADA, "password": umlauts });
    anon(&server).post("/signup/email-password", &body).await.expect(200);
}

#[tokio::test]
async fn a_taken_address_is_taken_in_every_spelling_and_once_of_many() {
    let server = Server::start().await;
    let replies = all_at_once((0..8).map(|_| {
        let anon = anon(&server);
        async move { sign_up(&anon, ADA).await }
    }))
    .await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert_eq!(refused(reply, 409), "user-already-exists");
    }
    for email in ["ADA@example.com", " ada@EXAMPLE.com"] {
        assert_eq!(refused(&sign_up(&anon(&server), email).await, 409), "user-already-exists");
    }
}

#[tokio::test]
async fn a_closed_sign_up_makes_nothing() {
    let server = Server::with(&[("PROJECT__DEFAULT__SIGNUP__ENABLED", "false")]).await;
    assert_eq!(refused(&sign_up(&anon(&server), ADA).await, 403), "signup-disabled");
    assert_eq!(refused(&sign_in(&anon(&server), ADA, PASSWORD).await, 401), "invalid-email-password");
}

/// Contract 0.2, CREATE: the row exists, disabled, and nothing is sent.
#[tokio::test]
async fn new_accounts_may_have_to_wait_for_an_operator() {
    for mode in ["off", "strict"] {
        let server = Server::with(&[
            ("PROJECT__DEFAULT__SIGNUP__DISABLE_NEW_USERS", "true"),
            ("PROJECT__DEFAULT__VERIFICATION__MODE", mode),
        ])
        .await;
        assert_eq!(refused(&sign_up(&anon(&server), ADA).await, 401), "disabled-user");
        assert_eq!(refused(&sign_in(&anon(&server), ADA, PASSWORD).await, 401), "disabled-user");
        assert_eq!(refused(&sign_up(&anon(&server), ADA).await, 409), "user-already-exists");
        assert!(server.mailbox().messages().is_empty());
        let default = project(&server, "default").await;
        keystead::auth::accounts::enable(&default, operator(&server), account(ADA)).await.expect("enabled");
        let expected = if mode == "off" { 200 } else { 401 };
        sign_in(&anon(&server), ADA, PASSWORD).await.expect(expected);
    }
}

#[tokio::test]
async fn other_apis_make_such_accounts_too() {
    let server = Server::with(&[("PROJECT__DEFAULT__SIGNUP__DISABLE_NEW_USERS", "true")]).await;
    let body = json!({ "email": ADA, "password": PASSWORD });
    crate::persona::Persona::anon(&server).post("/signup", &body).await.expect(403);
    assert_eq!(refused(&sign_in(&anon(&server), ADA, PASSWORD).await, 401), "disabled-user");
}

#[tokio::test]
async fn where_accounts_are_hidden_errors_say_nothing_of_them() {
    let server = Server::with(&[("PROJECT__DEFAULT__CONCEAL", "true")]).await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    ada.get("/user").await.expect(200);
    assert_snapshot!(sign_up(&anon(&server), ADA).await.expect(400).text);
    assert_snapshot!(sign_in(&anon(&server), ADA, "wrong horse").await.expect(400).text);
}
