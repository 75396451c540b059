//! Those who ask for much and take nothing of it.

use serde_json::json;

use super::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, INITIAL_WINDOW, frame, request, stream};
use super::{Bystander, Strangers, address};
use crate::binary::client::anon;
use crate::binary::process::Place;
use tokio::io::AsyncWriteExt;

/// HTTP/1.1 clients, twice as many as there are places; each asks so often before it would read the first answer.
const CLIENTS: usize = 128;
const QUESTIONS: usize = 100;
/// HTTP/2 connections, and answers that each asks for: 71.9 MB in all, where 64 MiB may be held.
const CONNECTIONS: usize = 8;
const ANSWERS: usize = 18;
/// The largest picture that an account may have, bytes.
const PICTURE: usize = 499_000;

#[tokio::test]
async fn answers_that_nobody_reads_cost_bounded_memory_and_no_place() {
    let server = Place::new().set("LISTEN__MAX_CONNECTIONS", "64").start();
    let bystander = Bystander::of(&server).await;
    let strangers = Strangers::speaking(&server, "http/1.1");
    let questions = "GET /openapi/nhost.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(QUESTIONS);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = strangers.stranger(&server, &address(number)).await.expect("a place");
        client.write_all(questions.as_bytes()).await.expect("an open connection");
        client.flush().await.expect("an open connection");
        clients.push(client);
        if number % 64 == 63 {
            bystander.is_served(&server).await;
        }
    }
    bystander.survives(server, 64).await;
}

/// HTTP/2 lets one connection ask for many answers and take none: its windows stay shut.
#[tokio::test]
async fn large_answers_behind_shut_windows_cost_bounded_memory() {
    let server = Place::new().start();
    let bystander = Bystander::of(&server).await;
    let owner = anon(&server).speaking_nora();
    owner.try_sign_up("grace@example.com", "correct horse").await.expect(200);
    let token = owner.sign_in("grace@example.com", "correct horse").await.expect(200).text_at("token").to_owned();
    let picture = format!("data:image/png;base64,{}", "A".repeat(PICTURE));
    let reply = owner.with_token(&token).patch("/profile", &json!({ "avatar": picture })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let strangers = Strangers::speaking(&server, "h2");
    let bearer = format!("Bearer {token}");
    let block = request("GET", "/auth/me", &[("authorization", &bearer)]);
    let mut clients = Vec::new();
    for number in 0..CONNECTIONS {
        let mut frames = Frames::begin(&strangers, &server, &address(number), &[(INITIAL_WINDOW, 0)]).await;
        // It may have to go for the next one's sake before it has asked for all.
        frames
            .pour_and_read(ANSWERS, |number, bytes| {
                frame(bytes, HEADERS, END_HEADERS | END_STREAM, stream(number), &block);
            })
            .await;
        clients.push(frames);
        bystander.is_served(&server).await;
    }
    let refused = server.control("/metrics").await;
    let refused =
        refused.lines().find_map(|line| line.strip_prefix("keystead_requests_refused_total{reason=\"overload\"} "));
    assert!(refused.is_some_and(|count| count != "0"), "{refused:?}");
    drop(clients);
    bystander.survives(server, 84).await;
}
