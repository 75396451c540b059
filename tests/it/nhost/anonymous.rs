//! Accounts without any credential, and what becomes of them (contract 1.3, 1.5).

use insta::assert_json_snapshot;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon, is_out, newcomer, refresh, refused, sign_in, text};
use crate::persona::{Persona, all_at_once};

const ON: (&str, &str) = ("PROJECT__DEFAULT__NHOST__ANONYMOUS", "true");

/// Makes an account without any credential: the user and the session.
async fn nobody(server: &Server, body: &Value) -> (Persona, Value) {
    let session = anon(server).post("/signin/anonymous", body).await.expect(200).body["session"].take();
    (anon(server).with_token(text(&session, "accessToken")), session)
}

fn by_password(email: &str) -> Value {
    json!({ "signInMethod": "email-password", "email": email, "password": PASSWORD })
}

fn by_link(email: &str) -> Value {
    json!({ "signInMethod": "passwordless", "email": email })
}

#[tokio::test]
async fn nobody_is_somebody_with_one_role() {
    let server = Server::with(&[ON]).await;
    let reply = anon(&server).post_nothing("/signin/anonymous").await.expect(200);
    assert_json_snapshot!(reply.body, {
        ".session.accessToken" => "[token]",
        ".session.refreshToken" => "[uuid]",
        ".session.refreshTokenId" => "[uuid]",
        ".session.user.id" => "[uuid]",
    });
    let wishes = json!({ "displayName": "Guest 7", "locale": "xx", "metadata": { "cart": [1] } });
    let (guest, session) = nobody(&server, &wishes).await;
    let user = &session["user"];
    assert_eq!((&user["displayName"], &user["locale"]), (&json!("Guest 7"), &json!("en")));
    assert_eq!(user["metadata"], wishes["metadata"]);
    // What an account does of its own accord it may not.
    assert_eq!(refused(&guest.get("/user").await, 403), "forbidden-anonymous");
    let pat = guest.post("/pat", &json!({ "expiresAt": "2030-01-01T00:00:00Z" })).await;
    assert_eq!(refused(&pat, 403), "forbidden-anonymous");
    assert_eq!(refused(&guest.post_nothing("/token/verify").await, 403), "forbidden-anonymous");
    // Its session is one.
    let next = refresh(&anon(&server), text(&session, "refreshToken")).await.expect(200);
    assert_eq!(next.body["user"], session["user"]);
    guest.post("/signout", &json!({ "all": true })).await.expect(200);
    is_out(&guest).await;
}

#[tokio::test]
async fn nobody_is_let_in_only_where_the_project_says_so() {
    let server = Server::start().await;
    assert_eq!(refused(&anon(&server).post_nothing("/signin/anonymous").await, 409), "disabled-endpoint");
    let server = Server::with(&[ON, ("PROJECT__DEFAULT__SIGNUP__ENABLED", "false")]).await;
    assert_eq!(refused(&anon(&server).post_nothing("/signin/anonymous").await, 403), "signup-disabled");
    let server = Server::with(&[ON, ("PROJECT__DEFAULT__SIGNUP__DISABLE_NEW_USERS", "true")]).await;
    nobody(&server, &json!({})).await;
    let other = anon(&server).post("/signin/anonymous", &json!({ "email": ADA })).await.expect(400);
    assert_eq!(other.text_at("error"), "schema-validation-error");
}

#[tokio::test]
async fn with_a_password_the_session_goes_on() {
    let server = Server::with(&[ON, ("PROJECT__DEFAULT__NHOST__LOCALES", "en,fr")]).await;
    let wishes = json!({ "displayName": "Guest 7", "metadata": { "cart": [1] } });
    let (guest, session) = nobody(&server, &wishes).await;
    let mut body = by_password(ADA);
    body["options"] = json!({ "displayName": "Ada", "locale": "fr", "allowedRoles": ["user"] });
    assert_eq!(guest.post("/user/deanonymize", &body).await.expect(200).text, "\"OK\"");
    let user = guest.get("/user").await.expect(200).body;
    assert_json_snapshot!(user, { ".id" => "[uuid]" });
    assert_eq!(user["id"], session["user"]["id"]);
    assert!(server.mailbox().messages().is_empty());
    let reply = sign_in(&anon(&server), ADA, PASSWORD).await.expect(200);
    assert_eq!(reply.body["session"]["user"], user);
    refresh(&anon(&server), text(&session, "refreshToken")).await.expect(200);
    assert_eq!(refused(&guest.post("/user/deanonymize", &by_password(ADA)).await, 400), "user-not-anonymous");
}

#[tokio::test]
async fn where_a_mail_goes_out_all_sessions_end() {
    for (mode, body, kind) in [
        ("strict", by_password(ADA), "verifyEmail:"),
        ("strict", by_link(ADA), "passwordlessEmail:"),
        ("off", by_link(ADA), "passwordlessEmail:"),
    ] {
        let server = Server::with(&[
            ON,
            ("PROJECT__DEFAULT__VERIFICATION__MODE", mode),
            ("PROJECT__DEFAULT__NHOST__CLIENT_URL", "https://app.example.com"),
        ])
        .await;
        let (guest, session) = nobody(&server, &json!({})).await;
        guest.post("/user/deanonymize", &body).await.expect(200);
        is_out(&guest).await;
        refresh(&anon(&server), text(&session, "refreshToken")).await.expect(401);
        let mail = server.mailbox().next_to(ADA).await;
        let ticket = mail.headers.iter().find(|(name, _)| name == "X-Ticket").map(|(_, value)| value.clone());
        assert!(ticket.is_some_and(|ticket| ticket.starts_with(kind)), "{kind}");
        let link = mail.link.expect("a link");
        let path = link.split_once("/v1").expect("our URL").1;
        let followed = anon(&server).get(path).await.expect(302);
        let location = followed.headers["location"].to_str().expect("text");
        let token = location.split_once("refreshToken=").expect("a token").1.split('&').next().expect("a part");
        let reply = refresh(&anon(&server), token).await.expect(200);
        let user = &reply.body["user"];
        assert_eq!((&user["id"], &user["emailVerified"]), (&session["user"]["id"], &json!(true)));
        assert_eq!((&user["isAnonymous"], &user["defaultRole"]), (&json!(false), &json!("user")));
    }
}

