//! Addresses that a project does not admit, through every dialect.

use keystead::testing::Server;

use super::DIALECTS;
use crate::persona::Persona;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";

/// Limits of Nora's own would tell one reply from the next.
const BASE: [(&str, &str); 4] = [
    ("PROJECT__DEFAULT__LOCKOUT__FAILURES", "3"),
    ("PROJECT__DEFAULT__NORA__LIMITS__GLOBAL", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__MUTATION", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__LOGIN", "off"),
];

async fn list(server: &Server, entry: (&'static str, &'static str)) {
    let settings: Vec<_> = BASE.into_iter().chain([entry]).collect();
    server.reload(&settings).await.expect("well");
}

#[tokio::test]
async fn an_account_whose_address_is_blocked_cannot_be_told_from_a_wrong_password() {
    for dialect in &DIALECTS {
        let server = Server::with(&BASE).await;
        let anon = dialect.anon(&server);
        let ada = dialect.newcomer(&anon, ADA, PASSWORD).await;
        list(&server, ("PROJECT__DEFAULT__ACCESS__BLOCKED_EMAILS", "Ada@Example.com")).await;
        let unknown = anon.sign_in("eve@example.com", PASSWORD).await;
        let right = anon.sign_in("ADA@example.com", PASSWORD).await;
        let wrong = anon.sign_in(ADA, "wrong horse").await;
        assert_eq!(right.status, 401, "{}: {}", dialect.name, right.text);
        let right = (right.whole().0, without_names(&right.text), right.headers.len());
        for other in [unknown, wrong] {
            assert_eq!(right, (other.whole().0, without_names(&other.text), other.headers.len()), "{}", dialect.name);
        }
        // Where the API's contract does not say otherwise.
        let stays = if dialect.name == "nhost" { 401 } else { 200 };
        ada.who().await.expect(stays);
        // It counts as a failure, too.
        anon.sign_in(ADA, PASSWORD).await.expect(401);
        assert!(dialect.locked_for(&anon.sign_in(ADA, PASSWORD).await) > 0);
    }
}

/// A reply without what names the request.
fn without_names(text: &str) -> String {
    let mut body: serde_json::Value = serde_json::from_str(text).expect("JSON");
    body.as_object_mut().expect("an object").remove("correlationId");
    body.to_string()
}

#[tokio::test]
async fn who_is_signed_in_stays_and_a_refresh_is_no_sign_in() {
    let server = Server::with(&BASE).await;
    let anon = Persona::anon(&server);
    let (ada, body) = anon.sign_up(ADA, PASSWORD).await;
    list(&server, ("PROJECT__DEFAULT__ACCESS__ALLOWED_DOMAINS", "acme.com")).await;
    ada.get("/me").await.expect(200);
    anon.refresh(body["refresh_token"].as_str().expect("a token")).await.expect(200);
    list(&server, ("PROJECT__DEFAULT__ACCESS__ALLOWED_EMAILS", "ada@example.com")).await;
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_sign_up_says_that_the_address_is_not_admitted() {
    let server = Server::with(&BASE).await;
    list(&server, ("PROJECT__DEFAULT__ACCESS__ALLOWED_DOMAINS", "acme.com,B\u{fc}cher.example")).await;
    for dialect in &DIALECTS {
        let anon = dialect.anon(&server);
        for email in [ADA, "ada@sub.acme.com", "ada@acme.com.evil.example"] {
            let reply = anon.try_sign_up(email, PASSWORD).await;
            assert_eq!(dialect.refused(&reply, dialect.not_admitted.0), dialect.not_admitted.1);
        }
        dialect.sign_up(&anon, &format!("{}@ACME.com", dialect.name), PASSWORD).await;
        dialect.sign_up(&anon, &format!("{}@xn--bcher-kva.example", dialect.name), PASSWORD).await;
    }
}
