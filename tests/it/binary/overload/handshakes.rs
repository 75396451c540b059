//! Handshakes by the thousand that are begun and go no further, and what is no handshake at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{BEARABLE, Bystander, address, rest};
use crate::binary::client::connect;
use crate::binary::process::{Binary, Place};

/// Handshakes of each kind.
const HELLOS: usize = 1500;
/// Connections that send something else.
const GARBAGE: usize = 400;

/// A ClientHello as rustls says it, offering this version.
fn hello(version: &'static SupportedProtocolVersion) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
    let config = config.expect("a version there is").with_root_certificates(RootCertStore::empty());
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(config.with_no_client_auth()), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("room in memory");
    bytes
}

/// So many connections that send this and no more.
async fn send(server: &Binary, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    keystead::net::raise_descriptor_limit();
    let mut all = Vec::new();
    for number in 0..count {
        let mut stream = connect(server, &address(number)).await.expect("a connection");
        // It may have to give way before it has said anything.
        let _ = stream.write_all(bytes).await;
        all.push(stream);
    }
    all
}

/// The slowest but one of ten answers to somebody who is there already.
async fn latency(bystander: &Bystander) -> Duration {
    let mut took = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        assert_eq!(bystander.ada.get("/me").await.status, 200);
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[8]
}

#[tokio::test]
async fn handshakes_that_go_no_further_hold_nobody_up() {
    let server = Place::new().start();
    let bystander = Bystander::of(&server).await;
    let quiet = latency(&bystander).await;
    for version in [&TLS13, &TLS12] {
        let hello = hello(version);
        let flood = send(&server, HELLOS, &hello);
        let felt = async {
            let mut worst = Duration::ZERO;
            for _ in 0..5 {
                worst = worst.max(latency(&bystander).await);
            }
            worst
        };
        let (flood, felt) = tokio::join!(flood, felt);
        println!("{:?}: {quiet:?} before, {felt:?} meanwhile", version.version);
        assert!(felt < BEARABLE, "{felt:?}");
        bystander.is_served(&server).await;
        drop(flood);
    }
    bystander.survives(server, 96).await;
}

#[tokio::test]
async fn what_is_no_handshake_is_sent_away() {
    let server = Place::new().start();
    let bystander = Bystander::of(&server).await;
    for (name, bytes) in [
        ("HTTP", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ("zeros", vec![0; 4096]),
        ("an alert", vec![0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28]),
        ("data before any handshake", [&[0x17, 0x03, 0x03, 0x40, 0x00][..], &[7; 0x4000]].concat()),
        ("a record larger than may be", [&[0x16, 0x03, 0x01, 0xff, 0xff][..], &[1; 4096]].concat()),
        ("SSL 2", vec![0x80, 0x2e, 0x01, 0x03, 0x01, 0x00, 0x15, 0x00, 0x00, 0x00, 0x10]),
    ] {
        for mut stream in send(&server, GARBAGE, &bytes).await {
            let answer = rest(&mut stream).await;
            assert!(answer.len() < 64, "{name}: {answer:?}");
        }
        bystander.is_served(&server).await;
    }
    bystander.survives(server, 48).await;
}

/// A ClientHello that says it is as long as can be, and comes up to its last byte.
#[tokio::test]
async fn long_hellos_cost_bounded_memory() {
    let server = Place::new().start();
    let bystander = Bystander::of(&server).await;
    let mut long = Vec::new();
    let message = [&[0x01, 0x00, 0xff, 0xff, 0x03, 0x03][..], &[7; 0xfff0]].concat();
    for piece in message.chunks(0x4000) {
        long.extend([0x16, 0x03, 0x01]);
        long.extend(u16::try_from(piece.len()).expect("a record's length").to_be_bytes());
        long.extend(piece);
    }
    let flood = send(&server, GARBAGE, &long).await;
    bystander.is_served(&server).await;
    drop(flood);
    bystander.survives(server, 96).await;
}
