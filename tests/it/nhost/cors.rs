//! Scripts of other pages (contract 0): any may call unless the project lists which.

use keystead::testing::Server;
use reqwest::Method;

use super::anon;
use crate::persona::{Persona, Reply, project_id};

const PAGE: &str = "https://app.example.com";

async fn preflight(caller: &Persona, origin: &str) -> Reply {
    let asking = caller
        .with_header("origin", origin)
        .with_header("access-control-request-method", "POST")
        .with_header("access-control-request-headers", "authorization,content-type,x-cf-turnstile-response");
    asking.send(Method::OPTIONS, "/signin/email-password", None).await.expect(204)
}

/// The CORS headers of a reply, and what else belongs to them, sorted.
fn shown(reply: &Reply) -> Vec<String> {
    let belongs = |name: &str| name.starts_with("access-control-") || matches!(name, "vary" | "content-length");
    let headers = reply.headers.iter().filter(|(name, _)| belongs(name.as_str()));
    let mut all: Vec<_> = headers.map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
    all.sort();
    all
}

fn is_allowed(reply: &Reply, origin: &str) -> bool {
    let named = reply.headers.get("access-control-allow-origin").map(|value| value.to_str().expect("text"));
    assert!(named.is_none_or(|named| named == origin), "{named:?}");
    assert_eq!(named.is_some(), reply.headers.contains_key("access-control-allow-credentials"));
    named.is_some()
}

#[tokio::test]
async fn a_preflight_is_answered_as_the_contract_says() {
    let server = Server::start().await;
    for caller in [anon(&server), anon(&server).over_http1(&server), anon(&server).in_project(None)] {
        let reply = preflight(&caller, PAGE).await;
        assert_eq!(
            shown(&reply),
            [
                "access-control-allow-credentials: true",
                "access-control-allow-headers: authorization,content-type,x-cf-turnstile-response",
                "access-control-allow-methods: POST, GET",
                "access-control-allow-origin: https://app.example.com",
                "access-control-max-age: 86400",
                "vary: Origin, Access-Control-Request-Method",
            ]
        );
        // So is what only looks like one.
        let reply = caller.send(Method::OPTIONS, "/anything", None).await.expect(204);
        assert_eq!(shown(&reply), ["vary: Origin, Access-Control-Request-Method"]);
    }
}

#[tokio::test]
async fn any_page_may_read_where_none_is_listed() {
    let server = Server::start().await;
    for origin in [PAGE, "http://localhost:3000", "null", "capacitor://localhost"] {
        let page = anon(&server).with_header("origin", origin);
        for reply in [page.get("/version").await, page.get("/user").await, page.get("/unknown").await] {
            assert!(is_allowed(&reply, origin), "{origin}");
            assert_eq!(reply.headers["vary"], "Origin, Access-Control-Request-Method");
        }
        assert!(is_allowed(&preflight(&anon(&server), origin).await, origin));
        // The other APIs are as they were.
        let other = Persona::anon(&server).with_header("origin", origin).get("/me").await;
        assert!(!is_allowed(&other, origin));
        assert_eq!(other.headers["vary"], "Origin");
    }
    let reply = anon(&server).get("/version").await;
    assert!(!is_allowed(&reply, PAGE) && reply.headers["vary"] == "Origin, Access-Control-Request-Method");
}

#[tokio::test]
async fn where_pages_are_listed_no_other_may() {
    let settings = [
        ("PROJECT__DEFAULT__CORS__ORIGINS", PAGE),
        ("PROJECT__SHOP__CORS__ORIGINS", "https://shop.example.com"),
        ("PROJECT__ANY__CORS__ORIGINS", "*"),
    ];
    let server = Server::with(&settings).await;
    let in_project = |slug| anon(&server).in_project(Some(&project_id(&server, slug)));
    for (slug, origin, allowed) in [
        ("default", PAGE, true),
        ("default", "https://shop.example.com", false),
        ("default", "https://app.example.com.evil.example", false),
        ("default", "http://app.example.com", false),
        ("default", "null", false),
        ("shop", "https://shop.example.com", true),
        ("shop", PAGE, false),
        // Itself, not `*`: credentials go along.
        ("any", "https://evil.example", true),
    ] {
        let caller = in_project(slug);
        assert_eq!(is_allowed(&preflight(&caller, origin).await, origin), allowed, "{slug} {origin}");
        let reply = caller.with_header("origin", origin).get("/version").await.expect(200);
        assert_eq!(is_allowed(&reply, origin), allowed, "{slug} {origin}");
    }
}

/// A browser's preflight names no project: whoever some project lets in may ask.
#[tokio::test]
async fn a_preflight_without_a_project_is_for_all_of_them() {
    let listed =
        [("PROJECT__DEFAULT__CORS__ORIGINS", PAGE), ("PROJECT__SHOP__CORS__ORIGINS", "https://shop.example.com")];
    let server = Server::with(&listed).await;
    let nowhere = anon(&server).in_project(None);
    for (origin, allowed) in [(PAGE, true), ("https://shop.example.com", true), ("https://evil.example", false)] {
        assert_eq!(is_allowed(&preflight(&nowhere, origin).await, origin), allowed, "{origin}");
    }
    let one_open = [("PROJECT__DEFAULT__CORS__ORIGINS", PAGE), ("PROJECT__SHOP__ENABLED", "true")];
    let server = Server::with(&one_open).await;
    let nowhere = anon(&server).in_project(None);
    assert!(is_allowed(&preflight(&nowhere, "https://evil.example").await, "https://evil.example"));
}
