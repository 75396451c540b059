//! One Ed25519 key of a project, and its public spellings: PASERK and JWK.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use base64::Engine;
use blake2::digest::consts::U33;
use blake2::{Blake2b, Digest};
use serde_json::{Value, json};

use super::{BASE64URL, KeyMaterial, KeyRecord, jwt, paseto};
use crate::env::Timestamp;

/// A key ready for use, with everything that depends on it alone computed once.
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    public: ParsedPublicKey,
    pub(super) created_at: Timestamp,
    pub(super) retires_at: Option<Timestamp>,
    /// PASERK `k4.pid.…`, the `kid` of both formats.
    pub(super) id: String,
    /// The footer of every PASETO of this key, encoded.
    pub(super) paseto_footer: String,
    /// The header of every JWT of this key, encoded.
    pub(super) jwt_header: String,
}

impl SigningKey {
    /// `None` when it is a key of another kind, or the library refuses the seed.
    pub(super) fn new(record: &KeyRecord) -> Option<Self> {
        let KeyMaterial::Ed25519(seed) = &record.material else { return None };
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).ok()?;
        let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref()).ok()?;
        let id = paserk_id(pair.public_key().as_ref());
        Some(Self {
            paseto_footer: paseto::footer(&id),
            jwt_header: jwt::header("EdDSA", Some(&id)),
            pair,
            public,
            created_at: record.created_at,
            retires_at: record.retires_at,
            id,
        })
    }

    pub(super) fn is_retired(&self, now: Timestamp) -> bool {
        self.retires_at.is_some_and(|moment| now >= moment)
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }

    /// RFC 8037 section 2.
    pub(super) fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "x": BASE64URL.encode(self.pair.public_key()),
            "kid": self.id, "use": "sig", "alg": "EdDSA",
        })
    }

    /// The key as `k4.public`, with its id and the moment it retires when that is known.
    pub(super) fn paserk(&self) -> Value {
        let mut entry = json!({ "kid": self.id, "key": paserk_public(self.pair.public_key().as_ref()) });
        if let Some(moment) = self.retires_at {
            entry["retires_at"] = moment.rfc3339().into();
        }
        entry
    }
}

/// PASERK `k4.public`.
fn paserk_public(public: &[u8]) -> String {
    format!("k4.public.{}", BASE64URL.encode(public))
}

/// PASERK `k4.pid`: BLAKE2b with 33 bytes of output over the kind and the `k4.public` text (PASERK, operations, ID).
fn paserk_id(public: &[u8]) -> String {
    let hash = Blake2b::<U33>::new().chain_update("k4.pid.").chain_update(paserk_public(public)).finalize();
    format!("k4.pid.{}", BASE64URL.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_paserk_vectors() {
        let mut key: Vec<u8> = (0x70..0x90).collect();
        for (key, public, id) in [
            (
                vec![0; 32],
                "k4.public.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "k4.pid.S_XQmeEwHbbvRmiyfXfHYpLGjXGzjTRSDoT1YtTakWFE",
            ),
            (
                key.clone(),
                "k4.public.cHFyc3R1dnd4eXp7fH1-f4CBgoOEhYaHiImKi4yNjo8",
                "k4.pid.9ShR3xc8-qVJ_di0tc9nx0IDIqbatdeM2mqLFBJsKRHs",
            ),
            (
                {
                    key[31] = 0x90;
                    key
                },
                "k4.public.cHFyc3R1dnd4eXp7fH1-f4CBgoOEhYaHiImKi4yNjpA",
                "k4.pid.-nyvbaTz8U6TQz7OZWW-iB3va31iAxIpUgzUcVQVmW9A",
            ),
        ] {
            assert_eq!((paserk_public(&key).as_str(), paserk_id(&key).as_str()), (public, id));
        }
    }
}
