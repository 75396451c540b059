//! The audit trail as an operator has it: shown, exported, followed and verified, with a server and without one.

use serde_json::{Value, json};

use super::client::anon;
use super::process::{Ended, Place, Process};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "right password of ada";

fn done(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.out
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A place whose server made six entries and runs still.
async fn lived_in() -> (Place, super::process::Binary) {
    let place = Place::new();
    let server = place.start();
    let anon = anon(&server);
    let (ada, _) = anon.sign_up(ADA, PASSWORD).await;
    anon.sign_in(ADA, "wrong password of eve").await.expect(401);
    anon.sign_in("nobody@example.com", "wrong password of eve").await.expect(401);
    ada.post("/logout", &json!({})).await.expect(200);
    done(place.run(&["user", "disable", ADA]));
    (place, server)
}

#[tokio::test]
async fn it_says_the_same_with_and_without_a_server() {
    let (place, server) = lived_in().await;
    let ask = |words: &[&str]| done(place.run(&[&["audit"], words].concat()));
    let questions: [&[&str]; 7] = [
        &["export"],
        &["export", "--format", "jsonl", "--address", "NOBODY@example.com"],
        &["export", "--since", "24h"],
        &["export", "--since", "2100-01-01T00:00:00Z"],
        &["tail", "-n", "3"],
        &["tail", "--json"],
        &["verify"],
    ];
    let live = questions.map(ask);
    let ended = server.stop();
    let stopped = questions.map(ask);
    assert_eq!(live, stopped);
    let [all, about, lately, never, tail, tail_json, verified] = live;

    let all = lines(&all);
    let told: Vec<_> =
        all.iter().map(|entry| ["event", "outcome", "by"].map(|key| entry[key].as_str().expect("a text"))).collect();
    let expected = [
        ["project_created", "done", "server"],
        ["signed_up", "done", "user"],
        ["sign_in_failed", "credentials", "stranger"],
        ["sign_in_failed", "credentials", "stranger"],
        ["signed_out", "done", "user"],
        ["disabled", "done", "operator"],
    ];
    assert_eq!(told, expected);
    let keys: Vec<_> = all[0].as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys.join(" "), "seq at event outcome by uid user ip request address previous hash");
    let seqs: Vec<_> = all.iter().map(|entry| entry["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    for (before, after) in all.iter().zip(&all[1..]) {
        assert_eq!(before["hash"], after["previous"]);
    }
    let by = rustix::process::geteuid().as_raw();
    assert_eq!((&all[5]["uid"], &all[5]["ip"], &all[5]["user"]), (&json!(by), &Value::Null, &all[1]["user"]));
    assert_eq!((&all[3]["user"], &all[3]["ip"]), (&Value::Null, &json!("127.0.0.1")));
    assert!(!format!("{all:?}").contains("example.com"), "no address stands in it");

    assert_eq!(lines(&about), [all[3].clone()]);
    assert_eq!((lines(&lately).len(), never.as_str()), (6, ""));
    assert_eq!(lines(&tail_json)[0]["entries"].as_array().map(Vec::len), Some(6));
    let rows: Vec<_> = tail.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(rows[0].join(" "), "SEQ AT EVENT OUTCOME BY USER FROM");
    assert_eq!((rows.len(), rows[1][0], rows[1][2], rows[1][4]), (4, "4", "sign_in_failed", "stranger"));
    assert_eq!(rows[3][2..6], ["disabled", "done", "operator", &by.to_string()]);

    // The head is in the log when the server stops, for whoever keeps the log elsewhere.
    let hash = all[5]["hash"].as_str().expect("a hash");
    assert_eq!(verified, format!("ok: each of 6 entries follows the one before\nhead: 6:{hash}\n"));
    let noted = format!(" INFO keystead::audit: head of the audit trail project=default seq=6 hash={hash}\n");
    assert!(ended.err.contains(&noted), "{}", ended.err);
}

#[tokio::test]
async fn a_head_noted_earlier_is_compared() {
    let (place, server) = lived_in().await;
    let answer: Value = serde_json::from_str(&done(place.run(&["audit", "verify", "--json"]))).expect("JSON");
    assert_eq!((&answer["ok"], &answer["entries"], &answer["first"]), (&json!(true), &json!(6), &json!(1)));
    let hash = answer["head"]["hash"].as_str().expect("a hash").to_owned();
    done(place.run(&["user", "enable", ADA]));
    let said = done(place.run(&["audit", "verify", "--expect", &format!("6:{hash}")]));
    assert!(
        said.starts_with("ok: each of 7 entries follows the one before, and goes on from the one expected\n"),
        "{said}"
    );
    for (expect, code, reason) in [
        (format!("5:{hash}"), 1, "broken at entry 5: its hash is not the one expected: the trail was rewritten"),
        (format!("8:{hash}"), 1, "broken at entry 8: it is missing: the trail ends before the entry expected"),
        (hash, 1, "write SEQ:HASH"),
    ] {
        let ended = place.run(&["audit", "verify", "--expect", &expect]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{ended:?}");
        assert!(ended.err.contains(reason), "{ended:?}");
    }
    drop(server);
}

#[tokio::test]
async fn a_follower_sees_what_is_added() {
    let (place, server) = lived_in().await;
    let follower = Process::start(&mut place.command(&["audit", "tail", "-n", "1", "--follow", "--json"]));
    follower.out.until("\"disabled\"");
    anon(&server).sign_up("grace@example.com", PASSWORD).await;
    let said = follower.out.until("\"signed_up\"");
    let seen: Vec<_> = lines(&said).iter().map(|entry| entry["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seen, [6, 7]);
    drop(follower);
    assert_eq!(server.stop().code, Some(0));
    let alone = place.run(&["audit", "tail", "--follow"]);
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(alone.err.contains("leave --follow out"), "{alone:?}");
}
