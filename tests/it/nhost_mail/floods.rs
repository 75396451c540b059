//! A stranger who has mails sent to another's address, on and on: how many there are, and that its owner still gets one.

use std::time::Duration;

use serde_json::json;

use super::{ADA, BOB, CONCEAL, anon, newcomer, server};
use crate::persona::{Persona, now};

/// Every way to ask for a mail as a stranger.
const WAYS: [&str; 4] =
    ["/signin/passwordless/email", "/signin/otp/email", "/user/password/reset", "/user/email/send-verification-email"];

/// Asks for mails to an address until none more is sent; how many were asked for, at most `most`.
async fn flood(who: &Persona, email: &str, most: usize) -> usize {
    for count in 0..most {
        let reply = who.post(WAYS[count % WAYS.len()], &json!({ "email": email })).await;
        if reply.status == 429 {
            assert_eq!(reply.text, "", "nothing in it");
            return count;
        }
        reply.expect(200);
    }
    most
}

#[tokio::test]
async fn a_flood_ends_and_its_owner_still_gets_a_mail() {
    let server = server(&[CONCEAL, ("LISTEN__TRUSTED_PROXIES", "127.0.0.1")]).await;
    newcomer(&server, ADA).await;
    // Windows begin at multiples of their length.
    let hour = 3_600_000;
    server.clock().advance(Duration::from_millis(hour - now(&server).millis() % hour));
    let nobody = anon(&server);
    let stranger = nobody.forwarded_for("203.0.113.1");
    // Known or not, in whatever case.
    assert_eq!(flood(&stranger, ADA, 20).await, 10);
    assert_eq!(flood(&stranger, "ADA@Example.com", 20).await, 0);
    assert_eq!(flood(&stranger, "nobody@example.com", 20).await, 10);
    // Its owner comes from elsewhere.
    let owner = nobody.forwarded_for("203.0.113.2");
    assert_eq!(flood(&owner, ADA, 3).await, 3);
    // Many strangers get as far as this.
    let mut sent = 13;
    for last in 3..20 {
        sent += flood(&nobody.forwarded_for(&format!("203.0.113.{last}")), ADA, 20).await;
    }
    assert_eq!(sent, 60);
    assert_eq!(flood(&stranger, BOB, 1).await, 1, "other addresses are not concerned");
    server.clock().advance(Duration::from_secs(2 * 3600));
    assert_eq!(flood(&stranger, ADA, 20).await, 10);
}
