//! The log line of a failed sign-in: one for each, to the byte as it is documented, since programs that ban read it.

use serde_json::{Value, json};

use super::client::{anon, anon_from};
use super::process::{Binary, Place};
use crate::persona::Persona;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "right password of ada";
const OTHER: &str = "127.0.0.2";

/// The moment at the beginning of a line, such as `2026-11-25T10:15:00.123456Z`.
const MOMENT: usize = 27;

/// Every way to fail, from two addresses; what the line says of each: address, reason and request.
async fn fail(server: &Binary, place: &Place) -> Vec<[String; 3]> {
    let mut expected = Vec::new();
    let mut tried = |from: &str, reason: &str, reply: &crate::persona::Reply| {
        let request = reply.headers["x-request-id"].to_str().expect("text").to_owned();
        expected.push([from.to_owned(), reason.to_owned(), request]);
    };
    let (home, away) = (anon(server), anon_from(server, OTHER));
    let (ada, _) = home.sign_up(ADA, PASSWORD).await;
    tried("127.0.0.1", "credentials", &home.sign_in(ADA, "wrong password").await.expect(401));
    tried(OTHER, "credentials", &away.sign_in("nobody@example.com", "wrong password").await.expect(401));
    let change = json!({ "current_password": "wrong password", "new_password": "never set password" });
    tried("127.0.0.1", "credentials", &ada.post("/change-password", &change).await.expect(422));
    tried("127.0.0.1", "locked", &home.sign_in(ADA, PASSWORD).await.expect(429));
    tried("127.0.0.1", "locked", &ada.post("/change-password", &change).await.expect(429));
    assert_eq!(place.run(&["user", "disable", ADA]).code, Some(0));
    tried(OTHER, "disabled", &away.sign_in(ADA, PASSWORD).await.expect(401));
    // No failure of a sign-in: a malformed one, a token that is none, a success.
    away.post("/login", &json!({ "email": ADA })).await.expect(422);
    away.with_token("v4.public.none").get("/me").await.expect(401);
    away.sign_up("grace@example.com", PASSWORD).await;
    away.signed_in("grace@example.com", PASSWORD).await;
    expected
}

fn place() -> Place {
    Place::new().set("PROJECT__DEFAULT__LOCKOUT__FAILURES", "2")
}

#[tokio::test]
async fn the_text_is_what_is_documented_to_the_byte() {
    let place = place();
    let server = place.start();
    let expected = fail(&server, &place).await;
    let ended = server.stop();
    let lines: Vec<_> = ended.err.lines().filter(|line| line.contains("sign-in failed")).collect();
    let documented = expected.iter().map(|[client, reason, request]| {
        format!(
            "  INFO keystead::sign_in: sign-in failed client={client} project=default reason={reason} request={request}"
        )
    });
    assert_eq!(lines.iter().map(|line| &line[MOMENT..]).collect::<Vec<_>>(), documented.collect::<Vec<_>>());
    for line in lines {
        let shape: String = line[..MOMENT].chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(shape, "9999-99-99T99:99:99.999999Z");
    }
}

#[tokio::test]
async fn the_json_is_what_is_documented_to_the_byte() {
    let place = place().set("LOG__FORMAT", "json");
    let server = place.start();
    let expected = fail(&server, &place).await;
    let ended = server.stop();
    let lines: Vec<_> = ended.err.lines().filter(|line| line.contains("sign-in failed")).collect();
    let before = "{\"timestamp\":\"".len();
    let documented = expected.iter().map(|[client, reason, request]| {
        format!(
            "\",\"level\":\"INFO\",\"fields\":{{\"message\":\"sign-in failed\",\"client\":\"{client}\",\
             \"project\":\"default\",\"reason\":\"{reason}\",\"request\":\"{request}\"}},\"target\":\"keystead::sign_in\"}}"
        )
    });
    assert_eq!(lines.iter().map(|line| &line[before + MOMENT..]).collect::<Vec<_>>(), documented.collect::<Vec<_>>());
    for line in lines {
        serde_json::from_str::<Value>(line).expect("JSON");
    }
}

/// The address is the one that a trusted proxy vouches for, never one that a stranger claims.
#[tokio::test]
async fn only_a_trusted_proxy_says_whose_the_failure_is() {
    for (proxies, client) in [("127.0.0.1/32", "203.0.113.7"), ("10.0.0.0/8", "127.0.0.1")] {
        let place = Place::new().set("LISTEN__TRUSTED_PROXIES", proxies);
        let server = place.start();
        let forwarded: Persona = anon(&server).forwarded_for("198.51.100.9, 203.0.113.7");
        forwarded.sign_in("nobody@example.com", "wrong password").await.expect(401);
        let said = server.stop().err;
        assert!(said.contains(&format!(" sign-in failed client={client} project=default ")), "{said}");
        assert!(!said.contains("198.51.100.9"), "{said}");
    }
}
