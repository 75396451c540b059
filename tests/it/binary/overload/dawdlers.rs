//! Those who let the server wait, a byte now and then: each is let go when its time is up, and no later.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::task::JoinSet;

use super::frames::{HEADERS, SETTINGS, frame, request};
use super::{Bystander, Strangers, address, rest};
use crate::binary::client::connect;
use crate::binary::process::Place;

/// The longest of the limits is that of a body; a look at a connection may come a little later.
const LIMIT: Duration = Duration::from_secs(15 + 10);
/// The time between two bytes of those who trickle.
const TRICKLE: Duration = Duration::from_millis(200);

/// Sends this, then `drop` after drop, until the connection ends; what was answered, and after which time.
async fn dawdle(stream: impl AsyncRead + AsyncWrite, begin: Vec<u8>, drip: &'static [u8]) -> (String, Duration) {
    let begun = Instant::now();
    let (mut read, mut write) = split(stream);
    let trickle = async {
        let mut tick = tokio::time::interval(TRICKLE);
        let mut open = write.write_all(&begin).await.is_ok() && write.flush().await.is_ok();
        while open && !drip.is_empty() {
            tick.tick().await;
            open = write.write_all(drip).await.is_ok() && write.flush().await.is_ok();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = rest(&mut read) => (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed()),
        () = trickle => unreachable!("it has no end"),
    }
}

#[tokio::test]
async fn whoever_dawdles_is_let_go_when_the_time_is_up() {
    let server = Place::new().start();
    let bystander = Bystander::of(&server).await;
    let (http1, http2) = (Strangers::speaking(&server, "http/1.1"), Strangers::speaking(&server, "h2"));
    let post = "POST /api/auth/login HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut preface, SETTINGS, 0, 0, b"");
    let block = request("POST", "/api/auth/login", &[("content-type", "application/json")]);
    let mut half_headers = preface.clone();
    frame(&mut half_headers, HEADERS, 0, 1, &block);

    let mut all: JoinSet<(&str, (String, Duration))> = JoinSet::new();
    let mut number = 0;
    let mut next = || {
        number += 1;
        address(number)
    };
    for (name, begin, drip) in [
        ("no handshake", Vec::new(), &b""[..]),
        ("half a record", vec![0x16, 0x03, 0x01, 0x02, 0x00], b""),
        ("a record that trickles", vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc], b"\x03"),
    ] {
        let stream = connect(&server, &next()).await.expect("a connection");
        all.spawn(async move { (name, dawdle(stream, begin, drip).await) });
    }
    for (name, begin, drip) in [
        ("no request", String::new(), &b""[..]),
        ("half a head", format!("{post}x-slow: "), b""),
        ("a head that trickles", format!("{post}x-slow: "), b"a"),
        ("headers that trickle", post.to_owned(), b"x: y\r\n"),
        ("no body", format!("{post}content-length: 5000\r\n\r\n"), b""),
        ("a body that trickles", format!("{post}content-length: 5000\r\n\r\n"), b"a"),
        ("chunks that trickle", format!("{post}transfer-encoding: chunked\r\n\r\n"), b"1\r\na\r\n"),
    ] {
        let stream = http1.stranger(&server, &next()).await.expect("a handshake");
        all.spawn(async move { (name, dawdle(stream, begin.into_bytes(), drip).await) });
    }
    for (name, begin) in [("no stream", preface), ("half of a stream's headers", half_headers)] {
        let stream = http2.stranger(&server, &next()).await.expect("a handshake");
        all.spawn(async move { (name, dawdle(stream, begin, b"").await) });
    }
    bystander.is_served(&server).await;
    for (name, (answer, took)) in all.join_all().await {
        assert!(took < LIMIT, "{name}: {took:?}");
        if name.contains("body") || name.contains("chunks") {
            assert!(answer.starts_with("HTTP/1.1 408"), "{name}: {answer}");
        }
    }
    bystander.survives(server, 8).await;
}
