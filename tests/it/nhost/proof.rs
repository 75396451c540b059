//! Signing up where the address must be proved first (contract 0.2, CREATE; 1.6; 1.8).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead::mail::Sent;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon, refresh, refused, sign_in, sign_up, text};
use crate::persona::{Persona, Reply};

const BASE: [(&str, &str); 3] = [
    ("PROJECT__DEFAULT__VERIFICATION__MODE", "strict"),
    ("PROJECT__DEFAULT__NHOST__CLIENT_URL", "https://app.example.com"),
    ("PROJECT__DEFAULT__NHOST__REDIRECT_URLS", "https://other.example.com"),
];

async fn strict(more: &[(&str, &str)]) -> Server {
    Server::with(&[&BASE, more].concat()).await
}

fn header<'a>(mail: &'a Sent, name: &str) -> &'a str {
    mail.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).expect("a header")
}

/// Follows the link of a mail: where the browser is sent on to.
async fn follow(anon: &Persona, mail: &Sent) -> String {
    let link = mail.link.as_deref().expect("a link");
    let reply = anon.get(link.split_once("/v1").expect("our URL").1).await.expect(302);
    reply.headers["location"].to_str().expect("text").to_owned()
}

/// The value of a parameter of a URL.
fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    let (_, query) = url.split_once('?').expect("a query");
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value).expect("a parameter of that name")
}

/// Signs up with more than address and password.
async fn sign_up_with(anon: &Persona, more: &[(&str, Value)]) -> Reply {
    let mut body = json!({ "email": ADA, "password": PASSWORD });
    for (name, value) in more {
        body[*name] = value.clone();
    }
    anon.post("/signup/email-password", &body).await
}

#[tokio::test]
async fn the_link_of_the_mail_proves_the_address_and_signs_in_once() {
    // Whatever the project has its other APIs do.
    for delivery in ["app", "mail"] {
        let server = strict(&[("PROJECT__DEFAULT__VERIFICATION__DELIVERY", delivery)]).await;
        let anon = anon(&server);
        assert_eq!(sign_up(&anon, "Ada@example.com").await.expect(200).text, "{}");
        assert_eq!(refused(&sign_in(&anon, ADA, PASSWORD).await, 401), "unverified-user");
        let mail = server.mailbox().next_to("Ada@example.com").await;
        assert_eq!(header(&mail, "X-Email-Template"), "email-verify");
        assert!(header(&mail, "X-Ticket").starts_with("verifyEmail:"));
        assert_eq!(header(&mail, "X-Redirect-To"), "https://app.example.com");
        let location = follow(&anon, &mail).await;
        assert!(location.starts_with("https://app.example.com?refreshToken="), "{location}");
        assert_eq!(parameter(&location, "type"), "verifyEmail");
        let session = refresh(&anon, parameter(&location, "refreshToken")).await.expect(200);
        assert_eq!(session.body["user"]["emailVerified"], true);
        sign_in(&anon, ADA, PASSWORD).await.expect(200);
        assert_eq!(parameter(&follow(&anon, &mail).await, "error"), "invalid-ticket");
        // A sign-in of the unproved account sent nothing.
        assert_eq!(server.mailbox().to("Ada@example.com").len(), 1);
    }
}

#[tokio::test]
async fn the_link_goes_on_to_the_page_that_was_asked_for_and_brings_a_code_to_who_has_the_verifier() {
    let server = strict(&[]).await;
    let anon = anon(&server);
    let verifier = "a-verifier-of-at-least-forty-three-characters";
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    let challenge = URL_SAFE_NO_PAD.encode(digest);
    let options = json!({ "redirectTo": "https://other.example.com/x?b=1", "displayName": "Ada" });
    sign_up_with(&anon, &[("options", options), ("codeChallenge", challenge.into())]).await.expect(200);
    let mail = server.mailbox().next_to(ADA).await;
    let location = follow(&anon, &mail).await;
    assert!(location.starts_with("https://other.example.com/x?b=1&code="), "{location}");
    assert!(!location.contains("refreshToken"), "{location}");
    let body = json!({ "code": parameter(&location, "code"), "codeVerifier": verifier });
    let session = anon.post("/token/exchange", &body).await.expect(200).body["session"].clone();
    assert_eq!(session["user"]["displayName"], "Ada");
    refresh(&anon, text(&session, "refreshToken")).await.expect(200);
    assert_eq!(refused(&anon.post("/token/exchange", &body).await, 400), "invalid-request");
}

#[tokio::test]
async fn a_page_nobody_is_sent_on_to_makes_no_account() {
    for mode in ["off", "strict"] {
        let server = strict(&[("PROJECT__DEFAULT__VERIFICATION__MODE", mode)]).await;
        for page in ["https://evil.example", "https://app.example.com.evil.example", "javascript:alert(1)", "", "/x"] {
            let reply = sign_up_with(&anon(&server), &[("options", json!({ "redirectTo": page }))]).await;
            assert_eq!(refused(&reply, 400), "redirectTo-not-allowed", "{page}");
        }
        assert_eq!(refused(&sign_in(&anon(&server), ADA, PASSWORD).await, 401), "invalid-email-password");
        assert!(server.mailbox().messages().is_empty());
    }
}

/// Who has an account is told so by mail; whoever asked learns nothing, and nothing is changed.
#[tokio::test]
async fn where_accounts_are_hidden_a_taken_address_looks_like_a_free_one() {
    let server = strict(&[("PROJECT__DEFAULT__CONCEAL", "true")]).await;
    let anon = anon(&server);
    let first = sign_up(&anon, ADA).await.expect(200);
    let mail = server.mailbox().next_to(ADA).await;
    // The pause between two mails of a kind to one address.
    server.clock().advance(std::time::Duration::from_secs(60));
    let body = json!({ "email": ADA, "password": "another password" });
    let second = anon.post("/signup/email-password", &body).await.expect(200);
    assert_eq!(first.whole(), second.whole());
    let told = server.mailbox().next_to(ADA).await;
    assert_eq!((header(&told, "X-Email-Template"), told.link.as_deref()), ("account-exists", None));
    // The first mail still works, and its password is the one.
    assert!(follow(&anon, &mail).await.contains("refreshToken="));
    sign_in(&anon, ADA, PASSWORD).await.expect(200);
    assert_eq!(refused(&sign_in(&anon, ADA, "another password").await, 400), "invalid-request");
}

/// A project that asks for a proof and does not wait for it.
#[tokio::test]
async fn a_lenient_project_sends_the_mail_and_begins_the_session() {
    let lenient =
        [("PROJECT__DEFAULT__VERIFICATION__MODE", "lenient"), ("PROJECT__DEFAULT__VERIFICATION__DELIVERY", "mail")];
    let server = strict(&lenient).await;
    let anon = anon(&server);
    let reply = sign_up(&anon, ADA).await.expect(200);
    assert_eq!(reply.body["session"]["user"]["emailVerified"], false);
    let mail = server.mailbox().next_to(ADA).await;
    assert_eq!(header(&mail, "X-Email-Template"), "email-verify");
    assert!(follow(&anon, &mail).await.contains("refreshToken="));
    let ada = anon.with_token(text(&reply.body["session"], "accessToken"));
    assert_eq!(ada.get("/user").await.expect(200).body["emailVerified"], true);
}
