//! HTTP/1.1 requests without an end: each is refused after a bounded part, however fast it comes.
//!
//! But for a chunk's size with ever more zeros before it, which costs no memory: that ends with the time of a body.

use tokio::io::{AsyncWriteExt, split};

use super::{Bystander, Strangers, address, pour, rest};
use crate::binary::process::Place;

/// Clients of each kind at the same time.
const CLIENTS: usize = 6;
/// What a client sends at most, in pieces of 16 KiB: far more than any buffer on the way holds.
const PIECES: usize = 2000;
/// What may have been taken from it, or lie in the buffers of both systems, in pieces.
const TAKEN: usize = 1000;

#[tokio::test]
async fn requests_without_an_end_are_refused() {
    let server = Place::new().start();
    let bystander = Bystander::of(&server).await;
    let strangers = Strangers::speaking(&server, "http/1.1");
    let post = "POST /api/auth/login HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    let chunked = format!("{post}transfer-encoding: chunked\r\n\r\n");
    let kinds = [
        ("request line", "GET /".to_owned(), "a".repeat(16 * 1024)),
        ("header", format!("{post}x-long: "), "a".repeat(16 * 1024)),
        ("headers", post.to_owned(), "x-many: of them\r\n".repeat(1024)),
        ("empty headers", post.to_owned(), "x:\r\n".repeat(4096)),
        ("chunks", chunked.clone(), format!("4000\r\n{}\r\n", "a".repeat(0x4000))),
        ("small chunks", chunked.clone(), "1\r\na\r\n".repeat(2048)),
        ("chunk's extension", format!("{chunked}1;"), "a".repeat(16 * 1024)),
        ("trailers", format!("{chunked}0\r\n"), "x-many: of them\r\n".repeat(1024)),
        ("content", format!("{post}content-length: 999999999999\r\n\r\n"), "a".repeat(16 * 1024)),
        ("empty lines", String::new(), "\r\n".repeat(8192)),
    ];
    for (number, (name, begin, piece)) in kinds.iter().enumerate() {
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let stream = strangers.stranger(&server, &address(number * CLIENTS + client)).await.expect("a place");
            let (begin, piece) = (begin.clone(), piece.clone());
            clients.spawn(async move {
                let (mut read, mut write) = split(stream);
                let pouring = async {
                    // It may be refused before all of it is sent.
                    let _ = write.write_all(begin.as_bytes()).await;
                    let sent = pour(&mut write, piece.as_bytes(), PIECES).await;
                    // Whoever was allowed to send all of it leaves.
                    let _ = write.shutdown().await;
                    sent
                };
                let (sent, answer) = tokio::join!(pouring, rest(&mut read));
                (sent, String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
            });
        }
        bystander.is_served(&server).await;
        for (sent, answer) in clients.join_all().await {
            assert!(sent < TAKEN, "{name}: {sent} pieces, {answer:?}");
            // A client that goes on sending may see a reset instead of the answer.
            let is_refusal = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
            assert!(is_refusal, "{name}: {answer:?}");
        }
    }
    bystander.survives(server, 48).await;
}
