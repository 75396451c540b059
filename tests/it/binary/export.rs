//! `keystead export` and `import`: whatever a project holds goes on elsewhere as it was, under another master key; without
//! the secrets, or under a new id, nothing that was issued before works; a wrong file changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::anon;
use super::import_nhost::{PERSONAL, TOKENS, tables};
use super::mail;
use super::process::{Binary, Ended, Place};
use crate::mail_server::sink::{At, Fault, Manner, Sink};
use crate::persona::Persona;

pub(super) const PASSWORD: &str = "correct horse";
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What somebody holds who was let in.
pub(super) struct Held {
    noma: String,
    noma_refresh: String,
    nora: String,
    nhost: String,
    nhost_refresh: String,
    api_key: String,
    personal: String,
}

pub(super) fn settled(place: Place) -> Place {
    place
        .set("PROJECT__DEFAULT__SECRET", SECRET)
        // Tokens for other services name it as their issuer, so it moves along.
        .set("LISTEN__PUBLIC_URL", "https://auth.example.com")
        .set("PROJECT__DEFAULT__VERIFICATION__MODE", "lenient")
        .set("PROJECT__DEFAULT__LOCKOUT__FAILURES", "2")
        .set("PROJECT__DEFAULT__NHOST__OTP_EMAIL", "true")
}

/// A project with something of everything in it, and what its users hold.
pub(super) async fn with_everything(place: &Place, server: &Binary, sink: &Sink) -> Held {
    tables(place);
    ok(place.run(&["import", "--from", "nhost", "."]));
    let anon = anon(server);
    let (_, first) = anon.sign_up("refused@example.com", PASSWORD).await;
    while listed(place, true)["dead"] != 1 {}
    sink.behave(|manner| manner.fault = Some((At::Recipient, Fault::reply("451 4.3.0 later"))));
    let (user, _) = anon.sign_up("waiting@example.com", PASSWORD).await;
    while listed(place, false)["items"][0]["last_error"].is_null() {}
    let key = json!({ "name": "CI", "scopes": ["content:read"], "expires_at": "2125-02-01" });
    let api_key = user.post("/api-keys", &key).await.expect(201).text_at("plain_text_key").to_owned();

    let nora = anon.speaking_nora();
    nora.try_sign_up("nora@example.com", PASSWORD).await.expect(200);
    let token = nora.sign_in("ada@example.com", "U*U").await.expect(200).text_at("token").to_owned();
    let picture = json!({ "name": "Ada", "avatar": format!("data:image/png;base64,{}", "A".repeat(1000)) });
    nora.with_token(&token).patch("/profile", &picture).await.expect(200);

    let nhost = anon.speaking_nhost();
    let metadata = json!({ "z": 1.0, "a": 1e30, "n": { "b": -0.0, "é": "\u{2028}" } });
    let body = json!({ "email": "lin@example.com", "password": PASSWORD, "options": { "metadata": metadata } });
    let session = nhost.post("/signup/email-password", &body).await.expect(200).body["session"].clone();
    let lin = nhost.with_token(text(&session, "accessToken"));
    let pat = lin.post("/pat", &json!({ "expiresAt": "2125-02-01T00:00:00Z", "metadata": { "name": "CI" } })).await;
    let refreshed = nhost.post("/token", &json!({ "refreshToken": session["refreshToken"] })).await.expect(200).body;

    nhost.post("/signin/otp/email", &json!({ "email": "lin@example.com" })).await.expect(200);
    for _ in 0..2 {
        anon.sign_in("locked@example.com", "a wrong one").await;
    }
    anon.sign_in("bob@example.com", "a wrong one").await.expect(401);
    ok(place.run(&["user", "create", "gone@example.com", "--generate"]));
    ok(place.run(&["user", "delete", "gone@example.com", "--yes"]));
    ok(place.run(&["key", "rotate"]));
    Held {
        noma: text(&first, "access_token").to_owned(),
        noma_refresh: text(&first, "refresh_token").to_owned(),
        nora: token,
        nhost: text(&refreshed, "accessToken").to_owned(),
        nhost_refresh: text(&refreshed, "refreshToken").to_owned(),
        api_key,
        personal: pat.expect(200).text_at("personalAccessToken").to_owned(),
    }
}

