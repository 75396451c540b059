//! Whether a secret was said: all secrets that personas send or are given in this process are remembered, everything that
//! the crate logs is captured down to TRACE, and at the end of each test the two are compared.
//!
//! A persona holds a [`Watch`]. When the last one of a test goes, what was logged since it began is searched for every
//! secret known then, also for those that became known after the line was logged: a server logs before its client reads.
//! Tests that share a process search each other's lines as well. What other processes say is searched by [`not_in`].

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use reqwest::header::HeaderMap;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

/// A shorter text could stand anywhere by chance: `password`, a number.
const SHORTEST: usize = 10;
/// By how many of its first bytes a secret is looked up.
const HEAD: usize = 8;

/// The secrets of this process, and what it logged.
static SECRETS: Mutex<Option<Secrets>> = Mutex::new(None);
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Secrets that can be looked for all at once.
#[derive(Default)]
pub struct Secrets {
    by_head: HashMap<[u8; HEAD], Vec<Vec<u8>>>,
    known: HashSet<Vec<u8>>,
    /// Which of the first bytes of a head begin one: most places of a text are passed over by them.
    begins: Vec<u64>,
}

/// A place in [`Secrets::begins`]: the word and the bit.
fn place(head: &[u8]) -> (usize, u64) {
    let first = head.first_chunk().map_or(0, |first| u32::from_le_bytes(*first));
    let place = first.wrapping_mul(0x9e37_79b1) >> 12;
    (place as usize / 64, 1 << (place % 64))
}

impl Secrets {
    /// Adds one; whether it was new and is long enough to be looked for.
    pub fn add(&mut self, secret: &[u8]) -> bool {
        if secret.len() < SHORTEST || !self.known.insert(secret.to_vec()) {
            return false;
        }
        let head = *secret.first_chunk().expect("longer than its head");
        self.begins.resize((1 << 20) / 64, 0);
        let (word, bit) = place(&head);
        self.begins[word] |= bit;
        self.by_head.entry(head).or_default().push(secret.to_vec());
        true
    }

    /// The first secret in `text`, and the line it stands in.
    pub fn found_in(&self, text: &[u8]) -> Option<(String, String)> {
        if self.begins.is_empty() {
            return None;
        }
        const PIECE: usize = 256;
        let mut at = 0;
        while at + HEAD <= text.len() {
            // What a file has not used yet.
            if text[at..].starts_with(&[0; PIECE]) {
                at += PIECE - HEAD;
                continue;
            }
            let head = &text[at..at + HEAD];
            let (word, bit) = place(head);
            if self.begins[word] & bit != 0 {
                let mut candidates = self.by_head.get(head).into_iter().flatten();
                if let Some(secret) = candidates.find(|secret| text[at..].starts_with(secret)) {
                    let begin = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
                    let line = text[begin..].split(|byte| *byte == b'\n').next().unwrap_or_default();
                    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    return Some((said(secret), said(line)));
                }
            }
            at += 1;
        }
        None
    }
}

/// From its beginning to its end, nothing may be logged that is secret.
#[derive(Debug)]
pub struct Watch {
    from: usize,
    secrets: fn() -> MutexGuard<'static, Option<Secrets>>,
}

impl Watch {
    /// Begins to watch this process.
    pub fn begin() -> Arc<Self> {
        static CAPTURE: Once = Once::new();
        CAPTURE.call_once(|| {
            let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new("keystead=trace"));
            let subscriber = lines.with_ansi(false).with_writer(|| Logged).finish();
            tracing::subscriber::set_global_default(subscriber).expect("no other one in the tests");
        });
        Arc::new(Self { from: logged().len(), secrets })
    }

    fn found(&self) -> Option<(String, String)> {
        let text = logged()[self.from..].to_vec();
        (self.secrets)().as_ref().and_then(|secrets| secrets.found_in(&text))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A test that fails already says why.
        if std::thread::panicking() {
            return;
        }
        assert_eq!(self.found(), None, "a secret was logged");
    }
}

/// Remembers a secret.
pub fn remember(secret: &str) {
    secrets().get_or_insert_default().add(secret.as_bytes());
}

/// Whether a secret is remembered.
pub fn is_remembered(secret: &str) -> bool {
    secrets().as_ref().is_some_and(|secrets| secrets.known.contains(secret.as_bytes()))
}

/// Fails when a remembered secret stands in what another process said.
#[track_caller]
pub fn not_in(what: &str, said: &str) {
    // The first screen of a server shows how to sign up, with a password that is an example.
    let example = |line: &&str| line.trim_start().starts_with("curl ") && line.contains("/signup ");
    let said: String = said.lines().filter(|line| !example(line)).flat_map(|line| [line, "\n"]).collect();
    let found = secrets().as_ref().and_then(|secrets| secrets.found_in(said.as_bytes()));
    assert_eq!(found, None, "a secret in {what}");
}

/// Fails when a remembered secret stands in bytes that were written to a disk.
#[track_caller]
pub fn not_stored(bytes: &[u8]) {
    let found = secrets().as_ref().and_then(|secrets| secrets.found_in(bytes));
    assert_eq!(found.map(|(secret, _)| secret), None, "a secret in clear");
}

