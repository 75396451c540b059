//! Metrics: what a scrape says after what happened, and what it never says.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use keystead::config::{Overrides, load};
use keystead::testing::Server;
use serde_json::json;

use super::open_metrics::Scraped;
use crate::persona::Persona;

const PASSWORD: &str = "correct horse";

/// A server whose metrics can be scraped on loopback.
async fn measured() -> Server {
    Server::with(&[("METRICS__LISTEN", "127.0.0.1:0")]).await
}

async fn scrape(server: &Server) -> (Scraped, String) {
    let url = server.metrics_url().expect("metrics.listen is set");
    let reply =
        reqwest::Client::builder().no_proxy().build().expect("a client").get(url).send().await.expect("a reply");
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = reply.text().await.expect("a body");
    (Scraped::read(&text), text)
}

fn requests(page: &Scraped, route: &str, status: &str) -> f64 {
    let dialect = if route == "other" || route.ends_with("z") { "server" } else { "noma" };
    page.value("keystead_http_requests_total", &[("dialect", dialect), ("route", route), ("status", status)])
}

#[tokio::test]
async fn values_move_as_things_happen() {
    let server = measured().await;
    let anon = Persona::anon(&server);
    let (ada, session) = anon.sign_up("ada@example.com", PASSWORD).await;
    for _ in 0..3 {
        ada.get("/me").await.expect(200);
    }
    anon.get("/me").await.expect(401);
    let (_, second) = anon.signed_in("ada@example.com", PASSWORD).await;
    let first = second["refresh_token"].as_str().expect("a token").to_owned();
    let next = anon.refresh(&first).await.expect(200);
    anon.refresh(next.text_at("refresh_token")).await.expect(200);
    server.clock().advance(Duration::from_secs(60));
    anon.refresh(&first).await.expect(401);
    anon.refresh(&"n".repeat(64)).await.expect(401);
    for _ in 0..5 {
        anon.sign_in("ada@example.com", "a guess").await.expect(401);
    }
    anon.sign_in("ada@example.com", PASSWORD).await.expect(429);
    let access = session["access_token"].as_str().expect("a token");
    anon.with_token(access).post_nothing("/api-keys/7/revoke").await.expect(404);
    anon.get("/nothing/here").await.expect(404);
    anon.mounted_at("").get("/wp-login.php").await.expect(404);
    anon.mounted_at("").get("/healthz").await.expect(200);

    let (page, _) = scrape(&server).await;
    assert_eq!(requests(&page, "/signup", "2xx"), 1.0);
    assert_eq!((requests(&page, "/me", "2xx"), requests(&page, "/me", "4xx")), (3.0, 1.0));
    assert_eq!((requests(&page, "/refresh", "2xx"), requests(&page, "/refresh", "4xx")), (2.0, 2.0));
    assert_eq!((requests(&page, "/login", "2xx"), requests(&page, "/login", "4xx")), (1.0, 6.0));
    assert_eq!(requests(&page, "/api-keys/{id}/revoke", "4xx"), 1.0);
    let unrouted = [("dialect", "noma"), ("route", "other"), ("status", "4xx")];
    assert_eq!(page.value("keystead_http_requests_total", &unrouted), 1.0);
    assert_eq!(requests(&page, "other", "4xx"), 1.0);
    assert_eq!(requests(&page, "/healthz", "2xx"), 1.0);
    let took = [("dialect", "noma"), ("route", "/me")];
    assert_eq!(page.value("keystead_http_request_duration_seconds_count", &took), 4.0);
    let sign_ins = |outcome| page.value("keystead_sign_ins_total", &[("outcome", outcome)]);
    assert_eq!(
        (sign_ins("succeeded"), sign_ins("wrong"), sign_ins("locked"), sign_ins("failed")),
        (1.0, 5.0, 1.0, 0.0)
    );
    assert_eq!(page.value("keystead_lockouts_total", &[]), 1.0);
    let refreshes = |outcome| page.value("keystead_refreshes_total", &[("outcome", outcome)]);
    assert_eq!((refreshes("succeeded"), refreshes("invalid")), (2.0, 2.0));
    assert_eq!(page.value("keystead_token_thefts_total", &[]), 1.0);
    // One sign-up and six sign-ins; the locked one cost nothing.
    assert_eq!(page.value("keystead_hashes_total", &[]), 7.0);
    assert_eq!(page.value("keystead_hash_wait_seconds_count", &[]), 7.0);
    assert_eq!(page.value("keystead_projects", &[]), 1.0);
    assert!(page.value("keystead_connections", &[]) >= 1.0);
    assert!(page.value("keystead_certificate_expiry_seconds", &[]) > page.value("process_start_time_seconds", &[]));
    assert!(page.value("process_resident_memory_bytes", &[]) > 1e6);
    for check in ["store", "keys", "certificate", "outbox", "clock"] {
        assert_eq!(page.families["keystead_health"], "gauge");
        assert_eq!(page.value("keystead_health", &[("check", check)]), 0.0, "{check}");
    }
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(page.value("keystead_build_info", &version), 1.0);
}

#[tokio::test]
async fn a_page_says_nothing_of_anybody() {
    let server = measured().await;
    let anon = Persona::anon(&server);
    let (ada, session) = anon.sign_up("ada@example.com", PASSWORD).await;
    let key = ada.post("/api-keys", &json!({ "name": "a name" })).await;
    ada.get("/me?token=in-a-query").await;
    anon.get("/in-a-path").await.expect(404);
    let (page, text) = scrape(&server).await;
    let secrets = [
        session["access_token"].as_str(),
        session["refresh_token"].as_str(),
        session["user"]["uuid"].as_str(),
        key.body["data"]["plain_text_key"].as_str(),
        Some("ada"),
        Some("example.com"),
        Some(PASSWORD),
        Some("a name"),
        Some("in-a-query"),
        Some("in-a-path"),
        Some("127.0.0.1"),
        Some("default"),
    ];
    let project = server.project().to_string();
    for secret in secrets.into_iter().flatten().chain([project.as_str()]) {
        assert!(!text.contains(secret), "{secret} is on the page");
    }
    let labels =
        ["check", "dialect", "kind", "le", "outcome", "reason", "result", "route", "state", "status", "version"];
    assert_eq!(page.label_names(), BTreeSet::from(labels));
}

#[tokio::test]
async fn strangers_are_not_shown_it() {
    let server = measured().await;
    Persona::anon(&server).mounted_at("").get("/metrics").await.expect(404);
    Persona::anon(&server).mounted_at("/v1").get("/health").await.expect(404);
    let url = server.metrics_url().expect("metrics.listen is set");
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let elsewhere = url.replace("/metrics", "/v1/health");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    assert_eq!(client.get(elsewhere).send().await.expect("a reply").status(), 404, "reasons are the operator's");
    assert!(Server::start().await.metrics_url().is_none(), "unasked, there is no listener");
}

#[test]
fn a_listener_that_others_can_reach_is_refused() {
    for (address, refused) in [
        ("0.0.0.0:9464", true),
        ("192.0.2.1:9464", true),
        ("[::]:9464", true),
        ("127.0.0.1:9464", false),
        ("[::1]:9464", false),
        ("localhost:9464", false),
        ("unix:/run/keystead/metrics.sock", false),
    ] {
        let environment = BTreeMap::from([("KEYSTEAD_METRICS__LISTEN".to_owned(), address.to_owned())]);
        let problems = load(&Overrides::default(), &environment).err().map(|problems| problems.to_string());
        assert_eq!(problems.is_some(), refused, "{address}: {problems:?}");
        assert!(problems.is_none_or(|text| text.contains("other machines could read it")));
    }
}
