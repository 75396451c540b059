//! The webhook transport against a program that takes mails, refuses them, or is gone.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystead::Env;
use keystead::env::Timestamp;
use keystead::mail::{Message, SendError, Template, Webhook, WebhookSettings};
use keystead::outbound::{Outbound, Policy, SigningKey, Target};
use serde_json::{Value, json};

use super::smtp::{message, ticket_mail};
use crate::receiver::{Answer, Receiver};

const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

fn webhook(receiver: &Receiver, allow: &[&str]) -> Webhook {
    let [_, (_, ca_file)] = receiver.settings();
    let allow = allow.iter().map(|network| network.parse().expect("a network")).collect();
    let policy = Policy { allow, ca_file: Some(ca_file.into()) };
    let outbound = Outbound::new(&Env::system(), &policy).expect("a client");
    let url = Target::parse(&receiver.url("/send?token=hidden")).expect("a URL");
    let key = SigningKey::parse(&format!("whsec_{KEY}")).expect("a key");
    Webhook::new(WebhookSettings { url, key }, outbound)
}

#[tokio::test]
async fn a_mail_is_posted_whole_and_signed() {
    let mut receiver = Receiver::start(Answer::Says(202, String::new())).await;
    let sent: Message = message(7);
    webhook(&receiver, &["127.0.0.1/32"]).send(&sent, NOW).await.expect("a friendly receiver");
    let request = receiver.next().await;
    assert_eq!(request.path, "/send?token=hidden");
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let expected = json!({
        "type": "mail.send",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {
            "id": sent.id, "to": sent.to, "from": sent.from, "subject": sent.subject, "text": sent.text,
            "html": sent.html, "headers": {"X-Email-Template": "verify-email"}, "template": "verify-email",
            "link": sent.link, "code": sent.code,
        },
    });
    assert_eq!(body, expected);
    // As the specification says it: HMAC-SHA256 over id, time and body.
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    assert_eq!((id, at), (sent.id.to_string().as_str(), "1767225600"));
    let signed = [format!("{id}.{at}.").as_bytes(), &request.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(KEY).expect("Base64"));
    assert_eq!(request.header("webhook-signature"), format!("v1,{}", STANDARD.encode(hmac::sign(&key, &signed))));
}

#[tokio::test]
async fn a_ticket_is_among_the_headers() {
    let mut receiver = Receiver::start(Answer::Says(202, String::new())).await;
    let sent = ticket_mail(Template::PasswordReset);
    webhook(&receiver, &["127.0.0.1/32"]).send(&sent, NOW).await.expect("a friendly receiver");
    let body: Value = serde_json::from_slice(&receiver.next().await.body).expect("JSON");
    let headers = json!({
        "X-Email-Template": "password-reset",
        "X-Ticket": "passwordReset:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07",
        "X-Redirect-To": "https://app.example.com/welcome",
        "X-Link": sent.link,
        "Auto-Submitted": "auto-generated",
    });
    assert_eq!((&body["data"]["headers"], &body["data"]["link"]), (&headers, &headers["X-Link"]));
}

#[tokio::test]
async fn what_each_answer_means() {
    let receiver = Receiver::start(Answer::Says(200, String::new())).await;
    let webhook_to = webhook(&receiver, &["127.0.0.1/32"]);
    for status in [400, 401, 404, 410, 422] {
        receiver.answers(Answer::Says(status, "token 424242".into()));
        let error = webhook_to.send(&message(1), NOW).await.expect_err("refused");
        assert!(matches!(&error, SendError::Never(reason) if reason.contains(&status.to_string())), "{error}");
        assert!(!error.to_string().contains("hidden") && !error.to_string().contains("424242"), "{error}");
    }
    for status in [301, 408, 425, 429, 500, 503] {
        receiver.answers(Answer::Says(status, String::new()));
        let error = webhook_to.send(&message(1), NOW).await.expect_err("not now");
        assert!(matches!(&error, SendError::Later(reason) if reason.contains(&status.to_string())), "{error}");
    }
    // A success is one, whatever comes with it.
    receiver.answers(Answer::Floods);
    webhook_to.send(&message(1), NOW).await.expect("a success");
    // The operator has to allow addresses that are not public; until then mails wait.
    let error = webhook(&receiver, &[]).send(&message(1), NOW).await.expect_err("not allowed");
    assert!(matches!(&error, SendError::Later(reason) if reason.contains("outbound.allow")), "{error}");
}