/// What is secret in a request: in its path, its `Authorization` and its JSON body.
pub fn in_request(path: &str, headers: &[(&'static str, String)], body: Option<&[u8]>) -> Vec<String> {
    let mut secrets = in_query(path);
    let authorization = headers.iter().filter(|(name, _)| *name == "authorization");
    secrets.extend(authorization.map(|(_, value)| value.strip_prefix("Bearer ").unwrap_or(value).to_owned()));
    let cookies = headers.iter().filter(|(name, _)| *name == "cookie");
    secrets.extend(cookies.filter_map(|(_, value)| value.strip_prefix("nora_auth=").map(str::to_owned)));
    if let Some(body) = body.and_then(|bytes| serde_json::from_slice(bytes).ok()) {
        in_json(&body, &|key| is_secret(key) || matches!(key, "key" | "code"), &mut secrets);
    }
    secrets
}

/// What is secret in a reply: in its JSON body and in where it sends the client.
pub fn in_reply(headers: &HeaderMap, body: &Value) -> Vec<String> {
    let location = headers.get("location").and_then(|value| value.to_str().ok());
    let mut secrets = location.map(in_query).unwrap_or_default();
    in_json(body, &is_secret, &mut secrets);
    secrets
}

/// An error says nothing of what it was given.
#[track_caller]
pub fn not_repeated(sent: &[String], answer: &str) {
    for secret in sent.iter().filter(|secret| secret.len() >= SHORTEST) {
        assert!(!answer.contains(secret.as_str()), "an error repeats {secret:?}: {answer}");
    }
}

fn in_json(value: &Value, is_secret: &dyn Fn(&str) -> bool, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if is_secret(key) => found.push(text.clone()),
                    _ => in_json(value, is_secret, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| in_json(item, is_secret, found)),
        _ => {}
    }
}

fn in_query(url: &str) -> Vec<String> {
    let query = url.split_once(['?', '#']).map_or("", |(_, query)| query);
    let pairs = query.split(['&', '#']).filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, _)| is_secret(key) || matches!(*key, "code" | "ticket"))
        // As it stands, and as it is read.
        .flat_map(|(_, value)| [value.to_owned(), value.replace("%3A", ":")])
        .collect()
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let about =
        ["type", "format", "_at", "expires", "expires_in", "expiresin", "tokenid"].iter().any(|end| key.ends_with(end));
    !about && ["password", "token", "secret", "plain_text_key", "ticket", "otp"].iter().any(|part| key.contains(part))
}

fn secrets() -> MutexGuard<'static, Option<Secrets>> {
    SECRETS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn logged() -> MutexGuard<'static, Vec<u8>> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the lines go.
struct Logged;

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        logged().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use keystead::testing::Server;
    use serde_json::json;

    use super::*;
    use crate::persona::Persona;

    const SAID: &str = "a secret that this test says itself";

    /// A list of its own: the line is no secret to the tests that share this process.
    fn own_secrets() -> MutexGuard<'static, Option<Secrets>> {
        static OWN: Mutex<Option<Secrets>> = Mutex::new(None);
        OWN.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_watch() -> Watch {
        Watch { from: Watch::begin().from, secrets: own_secrets }
    }

    #[test]
    fn a_secret_that_is_logged_fails_the_test_whether_it_was_known_before_or_after() {
        let before = own_watch();
        tracing::trace!(target: "keystead::a_test", said = SAID, "at the finest level");
        assert_eq!(before.found(), None, "nobody knows yet that it is one");
        own_secrets().get_or_insert_default().add(SAID.as_bytes());
        assert!(before.found().is_some_and(|(secret, line)| secret == SAID && line.contains("keystead::a_test")));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(before))).is_err(), "and the test fails");
        let after = own_watch();
        assert_eq!(after.found(), None, "what was said before it began is another test's");
        tracing::error!(target: "keystead::a_test", "in a text: {SAID}!");
        assert!(after.found().is_some());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(after))).is_err());
        drop(own_watch());
    }

    #[tokio::test]
    async fn what_personas_send_and_are_given_is_remembered() {
        let server = Server::start().await;
        let anon = Persona::anon(&server);
        let (ada, body) = anon.sign_up("ada@example.com", "password of ada here").await;
        let key = ada.post("/api-keys", &json!({ "name": "CI" })).await.expect(201);
        let sent = anon.post("/verify-email/resend", &json!({ "email": "ada@example.com" })).await.expect(200);
        anon.sign_in("ada@example.com", "wrong password of eve").await.expect(401);
        anon.with_token("a made-up token").get("/me").await.expect(401);
        let given =
            [body["access_token"].as_str(), body["refresh_token"].as_str(), key.body["plain_text_key"].as_str()];
        for secret in given.into_iter().flatten().chain([
            sent.text_at("verification_token"),
            "password of ada here",
            "wrong password of eve",
            "a made-up token",
        ]) {
            assert!(is_remembered(secret), "{secret}");
        }
        let nhost = anon.speaking_nhost();
        let begun = nhost.sign_in("ada@example.com", "password of ada here").await.expect(200).body["session"].take();
        let token = |name: &str| begun[name].as_str().expect("a token").to_owned();
        let ada = nhost.with_token(&token("accessToken"));
        let made = ada.post("/pat", &json!({ "expiresAt": "2030-01-01T00:00:00Z" })).await.expect(200);
        for secret in [&token("accessToken"), &token("refreshToken"), made.text_at("personalAccessToken")] {
            assert!(is_remembered(secret), "{secret}");
        }
        assert!(!is_remembered(&token("refreshTokenId")), "the session's name");
        for harmless in ["Bearer", "ada@example.com", "email_verification_required"] {
            assert!(!is_remembered(harmless), "{harmless}");
        }
        assert!(catch_unwind(|| not_in("a text", "x password of ada here y")).is_err());
        assert!(catch_unwind(|| not_repeated(&["password of ada here".into()], "no password of ada here")).is_err());
        assert_eq!(in_query("/cb?refreshToken=abc&type=x#code=def"), ["abc", "abc", "def", "def"]);
        assert_eq!(in_query("/verify?ticket=verifyEmail%3Aabc"), ["verifyEmail%3Aabc", "verifyEmail:abc"]);
    }
}
