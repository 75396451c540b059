//! Mails as verbs write them: made ready before the transaction, put into the outbox by it.

use std::net::IpAddr;

use uuid::Uuid;

use super::{Email, Error, Project, outbox, ticket_mail};
use crate::config::Mail as Settings;
use crate::config::forms::host_of;
use crate::crypto::Secret;
use crate::data::outbox::{self as rows, Item, Kind, Payload};
use crate::data::users::{self, User};
use crate::env::Timestamp;
use crate::mail::{Envelope, Letter, Message, SendError};
use crate::store::{StoreError, Write};

/// A mail ready to be written. To whom is said when it is: the account is often found in the transaction only.
#[derive(Clone, Debug)]
pub(crate) struct Mail(Item);

impl Mail {
    /// A mail that may hold a secret, sealed. It makes no sense any more from `expires_at` on.
    pub(crate) fn sealed(project: &Project, now: Timestamp, letter: &Letter, expires_at: Timestamp) -> Self {
        let id = project.env().new_id(now);
        let plain = Secret::new(bytes_of(letter));
        Self(item(id, now, letter, outbox::seal(project, id, plain.expose()), expires_at))
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

/// The mail that an item becomes, with the templates and the sender of now.
///
/// # Errors
/// `Never` when it cannot be opened; `Later` when its template cannot say it, which is the operator's to mend.
pub fn message(project: &Project, mail: &Settings, item: &Item) -> Result<Message, SendError> {
    let opened = outbox::open(project, item).map_err(|error| SendError::Never(error.to_string()))?;
    let mut letter: Letter = serde_json::from_slice(opened.expose())
        .map_err(|_| SendError::Never("a letter that this version cannot read".into()))?;
    let settings = project.settings();
    let owner = owner_of(project, &item.recipient).map_err(|error| SendError::Later(error.to_string()))?;
    letter.locale = letter.locale.or_else(|| owner.as_ref()?.locale.clone());
    let mut locales: Vec<&str> = settings.mail.locale.iter().chain([&mail.locale]).map(String::as_str).collect();
    if letter.template.brings_ticket() {
        locales.insert(0, &settings.nhost.locale);
        let name = owner.and_then(|owner| owner.display_name).unwrap_or_else(|| item.recipient.clone());
        letter.values.entry("displayName".into()).or_insert(name);
        letter.values.insert("serverUrl".into(), ticket_mail::server_url(&settings));
        let client_url = settings.nhost.client_url.as_ref().map(ToString::to_string);
        letter.values.insert("clientUrl".into(), client_url.unwrap_or_default());
    }
    let from = settings.mail.from.clone().or_else(|| mail.from.clone());
    let from = from.unwrap_or_else(|| no_reply(settings.public_url.as_deref().unwrap_or_default()));
    let envelope = Envelope {
        id: item.id,
        to: &item.recipient,
        from: &from,
        reply_to: mail.reply_to.as_deref(),
        app_name: settings.app_name(),
        locales: &locales,
    };
    // A template is tried when it is loaded; what still fails is the operator's to mend.
    mail.compiled.render(&letter, &envelope).map_err(SendError::Later)
}

/// The account of an address, if it has one: what is written to it is in its language.
fn owner_of(project: &Project, address: &str) -> Result<Option<User>, Error> {
    let Ok(email) = Email::parse(address) else { return Ok(None) };
    project.store().read(|r| Ok(users::by_email(r, &email)?))
}

/// The sender where the operator names none.
fn no_reply(public_url: &str) -> String {
    let host = match host_of(public_url) {
        "" => "localhost",
        host => host,
    };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        // An address literal (RFC 5321, 4.1.3).
        Ok(IpAddr::V4(ip)) => format!("no-reply@[{ip}]"),
        Ok(IpAddr::V6(ip)) => format!("no-reply@[IPv6:{ip}]"),
        Err(_) => format!("no-reply@{host}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_that_nobody_named() {
        for (url, from) in [
            ("https://auth.example.com:8443/x", "no-reply@auth.example.com"),
            ("https://127.0.0.1:8443", "no-reply@[127.0.0.1]"),
            ("https://[::1]:8443", "no-reply@[IPv6:::1]"),
            ("", "no-reply@localhost"),
        ] {
            assert_eq!(no_reply(url), from);
        }
    }
}
