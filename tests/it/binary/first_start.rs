//! Starting from nothing: what is made, with which modes, what is said; and starting again.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::client::{anon, json_at};
use super::process::{Binary, Place, Process};
use crate::persona::Persona;

/// Most of a terminal's 24 lines, so that the whole guidance is seen.
const SCREEN: usize = 22;

#[test]
fn the_ready_line_is_one_line_in_the_designs_form() {
    let server = Place::new().start();
    let (port, id) = (server.port(), server.project().to_owned());
    uuid::Uuid::parse_str(&id).expect("the project's id");
    let line = format!(
        r#"{{"ready":true,"version":"{}","urls":["https://127.0.0.1:{port}"],"ca":"keystead-data/tls/ca.pem","control":"keystead-data/control.sock","projects":[{{"slug":"default","id":"{id}"}}]}}"#,
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(server.line, line);
    assert_eq!(server.stop().out, line + "\n", "nothing else is on standard output");
}

#[test]
fn everything_is_private_whatever_the_umask() {
    for umask in ["000", "077", "022"] {
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let place = Place::new().under(&["sh", "-c", &script]);
        let server = place.start();
        let mut seen = Vec::new();
        check_modes(&place.data(), &mut seen);
        seen.sort();
        let project = format!("{}.redb", server.project());
        let expected =
            ["ca.pem", "catalog.json", "control.sock", "lock", "master.key", "projects", "tls", project.as_str()];
        for name in expected {
            assert!(seen.iter().any(|found| found == name), "{name} is missing in {seen:?}");
        }
        assert_eq!(server.stop().code, Some(0));
    }
}

fn check_modes(path: &Path, seen: &mut Vec<String>) {
    let found = fs::symlink_metadata(path).expect("a file that was listed");
    let mode = found.permissions().mode() & 0o7777;
    if found.is_dir() {
        assert_eq!(format!("{mode:o}"), "700", "{}", path.display());
        for entry in fs::read_dir(path).expect("a directory of ours") {
            let entry = entry.expect("a directory of ours").path();
            seen.push(entry.file_name().expect("a name").to_string_lossy().into_owned());
            check_modes(&entry, seen);
        }
    } else {
        assert!(found.is_file() || found.file_type().is_socket(), "{}", path.display());
        assert_eq!(format!("{mode:o}"), "600", "{}", path.display());
    }
}

#[test]
fn the_guidance_fits_a_screen_and_its_curl_line_works() {
    let place = Place::new();
    let server = place.start();
    let said = server.process.err.until("correct horse");
    assert!(said.lines().count() <= SCREEN, "{said}");
    assert!(said.contains("keystead-data") && said.contains(server.project()), "{said}");
    assert!(said.contains("Not safe for strangers yet"), "{said}");
    let line = said.lines().map(str::trim).find(|line| line.starts_with("curl ")).expect("a curl line");
    let answer = Process::start(Command::new("sh").args(["-c", line]).current_dir(place.path())).ended();
    assert_eq!(answer.code, Some(0), "{line}: {answer:?}");
    let body: Value = serde_json::from_str(&answer.out).expect("JSON");
    assert_eq!(body["user"]["email"], "ada@example.com", "{body}");
    assert_eq!(body["token_type"], "Bearer", "{body}");
}

#[tokio::test]
async fn a_restart_keeps_ids_keys_certificates_and_sessions() {
    let place = Place::new();
    let first = place.start();
    let anon = anon(&first);
    let (_, session) = anon.sign_up("ada@example.com", "correct horse").await;
    let before = (first.project().to_owned(), first.ca_pem(), keys(&first).await);
    let client = first.client().build().expect("a client");
    assert_eq!(first.stop().code, Some(0));

    let second = place.start();
    // The client of before: it trusts the CA of before.
    let anon = Persona::at(client, second.url(), second.project());
    assert_eq!((second.project().to_owned(), second.ca_pem(), keys(&second).await), before);
    let ada = anon.with_token(session["access_token"].as_str().expect("an access token"));
    assert_eq!(ada.get("/me").await.status, 200);
    let refreshed = anon.post("/refresh", &json!({ "refresh_token": session["refresh_token"] })).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    assert!(!second.process.err.so_far().contains("made just now"));
}

/// The public keys of the project.
async fn keys(server: &Binary) -> Value {
    let reply = json_at(server, "/.well-known/paserk.json").await;
    assert_eq!(reply["keys"].as_array().map(Vec::len), Some(1), "{reply}");
    reply
}
