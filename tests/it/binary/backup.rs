//! `keystead backup` and `restore`: taken while the server runs or not, brought back whole or not at all; under a new id
//! nothing of the original works; what is cut off, changed or foreign changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::client::anon;
use super::export::{PASSWORD, SECRET, ok, refusing, settled, with_everything};
use super::mail;
use super::process::{Ended, Place};

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).expect("JSON")
}

#[track_caller]
fn refused(ended: &Ended, words: &str) {
    assert!(ended.code == Some(1) && ended.err.contains(words), "{words}: {ended:?}");
}

fn key_of(from: &Place, to: &Place) {
    fs::create_dir_all(to.data()).expect("a directory");
    fs::copy(from.data().join("master.key"), to.data().join("master.key")).expect("a key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_backed_up_alive_or_stopped_goes_on_elsewhere() {
    let sink = refusing().await;
    let here = settled(mail::place(&sink));
    let server = here.start();
    let held = with_everything(&here, &server, &sink).await;
    let project = server.project().to_owned();
    let live = ok(here.run(&["backup", "live.tar"]));
    assert!(
        live.out.starts_with("live.tar: 1 project, ") && live.err.contains("not in it: the master key"),
        "{live:?}"
    );
    refused(&here.run(&["backup", "live.tar"]), "is there already");
    ok(here.run(&["backup", "live.tar", "--force"]));
    assert_eq!(server.stop().code, Some(0));
    let stopped = json(&ok(here.run(&["backup", "stopped.tar", "--json"])));
    assert_eq!(stopped["backup"]["files"][0]["id"], project.as_str());
    assert_eq!(stopped["encrypted"], false);

    for name in ["live.tar", "stopped.tar"] {
        let file = here.path().join(name);
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        let file = file.to_str().expect("text");
        let checked = ok(here.run(&["restore", file, "--check"]));
        assert!(checked.out.contains("is whole: 1 project"), "{checked:?}");
        let there = settled(Place::new());
        refused(&there.run(&["restore", file]), "master key that is not in it");
        assert!(!there.data().exists(), "nothing was made");
        key_of(&here, &there);
        let told = ok(there.run(&["restore", file]));
        assert!(told.out.starts_with(&format!("project default ({project}) is as it was at ")), "{told:?}");
        let verified = ok(there.run(&["audit", "verify"]));
        assert!(verified.out.starts_with("ok: "), "{verified:?}");
        let server = there.start();
        assert_eq!(server.project(), project);
        let let_in = held.lets_in(&anon(&server)).await;
        assert!(let_in.values().all(|works| *works), "{let_in:?}");
        assert_eq!(server.stop().code, Some(0));
        assert!(!there.data().join("work").read_dir().is_ok_and(|mut all| all.next().is_some()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_new_project_nothing_of_the_original_works_in_it_and_nothing_of_it_in_the_original() {
    let sink = refusing().await;
    let place = settled(mail::place(&sink));
    let server = place.start();
    let held = with_everything(&place, &server, &sink).await;
    let original = server.project().to_owned();
    assert_eq!(server.stop().code, Some(0));
    ok(place.run(&["backup", "one.tar"]));
    let copy = json(&ok(place.run(&["restore", "one.tar", "--as-new=copy", "--json"])));
    let copy = copy["projects"][0]["id"].as_str().expect("an id").to_owned();
    assert_ne!(copy, original);
    let again = ok(place.run(&["restore", "one.tar", "--as-new"]));
    assert!(again.out.starts_with("project default-2 (") && again.out.contains(&original), "{again:?}");
    for project in ["copy", "default", "default-2"] {
        let verified = ok(place.run(&["audit", "verify", "--project", project]));
        assert!(verified.out.starts_with("ok: "), "{verified:?}");
    }

    let place = place.set("PROJECT__COPY__SECRET", SECRET).set("PROJECT__COPY__NHOST__OTP_EMAIL", "true");
    let server = place.start();
    let (there, here) = (anon(&server).in_project(Some(&copy)), anon(&server).in_project(Some(&original)));
    let let_in = held.lets_in(&there).await;
    assert!(let_in.values().all(|works| !works), "{let_in:?}");
    let let_in = held.lets_in(&here).await;
    assert!(let_in.values().all(|works| *works), "{let_in:?}");
    // Accounts and passwords are those of the original.
    let (inside, _) = there.signed_in("waiting@example.com", PASSWORD).await;
    inside.who().await.expect(200);
    inside.in_project(Some(&original)).who().await.expect(401);
    let token =
        there.speaking_nora().sign_in("nora@example.com", PASSWORD).await.expect(200).text_at("token").to_owned();
    here.speaking_nora().with_token(&token).who().await.expect(401);
    assert_eq!(json(&ok(place.run(&["mail", "list", "--json", "--project", "copy"])))["waiting"], 0);
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_that_is_there_is_replaced_only_when_that_is_said_and_its_file_is_kept() {
    let place = Place::new();
    let server = place.start();
    let anon = anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", PASSWORD).await;
    ok(place.run(&["backup", "early.tar"]));
    let (late, _) = anon.sign_up("late@example.com", PASSWORD).await;
    refused(&place.run(&["restore", "early.tar"]), "--replace puts the backup in its place");
    refused(&place.run(&["restore", "early.tar", "--project", "shop"]), "there is no project `shop` in the backup");
    late.who().await.expect(200);
    let told = json(&ok(place.run(&["restore", "early.tar", "--replace", "--json"])));
    let kept = told["projects"][0]["kept"].as_str().expect("a path");
    assert!(place.path().join(kept).exists());
    // Live, without a restart: the sessions of that day, and nobody who came later.
    ada.who().await.expect(200);
    late.who().await.expect(401);
    anon.sign_in("late@example.com", PASSWORD).await.expect(401);
    ok(place.run(&["restore", "early.tar", "--replace", "--end-sessions"]));
    ada.who().await.expect(401);
    anon.sign_in("ada@example.com", PASSWORD).await.expect(200);
    let trail = ok(place.run(&["audit", "tail"]));
    assert!(trail.out.contains("project_restored"), "{trail:?}");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn what_is_cut_off_changed_foreign_or_of_another_master_key_changes_nothing() {
    let place = Place::new();
    place.start().stop();
    ok(place.run(&["user", "create", "ada@example.com", "--generate"]));
    ok(place.run(&["backup", "good.tar"]));
    let good = fs::read(place.path().join("good.tar")).expect("a file");
    let before = files_of(&place.data().join("projects"));
    let mut wrong: Vec<(Vec<u8>, &str)> = Vec::new();
    for cut in [1, 511, 1000, 5000, good.len() / 2, good.len() - 3000] {
        wrong.push((good[..cut].to_vec(), ""));
    }
    for at in [5, 600, 4096, good.len() / 2, good.len() - 2000] {
        let mut changed = good.clone();
        changed[at] ^= 0x10;
        wrong.push((changed, ""));
    }
    wrong.push((Vec::new(), "this is no backup of Keystead"));
    wrong.push((b"PK\x03\x04 something else".repeat(100), "this is no backup of Keystead"));
    wrong.push((good[..good.len() - 3000].to_vec(), "cut off"));
    for (bytes, words) in wrong {
        fs::write(place.path().join("bad.tar"), &bytes).expect("a file");
        for arguments in [&["restore", "bad.tar", "--replace"][..], &["restore", "bad.tar", "--check"]] {
            refused(&place.run(arguments), words);
        }
        assert_eq!(files_of(&place.data().join("projects")), before);
    }

    let other = Place::new();
    other.start().stop();
    let file = place.path().join("good.tar");
    let file = file.to_str().expect("text");
    let before = files_of(&other.data().join("projects"));
    refused(&other.run(&["restore", file, "--as-new=shop"]), "sealed under another master key");
    assert_eq!(files_of(&other.data().join("projects")), before);
    let server = place.start();
    refused(&place.run(&["restore", "bad.tar", "--replace"]), "cut off");
    server.stop();
    assert!(!place.data().join("work").read_dir().is_ok_and(|mut all| all.next().is_some()));
}

#[test]
fn an_encrypted_backup_opens_for_whom_it_was_made_and_may_hold_the_master_key() {
    let place = Place::new();
    place.start().stop();
    ok(place.run(&["user", "create", "ada@example.com", "--generate"]));
    let (ours, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let write = |name: &str, identity: &age::x25519::Identity| {
        use age::secrecy::ExposeSecret;
        place.write(name, &format!("# created by nobody\n{}\n", identity.to_string().expose_secret()));
    };
    write("ours.txt", &ours);
    write("other.txt", &other);
    place.write("pass.txt", "correct horse battery\n");
    let recipient = ours.to_public().to_string();

    let refused_usage = place.run(&["backup", "x.age", "--with-master-key"]);
    assert!(refused_usage.code == Some(2) && refused_usage.err.contains("--recipient"), "{refused_usage:?}");
    let wrong = place.run(&["backup", "x.age", "--recipient", "age1nobody"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("is no recipient"), "{wrong:?}");
    ok(place.run(&["backup", "all.age", "--recipient", &recipient, "--with-master-key"]));
    ok(place.run(&["backup", "pass.age", "--passphrase-file", "pass.txt"]));

    // As the tool itself opens it.
    let bytes = fs::read(place.path().join("all.age")).expect("a file");
    let decrypted = age::decrypt(&ours, &bytes).expect("ours");
    let names: Vec<String> = tar::Archive::new(&decrypted[..])
        .entries()
        .expect("a tar")
        .map(|entry| entry.expect("an entry").path().expect("a name").display().to_string())
        .collect();
    assert_eq!(names[..2], ["master.key", "keystead-backup.json"]);
    assert!(names[2].starts_with("projects/") && names[3] == "keystead-backup.end.json", "{names:?}");

    refused(&place.run(&["restore", "all.age", "--check"]), "encrypted: give --identity FILE");
    refused(&place.run(&["restore", "all.age", "--check", "--identity", "other.txt"]), "none of the keys given opens");
    refused(&place.run(&["restore", "pass.age", "--check", "--identity", "ours.txt"]), "none of the keys given opens");
    ok(place.run(&["restore", "pass.age", "--check", "--passphrase-file", "pass.txt"]));
    let cut = place.path().join("cut.age");
    fs::write(&cut, &bytes[..bytes.len() - 10]).expect("a file");
    assert_eq!(place.run(&["restore", "cut.age", "--check", "--identity", "ours.txt"]).code, Some(1));

    // All it takes on a new machine: the file and the identity.
    let there = Place::new();
    let path = |name: &str| place.path().join(name).to_str().expect("text").to_owned();
    ok(there.run(&["restore", &path("all.age"), "--identity", &path("ours.txt")]));
    let users = ok(there.run(&["user", "list"]));
    assert!(users.out.contains("ada@example.com"), "{users:?}");
    let bare = Place::new();
    let wrong = bare.run(&["restore", &path("cut.age"), "--identity", &path("ours.txt")]);
    assert!(wrong.code == Some(1) && !bare.data().exists(), "{wrong:?}");
}

#[test]
fn a_backup_that_is_broken_off_ends_and_one_of_a_killed_server_goes_at_its_next_start() {
    let place = Place::new();
    let server = place.start();
    // What a pipe and a socket take in must not be all of it.
    let picture = "A".repeat(480_000);
    let rows: String = (0..8)
        .map(|n| {
            format!("d4e5f6a7-b8c9-4d01-a234-56789bcdef0{n},user{n}@example.com,\"data:image/png;base64,{picture}\"\n")
        })
        .collect();
    let table = place.write("large.csv", &format!("id,email,avatar\n{rows}"));
    ok(place.run(&["import", "--from", "nora", table.to_str().expect("text")]));
    let work = place.data().join("work");
    let is_at_work = || fs::read_dir(&work).is_ok_and(|mut all| all.next().is_some());
    // Nobody reads what it writes, so it gets no further than the pipe is long.
    let stalled = || {
        let child = place.command(&["backup", "-"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = child.expect("a process");
        while !is_at_work() {
            std::thread::yield_now();
        }
        child
    };
    let mut first = stalled();
    refused(&place.run(&["backup", "x.tar"]), "another backup is under way");
    assert!(!place.path().join("x.tar").exists());
    refused(&place.run(&["project", "delete", "default", "--yes"]), "try again in a moment");
    ok(place.run(&["user", "create", "ada@example.com", "--generate"]));
    first.kill().and_then(|()| first.wait()).expect("a killed process");
    while is_at_work() {
        std::thread::yield_now();
    }
    ok(place.run(&["backup", "x.tar"]));

    let mut second = stalled();
    server.kill();
    assert!(is_at_work());
    assert!(!second.wait().expect("an ended process").success());
    let server = place.start();
    assert!(!is_at_work());
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn what_a_killed_process_left_half_done_goes_at_the_next_start() {
    let place = Place::new();
    place.start().stop();
    let left = place.data().join("work/backup-0123456789abcdef");
    fs::create_dir_all(&left).expect("a directory");
    fs::write(left.join("half.redb"), b"half").expect("a file");
    let piped = ok(place.run(&["backup", "-", "--project", "default"]));
    assert!(!left.exists() && piped.err.contains("not in it"));
    assert!(place.run(&["backup", "x.tar", "--project", "nobody"]).err.contains("there is no project `nobody`"));
    assert!(!place.path().join("x.tar").exists() && !place.path().join("x.tar.part").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_takes_by_itself_is_whole_and_what_fails_is_seen_everywhere() {
    let place = Place::new().set("BACKUP__DIR", "kept");
    let mut server = place.start();
    let file = loop {
        server.process.err.until("a backup was taken");
        if let [(name, _)] = &files_of(&place.path().join("kept"))[..] {
            break name.clone();
        }
    };
    assert!(file.starts_with("keystead-20") && file.ends_with("Z.tar"), "{file}");
    ok(place.run(&["restore", &format!("kept/{file}"), "--check"]));
    let health = server.control("/v1/health").await;
    assert!(health.contains(r#""backup":{"status":"ok","detail":"the last is of "#), "{health}");
    assert!(server.control("/metrics").await.contains("keystead_backup_last_success_timestamp_seconds 1"));
    assert_eq!(server.stop().code, Some(0));
    // What is there is known after a restart.
    server = place.start();
    let doctor = ok(place.run(&["doctor"]));
    assert!(!doctor.out.contains("backup in"), "{doctor:?}");
    assert_eq!(server.stop().code, Some(0));
    assert_eq!(files_of(&place.path().join("kept")).len(), 1);

    let wrong = place.clone().set("BACKUP__RECIPIENTS", "age1nobody").serve();
    let wrong = super::process::Process::start(&mut { wrong }).ended();
    assert!(wrong.code == Some(78) && wrong.err.contains("is no public key of age"), "{wrong:?}");

    place.write("in-the-way", "");
    let place = place.set("BACKUP__DIR", "in-the-way/kept");
    let server = place.start();
    server.process.err.until("a backup failed");
    let health = server.control("/v1/health").await;
    assert!(
        health.contains(r#""backup":{"status":"degraded","detail":"none was taken yet; the last attempt"#),
        "{health}"
    );
    let doctor = place.run(&["doctor"]);
    assert!(doctor.out.contains("the last backup failed: "), "{doctor:?}");
    assert_eq!(server.stop().code, Some(0));
}

fn files_of(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|file| {
            let file = file.expect("an entry");
            (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).expect("a file"))
        })
        .collect();
    files.sort();
    files
}
