//! What the operator is told when something cannot be done: one total match over the engine's errors.

use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::host::NotReloaded;
use crate::auth::Error;
use crate::auth::projects::{NoMoment, NotBackedUp, NotRestored};
use crate::backup::{BadArchive, NotMade};
use crate::config::{Problem, Problems};
use crate::data::portable::Wrong;
use crate::http::body::BodyError;

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A verb refused.
    Verb(Error),
    /// Something in the request is not what it must be.
    Invalid(String),
    /// Settings for a project are wrong.
    Settings(Problems),
    /// A file of lines is wrong, or does not fit.
    File(Vec<Wrong>),
    /// The configuration was not taken anew.
    NotReloaded(NotReloaded),
    /// Projects were not backed up.
    NotBackedUp(NotBackedUp),
    /// A backup cannot be read.
    BadArchive(BadArchive),
    /// It was read, and not brought back.
    NotRestored(NotRestored),
    /// The body could not be read.
    Body(BodyError),
    /// There is nothing at this path.
    UnknownRoute,
    /// The path has no such method.
    WrongMethod,
    /// The peer is another user.
    Stranger,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Verb(error)
    }
}

impl From<NotReloaded> for Refusal {
    fn from(refused: NotReloaded) -> Self {
        Self::NotReloaded(refused)
    }
}

impl From<NotBackedUp> for Refusal {
    fn from(error: NotBackedUp) -> Self {
        Self::NotBackedUp(error)
    }
}

impl From<NotMade> for Refusal {
    fn from(error: NotMade) -> Self {
        Self::Verb(Error::Internal(error.to_string()))
    }
}

impl From<BadArchive> for Refusal {
    fn from(error: BadArchive) -> Self {
        Self::BadArchive(error)
    }
}

impl From<NotRestored> for Refusal {
    fn from(error: NotRestored) -> Self {
        match error {
            NotRestored::Failed(error) => Self::Verb(error),
            error => Self::NotRestored(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message, retry_after) = match self {
            Self::Verb(error) => return verb(&error),
            Self::Invalid(message) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", message, None),
            Self::Settings(problems) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_settings", spell(&problems), None),
            Self::File(wrong) => return file(&wrong),
            Self::NotReloaded(NotReloaded::Settings(problems)) => return configuration(&problems),
            Self::NotReloaded(error @ NotReloaded::Failed(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "not_reloaded", error.to_string(), None)
            }
            Self::NotReloaded(error @ NotReloaded::Stopped) => {
                (StatusCode::CONFLICT, "stopped", error.to_string(), None)
            }
            Self::NotBackedUp(error) => {
                let (status, code) = not_backed_up(&error);
                (status, code, error.to_string(), None)
            }
            Self::BadArchive(error) => (StatusCode::UNPROCESSABLE_ENTITY, "bad_backup", error.to_string(), None),
            Self::NotRestored(error @ NotRestored::Exists(_)) => {
                (StatusCode::CONFLICT, "in_the_way", error.to_string(), None)
            }
            Self::NotRestored(error) => (StatusCode::UNPROCESSABLE_ENTITY, "not_restored", error.to_string(), None),
            Self::Body(error) => {
                let (status, message) = body(error);
                (status, "unreadable_body", message.to_owned(), None)
            }
            Self::UnknownRoute => (
                StatusCode::NOT_FOUND,
                "unknown_route",
                "the admin API has no such path; the command and the running server may be of different versions"
                    .to_owned(),
                None,
            ),
            Self::WrongMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this path has no such method".to_owned(), None)
            }
            Self::Stranger => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "only the user the server runs as, and root, may use the control socket".to_owned(),
                None,
            ),
        };
        answer(status, code, &message, retry_after)
    }
}

