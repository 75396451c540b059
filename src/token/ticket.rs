//! Tickets that mails bring, as the Nhost contract spells them (0.2, 1.8): what they are for, and a UUID of chance.

use std::fmt;

use uuid::Uuid;

use crate::crypto::{Digest, Secret};
use crate::env::Env;

/// What a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketKind {
    /// Proves the account's address.
    VerifyEmail,
    /// Signs in.
    PasswordlessEmail,
    /// Gives the account the address it was sent to.
    EmailConfirmChange,
    /// Lets a new password be set.
    PasswordReset,
}

impl TicketKind {
    /// All there are.
    pub const ALL: [Self; 4] =
        [Self::VerifyEmail, Self::PasswordlessEmail, Self::EmailConfirmChange, Self::PasswordReset];

    /// What its tickets begin with, before the colon.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verifyEmail",
            Self::PasswordlessEmail => "passwordlessEmail",
            Self::EmailConfirmChange => "emailConfirmChange",
            Self::PasswordReset => "passwordReset",
        }
    }
}

/// A ticket: 122 random bits, given out as `verifyEmail:<uuid>`, a UUID of version 4 in lower case (RFC 9562). What the
/// store keeps is a digest under the one purpose of its kind: another prefix before the same UUID is another ticket.
#[derive(Clone)]
pub struct Ticket {
    kind: TicketKind,
    id: Secret<[u8; 16]>,
}

impl Ticket {
    /// A fresh one.
    pub fn generate(env: &Env, kind: TicketKind) -> Self {
        Self { kind, id: Secret::new(uuid::Builder::from_random_bytes(env.random()).into_uuid().into_bytes()) }
    }

    /// Reads what a client presents; `None` when it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, id) = text.split_once(':')?;
        let kind = TicketKind::ALL.into_iter().find(|kind| kind.prefix() == prefix)?;
        // Only as it is written: a second spelling would be a second text for one secret.
        let canonical = id.len() == 36 && !id.bytes().any(|byte| byte.is_ascii_uppercase());
        let id = Uuid::try_parse(id).ok().filter(|id| canonical && id.get_version_num() == 4)?;
        let is_rfc = id.get_variant() == uuid::Variant::RFC4122;
        is_rfc.then(|| Self { kind, id: Secret::new(id.into_bytes()) })
    }

    /// What it is for.
    pub fn kind(&self) -> TicketKind {
        self.kind
    }

    /// What the client is given.
    pub fn text(&self) -> Secret<String> {
        Secret::new(format!("{}:{}", self.kind.prefix(), Uuid::from_bytes(*self.id.expose()).as_hyphenated()))
    }

    /// What the store keeps, under the purpose of its kind.
    pub fn digest(&self, purpose: &'static str) -> Digest {
        Digest::of(purpose, self.id.expose())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ticket_is_good_for_one_purpose_and_shows_nothing() {
        let env = Env::system();
        for kind in TicketKind::ALL {
            let ticket = Ticket::generate(&env, kind);
            let text = ticket.text();
            assert_eq!(text.expose().len(), kind.prefix().len() + 37);
            let parsed = Ticket::parse(text.expose()).unwrap();
            assert_eq!((parsed.kind(), parsed.text().expose()), (kind, text.expose()));
            assert_eq!(parsed.digest("one"), ticket.digest("one"));
            assert_ne!(parsed.digest("one"), ticket.digest("other"));
            assert_ne!(Ticket::generate(&env, kind).text().expose(), text.expose());
            let (_, id) = text.expose().split_once(':').unwrap();
            assert!(!format!("{ticket:?}{text:?}").contains(id));
        }
    }

    #[test]
    fn what_is_no_ticket() {
        let id = "7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07";
        assert!(Ticket::parse(&format!("verifyEmail:{id}")).is_some());
        for text in [
            String::new(),
            ":".into(),
            id.into(),
            format!(":{id}"),
            format!("otp:{id}"),
            format!("mfaTotp:{id}"),
            format!("verifyemail:{id}"),
            format!(" verifyEmail:{id}"),
            format!("verifyEmail:{id} "),
            format!("verifyEmail::{id}"),
            format!("verifyEmail:{}", id.to_uppercase()),
            format!("verifyEmail:{{{id}}}"),
            format!("verifyEmail:urn:uuid:{id}"),
            format!("verifyEmail:{}", id.replace('-', "")),
            "verifyEmail:7d4f0e52-9c1b-1b8e-a3f6-2d5c8e1f9a07".into(),
            "verifyEmail:7d4f0e52-9c1b-4b8e-c3f6-2d5c8e1f9a07".into(),
            "verifyEmail:00000000-0000-0000-0000-000000000000".into(),
        ] {
            assert!(Ticket::parse(&text).is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_canonical(text in "\\PC{0,60}|[a-zA-Z]{11,18}:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\
                                             |(verifyEmail|passwordReset):[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-fA-F]{12}") {
            if let Some(ticket) = Ticket::parse(&text) {
                prop_assert!(*ticket.text().expose() == text);
            }
        }
    }
}
