//! Pictures of accounts, each in a row of its own: the account's row, which every request reads, only says whether
//! there is one.

use uuid::Uuid;

use super::{Table, key};
use crate::store::{Read, StoreError, Write};

/// The version of these rows: the text follows it as it is.
const VERSION: u8 = 1;

/// An account's picture, as the text that was given.
pub fn get(r: &(impl Read + ?Sized), user: Uuid) -> Result<Option<String>, StoreError> {
    let Some(mut row) = r.get(&row(user))? else { return Ok(None) };
    if row.first() != Some(&VERSION) {
        return Err(StoreError::Corrupt("a picture of an unknown version".into()));
    }
    row.remove(0);
    String::from_utf8(row).map(Some).map_err(|_| StoreError::Corrupt("a picture that is no text".into()))
}

/// Keeps an account's picture.
pub fn put(w: &mut (impl Write + ?Sized), user: Uuid, picture: &str) -> Result<(), StoreError> {
    let mut value = Vec::with_capacity(1 + picture.len());
    value.push(VERSION);
    value.extend_from_slice(picture.as_bytes());
    w.put(&row(user), &value)
}

/// Removes an account's picture, if it has one.
pub fn remove(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<(), StoreError> {
    w.delete(&row(user))
}

fn row(user: Uuid) -> Vec<u8> {
    key(Table::Avatar, &[user.as_bytes()])
}
