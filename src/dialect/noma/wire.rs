//! The bodies of replies (contract, section 2 and 3.10). They carry secrets, so none of them has a `Debug`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::auth::api_keys::ApiKey;
use crate::auth::session::Issued;
use crate::auth::{self, Unverified};
use crate::env::Timestamp;

/// A user, exactly these keys everywhere.
#[derive(Serialize)]
pub(super) struct User<'a> {
    id: u64,
    uuid: Uuid,
    email: Cow<'a, str>,
    display_name: Option<&'a str>,
    email_verified_at: Option<String>,
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

/// `{"user"}`
#[derive(Serialize)]
pub(super) struct Me<'a> {
    pub(super) user: User<'a>,
}

/// `{"message","user"}`
#[derive(Serialize)]
pub(super) struct Confirmed<'a> {
    pub(super) message: &'static str,
    pub(super) user: User<'a>,
}

/// What a session is on the wire.
#[derive(Serialize)]
pub(super) struct TokenPayload<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_at: String,
    /// These two come together or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
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

/// Sign-up 202; login, social and refresh 403.
#[derive(Serialize)]
pub(super) struct VerificationRequired<'a> {
    message: &'static str,
    code: &'static str,
    verification_required: bool,
    user: User<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// A user's API key without its secret.
#[derive(Serialize)]
pub(super) struct Key<'a> {
    id: u64,
    name: &'a str,
    key_prefix: &'a str,
    scopes: &'a [String],
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
    created_at: String,
    /// Only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// `{"data":[…]}`
#[derive(Serialize)]
pub(super) struct Keys<'a> {
    pub(super) data: Vec<Key<'a>>,
}

/// What a proved key says: the extension `api-keys/verify`.
#[derive(Serialize)]
pub(super) struct Proved<'a> {
    pub(super) data: Key<'a>,
    pub(super) user: User<'a>,
}
