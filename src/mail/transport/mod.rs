//! How a mail leaves: one variant a way.

mod file;
mod log;
mod smtp;
#[cfg(test)]
mod tests;
mod webhook;
mod written;

use std::sync::Arc;

use super::{Mailbox, Message, SendError};
use crate::env::Timestamp;
pub use file::Files;
pub use smtp::{Limits, Login, Smtp, SmtpSettings, SmtpTls};
pub use webhook::{Webhook, WebhookSettings};

/// A way out for mails. Cheap to clone; used by many sends at once.
#[derive(Clone, Debug)]
pub enum Transport {
    /// There is none: mails wait.
    None,
    /// Into a mailbox in memory, for tests.
    Memory(Arc<Mailbox>),
    /// To a mail server.
    Smtp(Arc<Smtp>),
    /// Into files.
    Files(Files),
    /// Into the log, which says that there is a mail and not what it says.
    Log,
    /// To a program of the operator's, over HTTP.
    Webhook(Arc<Webhook>),
}

/// What became of a mail that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the receiver's now.
    Sent,
    /// It was only spoken of: whoever wants to read it finds it in the outbox.
    Told,
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
    pub async fn send(&self, message: &Message, now: Timestamp) -> Result<Taken, SendError> {
        match self {
            Self::None => Err(SendError::Later("mail.transport is \"none\"".into())),
            Self::Memory(mailbox) => mailbox.put(message, now).map(|()| Taken::Sent),
            Self::Smtp(smtp) => smtp.send(message, now).await.map(|()| Taken::Sent),
            Self::Files(files) => files.send(message, now).await.map(|()| Taken::Sent),
            Self::Webhook(webhook) => webhook.send(message, now).await.map(|()| Taken::Sent),
            Self::Log => {
                log::send(message);
                Ok(Taken::Told)
            }
        }
    }
}
