//! JWTs that other services check (RFC 7515, RFC 7519), and their keys: minting, checking, publishing.

use std::sync::OnceLock;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::cache::Proved;
use super::jwt_key::JwtKey;
use super::{BadJwtKey, JwtAlgorithm, KeyKind, KeyRecord, Rejected, RingError, VerifiedCache, jwt, white_space};
use crate::env::Timestamp;

/// The keys for JWTs that other services check: the project's own, or one that is given; and in whose name they sign.
///
/// An access token names its session in 64 characters of white space after the claims: a value signed by these keys for
/// anything else has no such tail, and is no access token. As in [`super::KeyRing`], a token is matched to its key by
/// comparing its whole header with those our keys write: `alg`, `kid`, `jku`, `jwk` or `x5u` in a token choose nothing,
/// and nothing of an unproven token is parsed but base64.
///
/// A ring does not change. It remembers the tokens it found good, so that a signature is checked once; with other keys,
/// or in another name, there is another ring, which remembers nothing.
pub struct JwtRing {
    issuer: String,
    /// The signing key first, where there is one.
    keys: Vec<JwtKey>,
    signs: bool,
    /// Made at the first token: most projects never see any.
    known: OnceLock<VerifiedCache<JwtProof>>,
}

/// What a JWT access token says, to be signed.
#[derive(Clone, Copy, Debug)]
pub struct JwtClaims<'a, T> {
    /// `sub`.
    pub user: Uuid,
    /// Whose token it is; in no claim.
    pub session: Uuid,
    /// `iat`, in whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, in whole seconds: the first at which it is refused.
    pub expires_at: Timestamp,
    /// The name of the claim that holds the others; none of `sub`, `iss`, `iat`, `exp`.
    pub namespace: &'a str,
    /// The others, as an object.
    pub claims: T,
}

/// What a good token proves. Whether its session still lives is for the store to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwtProof {
    /// `sub`.
    pub user: Uuid,
    /// The session it belongs to.
    pub session: Uuid,
    /// `exp`: the first moment at which it is refused.
    pub expires_at: Timestamp,
}

/// Why no token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotMinted {
    /// No key of the wanted kind was made yet: the store took no change.
    #[error("the project has no key to sign JWTs with yet")]
    NoKey,
    /// Nobody would look at it.
    #[error("the claims make a token of more than {} bytes", JwtRing::MAX_TOKEN)]
    TooLong,
    /// The claims cannot be written, or the library cannot sign.
    #[error("a JWT could not be made")]
    Failed,
}

/// Characters of white space that name a session, two bits each.
const TAIL: usize = 64;

impl JwtRing {
    /// The longest text that is looked at, in bytes. Ours have about 700, and more with many roles or claims of the
    /// operator's own ([`super::HasuraClaims::ROOM`]); a server's bound on headers comes before this one.
    pub const MAX_TOKEN: usize = 16 * 1024;

    /// A ring of a project's own keys, in any order: those of `kind` without an end may sign, the newest does; every
    /// one verifies until it retires. Keys for other purposes are left out. Without a key that may sign it mints
    /// nothing.
    ///
    /// # Errors
    /// [`RingError::BadKey`].
    pub fn own(records: &[KeyRecord], kind: KeyKind, issuer: &str) -> Result<Self, RingError> {
        let ours = records.iter().filter(|record| record.kind() != KeyKind::Ed25519);
        let mut keys = ours.map(JwtKey::own).collect::<Option<Vec<_>>>().ok_or(RingError::BadKey)?;
        let may_sign = |key: &JwtKey| key.kind == Some(kind) && key.retires_at.is_none();
        // The id decides between equals, everywhere alike.
        keys.sort_by(|a, b| {
            let rank = |key: &JwtKey| (!may_sign(key), std::cmp::Reverse(key.created_at));
            rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
        });
        let signs = keys.first().is_some_and(may_sign);
        Ok(Self { issuer: issuer.to_owned(), keys, signs, known: OnceLock::new() })
    }

    /// A ring of the one key that an operator gives: the bytes of a secret, or a private key in PEM. Its name stands in
    /// headers only where it was given one.
    ///
    /// # Errors
    /// [`BadJwtKey`].
    pub fn given(algorithm: JwtAlgorithm, key: &str, kid: Option<&str>, issuer: &str) -> Result<Self, BadJwtKey> {
        let key = JwtKey::given(algorithm, key, kid)?;
        Ok(Self { issuer: issuer.to_owned(), keys: vec![key], signs: true, known: OnceLock::new() })
    }

