//! The challenge before a sign-up (contract 3.1, 6), against a service that speaks the documented protocol.

use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon};
use crate::persona::Reply;
use crate::receiver::{Answer, Receiver};

async fn protected(service: &Receiver) -> Server {
    let url = service.url("/siteverify");
    let mut settings = vec![
        ("PROJECT__DEFAULT__BOT__PROVIDER", "turnstile"),
        ("PROJECT__DEFAULT__BOT__SECRET", "0x4AAAAAAA-secret"),
        ("PROJECT__DEFAULT__BOT__SITE_KEY", "0x4AAAAAAA-site"),
        ("PROJECT__DEFAULT__BOT__VERIFY_URL", &url),
        ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "off"),
    ];
    settings.extend(service.settings());
    Server::with(&settings).await
}

fn says(success: bool) -> Answer {
    Answer::Says(200, json!({ "success": success }).to_string())
}

async fn sign_up(server: &Server, email: &str, more: Value) -> Reply {
    let mut body = json!({ "email": email, "password": PASSWORD });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    anon(server).post("/signup", &body).await
}

#[tokio::test]
async fn the_token_may_stand_under_three_names() {
    let mut service = Receiver::start(says(true)).await;
    let server = protected(&service).await;
    for (number, (more, expected)) in [
        (json!({ "botProtectionToken": " first " }), "first"),
        (json!({ "turnstileToken": "second" }), "second"),
        (json!({ "recaptchaToken": "third" }), "third"),
        (json!({ "recaptchaToken": "c", "turnstileToken": "b", "botProtectionToken": "a" }), "a"),
        (json!({ "recaptchaToken": "c", "turnstileToken": "b", "botProtectionToken": " " }), "b"),
    ]
    .into_iter()
    .enumerate()
    {
        sign_up(&server, &format!("u{number}@example.com"), more).await.expect(200);
        let form = String::from_utf8(service.next().await.body).expect("text");
        assert!(form.contains(&format!("&response={expected}&")), "{form}");
    }
}

/// Fields first, then the challenge, then whether the address is taken: a duplicate costs a solved challenge.
#[tokio::test]
async fn the_challenge_has_its_place_among_the_checks() {
    let mut service = Receiver::start(says(true)).await;
    let server = protected(&service).await;
    sign_up(&server, "not an address", json!({})).await.expect(400);
    let refused = |reply: Reply| {
        assert_eq!(reply.status, 403);
        assert_eq!(reply.text, r#"{"error":"Complete the verification challenge and try again"}"#);
    };
    refused(sign_up(&server, ADA, json!({})).await);
    assert!(service.at_hand().is_none(), "nothing to ask about");
    sign_up(&server, ADA, json!({ "turnstileToken": "x" })).await.expect(200);
    refused(sign_up(&server, ADA, json!({})).await);
    sign_up(&server, ADA, json!({ "turnstileToken": "x" })).await.expect(409);
    service.answers(says(false));
    refused(sign_up(&server, "eve@example.com", json!({ "turnstileToken": "x" })).await);
    service.answers(Answer::Says(503, "{}".into()));
    refused(sign_up(&server, "eve@example.com", json!({ "turnstileToken": "x" })).await);
}

#[tokio::test]
async fn a_page_learns_how_to_show_it() {
    let service = Receiver::start(says(true)).await;
    let server = protected(&service).await;
    let status = anon(&server).get("/bootstrap-status").await.expect(200);
    assert_eq!(
        status.body["signupBotProtection"],
        json!({
            "enabled": true, "provider": "turnstile", "siteKey": "0x4AAAAAAA-site", "configured": true,
            "configurationError": null,
        })
    );
    assert!(!status.text.contains("secret"));
}
