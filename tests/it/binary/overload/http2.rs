//! HTTP/2 turned against the server: resets of either side, floods of frames that cost the sender little, headers without
//! an end, windows that stay shut.

use super::frames::{
    AGAIN, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, Heard, INITIAL_WINDOW, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, remembered, request, stream,
};
use super::{Bystander, Strangers, address, newcomers};
use crate::binary::process::Place;

/// Frames of a flood that ends the connection before the last of them.
const MANY: usize = 100_000;
/// Frames of a flood that is borne.
const SOME: usize = 30_000;
/// GOAWAY's ENHANCE_YOUR_CALM.
const CALM_DOWN: u32 = 11;

/// Starts a server and pours these frames into one connection of it, while a bystander is served.
async fn flood(most: usize, settings: &[(u16, u32)], mib: u64, piece: impl FnMut(u32, &mut Vec<u8>)) -> (usize, Heard) {
    let server = Place::new().start();
    let bystander = Bystander::of(&server).await;
    let strangers = Strangers::speaking(&server, "h2");
    let mut frames = Frames::begin(&strangers, &server, &address(0), settings).await;
    let (seen, ()) = tokio::join!(frames.pour_and_read(most, piece), bystander.is_served(&server));
    // Answers that nobody takes would be waited for at the end.
    drop(frames);
    bystander.survives(server, mib).await;
    seen
}

/// CVE-2023-44487: each request is taken back at once.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let block = request("GET", "/api/auth/me", &[]);
    let (sent, heard) = flood(MANY, &[], 16, |number, bytes| {
        frame(bytes, HEADERS, END_HEADERS | END_STREAM, stream(number), &block);
        frame(bytes, RST_STREAM, 0, stream(number), &8_u32.to_be_bytes());
    })
    .await;
    assert!(heard.gone_away == Some(CALM_DOWN) && !heard.answered, "{sent} resets: {heard:?}");
}

/// CVE-2025-8671: the client makes the server reset each request, and opens the next.
#[tokio::test]
async fn provoked_resets_end_the_connection() {
    let block = request("POST", "/api/auth/login", &[("content-type", "application/json")]);
    let (sent, heard) = flood(MANY, &[], 16, |number, bytes| {
        frame(bytes, HEADERS, END_HEADERS, stream(number), &block);
        // An increment of zero is an error of the stream (section 6.9).
        frame(bytes, WINDOW_UPDATE, 0, stream(number), &[0; 4]);
    })
    .await;
    assert!(heard.gone_away.is_some() && !heard.answered, "{sent} resets: {heard:?}");
}

/// Sign-ins that are taken back: the hashes they wanted cost others no more than their share.
#[tokio::test]
async fn sign_ins_that_are_taken_back_hold_nobody_up() {
    let body = br#"{"email":"nobody@example.com","password":"correct horse"}"#;
    let block = request("POST", "/api/auth/login", &[("content-type", "application/json")]);
    let (_, heard) = flood(20_000, &[], 16, |number, bytes| {
        frame(bytes, HEADERS, END_HEADERS, stream(number), &block);
        frame(bytes, DATA, END_STREAM, stream(number), body);
        frame(bytes, RST_STREAM, 0, stream(number), &8_u32.to_be_bytes());
    })
    .await;
    assert_eq!(heard.frames[usize::from(DATA)], 0, "{heard:?}");
}

/// Headers that go on and on in CONTINUATION frames.
#[tokio::test]
async fn headers_without_an_end_end_the_connection() {
    let block = request("GET", "/api/auth/me", &[("x-long", &"a".repeat(4000))]);
    let more = request("GET", "/", &[("x-more", &"a".repeat(8000))]).split_off(60);
    let (sent, heard) = flood(MANY, &[], 16, |number, bytes| match number {
        0 => frame(bytes, HEADERS, END_STREAM, 1, &block),
        _ => frame(bytes, CONTINUATION, 0, 1, &more),
    })
    .await;
    assert!(sent < 1000 && !heard.answered, "{sent} frames: {heard:?}");
    // Such that hold nothing are no better.
    let (sent, heard) = flood(MANY, &[], 16, |number, bytes| match number {
        0 => frame(bytes, HEADERS, END_STREAM, 1, &block),
        _ => frame(bytes, CONTINUATION, 0, 1, b""),
    })
    .await;
    assert!(!heard.answered, "{sent} frames: {heard:?}");
}

