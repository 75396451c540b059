//! Signing in and up by a link (contract 1.2, 1.3): who gets one, and what nobody is told.

use keystead::auth::accounts;
use serde_json::{Value, json};

use super::{ADA, APP, BOB, CONCEAL, anon, ask, follow, header, link, newcomer, refreshed, refused, server};
use crate::persona::{account, operator, project};

const IN: &str = "/signin/passwordless/email";
const UP: &str = "/signup/passwordless/email";
const OTP_IN: &str = "/signin/otp/email";
const OTP_UP: &str = "/signup/otp/email";

fn to(email: &str) -> Value {
    json!({ "email": email })
}

#[tokio::test]
async fn an_unknown_address_gets_an_account_and_a_known_one_a_link() {
    let server = server(&[]).await;
    let anon = anon(&server);
    let body = json!({
        "email": "Ada@example.com",
        "options": {
            "displayName": "Ada", "metadata": { "a": [1] }, "defaultRole": "me", "allowedRoles": ["me"],
            "redirectTo": format!("{APP}/welcome"),
        },
    });
    ask(&anon, IN, &body).await;
    let first = link(&server, ADA, "signin-passwordless").await;
    let page = follow(&server, &first).await;
    assert_eq!(page.onward().0, format!("{APP}/welcome"));
    let (ada, session) = refreshed(&anon, &page.refresh_token("passwordlessEmail")).await;
    let user = &session["user"];
    assert_eq!((&user["email"], &user["displayName"]), (&json!("Ada@example.com"), &json!("Ada")));
    assert_eq!((&user["emailVerified"], &user["roles"]), (&json!(true), &json!(["me"])));
    assert_eq!((&user["defaultRole"], &user["metadata"]), (&json!("me"), &json!({ "a": [1] })));
    // Wishes are for new accounts only.
    ask(&anon, IN, &json!({ "email": ADA, "options": { "displayName": "Eve" } })).await;
    let second = link(&server, ADA, "signin-passwordless").await;
    let (_, session) = refreshed(&anon, &follow(&server, &second).await.refresh_token("passwordlessEmail")).await;
    assert_eq!((&session["user"]["id"], &session["user"]["displayName"]), (&user["id"], &json!("Ada")));
    // Whoever signs in ends nobody's session.
    ada.get("/user").await.expect(200);
}

#[tokio::test]
async fn what_is_off_is_off_and_wishes_are_held_against_the_settings() {
    let server = keystead::testing::Server::with(&[("PROJECT__DEFAULT__NHOST__CLIENT_URL", APP)]).await;
    let nobody = anon(&server);
    for path in [IN, UP, OTP_IN, OTP_UP] {
        assert_eq!(refused(&nobody.post(path, &to(ADA)).await), (409, "disabled-endpoint"));
    }
    let typed = json!({ "email": ADA, "otp": "123456" });
    assert_eq!(refused(&nobody.post("/signin/otp/email/verify", &typed).await), (409, "disabled-endpoint"));
    let server = super::server(&[
        ("PROJECT__DEFAULT__ACCESS__BLOCKED_DOMAINS", "blocked.example"),
        ("PROJECT__DEFAULT__SIGNUP__ENABLED", "false"),
    ])
    .await;
    let nobody = anon(&server);
    for path in [IN, UP, OTP_IN, OTP_UP] {
        let wish = |options: Value| json!({ "email": ADA, "options": options });
        let is_up = path.starts_with("/signup");
        for (body, expected) in [
            (to("x@blocked.example"), (401, "invalid-email-password")),
            (wish(json!({ "redirectTo": "https://evil.com" })), (400, "redirectTo-not-allowed")),
            (wish(json!({ "allowedRoles": ["admin"] })), (400, "role-not-allowed")),
            (wish(json!({ "defaultRole": "admin" })), (400, "default-role-must-be-in-allowed-roles")),
            (to(ADA), (403, "signup-disabled")),
        ] {
            // A sign-up says first that there are none.
            let expected = if is_up { (403, "signup-disabled") } else { expected };
            assert_eq!(refused(&nobody.post(path, &body).await), expected, "{path} {body}");
        }
    }
    assert!(server.mailbox().messages().is_empty());
}

