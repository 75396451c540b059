//! Where logs go must not matter to those who are served: a reader who stops, or goes away, stops nothing.

use std::io::Read;
use std::process::{ChildStderr, Stdio};

use super::client::anon;
use super::process::{Binary, Place, Process, Text};
use crate::operations::open_metrics::Scraped;

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
async fn a_log_reader_who_comes_back_is_told_how_much_he_missed() {
    let (server, pipe) = talkative();
    is_served(&server).await;
    let counted = Scraped::read(&server.control("/metrics").await).value("keystead_log_lines_dropped_total", &[]);
    assert!(counted > 0.0, "a pipe and the queue were full");
    let text = Text::of(pipe);
    let told = text.until("log lines were dropped: whoever reads them was too slow lines=");
    assert!(told.contains("WARN"), "{}", told.lines().last().unwrap_or_default());
}

#[tokio::test]
async fn a_request_is_found_by_its_name_in_every_line() {
    for format in ["text", "json"] {
        let server = Place::new().set("LOG", "keystead=debug").set("LOG__FORMAT", format).start();
        let anon = anon(&server);
        anon.sign_up("ada@example.com", "correct horse").await;
        let reply = anon.sign_in("ada@example.com", "in-a-body").await.expect(401);
        let name = reply.headers["x-request-id"].to_str().expect("text").to_owned();
        let text =
            server.process.err.until(&format!("{name}\n").replace('\n', if format == "json" { "\"}" } else { "\n" }));
        assert!(text.contains("sign-in failed"), "{text}");
        let second = anon.get("/me?ticket=in-a-query").await.expect(401);
        let second = second.headers["x-request-id"].to_str().expect("text").to_owned();
        server.process.err.until(&second);
        let said = server.stop().err;
        let of = |name: &str| said.lines().filter(|line| line.contains(name)).collect::<Vec<_>>().join("\n");
        let lines = of(&name);
        assert!(lines.contains("sign-in failed") && lines.contains("answered"), "{lines}");
        assert!(lines.contains("/login") && lines.contains("401"), "{lines}");
        assert!(of(&second).contains("/me"), "{said}");
        for secret in ["in-a-body", "in-a-query", "ada@example.com"] {
            let shown = said.lines().find(|line| line.contains(secret) && !line.contains("curl"));
            assert_eq!(shown.filter(|line| line.contains("request")), None);
        }
        if format == "json" {
            for line in said.lines() {
                let line: serde_json::Value = serde_json::from_str(line).expect("a line is one JSON object");
                assert!(line["level"].is_string(), "{line}");
            }
        }
    }
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
