//! How a mail leaves: one variant a way, built from the settings.

use std::sync::Arc;

use super::{Mailbox, Message, SendError};
use crate::env::Timestamp;

/// The operator's choice, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TransportSettings {
    /// Nothing is sent: mails wait in the outbox until they expire.
    #[default]
    None,
}

/// A way out for mails. Cheap to clone; used by many sends at once.
#[derive(Clone, Debug)]
pub enum Transport {
    /// There is none: mails wait.
    None,
    /// Into a mailbox in memory, for tests.
    Memory(Arc<Mailbox>),
}

impl Transport {
    /// The way out that `settings` ask for.
    pub fn new(settings: &TransportSettings) -> Self {
        match settings {
            TransportSettings::None => Self::None,
        }
    }

    /// Whether mails go anywhere.
    pub const fn sends(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Sends one mail. `now` is when the attempt was begun.
    ///
    /// # Errors
    /// [`SendError`] says whether another attempt makes sense.
    pub async fn send(&self, message: &Message, now: Timestamp) -> Result<(), SendError> {
        match self {
            Self::None => Err(SendError::Later("mail.transport is \"none\"".into())),
            Self::Memory(mailbox) => mailbox.put(message, now),
        }
    }
}
