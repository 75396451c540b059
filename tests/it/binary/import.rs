//! `keystead import`: accounts of another product, into a running server and a stopped one, again after an end, and what
//! is said of lines that are wrong.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::client::anon;
use super::process::{Ended, Place};

/// bcrypt of `U*U`: John the Ripper's vector.
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const ADA: &str = "d4e5f6a7-b8c9-4d01-a234-56789bcdef01";

/// A table of users as psql writes it: NULL is nothing, a name has a comma and a line end, one account has no password.
fn csv() -> String {
    format!(
        "id,email,password_hash,role,name,avatar,provider,provider_id,preferred_locale,created_at\n\
         {ADA},ada@example.com,{HASH},admin,\"Smith, Ada\",\"data:image/png;base64,AAAA\",,,fr,2025-01-15 10:30:00.123+00\n\
         d4e5f6a7-b8c9-4d01-a234-56789bcdef02,bob@example.com,,user,\"Bob\nthe builder\",,google,117,,2025-01-16T10:30:00Z\n"
    )
}

fn import(place: &Place, name: &str, text: &str, more: &[&str]) -> (Ended, Value) {
    let file = place.write(name, text);
    let file = file.to_str().expect("text");
    let ended = place.run(&[&["import", "--from", "nora", file, "--json"], more].concat());
    let told = serde_json::from_str(&ended.out).unwrap_or_default();
    (ended, told)
}

fn tally(told: &Value) -> [u64; 3] {
    ["made", "present", "skipped"].map(|name| told[name].as_u64().expect("a count"))
}

#[tokio::test]
async fn accounts_keep_their_id_role_name_picture_and_password() {
    for live in [true, false] {
        let place = Place::new();
        let mut server = Some(place.start());
        if !live {
            assert_eq!(server.take().expect("a server").stop().code, Some(0));
        }
        let (ended, told) = import(&place, "users.csv", &csv(), &[]);
        assert_eq!((ended.code, tally(&told)), (Some(0), [2, 0, 0]), "{}", ended.err);
        let server = server.unwrap_or_else(|| place.start());
        let anon = anon(&server).speaking_nora();
        for _ in 0..2 {
            // The second time with the hash that replaced it.
            let token = anon.sign_in("ada@example.com", "U*U").await.expect(200).text_at("token").to_owned();
            let me = anon.with_token(&token).get("/me").await.expect(200).body;
            assert_eq!(
                me,
                json!({
                    "id": ADA, "email": "ada@example.com", "name": "Smith, Ada", "role": "admin", "provider": null,
                    "avatar": "data:image/png;base64,AAAA", "preferredLocale": "fr", "defaultLocale": "en",
                    "effectiveLocale": "fr", "created_at": "2025-01-15T10:30:00.123Z",
                })
            );
        }
        let bob = anon.sign_in("bob@example.com", "U*U").await.expect(401);
        assert!(bob.text_at("error").contains("uses OAuth login"));
        // Who was deleted does not come back with the next run.
        assert_eq!(place.run(&["user", "delete", "ada@example.com", "--yes"]).code, Some(0));
        let (ended, told) = import(&place, "users.csv", &csv(), &[]);
        assert_eq!((ended.code, tally(&told)), (Some(0), [0, 2, 0]), "{}", ended.err);
        anon.sign_in("ada@example.com", "U*U").await.expect(401);
        assert_eq!(server.stop().code, Some(0));
    }
}

#[tokio::test]
async fn json_lines_say_the_same() {
    let place = Place::new();
    let server = place.start();
    let lines = format!(
        "{}\n\n{}\n",
        json!({ "id": ADA, "email": "Ada@Example.com", "password_hash": HASH, "role": "admin", "name": null, "extra": [1] }),
        json!({ "email": "bob@example.com", "passwordHash": HASH }),
    );
    let (ended, told) = import(&place, "users.jsonl", &lines, &["--verified"]);
    assert_eq!((ended.code, tally(&told)), (Some(0), [2, 0, 0]), "{}", ended.err);
    let anon = anon(&server).speaking_nora();
    for (email, role) in [("ada@example.com", "admin"), ("bob@example.com", "user")] {
        let token = anon.sign_in(email, "U*U").await.expect(200).text_at("token").to_owned();
        assert_eq!(anon.with_token(&token).get("/me").await.expect(200).text_at("role"), role);
    }
    let shown = place.run(&["user", "show", "bob@example.com", "--json"]);
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!((&shown["verified_by"], &shown["role"]), (&json!("operator"), &json!("user")));
}