#[tokio::test]
async fn a_sign_up_says_that_an_address_is_taken_or_keeps_silent() {
    let silent = [("PROJECT__DEFAULT__NHOST__SILENT_SIGN_UP", "true")];
    for more in [&[][..], &silent, &[CONCEAL]] {
        let server = server(more).await;
        let nobody = anon(&server);
        newcomer(&server, ADA).await;
        for path in [UP, OTP_UP] {
            match more {
                [] => assert_eq!(refused(&nobody.post(path, &to(ADA)).await), (409, "user-already-exists")),
                _ => ask(&nobody, path, &to(ADA)).await,
            }
        }
        // Whoever is new gets a mail; that it comes says that none was before it.
        ask(&nobody, UP, &to(BOB)).await;
        let link = link(&server, BOB, "signin-passwordless").await;
        follow(&server, &link).await.refresh_token("passwordlessEmail");
        assert!(server.mailbox().to(ADA).is_empty());
    }
}

#[tokio::test]
async fn without_automatic_sign_up_an_unknown_address_is_answered_like_any_other() {
    let server = server(&[("PROJECT__DEFAULT__SIGNUP__AUTO", "false")]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    for path in [IN, OTP_IN] {
        let (known, unknown) = (nobody.post(path, &to(ADA)).await, nobody.post(path, &to("eve@example.com")).await);
        assert_eq!(known.expect(200).whole(), unknown.expect(200).whole());
    }
    server.mailbox().next_to(ADA).await;
    server.mailbox().next_to(ADA).await;
    assert!(server.mailbox().to("eve@example.com").is_empty());
    let default = project(&server, "default").await;
    assert!(accounts::show(&default, &account("eve@example.com")).is_err(), "nobody was made");
    // A sign-up is one all the same.
    ask(&nobody, UP, &to("eve@example.com")).await;
    link(&server, "eve@example.com", "signin-passwordless").await;
}

#[tokio::test]
async fn who_waits_for_an_operator_is_sent_nothing() {
    for conceal in [false, true] {
        let mut more = vec![("PROJECT__DEFAULT__SIGNUP__DISABLE_NEW_USERS", "true")];
        more.extend(conceal.then_some(CONCEAL));
        let server = server(&more).await;
        let (nobody, default) = (anon(&server), project(&server, "default").await);
        for (path, email) in [(IN, ADA), (UP, BOB), (IN, ADA)] {
            match conceal {
                true => ask(&nobody, path, &to(email)).await,
                false => assert_eq!(refused(&nobody.post(path, &to(email)).await), (401, "disabled-user")),
            }
            let user = accounts::show(&default, &account(email)).expect("an account");
            assert!(!user.is_enabled());
        }
        accounts::enable(&default, operator(&server), account(ADA)).await.expect("enabled");
        ask(&nobody, IN, &to(ADA)).await;
        link(&server, ADA, "signin-passwordless").await;
        assert_eq!(server.mailbox().messages().len(), 1);
    }
}

#[tokio::test]
async fn the_mail_is_in_the_language_of_the_account() {
    let server = server(&[("PROJECT__DEFAULT__NHOST__LOCALES", "en,fr,cs")]).await;
    let nobody = anon(&server);
    ask(&nobody, IN, &json!({ "email": ADA, "options": { "locale": "fr" } })).await;
    let french = server.mailbox().next_to(ADA).await;
    ask(&nobody, IN, &json!({ "email": ADA, "options": { "locale": "cs" } })).await;
    let again = server.mailbox().next_to(ADA).await;
    assert_eq!((header(&again, "X-Email-Template"), &again.subject), ("signin-passwordless", &french.subject));
    ask(&nobody, IN, &json!({ "email": BOB, "options": { "locale": "xx" } })).await;
    assert_ne!(server.mailbox().next_to(BOB).await.subject, french.subject);
}