    /// Signs an access token.
    ///
    /// # Errors
    /// [`NotMinted`].
    pub fn mint<T: Serialize>(&self, claims: &JwtClaims<'_, T>) -> Result<String, NotMinted> {
        let key = self.signing_key().ok_or(NotMinted::NoKey)?;
        let payload = Payload { issuer: &self.issuer, claims };
        let mut payload = serde_json::to_vec(&payload).map_err(|_| NotMinted::Failed)?;
        payload.extend(white_space::write(claims.session.as_u128(), TAIL));
        let message = jwt::signed(&key.header, &payload);
        let signature = key.sign(message.as_bytes()).map_err(|_| NotMinted::Failed)?;
        let token = jwt::join(message, &signature);
        if token.len() > Self::MAX_TOKEN { Err(NotMinted::TooLong) } else { Ok(token) }
    }

    /// Checks an access token: form, key, signature, purpose, issuer and expiry. The signature is checked once per
    /// token, expiry and the key's retirement each time. Neither `iat` nor the other claims are looked at: the session
    /// says more, and this server's clock may step back.
    ///
    /// # Errors
    /// [`Rejected`], for the log.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<JwtProof, Rejected> {
        // Before the digest: a megabyte of nonsense is not worth hashing.
        if token.len() > Self::MAX_TOKEN {
            return Err(Rejected::Malformed);
        }
        let known = self.known.get_or_init(VerifiedCache::default);
        known.prove(token, now, || self.check(token, now))
    }

    /// The JSON Web Key Set (RFC 7517) of the keys that verify at `now`, the signing key first; a secret is in none.
    pub fn jwks(&self, now: Timestamp) -> Value {
        let keys: Vec<_> = self.living(now).filter_map(JwtKey::jwk).collect();
        json!({ "keys": keys })
    }

    /// The name of the key that signs, empty for a secret without one; `None` where there is no such key yet.
    pub fn signing_key_id(&self) -> Option<&str> {
        self.signing_key().map(|key| key.id.as_str())
    }

    fn signing_key(&self) -> Option<&JwtKey> {
        self.keys.first().filter(|_| self.signs)
    }

    fn living(&self, now: Timestamp) -> impl Iterator<Item = &JwtKey> {
        self.keys.iter().filter(move |key| !key.is_retired(now))
    }

    fn check(&self, token: &str, now: Timestamp) -> Result<Proved<JwtProof>, Rejected> {
        #[derive(Deserialize)]
        struct Read {
            sub: Uuid,
            iss: String,
            exp: u64,
        }
        let parts = jwt::split(token).ok_or(Rejected::Malformed)?;
        let key = self.living(now).find(|key| key.header == parts.header).ok_or(Rejected::UnknownKey)?;
        if !key.verifies(parts.signed.as_bytes(), &parts.signature) {
            return Err(Rejected::BadSignature);
        }
        let (claims, session) = split_tail(&parts.payload).ok_or(Rejected::WrongPurpose)?;
        let Read { sub, iss, exp } = serde_json::from_slice(claims).map_err(|_| Rejected::WrongPurpose)?;
        if iss != self.issuer {
            return Err(Rejected::WrongIssuer);
        }
        let expires_at = Timestamp::from_secs(exp);
        if now >= expires_at {
            return Err(Rejected::Expired);
        }
        let claims = JwtProof { user: sub, session, expires_at };
        Ok(Proved { claims, expires_at, key_retires_at: key.retires_at })
    }
}

impl std::fmt::Debug for JwtRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

/// The claims, and the session behind them. Neither more nor less white space is a tail.
fn split_tail(payload: &[u8]) -> Option<(&[u8], Uuid)> {
    let (claims, tail) = payload.split_at_checked(payload.len().checked_sub(TAIL)?)?;
    let session = white_space::read(tail)?;
    claims.ends_with(b"}").then_some((claims, Uuid::from_u128(session)))
}

/// All claims, the reserved ones before those of the namespace.
struct Payload<'a, T> {
    issuer: &'a str,
    claims: &'a JwtClaims<'a, T>,
}

impl<T: Serialize> Serialize for Payload<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let claims = self.claims;
        let mut map = to.serialize_map(Some(5))?;
        map.serialize_entry("sub", &claims.user)?;
        map.serialize_entry("iss", self.issuer)?;
        map.serialize_entry("iat", &claims.issued_at.secs())?;
        map.serialize_entry("exp", &claims.expires_at.secs())?;
        map.serialize_entry(claims.namespace, &claims.claims)?;
        map.end()
    }
}

#[cfg(test)]
#[path = "jwt_ring_tests.rs"]
mod tests;
