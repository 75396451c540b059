//! Under a supervisor such as systemd: it is told how the server does, and may hand over the sockets.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use super::client::{anon, json_at};
use super::process::{Binary, Ended, PATIENCE, Place, Process, Text};
use crate::operations::open_metrics::Scraped;

/// A supervisor's socket, in the directory of `place`.
struct Supervisor(UnixDatagram);

impl Supervisor {
    fn at(place: &Place) -> (Self, String) {
        let path = place.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket of ours");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        (Self(socket), path.display().to_string())
    }

    /// The next message.
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a message in time");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }
}

#[test]
fn it_says_when_it_is_ready_and_when_it_stops() {
    let place = Place::new();
    let (supervisor, path) = Supervisor::at(&place);
    let server = Binary::ready(Process::start(place.serve().env("NOTIFY_SOCKET", &path)), &place);
    assert_eq!(supervisor.next(), format!("READY=1\nSTATUS=1 project on {}", server.url()));
    server.process.signal(Signal::TERM);
    assert_eq!(supervisor.next(), "STOPPING=1\nSTATUS=finishing what was accepted");
    assert_eq!(server.process.ended().code, Some(0));
}

#[tokio::test]
async fn it_says_that_it_reloads_and_what_was_counted_stays() {
    let place = Place::new();
    place.write("keystead.toml", "[log]\nlevel = \"info\"\n");
    let (supervisor, path) = Supervisor::at(&place);
    let place = place.arguments(&["--config", "keystead.toml"]);
    let server = Binary::ready(Process::start(place.serve().env("NOTIFY_SOCKET", &path)), &place);
    let ready = supervisor.next();
    json_at(&server, "/healthz").await;
    let asked = [("dialect", "server"), ("route", "/healthz"), ("status", "2xx")];
    for text in ["[log]\nlevel = \"debug\"\n", "[log]\nlevel = \"loud\"\n"] {
        place.write("keystead.toml", text);
        server.process.signal(Signal::HUP);
        assert!(supervisor.next().starts_with("RELOADING=1\nMONOTONIC_USEC="), "{text}");
        assert_eq!(supervisor.next(), ready, "also when the configuration was refused");
        let page = Scraped::read(&server.control("/metrics").await);
        assert_eq!(page.value("keystead_http_requests_total", &asked), 1.0);
    }
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn it_shows_that_it_lives_while_its_writers_answer() {
    let place = Place::new();
    let (supervisor, path) = Supervisor::at(&place);
    let mut command = place.serve();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "40000");
    let server = Binary::ready(Process::start(&mut command), &place);
    let messages: Vec<_> = (0..6).map(|_| supervisor.next()).collect();
    assert_eq!(messages.iter().filter(|message| *message == "WATCHDOG=1").count(), 5, "{messages:?}");
    // A process that stands still shows no life.
    server.process.signal(Signal::STOP);
    supervisor.0.set_read_timeout(Some(Duration::from_millis(400))).expect("a time limit");
    let mut buffer = [0; 64];
    while supervisor.0.recv(&mut buffer).is_ok() {}
    server.process.signal(Signal::CONT);
    supervisor.0.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    assert_eq!(supervisor.next(), "WATCHDOG=1");
}

#[test]
fn a_supervisor_it_cannot_reach_does_not_matter_and_one_it_cannot_spell_is_told() {
    let place = Place::new();
    let server = Binary::ready(Process::start(place.serve().env("NOTIFY_SOCKET", "/nowhere/notify")), &place);
    server.process.err.until("NOTIFY_SOCKET cannot be told");
    assert_eq!(server.stop().code, Some(0));
    let ended = Process::start(place.serve().env("NOTIFY_SOCKET", format!("/{}", "x".repeat(200)))).ended();
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.starts_with("error: NOTIFY_SOCKET: "), "{}", ended.err);
}

