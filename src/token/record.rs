//! A signing key as the store keeps it: sealed.

use thiserror::Error;
use uuid::Uuid;

use super::jwt_key::{self, JwtKey};
use super::keys::SigningKey;
use crate::crypto::{MasterKey, SealError, Secret};
use crate::env::{Env, Timestamp};

/// A signing key of one project.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Its id in the store; the public id is derived from the key itself.
    pub id: Uuid,
    /// The key.
    pub material: KeyMaterial,
    /// When it was made; of the keys of one kind without an end, the newest signs.
    pub created_at: Timestamp,
    /// When it stops verifying. `None` while it may sign.
    pub retires_at: Option<Timestamp>,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Ed25519 (RFC 8032): access tokens that this server checks, PASETO or JWT.
    Ed25519,
    /// P-256 (FIPS 186-5): JWTs that other services check.
    Es256,
    /// RSA of 2048 bits (RFC 8017): the same.
    Rs256,
}

/// The secret part of a key.
#[derive(Clone, Debug)]
pub enum KeyMaterial {
    /// The seed (RFC 8032, section 5.1.5).
    Ed25519(Secret<[u8; 32]>),
    /// The private scalar, big-endian.
    Es256(Secret<[u8; 32]>),
    /// PKCS #8 version 1 (RFC 5208).
    Rs256(Secret<Vec<u8>>),
}

impl KeyMaterial {
    /// Reads [`KeyRecord::material`]; `None` when its length is no such key's.
    pub fn of(kind: KeyKind, bytes: &[u8]) -> Option<Self> {
        let short = || <[u8; 32]>::try_from(bytes).ok().map(Secret::new);
        Some(match kind {
            KeyKind::Ed25519 => Self::Ed25519(short()?),
            KeyKind::Es256 => Self::Es256(short()?),
            KeyKind::Rs256 => Self::Rs256(Secret::new(bytes.to_vec())),
        })
    }
}

/// A sealed key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnsealError {
    /// It does not open under this master key, for this project and id.
    #[error("the signing key does not open: other master key, other project or id, or damaged")]
    Seal,
    /// It opens, and what is inside is of no known form: written by a later version.
    #[error("the signing key is of an unknown form")]
    Form,
}

/// The cryptographic library failed to make a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no key could be made")]
pub struct NotMade;

/// `0x02 | kind 1 | created 8 | retires 8 | key`, big-endian milliseconds; all ones when it has no end. Version 1 had no
/// kind and was always Ed25519.
const VERSION: u8 = 2;
const NO_END: u64 = u64::MAX;

impl KeyKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::Es256, Self::Rs256];

    /// The algorithm as JWTs spell it (`alg`).
    pub const fn algorithm(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// On disk.
    const fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Es256 => 2,
            Self::Rs256 => 3,
        }
    }
}

impl KeyRecord {
    /// A fresh key that may sign from now on. RSA takes some tenths of a second, on the thread that asks, and the
    /// randomness of the cryptographic library; the others take theirs from `env`.
    ///
    /// # Errors
    /// [`NotMade`], for RSA only.
    pub fn generate(kind: KeyKind, env: &Env, now: Timestamp) -> Result<Self, NotMade> {
        let material = match kind {
            KeyKind::Ed25519 => KeyMaterial::Ed25519(Secret::new(env.random())),
            KeyKind::Es256 => KeyMaterial::Es256(jwt_key::generate_p256(env)),
            KeyKind::Rs256 => KeyMaterial::Rs256(jwt_key::generate_rsa().ok_or(NotMade)?),
        };
        Ok(Self { id: env.new_id(now), material, created_at: now, retires_at: None })
    }

    /// What it is for.
    pub const fn kind(&self) -> KeyKind {
        match self.material {
            KeyMaterial::Ed25519(_) => KeyKind::Ed25519,
            KeyMaterial::Es256(_) => KeyKind::Es256,
            KeyMaterial::Rs256(_) => KeyKind::Rs256,
        }
    }

    /// The id published with it, the `kid` of its tokens: PASERK `k4.pid` for Ed25519, else the thumbprint of RFC 7638.
    /// `None` when the material is no such key.
    pub fn kid(&self) -> Option<String> {
        match self.kind() {
            KeyKind::Ed25519 => SigningKey::new(self).map(|key| key.id),
            KeyKind::Es256 | KeyKind::Rs256 => JwtKey::own(self).map(|key| key.id),
        }
    }

    /// The secret part as bytes: a seed, a scalar, or PKCS #8.
    pub fn material(&self) -> &[u8] {
        match &self.material {
            KeyMaterial::Ed25519(secret) | KeyMaterial::Es256(secret) => secret.expose(),
            KeyMaterial::Rs256(secret) => secret.expose(),
        }
    }

    /// The record sealed for its place; its id is the store's key.
    pub fn seal(&self, master: &MasterKey, env: &Env, project: Uuid) -> Vec<u8> {
        let material = self.material();
        // Of its full length at once: a buffer that grows leaves copies behind.
        let mut plain = Secret::new(Vec::with_capacity(18 + material.len()));
        let bytes = plain.expose_mut();
        bytes.extend_from_slice(&[VERSION, self.kind().number()]);
        bytes.extend_from_slice(&self.created_at.millis().to_be_bytes());
        bytes.extend_from_slice(&self.retires_at.map_or(NO_END, Timestamp::millis).to_be_bytes());
        bytes.extend_from_slice(material);
        master.seal(env, &context(project, self.id), plain.expose())
    }

