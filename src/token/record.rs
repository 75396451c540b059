//! A signing key as the store keeps it: sealed.

use thiserror::Error;
use uuid::Uuid;

use crate::crypto::{MasterKey, SealError, Secret};
use crate::env::{Env, Timestamp};

/// An Ed25519 signing key of one project.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Its id in the store; the public id is derived from the key itself.
    pub id: Uuid,
    /// The seed (RFC 8032 section 5.1.5).
    pub seed: Secret<[u8; 32]>,
    /// When it was made; of the keys without an end, the newest signs.
    pub created_at: Timestamp,
    /// When it stops verifying. `None` while it may sign.
    pub retires_at: Option<Timestamp>,
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

/// `0x01 | created 8 | retires 8 | seed 32`, big-endian milliseconds; all ones when it has no end.
const LENGTH: usize = 1 + 8 + 8 + 32;
const VERSION: u8 = 1;
const NO_END: u64 = u64::MAX;

impl KeyRecord {
    /// A fresh key that may sign from now on.
    pub fn generate(env: &Env, now: Timestamp) -> Self {
        Self { id: env.new_id(now), seed: Secret::new(env.random()), created_at: now, retires_at: None }
    }

    /// The record sealed for its place; its id is the store's key.
    pub fn seal(&self, master: &MasterKey, env: &Env, project: Uuid) -> Vec<u8> {
        let mut plain = Secret::new(Vec::with_capacity(LENGTH));
        let bytes = plain.expose_mut();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.created_at.millis().to_be_bytes());
        bytes.extend_from_slice(&self.retires_at.map_or(NO_END, Timestamp::millis).to_be_bytes());
        bytes.extend_from_slice(self.seed.expose());
        master.seal(env, &context(project, self.id), plain.expose())
    }

    /// Opens what [`KeyRecord::seal`] made for the same project and id.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn unseal(master: &MasterKey, project: Uuid, id: Uuid, sealed: &[u8]) -> Result<Self, UnsealError> {
        let plain = master.open(&context(project, id), sealed).map_err(|SealError| UnsealError::Seal)?;
        let rest = plain.expose().strip_prefix(&[VERSION]).ok_or(UnsealError::Form)?;
        let (created, rest) = rest.split_first_chunk().ok_or(UnsealError::Form)?;
        let (retires, rest) = rest.split_first_chunk().ok_or(UnsealError::Form)?;
        let seed = <[u8; 32]>::try_from(rest).map_err(|_| UnsealError::Form)?;
        let retires = u64::from_be_bytes(*retires);
        Ok(Self {
            id,
            seed: Secret::new(seed),
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

    #[test]
    fn a_key_opens_in_its_own_place_only() {
        let env = Env::system();
        let (master, project) = (MasterKey::generate(&env), Uuid::from_u128(1));
        for retires_at in [None, Some(Timestamp::from_secs(9))] {
            let key = KeyRecord { retires_at, ..KeyRecord::generate(&env, Timestamp::from_secs(5)) };
            let sealed = key.seal(&master, &env, project);
            let opened = KeyRecord::unseal(&master, project, key.id, &sealed).unwrap();
            assert_eq!(opened.seed.expose(), key.seed.expose());
            assert_eq!((opened.id, opened.created_at, opened.retires_at), (key.id, key.created_at, retires_at));
            assert!(!sealed.windows(32).any(|part| part == key.seed.expose()));
            let elsewhere = [
                KeyRecord::unseal(&master, Uuid::from_u128(2), key.id, &sealed),
                KeyRecord::unseal(&master, project, Uuid::from_u128(3), &sealed),
                KeyRecord::unseal(&MasterKey::generate(&env), project, key.id, &sealed),
                KeyRecord::unseal(&master, project, key.id, &sealed[1..]),
            ];
            assert!(elsewhere.into_iter().all(|opened| opened.unwrap_err() == UnsealError::Seal));
            assert!(!format!("{key:?}").contains(&format!("{:?}", key.seed.expose())));
        }
    }

    #[test]
    fn a_later_form_is_told_from_damage() {
        let env = Env::system();
        let (master, project, id) = (MasterKey::generate(&env), Uuid::from_u128(1), Uuid::from_u128(2));
        for plain in [&[2; LENGTH][..], &[1; LENGTH - 1], &[1; LENGTH + 1], &[]] {
            let sealed = master.seal(&env, &context(project, id), plain);
            assert_eq!(KeyRecord::unseal(&master, project, id, &sealed).unwrap_err(), UnsealError::Form);
        }
    }
}
