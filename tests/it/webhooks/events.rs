//! What is told of each verb, to whom, and how it is signed.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keystead::auth::accounts::{self, NewPassword};
use keystead::auth::outbox;
use keystead::config::{Overrides, load};
use keystead::crypto::Secret;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, SECRET, counts, emptied, ok, server, told};
use crate::persona::{Persona, account, all_at_once, now, operator, project};
use crate::receiver::{Received, Receiver};

/// As a receiver checks it who has read the two specifications.
fn verify(received: &Received, secret: &str) {
    let (id, at) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let key = secret
        .strip_prefix("whsec_")
        .map_or(secret.as_bytes().to_vec(), |encoded| BASE64_STANDARD.decode(encoded).expect("Base64"));
    let signed = [format!("{id}.{at}.").as_bytes(), &received.body].concat();
    let tag = received.header("webhook-signature").strip_prefix("v1,").expect("version 1");
    let tag = BASE64_STANDARD.decode(tag).expect("Base64");
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed, &tag).expect("the Standard Webhooks signature");
    let plain = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), &received.body);
    let plain: String = plain.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(received.header("x-webhook-signature"), plain);
}

#[tokio::test]
async fn a_post_is_signed_and_says_what_happened() {
    let mut app = Receiver::start(ok()).await;
    let server = server(&app, &[]).await;
    let (_, session) = Persona::anon(&server).sign_up("Ada@Example.com", PASSWORD).await;
    let received = app.next().await;
    verify(&received, SECRET);
    assert_eq!((received.path.as_str(), received.header("content-type")), ("/hook", "application/json"));
    assert_eq!(received.header("webhook-timestamp"), now(&server).secs().to_string());
    let (kind, body) = told(&received);
    assert_eq!(kind, "auth.signup.success");
    assert_eq!(received.header("webhook-id"), body["id"].as_str().expect("an id"));
    let request = body["data"]["request_id"].as_str().expect("a request");
    assert_eq!(request.len(), 16);
    let user = &session["user"];
    let expected = json!({
        "id": body["id"],
        "type": "auth.signup.success",
        "timestamp": "2026-01-01T00:00:00Z",
        "project": { "id": server.project(), "slug": "default" },
        "data": {
            "user": {
                "id": 1, "uuid": user["uuid"], "email": "ada@example.com", "display_name": null,
                "email_verified_at": null, "metadata": null, "disabled": false,
                "created_at": "2026-01-01T00:00:00Z",
            },
            "by": "user", "ip": "127.0.0.1", "request_id": request,
        },
    });
    assert_eq!(body, expected);
    emptied(&server).await;
}