impl Held {
    /// Which of it lets in here.
    pub(super) async fn lets_in(&self, anon: &Persona) -> BTreeMap<&'static str, bool> {
        let (nora, nhost) = (anon.speaking_nora(), anon.speaking_nhost());
        let refreshes = async |token: &str| nhost.post("/token", &json!({ "refreshToken": token })).await.status == 200;
        let pat =
            async |token: &str| nhost.post("/signin/pat", &json!({ "personalAccessToken": token })).await.status == 200;
        let verify = json!({ "key": self.api_key });
        BTreeMap::from([
            ("noma", anon.with_token(&self.noma).who().await.status == 200),
            ("nora", nora.with_token(&self.nora).who().await.status == 200),
            ("nhost", nhost.with_token(&self.nhost).who().await.status == 200),
            ("api key", anon.with_token(SECRET).post("/api-keys/verify", &verify).await.status == 200),
            ("personal", pat(&self.personal).await),
            ("brought personal", pat(PERSONAL.0).await),
            ("noma refresh", anon.refresh(&self.noma_refresh).await.status == 200),
            ("nhost refresh", refreshes(&self.nhost_refresh).await),
            ("brought refresh", refreshes(TOKENS[0].0).await),
        ])
    }
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().expect("a text")
}

#[track_caller]
pub(super) fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    ended
}

fn listed(place: &Place, dead: bool) -> Value {
    let words: &[&str] = if dead { &["mail", "list", "--json", "--dead"] } else { &["mail", "list", "--json"] };
    serde_json::from_str(&ok(place.run(words)).out).expect("JSON")
}

/// The lines of a file but for the moment it was written at, and what follows from that.
fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a file");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}

fn kinds(lines: &[String]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for line in lines {
        let line: Value = serde_json::from_str(line).expect("JSON");
        *kinds.entry(text(&line, "type").to_owned()).or_default() += 1;
    }
    kinds
}