/// Wrong lines of every kind, in their places.
fn wrong() -> String {
    let id = |last: u8| format!("d4e5f6a7-b8c9-4d01-a234-56789bcdef{last:02}");
    format!(
        "id,email,password_hash,role,name,avatar,created_at\n\
         {},one@example.com,{HASH},user,One,,\n\
         {},not an address,{HASH},user,Two,,\n\
         {},three@example.com,plain text,user,Three,,\n\
         too,few\n\
         {},five@example.com,{HASH},root,Five,,\n\
         7,six@example.com,{HASH},user,Six,,\n\
         {},seven@example.com,{HASH},user,Seven,javascript:x,\n\
         {},eight@example.com,{HASH},user,Eight,,yesterday\n\
         {},nine@example.com,{HASH},user,Nine,,\n",
        id(1),
        id(2),
        id(3),
        id(5),
        id(7),
        id(8),
        id(9),
    )
}

#[test]
fn wrong_lines_end_it_or_are_left_out_and_named() {
    let place = Place::new();
    assert_eq!(place.start().stop().code, Some(0));
    let (ended, told) = import(&place, "wrong.csv", &wrong(), &[]);
    assert_eq!((ended.code, tally(&told), &told["complete"]), (Some(1), [0, 0, 0], &json!(false)));
    // The first one that cannot even be read.
    assert!(ended.err.contains("line 5: it has 2 fields, the header 7"), "{}", ended.err);
    let (ended, told) = import(&place, "wrong.csv", &wrong(), &["--skip-invalid"]);
    assert_eq!((ended.code, tally(&told), &told["complete"]), (Some(0), [2, 0, 7], &json!(true)), "{}", ended.err);
    let mut lines: Vec<_> =
        told["skipped_lines"].as_array().expect("a list").iter().map(|one| one["line"].clone()).collect();
    lines.sort_by_key(Value::as_u64);
    assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9].map(Value::from));
    for (line, reason) in [(3, "address"), (4, "password"), (6, "role"), (7, "UUID"), (8, "picture"), (9, "time")] {
        let told = ended.err.lines().find(|said| said.contains(&format!("line {line} "))).expect("named");
        assert!(told.contains(reason), "{told}");
    }
    // No secret of a line is repeated.
    assert!(!ended.err.contains("plain text") && !ended.err.contains("CCCC"));
    let (ended, told) = import(&place, "wrong.csv", &wrong(), &["--skip-invalid"]);
    assert_eq!((ended.code, tally(&told)), (Some(0), [0, 2, 7]), "again: nothing twice");
}

/// An import that ended goes on where it was, and tells how far it came.
#[test]
fn an_import_that_ended_goes_on() {
    let place = Place::new();
    assert_eq!(place.start().stop().code, Some(0));
    let mut text = String::from("email,password_hash\n");
    for number in 0..2500 {
        let hash = if number == 2300 { "rubbish" } else { HASH };
        writeln!(text, "user{number}@example.com,{hash}").expect("text");
    }
    let (ended, told) = import(&place, "users.csv", &text, &[]);
    assert_eq!((ended.code, tally(&told)), (Some(1), [2000, 0, 0]), "two batches of 1000; the third has a wrong line");
    assert!(ended.err.contains("line 2302: the password"), "{}", ended.err);
    let (ended, told) = import(&place, "users.csv", &text.replace("rubbish", HASH), &[]);
    assert_eq!((ended.code, tally(&told)), (Some(0), [500, 2000, 0]), "{}", ended.err);
}

#[test]
fn what_is_no_table_of_users_is_told() {
    let place = Place::new();
    assert_eq!(place.start().stop().code, Some(0));
    for (name, text, reason) in [
        ("users.csv", "name,role\nAda,user\n", "names no column `email`"),
        ("users.txt", "email\nada@example.com\n", "--format"),
        ("users.jsonl", "[1]\n", "line 1: it is no JSON object"),
    ] {
        let (ended, _) = import(&place, name, text, &[]);
        assert_eq!(ended.code, Some(1), "{name}");
        assert!(ended.err.contains(reason), "{name}: {}", ended.err);
    }
    let (ended, _) = import(&place, "more.txt", "email\nada@example.com\n", &["--format", "csv"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
}
