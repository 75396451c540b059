//! A letter: what a mail is to say, before it is put into words.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a mail is to say. Kept in the outbox (sealed where it holds a secret) and put into words when it is sent, so that
/// templates, sender and name of the app are those of then.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Which template says it.
    pub template: Template,
    /// The language its reader prefers (BCP 47); `None`: the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The link in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The typeable code in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else the template may say, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("template", &self.template).finish_non_exhaustive()
    }
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
    /// Somebody signed in from a device not seen before.
    NewDevice,
}

impl Template {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::VerifyEmail, Self::AccountExists, Self::LockedOut, Self::PasswordChanged, Self::NewDevice];

    /// Its name, as files and `X-Email-Template` have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
            Self::AccountExists => "account-exists",
            Self::LockedOut => "locked-out",
            Self::PasswordChanged => "password-changed",
            Self::NewDevice => "new-device",
        }
    }

    /// The template of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.name() == name)
    }
}
