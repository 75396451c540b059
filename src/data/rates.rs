//! Windows of those limiters whose counts must survive a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Record, Table, fetch, key, store};
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// A window: when its first request came, and how many came since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateWindow {
    /// When it began.
    pub began: Timestamp,
    /// Requests in it.
    pub count: u32,
    /// When it is over.
    pub until: Timestamp,
}

impl Record for RateWindow {}

/// The window of one client under the limiter with this number. Windows of different lengths are different ones.
pub fn get(
    r: &(impl Read + ?Sized),
    limiter: u8,
    length: Duration,
    client: u128,
) -> Result<Option<RateWindow>, StoreError> {
    fetch(r, &row(limiter, length, client))
}

/// Keeps it.
pub fn put(
    w: &mut (impl Write + ?Sized),
    limiter: u8,
    length: Duration,
    client: u128,
    window: &RateWindow,
) -> Result<(), StoreError> {
    store(w, &row(limiter, length, client), window)
}

fn row(limiter: u8, length: Duration, client: u128) -> Vec<u8> {
    row_of(limiter, u32::try_from(length.as_secs()).unwrap_or(u32::MAX), client)
}

pub(super) fn row_of(limiter: u8, seconds: u32, client: u128) -> Vec<u8> {
    key(Table::Rate, &[&[limiter], &seconds.to_be_bytes(), &client.to_be_bytes()])
}
