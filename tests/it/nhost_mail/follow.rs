//! Following a link (contract 1.6): once, whatever is presented at the same time, and by nobody who only looks.

use std::time::Duration;

use keystead::testing::Server;
use reqwest::Method;
use serde_json::json;

use super::{ADA, APP, BOB, CONCEAL, STRICT, anon, ask, browse, follow, header, link, newcomer, refreshed, server};
use crate::persona::{account, all_at_once, operator, project, project_id};

const SEND: &str = "/user/email/send-verification-email";
const RESET: &str = "/user/password/reset";

async fn verification(server: &Server) -> String {
    ask(&anon(server), SEND, &json!({ "email": ADA })).await;
    link(server, ADA, "email-verify").await
}

#[tokio::test]
async fn the_link_proves_the_address_and_signs_in() {
    let server = server(&[]).await;
    newcomer(&server, ADA).await;
    ask(&anon(&server), SEND, &json!({ "email": "Ada@Example.com" })).await;
    let mail = server.mailbox().next_to(ADA).await;
    let (ticket, link) = (header(&mail, "X-Ticket"), mail.link.clone().expect("a link"));
    let (kind, id) = ticket.split_once(':').expect("a colon");
    assert_eq!((kind, id.len(), header(&mail, "X-Redirect-To")), ("verifyEmail", 36, APP));
    let expected = format!(
        "{}/v1/verify?redirectTo=https%3A%2F%2Fapp.example.com&ticket=verifyEmail%3A{id}&type=emailVerify",
        server.url()
    );
    assert_eq!(link, expected);
    let page = follow(&server, &link).await;
    assert_eq!((page.status.as_u16(), page.onward().0.as_str()), (302, APP));
    let (ada, session) = refreshed(&anon(&server), &page.refresh_token("verifyEmail")).await;
    assert_eq!(session["user"]["emailVerified"], true);
    assert_eq!(ada.get("/user").await.expect(200).body["emailVerified"], true);
    assert_eq!(follow(&server, &link).await.error(), "invalid-ticket", "once");
    ada.get("/user").await.expect(200);
}

#[tokio::test]
async fn presented_by_many_at_once_it_works_once() {
    let server = server(&[]).await;
    newcomer(&server, ADA).await;
    let link = verification(&server).await;
    let server = std::sync::Arc::new(server);
    let replies = all_at_once((0..64).map(|_| {
        let (server, link) = (server.clone(), link.clone());
        async move { follow(&server, &link).await.onward().1[0].0.clone() }
    }))
    .await;
    assert_eq!(replies.iter().filter(|name| *name == "refreshToken").count(), 1, "{replies:?}");
    assert_eq!(replies.iter().filter(|name| *name == "error").count(), 63);
}

#[tokio::test]
async fn who_only_looks_uses_nothing_up() {
    let server = server(&[]).await;
    newcomer(&server, ADA).await;
    let link = verification(&server).await;
    let head = browse(&server, Method::HEAD, &link, &[], None).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    for ahead in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-purpose", "preview"),
        ("x-moz", "prefetch"),
    ] {
        let page = browse(&server, Method::GET, &link, &[ahead], None).await;
        assert_eq!((page.status.as_u16(), &page.headers["cache-control"]), (200, &"no-store".parse().expect("text")));
        assert!(page.text.contains("<button>Confirm address</button>"), "{}", page.text);
    }
    follow(&server, &link).await.refresh_token("verifyEmail");
}

