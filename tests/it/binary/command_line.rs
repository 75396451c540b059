//! The operator's commands: the same answers from a running server and from its files, and their effect on those who
//! are signed in.

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{anon, json_at};
use super::process::{Binary, Ended, Place};
use crate::persona::Persona;

/// Every command about data, with what goes to its standard input.
const COMMANDS: [(&str, &str); 34] = [
    ("project list", ""),
    ("project show", ""),
    ("project create shop --set verification.mode=strict", ""),
    ("project create shop", ""),
    ("user list", ""),
    ("user list --project default", ""),
    ("user create grace@example.com --project default --name Grace --verified", "a long password\n"),
    ("user create grace@example.com --project default", "a long password\n"),
    ("user create alan@example.com --project default --no-password", ""),
    ("user create short@example.com --project default", "short\n"),
    ("user create silent@example.com --project default", ""),
    ("user show grace@example.com --project default", ""),
    ("user show nobody@example.com --project default", ""),
    ("user disable grace@example.com --project default", ""),
    ("user enable grace@example.com --project default", ""),
    ("user unlock grace@example.com --project default", ""),
    ("user set-role grace@example.com admin --project default", ""),
    ("user set-role grace@example.com root --project default", ""),
    ("user set-role nobody@example.com user --project default", ""),
    ("user set-password grace@example.com --project default", "another password\n"),
    ("user delete grace@example.com --project default", ""),
    ("user show grace@example.com --project default", ""),
    ("user delete grace@example.com --project default --yes", ""),
    ("session list --project default", ""),
    ("session list ada@example.com --project default", ""),
    ("session revoke --user ada@example.com --project default", ""),
    ("session revoke 00000000-0000-7000-8000-000000000000 --project default", ""),
    ("session list --project default", ""),
    ("key list --project default", ""),
    ("key rotate --overlap 1h --project default", ""),
    ("key list --project default", ""),
    ("project delete shop", ""),
    ("project delete shop --yes", ""),
    ("project show shop", ""),
];

#[tokio::test]
async fn running_and_stopped_answer_alike() {
    for json in [false, true] {
        let (live, stopped) = (transcript(true, json).await, transcript(false, json).await);
        for (index, (command, _)) in COMMANDS.iter().enumerate() {
            assert_eq!(live[index], stopped[index], "{command}");
            if json && live[index].code == Some(0) {
                assert_eq!(live[index].out.lines().count(), 1, "{command}: one line of JSON");
                serde_json::from_str::<Value>(&live[index].out).expect("JSON");
            }
        }
        let codes: Vec<_> = live.iter().map(|ended| ended.code.expect("no signal")).collect();
        let expected =
            [0, 0, 0, 1, 2, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0, 2, 1, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 1];
        assert_eq!(codes, expected, "{live:#?}");
    }
}

/// What every command answers on a server where ada is signed in, without what differs from server to server.
async fn transcript(live: bool, json: bool) -> Vec<Ended> {
    // Said, since the running one would fill in its real port.
    let place = Place::new().set("LISTEN__PUBLIC_URL", "https://auth.example.com");
    let server = place.start();
    anon(&server).sign_up("ada@example.com", "correct horse").await;
    let server = if live {
        Some(server)
    } else {
        assert_eq!(server.stop().code, Some(0));
        None
    };
    let run = |(command, input): &(&str, &str)| {
        let mut words: Vec<&str> = command.split(' ').collect();
        if json {
            words.push("--json");
        }
        let ended = place.run_with(&words, input);
        Ended { code: ended.code, out: without_particulars(&ended.out), err: without_particulars(&ended.err) }
    };
    let transcript = COMMANDS.iter().map(run).collect();
    drop(server);
    transcript
}

/// Ids, moments and key names replaced by what they are, and columns by two blanks.
fn without_particulars(text: &str) -> String {
    // Of a key, RFC 7638: 32 bytes in base64url.
    let is_thumbprint =
        |word: &str| word.len() == 43 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let part = |word: &str| {
        if Uuid::try_parse(word).is_ok() {
            "ID".to_owned()
        } else if word.starts_with("k4.pid.") || is_thumbprint(word) {
            "KID".to_owned()
        } else if word.starts_with("20") && word.contains('T') && word.ends_with('Z') {
            "MOMENT".to_owned()
        } else {
            word.to_owned()
        }
    };
    let delimiter = |c: char| !c.is_ascii_alphanumeric() && !"-._:".contains(c);
    let parts = text.split_inclusive(delimiter).map(|word| match word.char_indices().last() {
        Some((at, last)) if delimiter(last) => format!("{}{last}", part(&word[..at])),
        _ => part(word),
    });
    let mut text = parts.collect::<String>();
    while text.contains("   ") {
        text = text.replace("   ", "  ");
    }
    text
}

