//! Six digits (contract 1.3): typed once, guessed at five times an hour, and an unknown address is like any other.

use std::sync::Arc;
use std::time::Duration;

use keystead::auth::accounts;
use keystead::testing::Server;
use serde_json::json;

use super::{ADA, BOB, OTHER, PASSWORD, anon, as_user, ask, header, newcomer, refused, server, sign_in};
use crate::persona::{Persona, Reply, account, all_at_once, operator, project};

const EVE: &str = "eve@example.com";
/// So that guesses at codes are told from the lock.
const PATIENT: (&str, &str) = ("PROJECT__DEFAULT__LOCKOUT__FAILURES", "100");
const BEHIND_PROXY: (&str, &str) = ("LISTEN__TRUSTED_PROXIES", "127.0.0.1/32");

async fn digits(server: &Server, email: &str) -> String {
    ask(&anon(server), "/signin/otp/email", &json!({ "email": email })).await;
    let mail = server.mailbox().next_to(email).await;
    assert_eq!((header(&mail, "X-Email-Template"), header(&mail, "X-Link")), ("signin-otp", ""));
    let code = mail.code.clone().expect("a code");
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    assert_eq!(header(&mail, "X-Ticket"), code);
    code
}

async fn typed(who: &Persona, email: &str, otp: &str) -> Reply {
    who.post("/signin/otp/email/verify", &json!({ "email": email, "otp": otp })).await
}

/// Other digits.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().expect("digits") + 1) % 1_000_000)
}

fn hashes(server: &Server) -> u64 {
    server.projects().shared().pool.hashes_computed()
}

#[tokio::test]
async fn they_sign_in_once_and_prove_the_address() {
    let server = server(&[]).await;
    let nobody = anon(&server);
    let code = digits(&server, ADA).await;
    let reply = typed(&nobody, "ADA@example.com", &code).await.expect(200);
    assert_eq!(reply.body["session"]["user"]["emailVerified"], true);
    as_user(&nobody, &reply).get("/user").await.expect(200);
    assert_eq!(refused(&typed(&nobody, ADA, &code).await), (400, "invalid-otp"));
    // The second takes the place of the first; both are gone after an hour.
    let (first, second) = (digits(&server, ADA).await, digits(&server, ADA).await);
    if first != second {
        assert_eq!(refused(&typed(&nobody, ADA, &first).await), (400, "invalid-otp"));
    }
    typed(&nobody, ADA, &second).await.expect(200);
    let late = digits(&server, ADA).await;
    server.clock().advance(Duration::from_secs(3600));
    assert_eq!(refused(&typed(&nobody, ADA, &late).await), (400, "invalid-otp"));
}