#[tokio::test]
async fn each_kind_has_its_life_and_its_slot() {
    let server = server(&[]).await;
    newcomer(&server, ADA).await;
    let first = verification(&server).await;
    ask(&anon(&server), RESET, &json!({ "email": ADA })).await;
    let reset = link(&server, ADA, "password-reset").await;
    let second = verification(&server).await;
    assert_eq!(follow(&server, &first).await.error(), "invalid-ticket", "a newer one took its place");
    // A prefix of another kind before the same UUID is another ticket.
    let other = second.replace("verifyEmail", "passwordlessEmail");
    assert_eq!(follow(&server, &other).await.error(), "invalid-ticket");
    server.clock().advance(Duration::from_secs(3600));
    assert_eq!(follow(&server, &reset).await.error(), "invalid-ticket", "an hour");
    server.clock().advance(Duration::from_secs(30 * 24 * 3600 - 3601));
    let page = follow(&server, &second).await;
    page.refresh_token("verifyEmail");
    let third = {
        newcomer(&server, BOB).await;
        ask(&anon(&server), SEND, &json!({ "email": BOB })).await;
        link(&server, BOB, "email-verify").await
    };
    server.clock().advance(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(follow(&server, &third).await.error(), "invalid-ticket", "30 days");
}

#[tokio::test]
async fn where_it_leads_is_held_against_the_list() {
    let server = server(&[("PROJECT__DEFAULT__NHOST__REDIRECT_URLS", "https://other.example.com,myapp://cb")]).await;
    newcomer(&server, ADA).await;
    let link = verification(&server).await;
    let to = |target: &str| {
        let (head, rest) = link.split_once("redirectTo=").expect("a target");
        let rest = rest.split_once('&').expect("a ticket").1;
        format!("{head}redirectTo={target}&{rest}")
    };
    // Nothing of this uses the ticket up.
    let elsewhere = follow(&server, &to("https%3A%2F%2Fevil.com")).await;
    assert_eq!((elsewhere.onward().0.as_str(), elsewhere.error().as_str()), (APP, "redirectTo-not-allowed"));
    assert_eq!(elsewhere.onward().1[1].1, "The value of \"options.redirectTo\" is not allowed.");
    let unreadable = follow(&server, &to("https%3A%2F%2F%5B")).await;
    assert_eq!((unreadable.status.as_u16(), unreadable.text.contains("\"invalid-request\"")), (400, true));
    for missing in [&link[..link.find('?').expect("a query")], &to("")] {
        let page = follow(&server, missing).await;
        assert!(page.status == 400 && page.text.contains("{\"msg\":\""), "{}", page.text);
    }
    let page = follow(&server, &to("https%3A%2F%2Fother.example.com%2Fa%3Fz%3D1%26refreshToken%3Dx%26b%3D2%23f")).await;
    let (place, query) = page.onward();
    assert_eq!(place, "https://other.example.com/a");
    let names: Vec<_> = query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "refreshToken", "type", "z"]);
    assert_ne!(query[1].1, "x");
    assert!(page.headers["location"].to_str().expect("text").ends_with("&z=1#f"));
    // An app's own scheme, and what is no ticket at all.
    let bad =
        follow(&server, &format!("{}/v1/verify?ticket=otp:123456&redirectTo=myapp%3A%2F%2Fcb", server.url())).await;
    assert_eq!((bad.onward().0.as_str(), bad.error().as_str()), ("myapp://cb", "invalid-ticket"));
}

#[tokio::test]
async fn what_may_not_be_used_is_said_and_the_ticket_is_gone() {
    for conceal in [false, true] {
        let server = server(&if conceal { vec![CONCEAL] } else { vec![] }).await;
        newcomer(&server, ADA).await;
        let link = verification(&server).await;
        let default = project(&server, "default").await;
        // Switching off withdraws what is out; an import may leave both.
        keystead::auth::accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
        let said = if conceal { "invalid-request" } else { "invalid-ticket" };
        let page = follow(&server, &link).await;
        assert_eq!(page.error(), said);
        let description = if conceal { "The request payload is incorrect" } else { "Invalid ticket" };
        assert_eq!(page.onward().1[1].1, description);
    }
}

#[tokio::test]
async fn an_unproved_address_may_be_proved_and_nothing_else_where_that_is_wanted() {
    let server = server(&[STRICT]).await;
    newcomer(&server, ADA).await;
    ask(&anon(&server), RESET, &json!({ "email": ADA })).await;
    let link = verification(&server).await;
    follow(&server, &link).await.refresh_token("verifyEmail");
    let templates: Vec<_> =
        server.mailbox().to(ADA).iter().map(|mail| header(mail, "X-Email-Template").to_owned()).collect();
    assert!(!templates.contains(&"password-reset".to_owned()), "{templates:?}");
}

#[tokio::test]
async fn a_ticket_is_its_own_projects() {
    let server = Server::with(&[("PROJECT__A__NHOST__CLIENT_URL", APP), ("PROJECT__B__NHOST__CLIENT_URL", APP)]).await;
    let in_b = project_id(&server, "b");
    let of_b = anon(&server).in_project(Some(&in_b));
    let body = json!({ "email": ADA, "password": super::PASSWORD });
    of_b.speaking_noma().post("/signup", &body).await.expect(201);
    ask(&of_b, SEND, &json!({ "email": ADA })).await;
    let link = link(&server, ADA, "email-verify").await;
    // Where the host does not say which project is meant, the link does.
    let at_a = link.replace(&in_b, &project_id(&server, "a"));
    assert_ne!(at_a, link);
    assert_eq!(follow(&server, &at_a).await.error(), "invalid-ticket");
    let token = follow(&server, &link).await.refresh_token("verifyEmail");
    refreshed(&of_b, &token).await;
}
