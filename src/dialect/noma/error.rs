//! The spelling of every error: `auth::Error` in one total `match`, validation errors, and the plain shapes.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::{Trouble, trouble, wire};
use crate::auth::attempts::retry_after_secs;
use crate::auth::{Ctx, Error};
use crate::http::scope;

/// A refusal on its way out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A verb refused.
    Verb(Error),
    /// Fields were wrong: field and message, in the order of the contract's fields.
    Invalid(Vec<(String, String)>),
    /// The body could not be read as JSON, or is of another type.
    Malformed(StatusCode, &'static str),
    /// What every dialect can run into.
    Trouble(Trouble),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Verb(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Verb(error) => spell(error),
            Self::Invalid(fields) => invalid(&fields),
            Self::Malformed(status, message) => plain(status, message),
            Self::Trouble(what) => trouble(&what),
        }
    }
}

impl Refusal {
    /// The same, where the new password is in the field `name`.
    pub(super) fn about_password(self, name: &str) -> Self {
        let message = match self {
            Self::Verb(Error::PasswordCommon) => TOO_COMMON,
            Self::Verb(Error::PasswordLeaked) => LEAKED,
            other => return other,
        };
        Self::Invalid(vec![(name.to_owned(), message.to_owned())])
    }

    /// Logs what is the server's own fault, once, with the name of the request.
    pub(super) fn noted(self, ctx: &Ctx) -> Self {
        if let Self::Verb(error @ (Error::Store(_) | Error::Unwritable(_) | Error::Internal(_))) = &self {
            tracing::error!(project = %ctx.project.record().slug, %error, "request failed");
        }
        self
    }
}

/// What each error is on this wire.
fn spell(error: Error) -> Response {
    match error {
        Error::ProjectDisabled => trouble(&Trouble::ProjectDisabled),
        Error::SignupDisabled => {
            coded(StatusCode::FORBIDDEN, "Sign-up is disabled for this project.", "signup_disabled")
        }
        Error::BotCheckFailed(_) => {
            coded(StatusCode::FORBIDDEN, "Complete the verification challenge and try again.", "bot_protection_failed")
        }
        Error::AwaitsOperator => {
            coded(StatusCode::FORBIDDEN, "The account was created and waits for approval.", "approval_required")
        }
        Error::AddressNotAllowed => {
            coded(StatusCode::FORBIDDEN, "This email address may not sign up.", "email_not_allowed")
        }
        Error::FeatureOff | Error::AnonymousForbidden => plain(StatusCode::FORBIDDEN, "This action is not allowed."),
        Error::NotAnonymous
        | Error::RoleNotAllowed
        | Error::DefaultRoleNotAllowed
        | Error::RedirectNotAllowed
        | Error::AlreadyVerified
        | Error::InvalidTicket
        | Error::InvalidCode
        | Error::TooManyCodes
        | Error::InvalidExchange => plain(StatusCode::BAD_REQUEST, "The request is invalid."),
        Error::InvalidPersonalToken => plain(StatusCode::UNAUTHORIZED, "Unauthenticated."),
        Error::EmailTaken => field("email", "The email has already been taken."),
        Error::InvalidCredentials | Error::AccountDisabled | Error::NoPassword => {
            plain(StatusCode::UNAUTHORIZED, "Invalid credentials.")
        }
        Error::Locked { retry_after } => {
            let seconds = retry_after_secs(retry_after);
            let body = Json(wire::Locked { message: "Invalid credentials.", retry_after: seconds });
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())], body).into_response()
        }
        Error::TooManyRequests(standing) => trouble(&Trouble::TooManyRequests(standing)),
        Error::VerificationRequired(unverified) => {
            (StatusCode::FORBIDDEN, Json(wire::VerificationRequired::of(&unverified))).into_response()
        }
        Error::Unauthenticated => {
            let reply = plain(StatusCode::UNAUTHORIZED, "Unauthenticated.");
            ([("www-authenticate", "Bearer")], reply).into_response()
        }
        Error::InvalidRefreshToken => plain(StatusCode::UNAUTHORIZED, "Invalid refresh token."),
        Error::InvalidVerificationToken => field("token", "The verification token is invalid or has expired."),
        Error::WrongCurrentPassword => field("current_password", "The current password is incorrect."),
        Error::SamePassword => field("new_password", "The new password field and current password must be different."),
        Error::PasswordCommon => field("password", TOO_COMMON),
        Error::PasswordLeaked => field("password", LEAKED),
        Error::UnknownProvider => field("provider", "The selected provider is invalid."),
        Error::UnknownApiKey => plain(StatusCode::NOT_FOUND, "API key not found."),
        Error::TooManyApiKeys => field("name", "No more API keys may be created for this account."),
        Error::UnknownUser => plain(StatusCode::NOT_FOUND, "User not found."),
        Error::UnknownSession => plain(StatusCode::NOT_FOUND, "Session not found."),
        Error::UnknownWebhook => plain(StatusCode::NOT_FOUND, "Webhook not found."),
        Error::UnknownProject => trouble(&Trouble::UnknownProject),
        Error::ProjectExists => plain(StatusCode::CONFLICT, "The project exists."),
        Error::UnknownItem | Error::ItemExpired => plain(StatusCode::NOT_FOUND, "Not found."),
        Error::Busy { retry_after } | Error::PolicyUnavailable { retry_after } => {
            trouble(&Trouble::Unavailable { retry_after })
        }
        Error::Unwritable(_) => trouble(&Trouble::Unavailable { retry_after: UNWRITABLE_RETRY }),
        Error::Store(_) | Error::Internal(_) => trouble(&Trouble::Internal),
    }
}

const TOO_COMMON: &str = "The given password is too common. Please choose a different password.";
const LEAKED: &str = "The given password has appeared in a data leak. Please choose a different password.";

/// When to try again where the disk is full: an operator has to act, so not at once.
const UNWRITABLE_RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// `{"message"}`; where it is the server's fault, also the `request_id` that the operator's log is searched for.
pub(super) fn plain(status: StatusCode, message: &str) -> Response {
    let request = scope::request().filter(|_| status.is_server_error()).map(|request| request.to_string());
    (status, Json(wire::Message { request_id: request.as_deref(), ..wire::Message::of(message) })).into_response()
}

/// `{"message","code"}`
pub(super) fn coded(status: StatusCode, message: &str, code: &'static str) -> Response {
    (status, Json(wire::Message { code: Some(code), ..wire::Message::of(message) })).into_response()
}

pub(super) fn field(name: &str, message: &str) -> Response {
    invalid(&[(name.to_owned(), message.to_owned())])
}

/// 422: all messages by field; the first one is the whole's.
fn invalid(fields: &[(String, String)]) -> Response {
    let mut errors = Map::new();
    for (name, message) in fields {
        let list = errors.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(Value::String(message.clone()));
        }
    }
    let message = fields.first().map_or("", |(_, message)| message.as_str());
    (StatusCode::UNPROCESSABLE_ENTITY, Json(wire::Invalid { message, errors })).into_response()
}
