//! How a mail leaves: one variant a way.

use std::sync::Arc;

use super::{Mailbox, Message, SendError};
use crate::env::Timestamp;

/// A way out for mails. Cheap to clone; used by many sends at once.
#[derive(Clone, Debug)]
pub enum Transport {
    /// There is none: mails wait.
    None,
    /// Into a mailbox in memory, for tests.
    Memory(Arc<Mailbox>),
}

impl Transport {
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
