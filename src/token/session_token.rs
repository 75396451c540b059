//! Session tokens: JWTs signed with HS256 (RFC 7515, RFC 7518 section 3.2) that carry five claims and are found by
//! their digest.
//!
//! Such a token is a session's only credential. It is not believed for what it says: its signature keeps texts of
//! strangers from the store, and the session and the account behind its digest say the rest, at every use. So no claim
//! is ever parsed here, and `alg` is not read: a header other than the one that is written is no token of ours.

use aws_lc_rs::hmac;
use base64::Engine;
use serde::Serialize;
use uuid::Uuid;

use super::{BASE64URL, derived, white_space};
use crate::crypto::{Digest, Secret};
use crate::env::{Env, Timestamp};

/// The key under which session tokens of one project are signed.
#[derive(Clone)]
pub struct SessionKey {
    key: hmac::Key,
    id: [u8; 8],
}

/// What a session token says: these five claims and no other.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SessionClaims<'a> {
    /// The account.
    pub id: Uuid,
    /// Its address, in lower case.
    pub email: &'a str,
    /// What the app lets it do.
    pub role: &'a str,
    /// When the token was made, in seconds since the epoch.
    #[serde(rename = "iat", serialize_with = "seconds")]
    pub issued_at: Timestamp,
    /// The first moment at which it is refused, in seconds since the epoch.
    #[serde(rename = "exp", serialize_with = "seconds")]
    pub expires_at: Timestamp,
}

/// What tells two tokens apart whose claims are equal: 64 random bits.
///
/// Two sign-ins of one account in one second have the same five claims, and there is no sixth to tell them apart. They
/// must be two tokens all the same: else one logout would end both sessions. So they travel as 32 characters of white
/// space after the JSON text.
#[derive(Clone, Copy)]
pub struct Blank(u64);

/// `{"alg":"HS256","typ":"JWT"}`
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
const PURPOSE: &str = "keystead/session-token";

impl SessionKey {
    /// The longest text that is looked at, in bytes; ours have at most about 1,700, with the longest address there is.
    pub const MAX_TOKEN: usize = 4096;

    /// A key that an operator gives, byte for byte: whoever else has it can check the tokens.
    pub fn given(secret: &str) -> Self {
        Self::of(secret.as_bytes())
    }

    /// The project's own, from the 32 secret bytes that its file keeps sealed.
    pub fn own(root: &Secret<[u8; 32]>, project: Uuid) -> Self {
        Self::of(derived(root, "keystead/session-token/1", project).as_ref())
    }

    fn of(secret: &[u8]) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&Digest::of("keystead/session-key", secret).as_bytes()[..8]);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), id }
    }

    /// Tells this key from others, and says nothing of it.
    pub fn id(&self) -> [u8; 8] {
        self.id
    }

    /// Signs a token.
    pub fn mint(&self, claims: &SessionClaims<'_>, blank: Blank) -> String {
        let mut payload = serde_json::to_vec(claims).expect("texts, an id and numbers are JSON");
        payload.extend(blank.white_space());
        let mut token = String::with_capacity(HEADER.len() + payload.len() * 4 / 3 + 48);
        token.push_str(HEADER);
        token.push('.');
        BASE64URL.encode_string(payload, &mut token);
        let tag = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        BASE64URL.encode_string(tag, &mut token);
        token
    }

    /// Whether this key signed the token, as such a one. Whether its session lives is for the store to say.
    pub fn signed(&self, token: &str) -> bool {
        if token.len() > Self::MAX_TOKEN {
            return false;
        }
        let Some((signed, tag)) = token.rsplit_once('.') else { return false };
        let is_ours = signed.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('.')).is_some();
        let tag = if is_ours { BASE64URL.decode(tag).ok() } else { None };
        // In constant time.
        tag.is_some_and(|tag| hmac::verify(&self.key, signed.as_bytes(), &tag).is_ok())
    }
}

/// What the store keeps of a session token.
pub fn session_token_digest(token: &str) -> Digest {
    Digest::of(PURPOSE, token.as_bytes())
}

impl Blank {
    /// A fresh one.
    pub fn generate(env: &Env) -> Self {
        Self(u64::from_be_bytes(env.random()))
    }

    fn white_space(self) -> impl Iterator<Item = u8> {
        white_space::write(u128::from(self.0), 32)
    }
}