pub(super) async fn refusing() -> Sink {
    let fault = Some((At::Recipient, Fault::reply("550 5.1.1 no such user")));
    Sink::start(Manner { auth: "PLAIN CRAM-MD5", fault, ..Manner::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_secrets_everything_goes_on_elsewhere_as_it_was() {
    let sink = refusing().await;
    let here = settled(mail::place(&sink));
    let server = here.start();
    let held = with_everything(&here, &server, &sink).await;
    let (file, project) = (here.path().join("all.jsonl"), server.project().to_owned());
    let name = file.to_str().expect("text");
    let live = ok(here.run(&["export", name, "--with-secrets"]));
    assert!(live.err.contains("WARNING") && live.out.contains("1 project, "), "{live:?}");
    let before = lines_of(&file);
    assert_eq!(server.stop().code, Some(0));

    let every = [
        "api_key",
        "audit",
        "code",
        "cooldown",
        "dead_letter",
        "device",
        "gone_user",
        "identity",
        "lockout_account",
        "lockout_client",
        "one_time",
        "outbox",
        "personal_token",
        "project",
        "rate",
        "refresh_secret",
        "session",
        "signing_key",
        "user",
    ];
    assert_eq!(kinds(&before).into_keys().collect::<Vec<_>>(), every);

    for live in [false, true] {
        let there = settled(Place::new());
        let mut server = Some(there.start());
        assert_ne!(server.as_ref().expect("a server").project(), project);
        if !live {
            assert_eq!(server.take().expect("a server").stop().code, Some(0));
        }
        let looked = ok(there.run(&["import", name, "--dry-run"]));
        assert!(looked.out.contains("could be imported"), "{}", looked.out);
        let told = ok(there.run(&["import", name]));
        assert!(told.out.contains("imported") && !told.out.contains("left out"), "{}", told.out);
        let again = there.path().join("again.jsonl");
        ok(there.run(&["export", again.to_str().expect("text"), "--with-secrets"]));
        assert_eq!(lines_of(&again), before);
        let verified = ok(there.run(&["audit", "verify"]));
        assert!(verified.out.starts_with("ok: "), "{}", verified.out);
        // A server that runs serves it from now on; its first line named the one that had its place.
        let server = server.unwrap_or_else(|| there.start());
        assert_eq!(server.project() == project, !live);
        let anon = anon(&server).in_project(Some(&project));
        let let_in = held.lets_in(&anon).await;
        assert!(let_in.values().all(|works| *works), "{let_in:?}");
        // What stood against somebody stands.
        anon.sign_in("locked@example.com", PASSWORD).await.expect(429);
        anon.speaking_nora().sign_in("ada@example.com", "U*U").await.expect(200);
        let twice = there.run(&["import", name]);
        assert!(twice.code == Some(1) && twice.err.contains("is here already and has accounts"), "{twice:?}");
        assert_eq!(server.stop().code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_secrets_or_under_a_new_id_nothing_issued_before_works() {
    let sink = refusing().await;
    let here = settled(mail::place(&sink));
    let server = here.start();
    let held = with_everything(&here, &server, &sink).await;
    ok(here.run(&["export", "plain.jsonl"]));
    ok(here.run(&["export", "secret.jsonl", "--with-secrets"]));
    let plain = fs::read_to_string(here.path().join("plain.jsonl")).expect("a file");
    assert!(!plain.contains("\"refresh_secret\"") && !plain.contains("\"signing_key\""));

    // Beside the original, as another project.
    let told = ok(here.run(&["import", "secret.jsonl", "--new-id", "--slug", "copy", "--json"]));
    let told: Value = serde_json::from_str(&told.out).expect("JSON");
    let copy = text(&told["projects"][0], "id").to_owned();
    let left: Vec<_> = told["projects"][0]["left_out"].as_object().expect("counts").keys().cloned().collect();
    let behind =
        ["api_key", "dead_letter", "one_time", "outbox", "personal_token", "refresh_secret", "session", "signing_key"];
    assert!(behind.iter().all(|kind| left.contains(&(*kind).to_owned())), "{left:?}");
    let (old, new) = (anon(&server), anon(&server).in_project(Some(&copy)));
    let let_in = held.lets_in(&new).await;
    assert!(let_in.values().all(|works| !works), "{let_in:?}");
    let nora = new.speaking_nora().sign_in("ada@example.com", "U*U").await.expect(200).text_at("token").to_owned();
    assert_eq!(old.speaking_nora().with_token(&nora).who().await.status, 401);
    assert!(ok(here.run(&["audit", "verify", "--project", "copy"])).out.starts_with("ok: "));
    let let_in = held.lets_in(&old).await;
    assert!(let_in.values().all(|works| *works), "the original goes on: {let_in:?}");
    assert_eq!(server.stop().code, Some(0));

    // Without the secrets: passwords and keys work, what hung on the secrets does not.
    let there = settled(Place::new());
    let server = there.start();
    let file = here.path().join("plain.jsonl");
    let told = ok(there.run(&["import", file.to_str().expect("text")]));
    assert!(told.out.contains("left out") && told.out.contains("session"), "{}", told.out);
    assert_eq!(server.stop().code, Some(0));
    let server = there.start();
    let let_in = held.lets_in(&anon(&server)).await;
    let works: Vec<_> = let_in.iter().filter(|(_, works)| **works).map(|(what, _)| *what).collect();
    assert_eq!(works, ["api key", "brought personal", "personal"]);
    anon(&server).speaking_nora().sign_in("ada@example.com", "U*U").await.expect(200);
    assert_eq!(server.stop().code, Some(0));
}

fn projects(place: &Place) -> Vec<String> {
    let dir = fs::read_dir(place.data().join("projects")).expect("a directory");
    let mut names: Vec<_> =
        dir.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// A file of `count` accounts.
fn accounts(count: usize) -> String {
    let mut text = String::from(
        "{\"type\":\"keystead\",\"format\":1,\"version\":\"0.1.0\",\"exported_at\":\"2026-01-01T00:00:00.000Z\",\"secrets\":false}\n",
    );
    text.push_str(&format!(
        "{{\"type\":\"project\",\"id\":\"00000000-0000-7000-8000-00000000aaaa\",\"slug\":\"many\",\"created_at\":\"2026-01-01T00:00:00.000Z\",\"last_user_number\":{count},\"last_api_key_number\":0,\"audit\":{{\"first\":1,\"before\":\"{}\"}}}}\n",
        "0".repeat(64)
    ));
    for number in 1..=count {
        text.push_str(&format!(
            "{{\"type\":\"user\",\"id\":\"00000000-0000-7000-8000-{number:012x}\",\"number\":{number},\"email\":\"user{number}@example.com\",\"password\":\"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\",\"role\":\"user\",\"is_anonymous\":false,\"created_at\":\"2026-01-01T00:00:00.000Z\"}}\n"
        ));
    }
    text.push_str("{\"type\":\"end\"}\n");
    text
}

#[test]
fn a_wrong_file_changes_nothing_and_every_wrong_line_is_told() {
    let place = Place::new();
    let server = place.start();
    let before = projects(&place);
    let unreadable = place.run(&["import", "keystead-data"]);
    assert!(unreadable.code == Some(1) && unreadable.err.contains("it cannot be read to its end: Is a directory"));
    let good = accounts(3);
    let lines: Vec<&str> = good.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let user = |from: usize, what: &str, with: &str| good.replace(lines[from], &lines[from].replace(what, with));
    for (name, text, reasons) in [
        ("foreign", "email,password\nada@example.com,x\n".to_owned(), vec!["line 1: this is no file that"]),
        ("truncated", joined(&lines[..3]), vec!["line 4: it ends early"]),
        ("cut in a line", good[..good.len() / 2].to_owned(), vec!["it ends early"]),
        (
            "a line twice",
            joined(&[&lines[..4], &lines[3..]].concat()),
            vec!["line 5: `number`: another account has it"],
        ),
        ("an address twice", user(3, "user2@", "User1@"), vec!["line 4: there is an account with this address"]),
        (
            "several",
            user(2, "\"role\":\"user\"", "\"role\":\"king\"").replace("user3@example.com", "nobody"),
            vec!["line 3: `role`: write one of user, admin", "line 5: `email`: that is no valid address"],
        ),
        (
            "a session of nobody",
            good.replace(
                lines[5],
                &format!("{{\"type\":\"gone_user\",\"id\":\"00000000-0000-7000-8000-000000000001\"}}\n{}", lines[5]),
            ),
            vec!["line 6: this id stands twice"],
        ),
        ("before a project", joined(&[lines[0], lines[2], lines[5]]), vec!["line 2: no project stands before"]),
        ("a slug", user(1, "\"many\"", "\"Many!\""), vec!["line 2: project `Many!`"]),
        (
            "unknown settings",
            user(1, "\"slug\"", "\"settings\":\"colour = 1\",\"slug\""),
            vec!["line 2: project `many`"],
        ),
        ("nothing", String::new(), vec!["line 1: it is empty"]),
    ] {
        place.write("wrong.jsonl", &text);
        let ended = place.run(&["import", "wrong.jsonl"]);
        assert_eq!(ended.code, Some(1), "{name}: {}", ended.out);
        for reason in reasons {
            assert!(ended.err.contains(reason), "{name}: {}", ended.err);
        }
        assert!(ended.err.contains("nothing was changed") && !ended.err.contains("CCCC"), "{}", ended.err);
        assert_eq!(projects(&place), before, "{name}");
    }
    // Many wrong lines: so many are told, and then no more.
    place.write("wrong.jsonl", &accounts(500).replace("\"role\":\"user\"", "\"role\":\"king\""));
    let ended = place.run(&["import", "wrong.jsonl"]);
    assert_eq!(ended.err.matches("line ").count(), 100, "{}", ended.err);
    // And from standard input, right.
    let told = ok(place.run_with(&["import", "-"], &good));
    assert!(told.out.contains("project many") && told.out.contains("3 user"), "{}", told.out);
    let unknown = place.run_with(&["import", "-", "--project", "other"], &good);
    assert!(unknown.err.contains("there is no project `other` in it"), "{}", unknown.err);
    assert_eq!(server.stop().code, Some(0));
}

/// A whole file with secrets, wrong in a way that no line shows by itself.
#[tokio::test]
async fn keys_trail_and_owners_must_fit() {
    let place = Place::new();
    let server = place.start();
    anon(&server).sign_up("ada@example.com", PASSWORD).await;
    let text = ok(place.run(&["export", "-", "--with-secrets"])).out;
    ok(place.run(&["project", "delete", "default", "--yes"]));
    let lines: Vec<&str> = text.lines().collect();
    // The `end` as whoever edits on purpose writes it.
    let edited = |change: &dyn Fn(&str) -> Option<String>| {
        let body = lines[..lines.len() - 1].iter().filter_map(|line| change(line));
        body.chain(["{\"type\":\"end\"}".to_owned()]).map(|line| line + "\n").collect::<String>()
    };
    let is = |line: &str, kind: &str| line.starts_with(&format!("{{\"type\":\"{kind}\""));
    let without = |kind: &str| edited(&|line| (!is(line, kind)).then(|| line.to_owned()));
    let with = |from: &str, to: &str| edited(&|line| Some(line.replace(from, to)));
    for (name, text, reason) in [
        ("no secret", without("refresh_secret"), "a project without a refresh secret"),
        ("no keys", without("signing_key"), "is not whole"),
        ("no account", without("user"), "no account with the id `user` stands before it"),
        ("no entry", edited(&|line| (!line.contains("\"seq\":1,")).then(|| line.to_owned())), "does not follow"),
        (
            "another event",
            with("signed_up", "signed_in"),
            "does not follow the one before, or is not what its hash says",
        ),
        ("another key", with("\"EdDSA\"", "\"RS256\""), "`key`: that is no such key"),
        ("no algorithm", with("\"EdDSA\"", "\"none\""), "`algorithm`: write EdDSA"),
        ("another carrier", with("\"pair\"", "\"pigeon\""), "`carrier`: write one of pair"),
    ] {
        let ended = place.run_with(&["import", "-"], &text);
        assert!(ended.code == Some(1) && ended.err.contains(reason), "{name}: {ended:?}");
        assert!(projects(&place).is_empty(), "{name}");
    }
    ok(place.run_with(&["import", "-"], &text));
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn of_several_projects_one_is_taken_and_what_the_configuration_says_of_it_holds() {
    let place = Place::new();
    assert_eq!(place.start().stop().code, Some(0));
    for slug in ["blog", "shop"] {
        ok(place.run(&["project", "create", slug, "--set", &format!("hosts={slug}.example")]));
        ok(place.run(&["user", "create", "ada@example.com", "--generate", "--project", slug]));
    }
    let all = ok(place.run(&["export", "-"])).out;
    assert_eq!(ok(place.run(&["export", "-", "--project", "shop", "--project", "blog"])).out.lines().count(), 10);
    let there = Place::new();
    assert_eq!(there.start().stop().code, Some(0));
    let several = there.run_with(&["import", "-", "--slug", "new"], &all);
    assert!(several.err.contains("several projects"), "{several:?}");
    // Its hosts come along, and nobody else may have them.
    ok(there.run(&["project", "create", "other", "--set", "hosts=shop.example"]));
    let claimed = there.run_with(&["import", "-", "--project", "shop"], &all);
    assert!(claimed.err.contains("both claim the host shop.example"), "{claimed:?}");
    let told = ok(there.run_with(&["import", "-", "--project", "blog", "--slug", "news"], &all));
    assert!(told.out.starts_with("project news ("), "{}", told.out);
    let shown = ok(there.run(&["project", "show", "news"]));
    assert!(shown.out.contains("blog.example"), "{}", shown.out);
    let pinned = there.set("PROJECT__SHOP__ID", "00000000-0000-7000-8000-00000000aaaa");
    ok(pinned.run(&["project", "delete", "other", "--yes"]));
    let other = pinned.run_with(&["import", "-", "--project", "shop"], &all);
    assert!(other.err.contains("the configuration says that its id is"), "{other:?}");
}

#[test]
fn a_file_is_private_and_replaces_none_unasked() {
    let place = Place::new();
    assert_eq!(place.start().stop().code, Some(0));
    ok(place.run(&["export", "all.jsonl"]));
    let path = place.path().join("all.jsonl");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let refused = place.run(&["export", "all.jsonl"]);
    assert!(refused.code == Some(1) && refused.err.contains("--force"), "{refused:?}");
    ok(place.run(&["export", "all.jsonl", "--force"]));
    let printed = ok(place.run(&["export", "-"]));
    assert!(printed.out.ends_with("\"}\n") && printed.out.lines().count() > 2, "{}", printed.out);
    let unknown = place.run(&["export", "other.jsonl", "--project", "nobody"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("unknown project"), "{unknown:?}");
    let left: Vec<_> =
        fs::read_dir(place.path()).expect("a directory").map(|entry| entry.expect("one").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("part") || name == "other.jsonl"), "{left:?}");
    for wrong in [
        &["import", "x", "--from", "nora", "--dry-run"][..],
        &["import", "x", "--verified"],
        &["export", "-", "--json"],
    ] {
        assert_eq!(place.run(wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn killed_in_the_middle_of_an_import_it_starts_without_a_trace_of_it() {
    let place = Place::new();
    let server = place.start();
    let before = projects(&place);
    let text = accounts(5000);
    // All but the last line: the server waits for it.
    let (most, _) = text.split_at(text.len() - 20);
    let mut command = place.command(&["import", "-"]);
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    command.stdin(reader);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut importing = command.spawn().expect("a program that can be started");
    drop(command);
    std::io::Write::write_all(&mut writer, most.as_bytes()).expect("a reader");
    while projects(&place) == before {}
    server.kill();
    drop(writer);
    assert!(!importing.wait().expect("an end").success());
    let server = place.start();
    assert_eq!(projects(&place), before);
    assert_eq!(server.stop().code, Some(0));
}

/// 100,000 accounts go in and out of a running server in little more memory than it had.
#[test]
fn memory_is_bounded_however_large_the_file() {
    const COUNT: usize = 100_000;
    let place = Place::new();
    let server = place.start();
    place.write("many.jsonl", &accounts(COUNT));
    let (_, before) = server.process.memory_kib();
    let begun = Instant::now();
    ok(place.run(&["import", "many.jsonl"]));
    let imported = begun.elapsed();
    let begun = Instant::now();
    ok(place.run(&["export", "again.jsonl", "--project", "many"]));
    let exported = begun.elapsed();
    let (_, after) = server.process.memory_kib();
    eprintln!("{COUNT} accounts: in in {imported:?}, out in {exported:?}, {} KiB more", after - before);
    assert_eq!(lines_of(&place.path().join("again.jsonl")).len(), COUNT + 1);
    // Pages that are cached, a batch, and what the allocator keeps of it.
    assert!(after - before < 32 * 1024, "{before} KiB, then {after} KiB");
    assert_eq!(server.stop().code, Some(0));
}
