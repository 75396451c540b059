//! `cp` of a project file while a server writes it: served from the copy it is right, or refused as torn; never half.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::client::anon;
use super::process::{Binary, Place, Process};
use crate::persona::Persona;

/// Copies that are made one after the other.
const COPIES: usize = 8;
/// Accounts there are before the first.
const ACCOUNTS: usize = 40;

fn email(number: usize) -> String {
    format!("user-{number}@example.com")
}

/// Signs accounts up until it is told to stop; `done` are acknowledged.
async fn sign_up(anon: Persona, done: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let number = done.load(Ordering::Relaxed);
        let reply = anon.post("/signup", &json!({ "email": email(number), "password": "correct horse" })).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        done.store(number + 1, Ordering::Release);
    }
}

/// Copies a file as `cp` does where others are at work too: a little at a time.
fn copy_slowly(from: &std::path::Path, to: &std::path::Path, done: &AtomicUsize) {
    let (bytes, mut to) = (fs::metadata(from).expect("a file").len(), fs::File::create(to).expect("a file"));
    let from = fs::File::open(from).expect("a file");
    let mut piece = vec![0; 64 << 10];
    for at in (0..bytes).step_by(piece.len()) {
        let count = std::os::unix::fs::FileExt::read_at(&from, &mut piece, at).expect("a file that can be read");
        to.write_all(&piece[..count]).expect("space");
        let seen = done.load(Ordering::Acquire);
        while done.load(Ordering::Acquire) == seen {
            std::thread::yield_now();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_file_in_use_is_right_or_refused_as_torn() {
    let place = Place::new();
    let server = place.start();
    let file = format!("projects/{}.redb", server.project());
    let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn(sign_up(anon(&server), Arc::clone(&done), Arc::clone(&stop)));
    let mut copies = Vec::new();
    while copies.len() < COPIES {
        let copied = Place::new();
        fs::create_dir_all(copied.data().join("projects")).expect("a directory of ours");
        fs::copy(place.data().join("master.key"), copied.data().join("master.key")).expect("a key");
        let (from, to, counter) = (place.data().join(&file), copied.data().join(&file), Arc::clone(&done));
        let acknowledged = tokio::task::spawn_blocking(move || {
            while counter.load(Ordering::Acquire) < ACCOUNTS {
                std::thread::yield_now();
            }
            let acknowledged = counter.load(Ordering::Acquire);
            copy_slowly(&from, &to, &counter);
            acknowledged
        });
        copies.push((copied, acknowledged.await.expect("a copy")));
    }
    stop.store(true, Ordering::Relaxed);
    writing.await.expect("a client");

    let mut refused = 0;
    for (copied, acknowledged) in copies {
        let mut process = Process::start(&mut copied.serve());
        if process.out.until("\n").is_empty() {
            refused += 1;
            assert_eq!(process.code(), Some(1));
            let said = process.err.whole();
            assert!(said.contains("torn") && said.contains("keystead backup") && said.contains(&file), "{said}");
            continue;
        }
        let served = Binary::ready(process, &copied);
        for number in 0..acknowledged {
            let reply = anon(&served).sign_in(&email(number), "correct horse").await;
            assert_eq!(reply.status, 200, "account {number} of {acknowledged}: {}", reply.text);
        }
        assert_eq!(served.stop().code, Some(0));
    }
    println!("{refused} of {COPIES} were torn");

    // In its place it is what it was, whatever becomes of the process.
    server.kill();
    let again = place.start();
    for number in 0..done.load(Ordering::Acquire) {
        assert_eq!(anon(&again).sign_in(&email(number), "correct horse").await.status, 200, "account {number}");
    }
    let ended = again.stop();
    assert!(!ended.err.contains("checked every page"), "{}", ended.err);
}
