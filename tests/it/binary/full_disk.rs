//! A full disk: reads go on, writes are refused as the dialect says, and all is well when there is space again.
//!
//! The disk is a small tmpfs in a mount namespace of the test's own, seen through `/proc/PID/root`; who is not root
//! becomes it in a user namespace.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::client::anon;
use super::process::{Binary, Ended, Place, Process};
use crate::persona::{Persona, Reply};

/// Accounts that fit into what a file may have reserved before the disk was full, at most.
const RESERVED: usize = 5000;

/// A disk that is mounted as the data directory, for those who are started in its `place` only.
struct SmallDisk {
    /// Holds the namespace, so that the disk outlives the servers.
    holder: Process,
    place: Place,
}

impl SmallDisk {
    fn new(size: &str) -> Self {
        let place = Place::new();
        let (directory, data) = (place.path().display(), place.data());
        fs::create_dir(&data).expect("a directory of ours");
        let mount = format!(
            "mount -t tmpfs -o size={size},mode=0700 tmpfs '{}' && echo mounted && exec tail -f /dev/null",
            data.display()
        );
        let root = rustix::process::geteuid().is_root();
        let mut unshare = Command::new("unshare");
        unshare.args(if root { &["-m"][..] } else { &["-r", "-m"] }).args(["sh", "-c", &mount]);
        let holder = Process::start(&mut unshare);
        assert_eq!(holder.out.until("mounted\n"), "mounted\n", "{}", holder.err.so_far());
        let (pid, enter) = (holder.pid().to_string(), format!("cd '{directory}' && exec \"$0\" \"$@\""));
        let mut wrapper = vec!["nsenter", "-t", &pid, "-m"];
        if !root {
            wrapper.extend(["-U", "--preserve-credentials"]);
        }
        wrapper.extend(["sh", "-c", &enter]);
        Self { place: place.clone().under(&wrapper), holder }
    }

    /// The working directory, as the test sees it.
    fn seen(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.pid(), self.place.path().display()))
    }

    fn start(&self) -> Binary {
        self.place.start().seen_at(self.seen())
    }

    fn filler(&self) -> PathBuf {
        self.seen().join("keystead-data/filler")
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file on the small disk");
        for chunk in [64 * 1024, 4096, 1] {
            let block = vec![0xff; chunk];
            loop {
                match file.write(&block) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).expect("the filler");
    }
}

fn is_unavailable(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.text);
    assert!(reply.body["message"].is_string(), "{}", reply.text);
    assert_eq!(reply.body["request_id"], reply.headers["x-request-id"].to_str().expect("text"), "{}", reply.text);
    let seconds = reply.headers["retry-after"].to_str().ok().and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{:?}", reply.headers);
}

#[tokio::test]
async fn reads_go_on_writes_are_503_and_it_recovers() {
    let disk = SmallDisk::new("12m");
    let server = disk.start();
    let anon = anon(&server);
    let (ada, session) = anon.sign_up("ada@example.com", "correct horse").await;
    disk.fill();

    let mut acknowledged = Vec::new();
    let refused = loop {
        let email = format!("user-{}@example.com", acknowledged.len());
        let reply = anon.post("/signup", &json!({ "email": email, "password": "correct horse" })).await;
        match reply.status.as_u16() {
            201 => acknowledged.push(email),
            _ => break reply,
        }
        assert!(acknowledged.len() < RESERVED, "the disk is never full");
    };
    is_unavailable(&refused);
    let before = json!({ "refresh_token": session["refresh_token"] });
    for (path, body) in [
        ("/signup", json!({ "email": "late@example.com", "password": "correct horse" })),
        ("/login", json!({ "email": "ada@example.com", "password": "correct horse" })),
        // Not even a wrong password is checked when it cannot be counted.
        ("/login", json!({ "email": "ada@example.com", "password": "a guess" })),
        ("/refresh", before.clone()),
    ] {
        is_unavailable(&anon.post(path, &body).await);
    }
    is_unavailable(&ada.post("/logout", &json!({})).await);
    let operator = disk.place.run(&["user", "disable", "ada@example.com"]);
    assert_eq!((operator.code, operator.out.as_str()), (Some(1), ""), "{operator:?}");
    assert!(operator.err.contains("no space left"), "{operator:?}");
    let watcher = anon.in_project(None).mounted_at("");
    let ready = watcher.get("/readyz").await.expect(503);
    assert_eq!(ready.body["checks"]["store"]["status"], "unavailable", "{}", ready.text);
    assert!(!ready.text.contains("space"), "reasons are the operator's: {}", ready.text);
    let health = server.control("/v1/health").await;
    assert!(health.contains("no space left"), "{health}");
    // What could not be stored did not happen.
    for _ in 0..20 {
        assert_eq!(ada.get("/me").await.status, 200, "reads go on");
    }

    disk.empty();
    // Nobody sends requests to a server that is not ready: it finds out by itself.
    for asked in 0.. {
        if watcher.get("/readyz").await.status == 200 {
            break;
        }
        assert!(asked < 200_000, "it does not recover");
    }
    let refreshed = until_it_recovers(&anon, "/refresh", &before).await;
    assert_eq!(refreshed["user"]["email"], "ada@example.com");
    let (late, _) = anon.sign_up("late@example.com", "correct horse").await;
    assert_eq!(late.get("/me").await.status, 200);
    for email in &acknowledged {
        let reply = anon.sign_in(email, "correct horse").await;
        assert_eq!(reply.status, 200, "{email} was acknowledged: {}", reply.text);
    }
    let out = ada.post("/logout", &json!({})).await;
    assert_eq!(out.status, 200, "{}", out.text);
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("panic"), "{}", ended.err);
}

