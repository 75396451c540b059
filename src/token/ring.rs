//! The signing keys of one project: minting, checking, publishing.

use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::cache::Proved;
use super::keys::SigningKey;
use super::{AccessClaims, KeyKind, KeyRecord, Rejected, TokenFormat, claims, jwt, paseto};
use crate::env::Timestamp;

/// The Ed25519 keys of one project. The newest that has no end signs; every one verifies until it retires.
///
/// A token is matched to its key by comparing its whole header or footer with the few that our keys write. So nothing
/// of an unproven token is parsed but base64; `alg` in a token can choose nothing, and `jku`, `x5u`, `jwk` or a second
/// `kid` make it no token of ours.
pub struct KeyRing {
    /// The signing key first.
    keys: Vec<SigningKey>,
}

/// Why no ring could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RingError {
    /// Every key has an end, or there is none.
    #[error("the project has no key to sign with")]
    NoSigningKey,
    /// A key is not one of its kind.
    #[error("a signing key is damaged")]
    BadKey,
}

impl KeyRing {
    /// The longest text that is looked at, in bytes; ours have about 600, plus the issuer's URL.
    pub const MAX_TOKEN: usize = 4096;

    /// A ring of the Ed25519 keys among a project's keys, in any order.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn new(records: &[KeyRecord]) -> Result<Self, RingError> {
        let ours = records.iter().filter(|record| record.kind() == KeyKind::Ed25519);
        let keys: Option<Vec<_>> = ours.map(SigningKey::new).collect();
        let mut keys = keys.ok_or(RingError::BadKey)?;
        // Newest first, those without an end before all others; the id decides between equals, everywhere alike.
        keys.sort_by(|a, b| {
            let rank = |key: &SigningKey| (key.retires_at.is_some(), std::cmp::Reverse(key.created_at));
            rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
        });
        match keys.first() {
            Some(key) if key.retires_at.is_none() => Ok(Self { keys }),
            _ => Err(RingError::NoSigningKey),
        }
    }

    /// Signs an access token. `issuer` is the project's public URL.
    pub fn mint(&self, format: TokenFormat, issuer: &str, claims: &AccessClaims) -> String {
        let key = self.keys.first().expect("a ring has a signing key");
        let payload = claims::encode(format, issuer, claims);
        match format {
            TokenFormat::Paseto => {
                let message = paseto::signed(&payload, &key.paseto_footer).expect("our own footer decodes");
                paseto::join(payload, &key.sign(&message), &key.paseto_footer)
            }
            TokenFormat::Jwt => {
                let message = jwt::signed(&key.jwt_header, &payload);
                let signature = key.sign(message.as_bytes());
                jwt::join(message, &signature)
            }
        }
    }

    /// Checks an access token of either format: form, key, signature, purpose, project and expiry. That its session
    /// still lives is for the caller to check.
    ///
    /// # Errors
    /// [`Rejected`], for the log.
    pub fn verify(&self, token: &str, project: Uuid, now: Timestamp) -> Result<AccessClaims, Rejected> {
        self.check(token, project, now).map(|proved| proved.claims)
    }

    /// The same, and when the key that signed it retires.
    pub(super) fn check(&self, token: &str, project: Uuid, now: Timestamp) -> Result<Proved<AccessClaims>, Rejected> {
        if token.len() > Self::MAX_TOKEN {
            return Err(Rejected::Malformed);
        }
        let (claims, key) = if token.starts_with(paseto::PREFIX) {
            let parts = paseto::split(token).ok_or(Rejected::Malformed)?;
            let key = self.living(now, |key| key.paseto_footer == parts.footer)?;
            let message = paseto::signed(&parts.message, parts.footer).ok_or(Rejected::Malformed)?;
            check(key, &message, &parts.signature)?;
            (claims::decode(TokenFormat::Paseto, &parts.message)?, key)
        } else {
            let parts = jwt::split(token).ok_or(Rejected::Malformed)?;
            let key = self.living(now, |key| key.jwt_header == parts.header)?;
            let signature = parts.signature.as_slice().try_into().map_err(|_| Rejected::Malformed)?;
            check(key, parts.signed.as_bytes(), signature)?;
            (claims::decode(TokenFormat::Jwt, &parts.payload)?, key)
        };
        if claims.project != project {
            return Err(Rejected::WrongProject);
        }
        let proved = Proved { claims, expires_at: claims.expires_at, key_retires_at: key.retires_at };
        if claims.expired(now) { Err(Rejected::Expired) } else { Ok(proved) }
    }

    /// The JSON Web Key Set (RFC 7517) of the keys that verify at `now`, the signing key first.
    pub fn jwks(&self, now: Timestamp) -> Value {
        json!({ "keys": self.published(now).map(SigningKey::jwk).collect::<Vec<_>>() })
    }

    /// The same keys as PASERK: `{"keys":[{"kid":"k4.pid.…","key":"k4.public.…"}]}`; a key on its way out also says
    /// when, as `retires_at`.
    pub fn paserk(&self, now: Timestamp) -> Value {
        json!({ "keys": self.published(now).map(SigningKey::paserk).collect::<Vec<_>>() })
    }

    /// The `kid` of the key that signs.
    pub fn signing_key_id(&self) -> &str {
        &self.keys.first().expect("a ring has a signing key").id
    }

    fn published(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(move |key| !key.is_retired(now))
    }

    fn living(&self, now: Timestamp, named: impl Fn(&SigningKey) -> bool) -> Result<&SigningKey, Rejected> {
        self.published(now).find(|key| named(key)).ok_or(Rejected::UnknownKey)
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

fn check(key: &SigningKey, message: &[u8], signature: &[u8; 64]) -> Result<(), Rejected> {
    if key.verifies(message, signature) { Ok(()) } else { Err(Rejected::BadSignature) }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
