//! Health, as strangers are told it.

use std::time::Duration;

use keystead::testing::Server;
use serde_json::{Value, json};

use crate::persona::Persona;

/// Somebody who watches the server from outside.
fn watcher(server: &Server) -> Persona {
    Persona::anon(server).in_project(None).mounted_at("")
}

fn checks(store: &str, keys: &str, certificate: &str, clock: &str) -> Value {
    json!({
        "store": { "status": store }, "keys": { "status": keys },
        "certificate": { "status": certificate }, "clock": { "status": clock },
    })
}

#[tokio::test]
async fn strangers_learn_how_each_part_does_and_not_why() {
    let server = Server::start().await;
    let ready = watcher(&server).get("/readyz").await.expect(200);
    assert_eq!(ready.body, json!({ "status": "ok", "checks": checks("ok", "ok", "ok", "ok") }));
    assert_eq!(watcher(&server).get("/healthz").await.expect(200).body, json!({ "status": "ok" }));
}

#[tokio::test]
async fn a_clock_that_steps_back_is_a_warning_until_it_has_caught_up() {
    let server = Server::start().await;
    server.clock().advance(Duration::from_secs(3600));
    let watcher = watcher(&server);
    watcher.get("/readyz").await.expect(200);
    server.clock().step_back(Duration::from_secs(60));
    assert_eq!(watcher.get("/readyz").await.expect(200).body["status"], "ok", "time servers do that");
    server.clock().step_back(Duration::from_secs(1));
    let ready = watcher.get("/readyz").await.expect(200);
    assert_eq!(ready.body, json!({ "status": "degraded", "checks": checks("ok", "ok", "ok", "degraded") }));
    server.clock().advance(Duration::from_secs(1));
    assert_eq!(watcher.get("/readyz").await.expect(200).body["status"], "ok");
}

#[tokio::test]
async fn a_clock_from_before_the_program_is_a_warning() {
    let server = Server::start().await;
    server.clock().step_back(Duration::from_secs(1));
    let ready = watcher(&server).get("/readyz").await.expect(200);
    assert_eq!(ready.body["checks"]["clock"], json!({ "status": "degraded" }));
}

#[tokio::test]
async fn a_certificate_near_its_end_is_a_warning_and_an_expired_one_is_not_ready() {
    let server = Server::start().await;
    let watcher = watcher(&server);
    // The connection is there before the certificate is worth nothing.
    watcher.get("/readyz").await.expect(200);
    server.clock().advance(Duration::from_secs(83 * 86_400));
    assert_eq!(watcher.get("/readyz").await.expect(200).body["checks"], checks("ok", "ok", "ok", "ok"));
    server.clock().advance(Duration::from_secs(1));
    let ready = watcher.get("/readyz").await.expect(200);
    assert_eq!(ready.body, json!({ "status": "degraded", "checks": checks("ok", "ok", "degraded", "ok") }));
    server.clock().advance(Duration::from_secs(7 * 86_400));
    let ready = watcher.get("/readyz").await.expect(503);
    assert_eq!(ready.body["status"], "unavailable");
    assert_eq!(ready.body["checks"], checks("ok", "ok", "unavailable", "ok"));
    // It lives all the same: starting it anew would not help.
    assert_eq!(watcher.get("/healthz").await.expect(200).body["status"], "ok");
}
