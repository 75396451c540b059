//! One process to a data directory, an orderly end, and a start after a disorderly one.

use rustix::process::Signal;
use serde_json::json;

use super::client::{HOME, Raw, anon, sign_up_request};
use super::process::{Place, Process};

#[tokio::test]
async fn a_second_process_is_refused_and_harms_nothing() {
    let place = Place::new();
    let server = place.start();
    let (ada, _) = anon(&server).sign_up("ada@example.com", "correct horse").await;
    let second = Process::start(&mut place.serve()).ended();
    assert_eq!((second.code, second.out.as_str()), (Some(1), ""));
    let expected = "error: keystead-data is in use by another keystead process; \
                    stop that one, or choose another directory with --data-dir\n";
    assert_eq!(second.err, expected);
    assert_eq!(ada.get("/me").await.status, 200);
    let listed = place.run(&["project", "list"]);
    assert_eq!(listed.code, Some(0), "the control socket is still the first one's: {listed:?}");
}

#[tokio::test]
async fn sigterm_finishes_what_was_accepted() {
    let place = Place::new();
    let server = place.start();
    let (head, body) = sign_up_request(&server, "ada@example.com", "correct horse", "expect: 100-continue\r\n");
    let mut client = Raw::to(&server, HOME).await.expect("a connection");
    client.send(&head).await;
    // The handler has begun: it asks for the body.
    client.until("100 Continue\r\n\r\n").await;
    client.send(&body[..10]).await;
    server.process.signal(Signal::TERM);
    server.process.err.until("stopping");
    client.send(&body[10..]).await;
    let answer = client.until("\"user\"").await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let ended = server.process.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!place.data().join("control.sock").exists(), "an orderly end leaves no socket");

    let server = place.start();
    let signed_in = anon(&server).sign_in("ada@example.com", "correct horse").await;
    assert_eq!(signed_in.status, 200, "what was answered is kept: {}", signed_in.text);
}

#[test]
fn sigint_ends_in_order_too() {
    let server = Place::new().start();
    server.process.signal(Signal::INT);
    let ended = server.process.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let place = Place::new();
    let server = place.start();
    let (head, _) = sign_up_request(&server, "ada@example.com", "correct horse", "expect: 100-continue\r\n");
    let mut client = Raw::to(&server, HOME).await.expect("a connection");
    client.send(&head).await;
    client.until("100 Continue\r\n\r\n").await;
    server.process.signal(Signal::TERM);
    server.process.err.until("stopping");
    server.process.signal(Signal::TERM);
    let ended = server.process.ended();
    assert_eq!(ended.code, Some(1), "{}", ended.err);
}

#[tokio::test]
async fn after_sigkill_it_starts_as_if_nothing_was() {
    let place = Place::new();
    let server = place.start();
    let (_, session) = anon(&server).sign_up("ada@example.com", "correct horse").await;
    let id = server.project().to_owned();
    server.kill();
    assert!(place.data().join("control.sock").exists(), "a killed process leaves its socket");
    let server = place.start();
    assert_eq!(server.project(), id);
    let refreshed = anon(&server).post("/refresh", &json!({ "refresh_token": session["refresh_token"] })).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    assert_eq!(place.run(&["user", "list"]).code, Some(0), "the control socket was made anew");
}

/// What a container's health check goes by.
#[test]
fn health_is_told_of_a_server_that_runs_and_of_none() {
    let place = Place::new();
    let none = place.run(&["health"]);
    assert!(none.code == Some(1) && none.err.contains("no server runs on"), "{none:?}");
    assert!(!place.data().exists(), "nothing was made");
    let server = place.start();
    let well = place.run(&["health"]);
    assert_eq!((well.code, well.out.trim_end()), (Some(0), "ok"), "{well:?}");
    let told: serde_json::Value = serde_json::from_str(&place.run(&["health", "--json"]).out).expect("JSON");
    assert!(told["status"] == "ok" && told["checks"]["store"]["status"] == "ok", "{told}");
    assert_eq!(server.stop().code, Some(0));
    let stopped = place.run(&["health", "--json"]);
    assert!(stopped.code == Some(1) && stopped.out.contains(r#""status":"unavailable""#), "{stopped:?}");
}
