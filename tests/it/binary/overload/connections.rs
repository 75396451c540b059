//! Ten thousand connections: where so many may be had, and where a tenth of them may.

use rustix::process::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{Bystander, Strangers, address};
use crate::binary::client::connect;
use crate::binary::process::{Binary, Place};

const TEN_THOUSAND: usize = 10_000;
/// One at a time: where all tests share a process, they share its descriptors.
static TURN: Mutex<()> = Mutex::const_new(());
/// Of those, how many shake hands: the others say nothing at all.
const GREETED: usize = 1000;

/// So many connections that say nothing; the test needs as many descriptors, and says so where it cannot have them.
async fn silent(server: &Binary, count: usize) -> Vec<TcpStream> {
    keystead::net::raise_descriptor_limit();
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(descriptors > count as u64 + 1000, "this test needs {count} descriptors, and may have {descriptors}");
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        all.push(connect(server, &address(number)).await.expect("a connection"));
    }
    all
}

#[tokio::test]
async fn ten_thousand_connections_have_a_place_where_so_many_are_allowed() {
    let _turn = TURN.lock().await;
    let server = Place::new().set("LISTEN__MAX_CONNECTIONS", "12000").start();
    assert!(!server.process.err.so_far().contains("allows fewer"), "{}", server.process.err.so_far());
    let bystander = Bystander::of(&server).await;
    let silent = silent(&server, TEN_THOUSAND - GREETED).await;
    let strangers = Strangers::speaking(&server, "http/1.1");
    let mut greeted = Vec::new();
    for number in 0..GREETED {
        greeted.push(strangers.stranger(&server, &address(number)).await.expect("a handshake"));
    }
    bystander.is_served(&server).await;
    let metrics = server.control("/metrics").await;
    assert!(metrics.contains("keystead_connections_gave_way_total 0"), "{metrics}");
    drop((silent, greeted));
    bystander.survives(server, 160).await;
}

/// By default there are 1024 places. Whoever says nothing gives way to whoever comes.
#[tokio::test]
async fn ten_thousand_connections_leave_a_place_for_whoever_means_it() {
    let _turn = TURN.lock().await;
    let server = Place::new().start();
    let bystander = Bystander::of(&server).await;
    let silent = silent(&server, TEN_THOUSAND).await;
    bystander.is_served(&server).await;
    // Those that had to go were told, by the end of the connection.
    let mut byte = [0];
    let ended = silent.iter().filter(|stream| !matches!(stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)).count();
    assert!(ended >= TEN_THOUSAND - 2100, "{ended} of {TEN_THOUSAND} had an end");
    drop(silent);
    bystander.survives(server, 48).await;
}
