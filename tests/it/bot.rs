//! Bot protection of sign-up, against a service that speaks the documented protocol of Turnstile and reCAPTCHA.

use keystead::auth::bot;
use keystead::testing::Server;
use serde_json::json;

use crate::persona::{Persona, Reply, project};
use crate::receiver::{Answer, Receiver};

const SECRET: &str = "0x4AAAAAAA-secret";

async fn protected(receiver: &Receiver, provider: &str) -> Server {
    let url = receiver.url("/turnstile/v0/siteverify");
    let mut settings = vec![
        ("PROJECT__DEFAULT__BOT__PROVIDER", provider),
        ("PROJECT__DEFAULT__BOT__SECRET", SECRET),
        ("PROJECT__DEFAULT__BOT__SITE_KEY", "0x4AAAAAAA-site"),
        ("PROJECT__DEFAULT__BOT__VERIFY_URL", &url),
    ];
    settings.extend(receiver.settings());
    Server::with(&settings).await
}

async fn sign_up(server: &Server, token: Option<&str>) -> Reply {
    let body = json!({ "email": "ada@example.com", "password": "correct horse", "bot_protection_token": token });
    Persona::anon(server).post("/signup", &body).await
}

fn passed() -> Answer {
    Answer::Says(200, r#"{"success":true,"challenge_ts":"2026-01-01T00:00:00Z","hostname":"a.example"}"#.into())
}

#[tokio::test]
async fn a_solved_challenge_lets_a_sign_up_pass() {
    for provider in ["turnstile", "recaptcha"] {
        let mut service = Receiver::start(passed()).await;
        let server = protected(&service, provider).await;
        sign_up(&server, Some(" solved &=+ ")).await.expect(201);
        let asked = service.next().await;
        assert_eq!(asked.path, "/turnstile/v0/siteverify");
        assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
        let form = String::from_utf8(asked.body).expect("text");
        assert_eq!(form, format!("secret={SECRET}&response=solved+%26%3D%2B&remoteip=127.0.0.1"));
        assert!(service.at_hand().is_none(), "a token is good for one check");
    }
}

#[tokio::test]
async fn without_the_service_s_word_nobody_signs_up() {
    let mut service = Receiver::start(passed()).await;
    let server = protected(&service, "turnstile").await;
    let refused = |reply: Reply| {
        assert_eq!(reply.status, 403, "{}", reply.text);
        assert_eq!(reply.body["code"], "bot_protection_failed");
    };
    for token in [None, Some(""), Some("  ")] {
        refused(sign_up(&server, token).await);
        assert!(service.at_hand().is_none(), "nothing to ask about");
    }
    let answers = [
        (200, r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#),
        (200, r#"{"success":"true"}"#),
        (200, r#"{"succes":true}"#),
        (200, "true"),
        (200, "<html>"),
        (200, ""),
        (500, r#"{"success":true}"#),
        (302, r#"{"success":true}"#),
    ];
    for (status, body) in answers {
        service.answers(Answer::Says(status, body.into()));
        refused(sign_up(&server, Some("token")).await);
        service.next().await;
    }
    service.answers(Answer::Says(200, format!(r#"{{"success":true,"more":"{}"}}"#, "x".repeat(20_000))));
    refused(sign_up(&server, Some("token")).await);
    service.answers(Answer::Floods);
    refused(sign_up(&server, Some("token")).await);
    // It takes the five seconds a service has.
    service.answers(Answer::Hangs);
    refused(sign_up(&server, Some("token")).await);
    // None of them made an account.
    service.answers(passed());
    sign_up(&server, Some("token")).await.expect(201);
}

#[tokio::test]
async fn a_service_that_is_not_there_lets_nobody_pass() {
    let service = Receiver::start(passed()).await;
    let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
    closed.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let nowhere = format!("https://{}/siteverify", closed.local_addr().expect("an address"));
    let mut settings = vec![
        ("PROJECT__DEFAULT__BOT__PROVIDER", "turnstile"),
        ("PROJECT__DEFAULT__BOT__SECRET", SECRET),
        ("PROJECT__DEFAULT__BOT__SITE_KEY", "site"),
        ("PROJECT__DEFAULT__BOT__VERIFY_URL", nowhere.as_str()),
    ];
    settings.extend(service.settings());
    let server = Server::with(&settings).await;
    sign_up(&server, Some("token")).await.expect(403);
}

#[tokio::test]
async fn a_closed_project_and_wrong_fields_ask_nobody() {
    let mut service = Receiver::start(passed()).await;
    let url = service.url("/");
    let mut settings = vec![
        ("PROJECT__DEFAULT__BOT__PROVIDER", "turnstile"),
        ("PROJECT__DEFAULT__BOT__SECRET", SECRET),
        ("PROJECT__DEFAULT__BOT__SITE_KEY", "site"),
        ("PROJECT__DEFAULT__BOT__VERIFY_URL", &url),
        ("PROJECT__DEFAULT__SIGNUP__ENABLED", "false"),
    ];
    settings.extend(service.settings());
    let server = Server::with(&settings).await;
    assert_eq!(sign_up(&server, Some("token")).await.expect(403).body["code"], "signup_disabled");
    let wrong = json!({ "email": "x", "password": "correct horse", "bot_protection_token": "token" });
    Persona::anon(&server).post("/signup", &wrong).await.refused("email");
    assert!(service.at_hand().is_none());
}

#[tokio::test]
async fn a_page_learns_the_challenge_and_never_the_secret() {
    let service = Receiver::start(passed()).await;
    let server = protected(&service, "recaptcha").await;
    let settings = project(&server, "default").await.settings();
    let challenge = bot::challenge(&settings).expect("protection");
    assert_eq!((challenge.provider.name(), challenge.site_key), ("recaptcha", "0x4AAAAAAA-site"));
    assert!(!format!("{settings:?}").contains(SECRET));
    let open = Server::start().await;
    assert_eq!(bot::challenge(&project(&open, "default").await.settings()), None);
}
