//! What was seen in all lives of the server: every secret, every id, and how often each sentence was held against it.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use serde_json::Value;
use uuid::Uuid;

use crate::leaks::{self, Secrets};

/// The sentences of the security design (its numbers), each in a few words.
pub const SENTENCES: [&str; 15] = [
    "a secret works at most once",
    "nothing issued before an end works after it",
    "no session becomes stronger",
    "failure counts never fall by themselves",
    "one project is nothing to another",
    "an id is never used again",
    "an acknowledged write survives",
    "a password set before the proof dies with the link",
    "a value serves one purpose",
    "redirect targets match as parsed URLs",
    "the address is the socket's, links come from public_url",
    "no secret in a file or a log",
    "an unknown address is answered like a wrong password",
    "nothing outside makes it panic",
    "a failed write is no success",
];

/// Shared by all clients.
#[derive(Default)]
pub struct Seen {
    secrets: Mutex<Secrets>,
    /// Whose each id was, by project and id; numbers too.
    ids: Mutex<HashMap<(String, String), String>>,
    held: Mutex<[usize; SENTENCES.len()]>,
}

impl Seen {
    /// Remembers what is secret in a request.
    pub fn request(&self, path: &str, headers: &[(&'static str, String)], body: Option<&[u8]>) {
        leaks::in_request(path, headers, body).iter().for_each(|secret| self.secret(secret));
    }

    /// Remembers what is secret in an answer.
    pub fn reply(&self, headers: &HeaderMap, body: &Value) {
        leaks::in_reply(headers, body).iter().for_each(|secret| self.secret(secret));
    }

    /// Remembers a secret, and the bytes it is the text of.
    pub fn secret(&self, text: &str) {
        let mut secrets = lock(&self.secrets);
        if !secrets.add(text.as_bytes()) {
            return;
        }
        let last = text.rsplit(['.', ':']).next().unwrap_or_default();
        if let Ok(uuid) = Uuid::try_parse(last) {
            secrets.add(uuid.as_bytes());
        } else if let Some(bytes) = URL_SAFE_NO_PAD.decode(last).ok().filter(|bytes| bytes.len() >= 32) {
            // A signature is the end; a NomaCMS refresh token has its secret after 20 bytes of names.
            secrets.add(&bytes[bytes.len() - 32..]);
            if let Some(secret) = bytes.get(20..52) {
                secrets.add(secret);
            }
        }
    }

    /// Sentence 12, of all files below a directory; how many there were.
    pub fn not_in_files(&self, directory: &Path) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(directory).expect("a directory of ours") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files += self.not_in_files(&path);
            } else if path.is_file() {
                self.not_in(&path.display(), &fs::read(&path).expect("a file of ours"));
                files += 1;
            }
        }
        files
    }

    /// Sentence 12, of these bytes.
    pub fn not_in(&self, what: &dyn Display, bytes: &[u8]) {
        let found = lock(&self.secrets).found_in(bytes);
        self.hold(12, found.is_none(), || format!("a secret in {what}: {found:?}"));
    }

    /// Sentence 6: a new account of `email` has this id. The same may be told again.
    pub fn id(&self, project: &str, id: &str, whose: &str) {
        let mut ids = lock(&self.ids);
        let before = ids.entry((project.to_owned(), id.to_owned())).or_insert_with(|| whose.to_owned());
        self.hold(6, before == whose, || format!("id {id} of {whose} was that of {before}"));
    }

    /// A fact that a sentence says must hold.
    #[track_caller]
    pub fn hold(&self, sentence: usize, holds: bool, what: impl FnOnce() -> String) {
        assert!(holds, "sentence {sentence} ({}): {}", SENTENCES[sentence - 1], what());
        lock(&self.held)[sentence - 1] += 1;
    }

    /// How often each held.
    pub fn held(&self) -> [usize; SENTENCES.len()] {
        *lock(&self.held)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
