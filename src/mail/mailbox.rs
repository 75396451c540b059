//! A mailbox in memory: what a server in a test sent, to be read by the test.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tokio::sync::watch;

use super::{Message, SendError};
use crate::env::Timestamp;

/// Mails kept; beyond it the oldest go.
const MAX_KEPT: usize = 10_000;

/// Where the `memory` transport puts mails.
pub struct Mailbox {
    state: Mutex<State>,
    /// How many mails ever came in; changes wake who waits for one.
    received: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Oldest first; the last has the number `received`.
    kept: VecDeque<Sent>,
    failing: Option<SendError>,
}

/// A mail that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Its number in this mailbox, from 1.
    #[serde(skip)]
    pub number: u64,
    /// The recipient's address.
    pub to: String,
    /// The sender.
    pub from: String,
    /// The subject line.
    pub subject: String,
    /// The body as plain text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
    /// Further headers, as an object.
    #[serde(serialize_with = "as_object")]
    pub headers: Vec<(String, String)>,
    /// The template it was made from.
    pub template: String,
    /// The link in it.
    pub link: Option<String>,
    /// The typeable code in it.
    pub code: Option<String>,
    /// When it was sent, RFC 3339.
    pub sent_at: String,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { state: Mutex::default(), received: watch::Sender::new(0) }
    }
}

impl Mailbox {
    /// All mails that are kept, newest last; those to one address when `to` is given (in any case).
    pub fn messages(&self, to: Option<&str>) -> Vec<Sent> {
        let wanted = |sent: &&Sent| to.is_none_or(|to| sent.to.eq_ignore_ascii_case(to));
        self.lock().kept.iter().filter(wanted).cloned().collect()
    }

    /// Forgets all mails, those to one address when `to` is given; how many there were.
    pub fn clear(&self, to: Option<&str>) -> usize {
        let mut state = self.lock();
        let before = state.kept.len();
        state.kept.retain(|sent| to.is_some_and(|to| !sent.to.eq_ignore_ascii_case(to)));
        before - state.kept.len()
    }

    /// How many mails ever came in, as it changes.
    pub fn received(&self) -> watch::Receiver<u64> {
        self.received.subscribe()
    }

    /// From now on every delivery fails with this; `None`: none does.
    pub fn fail_with(&self, error: Option<SendError>) {
        self.lock().failing = error;
    }

    pub(super) fn put(&self, message: &Message, now: Timestamp) -> Result<(), SendError> {
        let mut state = self.lock();
        if let Some(error) = &state.failing {
            return Err(error.clone());
        }
        let message = message.clone();
        let number = *self.received.borrow() + 1;
        state.kept.push_back(Sent {
            number,
            to: message.to,
            from: message.from,
            subject: message.subject,
            text: message.text,
            html: message.html,
            headers: message.headers,
            template: message.template,
            link: message.link,
            code: message.code,
            sent_at: now.rfc3339(),
        });
        if state.kept.len() > MAX_KEPT {
            state.kept.pop_front();
        }
        // Under the lock: whoever sees the number finds the mail.
        self.received.send_replace(number);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("received", &*self.received.borrow()).finish_non_exhaustive()
    }
}

fn as_object<S: Serializer>(headers: &[(String, String)], to: S) -> Result<S::Ok, S::Error> {
    let mut object = to.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        object.serialize_entry(name, value)?;
    }
    object.end()
}
