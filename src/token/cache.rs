//! Remembers tokens whose signature was found good, so that it is checked once.

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::{AccessClaims, KeyRing, Rejected};
use crate::env::Timestamp;

/// A bounded cache from the SHA-256 of a token to what it proves: the token itself is not kept, and nothing about its
/// session is, so that revocation takes effect at once. One per server, or per project: an entry answers only for the
/// project its token names.
///
/// Call [`VerifiedCache::clear`] when a key's end is changed; that a key retires when planned is remembered.
pub struct VerifiedCache<T = AccessClaims>(Cache<[u8; 32], Proved<T>>);

/// What a token proves whose signature was found good, until when, and when the key that signed it retires.
#[derive(Clone, Copy)]
pub(super) struct Proved<T> {
    pub(super) claims: T,
    pub(super) expires_at: Timestamp,
    pub(super) key_retires_at: Option<Timestamp>,
}

impl VerifiedCache {
    /// [`KeyRing::verify`], with the signature checked once per token. Project, expiry and the key's retirement are
    /// checked each time.
    ///
    /// # Errors
    /// As [`KeyRing::verify`]. Refusals are not remembered: they cannot push out good tokens.
    pub fn verify(&self, ring: &KeyRing, token: &str, project: Uuid, now: Timestamp) -> Result<AccessClaims, Rejected> {
        // Before the digest: a megabyte of nonsense is not worth hashing.
        if token.len() > KeyRing::MAX_TOKEN {
            return Err(Rejected::Malformed);
        }
        let claims = self.prove(token, now, || ring.check(token, project, now))?;
        if claims.project == project { Ok(claims) } else { Err(Rejected::WrongProject) }
    }
}

impl<T: Copy> VerifiedCache<T> {
    /// How many tokens the default cache holds, about 1.5 MiB when full.
    pub const DEFAULT_ENTRIES: usize = 8192;

    /// A cache for about `entries` tokens.
    pub fn new(entries: usize) -> Self {
        Self(Cache::new(entries))
    }

    /// What `token`, of bounded length, proves at `now`: what is remembered of it, else what `check` says. Refusals are
    /// not remembered.
    pub(super) fn prove(
        &self,
        token: &str,
        now: Timestamp,
        check: impl FnOnce() -> Result<Proved<T>, Rejected>,
    ) -> Result<T, Rejected> {
        let key = digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 yields 32 bytes");
        match self.0.get(&key) {
            Some(found) if found.key_retires_at.is_some_and(|at| now >= at) => Err(Rejected::UnknownKey),
            Some(found) if now >= found.expires_at => Err(Rejected::Expired),
            Some(found) => Ok(found.claims),
            None => {
                let proved = check()?;
                self.0.insert(key, proved);
                Ok(proved.claims)
            }
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Copy> Default for VerifiedCache<T> {
    fn default() -> Self {
        Self::new(Self::DEFAULT_ENTRIES)
    }
}

impl<T: Copy> std::fmt::Debug for VerifiedCache<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedCache").field("entries", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::token::{KeyKind, KeyRecord, TokenFormat};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const PROJECT: Uuid = Uuid::from_u128(1);

    fn key() -> KeyRecord {
        KeyRecord::generate(KeyKind::Ed25519, &Env::system(), NOW).unwrap()
    }

    fn ring() -> KeyRing {
        KeyRing::new(&[key()]).unwrap()
    }

    fn mint(ring: &KeyRing, id: u128) -> String {
        let claims = AccessClaims {
            user: Uuid::from_u128(2),
            project: PROJECT,
            session: Uuid::from_u128(3),
            token_id: Uuid::from_u128(id),
            issued_at: NOW,
            expires_at: Timestamp::from_secs(1_000_900),
        };
        ring.mint(TokenFormat::Paseto, "https://a.test", &claims)
    }

    #[test]
    fn a_remembered_token_is_still_held_to_project_and_time() {
        let (cache, ring) = (VerifiedCache::default(), ring());
        let token = mint(&ring, 1);
        let first = cache.verify(&ring, &token, PROJECT, NOW).unwrap();
        assert_eq!(cache.len(), 1);
        // Another ring knows none of its keys: only the memory can answer.
        let other = self::ring();
        assert_eq!(cache.verify(&other, &token, PROJECT, NOW), Ok(first));
        assert_eq!(cache.verify(&ring, &token, Uuid::from_u128(9), NOW), Err(Rejected::WrongProject));
        assert_eq!(cache.verify(&ring, &token, PROJECT, Timestamp::from_secs(1_000_900)), Err(Rejected::Expired));
        cache.clear();
        assert!(cache.is_empty());
        assert_eq!(cache.verify(&other, &token, PROJECT, NOW), Err(Rejected::UnknownKey));
    }

    #[test]
    fn a_remembered_token_ends_with_its_key() {
        let old = key();
        let token = mint(&KeyRing::new(std::slice::from_ref(&old)).unwrap(), 1);
        let retiring = KeyRecord { retires_at: Some(Timestamp::from_secs(1_000_100)), ..old };
        let ring = KeyRing::new(&[retiring, key()]).unwrap();
        let cache = VerifiedCache::default();
        let at = |second| cache.verify(&ring, &token, PROJECT, Timestamp::from_secs(second));
        assert!(at(1_000_000).is_ok() && at(1_000_099).is_ok());
        assert_eq!(at(1_000_100), Err(Rejected::UnknownKey));
    }

    #[test]
    fn what_is_refused_is_not_remembered_and_the_bound_holds() {
        let (cache, ring) = (VerifiedCache::new(64), ring());
        let token = mint(&ring, 1);
        for bad in [&token[1..], "", "x", &"y".repeat(10_000), &format!("{token}x")] {
            assert!(cache.verify(&ring, bad, PROJECT, NOW).is_err());
        }
        assert!(cache.is_empty());
        for id in 0..1000 {
            cache.verify(&ring, &mint(&ring, id), PROJECT, NOW).unwrap();
        }
        assert!(cache.len() <= 64, "{}", cache.len());
    }
}