    /// Opens what [`KeyRecord::seal`] made for the same project and id, in this version or before.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn unseal(master: &MasterKey, project: Uuid, id: Uuid, sealed: &[u8]) -> Result<Self, UnsealError> {
        let plain = master.open(&context(project, id), sealed).map_err(|SealError| UnsealError::Seal)?;
        Self::read(id, plain.expose()).ok_or(UnsealError::Form)
    }

    fn read(id: Uuid, plain: &[u8]) -> Option<Self> {
        let (kind, rest) = match plain {
            [1, rest @ ..] => (KeyKind::Ed25519, rest),
            [VERSION, number, rest @ ..] => (KeyKind::ALL.into_iter().find(|kind| kind.number() == *number)?, rest),
            _ => return None,
        };
        let (created, rest) = rest.split_first_chunk()?;
        let (retires, rest) = rest.split_first_chunk()?;
        let material = KeyMaterial::of(kind, rest)?;
        let retires = u64::from_be_bytes(*retires);
        Some(Self {
            id,
            material,
            created_at: Timestamp::from_millis(u64::from_be_bytes(*created)),
            retires_at: (retires != NO_END).then_some(Timestamp::from_millis(retires)),
        })
    }
}

fn context(project: Uuid, key: Uuid) -> String {
    format!("keystead/signing-key/{project}/{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(key: &KeyRecord) -> Vec<u8> {
        match &key.material {
            KeyMaterial::Ed25519(secret) | KeyMaterial::Es256(secret) => secret.expose().to_vec(),
            KeyMaterial::Rs256(secret) => secret.expose().clone(),
        }
    }

    #[test]
    fn a_key_opens_in_its_own_place_only() {
        let env = Env::system();
        let (master, project) = (MasterKey::generate(&env), Uuid::from_u128(1));
        for (kind, retires_at) in KeyKind::ALL.into_iter().zip([None, Some(Timestamp::from_secs(9)), None]) {
            let key =
                KeyRecord { retires_at, ..KeyRecord::generate(kind, &env, Timestamp::from_secs(5)).expect("a key") };
            let sealed = key.seal(&master, &env, project);
            let opened = KeyRecord::unseal(&master, project, key.id, &sealed).unwrap();
            assert_eq!(bytes(&opened), bytes(&key));
            assert_eq!((opened.kind(), opened.kid()), (kind, key.kid()));
            assert!(key.kid().is_some());
            assert_eq!((opened.id, opened.created_at, opened.retires_at), (key.id, key.created_at, retires_at));
            assert!(!sealed.windows(32).any(|part| bytes(&key).windows(32).any(|secret| secret == part)));
            let elsewhere = [
                KeyRecord::unseal(&master, Uuid::from_u128(2), key.id, &sealed),
                KeyRecord::unseal(&master, project, Uuid::from_u128(3), &sealed),
                KeyRecord::unseal(&MasterKey::generate(&env), project, key.id, &sealed),
                KeyRecord::unseal(&master, project, key.id, &sealed[1..]),
            ];
            assert!(elsewhere.into_iter().all(|opened| opened.unwrap_err() == UnsealError::Seal));
            assert_eq!(format!("{:?}", key.material), format!("{kind:?}([secret])"));
        }
    }

    /// Written by the program when there was one kind of key.
    #[test]
    fn a_key_of_the_first_form_is_still_read() {
        let hex = "016f7d080ee584980f4c700899df1235ff508b1a80e246b57cdb1998da855ffa702052b3a82ef37c6ceaf7efe9a865a9ba\
                   ead3539b4baa7f0e085da6b170db5ddc0822f80166d2092bfbde234a86";
        let sealed: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let (master, project, id) = (MasterKey::from_bytes([7; 32]), Uuid::from_u128(1), Uuid::from_u128(7));
        let key = KeyRecord::unseal(&master, project, id, &sealed).unwrap();
        assert_eq!((key.id, key.kind(), bytes(&key)), (id, KeyKind::Ed25519, vec![9; 32]));
        assert_eq!((key.created_at, key.retires_at), (Timestamp::from_secs(5), Some(Timestamp::from_secs(9))));
        // What it is written as from now on.
        let again = KeyRecord::unseal(&master, project, id, &key.seal(&master, &Env::system(), project)).unwrap();
        assert_eq!((again.kid(), again.retires_at), (key.kid(), key.retires_at));
    }

    #[test]
    fn a_later_form_is_told_from_damage() {
        let env = Env::system();
        let (master, project, id) = (MasterKey::generate(&env), Uuid::from_u128(1), Uuid::from_u128(2));
        let of_kind = |kind: u8, length: usize| [&[2, kind][..], &vec![3; length]].concat();
        let forms = [
            vec![3; 50],
            vec![1; 48],
            vec![1; 50],
            Vec::new(),
            vec![2],
            of_kind(0, 48),
            of_kind(4, 48),
            of_kind(1, 47),
            of_kind(2, 49),
            of_kind(3, 15),
        ];
        for plain in forms {
            let sealed = master.seal(&env, &context(project, id), &plain);
            assert_eq!(KeyRecord::unseal(&master, project, id, &sealed).unwrap_err(), UnsealError::Form, "{plain:?}");
        }
        // It opens, and is no key.
        let sealed = master.seal(&env, &context(project, id), &of_kind(3, 100));
        assert_eq!(KeyRecord::unseal(&master, project, id, &sealed).unwrap().kid(), None);
    }
}
