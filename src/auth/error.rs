//! The one closed error of all verbs. Each dialect spells it in one total `match`.

use std::time::Duration;

use super::bot::BotCheck;
use super::limits::Standing;
use crate::crypto::{Busy, Secret};
use crate::data::users::User;
use crate::store::StoreError;

/// Why a verb refused. What a client may learn is the dialect's choice; what the log says is in [`std::fmt::Display`],
/// which never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project is switched off.
    #[error("the project is switched off")]
    ProjectDisabled,
    /// The project takes no sign-ups.
    #[error("sign-up is switched off")]
    SignupDisabled,
    /// The sign-up does not count as one of a person.
    #[error("the bot check failed: {0:?}")]
    BotCheckFailed(BotCheck),
    /// The project's lists do not admit the address. Only a sign-up may say so: at a sign-in it would tell that the rest
    /// was right.
    #[error("the address is not allowed")]
    AddressNotAllowed,
    /// The address has an account.
    #[error("the address is taken")]
    EmailTaken,
    /// Unknown address, wrong password, or no password set.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// Right password, but an operator switched the account off.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The account was made, and is switched off until an operator has looked at it.
    #[error("the account waits for an operator")]
    AwaitsOperator,
    /// Too many failures; nothing was checked.
    #[error("locked out for {retry_after:?}")]
    Locked {
        /// How much longer.
        retry_after: Duration,
    },
    /// More requests of one client than a limiter takes; nothing was checked.
    #[error("too many requests ({:?})", .0.limiter)]
    TooManyRequests(Standing),
    /// The account has no password.
    #[error("the account has no password")]
    NoPassword,
    /// Right secret, but the project wants the address proved first.
    #[error("the address is not verified")]
    VerificationRequired(Box<Unverified>),
    /// No valid access token of a living session.
    #[error("unauthenticated")]
    Unauthenticated,
    /// Refresh token unknown, used, expired or foreign.
    #[error("invalid refresh token")]
    InvalidRefreshToken,
    /// What is asked for is switched off in the project.
    #[error("switched off in this project")]
    FeatureOff,
    /// An account without any credential may not do this.
    #[error("the account is anonymous")]
    AnonymousForbidden,
    /// Only an account without any credential may do this.
    #[error("the account is not anonymous")]
    NotAnonymous,
    /// A role that new accounts may not choose.
    #[error("the role is not allowed")]
    RoleNotAllowed,
    /// The default role is none of the allowed ones.
    #[error("the default role is none of the allowed ones")]
    DefaultRoleNotAllowed,
    /// Nobody may be sent there.
    #[error("the redirect target is not allowed")]
    RedirectNotAllowed,
    /// The address is proved already.
    #[error("the address is verified already")]
    AlreadyVerified,
    /// Personal access token unknown, expired or foreign.
    #[error("invalid personal access token")]
    InvalidPersonalToken,
    /// Ticket unknown, used, expired or foreign.
    #[error("invalid ticket")]
    InvalidTicket,
    /// The digits are wrong, or none are expected.
    #[error("invalid code")]
    InvalidCode,
    /// Wrong digits came too often.
    #[error("too many wrong codes")]
    TooManyCodes,
    /// The code or its verifier is wrong (RFC 7636, section 4.6).
    #[error("invalid code exchange")]
    InvalidExchange,
    /// Verification secret unknown, used, expired or foreign.
    #[error("invalid verification token")]
    InvalidVerificationToken,
    /// The current password given with a change is wrong, or there is none.
    #[error("the current password is wrong")]
    WrongCurrentPassword,
    /// The new password is the current one.
    #[error("the new password is the current one")]
    SamePassword,
    /// The new password is one of the most common ones, and the project takes none of those.
    #[error("the new password is too common")]
    PasswordCommon,
    /// The new password is known from a leak, and the project takes none of those.
    #[error("the new password is known from a leak")]
    PasswordLeaked,
    /// Whether the new password is known from a leak could not be learned; nothing was changed.
    #[error("whether the new password is known from a leak could not be learned")]
    PolicyUnavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// The identity provider is unknown or not enabled.
    #[error("unknown identity provider")]
    UnknownProvider,
    /// No such API key of this user.
    #[error("unknown API key")]
    UnknownApiKey,
    /// The user has as many API keys as one may have.
    #[error("too many API keys")]
    TooManyApiKeys,
    /// No such account.
    #[error("unknown user")]
    UnknownUser,
    /// No such session.
    #[error("unknown session")]
    UnknownSession,
    /// No such project.
    #[error("unknown project")]
    UnknownProject,
    /// A project of that name or id exists.
    #[error("the project exists")]
    ProjectExists,
    /// No such item in the outbox.
    #[error("unknown outbox item")]
    UnknownItem,
    /// What the outbox item carries does not work any more.
    #[error("the item has expired: what it carries does not work any more")]
    ItemExpired,
    /// No such webhook.
    #[error("unknown webhook")]
    UnknownWebhook,
    /// The server has too much to do; nothing was checked or changed.
    #[error("busy")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Nothing can be written now (disk full, or too many writes); nothing was changed.
    #[error("the store takes no writes: {0}")]
    Unwritable(StoreError),
    /// The store failed; whether the change was kept is unknown.
    #[error("the store failed: {0}")]
    Store(StoreError),
    /// Something that cannot be, is.
    #[error("{0}")]
    Internal(String),
}

/// An account that must prove its address before it gets a session.
#[derive(Clone, Debug)]
pub struct Unverified {
    /// The account.
    pub user: User,
    /// A fresh verification secret, where the app delivers it and none was issued just now.
    pub token: Option<Secret<String>>,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full | StoreError::Busy => Self::Unwritable(error),
            StoreError::Unknown
            | StoreError::Corrupt(_)
            | StoreError::Io(_)
            | StoreError::Closed
            | StoreError::JobPanicked => Self::Store(error),
        }
    }
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        Self::Busy { retry_after: busy.retry_after }
    }
}