/// One header of the table, named again by each byte of the request: 4 KiB for one.
#[tokio::test]
async fn headers_that_unfold_are_refused() {
    let mut block = request("GET", "/api/auth/me", &[]);
    block.extend(remembered("x-bomb", &"a".repeat(4000)));
    block.extend([AGAIN; 12_000]);
    let (_, heard) = flood(40, &[], 16, |number, bytes| {
        frame(bytes, HEADERS, END_HEADERS | END_STREAM, stream(number), &block);
    })
    .await;
    let refused = heard.frames[usize::from(HEADERS)] + heard.frames[usize::from(RST_STREAM)];
    assert!(refused > 0 || heard.gone_away.is_some(), "{heard:?}");
}

/// Frames that ask for an answer, or for work, and are nothing in themselves.
#[tokio::test]
async fn floods_of_small_frames_cost_bounded_memory() {
    let post = request("POST", "/api/auth/login", &[("content-type", "application/json")]);
    type Piece<'a> = (&'a str, Box<dyn FnMut(u32, &mut Vec<u8>) + 'a>);
    let floods: [Piece<'_>; 5] = [
        ("settings", Box::new(|_, bytes| frame(bytes, SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]))),
        ("pings", Box::new(|_, bytes| frame(bytes, PING, 0, 0, b"whatever"))),
        ("priorities", Box::new(|number, bytes| frame(bytes, PRIORITY, 0, stream(number), &[0, 0, 0, 0, 1]))),
        (
            "empty data",
            Box::new(|number, bytes| match number {
                0 => frame(bytes, HEADERS, END_HEADERS, 1, &post),
                _ => frame(bytes, DATA, 0, 1, b""),
            }),
        ),
        ("windows", Box::new(|_, bytes| frame(bytes, WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
    ];
    for (name, piece) in floods {
        let (sent, heard) = flood(SOME, &[], 16, piece).await;
        assert!(heard.answered || heard.gone_away.is_some(), "{name}: {sent} frames, {heard:?}");
    }
}

/// The same, from one who reads nothing of what is answered.
#[tokio::test]
async fn floods_from_one_who_does_not_read_are_not_answered_for_ever() {
    let server = Place::new().set("LISTEN__MAX_CONNECTIONS", "16").start();
    let bystander = Bystander::of(&server).await;
    let strangers = Strangers::speaking(&server, "h2");
    for (number, kind) in [PING, SETTINGS].into_iter().enumerate() {
        let mut frames = Frames::begin(&strangers, &server, &address(number), &[]).await;
        let payload: &[u8] = if kind == PING { b"whatever" } else { b"" };
        let pouring = frames.pour(usize::MAX, |_, bytes| {
            for _ in 0..100 {
                frame(bytes, kind, 0, 0, payload);
            }
        });
        // It ends: the server stops reading, and gives the place to others.
        tokio::select! {
            _ = pouring => {}
            all = newcomers(&strangers, &server) => drop(all),
        }
        bystander.is_served(&server).await;
    }
    bystander.survives(server, 16).await;
}

/// An increment beyond what a window may be, for the connection and for a stream (section 6.9.1).
#[tokio::test]
async fn windows_that_overflow_are_refused() {
    let beyond = 0x7fff_ffff_u32.to_be_bytes();
    let (_, heard) = flood(10, &[], 16, |_, bytes| frame(bytes, WINDOW_UPDATE, 0, 0, &beyond)).await;
    assert_eq!(heard.gone_away, Some(3), "FLOW_CONTROL_ERROR: {heard:?}");
    let block = request("GET", "/openapi/noma.json", &[]);
    let (_, heard) = flood(10, &[(INITIAL_WINDOW, 0)], 16, |number, bytes| match number {
        0 => frame(bytes, HEADERS, END_HEADERS | END_STREAM, 1, &block),
        _ => frame(bytes, WINDOW_UPDATE, 0, 1, &beyond),
    })
    .await;
    assert!(heard.answered || heard.gone_away.is_some(), "{heard:?}");
}

/// A window that opens byte by byte.
#[tokio::test]
async fn answers_taken_byte_by_byte_hold_nobody_up() {
    let block = request("GET", "/openapi/noma.json", &[]);
    let (_, heard) = flood(20_000, &[(INITIAL_WINDOW, 0)], 16, |number, bytes| match number {
        0..50 => frame(bytes, HEADERS, END_HEADERS | END_STREAM, stream(number), &block),
        _ => frame(bytes, WINDOW_UPDATE, 0, stream(number % 50), &[0, 0, 0, 1]),
    })
    .await;
    assert!(heard.answered || heard.frames[usize::from(GOAWAY)] > 0, "{heard:?}");
}
