//! With a challenge the link brings a code, and only who has its verifier gets the session (RFC 7636).

use std::sync::Arc;
use std::time::Duration;

use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, BOB, anon, as_user, ask, follow, link, newcomer, refused, server};
use crate::persona::{Reply, account, all_at_once, operator, project};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn code(server: &Server, email: &str) -> String {
    let body = json!({ "email": email, "codeChallenge": CHALLENGE });
    ask(&anon(server), "/signin/passwordless/email", &body).await;
    let link = link(server, email, "signin-passwordless").await;
    assert!(link.contains(&format!("codeChallenge={CHALLENGE}&")), "{link}");
    let (_, query) = follow(server, &link).await.onward();
    let [(name, code)] = &query[..] else { panic!("{query:?}") };
    assert_eq!((name.as_str(), code.len()), ("code", 43));
    code.clone()
}

async fn exchange(server: &Server, code: &str, verifier: &str) -> Reply {
    anon(server).post("/token/exchange", &json!({ "code": code, "codeVerifier": verifier })).await
}

#[tokio::test]
async fn a_code_is_exchanged_once_for_a_session() {
    let server = server(&[]).await;
    let code = code(&server, ADA).await;
    let reply = exchange(&server, &code, VERIFIER).await.expect(200);
    assert_eq!(reply.body["session"]["user"]["emailVerified"], true);
    as_user(&anon(&server), &reply).get("/user").await.expect(200);
    assert_eq!(refused(&exchange(&server, &code, VERIFIER).await), (400, "invalid-request"));
}

#[tokio::test]
async fn by_many_at_once_too() {
    let server = Arc::new(server(&[]).await);
    let code = code(&server, ADA).await;
    let replies = all_at_once((0..64).map(|_| {
        let (server, code) = (server.clone(), code.clone());
        async move { exchange(&server, &code, VERIFIER).await.status.as_u16() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(replies.iter().filter(|status| **status == 400).count(), 63);
}

#[tokio::test]
async fn a_wrong_verifier_uses_it_up_and_time_does() {
    let server = server(&[]).await;
    for (email, wrong) in [(ADA, CHALLENGE), (BOB, "")] {
        let code = code(&server, email).await;
        assert_eq!(refused(&exchange(&server, &code, wrong).await), (400, "invalid-request"));
        assert_eq!(refused(&exchange(&server, &code, VERIFIER).await), (400, "invalid-request"));
    }
    let late = code(&server, ADA).await;
    server.clock().advance(Duration::from_secs(300));
    assert_eq!(refused(&exchange(&server, &late, VERIFIER).await), (400, "invalid-request"));
    let soon = code(&server, ADA).await;
    server.clock().advance(Duration::from_secs(299));
    exchange(&server, &soon, VERIFIER).await.expect(200);
    for nothing in ["", "x", CHALLENGE] {
        assert_eq!(refused(&exchange(&server, nothing, VERIFIER).await), (400, "invalid-request"));
    }
}

#[tokio::test]
async fn a_code_dies_with_what_its_account_may() {
    let server = server(&[]).await;
    let default = project(&server, "default").await;
    let code = code(&server, ADA).await;
    keystead::auth::accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    assert_eq!(refused(&exchange(&server, &code, VERIFIER).await), (400, "invalid-request"));
}

#[tokio::test]
async fn a_challenge_nobody_could_answer_is_refused() {
    let server = server(&[]).await;
    newcomer(&server, ADA).await;
    for (challenge, error) in [
        (json!("plain"), "schema-validation-error"),
        (json!(7), "schema-validation-error"),
        // 43 characters of base64url that are no 32 bytes.
        (json!("_".repeat(43)), "invalid-request"),
    ] {
        for path in ["/user/email/send-verification-email", "/user/password/reset", "/signin/passwordless/email"] {
            let body: Value = json!({ "email": ADA, "codeChallenge": challenge });
            assert_eq!(refused(&anon(&server).post(path, &body).await), (400, error), "{path}");
        }
    }
}