/// The pause between two tries to write is bounded, so the number of requests needed is.
async fn until_it_recovers(anon: &Persona, path: &str, body: &Value) -> Value {
    for _ in 0..20_000 {
        let reply = anon.post(path, body).await;
        if reply.status == 200 {
            return reply.body;
        }
        is_unavailable(&reply);
    }
    panic!("it does not recover");
}

#[tokio::test]
async fn it_starts_on_a_full_disk_after_a_kill_and_recovers() {
    let disk = SmallDisk::new("12m");
    let server = disk.start();
    let (_, session) = anon(&server).sign_up("ada@example.com", "correct horse").await;
    disk.fill();
    server.kill();
    let server = disk.start();
    let anon = anon(&server);
    let ada = anon.with_token(session["access_token"].as_str().expect("a token"));
    assert_eq!(ada.get("/me").await.status, 200);
    let body = json!({ "refresh_token": session["refresh_token"] });
    is_unavailable(&anon.post("/refresh", &body).await);
    disk.empty();
    until_it_recovers(&anon, "/refresh", &body).await;
}

#[test]
fn a_first_start_on_a_full_disk_says_so() {
    let disk = SmallDisk::new("64k");
    disk.fill();
    let ended = Process::start(&mut disk.place.serve()).ended();
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    assert!(ended.err.contains("space"), "{}", ended.err);
    assert!(!ended.err.contains("panic"), "{}", ended.err);
}

#[tokio::test]
async fn a_backup_or_a_restore_without_space_leaves_nothing_behind() {
    let disk = SmallDisk::new("12m");
    let server = disk.start();
    let anon = anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", "correct horse").await;
    // Beside each file lies the mark of its opening.
    let is_file = |name: &str| name.ends_with(".redb");
    let projects = || {
        let all = fs::read_dir(disk.seen().join("keystead-data/projects")).expect("a directory");
        all.filter(|entry| is_file(&entry.as_ref().expect("an entry").file_name().to_string_lossy())).count()
    };
    let is_at_work = || fs::read_dir(disk.seen().join("keystead-data/work")).is_ok_and(|mut all| all.next().is_some());
    let has_no_space = |ended: &Ended| {
        assert!(ended.code == Some(1) && ended.err.to_lowercase().contains("no space"), "{ended:?}");
    };
    disk.fill();
    // The file itself would lie on a disk with space.
    has_no_space(&disk.place.run(&["backup", "all.tar"]));
    assert!(!disk.seen().join("all.tar").exists() && !disk.seen().join("all.tar.part").exists());
    disk.empty();
    let taken = disk.place.run(&["backup", "all.tar"]);
    assert_eq!(taken.code, Some(0), "{taken:?}");
    disk.fill();
    has_no_space(&disk.place.run(&["restore", "all.tar", "--as-new=copy"]));
    assert!(projects() == 1 && !is_at_work());
    disk.empty();
    let restored = disk.place.run(&["restore", "all.tar", "--as-new=copy"]);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(projects() == 2 && !is_at_work());
    ada.who().await.expect(200);
    server.stop();
}
