//! A letter: what a mail is to say, before it is put into words.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::crypto::Secret;

/// What a mail is to say. Kept in the outbox (sealed where it holds a secret) and put into words when it is sent, so that
/// templates, sender and name of the app are those of then.
#[derive(Clone, Serialize, Deserialize)]
pub struct Letter {
    /// Which template says it.
    pub template: Template,
    /// The language its reader prefers (BCP 47); `None`: the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The link in it.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "in_clear")]
    pub link: Option<Secret<String>>,
    /// The typeable code in it.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "in_clear")]
    pub code: Option<Secret<String>>,
    /// What is redeemed, where the mail's headers say so: a ticket, or the code once more.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "in_clear")]
    pub ticket: Option<Secret<String>>,
    /// Where its reader goes on to afterwards, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<String>,
    /// What else the template may say, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

impl Letter {
    /// A letter of this template that says nothing yet.
    pub const fn of(template: Template) -> Self {
        Self {
            template,
            locale: None,
            link: None,
            code: None,
            ticket: None,
            redirect_to: None,
            values: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("template", &self.template).finish_non_exhaustive()
    }
}

/// For the outbox, which seals what it is given.
fn in_clear<S: Serializer>(secret: &Option<Secret<String>>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(to)
}

/// The templates there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// Proves an address: a link and a code.
    VerifyEmail,
    /// Somebody tried to sign up with an address that has an account.
    AccountExists,
    /// Failed attempts locked the account.
    LockedOut,
    /// The password was changed.
    PasswordChanged,
    /// The account has another address; goes to the former.
    EmailChanged,
    /// Somebody signed in from a device not seen before.
    NewDevice,
    /// Proves an address: a link with a ticket.
    EmailVerify,
    /// Proves an address that is to replace the account's; goes to the new one.
    EmailConfirmChange,
    /// Signs in: a link with a ticket.
    SigninPasswordless,
    /// Signs in: six digits.
    SigninOtp,
    /// Lets its reader choose a new password: a link with a ticket.
    PasswordReset,
}

impl Template {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::VerifyEmail,
        Self::AccountExists,
        Self::LockedOut,
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::NewDevice,
        Self::EmailVerify,
        Self::EmailConfirmChange,
        Self::SigninPasswordless,
        Self::SigninOtp,
        Self::PasswordReset,
    ];

    /// Its name, as files and `X-Email-Template` have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
            Self::AccountExists => "account-exists",
            Self::LockedOut => "locked-out",
            Self::PasswordChanged => "password-changed",
            Self::EmailChanged => "email-changed",
            Self::NewDevice => "new-device",
            Self::EmailVerify => "email-verify",
            Self::EmailConfirmChange => "email-confirm-change",
            Self::SigninPasswordless => "signin-passwordless",
            Self::SigninOtp => "signin-otp",
            Self::PasswordReset => "password-reset",
        }
    }

    /// The template of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.name() == name)
    }

    /// The `type` of the link in its mails where that is the Nhost API's (contract, section 1.8); `None`: there is no such
    /// link.
    pub const fn link_type(self) -> Option<&'static str> {
        match self {
            Self::EmailVerify => Some("emailVerify"),
            Self::EmailConfirmChange => Some("emailConfirmChange"),
            Self::SigninPasswordless => Some("signinPasswordless"),
            Self::PasswordReset => Some("passwordReset"),
            Self::VerifyEmail
            | Self::AccountExists
            | Self::LockedOut
            | Self::PasswordChanged
            | Self::EmailChanged
            | Self::NewDevice
            | Self::SigninOtp => None,
        }
    }

    /// Whether its mails bring something to redeem that headers say too, and may use the names that the Nhost API gives
    /// to values (contract, section 1.8).
    pub const fn brings_ticket(self) -> bool {
        self.link_type().is_some() || matches!(self, Self::SigninOtp)
    }
}