#[tokio::test]
async fn typed_by_many_at_once_they_work_once() {
    let server = server(&[]).await;
    let code = digits(&server, ADA).await;
    let nobody = anon(&server);
    let replies = all_at_once((0..64).map(|_| {
        let (nobody, code) = (nobody.clone(), code.clone());
        async move { typed(&nobody, ADA, &code).await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 200).count(), 1, "{replies:?}");
    assert!(replies.iter().all(|status| [200, 400, 429].contains(status)), "{replies:?}");
}

#[tokio::test]
async fn five_guesses_an_hour_whatever_is_sent_meanwhile() {
    let server = server(&[PATIENT]).await;
    let nobody = anon(&server);
    let code = digits(&server, ADA).await;
    for email in [ADA, EVE] {
        for _ in 0..5 {
            assert_eq!(refused(&typed(&nobody, email, &wrong(&code)).await), (400, "invalid-otp"));
        }
        let before = hashes(&server);
        assert_eq!(refused(&typed(&nobody, email, &code).await), (400, "otp-too-many-attempts"), "{email}");
        assert_eq!(hashes(&server), before, "not looked at");
    }
    let next = digits(&server, ADA).await;
    assert_eq!(refused(&typed(&nobody, ADA, &next).await), (400, "otp-too-many-attempts"));
    // An operator may forgive them, and time does.
    let default = project(&server, "default").await;
    accounts::unlock(&default, operator(&server), keystead::auth::Email::parse(ADA).expect("an address"))
        .await
        .expect("unlocked");
    typed(&nobody, ADA, &next).await.expect(200);
    for _ in 0..5 {
        assert_eq!(refused(&typed(&nobody, ADA, "000000").await), (400, "invalid-otp"));
    }
    server.clock().advance(Duration::from_secs(3600));
    let code = digits(&server, ADA).await;
    for _ in 0..4 {
        assert_eq!(refused(&typed(&nobody, ADA, &wrong(&code)).await), (400, "invalid-otp"));
    }
    typed(&nobody, ADA, &code).await.expect(200);
    let code = digits(&server, ADA).await;
    for _ in 0..4 {
        assert_eq!(refused(&typed(&nobody, ADA, &wrong(&code)).await), (400, "invalid-otp"), "success forgets");
    }
    typed(&nobody, ADA, &code).await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_a_code_is_no_guess() {
    let server = server(&[]).await;
    let nobody = anon(&server);
    let code = digits(&server, ADA).await;
    let before = hashes(&server);
    for text in ["", "12345", "1234567", "abcdef", "verifyEmail:x"] {
        assert_eq!(refused(&typed(&nobody, ADA, text).await), (400, "invalid-otp"));
    }
    assert_eq!(hashes(&server), before);
    typed(&nobody, ADA, &code).await.expect(200);
}

/// From one client and from many: no more are looked at than the limits allow.
#[tokio::test]
async fn five_hundred_guesses_at_once_cost_five_hashes() {
    let server = Arc::new(server(&[BEHIND_PROXY, PATIENT]).await);
    for (email, many) in [(ADA, false), (BOB, true), (EVE, true)] {
        if email != EVE {
            digits(&server, email).await;
        }
        let (before, nobody) = (hashes(&server), anon(&server));
        let replies = all_at_once((0..500).map(|n| {
            let from = if many { format!("2001:db8:{n:x}::1") } else { "203.0.113.7".to_owned() };
            let who = nobody.forwarded_for(&from);
            let email = email.to_owned();
            async move { typed(&who, &email, "x00000".replace('x', "7").as_str()).await }
        }))
        .await;
        let said = |code: &str| replies.iter().filter(|reply| reply.body["error"] == code).count();
        assert_eq!((said("invalid-otp"), said("otp-too-many-attempts")), (5, 495), "{email}");
        assert_eq!(hashes(&server) - before, 5, "{email}");
    }
}

/// The lock is one for all ways to sign in, in every dialect.
#[tokio::test]
async fn wrong_digits_lock_like_wrong_passwords() {
    let server = server(&[]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    let code = digits(&server, ADA).await;
    for _ in 0..3 {
        assert_eq!(refused(&typed(&nobody, ADA, &wrong(&code)).await), (400, "invalid-otp"));
    }
    for _ in 0..2 {
        sign_in(&nobody, ADA, OTHER).await.expect(401);
    }
    let locked = typed(&nobody, ADA, &code).await;
    assert_eq!((locked.status.as_u16(), &locked.headers["retry-after"]), (429, &"900".parse().expect("text")));
    sign_in(&nobody, ADA, PASSWORD).await.expect(429);
    nobody.speaking_noma().sign_in(ADA, PASSWORD).await.expect(429);
    server.clock().advance(Duration::from_secs(900));
    typed(&nobody, ADA, &code).await.expect(200);
}

#[tokio::test]
async fn an_address_without_account_or_code_costs_the_same_hash() {
    let server = server(&[("PROJECT__DEFAULT__SIGNUP__AUTO", "false")]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    let count = async |email: &str| {
        let before = hashes(&server);
        nobody.post("/signin/otp/email", &json!({ "email": email })).await.expect(200);
        let asked = hashes(&server) - before;
        let reply = typed(&nobody, email, "700000").await;
        (asked, hashes(&server) - before, reply)
    };
    let (known, unknown) = (count(ADA).await, count(EVE).await);
    assert_eq!((known.0, known.1), (1, 2));
    assert_eq!((known.0, known.1, known.2.whole()), (unknown.0, unknown.1, unknown.2.whole()));
    // Nor does a code that was never asked for.
    newcomer(&server, BOB).await;
    let before = hashes(&server);
    assert_eq!(refused(&typed(&nobody, BOB, "700000").await), (400, "invalid-otp"));
    assert_eq!(hashes(&server) - before, 1);
}

#[tokio::test]
async fn digits_die_with_what_their_account_may() {
    let server = server(&[]).await;
    let (nobody, default) = (anon(&server), project(&server, "default").await);
    let code = digits(&server, ADA).await;
    accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    assert_eq!(refused(&typed(&nobody, ADA, &code).await), (400, "invalid-otp"));
    assert_eq!(refused(&nobody.post("/signin/otp/email", &json!({ "email": ADA })).await), (401, "disabled-user"));
    accounts::enable(&default, operator(&server), account(ADA)).await.expect("enabled");
    assert_eq!(refused(&typed(&nobody, ADA, &code).await), (400, "invalid-otp"), "withdrawn");
    let code = digits(&server, ADA).await;
    accounts::delete(&default, operator(&server), account(ADA)).await.expect("deleted");
    assert_eq!(refused(&typed(&nobody, ADA, &code).await), (400, "invalid-otp"));
    newcomer(&server, ADA).await;
    assert_eq!(refused(&typed(&nobody, ADA, &code).await), (400, "invalid-otp"), "another account");
}
