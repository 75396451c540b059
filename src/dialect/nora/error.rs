//! The spelling of every error: `auth::Error` in one total `match`, the texts of limits, and the plain shapes.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

use super::Trouble;
use super::reply::Central;
use super::wire::Refused;
use crate::auth::attempts::retry_after_secs;
use crate::auth::limits::{Limiter, Standing};
use crate::auth::{Ctx, Error};

/// A refusal on its way out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A verb refused.
    Verb(Error),
    /// A rule of this API: status, text, and a code where it has one.
    Rule(StatusCode, String, Option<&'static str>),
    /// Nothing of the request could be read: what the original's framework answers.
    Central(StatusCode, &'static str),
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
            Self::Verb(error) => spell(&error),
            Self::Rule(status, text, None) => plain(status, &text),
            Self::Rule(status, text, Some(code)) => coded(status, &text, code),
            Self::Central(status, text) => central(status, text),
            Self::Trouble(what) => trouble(&what),
        }
    }
}

impl Refusal {
    /// 400 with this text.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::Rule(StatusCode::BAD_REQUEST, text.into(), None)
    }

    /// 401 with this text.
    pub(super) fn unauthorized(text: &str) -> Self {
        Self::Rule(StatusCode::UNAUTHORIZED, text.to_owned(), None)
    }

    /// Logs what is the server's own fault, once, with the name of the request.
    pub(super) fn noted(self, ctx: &Ctx) -> Self {
        if let Self::Verb(error @ (Error::Store(_) | Error::Unwritable(_) | Error::Internal(_))) = &self {
            tracing::error!(request = %ctx.request_id, project = %ctx.project.record().slug, %error, "request failed");
        }
        self
    }
}

/// What each error is on this wire.
fn spell(error: &Error) -> Response {
    match error {
        Error::ProjectDisabled => trouble(&Trouble::ProjectDisabled),
        Error::SignupDisabled => {
            coded(StatusCode::FORBIDDEN, "Registration is disabled by the operator", "SIGNUP_DISABLED")
        }
        Error::AwaitsOperator => {
            coded(StatusCode::FORBIDDEN, "The account was created and waits for approval", "APPROVAL_REQUIRED")
        }
        Error::AddressNotAllowed => {
            coded(StatusCode::FORBIDDEN, "This email address may not sign up", "EMAIL_NOT_ALLOWED")
        }
        Error::FeatureOff | Error::AnonymousForbidden => plain(StatusCode::FORBIDDEN, "This action is not allowed"),
        Error::NotAnonymous
        | Error::RoleNotAllowed
        | Error::DefaultRoleNotAllowed
        | Error::RedirectNotAllowed
        | Error::AlreadyVerified
        | Error::InvalidTicket
        | Error::InvalidCode
        | Error::TooManyCodes
        | Error::InvalidExchange => plain(StatusCode::BAD_REQUEST, "Invalid request"),
        Error::InvalidPersonalToken => challenged("Invalid or expired session"),
        Error::EmailTaken => plain(StatusCode::CONFLICT, "Account already exists for this email"),
        Error::InvalidCredentials | Error::AccountDisabled => {
            plain(StatusCode::UNAUTHORIZED, "Invalid email or password")
        }
        Error::NoPassword => {
            plain(StatusCode::UNAUTHORIZED, "This account uses OAuth login. Sign in with your provider instead.")
        }
        Error::Locked { retry_after } => {
            retry(plain(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_SIGN_INS), retry_after_secs(*retry_after))
        }
        Error::TooManyRequests(standing) => trouble(&Trouble::TooManyRequests(*standing)),
        Error::VerificationRequired(_) => {
            coded(StatusCode::FORBIDDEN, "Email verification required", "EMAIL_VERIFICATION_REQUIRED")
        }
        Error::BotCheckFailed(_) => plain(StatusCode::FORBIDDEN, "Complete the verification challenge and try again"),
        Error::Unauthenticated => challenged("Invalid or expired session"),
        Error::InvalidRefreshToken => plain(StatusCode::UNAUTHORIZED, "Invalid refresh token"),
        Error::InvalidVerificationToken => plain(StatusCode::BAD_REQUEST, "Invalid verification token"),
        Error::WrongCurrentPassword => plain(StatusCode::UNAUTHORIZED, "Current password is incorrect"),
        Error::SamePassword => plain(StatusCode::BAD_REQUEST, "New password must differ from the current one"),
        Error::PasswordCommon => plain(StatusCode::BAD_REQUEST, "Password is too common"),
        Error::PasswordLeaked => plain(StatusCode::BAD_REQUEST, "Password is known from a data leak"),
        Error::UnknownProvider => plain(StatusCode::BAD_REQUEST, "Unsupported OAuth provider"),
        Error::UnknownApiKey => plain(StatusCode::NOT_FOUND, "API key not found"),
        Error::TooManyApiKeys => plain(StatusCode::CONFLICT, "Too many API keys"),
        Error::UnknownUser => plain(StatusCode::NOT_FOUND, "User not found"),
        Error::UnknownItem | Error::ItemExpired | Error::UnknownWebhook => plain(StatusCode::NOT_FOUND, "Not found"),
        Error::UnknownSession => plain(StatusCode::NOT_FOUND, "Session not found"),
        Error::UnknownProject => trouble(&Trouble::UnknownProject),
        Error::ProjectExists => plain(StatusCode::CONFLICT, "The project exists"),
        Error::Busy { retry_after } | Error::PolicyUnavailable { retry_after } => {
            trouble(&Trouble::Unavailable { retry_after: *retry_after })
        }
        Error::Unwritable(_) => trouble(&Trouble::Unavailable { retry_after: UNWRITABLE_RETRY }),
        Error::Store(_) | Error::Internal(_) => trouble(&Trouble::Internal),
    }
}

