//! Lines of the audit trail: entries with their hashes, so that the chain still verifies where they are brought to.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fields::{Hex, Ip, Moment, Named, Request};
use crate::crypto::Digest;
use crate::data::audit;
use crate::data::events::{By, Event, EventKind, Outcome};
use crate::store::StoreError;

/// An entry.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Its number.
    pub seq: u64,
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: Moment,
    /// What happened.
    pub event: Named<EventKind>,
    /// What came of it.
    pub outcome: Named<Outcome>,
    /// Who did it.
    pub by: Named<By>,
    /// The operator's user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// To which account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Uuid>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ip>,
    /// The request it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// A digest of the address that was tried, unlocked or written to, under a key of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Hex<16>>,
    /// The hash of the entry before.
    pub previous: Hex<32>,
    /// Its own, over all of this.
    pub hash: Hex<32>,
}

impl Audit {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let row = audit::Row::of(key, value)?;
        let audit::Entry { seq, previous, event } = row.entry()?;
        Ok(Self {
            seq,
            id: event.id,
            at: Moment(event.at),
            event: Named(event.kind),
            outcome: Named(event.outcome),
            by: Named(event.by),
            uid: event.uid,
            user: event.user,
            ip: event.ip.map(Ip),
            request: event.request.map(Request),
            address: event.address.map(Hex),
            previous: previous.into(),
            hash: row.hash().into(),
        })
    }

    /// The entry, and the hash it must have.
    pub(super) fn record(&self) -> (audit::Entry, Digest) {
        let event = Event {
            id: self.id,
            at: self.at.0,
            kind: self.event.0,
            by: self.by.0,
            uid: self.uid,
            user: self.user,
            ip: self.ip.map(|ip| ip.0),
            request: self.request.map(|request| request.0),
            outcome: self.outcome.0,
            address: self.address.map(|digest| digest.0),
        };
        (audit::Entry { seq: self.seq, previous: self.previous.into(), event }, self.hash.into())
    }
}
