//! What comes over a connection, byte for byte: HTTP/1.1 or a TLS handshake, to a whole server. Whatever it is, the server
//! answers none of it with 500, closes the connection and goes on. The first byte says whether the server speaks TLS.
#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use keystead::testing::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Connections before the servers are made anew: what they leave behind does not add up.
const VISITS: u32 = 2000;
/// How long a server may take over a connection whose other side has said all it had to say.
const PATIENCE: Duration = Duration::from_secs(8);

thread_local!(static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) });

struct House {
    runtime: Runtime,
    plain: Server,
    encrypted: Server,
    left: u32,
}

impl House {
    fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let plain = runtime.block_on(Server::with(&[("TLS__MODE", "off")]));
        let encrypted = runtime.block_on(Server::start());
        Self { runtime, plain, encrypted, left: VISITS }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [which, said @ ..] = bytes else { return };
    HOUSE.with_borrow_mut(|house| {
        if house.as_ref().is_none_or(|house| house.left == 0) {
            if let Some(House { runtime, plain, encrypted, .. }) = house.take() {
                runtime.block_on(async { tokio::join!(plain.stop(), encrypted.stop()) });
            }
            *house = Some(House::open());
        }
        let house = house.as_mut().expect("made above");
        house.left -= 1;
        let server = if which % 2 == 0 { &house.plain } else { &house.encrypted };
        let place = server.url().rsplit('/').next().expect("a host and a port");
        let heard =
            house.runtime.block_on(async { timeout(PATIENCE, speak(place, said)).await }).expect("the server closes");
        assert!(!heard.starts_with(b"HTTP/1.1 500") && !heard.starts_with(b"HTTP/1.0 500"));
    });
});

async fn speak(place: &str, said: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(place).await.expect("the server is there");
    let mut heard = Vec::new();
    // A server that has heard enough may close at once, and what it said last is then lost.
    let _ = socket.write_all(said).await;
    let _ = socket.shutdown().await;
    let _ = socket.read_to_end(&mut heard).await;
    // The socket waits for nobody.
    let _ = socket.set_zero_linger();
    heard
}