/// Started as systemd starts what it activates: the socket as descriptor 3, `LISTEN_PID` the process's own.
fn activated(place: &Place, socket: OwnedFd, pid: &str) -> Process {
    let script = format!("exec 3<&0 0</dev/null; LISTEN_PID={pid} LISTEN_FDS=1 exec \"$0\" \"$@\"");
    let mut command = place.clone().under(&["sh", "-c", &script]).serve();
    command.stdin(Stdio::from(socket)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a shell");
    let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    Process::watch(child, Text::of(out), Text::of(err))
}

fn listener(address: &str) -> (TcpListener, String) {
    let listener = TcpListener::bind(address).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port.to_string())
}

#[tokio::test]
async fn a_socket_that_was_handed_over_serves_its_address() {
    let (listener, port) = listener("127.0.0.1:0");
    let address = format!("127.0.0.1:{port}");
    let place = Place::new().set("LISTEN__ADDRESSES", &address);
    // Held here as well: only by the handed-over socket can the server listen on that port.
    let process = activated(&place, listener.try_clone().expect("another descriptor").into(), "$$");
    let server = Binary::ready(process, &place);
    assert_eq!(server.ready["urls"], serde_json::json!([format!("https://{address}")]));
    let (ada, _) = anon(&server).sign_up("ada@example.com", "correct horse").await;
    assert_eq!(ada.get("/me").await.status, 200);
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test]
async fn a_socket_nobody_configured_is_served_besides() {
    let (listener, port) = listener("127.0.0.1:0");
    let place = Place::new();
    let server = Binary::ready(activated(&place, listener.into(), "$$"), &place);
    let urls = server.ready["urls"].as_array().expect("a list").clone();
    assert_eq!((urls.len(), urls[1].as_str()), (2, Some(format!("https://127.0.0.1:{port}").as_str())));
    for url in urls {
        let reply = server.client().build().expect("a client");
        let reply = reply.get(format!("{}/healthz", url.as_str().expect("a text"))).send().await.expect("a reply");
        assert_eq!(reply.status(), 200);
    }
}

#[test]
fn the_file_of_a_unix_socket_that_was_handed_over_is_its_maker_s() {
    let place = Place::new();
    let path = place.path().join("front.sock");
    let listener = UnixListener::bind(&path).expect("a socket of ours");
    let server = Binary::ready(activated(&place, listener.into(), "$$"), &place);
    assert_eq!(server.ready["urls"][1], format!("unix:{}", path.display()));
    assert_eq!(server.stop().code, Some(0));
    assert!(path.exists(), "systemd keeps the socket while the service is down");
}

#[test]
fn what_was_handed_to_another_process_is_left_alone() {
    let (listener, _) = listener("127.0.0.1:0");
    let place = Place::new();
    let server = Binary::ready(activated(&place, listener.into(), "1"), &place);
    assert_eq!(server.ready["urls"].as_array().map(Vec::len), Some(1));
}

#[test]
fn passwords_do_not_cross_a_network_because_of_a_socket_unit() {
    let place = Place::new().set("TLS__MODE", "off");
    let refused = |place: &Place| {
        let (listener, _) = listener("0.0.0.0:0");
        activated(place, listener.into(), "$$").ended()
    };
    let Ended { code, out, err } = refused(&place);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    // After what was logged before: a key was made.
    let said = err.lines().any(|line| line.starts_with("error: the inherited socket on 0.0.0.0:"));
    assert!(said, "{err}");
    assert!(err.contains("would send passwords in clear"), "{err}");
    let (listener, _) = listener("0.0.0.0:0");
    let behind = place.set("LISTEN__BEHIND_PROXY", "true");
    let server = Binary::ready(activated(&behind, listener.into(), "$$"), &behind);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn what_is_no_listener_is_told() {
    let place = Place::new();
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let ended = activated(&place, reader.into(), "$$").ended();
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(
        ended.err.starts_with("error: socket activation: socket 0 of LISTEN_FDS is no TCP or unix"),
        "{}",
        ended.err
    );
}
