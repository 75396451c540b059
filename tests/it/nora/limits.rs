//! Limits (contract 5): fixed windows by the clock, their headers, their order, and what a restart forgets.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use keystead::config::{self, Overrides};
use keystead::testing::Server;
use serde_json::json;

use super::{ADA, PASSWORD, anon, newcomer};
use crate::persona::{Persona, Reply};

const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

/// `policy remaining reset [retry-after]`
fn shown(reply: &Reply) -> String {
    let header = |name| reply.headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    let all = ["ratelimit-policy", "ratelimit-remaining", "ratelimit-reset", "retry-after"];
    assert!(!reply.headers.contains_key("x-ratelimit-limit"));
    all.into_iter().filter_map(header).collect::<Vec<_>>().join(" ")
}

async fn sign_up(anon: &Persona, number: usize) -> Reply {
    anon.post("/signup", &json!({ "email": format!("u{number}@example.com"), "password": PASSWORD })).await
}

/// The last limiter that was passed is shown.
#[tokio::test]
async fn every_answer_says_where_the_client_stands() {
    let server = Server::start().await;
    let anon = anon(&server);
    assert_eq!(shown(&anon.get("/bootstrap-status").await.expect(200)), "1000;w=900 999 900");
    assert_eq!(shown(&anon.get("/unknown").await.expect(404)), "1000;w=900 998 900");
    server.clock().advance(Duration::from_millis(1500));
    assert_eq!(shown(&anon.post_nothing("/logout").await.expect(200)), "60;w=60 59 60");
    assert_eq!(shown(&sign_up(&anon, 1).await.expect(200)), "20;w=86400 19 86400");
    assert_eq!(shown(&anon.post("/signup", &json!({})).await.expect(400)), "20;w=86400 18 86400", "what fails counts");
    assert_eq!(shown(&anon.sign_in(ADA, PASSWORD).await.expect(401)), "20;w=900 19 900");
    assert_eq!(shown(&anon.get("/me").await.expect(401)), "1000;w=900 993 899", "rounded up");
}

#[tokio::test]
async fn the_sixth_sign_up_in_ten_minutes_is_one_too_many() {
    let server = Server::start().await;
    let anon = anon(&server);
    for number in 1..=5 {
        sign_up(&anon, number).await.expect(200);
    }
    server.clock().advance(Duration::from_secs(4 * MINUTE));
    let reply = sign_up(&anon, 6).await.expect(429);
    assert_eq!(reply.text, r#"{"error":"Too many signup attempts, please try again later"}"#);
    assert_eq!(shown(&reply), "5;w=600 0 360 360");
    server.clock().advance(Duration::from_secs(6 * MINUTE));
    // The refused one did not reach, and so did not count for, the day.
    assert_eq!(shown(&sign_up(&anon, 6).await.expect(200)), "20;w=86400 14 85800");
}

#[tokio::test]
async fn the_twenty_first_sign_in_in_a_quarter_of_an_hour_is_one_too_many() {
    let server = Server::start().await;
    let anon = anon(&server);
    newcomer(&anon, ADA).await; // the first
    for _ in 2..=20 {
        anon.sign_in(ADA, PASSWORD).await.expect(200);
    }
    let reply = anon.sign_in(ADA, PASSWORD).await.expect(429);
    assert_eq!(reply.text, r#"{"error":"Too many attempts, please try again later"}"#);
    assert_eq!(shown(&reply), "20;w=900 0 900 900");
    anon.post("/oauth-login", &json!({})).await.expect(429);
    server.clock().advance(Duration::from_secs(15 * MINUTE));
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn changes_and_requests_have_their_own_limits() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__NORA__LIMITS__MUTATION", "2/10s"),
        ("PROJECT__DEFAULT__NORA__LIMITS__GLOBAL", "5/1m"),
    ])
    .await;
    let anon = anon(&server);
    for _ in 0..2 {
        anon.post_nothing("/logout").await.expect(200);
    }
    let reply = anon.post_nothing("/logout").await.expect(429);
    assert_eq!(reply.text, r#"{"error":"Too many requests, please slow down"}"#);
    assert_eq!(shown(&reply), "2;w=10 0 10 10");
    for _ in 0..2 {
        anon.get("/bootstrap-status").await.expect(200);
    }
    let reply = anon.get("/bootstrap-status").await.expect(429);
    assert_eq!(reply.text, r#"{"error":"Too many requests, please try again later."}"#);
    assert_eq!(shown(&reply), "5;w=60 0 60 60");
    // A window ends as a whole.
    server.clock().advance(Duration::from_secs(60));
    assert_eq!(shown(&anon.get("/bootstrap-status").await.expect(200)), "5;w=60 4 60");
}

#[tokio::test]
async fn clients_are_counted_apart_and_an_ipv6_client_is_its_64() {
    let server = Server::with(&[
        ("LISTEN__TRUSTED_PROXIES", "127.0.0.1/32"),
        ("PROJECT__DEFAULT__NORA__LIMITS__GLOBAL", "2/1m"),
    ])
    .await;
    let from = |address| anon(&server).forwarded_for(address);
    for host in ["2001:db8:0:1::1", "2001:db8:0:1::2"] {
        from(host).get("/bootstrap-status").await.expect(200);
    }
    from("2001:db8:0:1:ffff::3").get("/bootstrap-status").await.expect(429);
    for other in ["2001:db8:0:2::1", "203.0.113.7", "203.0.113.8"] {
        from(other).get("/bootstrap-status").await.expect(200);
    }
}

#[tokio::test]
async fn a_limit_can_be_switched_off() {
    let off = ["GLOBAL", "MUTATION", "LOGIN", "SIGNUP_BURST", "SIGNUP_DAILY"]
        .map(|name| (format!("PROJECT__DEFAULT__NORA__LIMITS__{name}"), "off"));
    let settings: Vec<_> = off.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let server = Server::with(&settings).await;
    for number in 0..30 {
        assert_eq!(shown(&sign_up(&anon(&server), number).await.expect(200)), "");
    }
}

/// A clock that ran ahead and was set right keeps nobody out until its time comes.
#[tokio::test]
async fn windows_of_a_clock_that_was_set_right_count_for_nothing() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "1/10m"),
        ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_DAILY", "1/1d"),
    ])
    .await;
    let anon = anon(&server);
    server.clock().advance(Duration::from_secs(30 * DAY));
    sign_up(&anon, 1).await.expect(200);
    server.clock().step_back(Duration::from_secs(MINUTE));
    sign_up(&anon, 2).await.expect(429);
    server.clock().step_back(Duration::from_secs(20 * DAY));
    assert_eq!(shown(&sign_up(&anon, 2).await.expect(200)), "1;w=86400 0 86400");
    sign_up(&anon, 3).await.expect(429);
}

