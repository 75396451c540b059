//! Lines about what is counted: failures of sign-in, pauses between mails, windows of limiters.

use serde::{Deserialize, Serialize};

use super::fields::{CooldownOf, Hex, Ip, Moment};
use crate::data::lockouts::{self, ByAccount, ByClient, Subject};
use crate::data::one_time::{Cooldown as CooldownRecord, PADDING};
use crate::data::rates::{self, RateWindow};
use crate::data::{Table, decode, key};
use crate::store::StoreError;

/// Most failures of one client that are remembered by time.
const MAX_FAILURES: usize = 10_000;

/// Failures of one client on one address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockoutClient {
    /// A digest of the address.
    pub address: Hex<16>,
    /// The client: an IPv4 address, or the first half of an IPv6 one.
    pub client: Ip,
    /// When it failed.
    pub failures: Vec<Moment>,
    /// Since when it is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<Moment>,
    /// How long that is remembered.
    pub keep_until: Moment,
}

/// Consecutive failures on one address, whoever makes them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockoutAccount {
    /// A digest of the address.
    pub address: Hex<16>,
    /// How many.
    pub failures: u32,
    /// When the last was.
    pub last: Moment,
    /// Since when it is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<Moment>,
    /// How long that is remembered.
    pub keep_until: Moment,
}

/// When a secret was last issued for an address, or its owner told of something.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cooldown {
    /// Of what.
    pub of: CooldownOf,
    /// A digest of the address.
    pub address: Hex<16>,
    /// When.
    pub issued_at: Moment,
    /// How long that is remembered.
    pub until: Moment,
}

/// The requests of one client in a window of a limiter.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The limiter's number.
    pub limiter: u8,
    /// The window's length.
    pub seconds: u32,
    /// The client, or whatever else the limiter counts by.
    pub client: Hex<16>,
    /// When it began.
    pub began: Moment,
    /// Requests in it.
    pub count: u32,
    /// When it is over.
    pub until: Moment,
}

impl LockoutClient {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let [address, client] = two(key)?;
        let record: ByClient = decode(value)?;
        Ok(Self {
            address,
            client: Ip(client.0),
            failures: record.failures.into_iter().map(Moment).collect(),
            locked_at: record.locked_at.map(Moment),
            keep_until: Moment(record.keep_until),
        })
    }

    /// Its row's key, and its row.
    pub(super) fn record(&self) -> (Vec<u8>, ByClient) {
        let record = ByClient {
            failures: self.failures.iter().map(|failure| failure.0).collect(),
            locked_at: self.locked_at.map(|at| at.0),
            keep_until: self.keep_until.0,
        };
        (lockouts::client_key(&Subject { address: self.address.0, client: self.client.0 }), record)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let is_bounded = self.failures.len() <= MAX_FAILURES;
        if is_bounded { Ok(()) } else { Err(format!("`failures`: more than {MAX_FAILURES}")) }
    }
}

impl LockoutAccount {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let record: ByAccount = decode(value)?;
        Ok(Self {
            address: one(key.get(2..).unwrap_or_default())?,
            failures: record.failures,
            last: Moment(record.last),
            locked_at: record.locked_at.map(Moment),
            keep_until: Moment(record.keep_until),
        })
    }

    /// Its row's key, and its row.
    pub(super) fn record(&self) -> (Vec<u8>, ByAccount) {
        let record = ByAccount {
            failures: self.failures,
            last: self.last.0,
            locked_at: self.locked_at.map(|at| at.0),
            keep_until: self.keep_until.0,
        };
        (lockouts::account_key(&Subject { address: self.address.0, client: [0; 16] }), record)
    }
}

impl Cooldown {
    /// `None` for a row that only pads what an unknown address costs.
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Option<Self>, StoreError> {
        let (&of, address) = key.get(2..).unwrap_or_default().split_first().ok_or_else(corrupt)?;
        if of == PADDING {
            return Ok(None);
        }
        let record: CooldownRecord = decode(value)?;
        Ok(Some(Self {
            of: CooldownOf::of(of).ok_or_else(corrupt)?,
            address: one(address)?,
            issued_at: Moment(record.issued_at),
            until: Moment(record.until),
        }))
    }

    /// Its row's key, and its row.
    pub(super) fn record(&self) -> (Vec<u8>, CooldownRecord) {
        let row = key(Table::Cooldown, &[&[self.of.byte()], &self.address.0]);
        (row, CooldownRecord { issued_at: self.issued_at.0, until: self.until.0 })
    }
}

impl Rate {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let (&limiter, rest) = key.get(2..).unwrap_or_default().split_first().ok_or_else(corrupt)?;
        let (seconds, client) = rest.split_first_chunk().ok_or_else(corrupt)?;
        let record: RateWindow = decode(value)?;
        Ok(Self {
            limiter,
            seconds: u32::from_be_bytes(*seconds),
            client: one(client)?,
            began: Moment(record.began),
            count: record.count,
            until: Moment(record.until),
        })
    }

    /// Its row's key, and its row.
    pub(super) fn record(&self) -> (Vec<u8>, RateWindow) {
        let record = RateWindow { began: self.began.0, count: self.count, until: self.until.0 };
        (rates::row_of(self.limiter, self.seconds, u128::from_be_bytes(self.client.0)), record)
    }
}

fn one(bytes: &[u8]) -> Result<Hex<16>, StoreError> {
    bytes.try_into().map(Hex).map_err(|_| corrupt())
}

fn two(key: &[u8]) -> Result<[Hex<16>; 2], StoreError> {
    let (first, second) = key.get(2..).unwrap_or_default().split_at_checked(16).ok_or_else(corrupt)?;
    Ok([one(first)?, one(second)?])
}

fn corrupt() -> StoreError {
    StoreError::Corrupt("a counter of nobody knows what".into())
}
