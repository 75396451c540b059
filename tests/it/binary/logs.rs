//! Where logs go must not matter to those who are served: a reader who stops, or goes away, stops nothing.

use std::io::Read;
use std::process::{ChildStderr, Stdio};

use super::client::anon;
use super::process::{Binary, Place, Process, Text};

/// Signs in and out until far more was logged than a pipe and the server's own queue hold.
async fn is_served(server: &Binary) {
    let anon = anon(server);
    let (ada, _) = anon.sign_up("ada@example.com", "correct horse").await;
    for _ in 0..200 {
        assert_eq!(ada.get("/me").await.status, 200);
    }
    let reply = anon.sign_in("ada@example.com", "correct horse").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// A server that says everything on a pipe nobody reads.
fn talkative() -> (Binary, ChildStderr) {
    let place = Place::new().set("LOG", "trace");
    let mut command = place.serve();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the executable");
    let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let process = Process::watch(child, Text::of(out), Text::default());
    (Binary::ready(process, &place), err)
}

#[tokio::test]
async fn a_log_reader_who_stops_stops_nobody() {
    let (mut server, mut pipe) = talkative();
    is_served(&server).await;
    server.process.signal(rustix::process::Signal::TERM);
    assert_eq!(server.process.code(), Some(0), "it ends though its last words are not read");
    let mut said = Vec::new();
    pipe.read_to_end(&mut said).expect("a pipe");
    assert!(said.len() > 61_440, "the pipe was full: {} bytes", said.len());
}

#[tokio::test]
async fn a_log_reader_who_goes_away_stops_nobody() {
    let (mut server, pipe) = talkative();
    drop(pipe);
    is_served(&server).await;
    server.process.signal(rustix::process::Signal::TERM);
    assert_eq!(server.process.code(), Some(0));
}

#[tokio::test]
async fn a_supervisor_who_closes_standard_output_stops_nobody() {
    let place = Place::new();
    let mut command = place.serve();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the executable");
    drop(child.stdout.take());
    let err = Text::of(child.stderr.take().expect("a pipe"));
    let mut process = Process::watch(child, Text::default(), err);
    process.err.until("correct horse");
    // The guidance comes after the ready line, which went nowhere; operators are still heard.
    assert_eq!(place.run(&["user", "list"]).code, Some(0));
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.code(), Some(0), "{}", process.err.so_far());
}