#[tokio::test]
async fn every_verb_tells_its_event_and_no_secret() {
    let mut app = Receiver::start(ok()).await;
    let server = server(&app, &[("PROJECT__DEFAULT__LOCKOUT__FAILURES", "1")]).await;
    let anon = Persona::anon(&server);
    let mut secrets = vec![PASSWORD.to_owned(), "battery staple".into(), "wrong horse".into(), SECRET.into()];
    let mut keep = |body: &Value| {
        let tokens = ["access_token", "refresh_token", "verification_token"];
        secrets.extend(tokens.iter().filter_map(|name| body[*name].as_str()).map(str::to_owned));
    };
    let mut expected = Vec::new();

    let (ada, session) = anon.sign_up(ADA, PASSWORD).await;
    keep(&session);
    expected.push(("auth.signup.success", "user", true));
    let resent = anon.post("/verify-email/resend", &json!({ "email": ADA })).await.expect(200);
    keep(&resent.body);
    let token = json!({ "token": resent.text_at("verification_token") });
    anon.post("/verify-email/confirm", &token).await.expect(200);
    expected.push(("auth.email_verification.verified", "user", true));
    let change = json!({ "current_password": PASSWORD, "new_password": "battery staple" });
    ada.post("/change-password", &change).await.expect(200);
    expected.push(("security.password_changed", "user", true));
    ada.post_nothing("/logout").await.expect(200);
    expected.push(("auth.logout.success", "user", true));
    let (ada, session) = anon.signed_in(ADA, "battery staple").await;
    keep(&session);
    expected.push(("auth.login.success", "user", true));
    // The token of before its successor was in use.
    let stolen = session["refresh_token"].as_str().expect("a token").to_owned();
    for _ in 0..2 {
        server.clock().advance(std::time::Duration::from_secs(11));
        let reply = anon.refresh(&stolen).await;
        keep(&reply.body);
    }
    expected.push(("security.token_theft", "stranger", true));
    let (ada, _) = (anon.signed_in(ADA, "battery staple").await, ada);
    expected.push(("auth.login.success", "user", true));
    ada.0.post_nothing("/logout-all").await.expect(200);
    expected.push(("auth.logout_all.success", "user", true));
    anon.sign_in(ADA, "wrong horse").await.expect(401);
    expected.push(("security.lockout", "server", true));
    anon.sign_in("nobody@example.com", "wrong horse").await.expect(401);
    expected.push(("security.lockout", "server", false));

    let project = project(&server, "default").await;
    let by = || operator(&server);
    accounts::disable(&project, by(), account(ADA)).await.expect("done");
    expected.push(("security.account_disabled", "operator", true));
    accounts::enable(&project, by(), account(ADA)).await.expect("done");
    expected.push(("security.account_enabled", "operator", true));
    let password = NewPassword::Plain(Secret::new("an operator's own".into()));
    accounts::set_password(&project, by(), account(ADA), password).await.expect("done");
    expected.push(("security.password_changed", "operator", true));
    accounts::delete(&project, by(), account(ADA)).await.expect("done");
    expected.push(("security.account_deleted", "operator", true));

    emptied(&server).await;
    let mut all = Vec::new();
    for _ in 0..expected.len() {
        let received = app.next().await;
        verify(&received, SECRET);
        let text = String::from_utf8(received.body.clone()).expect("text");
        for secret in secrets.iter().chain(["an operator's own".to_owned(), "argon2".to_owned()].iter()) {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
        all.push(told(&received).1);
    }
    assert!(app.at_hand().is_none());
    // Several are posted at once; the ids are in the order things happened.
    all.sort_by_key(|body| body["id"].as_str().expect("an id").to_owned());
    let happened: Vec<_> = all
        .iter()
        .map(|body| {
            let data = &body["data"];
            (body["type"].as_str().expect("a type"), data["by"].as_str().expect("who"), data["user"].is_object())
        })
        .collect();
    let sorted = |mut list: Vec<(&'static str, &'static str, bool)>| {
        list.sort_unstable();
        list
    };
    let mut found = happened.clone();
    found.sort_unstable();
    assert_eq!(found, sorted(expected));
    let of = |kind: &str| all.iter().find(|body| body["type"] == kind).expect("such an event")["data"].clone();
    assert_eq!(of("security.account_disabled")["user"]["disabled"], true);
    assert_eq!(of("security.account_enabled")["user"]["disabled"], false);
    let gone = of("security.account_deleted");
    assert_eq!((&gone["user"]["email"], &gone["ip"], &gone["request_id"]), (&json!(ADA), &Value::Null, &Value::Null));
    assert_eq!(of("auth.email_verification.verified")["user"]["email_verified_at"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn only_what_is_wanted_is_written() {
    let mut app = Receiver::start(ok()).await;
    let mut log = Receiver::start(ok()).await;
    let (log_url, log_secret) = (log.url("/log"), "a secret of twenty-four or more letters".replace(' ', "-"));
    let both = format!("{}\n{}", std::fs::read_to_string(app.settings()[1].1).expect("a file"), {
        std::fs::read_to_string(log.settings()[1].1).expect("a file")
    });
    let dir = tempfile::tempdir().expect("a folder");
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, both).expect("a file");
    let more = [
        ("OUTBOUND__CA_FILE", ca_file.to_str().expect("text")),
        ("PROJECT__DEFAULT__WEBHOOKS__APP__EVENTS", "auth.login.success"),
        ("PROJECT__DEFAULT__WEBHOOKS__LOG__URL", &log_url),
        ("PROJECT__DEFAULT__WEBHOOKS__LOG__SECRET", &log_secret),
        ("PROJECT__DEFAULT__WEBHOOKS__LOG__EVENTS", "auth.login.success, auth.signup.success"),
        ("PROJECT__DEFAULT__WEBHOOKS__OFF__URL", &log_url),
        ("PROJECT__DEFAULT__WEBHOOKS__OFF__SECRET", &log_secret),
        ("PROJECT__DEFAULT__WEBHOOKS__OFF__ENABLED", "false"),
    ];
    let server = server(&app, &more).await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    anon.signed_in(ADA, PASSWORD).await;
    let login = app.next().await;
    verify(&login, SECRET);
    let logged = [log.next().await, log.next().await];
    logged.iter().for_each(|received| verify(received, &log_secret));
    let same = logged.iter().find(|received| told(received).0 == "auth.login.success").expect("the login");
    assert_eq!(same.body, login.body, "one event, whoever is told of it");
    emptied(&server).await;
    assert!(app.at_hand().is_none() && log.at_hand().is_none());
}

#[tokio::test]
async fn without_a_webhook_nothing_is_written() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    anon.signed_in(ADA, PASSWORD).await;
    assert_eq!(counts(&server).await, (0, 0));
}

#[tokio::test]
async fn what_was_rolled_back_is_not_told() {
    let mut app = Receiver::start(ok()).await;
    let server = server(&app, &[]).await;
    let anon = Persona::anon(&server);
    let replies = all_at_once((0..8).map(|_| {
        let anon = anon.clone();
        async move { anon.post("/signup", &json!({ "email": ADA, "password": PASSWORD })).await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 201).count(), 1, "{replies:?}");
    emptied(&server).await;
    assert_eq!(told(&app.next().await).0, "auth.signup.success");
    assert!(app.at_hand().is_none());
}

#[tokio::test]
async fn a_secret_that_was_changed_signs_from_then_on() {
    let mut app = Receiver::start(ok()).await;
    let server = server(&app, &[]).await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    verify(&app.next().await, SECRET);
    let fresh = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let url = app.url("/elsewhere");
    let mut variables: std::collections::BTreeMap<String, String> = [
        ("KEYSTEAD_PROJECT__DEFAULT__WEBHOOKS__APP__URL", url.as_str()),
        ("KEYSTEAD_PROJECT__DEFAULT__WEBHOOKS__APP__SECRET", fresh),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    variables.extend(app.settings().map(|(name, value)| (format!("KEYSTEAD_{name}"), value.to_owned())));
    let settings = load(&Overrides { ephemeral: true, ..Overrides::default() }, &variables).expect("settings");
    server.projects().adopt(settings, server.url(), now(&server)).await.expect("adopted");
    anon.signed_in(ADA, PASSWORD).await;
    let received = app.next().await;
    assert_eq!(received.path, "/elsewhere");
    verify(&received, fresh);
    emptied(&server).await;
    let project = project(&server, "default").await;
    assert!(outbox::dead_letters(&project, None, 9).expect("a store that works").is_empty());
}
