//! Limits (contract 3.4): sliding windows by the clock, kinds of paths, and an answer with nothing in it.

use std::time::Duration;

use keystead::testing::Server;
use serde_json::json;

use super::anon;
use crate::persona::{Persona, Reply, now};

/// Moves the clock to the begin of a window of so many seconds.
fn to_a_begin(server: &Server, window: u64) {
    let window = window * 1000;
    server.clock().advance(Duration::from_millis(window - now(server).millis() % window));
}

async fn is_refused(reply: impl Future<Output = Reply>) -> bool {
    let reply = reply.await;
    if reply.status == 429 {
        assert_eq!(reply.text, "", "nothing in it");
    }
    reply.status == 429
}

/// Posts nothing that anybody would want: the path alone counts.
async fn refuses(caller: &Persona, path: &str) -> bool {
    is_refused(caller.post(path, &json!({}))).await
}

#[tokio::test]
async fn all_requests_together_slide_by() {
    let server = Server::with(&[("PROJECT__DEFAULT__NHOST__LIMITS__GLOBAL", "4/1m")]).await;
    let anon = anon(&server);
    to_a_begin(&server, 60);
    server.clock().advance(Duration::from_secs(30));
    anon.get("/version").await.expect(200);
    anon.get("/healthz").await.expect(200);
    anon.get("/unknown").await.expect(404);
    anon.post("/signin/email-password", &json!({})).await.expect(400);
    let reply = anon.get("/version").await.expect(429);
    assert_eq!((reply.text.as_str(), &reply.headers["retry-after"]), ("", &"31".parse().expect("a header")));
    // Of another API nothing was counted.
    Persona::anon(&server).get("/me").await.expect(401);
    // A quarter into the next window three of the four count: the share is rounded down.
    server.clock().advance(Duration::from_secs(45));
    anon.get("/version").await.expect(200);
    let retry = anon.get("/version").await.expect(429).headers["retry-after"].to_str().expect("text").to_owned();
    server.clock().advance(Duration::from_secs(retry.parse().expect("seconds")));
    anon.get("/version").await.expect(200);
}

#[tokio::test]
async fn nothing_is_limited_unless_it_is_said() {
    let server = Server::start().await;
    let anon = anon(&server);
    for _ in 0..120 {
        assert!(!refuses(&anon, "/signin/email-password").await);
    }
}

#[tokio::test]
async fn signing_in_and_signing_up_are_counted_apart() {
    let limits = [
        ("PROJECT__DEFAULT__NHOST__LIMITS__BRUTE_FORCE", "2/5m"),
        ("PROJECT__DEFAULT__NHOST__LIMITS__SIGNUPS", "2/5m"),
    ];
    let server = Server::with(&limits).await;
    let anon = anon(&server);
    to_a_begin(&server, 300);
    for path in ["/signin/email-password", "/token/verify"] {
        assert!(!refuses(&anon, path).await, "{path}");
    }
    for path in
        ["/signin/email-password", "/signin/pat", "/signin/otp/email/verify", "/token/verify", "/signin/anonymous"]
    {
        assert!(refuses(&anon, path).await, "{path}");
    }
    for path in ["/signup/email-password", "/signup/otp/email"] {
        assert!(!refuses(&anon, path).await, "{path}");
    }
    assert!(refuses(&anon, "/signup/email-password").await);
    for path in ["/token", "/signout", "/user/password/reset"] {
        assert!(!refuses(&anon, path).await, "{path}");
    }
    assert!(!is_refused(anon.get("/user")).await);
}

#[tokio::test]
async fn a_count_is_one_client_s_or_everybody_s() {
    for (shared, third) in [("false", false), ("true", true)] {
        let limits = [
            ("LISTEN__TRUSTED_PROXIES", "127.0.0.1"),
            ("PROJECT__DEFAULT__NHOST__LIMITS__EMAIL", "2/1h"),
            ("PROJECT__DEFAULT__NHOST__LIMITS__EMAIL_IS_GLOBAL", shared),
            ("PROJECT__DEFAULT__NHOST__LIMITS__SIGNUPS", "1/5m"),
        ];
        let server = Server::with(&limits).await;
        let from = |address| anon(&server).forwarded_for(address);
        to_a_begin(&server, 3600);
        assert!(!refuses(&from("192.0.2.1"), "/user/password/reset").await);
        assert!(!refuses(&from("192.0.2.2"), "/signin/passwordless/email").await);
        assert_eq!(refuses(&from("192.0.2.3"), "/user/email/change").await, third, "{shared}");
        // Without a proof that is asked for, a sign-up sends no mail.
        assert!(!refuses(&from("192.0.2.3"), "/signup/email-password").await, "{shared}");
        assert!(refuses(&from("192.0.2.3"), "/signup/email-password").await, "of others it is not shared");
        assert!(!refuses(&from("192.0.2.4"), "/signup/email-password").await, "of others it is not shared");
    }
}

#[tokio::test]
async fn where_addresses_must_be_proved_a_sign_up_sends_a_mail() {
    let limits =
        [("PROJECT__DEFAULT__VERIFICATION__MODE", "strict"), ("PROJECT__DEFAULT__NHOST__LIMITS__EMAIL", "2/1h")];
    let server = Server::with(&limits).await;
    let anon = anon(&server);
    to_a_begin(&server, 3600);
    assert!(!refuses(&anon, "/signup/email-password").await);
    assert!(!refuses(&anon, "/user/email/send-verification-email").await);
    assert!(refuses(&anon, "/user/deanonymize").await);
    assert!(!refuses(&anon, "/signin/email-password").await);
}

/// A refusal is readable by the page that meets it.
#[tokio::test]
async fn a_page_may_read_that_it_was_refused() {
    let server = Server::with(&[("PROJECT__DEFAULT__NHOST__LIMITS__GLOBAL", "1/1m")]).await;
    let page = anon(&server).with_header("origin", "https://app.example.com");
    to_a_begin(&server, 60);
    page.get("/version").await.expect(200);
    let refused = page.get("/version").await.expect(429);
    assert_eq!(refused.headers["access-control-allow-origin"], "https://app.example.com");
    assert!(refused.headers["access-control-expose-headers"].to_str().expect("text").contains("retry-after"));
}