/// When to try again where the disk is full: an operator has to act, so not at once.
const UNWRITABLE_RETRY: Duration = Duration::from_secs(5);

const TOO_MANY_SIGN_INS: &str = "Too many attempts, please try again later";

/// The text of each limit (contract 5).
fn over(standing: &Standing) -> &'static str {
    match standing.limiter {
        Limiter::Requests
        | Limiter::Resend
        | Limiter::Overall
        | Limiter::Mails
        | Limiter::MailsByClient
        | Limiter::MailsTo => "Too many requests, please try again later.",
        Limiter::Changes => "Too many requests, please slow down",
        Limiter::SignIn | Limiter::Codes | Limiter::Secrets | Limiter::Anonymous => TOO_MANY_SIGN_INS,
        Limiter::SignUpBurst | Limiter::SignUpDaily | Limiter::SignUps => {
            "Too many signup attempts, please try again later"
        }
    }
}

/// The reply to what went wrong before a handler was reached.
pub fn trouble(trouble: &Trouble) -> Response {
    match trouble {
        Trouble::NoProject => plain(StatusCode::BAD_REQUEST, "Project header missing"),
        Trouble::UnknownProject => plain(StatusCode::NOT_FOUND, "Project not found"),
        Trouble::ProjectDisabled => {
            coded(StatusCode::FORBIDDEN, "Authentication is disabled for this project", "PROJECT_AUTH_DISABLED")
        }
        Trouble::NotFound => plain(StatusCode::NOT_FOUND, "Not found"),
        Trouble::MethodNotAllowed => plain(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        Trouble::TooLarge => central(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large"),
        Trouble::Slow => central(StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time"),
        Trouble::TooManyRequests(standing) => {
            let reply = plain(StatusCode::TOO_MANY_REQUESTS, over(standing));
            super::reply::show(retry(reply, standing.reset_secs()), standing)
        }
        Trouble::Unavailable { retry_after } => {
            let reply = central(StatusCode::SERVICE_UNAVAILABLE, "The service is busy, please try again shortly");
            retry(reply, retry_after_secs(*retry_after).max(1))
        }
        Trouble::Internal => central(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
    }
}

/// 401 for want of a credential.
pub(super) fn challenged(text: &str) -> Response {
    ([("www-authenticate", "Bearer")], plain(StatusCode::UNAUTHORIZED, text)).into_response()
}

/// `{"error"}`
pub(super) fn plain(status: StatusCode, text: &str) -> Response {
    refused(status, text, None)
}

/// `{"error","code"}`
pub(super) fn coded(status: StatusCode, text: &str, code: &str) -> Response {
    refused(status, text, Some(code))
}

fn refused(status: StatusCode, error: &str, code: Option<&str>) -> Response {
    (status, Json(Refused { error, code, correlation_id: None })).into_response()
}

/// `{"error","code","correlationId"}`, once [`super::reply::finish`] knows the last.
fn central(status: StatusCode, text: &'static str) -> Response {
    let mut reply = coded(status, text, Central::CODE);
    reply.extensions_mut().insert(Central(text));
    reply
}

fn retry(mut reply: Response, seconds: u64) -> Response {
    reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    reply
}
