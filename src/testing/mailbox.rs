//! The mailbox of a test: what the server sent, and waiting for what it will.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::mail::{self, SendError, Sent};

/// What a server in a test sent. Reading never takes a mail out of it.
#[derive(Debug)]
pub struct Mailbox {
    kept: Arc<mail::Mailbox>,
    /// By address in lower case: the number of the last mail that [`Mailbox::next_to`] gave out.
    read: Mutex<HashMap<String, u64>>,
}

impl Mailbox {
    pub(super) fn new(kept: &Arc<mail::Mailbox>) -> Self {
        Self { kept: Arc::clone(kept), read: Mutex::default() }
    }

    /// All mails, newest last. A mail is sent beside the request that caused it: to wait for one, [`Mailbox::next_to`].
    pub fn messages(&self) -> Vec<Sent> {
        self.kept.messages(None)
    }

    /// All mails to this address, newest last.
    pub fn to(&self, address: &str) -> Vec<Sent> {
        self.kept.messages(Some(address))
    }

    /// The next mail to this address, in the order they are sent, as soon as there is one.
    pub async fn next_to(&self, address: &str) -> Sent {
        let mut received = self.kept.received();
        loop {
            received.mark_unchanged();
            if let Some(sent) = self.unread(address) {
                return sent;
            }
            if received.changed().await.is_err() {
                // The mailbox is ours: it cannot go while we wait.
                std::future::pending::<()>().await;
            }
        }
    }

    /// From now on every delivery fails with this; `None`: none does any more.
    pub fn fail_with(&self, error: Option<SendError>) {
        self.kept.fail_with(error);
    }

    fn unread(&self, address: &str) -> Option<Sent> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let last = read.entry(address.to_ascii_lowercase()).or_default();
        let next = self.to(address).into_iter().find(|sent| sent.number > *last)?;
        *last = next.number;
        Some(next)
    }
}
