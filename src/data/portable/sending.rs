//! Lines of the outbox: what waits to be sent, and what was given up.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fields::{Base64, Moment, Named};
use super::people::at_most;
use crate::crypto::Secret;
use crate::data::outbox::{DeadLetter, Item, Kind, MAX_NAME, MAX_PAYLOAD, Payload};

/// Most characters of a reason, of a purpose, of a recipient.
const MAX_TEXT: usize = 1000;

/// Something to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sending {
    /// Its id.
    pub id: Uuid,
    /// How it is sent.
    pub kind: Named<Kind>,
    /// What it is about.
    pub purpose: String,
    /// To whom.
    pub recipient: String,
    /// Whether what it says is a secret, which the store keeps sealed.
    pub sealed: bool,
    /// What it says; not there where it is sealed and the file has no secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Base64>,
    /// When it was written.
    pub created_at: Moment,
    /// Since when it is being tried.
    pub since: Moment,
    /// When it is to be tried next.
    pub next_at: Moment,
    /// When sending it makes no sense any more.
    pub expires_at: Moment,
    /// Attempts that were begun.
    pub attempts: u32,
    /// Whether one was begun whose end is not known.
    pub begun: bool,
    /// Whether one was cut off by a crash.
    pub interrupted: bool,
    /// Why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it was given up; of dead letters only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub died_at: Option<Moment>,
}

impl Sending {
    /// An item that waits, with what it says as far as that may be told.
    pub fn waiting(item: Item, plain: Option<Secret<Vec<u8>>>) -> Self {
        Self {
            id: item.id,
            kind: Named(item.kind),
            purpose: item.purpose,
            recipient: item.recipient,
            sealed: matches!(item.payload, Payload::Sealed(_)),
            payload: plain.map(Base64),
            created_at: Moment(item.created_at),
            since: Moment(item.since),
            next_at: Moment(item.next_at),
            expires_at: Moment(item.expires_at),
            attempts: item.attempts,
            begun: item.begun,
            interrupted: item.interrupted,
            last_error: item.last_error,
            died_at: None,
        }
    }

    /// A dead letter; the same.
    pub fn dead(letter: DeadLetter, plain: Option<Secret<Vec<u8>>>) -> Self {
        Self { died_at: Some(Moment(letter.died_at)), ..Self::waiting(letter.item, plain) }
    }

    /// The item, which says `payload`.
    pub fn item(&self, payload: Payload) -> Item {
        Item {
            id: self.id,
            kind: self.kind.0,
            purpose: self.purpose.clone(),
            recipient: self.recipient.clone(),
            payload,
            created_at: self.created_at.0,
            since: self.since.0,
            next_at: self.next_at.0,
            expires_at: self.expires_at.0,
            attempts: self.attempts,
            begun: self.begun,
            interrupted: self.interrupted,
            last_error: self.last_error.clone(),
        }
    }

    pub(super) fn check(&self, is_dead: bool) -> Result<(), String> {
        if self.died_at.is_some() != is_dead {
            return Err("`died_at`: a dead letter has it, and nothing else".into());
        }
        if self.payload.is_none() && !self.sealed {
            return Err("`payload`: only what is sealed may be without".into());
        }
        if self.payload.as_ref().is_some_and(|payload| payload.0.expose().len() > MAX_PAYLOAD) {
            return Err(format!("`payload`: more than {MAX_PAYLOAD} bytes"));
        }
        let is_webhook = self.kind.0 == Kind::Webhook;
        if is_webhook && (self.recipient.len() > MAX_NAME || self.recipient.is_empty() || self.recipient.contains('\0'))
        {
            return Err("`recipient`: that is no name of a webhook".into());
        }
        at_most("purpose", Some(&self.purpose), MAX_TEXT)?;
        at_most("recipient", Some(&self.recipient), MAX_TEXT)?;
        at_most("last_error", self.last_error.as_deref(), MAX_TEXT)
    }
}
