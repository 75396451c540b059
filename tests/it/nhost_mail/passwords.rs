//! New passwords (contract 1.5): from within a session, and by a mail for who has forgotten the old one.

use std::sync::Arc;

use keystead::auth::accounts;
use serde_json::{Value, json};

use super::{
    ADA, CONCEAL, OTHER, PASSWORD, STRICT, anon, ask, follow, header, link, newcomer, refreshed, refused, server,
    sign_in, signed_in,
};
use crate::persona::{Reply, account, all_at_once, operator, project};

const ASK: &str = "/user/password/reset";
const SET: &str = "/user/password";
const EVE: &str = "eve@example.com";

async fn ticket(server: &keystead::testing::Server, email: &str) -> String {
    ask(&anon(server), ASK, &json!({ "email": email })).await;
    let mail = server.mailbox().next_to(email).await;
    assert_eq!(header(&mail, "X-Email-Template"), "password-reset");
    header(&mail, "X-Ticket").to_owned()
}

fn new(password: &str, ticket: Option<&str>) -> Value {
    match ticket {
        Some(ticket) => json!({ "newPassword": password, "ticket": ticket }),
        None => json!({ "newPassword": password }),
    }
}

#[tokio::test]
async fn a_new_password_from_within_a_session_spares_it_and_no_other() {
    let server = server(&[]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    let (here, there) = (signed_in(&nobody, ADA).await, signed_in(&nobody, ADA).await);
    let noma = nobody.speaking_noma().signed_in(ADA, PASSWORD).await.0;
    let reset = ticket(&server, ADA).await;
    ask(&here, SET, &new(OTHER, None)).await;
    here.get("/user").await.expect(200);
    there.get("/user").await.expect(401);
    noma.get("/me").await.expect(401);
    sign_in(&nobody, ADA, PASSWORD).await.expect(401);
    sign_in(&nobody, ADA, OTHER).await.expect(200);
    assert_eq!(refused(&nobody.post(SET, &new(PASSWORD, Some(&reset))).await), (401, "invalid-ticket"), "withdrawn");
}

#[tokio::test]
async fn a_reset_spares_no_session_and_its_ticket_works_once() {
    let server = Arc::new(server(&[]).await);
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    let before = signed_in(&nobody, ADA).await;
    let ticket = ticket(&server, ADA).await;
    assert!(ticket.starts_with("passwordReset:"));
    let replies: Vec<Reply> = all_at_once((0..64).map(|n| {
        let (nobody, ticket) = (nobody.clone(), ticket.clone());
        async move { nobody.post(SET, &new(&format!("new password {n}"), Some(&ticket))).await }
    }))
    .await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert!(replies.iter().filter(|reply| reply.status != 200).all(|reply| refused(reply) == (401, "invalid-ticket")));
    before.get("/user").await.expect(401);
    sign_in(&nobody, ADA, PASSWORD).await.expect(401);
}

#[tokio::test]
async fn what_is_refused_uses_no_ticket_up() {
    let server = server(&[("PROJECT__DEFAULT__PASSWORD__REJECT_COMMON", "true")]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    let ticket = ticket(&server, ADA).await;
    for (body, expected) in [
        (new("short", Some(&ticket)), (400, "password-too-short")),
        (new("ab", Some(&ticket)), (400, "schema-validation-error")),
        (new("password1", Some(&ticket)), (400, "password-in-hibp-database")),
        (new(OTHER, None), (400, "invalid-request")),
        (new(OTHER, Some("verifyEmail:x")), (400, "schema-validation-error")),
        (new(OTHER, Some("passwordReset:x")), (401, "invalid-ticket")),
        (new(OTHER, Some("passwordReset:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07")), (401, "invalid-ticket")),
    ] {
        assert_eq!(refused(&nobody.post(SET, &body).await), expected, "{body}");
    }
    // A bad bearer counts as none.
    assert_eq!(refused(&nobody.with_token("x.y.z").post(SET, &new(OTHER, None)).await), (400, "invalid-request"));
    let before = server.projects().shared().pool.hashes_computed();
    nobody.post(SET, &new(OTHER, Some("passwordReset:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07"))).await.expect(401);
    assert_eq!(server.projects().shared().pool.hashes_computed(), before, "nobody's ticket is not worth a hash");
    ask(&nobody, SET, &new(OTHER, Some(&ticket))).await;
    sign_in(&nobody, ADA, OTHER).await.expect(200);
}

#[tokio::test]
async fn the_link_signs_in_and_the_session_sets_the_password() {
    let server = server(&[]).await;
    let nobody = anon(&server);
    newcomer(&server, ADA).await;
    ask(&nobody, ASK, &json!({ "email": ADA, "options": { "redirectTo": "https://app.example.com/reset?x=1" } })).await;
    let link = link(&server, ADA, "password-reset").await;
    let page = follow(&server, &link).await;
    let (place, query) = page.onward();
    assert_eq!((place.as_str(), query[2].0.as_str()), ("https://app.example.com/reset", "x"));
    let (ada, _) = refreshed(&nobody, &query[0].1).await;
    ask(&ada, SET, &new(OTHER, None)).await;
    sign_in(&nobody, ADA, OTHER).await.expect(200);
}

#[tokio::test]
async fn asking_says_nothing_of_an_account() {
    for more in [&[][..], &[CONCEAL], &[STRICT]] {
        let server = server(more).await;
        let nobody = anon(&server);
        newcomer(&server, ADA).await;
        let default = project(&server, "default").await;
        accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
        newcomer(&server, "bob@example.com").await;
        let mut replies = Vec::new();
        for email in [ADA, EVE, "bob@example.com"] {
            replies.push(nobody.post(ASK, &json!({ "email": email })).await.expect(200));
        }
        assert!(replies.windows(2).all(|two| two[0].whole() == two[1].whole()));
        let to_elsewhere = json!({ "email": EVE, "options": { "redirectTo": "https://evil.com" } });
        assert_eq!(refused(&nobody.post(ASK, &to_elsewhere).await), (400, "redirectTo-not-allowed"));
        assert!(server.mailbox().to(EVE).is_empty() && server.mailbox().to(ADA).is_empty());
    }
}

#[tokio::test]
async fn who_may_not_sets_no_password() {
    let server = server(&[]).await;
    let (nobody, default) = (anon(&server), project(&server, "default").await);
    newcomer(&server, ADA).await;
    let (ada, ticket) = (signed_in(&nobody, ADA).await, ticket(&server, ADA).await);
    accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    assert_eq!(refused(&ada.post(SET, &new(OTHER, None)).await), (400, "invalid-request"), "no session any more");
    assert_eq!(refused(&nobody.post(SET, &new(OTHER, Some(&ticket))).await), (401, "invalid-ticket"));
}