#[tokio::test]
async fn nobody_gets_past_an_operator_by_way_of_an_account_without_credentials() {
    for body in [by_password(ADA), by_link(ADA)] {
        let server = Server::with(&[ON, ("PROJECT__DEFAULT__SIGNUP__DISABLE_NEW_USERS", "true")]).await;
        let (guest, session) = nobody(&server, &json!({})).await;
        assert_eq!(refused(&guest.post("/user/deanonymize", &body).await, 401), "disabled-user");
        is_out(&guest).await;
        refresh(&anon(&server), text(&session, "refreshToken")).await.expect(401);
        sign_in(&anon(&server), ADA, PASSWORD).await.expect(401);
        assert!(server.mailbox().messages().is_empty());
    }
}

#[tokio::test]
async fn where_accounts_are_hidden_a_link_says_nothing_of_the_address() {
    for (mode, of) in [("strict", by_password as fn(&str) -> Value), ("off", by_link)] {
        let server = Server::with(&[
            ON,
            ("PROJECT__DEFAULT__CONCEAL", "true"),
            ("PROJECT__DEFAULT__VERIFICATION__MODE", mode),
            ("PROJECT__DEFAULT__NHOST__CLIENT_URL", "https://app.example.com"),
        ])
        .await;
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (guest, session) = nobody(&server, &json!({})).await;
            let reply = guest.post("/user/deanonymize", &of(ADA)).await;
            is_out(&guest).await;
            refresh(&anon(&server), text(&session, "refreshToken")).await.expect(400);
            seen.push((reply.status.as_u16(), reply.text));
        }
        assert_eq!(seen[0], (200, "\"OK\"".into()));
        assert_eq!(seen[0], seen[1]);
        server.mailbox().next_to(ADA).await;
        assert_eq!(server.mailbox().messages().len(), 1, "the second went nowhere");
    }
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let server = Server::with(&[
        ON,
        ("PROJECT__DEFAULT__ACCESS__BLOCKED_DOMAINS", "evil.example"),
        ("PROJECT__DEFAULT__NHOST__CLIENT_URL", "https://app.example.com"),
    ])
    .await;
    let (ada, _) = newcomer(&anon(&server), ADA).await;
    assert_eq!(refused(&ada.post("/user/deanonymize", &by_password(ADA)).await, 400), "user-not-anonymous");
    let (guest, session) = nobody(&server, &json!({})).await;
    let bob = "bob@example.com";
    let with = |options: Value| {
        let mut body = by_password(bob);
        body["options"] = options;
        body
    };
    for (body, status, error) in [
        (by_password(ADA), 409, "user-already-exists"),
        (by_link("ADA@example.com"), 409, "user-already-exists"),
        (by_password("eve@evil.example"), 401, "invalid-email-password"),
        (json!({ "signInMethod": "email-password", "email": bob }), 400, "invalid-request"),
        (json!({ "signInMethod": "email-password", "email": bob, "password": "short" }), 400, "password-too-short"),
        (json!({ "signInMethod": "webauthn", "email": bob }), 400, "schema-validation-error"),
        (json!({ "signInMethod": "passwordless" }), 400, "schema-validation-error"),
        (with(json!({ "allowedRoles": ["admin"] })), 400, "role-not-allowed"),
        (with(json!({ "defaultRole": "admin" })), 400, "default-role-must-be-in-allowed-roles"),
        (with(json!({ "redirectTo": "https://evil.example" })), 400, "redirectTo-not-allowed"),
    ] {
        assert_eq!(refused(&guest.post("/user/deanonymize", &body).await, status), error, "{body}");
    }
    let next = refresh(&anon(&server), text(&session, "refreshToken")).await.expect(200);
    assert_eq!(next.body["user"]["isAnonymous"], true);
    anon(&server).post("/user/deanonymize", &by_password(bob)).await.expect(401);
}

#[tokio::test]
async fn of_many_at_once_one_gets_the_address_and_an_account_gets_one() {
    let server = Server::with(&[ON]).await;
    let (guest, _) = nobody(&server, &json!({})).await;
    let replies = all_at_once((0..8).map(|number| {
        let (guest, body) = (guest.clone(), by_password(&format!("u{number}@example.com")));
        async move { guest.post("/user/deanonymize", &body).await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 200).count(), 1, "{replies:?}");
    assert_eq!(replies.iter().filter(|status| **status == 400).count(), 7, "{replies:?}");
    let mut guests = Vec::new();
    for _ in 0..8 {
        guests.push(nobody(&server, &json!({})).await.0);
    }
    let replies = all_at_once(
        guests
            .into_iter()
            .map(|guest| async move { guest.post("/user/deanonymize", &by_password(ADA)).await.status.as_u16() }),
    )
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 200).count(), 1, "{replies:?}");
    assert_eq!(replies.iter().filter(|status| **status == 409).count(), 7, "{replies:?}");
}
