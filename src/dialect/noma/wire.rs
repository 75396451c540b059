//! The bodies of replies (contract, section 2 and 3.10). They carry secrets, so none of them has a `Debug`. Their doc
//! comments are the document's texts.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::api_keys::ApiKey;
use crate::auth::session::Issued;
use crate::auth::{self, Unverified};
use crate::env::Timestamp;

/// A user, exactly these keys everywhere.
#[derive(Serialize, ToSchema)]
pub(super) struct User<'a> {
    /// A number of its own in the project, never used again.
    #[schema(minimum = 1)]
    id: u64,
    /// The stable public id.
    uuid: Uuid,
    /// The address, lower-case.
    #[schema(value_type = String, format = Email)]
    email: Cow<'a, str>,
    #[schema(required = true)]
    display_name: Option<&'a str>,
    /// When the address was proved; `null`: it is not.
    #[schema(required = true, format = DateTime)]
    email_verified_at: Option<String>,
    #[schema(required = true, value_type = Option<HashMap<String, Value>>)]
    metadata: Option<&'a RawValue>,
}

impl<'a> User<'a> {
    pub(super) fn of(user: &'a auth::User) -> Self {
        Self {
            id: user.number,
            uuid: user.id,
            email: user.lower_case_email(),
            display_name: user.display_name.as_deref(),
            email_verified_at: user.email_proof.map(|proof| proof.at.rfc3339()),
            metadata: user.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

/// The signed-in user.
#[derive(Serialize, ToSchema)]
pub(super) struct Me<'a> {
    pub(super) user: User<'a>,
}

/// A user whose address is proved.
#[derive(Serialize, ToSchema)]
pub(super) struct Confirmed<'a> {
    pub(super) message: &'static str,
    pub(super) user: User<'a>,
}

/// A session's tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenPayload<'a> {
    /// The bearer of this user's requests.
    access_token: &'a str,
    /// `Bearer`.
    token_type: &'static str,
    /// When the access token ends.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Good once, for the next pair.
    #[schema(min_length = 40)]
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// When the refresh token ends.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token_expires_at: Option<String>,
    user: User<'a>,
}

impl<'a> TokenPayload<'a> {
    pub(super) fn of(issued: &'a Issued) -> Self {
        Self {
            access_token: issued.access_token.expose(),
            token_type: "Bearer",
            expires_at: issued.access_expires_at.rfc3339(),
            refresh_token: issued.refresh.as_ref().map(|refresh| refresh.token.expose().as_str()),
            refresh_token_expires_at: issued.refresh.as_ref().map(|refresh| refresh.expires_at.rfc3339()),
            user: User::of(&issued.user),
        }
    }
}

/// The address must be proved first: sign-up 202; login, social and refresh 403.
#[derive(Serialize, ToSchema)]
pub(super) struct VerificationRequired<'a> {
    message: &'static str,
    /// `email_verification_required`.
    code: &'static str,
    verification_required: bool,
    user: User<'a>,
    /// The token for your app to bring to the user, where that is your app's task and no cooldown holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    verification_token: Option<&'a str>,
}

impl<'a> VerificationRequired<'a> {
    pub(super) fn of(unverified: &'a Unverified) -> Self {
        Self {
            message: "Email verification required.",
            code: "email_verification_required",
            verification_required: true,
            user: User::of(&unverified.user),
            verification_token: unverified.token.as_ref().map(|token| token.expose().as_str()),
        }
    }
}

/// A user's API key.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct Key<'a> {
    #[schema(minimum = 1)]
    id: u64,
    name: &'a str,
    /// The key's text before its secret.
    key_prefix: &'a str,
    scopes: &'a [String],
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
    #[schema(required = true, format = DateTime)]
    last_used_at: Option<String>,
    #[schema(required = true, format = DateTime)]
    revoked_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The whole key with its secret: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plain_text_key: Option<&'a str>,
}

impl<'a> Key<'a> {
    pub(super) fn of(key: &'a ApiKey, plain_text_key: Option<&'a str>) -> Self {
        Self {
            id: key.number,
            name: &key.name,
            key_prefix: &key.prefix,
            scopes: &key.scopes,
            expires_at: key.expires_at.map(Timestamp::rfc3339),
            last_used_at: key.last_used_at.map(Timestamp::rfc3339),
            revoked_at: key.revoked_at.map(Timestamp::rfc3339),
            created_at: key.created_at.rfc3339(),
            plain_text_key,
        }
    }
}

/// A user's API keys, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeys)]
pub(super) struct Keys<'a> {
    pub(super) data: Vec<Key<'a>>,
}

/// A key that works, and whose it is.
#[derive(Serialize, ToSchema)]
#[schema(as = ProvedApiKey)]
pub(super) struct Proved<'a> {
    pub(super) data: Key<'a>,
    pub(super) user: User<'a>,
}

/// What happened, or what is wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct Message<'a> {
    pub(super) message: &'a str,
    /// For programs, where the status alone does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) code: Option<&'static str>,
    /// Where the server failed: what its operator finds the reason by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) request_id: Option<&'a str>,
}

impl<'a> Message<'a> {
    pub(super) fn of(message: &'a str) -> Self {
        Self { message, code: None, request_id: None }
    }
}

/// Fields that are wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = ValidationError)]
pub(super) struct Invalid<'a> {
    /// The first field's first message.
    pub(super) message: &'a str,
    /// The messages of each wrong field.
    #[schema(value_type = HashMap<String, Vec<String>>)]
    pub(super) errors: Map<String, Value>,
}

/// Too many failed attempts.
#[derive(Serialize, ToSchema)]
pub(super) struct Locked<'a> {
    pub(super) message: &'a str,
    /// After how many seconds to try again.
    #[schema(minimum = 1)]
    pub(super) retry_after: u64,
}

/// The same message for every address. With a token where your app brings it to the user, or how long to wait.
#[derive(Serialize, ToSchema)]
pub(super) struct Resent<'a> {
    pub(super) message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) verification_token: Option<&'a str>,
    /// `true` where the last token is too young for another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) resend_cooldown_active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub(super) retry_after_seconds: Option<u64>,
}