impl PartialEq for SessionKey {
    /// Whether they are of the same secret.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for SessionKey {}

fn seconds<S: serde::Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(at.secs())
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[session key]")
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn claims() -> SessionClaims<'static> {
        SessionClaims {
            id: Uuid::from_u128(7),
            email: "ada@example.com",
            role: "user",
            issued_at: Timestamp::from_millis(1_800_000_000_999),
            expires_at: Timestamp::from_secs(1_800_604_800),
        }
    }

    fn mint() -> String {
        SessionKey::given(SECRET).mint(&claims(), Blank::generate(&Env::system()))
    }

    #[test]
    fn another_library_reads_exactly_five_claims() {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.validate_exp = false;
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let read = decode::<Map<String, Value>>(mint(), &key, &rules).unwrap();
        assert_eq!((read.header.alg, read.header.typ.as_deref()), (Algorithm::HS256, Some("JWT")));
        let expected = json!({
            "id": "00000000-0000-0000-0000-000000000007", "email": "ada@example.com", "role": "user",
            "iat": 1_800_000_000, "exp": 1_800_604_800,
        });
        assert_eq!(Value::Object(read.claims), expected);
        let header = BASE64URL.decode(HEADER).unwrap();
        assert_eq!(header, br#"{"alg":"HS256","typ":"JWT"}"#);
    }

    #[test]
    fn equal_claims_make_different_tokens() {
        let tokens: std::collections::HashSet<_> = (0..100).map(|_| mint()).collect();
        assert_eq!(tokens.len(), 100);
        // Every bit of the blank counts.
        let key = SessionKey::given(SECRET);
        let with = |bits| session_token_digest(&key.mint(&claims(), Blank(bits)));
        let digests: std::collections::HashSet<_> =
            (0..64).map(|bit| *with(1 << bit).as_bytes()).chain([*with(0).as_bytes()]).collect();
        assert_eq!(digests.len(), 65);
    }

    #[test]
    fn only_its_own_key_signed_it() {
        let token = mint();
        assert!(SessionKey::given(SECRET).signed(&token));
        assert!(!SessionKey::given("another secret of thirty-two characters").signed(&token));
        let root = |byte| Secret::new([byte; 32]);
        let own = SessionKey::own(&root(1), Uuid::from_u128(1));
        let token = own.mint(&claims(), Blank(0));
        assert!(own.signed(&token));
        assert!(!SessionKey::own(&root(1), Uuid::from_u128(2)).signed(&token), "another project, same root");
        assert!(!SessionKey::own(&root(2), Uuid::from_u128(1)).signed(&token));
        assert_ne!(own.id(), SessionKey::given(SECRET).id());
        assert_eq!(format!("{own:?}"), "[session key]");
    }

    #[test]
    fn no_other_algorithm_and_no_changed_character_passes() {
        let (key, token) = (SessionKey::given(SECRET), mint());
        for at in 0..token.len() {
            for other in [b'A', b'b', b'-', b'=', b'.'] {
                let mut changed = token.clone().into_bytes();
                if std::mem::replace(&mut changed[at], other) != other {
                    assert!(!key.signed(std::str::from_utf8(&changed).unwrap()), "character {at}");
                }
            }
        }
        let body = token.split('.').nth(1).unwrap();
        for header in
            [r#"{"alg":"none","typ":"JWT"}"#, r#"{"alg":"HS384","typ":"JWT"}"#, r#"{"typ":"JWT","alg":"HS256"}"#]
        {
            let signed = format!("{}.{body}", BASE64URL.encode(header));
            let tag = BASE64URL.encode(hmac::sign(&key.key, signed.as_bytes()));
            assert!(!key.signed(&format!("{signed}.{tag}")), "{header}");
            assert!(!key.signed(&format!("{signed}.")), "{header}");
        }
        assert!(!key.signed(&format!("{token}{}", "x".repeat(SessionKey::MAX_TOKEN))));
    }

    proptest! {
        #[test]
        fn no_text_passes_or_panics(text in "\\PC{0,200}|eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9\\.[A-Za-z0-9_-]{0,90}\\.[A-Za-z0-9_-]{0,50}") {
            prop_assert!(!SessionKey::given(SECRET).signed(&text));
        }
    }
}
