//! Clients that vanish, dawdle and flood: a change is whole or absent, others are served, memory is bounded.

use std::time::Instant;

use tokio::net::TcpStream;

use super::client::{HOME, Raw, anon, anon_from, connect, sign_up_request};
use super::crash::Dice;
use super::process::{Binary, Place};
use crate::persona::Persona;

/// Clients that vanish in one test.
const VANISHING: usize = 40;
/// Connections that never get anywhere.
const SLOW: usize = 2000;
/// The most a served request may take while the slow ones are there; a start of a connection included.
const BEARABLE: std::time::Duration = std::time::Duration::from_secs(2);
/// What a connection that dawdles may cost, KiB, in a build that is not optimised.
const KIB_PER_CONNECTION: u64 = 64;

#[tokio::test]
async fn a_change_is_whole_or_absent_when_its_client_vanishes() {
    let server = Place::new().start();
    let anon = anon(&server);
    let mut dice = Dice::new(9);
    for number in 0..VANISHING {
        let email = format!("user-{number}@example.com");
        let (head, body) = sign_up_request(&server, &email, "correct horse", "");
        let request = head.clone() + &body;
        let whole = number % 2 == 0;
        let sent = if whole { request.len() } else { dice.roll(request.len()) };
        let mut client = Raw::to(&server, HOME).await.expect("a connection");
        client.send(&request[..sent]).await;
        client.vanish();
        let reply = anon.sign_in(&email, "correct horse").await;
        match reply.status.as_u16() {
            200 => assert!(whole, "{sent} of {} bytes made an account", request.len()),
            // Absent, or not there yet: then it comes as a whole, and is there when its address is taken.
            401 => {
                let again = serde_json::json!({ "email": email, "password": "another horse" });
                let reply = anon.post("/signup", &again).await;
                let password = if reply.status == 201 { "another horse" } else { "correct horse" };
                assert!(reply.status == 201 || whole && reply.status == 422, "{}", reply.text);
                assert_eq!(anon.sign_in(&email, password).await.status, 200);
            }
            status => panic!("{status}: {}", reply.text),
        }
    }
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("panic"), "{}", ended.err);
}

/// A refusal needs no body, but the client is sending one: it must see the answer, and may go on with the connection.
#[tokio::test]
async fn an_answer_before_the_body_does_not_cost_the_connection() {
    let server = Place::new().start();
    let mut client = Raw::to(&server, HOME).await.expect("a connection");
    for _ in 0..20 {
        let head = "POST /api/auth/change-password HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 20000\r\n\r\n";
        client.send(head).await;
        client.send(&"x".repeat(10_000)).await;
        client.send(&"x".repeat(10_000)).await;
        let answer = client.until("Unauthenticated.").await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("connection: close"), "{answer}");
    }
    // What is too large to be taken in, or does not come, is answered all the same.
    let large = "POST /api/auth/change-password HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100000000\r\n\r\nx";
    client.send(large).await;
    client.until("Unauthenticated.").await;
    let mut client = Raw::to(&server, HOME).await.expect("a connection");
    client.send("POST /api/auth/logout HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n\r\nx").await;
    client.until("Unauthenticated.").await;
}

/// Opens connections from these addresses that get as far as `stage` and no further.
async fn dawdle(server: &Binary, addresses: &[String], stage: Stage) -> Vec<Dawdler> {
    // Each connection is a descriptor of this process too.
    keystead::net::raise_descriptor_limit();
    let mut dawdlers = Vec::new();
    for number in 0..SLOW {
        let address = &addresses[number % addresses.len()];
        match stage {
            // A connection that is refused is one less to bear.
            Stage::Connected => dawdlers.extend(connect(server, address).await.ok().map(Dawdler::Silent)),
            Stage::HalfHello => {
                if let Ok(stream) = connect(server, address).await {
                    // The head of a TLS record of 512 bytes with a ClientHello, and a part of it.
                    let _ = stream.try_write(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]);
                    dawdlers.push(Dawdler::Silent(stream));
                }
            }
            Stage::HalfRequest => {
                if let Ok(mut raw) = Raw::to(server, address).await {
                    raw.send("POST /api/auth/login HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ").await;
                    dawdlers.push(Dawdler::Spoken(Box::new(raw)));
                }
            }
        }
    }
    dawdlers
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connected,
    HalfHello,
    HalfRequest,
}

/// Held, not used: what counts is that the connection is there.
#[expect(dead_code, reason = "connections are held open, not used")]
enum Dawdler {
    Silent(TcpStream),
    Spoken(Box<Raw>),
}