/// The engine's errors as the operator's. Its messages never hold a secret, and the operator may know everything else.
fn verb(error: &Error) -> Response {
    let (status, code, retry_after) = match error {
        Error::ProjectDisabled => (StatusCode::FORBIDDEN, "project_disabled", None),
        Error::SignupDisabled => (StatusCode::FORBIDDEN, "signup_disabled", None),
        Error::BotCheckFailed(_) => (StatusCode::FORBIDDEN, "bot_check_failed", None),
        Error::AddressNotAllowed => (StatusCode::FORBIDDEN, "address_not_allowed", None),
        Error::EmailTaken => (StatusCode::CONFLICT, "email_taken", None),
        Error::InvalidCredentials => (StatusCode::FORBIDDEN, "invalid_credentials", None),
        Error::AccountDisabled => (StatusCode::FORBIDDEN, "account_disabled", None),
        Error::AwaitsOperator => (StatusCode::FORBIDDEN, "awaits_operator", None),
        Error::Locked { retry_after } => (StatusCode::TOO_MANY_REQUESTS, "locked", Some(*retry_after)),
        Error::TooManyRequests(standing) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", Some(standing.reset)),
        Error::NoPassword => (StatusCode::CONFLICT, "no_password", None),
        Error::VerificationRequired(_) => (StatusCode::FORBIDDEN, "verification_required", None),
        Error::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", None),
        Error::InvalidRefreshToken => (StatusCode::FORBIDDEN, "invalid_refresh_token", None),
        Error::InvalidVerificationToken => (StatusCode::FORBIDDEN, "invalid_verification_token", None),
        Error::WrongCurrentPassword => (StatusCode::FORBIDDEN, "wrong_current_password", None),
        Error::SamePassword => (StatusCode::UNPROCESSABLE_ENTITY, "same_password", None),
        Error::PasswordCommon => (StatusCode::UNPROCESSABLE_ENTITY, "password_common", None),
        Error::PasswordLeaked => (StatusCode::UNPROCESSABLE_ENTITY, "password_leaked", None),
        Error::PolicyUnavailable { retry_after } => {
            (StatusCode::SERVICE_UNAVAILABLE, "policy_unavailable", Some(*retry_after))
        }
        Error::UnknownProvider => (StatusCode::NOT_FOUND, "unknown_provider", None),
        Error::UnknownApiKey => (StatusCode::NOT_FOUND, "unknown_api_key", None),
        Error::TooManyApiKeys => (StatusCode::CONFLICT, "too_many_api_keys", None),
        Error::FeatureOff => (StatusCode::CONFLICT, "feature_off", None),
        Error::AnonymousForbidden => (StatusCode::FORBIDDEN, "anonymous_forbidden", None),
        Error::NotAnonymous => (StatusCode::CONFLICT, "not_anonymous", None),
        Error::RoleNotAllowed => (StatusCode::UNPROCESSABLE_ENTITY, "role_not_allowed", None),
        Error::DefaultRoleNotAllowed => (StatusCode::UNPROCESSABLE_ENTITY, "default_role_not_allowed", None),
        Error::RedirectNotAllowed => (StatusCode::UNPROCESSABLE_ENTITY, "redirect_not_allowed", None),
        Error::AlreadyVerified => (StatusCode::CONFLICT, "already_verified", None),
        Error::InvalidPersonalToken => (StatusCode::FORBIDDEN, "invalid_personal_token", None),
        Error::InvalidTicket => (StatusCode::FORBIDDEN, "invalid_ticket", None),
        Error::InvalidCode => (StatusCode::FORBIDDEN, "invalid_code", None),
        Error::TooManyCodes => (StatusCode::FORBIDDEN, "too_many_codes", None),
        Error::InvalidExchange => (StatusCode::FORBIDDEN, "invalid_exchange", None),
        Error::UnknownUser => (StatusCode::NOT_FOUND, "unknown_user", None),
        Error::UnknownSession => (StatusCode::NOT_FOUND, "unknown_session", None),
        Error::UnknownWebhook => (StatusCode::NOT_FOUND, "unknown_webhook", None),
        Error::UnknownProject => (StatusCode::NOT_FOUND, "unknown_project", None),
        Error::ProjectExists => (StatusCode::CONFLICT, "project_exists", None),
        Error::UnknownItem => (StatusCode::NOT_FOUND, "unknown_item", None),
        Error::ItemExpired => (StatusCode::CONFLICT, "item_expired", None),
        Error::Busy { retry_after } => (StatusCode::SERVICE_UNAVAILABLE, "busy", Some(*retry_after)),
        Error::Unwritable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unwritable", Some(Duration::from_secs(1))),
        Error::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store_failed", None),
        Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", None),
    };
    if status.is_server_error() {
        tracing::error!(%error, code, "an operator's request failed");
    }
    answer(status, code, &error.to_string(), retry_after)
}

fn not_backed_up(error: &NotBackedUp) -> (StatusCode, &'static str) {
    match error {
        NotBackedUp::Unknown(_) => (StatusCode::NOT_FOUND, "unknown_project"),
        NotBackedUp::Moment(NoMoment::UnderWay | NoMoment::Memory) => (StatusCode::CONFLICT, "not_backed_up"),
        NotBackedUp::Moment(NoMoment::Late(_) | NoMoment::Doors | NoMoment::Project(..) | NoMoment::Closed)
        | NotBackedUp::Project(..)
        | NotBackedUp::Stopped
        | NotBackedUp::Folder(..) => (StatusCode::INTERNAL_SERVER_ERROR, "not_backed_up"),
    }
}

fn body(error: BodyError) -> (StatusCode, &'static str) {
    match error {
        BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB"),
        BodyError::Slow => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
        BodyError::Interrupted => (StatusCode::BAD_REQUEST, "the body ended early"),
        BodyError::NotJsonType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json"),
        BodyError::Malformed => (StatusCode::BAD_REQUEST, "the body is not JSON"),
        BodyError::DuplicateKey => (StatusCode::BAD_REQUEST, "the body has a key twice"),
        BodyError::NotAnObject => (StatusCode::BAD_REQUEST, "the body is not a JSON object"),
    }
}

/// All problems as they are, for the command line to spell.
fn configuration(Problems(problems): &Problems) -> Response {
    let view = |problem: &Problem| json!({"source": problem.source, "key": problem.key, "reason": problem.reason});
    let problems: Vec<_> = problems.iter().map(view).collect();
    let error = json!({"code": "configuration", "message": "the configuration has mistakes", "problems": problems});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error }))).into_response()
}

/// All wrong lines, in their order.
fn file(wrong: &[Wrong]) -> Response {
    let lines: Vec<_> = wrong.iter().map(|wrong| json!({"line": wrong.line, "reason": wrong.reason})).collect();
    let error = json!({"code": "invalid_file", "message": "the file cannot be taken", "lines": lines});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error }))).into_response()
}

/// All problems in one sentence; where to read on belongs to the command line.
fn spell(Problems(problems): &Problems) -> String {
    let each = problems.iter().map(|problem| match problem.key.as_str() {
        "" => problem.reason.clone(),
        key => format!("{key}: {}", problem.reason),
    });
    each.collect::<Vec<_>>().join("; ")
}

fn answer(status: StatusCode, code: &str, message: &str, retry_after: Option<Duration>) -> Response {
    let mut response = (status, Json(json!({"error": {"code": code, "message": message}}))).into_response();
    if let Some(after) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64));
    }
    response
}
