//! What happened, as an operator should be able to look it up afterwards: who did what to which account, from where, and
//! what came of it. Kept in the trail ([`super::audit`]).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::env::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id, time-ordered.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Who did it.
    pub by: By,
    /// The operator's user id in the operating system, where an operator did it.
    pub uid: Option<u32>,
    /// To which account; `None` where there is none, such as a failed sign-in with an unknown address.
    #[serde(with = "nil_for_none")]
    pub user: Option<Uuid>,
    /// From where: IPv6, or IPv4 mapped into it; `None` for the operator.
    pub ip: Option<[u8; 16]>,
    /// The request it happened in, as logs and `x-request-id` name it; `None` for the operator.
    pub request: Option<u64>,
    /// What came of it.
    pub outcome: Outcome,
    /// Which address was tried, unlocked or written to, as a digest under a key of the project: whoever knows the address and may
    /// use the server finds it again, whoever has only the file learns nothing of an address without account.
    pub address: Option<[u8; 16]>,
}

/// What came of it. Numbers are on disk: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done.
    Done,
    /// Not done: unknown address, wrong password, or no password set.
    WrongCredentials,
    /// Not done: the right password, of an account that is switched off.
    AccountDisabled,
    /// Not done: the right password, of an account whose address must be proved first.
    Unverified,
}

/// Who did it. Numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// Somebody who proved nothing, or not enough.
    Stranger,
    /// The account itself.
    User,
    /// Whoever may use the command line.
    Operator,
    /// The server, by a rule.
    Server,
}

/// What happened. Numbers are on disk: new kinds go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// Failed attempts locked an address.
    LockedOut,
    /// A refresh token was presented after its successor was in use: the session was ended.
    RefreshTokenReused,
    /// The password was changed by its owner.
    PasswordChanged,
    /// The password was set by an operator.
    PasswordSet,
    /// The account was switched off.
    Disabled,
    /// The account was switched on again.
    Enabled,
    /// The account was deleted.
    Deleted,
    /// An operator ended a lock.
    Unlocked,
    /// An operator ended sessions.
    SessionsRevoked,
    /// An account was made by its owner.
    SignedUp,
    /// A session began.
    SignedIn,
    /// A secret presented to sign in was wrong, or the account may not.
    SignInFailed,
    /// The owner ended a session.
    SignedOut,
    /// The owner ended all sessions.
    SignedOutEverywhere,
    /// The address was proved.
    EmailVerified,
    /// An API key was made.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// An account was made by an operator.
    Created,
    /// The signing keys were rotated.
    KeysRotated,
    /// The project was made.
    ProjectCreated,
    /// The account's role was changed by an operator.
    RoleChanged,
    /// Name, picture or language were changed by the owner.
    ProfileChanged,
    /// An operator brought accounts from elsewhere.
    Imported,
    /// A session began from a device not seen before.
    NewDevice,
    /// Somebody tried to sign up with an address that has an account, and was answered as if it had none.
    SignUpConcealed,
    /// An operator had something in the outbox sent again, or at once.
    OutboxResent,
    /// An operator removed something from the outbox, unsent.
    OutboxDropped,
    /// Somebody asked for a mail that proves an address, signs in or lets a password be set.
    MailRequested,
    /// The account has another address, which its owner proved.
    EmailChanged,
    /// An account that was made without any credential got one.
    Deanonymized,
    /// A personal access token was made.
    PersonalTokenCreated,
    /// The project was brought back from a backup.
    ProjectRestored,
    /// The project began as a copy of another, under an id of its own.
    ProjectTransplanted,
}

impl EventKind {
    /// Whether recording it may put something into the outbox.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::PasswordChanged | Self::PasswordSet)
    }

    /// Its name in listings and exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LockedOut => "locked_out",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::PasswordChanged => "password_changed",
            Self::PasswordSet => "password_set",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Deleted => "deleted",
            Self::Unlocked => "unlocked",
            Self::SessionsRevoked => "sessions_revoked",
            Self::SignedUp => "signed_up",
            Self::SignedIn => "signed_in",
            Self::SignInFailed => "sign_in_failed",
            Self::SignedOut => "signed_out",
            Self::SignedOutEverywhere => "signed_out_everywhere",
            Self::EmailVerified => "email_verified",
            Self::ApiKeyCreated => "api_key_created",
            Self::ApiKeyRevoked => "api_key_revoked",
            Self::Created => "created",
            Self::KeysRotated => "keys_rotated",
            Self::ProjectCreated => "project_created",
            Self::RoleChanged => "role_changed",
            Self::ProfileChanged => "profile_changed",
            Self::Imported => "imported",
            Self::NewDevice => "new_device",
            Self::SignUpConcealed => "sign_up_concealed",
            Self::OutboxResent => "outbox_resent",
            Self::OutboxDropped => "outbox_dropped",
            Self::MailRequested => "mail_requested",
            Self::EmailChanged => "email_changed",
            Self::Deanonymized => "deanonymized",
            Self::PersonalTokenCreated => "personal_token_created",
            Self::ProjectRestored => "project_restored",
            Self::ProjectTransplanted => "project_transplanted",
        }
    }
}

impl By {
    /// Its name in listings and exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::User => "user",
            Self::Operator => "operator",
            Self::Server => "server",
        }
    }
}

impl Outcome {
    /// Its name in listings and exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::WrongCredentials => "credentials",
            Self::AccountDisabled => "disabled",
            Self::Unverified => "unverified",
        }
    }
}

/// An id that takes as much room when there is none, so that a row about an unknown account is as long as any other.
mod nil_for_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Option<Uuid>, to: S) -> Result<S::Ok, S::Error> {
        id.unwrap_or_default().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Uuid>, D::Error> {
        Uuid::deserialize(from).map(|id| Some(id).filter(|id| !id.is_nil()))
    }
}
