//! Lockout (contract 6, design 4): by address and client, by address alone, self-ending, and exact under attack.

use std::time::Duration;

use keystead::auth::{Email, accounts};
use keystead::testing::Server;
use serde_json::json;

use crate::persona::{Persona, Reply, account, all_at_once, operator, project};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";
const WRONG: &str = "wrong horse";
const PROXY: (&str, &str) = ("LISTEN__TRUSTED_PROXIES", "127.0.0.1/32");
const MINUTE: u64 = 60;

/// Gives wrong passwords until one less than locks is left.
async fn fail(anon: &Persona, email: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(anon.sign_in(email, WRONG).await.expect(401).text, r#"{"message":"Invalid credentials."}"#);
    }
}

fn retry_after(reply: &Reply) -> u64 {
    assert_eq!(reply.status, 429, "{}", reply.text);
    assert_eq!(reply.text_at("message"), "Invalid credentials.");
    reply.body["retry_after"].as_u64().expect("seconds")
}

#[tokio::test]
async fn the_fifth_wrong_password_locks_and_the_clock_ends_it() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    fail(&anon, ADA, 5).await;
    let hashes = server.projects().shared().pool.hashes_computed();
    assert_eq!(retry_after(&anon.sign_in(ADA, WRONG).await), 15 * MINUTE);
    assert_eq!(retry_after(&anon.sign_in(ADA, PASSWORD).await), 15 * MINUTE, "also with the right password");
    assert_eq!(server.projects().shared().pool.hashes_computed(), hashes, "nothing is checked while locked");
    server.clock().advance(Duration::from_millis(14 * 60 * 1000 + 500));
    assert_eq!(retry_after(&anon.sign_in(ADA, PASSWORD).await), 60, "rounded up, and not extended by asking");
    server.clock().advance(Duration::from_millis(59_499));
    assert_eq!(retry_after(&anon.sign_in(ADA, PASSWORD).await), 1, "never 0 while it holds");
    server.clock().advance(Duration::from_millis(1));
    anon.sign_in(ADA, PASSWORD).await.expect(200);
    fail(&anon, ADA, 5).await;
    retry_after(&anon.sign_in(ADA, PASSWORD).await);
}

/// An unknown address costs the same writes: an operator finds as many counters on either address.
#[tokio::test]
async fn an_unknown_address_is_locked_just_the_same() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    anon.sign_up(ADA, PASSWORD).await;
    for times in 1..=7 {
        let known = anon.sign_in(ADA, WRONG).await;
        let unknown = anon.sign_in("nobody@example.com", WRONG).await;
        assert_eq!(known.whole(), unknown.whole(), "after {times}");
        assert_eq!(known.status, if times <= 5 { 401 } else { 429 });
    }
    let mut counters = Vec::new();
    for email in [ADA, "nobody@example.com"] {
        let email = Email::parse(email).expect("an address");
        counters.push(accounts::unlock(&default, operator(&server), email).await.expect("unlocked"));
    }
    assert_eq!(counters, [2, 2]);
    anon.sign_in(ADA, PASSWORD).await.expect(200);
    fail(&anon, "nobody@example.com", 1).await;
}

/// Case, Unicode form and spacing lead to one counter.
#[tokio::test]
async fn every_spelling_of_an_address_is_one_counter() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up("jos\u{e9}@example.com", PASSWORD).await;
    for spelling in [
        "jos\u{e9}@example.com",
        "JOS\u{c9}@EXAMPLE.com",
        " jose\u{301}@example.com",
        "\u{ff4a}os\u{e9}@example.com\t",
        "Jos\u{e9}@Example.Com",
    ] {
        fail(&anon, spelling, 1).await;
    }
    retry_after(&anon.sign_in("jos\u{e9}@example.com", PASSWORD).await);
}

#[tokio::test]
async fn success_clears_and_age_forgets() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    fail(&anon, ADA, 4).await;
    anon.sign_in(ADA, PASSWORD).await.expect(200);
    fail(&anon, ADA, 4).await;
    // One more would lock; the window is 15 minutes from each failure.
    server.clock().advance(Duration::from_secs(15 * MINUTE));
    fail(&anon, ADA, 4).await;
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn failures_age_one_by_one() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    for _ in 0..5 {
        fail(&anon, ADA, 1).await;
        server.clock().advance(Duration::from_secs(4 * MINUTE));
    }
    // Never five within 15 minutes.
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn what_was_not_a_try_does_not_count() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    for _ in 0..6 {
        anon.sign_in(ADA, "").await.expect(422);
        anon.sign_in(ADA, &"x".repeat(256)).await.expect(422);
    }
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn the_numbers_are_the_projects_choice() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__LOCKOUT__FAILURES", "2"),
        ("PROJECT__DEFAULT__LOCKOUT__WINDOW", "10s"),
        ("PROJECT__DEFAULT__LOCKOUT__DURATION", "30s"),
    ])
    .await;
    let anon = Persona::anon(&server);
    fail(&anon, ADA, 1).await;
    server.clock().advance(Duration::from_secs(10));
    fail(&anon, ADA, 2).await;
    assert_eq!(retry_after(&anon.sign_in(ADA, WRONG).await), 30);
    server.clock().advance(Duration::from_secs(30));
    fail(&anon, ADA, 2).await;
}

#[tokio::test]
async fn another_client_is_not_locked_out_with_the_attacker() {
    let server = Server::with(&[PROXY]).await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    let (eve, home) = (anon.forwarded_for("203.0.113.7"), anon.forwarded_for("198.51.100.2"));
    fail(&eve, ADA, 5).await;
    retry_after(&eve.sign_in(ADA, PASSWORD).await);
    // Hops that the trusted proxy did not write itself convince nobody.
    retry_after(&anon.forwarded_for("198.51.100.2, 203.0.113.7").sign_in(ADA, PASSWORD).await);
    home.sign_in(ADA, PASSWORD).await.expect(200);
    retry_after(&eve.sign_in(ADA, PASSWORD).await);
    // Another address from the same client is another counter.
    fail(&eve, "bob@example.com", 1).await;
}

