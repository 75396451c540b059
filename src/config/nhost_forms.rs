//! The forms of values that only the Nhost dialect has.

use super::forms::Parsed;
use super::project;
use crate::crypto::Secret;
use crate::token::{ClaimPath, JwtAlgorithm, JwtRing};

/// Bytes of a text that stands in tokens, at most.
const MAX: usize = 255;
/// Bytes of a secret or of a private key, at most.
const MAX_KEY: usize = 16 * 1024;
/// Bytes of a secret that signs, at least (RFC 7518, section 3.2).
const MIN_SECRET: usize = 32;

/// The name of a role.
pub(super) fn role(text: &str) -> Parsed<String> {
    visible(text, "the name of a role")
}

/// A language of two or three letters.
pub(super) fn locale(text: &str) -> Parsed<String> {
    match (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase()) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:.80?} is no language: write two or three letters, like \"en\"")),
    }
}

/// What Gravatar shows where it has nothing.
pub(super) fn gravatar_default(text: &str) -> Parsed<String> {
    one_of(text, &["blank", "identicon", "monsterid", "wavatar", "retro", "robohash", "mp", "404"])
}

/// How Gravatar rates pictures.
pub(super) fn gravatar_rating(text: &str) -> Parsed<String> {
    one_of(text, &["g", "pg", "r", "x"])
}

/// A claim: its name, and where its value is.
pub(super) fn claim(name: &str, path: &str) -> Parsed<()> {
    claim_name(name)?;
    ClaimPath::parse(path).map(drop)
}

/// A claim: its name, and what it is without a value.
pub(super) fn claim_default(name: &str, text: &str) -> Parsed<()> {
    claim_name(name)?;
    if text.len() <= MAX { Ok(()) } else { Err(format!("has more than {MAX} bytes")) }
}

fn claim_name(name: &str) -> Parsed<()> {
    match (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        true => Ok(()),
        false => Err("is no name of a claim: 1 to 64 of letters, digits, \"-\" and \"_\"".into()),
    }
}

/// A secret or a key in PEM; not quoted back.
pub(super) fn signing_key(text: &str) -> Parsed<()> {
    match (MIN_SECRET..=MAX_KEY).contains(&text.len()) {
        true => Ok(()),
        false => Err(format!("has {} bytes; a signing key has {MIN_SECRET} to {MAX_KEY}", text.len())),
    }
}

/// Whether the key is one for the algorithm.
pub(super) fn key_of(algorithm: JwtAlgorithm, key: &Secret<String>) -> Parsed<()> {
    JwtRing::given(algorithm, key.expose(), None, "").map_err(|error| error.to_string())?;
    match algorithm.shortest_secret() {
        Some(_) => project::no_placeholder(key.expose()),
        None => Ok(()),
    }
}

/// The name of a key.
pub(super) fn kid(text: &str) -> Parsed<String> {
    visible(text, "the name of a key")
}

/// Who issues tokens.
pub(super) fn issuer(text: &str) -> Parsed<String> {
    visible(text, "an issuer")
}

/// The claim that holds the others.
pub(super) fn namespace(text: &str) -> Parsed<String> {
    match text {
        "iss" | "sub" | "iat" | "exp" | "aud" | "nbf" | "jti" => Err(format!("{text:?} is a claim of its own")),
        _ => visible(text, "the name of a claim"),
    }
}

fn visible(text: &str, what: &str) -> Parsed<String> {
    match (1..=MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:.80?} is not {what}: 1 to {MAX} visible ASCII characters without quotes")),
    }
}

fn one_of(text: &str, words: &[&str]) -> Parsed<String> {
    match words.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:.80?} is none of {}", words.join(", "))),
    }
}
