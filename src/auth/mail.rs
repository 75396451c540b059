//! Mails as verbs write them: made ready before the transaction, put into the outbox by it.

use uuid::Uuid;

use super::{Project, outbox};
use crate::data::outbox::{self as rows, Item, Kind, Payload};
use crate::env::Timestamp;
use crate::mail::Letter;
use crate::store::{StoreError, Write};

/// A mail ready to be written. To whom is said when it is: the account is often found in the transaction only.
#[derive(Clone, Debug)]
pub(crate) struct Mail(Item);

impl Mail {
    /// A mail that may hold a secret, sealed. It makes no sense any more from `expires_at` on.
    pub(crate) fn sealed(project: &Project, now: Timestamp, letter: &Letter, expires_at: Timestamp) -> Self {
        let id = project.env().new_id(now);
        Self(item(id, now, letter, outbox::seal(project, id, &bytes_of(letter)), expires_at))
    }

    /// A mail that holds no secret, with the id of what it tells: it can be made within the transaction.
    pub(crate) fn plain(id: Uuid, now: Timestamp, letter: &Letter, expires_at: Timestamp) -> Self {
        Self(item(id, now, letter, Payload::Plain(bytes_of(letter)), expires_at))
    }

    /// Puts it into the outbox, as part of a job; the caller wakes who sends it.
    pub(crate) fn write(&self, w: &mut dyn Write, to: &str) -> Result<(), StoreError> {
        rows::enqueue(w, &Item { recipient: to.to_owned(), ..self.0.clone() })
    }

    /// Puts it into the outbox, as part of a job, and wakes who sends it.
    pub(crate) fn enqueue(&self, w: &mut dyn Write, project: &Project, to: &str) -> Result<(), StoreError> {
        project.wake_outbox();
        self.write(w, to)
    }

    /// Writes what [`Mail::enqueue`] would, as a row of the same length that is never sent: for an address without an
    /// account, which is not kept.
    pub(crate) fn pretend(&self, w: &mut dyn Write, project: &Project, to: &str) -> Result<(), StoreError> {
        project.wake_outbox();
        rows::enqueue(w, &Item { kind: Kind::Decoy, recipient: "-".repeat(to.len()), ..self.0.clone() })
    }
}

fn item(id: Uuid, now: Timestamp, letter: &Letter, payload: Payload, expires_at: Timestamp) -> Item {
    Item {
        id,
        kind: Kind::Mail,
        purpose: letter.template.name().to_owned(),
        recipient: String::new(),
        payload,
        created_at: now,
        since: now,
        next_at: now,
        expires_at,
        attempts: 0,
        begun: false,
        interrupted: false,
        last_error: None,
    }
}

fn bytes_of(letter: &Letter) -> Vec<u8> {
    serde_json::to_vec(letter).expect("a letter holds nothing JSON cannot say")
}
