//! The bodies of answers (contract 0, 0.1). They carry secrets, so none of them has a `Debug`. Their doc comments are the
//! document's texts.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth::person::Person;
use crate::auth::session::Issued;

/// What was not done, and why.
#[derive(Serialize, ToSchema)]
pub(super) struct Refused<'a> {
    /// The status again.
    pub(super) status: u16,
    /// For people.
    pub(super) message: &'a str,
    /// For programs.
    pub(super) error: &'a str,
}

/// Who presents no token, or no good one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unauthorized {
    /// `unauthorized`, or what was wrong with the challenge.
    error: &'static str,
    /// What is wrong with the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_scheme: Option<&'static str>,
}

/// What is wrong with a request, in one of the shapes that the original has for it.
#[derive(Serialize, ToSchema)]
pub(super) struct Wrong {
    /// `schema-validation-error`, `request-validation-error`, or a code.
    error: Option<&'static str>,
    /// What is wrong with the body.
    reason: Option<String>,
    /// `bad-request`: an address is none.
    errors: Option<&'static str>,
    message: Option<&'static str>,
    status: Option<u16>,
    /// What is wrong with a parameter.
    msg: Option<String>,
}

/// It is done: the text `OK`.
#[derive(Serialize, ToSchema)]
pub(super) struct Done(&'static str);

impl Done {
    pub(super) const OK: Self = Self("OK");
}

/// An account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct User<'a> {
    id: Uuid,
    #[schema(format = DateTime)]
    created_at: String,
    display_name: &'a str,
    /// Empty where there is no picture.
    avatar_url: Cow<'a, str>,
    locale: &'a str,
    /// As it was typed; not there where the account has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Email)]
    email: Option<&'a str>,
    email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    phone_number_verified: bool,
    is_anonymous: bool,
    default_role: &'a str,
    roles: Vec<&'a str>,
    #[schema(required = true, value_type = Option<HashMap<String, Value>>)]
    metadata: Option<&'a RawValue>,
    /// No second factor can be set up in this version.
    #[schema(required = true)]
    active_mfa_type: Option<&'static str>,
}

impl<'a> User<'a> {
    pub(super) fn of(person: &'a Person<'a>) -> Self {
        let user = person.user;
        Self {
            id: user.id,
            created_at: user.created_at.rfc3339(),
            display_name: person.display_name(),
            avatar_url: person.avatar_url(),
            locale: person.locale(),
            email: user.email.as_deref(),
            email_verified: user.email_proof.is_some(),
            phone_number: user.phone.as_ref().map(|phone| phone.number.as_str()),
            phone_number_verified: user.phone.as_ref().is_some_and(|phone| phone.verified),
            is_anonymous: user.is_anonymous,
            default_role: person.default_role(),
            roles: person.roles().collect(),
            metadata: user.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            active_mfa_type: None,
        }
    }
}

/// A session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session<'a> {
    /// The bearer of this account's requests: a JWT.
    access_token: &'a str,
    /// Seconds.
    access_token_expires_in: u64,
    /// Good once, for the next pair.
    #[schema(format = Uuid)]
    refresh_token: &'a str,
    /// The session's name, the same after every refresh.
    refresh_token_id: Uuid,
    user: User<'a>,
}

/// What a sign-in gives.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionPayload<'a> {
    /// Not there where the address must be proved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) session: Option<Session<'a>>,
}

impl<'a> Session<'a> {
    /// Of what was issued to `person`.
    pub(super) fn of(issued: &'a Issued, person: &'a Person<'a>, now: crate::env::Timestamp) -> Self {
        Self {
            access_token: issued.access_token.expose(),
            access_token_expires_in: issued.access_expires_at.since(now).as_secs(),
            refresh_token: issued.refresh.as_ref().map_or("", |refresh| refresh.token.expose()),
            refresh_token_id: issued.session,
            user: User::of(person),
        }
    }
}

/// A personal access token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PersonalToken<'a> {
    pub(super) id: Uuid,
    /// Shown this once.
    #[schema(format = Uuid)]
    pub(super) personal_access_token: &'a str,
}

/// What an endpoint of the OAuth 2 provider did not do, and why (RFC 6749, section 5.2).
#[derive(Serialize, ToSchema)]
pub(super) struct OAuthRefused {
    pub(super) error: &'static str,
    pub(super) error_description: &'static str,
}

/// Which version answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    version: &'static str,
}

impl Version {
    pub(super) const OURS: Self = Self { version: env!("CARGO_PKG_VERSION") };
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object)]
pub(super) struct KeySet(pub(super) Value);