#[tokio::test]
async fn json_has_the_documented_fields() {
    let place = Place::new();
    let server = place.start();
    anon(&server).sign_up("ada@example.com", "correct horse").await;
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let ask = |command: &str| answer(&place, command, "");
    let projects = ask("project list");
    assert_eq!(
        (keys(&projects), keys(&projects["projects"][0])),
        (vec!["projects".into(), "next".into()], vec!["id".to_owned(), "slug".into(), "created_at".into()])
    );
    assert_eq!(projects["projects"][0]["id"], server.project());
    let user = ask("user show ada@example.com");
    let fields =
        "id number email display_name verified_at verified_by has_password role disabled_at created_at metadata";
    assert_eq!(keys(&user).join(" "), fields);
    assert_eq!(ask("user list")["users"], json!([user]));
    let sessions = ask("session list");
    assert_eq!(keys(&sessions["sessions"][0]).join(" "), "id user created_at refreshed_at expires_at ip agent");
    assert_eq!((&sessions["sessions"][0]["user"], &sessions["sessions"][0]["ip"]), (&user["id"], &json!("127.0.0.1")));
    assert_eq!(keys(&ask("key list")["keys"][0]).join(" "), "id kid algorithm created_at retires_at");
}

/// The answer of a command that succeeds.
fn answer(place: &Place, command: &str, input: &str) -> Value {
    let words: Vec<_> = command.split(' ').chain(["--json"]).collect();
    let ended = place.run_with(&words, input);
    assert_eq!(ended.code, Some(0), "{command}: {ended:?}");
    serde_json::from_str(&ended.out).expect("JSON")
}

#[tokio::test]
async fn what_an_operator_does_holds_at_the_next_request() {
    let place = Place::new().set("PROJECT__DEFAULT__LOCKOUT__FAILURES", "2");
    let server = place.start();
    let anon = anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", "correct horse").await;
    let sign_in = async |password: &str| anon.sign_in("ada@example.com", password).await;
    let signed_in = async |password: &str| -> Persona {
        let reply = sign_in(password).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        anon.with_token(reply.text_at("access_token"))
    };

    answer(&place, "user disable ada@example.com", "");
    assert_eq!(ada.get("/me").await.status, 401);
    assert_eq!(sign_in("correct horse").await.status, 401);
    answer(&place, "user enable ada@example.com", "");
    assert_eq!(ada.get("/me").await.status, 401, "its sessions ended with it");

    let (one, other) = (signed_in("correct horse").await, signed_in("correct horse").await);
    let sessions = answer(&place, "session list ada@example.com", "");
    let first = sessions["sessions"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer(&place, &format!("session revoke {first}"), ""), json!({ "revoked": 1 }));
    let statuses = [one.get("/me").await.status.as_u16(), other.get("/me").await.status.as_u16()];
    assert_eq!(statuses, [401, 200], "oldest first");

    answer(&place, "user set-password ada@example.com", "battery staple\n");
    assert_eq!(other.get("/me").await.status, 401);
    assert_eq!(sign_in("correct horse").await.status, 401);
    let ada = signed_in("battery staple").await;

    assert_eq!([sign_in("wrong 1").await.status, sign_in("wrong 2").await.status], [401, 401]);
    assert_eq!(sign_in("battery staple").await.status, 429);
    answer(&place, "user unlock ada@example.com", "");
    signed_in("battery staple").await;

    answer(&place, "key rotate", "");
    assert_eq!(json_at(&server, "/.well-known/paserk.json").await["keys"].as_array().map(Vec::len), Some(2));
    assert_eq!(ada.get("/me").await.status, 200, "signed with the key of before");
    answer(&place, "key rotate --now", "");
    assert_eq!(json_at(&server, "/.well-known/paserk.json").await["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(ada.get("/me").await.status, 401);

    let ada = signed_in("battery staple").await;
    answer(&place, "user delete ada@example.com --yes", "");
    assert_eq!(ada.get("/me").await.status, 401);
    assert_eq!(sign_in("battery staple").await.status, 401);
}

#[tokio::test]
async fn a_project_is_there_when_it_is_made_and_gone_when_it_is_deleted() {
    let place = Place::new();
    let server = place.start();
    let anon = anon(&server);
    let made = answer(&place, "project create shop", "");
    let shop = anon.in_project(made["id"].as_str());
    let (ada, _) = shop.sign_up("ada@example.com", "correct horse").await;
    assert_eq!(ada.get("/me").await.status, 200);
    assert_eq!(ada.in_project(Some(server.project())).get("/me").await.status, 401, "each project for itself");
    let refused = place.run(&["project", "delete", "shop"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("--yes"), "{refused:?}");
    assert_eq!(ada.get("/me").await.status, 200);
    answer(&place, "project delete shop --yes", "");
    assert_eq!(ada.get("/me").await.status, 404);
    let file = place.data().join("projects").join(format!("{}.redb", made["id"].as_str().expect("an id")));
    assert!(!file.exists(), "its data is gone");
    assert_eq!(restarted(server, &place).ready["projects"].as_array().map(Vec::len), Some(1));
}

fn restarted(server: Binary, place: &Place) -> Binary {
    assert_eq!(server.stop().code, Some(0));
    place.start()
}

#[test]
fn without_a_data_directory_a_command_says_what_to_do_and_makes_none() {
    let place = Place::new();
    for command in ["user list", "project create shop", "key rotate", "session list"] {
        let ended = place.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
        let expected = "error: keystead-data does not exist: run `keystead serve` first, or pass --data-dir\n";
        assert_eq!(ended.err, expected, "{command}");
    }
    assert_eq!(std::fs::read_dir(place.path()).expect("the directory").count(), 0);
}
