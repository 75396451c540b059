//! Devices that accounts were used from: a digest of what each calls itself, so that an owner can be told of a new one.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, end_of, fetch, key, keys, store};
use crate::crypto::Digest;
use crate::env::Timestamp;
use crate::store::{StoreError, Write};

/// Devices remembered of one account; the one longest unused makes room.
const MAX: usize = 20;
/// How exactly the last use is remembered: a sign-in from a known device seldom writes.
const EXACT: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) used_at: Timestamp,
}

impl Record for Device {}

/// What a device is to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The first one ever: nobody is surprised by it.
    First,
    /// Used before.
    Known,
    /// Not seen before, as others have been.
    New,
}

/// What a device is known by: 16 bytes of a digest.
pub fn mark(agent: Option<&str>) -> [u8; 16] {
    let digest = Digest::of("device", agent.unwrap_or_default().as_bytes());
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Remembers that an account is used from a device.
pub fn used(w: &mut (impl Write + ?Sized), user: Uuid, mark: &[u8; 16], now: Timestamp) -> Result<Seen, StoreError> {
    let row = row(user, mark);
    if let Some(device) = fetch::<Device>(w, &row)? {
        if now.since(device.used_at) >= EXACT {
            store(w, &row, &Device { used_at: now })?;
        }
        return Ok(Seen::Known);
    }
    let of_user = key(Table::Device, &[user.as_bytes()]);
    let others = keys(w, &of_user, &end_of(&of_user), MAX)?;
    if others.len() == MAX {
        let mut oldest: Option<(Timestamp, &Vec<u8>)> = None;
        for other in &others {
            let at = fetch::<Device>(w, other)?.map_or(Timestamp::default(), |device| device.used_at);
            if oldest.is_none_or(|(least, _)| at < least) {
                oldest = Some((at, other));
            }
        }
        if let Some((_, key)) = oldest {
            w.delete(key)?;
        }
    }
    store(w, &row, &Device { used_at: now })?;
    Ok(if others.is_empty() { Seen::First } else { Seen::New })
}

pub(super) fn row(user: Uuid, mark: &[u8; 16]) -> Vec<u8> {
    key(Table::Device, &[user.as_bytes(), mark])
}

/// Forgets the devices of an account.
pub fn remove_all(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<(), StoreError> {
    let of_user = key(Table::Device, &[user.as_bytes()]);
    keys(w, &of_user, &end_of(&of_user), usize::MAX)?.iter().try_for_each(|key| w.delete(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn the_first_is_no_surprise_and_the_longest_unused_makes_room() {
        let store = Store::memory();
        store
            .write(|w| {
                let user = Uuid::from_u128(1);
                let at = |n: usize| Timestamp::from_secs(100_000 * n as u64);
                let name = |n: usize| mark(Some(&format!("browser {n}")));
                assert_eq!(used(w, user, &name(0), at(0))?, Seen::First);
                assert_eq!(used(w, Uuid::from_u128(2), &name(1), at(0))?, Seen::First, "each account by itself");
                for n in 1..MAX {
                    assert_eq!(used(w, user, &name(n), at(n))?, Seen::New);
                }
                assert_eq!(used(w, user, &name(0), at(MAX))?, Seen::Known, "and so not the oldest any more");
                assert_eq!(used(w, user, &mark(None), at(MAX + 1))?, Seen::New);
                assert_eq!(used(w, user, &name(0), at(MAX + 2))?, Seen::Known);
                assert_eq!(used(w, user, &name(1), at(MAX + 2))?, Seen::New, "had made room");
                remove_all(w, user)?;
                assert_eq!(used(w, user, &name(0), at(MAX + 3))?, Seen::First);
                Ok::<_, StoreError>(())
            })
            .await
            .expect("a write");
    }
}
