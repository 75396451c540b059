//! Records in one project's file: what is stored, under which key, and the invariants between rows. No decisions.
//!
//! Every key starts with a table byte and a key-format version byte, every value with a record version byte, so that a
//! later version can tell what it reads; [`format`] leads from earlier ones to those of today. Bodies are postcard. Ids
//! are UUIDv7, so rows written together lie together.

pub mod api_keys;
pub mod audit;
pub mod avatars;
pub mod codes;
pub mod devices;
pub mod email;
pub mod events;
pub mod format;
pub mod identities;
pub mod issued;
pub mod lockouts;
pub mod one_time;
pub mod outbox;
pub mod personal_tokens;
pub mod portable;
pub mod project;
pub mod rates;
pub mod sessions;
pub mod sweep;
pub mod users;

pub use email::Email;

use std::ops::ControlFlow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{Read, StoreError, Write};

/// The tables of a project file. Numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    Meta = 0x01,
    SigningKey = 0x02,
    User = 0x10,
    UserByEmail = 0x11,
    Avatar = 0x12,
    UserGone = 0x13,
    Identity = 0x14,
    IdentityByUser = 0x15,
    Session = 0x20,
    SessionByUser = 0x21,
    SessionRefreshed = 0x22,
    SessionByToken = 0x23,
    Device = 0x24,
    OneTime = 0x30,
    OneTimeSlot = 0x31,
    Code = 0x32,
    ApiKey = 0x40,
    ApiKeyByPublic = 0x41,
    PersonalToken = 0x42,
    PersonalTokenByDigest = 0x43,
    LockoutByClient = 0x50,
    LockoutByAccount = 0x51,
    Cooldown = 0x52,
    Rate = 0x53,
    /// The events of files of format 1, which had no chain: removed by the upgrade, not written any more.
    Event = 0x60,
    Audit = 0x61,
    Outbox = 0x70,
    OutboxDue = 0x71,
    DeadLetter = 0x72,
}

impl Table {
    /// All of them, as they lie in a file one after the other.
    pub(crate) const ALL: [Self; 29] = [
        Self::Meta,
        Self::SigningKey,
        Self::User,
        Self::UserByEmail,
        Self::Avatar,
        Self::UserGone,
        Self::Identity,
        Self::IdentityByUser,
        Self::Session,
        Self::SessionByUser,
        Self::SessionRefreshed,
        Self::SessionByToken,
        Self::Device,
        Self::OneTime,
        Self::OneTimeSlot,
        Self::Code,
        Self::ApiKey,
        Self::ApiKeyByPublic,
        Self::PersonalToken,
        Self::PersonalTokenByDigest,
        Self::LockoutByClient,
        Self::LockoutByAccount,
        Self::Cooldown,
        Self::Rate,
        Self::Event,
        Self::Audit,
        Self::Outbox,
        Self::OutboxDue,
        Self::DeadLetter,
    ];
}

/// The version of how keys are spelled; one for all tables so far.
const KEY_VERSION: u8 = 1;

/// A key of `table` made of `parts`, in order. All parts but the last have a fixed length.
pub(crate) fn key(table: Table, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend_from_slice(&[table as u8, KEY_VERSION]);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// The exclusive end of the range of all keys that start with `prefix`.
pub(crate) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Cannot happen: every prefix starts with a table byte below 0xff.
    vec![u8::MAX; 64]
}

/// A value with a version of its own.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// The version written, and the only one read: [`format`] rewrites older ones when a file is opened.
    const VERSION: u8 = 1;

    /// Takes from the row's key what the value does not repeat.
    fn take_key(&mut self, _key: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Version byte and postcard body.
pub(crate) fn encode<T: Record>(record: &T) -> Vec<u8> {
    postcard::to_extend(record, vec![T::VERSION]).expect("records hold nothing postcard cannot write")
}

/// The record in `bytes`, or `Corrupt` when they are not one of this version.
pub(crate) fn decode<T: Record>(bytes: &[u8]) -> Result<T, StoreError> {
    let Some((&version, body)) = bytes.split_first() else {
        return Err(StoreError::Corrupt("an empty record".into()));
    };
    if version != T::VERSION {
        let why = format!("a record of version {version}, this program reads {}", T::VERSION);
        return Err(StoreError::Corrupt(why));
    }
    postcard::from_bytes(body).map_err(|error| StoreError::Corrupt(format!("a record that cannot be read: {error}")))
}

/// The record of one row.
pub(crate) fn decode_row<T: Record>(key: &[u8], value: &[u8]) -> Result<T, StoreError> {
    let mut record: T = decode(value)?;
    record.take_key(key)?;
    Ok(record)
}

/// The id that is the whole key of a row behind table and version.
pub(crate) fn id_of_key(key: &[u8]) -> Result<uuid::Uuid, StoreError> {
    uuid_of(key.get(2..).unwrap_or_default())
}

/// Reads and decodes one row.
pub(crate) fn fetch<T: Record>(r: &(impl Read + ?Sized), key: &[u8]) -> Result<Option<T>, StoreError> {
    r.get(key)?.map(|value| decode_row(key, &value)).transpose()
}

/// Encodes and writes one row.
pub(crate) fn store<T: Record>(w: &mut (impl Write + ?Sized), key: &[u8], record: &T) -> Result<(), StoreError> {
    w.put(key, &encode(record))
}

/// Decodes at most `limit` rows between `from` and `to` (exclusive), in key order.
pub(crate) fn collect<T: Record>(
    r: &(impl Read + ?Sized),
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<T>, StoreError> {
    let mut rows = Vec::new();
    let mut bad = None;
    r.scan(from, to, limit, &mut |key, value| match decode_row(key, value) {
        Ok(row) => {
            rows.push(row);
            ControlFlow::Continue(())
        }
        Err(error) => {
            bad = Some(error);
            ControlFlow::Break(())
        }
    })?;
    bad.map_or(Ok(rows), Err)
}

/// The keys between `from` and `to` (exclusive), at most `limit`.
pub(crate) fn keys(r: &(impl Read + ?Sized), from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    r.scan(from, to, limit, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(keys)
}

/// A UUID out of `bytes`, which an index row says is one.
pub(crate) fn uuid_of(bytes: &[u8]) -> Result<uuid::Uuid, StoreError> {
    uuid::Uuid::from_slice(bytes).map_err(|_| StoreError::Corrupt("an index row that holds no id".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(end_of(&[1, 2]), [1, 3]);
        assert_eq!(end_of(&[1, 255]), [2]);
    }

    #[test]
    fn a_record_of_an_unknown_version_is_corrupt_not_misread() {
        let bytes = encode(&project::Counter(7));
        assert_eq!(decode::<project::Counter>(&bytes).expect("own version").0, 7);
        let mut newer = bytes;
        newer[0] = 99;
        assert!(matches!(decode::<project::Counter>(&newer), Err(StoreError::Corrupt(_))));
        assert!(matches!(decode::<project::Counter>(&[]), Err(StoreError::Corrupt(_))));
    }
}