async fn server_in(dir: &Path) -> Server {
    let environment: BTreeMap<String, String> = [
        ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:0"),
        // The certificates of a data directory are of the test clock's time, which a client does not go by.
        ("KEYSTEAD_TLS__MODE", "off"),
        ("KEYSTEAD_HASHING__MEMORY_KIB", "8"),
        ("KEYSTEAD_HASHING__ITERATIONS", "1"),
        ("KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "2/10m"),
        ("KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_DAILY", "3/1d"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let overrides = Overrides { data_dir: Some(dir.to_owned()), ..Overrides::default() };
    Server::run(config::load(&overrides, &environment).expect("good settings")).await
}

/// The day is longer than a server may run; ten minutes are not.
#[tokio::test]
async fn a_restart_forgets_the_burst_and_keeps_the_day() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server_in(dir.path()).await;
    for number in 0..2 {
        sign_up(&anon(&server), number).await.expect(200);
    }
    sign_up(&anon(&server), 2).await.expect(429);
    server.stop().await;
    let server = server_in(dir.path()).await;
    assert_eq!(shown(&sign_up(&anon(&server), 2).await.expect(200)), "3;w=86400 0 86400");
    let reply = sign_up(&anon(&server), 3).await.expect(429);
    assert_eq!(shown(&reply), "3;w=86400 0 86400 86400");
    server.clock().advance(Duration::from_secs(DAY));
    sign_up(&anon(&server), 3).await.expect(200);
    server.stop().await;
}

/// NomaCMS's general limit is the same facility, spelled its own way; off unless set.
#[tokio::test]
async fn the_general_limit_of_the_other_api() {
    let server = Server::with(&[("PROJECT__DEFAULT__NOMA__LIMIT", "2/1m")]).await;
    let noma = Persona::anon(&server);
    for left in [1, 0] {
        let reply = noma.get("/me").await.expect(401);
        assert_eq!(
            (&reply.headers["x-ratelimit-limit"], &reply.headers["x-ratelimit-remaining"]),
            (&"2".parse().expect("text"), &left.to_string().parse().expect("text"))
        );
    }
    let reply = noma.get("/me").await.expect(429);
    assert_eq!(reply.text, r#"{"message":"Too Many Attempts."}"#);
    assert_eq!(reply.headers["retry-after"], "60");
    let server = Server::start().await;
    assert!(!Persona::anon(&server).get("/me").await.headers.contains_key("x-ratelimit-limit"));
}
