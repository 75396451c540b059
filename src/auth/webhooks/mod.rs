//! Webhooks: what happened, posted to the integrator's own servers. Written into the outbox in the transaction that made
//! it so, so that nothing is told that was rolled back and nothing is lost by a crash; sent from there.
//!
//! | event | when | `data.user` |
//! |---|---|---|
//! | `auth.signup.success` | an account was made by its owner | the new account |
//! | `auth.login.success` | a session began | whose |
//! | `auth.logout.success` | the owner ended a session | whose |
//! | `auth.logout_all.success` | the owner ended all sessions | whose |
//! | `auth.email_verification.verified` | an address was proved | the account |
//! | `security.lockout` | failed attempts locked an address | the account; `null` where the address has none |
//! | `security.token_theft` | a refresh token was used twice, its session was ended | whose |
//! | `security.account_disabled`, `security.account_enabled` | an operator switched an account off or on | as it is then |
//! | `security.account_deleted` | an account was deleted | as it was |
//! | `security.password_changed` | by the owner, or set by an operator | the account |
//! | `ping` | `keystead webhook test` | none: `data` is empty |
//!
//! The body is the same at every attempt:
//!
//! ```json
//! {"id": "0198…", "type": "auth.login.success", "timestamp": "2026-01-01T00:00:00Z",
//!  "project": {"id": "0198…", "slug": "default"},
//!  "data": {"user": {"id": 1, "uuid": "0198…", "email": "ada@example.com", "display_name": null,
//!                    "email_verified_at": null, "metadata": null, "disabled": false, "created_at": "…"},
//!           "by": "user", "ip": "192.0.2.1", "request_id": "00c0ffee00c0ffee"}}
//! ```
//!
//! `id` names the event; it is also the `webhook-id`, by which a receiver knows a duplicate. `by` is `user`, `operator`,
//! `server` or `stranger`; `ip` and `request_id` are `null` for what an operator did. `metadata` is `null` where it is
//! larger than 16 KiB. Events may arrive in another order than they happened: go by `timestamp`.

mod delivery;
mod message;

use std::sync::Arc;

use uuid::Uuid;

use super::events::{Event, EventKind, Outcome};
use super::outbox::Wakes;
use super::{Error, Project, ProjectSettings};
pub use crate::config::{Webhook, WebhookEvent};
use crate::data::outbox::{self as rows, Item, Kind, Payload};
use crate::data::users;
use crate::env::Timestamp;
use crate::store::{StoreError, Write};
pub use delivery::{Verdict, deliver, ping};

/// Tells what happens in one project, as part of the jobs that make it so.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    project: Uuid,
    settings: Arc<ProjectSettings>,
    wakes: Arc<Wakes>,
}

impl Teller {
    /// Under the settings the job goes by.
    pub(super) fn new(project: &Project, settings: Arc<ProjectSettings>) -> Self {
        Self { project: project.id(), settings, wakes: Arc::clone(&project.shared().webhook_wakes) }
    }

    /// Those settings.
    pub(super) fn settings(&self) -> &ProjectSettings {
        &self.settings
    }

    /// See [`tell`].
    pub(super) fn tell(&self, w: &mut dyn Write, event: &Event) -> Result<(), StoreError> {
        tell(w, self.project, &self.settings, &self.wakes, event)
    }
}

/// Writes `event` into the outbox for every webhook that wants it. Where there is none, nothing is read or written.
///
/// A sign-up that was concealed tells nobody, and writes what a real one would have written.
pub(super) fn tell(
    w: &mut dyn Write,
    project: Uuid,
    settings: &ProjectSettings,
    wakes: &Wakes,
    event: &Event,
) -> Result<(), StoreError> {
    let is_concealed = event.kind == EventKind::SignUpConcealed;
    let told = if is_concealed { Some(WebhookEvent::SignedUp) } else { of(event) };
    let Some(told) = told.filter(|_| !settings.webhooks.is_empty()) else { return Ok(()) };
    let wanting: Vec<&String> =
        settings.webhooks.iter().filter(|(_, webhook)| webhook.wants(told)).map(|(name, _)| name).collect();
    if wanting.is_empty() {
        return Ok(());
    }
    let user = match event.user {
        Some(id) => users::get(w, id)?,
        None => None,
    };
    let body = message::event(event, told, project, &settings.slug, user.as_ref());
    for name in wanting {
        let item = item(event, told, name, body.clone());
        rows::enqueue(w, &if is_concealed { decoy(item) } else { item })?;
    }
    wakes.wake(project);
    Ok(())
}

