//! Webhooks of a project: who is told of what happens.

use documented::DocumentedFields;

use super::forms::Parsed;
use super::keys::{Keys, Section, Spell};
use crate::crypto::Secret;
use crate::outbound::{SigningKey, Target};

/// Webhooks one project may have: each event is written once for each that wants it.
pub(super) const MAX_WEBHOOKS: usize = 16;
/// Characters of a secret that is text.
const MIN_TEXT: usize = 24;
const MAX_TEXT: usize = 512;
/// How a secret begins whose key is written in Base64 (Standard Webhooks).
const ENCODED: &str = "whsec_";
/// Where the example leads.
const EXAMPLE_URL: &str = "https://app.example.com/hooks/keystead";

/// `[project.SLUG.webhooks.NAME]`: who is told of what happens.
#[derive(Clone, Debug, DocumentedFields)]
pub struct Webhook {
    /// Where events are posted to: https, or http into a network of outbound.allow.
    pub url: Target,
    /// What the posts are signed with: "whsec_" and Base64 of 24 to 64 bytes, as Standard Webhooks libraries take it, or any
    /// text of 24 characters or more. Give one of secret, secret_file, the credential.
    pub secret: Option<Secret<String>>,
    /// The events it is told of. Empty: all.
    pub events: Vec<WebhookEvent>,
    /// false: nothing new is written for it, and what waits stays where it is until webhooks.retry_for is over.
    pub enabled: bool,
}

impl Section for Webhook {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.required("url", &mut self.url, Target::parse, EXAMPLE_URL);
        keys.secret("secret", &mut self.secret, secret);
        keys.list("events", &mut self.events, WebhookEvent::ALL.len(), event);
        keys.flag("enabled", &mut self.enabled);
        if self.secret.is_none() && !keys.refused("secret") && !keys.refused("secret_file") {
            keys.refuse("secret", "is missing: the receiver knows by it that a post is ours");
        }
    }
}

impl Webhook {
    /// One nobody said anything about.
    pub(super) fn unset() -> Self {
        let url = Target::parse(EXAMPLE_URL).expect("a constant that is a URL");
        Self { url, secret: None, events: Vec::new(), enabled: true }
    }

    /// Whether it is told of `event`.
    pub fn wants(&self, event: WebhookEvent) -> bool {
        self.enabled && (self.events.is_empty() || self.events.contains(&event))
    }

    /// The key of its signatures (Standard Webhooks): what `whsec_` encodes, else the text's own bytes.
    pub fn key(&self) -> SigningKey {
        let text = self.secret.as_ref().map_or("", |secret| secret.expose().as_str());
        SigningKey::parse(text).unwrap_or_else(|_| SigningKey::from_bytes(text.as_bytes()))
    }
}

/// A name for a webhook: it stands in keys of the store, each of 32 bytes.
pub(super) fn name(text: &str) -> Parsed<()> {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match (1..=32).contains(&text.len()) && text.bytes().all(inside) {
        true => Ok(()),
        false => Err(format!("{text:.80?} is not a webhook's name: 1 to 32 of a-z, 0-9 and \"-\"")),
    }
}

fn secret(text: &str) -> Parsed<()> {
    if text.starts_with(ENCODED) {
        return SigningKey::parse(text).map(drop);
    }
    match (MIN_TEXT..=MAX_TEXT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(format!(
            "is no secret of a webhook: \"{ENCODED}\" and 24 to 64 bytes as Base64, or {MIN_TEXT} to {MAX_TEXT} visible \
             ASCII characters"
        )),
    }
}

fn event(text: &str) -> Parsed<WebhookEvent> {
    WebhookEvent::ALL.into_iter().find(|event| event.name() == text).ok_or_else(|| {
        let names: Vec<_> = WebhookEvent::ALL.iter().map(|event| event.name()).collect();
        format!("{text:.80?} is no event: there are {}", names.join(", "))
    })
}

/// What a webhook may be told of. The names are an interface: one is never changed, and never used for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookEvent {
    /// An account was made by its owner.
    SignedUp,
    /// A session began.
    SignedIn,
    /// The owner ended a session.
    SignedOut,
    /// The owner ended all sessions.
    SignedOutEverywhere,
    /// The address was proved.
    EmailVerified,
    /// Failed attempts locked an address.
    LockedOut,
    /// A refresh token was presented after its successor was in use: the session was ended.
    TokenTheft,
    /// The account was switched off.
    AccountDisabled,
    /// The account was switched on again.
    AccountEnabled,
    /// The account was deleted.
    AccountDeleted,
    /// The password was changed by its owner or set by an operator.
    PasswordChanged,
}

impl WebhookEvent {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::SignedUp,
        Self::SignedIn,
        Self::SignedOut,
        Self::SignedOutEverywhere,
        Self::EmailVerified,
        Self::LockedOut,
        Self::TokenTheft,
        Self::AccountDisabled,
        Self::AccountEnabled,
        Self::AccountDeleted,
        Self::PasswordChanged,
    ];

    /// Its name in the configuration and on the wire; the first five are those of NomaCMS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignedUp => "auth.signup.success",
            Self::SignedIn => "auth.login.success",
            Self::SignedOut => "auth.logout.success",
            Self::SignedOutEverywhere => "auth.logout_all.success",
            Self::EmailVerified => "auth.email_verification.verified",
            Self::LockedOut => "security.lockout",
            Self::TokenTheft => "security.token_theft",
            Self::AccountDisabled => "security.account_disabled",
            Self::AccountEnabled => "security.account_enabled",
            Self::AccountDeleted => "security.account_deleted",
            Self::PasswordChanged => "security.password_changed",
        }
    }
}

impl Spell for WebhookEvent {
    fn spell(&self) -> String {
        self.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_in_either_form() {
        for good in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a-text-of-24-characters.", &"x".repeat(512)] {
            assert_eq!(secret(good), Ok(()), "{good}");
        }
        for bad in
            ["", "whsec_", "whsec_AAAA", "whsec_%%%%%%%%%%%%%%%%%%%%%%%%", "a-text-of-23-characters", &" ".repeat(24)]
        {
            assert!(secret(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_is_what_the_secret_encodes_or_its_bytes() {
        let key = |text: &str| Webhook { secret: Some(Secret::new(text.into())), ..Webhook::unset() }.key();
        let encoded = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(key(encoded), SigningKey::parse(encoded).unwrap());
        assert_eq!(key("a-text-of-24-characters."), SigningKey::from_bytes(b"a-text-of-24-characters."));
    }

    #[test]
    fn every_event_has_a_name_of_its_own() {
        for event in WebhookEvent::ALL {
            assert_eq!(super::event(event.name()), Ok(event));
        }
        assert!(super::event("auth.login").is_err() && super::event("").is_err());
    }
}
