//! Mail on its way out: a message, and what came of sending it. Templates make messages, transports send them.

mod embedded;
mod folder;
mod letter;
mod mailbox;
mod percent;
mod samples;
mod templates;
#[cfg(test)]
mod templates_tests;
mod transport;

use std::fmt;

pub use letter::{Letter, Template};
pub use mailbox::{Mailbox, Sent};
pub use percent::percent_encoded;
pub use templates::{Envelope, LOCALES, TemplateProblem, Templates};
pub use transport::{Files, Limits, Login, Smtp, SmtpSettings, SmtpTls, Taken, Transport, Webhook, WebhookSettings};

/// A mail, ready to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The same at every try of the same mail, so that a duplicate can be known for one: the `Message-ID`'s left part.
    pub id: uuid::Uuid,
    /// The recipient's address.
    pub to: String,
    /// The sender, as `Name <address>` or an address.
    pub from: String,
    /// The subject line.
    pub subject: String,
    /// The body as plain text; empty: there is only the other.
    pub text: String,
    /// The body as HTML; likewise.
    pub html: String,
    /// Further headers, such as `X-Email-Template`; some hold secrets.
    pub headers: Vec<(String, String)>,
    /// The template it was made from, such as `verify-email`.
    pub template: String,
    /// The link in it, for a test's mailbox and the preview; never logged.
    pub link: Option<String>,
    /// The typeable code in it, likewise.
    pub code: Option<String>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bodies hold secrets, the address is the user's.
        f.debug_struct("Message").field("id", &self.id).field("template", &self.template).finish_non_exhaustive()
    }
}

/// Why a mail was not sent. The texts are for the operator and hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may work later: the server is down, slow, or answered 4xx.
    #[error("{0}")]
    Later(String),
    /// It will never work: the address or the mail was refused for good (5xx).
    #[error("{0}")]
    Never(String),
}