#[tokio::test]
async fn an_ipv6_client_is_its_64() {
    let server = Server::with(&[PROXY]).await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    for host in 1..=5 {
        fail(&anon.forwarded_for(&format!("2001:db8:0:1::{host}")), ADA, 1).await;
    }
    retry_after(&anon.forwarded_for("2001:db8:0:1:ffff::1").sign_in(ADA, PASSWORD).await);
    anon.forwarded_for("2001:db8:0:2::1").sign_in(ADA, PASSWORD).await.expect(200);
}

/// The client's address comes from the socket unless a configured proxy says otherwise.
#[tokio::test]
async fn a_forwarded_address_counts_only_from_a_configured_proxy() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    for host in 1..=5 {
        fail(&anon.forwarded_for(&format!("203.0.113.{host}")), ADA, 1).await;
    }
    retry_after(&anon.forwarded_for("203.0.113.99").sign_in(ADA, PASSWORD).await);
    let forwarded = anon.with_header("forwarded", "for=203.0.113.98");
    retry_after(&forwarded.sign_in(ADA, PASSWORD).await);
}

#[tokio::test]
async fn many_clients_together_lock_the_address_for_all() {
    let server = Server::with(&[PROXY, ("PROJECT__DEFAULT__LOCKOUT__ACCOUNT_FAILURES", "12")]).await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    for client in 1..=3 {
        fail(&anon.forwarded_for(&format!("203.0.113.{client}")), ADA, 4).await;
    }
    let home = anon.forwarded_for("198.51.100.2");
    assert_eq!(retry_after(&home.sign_in(ADA, PASSWORD).await), 15 * MINUTE);
    server.clock().advance(Duration::from_secs(15 * MINUTE));
    home.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn by_default_a_hundred_failures_from_anywhere_are_the_most() {
    let server = Server::with(&[PROXY]).await;
    let anon = Persona::anon(&server);
    anon.sign_up(ADA, PASSWORD).await;
    let before = server.projects().shared().pool.hashes_computed();
    let replies = all_at_once((0..130).map(|client| {
        let eve = anon.forwarded_for(&format!("203.0.113.{client}"));
        async move { eve.sign_in(ADA, WRONG).await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 401).count(), 100);
    assert_eq!(replies.iter().filter(|status| **status == 429).count(), 30);
    assert_eq!(server.projects().shared().pool.hashes_computed() - before, 100);
    retry_after(&anon.forwarded_for("198.51.100.2").sign_in(ADA, PASSWORD).await);
}

#[tokio::test]
async fn five_hundred_wrong_passwords_at_once_cost_five_hashes() {
    for email in [ADA, "nobody@example.com"] {
        let server = Server::start().await;
        let anon = Persona::anon(&server);
        anon.sign_up(ADA, PASSWORD).await;
        let before = server.projects().shared().pool.hashes_computed();
        let replies = all_at_once((0..500).map(|_| {
            let anon = anon.clone();
            async move { anon.sign_in(email, WRONG).await.status.as_u16() }
        }))
        .await;
        assert_eq!(replies.iter().filter(|status| **status == 401).count(), 5);
        assert_eq!(replies.iter().filter(|status| **status == 429).count(), 495);
        assert_eq!(server.projects().shared().pool.hashes_computed() - before, 5);
    }
}

#[tokio::test]
async fn a_wrong_current_password_counts_like_a_wrong_sign_in() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up(ADA, PASSWORD).await;
    let change = async |current: &str| {
        ada.post("/change-password", &json!({ "current_password": current, "new_password": "battery staple" })).await
    };
    fail(&anon, ADA, 2).await;
    for _ in 0..3 {
        assert_eq!(change(WRONG).await.refused("current_password"), "The current password is incorrect.");
    }
    assert_eq!(retry_after(&change(PASSWORD).await), 15 * MINUTE);
    retry_after(&anon.sign_in(ADA, PASSWORD).await);
    ada.get("/me").await.expect(200);
    server.clock().advance(Duration::from_secs(15 * MINUTE));
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_operator_unlocks_every_client_of_an_address() {
    let server = Server::with(&[PROXY, ("PROJECT__DEFAULT__LOCKOUT__ACCOUNT_FAILURES", "10")]).await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    anon.sign_up(ADA, PASSWORD).await;
    let clients = [anon.forwarded_for("203.0.113.7"), anon.forwarded_for("203.0.113.8")];
    for client in &clients {
        fail(client, ADA, 5).await;
        retry_after(&client.sign_in(ADA, PASSWORD).await);
    }
    let email = Email::parse("ADA@example.com").expect("an address");
    assert_eq!(accounts::unlock(&default, operator(&server), email.clone()).await.expect("unlocked"), 3);
    for client in &clients {
        client.sign_in(ADA, PASSWORD).await.expect(200);
    }
    assert_eq!(accounts::unlock(&default, operator(&server), email).await.expect("nothing to unlock"), 0);
}

#[tokio::test]
async fn a_lock_outlives_the_account_and_a_disabled_account_is_counted_too() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let default = project(&server, "default").await;
    anon.sign_up(ADA, PASSWORD).await;
    accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    for _ in 0..5 {
        anon.sign_in(ADA, PASSWORD).await.expect(401);
    }
    retry_after(&anon.sign_in(ADA, PASSWORD).await);
    accounts::delete(&default, operator(&server), account(ADA)).await.expect("deleted");
    retry_after(&anon.sign_in(ADA, PASSWORD).await);
}