/// Somebody else is served, on a new connection, in bearable time.
async fn another_is_served(server: &Binary, number: usize) {
    let begun = Instant::now();
    let other = anon_from(server, "127.0.0.200");
    let (ada, _) = other.sign_up(&format!("ada-{number}@example.com"), "correct horse").await;
    assert_eq!(ada.get("/me").await.status, 200);
    let took = begun.elapsed();
    assert!(took < BEARABLE, "{took:?}");
}

#[tokio::test]
async fn thousands_of_slow_connections_from_one_address_hold_nobody_up() {
    for (number, stage) in [Stage::Connected, Stage::HalfHello, Stage::HalfRequest].into_iter().enumerate() {
        let server = Place::new().start();
        let slow = dawdle(&server, &["127.0.0.66".to_owned()], stage).await;
        another_is_served(&server, number).await;
        drop(slow);
        another_is_served(&server, number + 10).await;
    }
}

#[tokio::test]
async fn thousands_of_handshakes_that_never_end_cost_bounded_memory() {
    let server = Place::new().set("LISTEN__MAX_CONNECTIONS", "4096").start();
    another_is_served(&server, 0).await;
    let (before, _) = server.process.memory_kib();
    let addresses: Vec<_> = (1..=8).map(|host| format!("127.0.1.{host}")).collect();
    let slow = dawdle(&server, &addresses, Stage::HalfHello).await;
    assert_eq!(slow.len(), SLOW, "there is a place for each");
    another_is_served(&server, 1).await;
    let (_, most) = server.process.memory_kib();
    let allowed = before + SLOW as u64 * KIB_PER_CONNECTION;
    println!("{before} KiB before, {most} KiB at most, {} KiB a connection", (most - before) / SLOW as u64);
    assert!(most < allowed, "{most} KiB, {allowed} KiB allowed");
}

#[tokio::test]
async fn a_flood_of_requests_costs_bounded_memory() {
    let server = Place::new().start();
    let anon = anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", "correct horse").await;
    let (before, _) = server.process.memory_kib();
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..64 {
        let (guest, ada) = (anon_from(&server, &format!("127.0.2.{}", number + 1)), ada.clone());
        flood.spawn(async move {
            for attempt in 0..20 {
                let body = format!(
                    "{{\"email\":\"x-{number}-{attempt}@example.com\",\"password\":\"{}\"}}",
                    "p".repeat(40_000)
                );
                let reply =
                    guest.send(reqwest::Method::POST, "/login", Some(("application/json", body.into_bytes()))).await;
                assert!(reply.status.is_client_error(), "{}", reply.text);
                assert_eq!(ada.get("/me").await.status, 200);
            }
        });
    }
    flood.join_all().await;
    let (_, most) = server.process.memory_kib();
    println!("{before} KiB before, {most} KiB at most");
    assert!(most < before + 64 * 1024, "{before} KiB before, {most} KiB at most");
}

/// A project that no request has opened yet, beside the default one.
fn unopened_project(place: &Place) -> String {
    let made = place.run(&["project", "create", "shop", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made.out).expect("JSON");
    made["id"].as_str().expect("an id").to_owned()
}

/// Starts where so many descriptors may be open; takes far more connections than that from one address.
async fn flooded(ulimit: &str, connections: usize) -> (Binary, Persona, Vec<TcpStream>) {
    let script = format!("{ulimit}; exec \"$0\" \"$@\"");
    let place = Place::new().under(&["sh", "-c", &script]);
    assert_eq!(place.start().stop().code, Some(0));
    let shop = unopened_project(&place);
    let server = place.start();
    let there = anon(&server);
    let (ada, _) = there.sign_up("ada@example.com", "correct horse").await;
    let mut slow = Vec::new();
    for _ in 0..connections {
        slow.extend(connect(&server, "127.0.0.66").await.ok());
    }
    // The next accept comes after all of them.
    assert_eq!(ada.get("/me").await.status, 200, "who was there is served");
    (server, there.in_project(Some(&shop)), slow)
}

#[tokio::test]
async fn a_low_default_number_of_descriptors_is_raised() {
    let (server, _, slow) = flooded("ulimit -Sn 256", 400).await;
    another_is_served(&server, 0).await;
    drop(slow);
    assert!(!server.process.err.so_far().contains("cannot accept"), "{}", server.process.err.so_far());
}

#[tokio::test]
async fn connections_leave_descriptors_for_the_files() {
    let (server, shop, slow) = flooded("ulimit -n 256", 400).await;
    shop.sign_up("grace@example.com", "correct horse").await;
    drop(slow);
    another_is_served(&server, 0).await;
    assert_eq!(server.stop().code, Some(0));
}