/// A row as long as an item's that says nothing and is never sent.
fn decoy(item: Item) -> Item {
    let (Payload::Plain(body) | Payload::Sealed(body)) = &item.payload;
    let payload = Payload::Plain(vec![b'-'; body.len()]);
    Item { kind: Kind::Decoy, recipient: "-".repeat(item.recipient.len()), payload, ..item }
}

/// What the outbox keeps for one webhook. Nothing in the body is a secret.
fn item(event: &Event, told: WebhookEvent, name: &str, body: Vec<u8>) -> Item {
    Item {
        id: message::item_id(event.id, name),
        kind: Kind::Webhook,
        purpose: told.name().to_owned(),
        recipient: name.to_owned(),
        payload: Payload::Plain(body),
        created_at: event.at,
        since: event.at,
        next_at: event.at,
        // What happened stays true: it can be sent again as long as it is kept.
        expires_at: Timestamp::from_millis(u64::MAX),
        attempts: 0,
        begun: false,
        interrupted: false,
        last_error: None,
    }
}

/// What a webhook is told of an event; `None`: nothing.
fn of(event: &Event) -> Option<WebhookEvent> {
    if event.outcome != Outcome::Done {
        return None;
    }
    match event.kind {
        EventKind::SignedUp => Some(WebhookEvent::SignedUp),
        EventKind::SignedIn => Some(WebhookEvent::SignedIn),
        EventKind::SignedOut => Some(WebhookEvent::SignedOut),
        EventKind::SignedOutEverywhere => Some(WebhookEvent::SignedOutEverywhere),
        EventKind::EmailVerified => Some(WebhookEvent::EmailVerified),
        EventKind::LockedOut => Some(WebhookEvent::LockedOut),
        EventKind::RefreshTokenReused => Some(WebhookEvent::TokenTheft),
        EventKind::Disabled => Some(WebhookEvent::AccountDisabled),
        EventKind::Enabled => Some(WebhookEvent::AccountEnabled),
        EventKind::Deleted => Some(WebhookEvent::AccountDeleted),
        EventKind::PasswordChanged | EventKind::PasswordSet => Some(WebhookEvent::PasswordChanged),
        EventKind::Unlocked
        | EventKind::SessionsRevoked
        | EventKind::SignInFailed
        | EventKind::ApiKeyCreated
        | EventKind::ApiKeyRevoked
        | EventKind::Created
        | EventKind::KeysRotated
        | EventKind::ProjectCreated
        | EventKind::RoleChanged
        | EventKind::ProfileChanged
        | EventKind::Imported
        | EventKind::NewDevice
        // Told to nobody: see `tell`.
        | EventKind::SignUpConcealed
        | EventKind::OutboxResent
        | EventKind::OutboxDropped
        | EventKind::MailRequested
        | EventKind::EmailChanged
        | EventKind::Deanonymized
        | EventKind::PersonalTokenCreated
        | EventKind::ProjectRestored
        | EventKind::ProjectTransplanted => None,
    }
}

/// The project's webhooks by name, and how many items wait for each, counted up to a thousand.
///
/// # Errors
/// Only the store's.
pub fn list(project: &Project) -> Result<Vec<(String, Webhook, usize)>, Error> {
    let settings = project.settings();
    project.store().read(|r| {
        let mut all = Vec::new();
        for (name, webhook) in &settings.webhooks {
            let waiting = rows::due(r, &rows::Lane::Webhook(name.clone()), 1000)?.len();
            all.push((name.clone(), webhook.clone(), waiting));
        }
        Ok(all)
    })
}
