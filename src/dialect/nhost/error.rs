//! The spelling of every error: the codes of the contract's section 4, `auth::Error` in one total `match`, and the plain
//! shapes of what goes wrong before a verb is reached.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Trouble;
use super::wire::Refused;
use crate::auth::Error;
use crate::auth::attempts::retry_after_secs;
use crate::auth::bot::BotCheck;

/// A code of the contract, section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidRequest,
    InternalServerError,
    DisabledEndpoint,
    DisabledUser,
    UnverifiedUser,
    ForbiddenAnonymous,
    InvalidEmailPassword,
    UserAlreadyExists,
    EmailAlreadyVerified,
    PasswordTooShort,
    PasswordInHibpDatabase,
    RedirectToNotAllowed,
    RoleNotAllowed,
    DefaultRoleMustBeInAllowedRoles,
    SignupDisabled,
    UserNotAnonymous,
    InvalidPat,
    InvalidRefreshToken,
    InvalidTicket,
    InvalidOtp,
    OtpTooManyAttempts,
}

impl Code {
    /// Every one that is answered.
    #[cfg(test)]
    pub(super) const ALL: [Self; 21] = [
        Self::InvalidRequest,
        Self::InternalServerError,
        Self::DisabledEndpoint,
        Self::DisabledUser,
        Self::UnverifiedUser,
        Self::ForbiddenAnonymous,
        Self::InvalidEmailPassword,
        Self::UserAlreadyExists,
        Self::EmailAlreadyVerified,
        Self::PasswordTooShort,
        Self::PasswordInHibpDatabase,
        Self::RedirectToNotAllowed,
        Self::RoleNotAllowed,
        Self::DefaultRoleMustBeInAllowedRoles,
        Self::SignupDisabled,
        Self::UserNotAnonymous,
        Self::InvalidPat,
        Self::InvalidRefreshToken,
        Self::InvalidTicket,
        Self::InvalidOtp,
        Self::OtpTooManyAttempts,
    ];

    /// What is answered: code, status, whether it tells of an account (column S), message.
    const fn row(self) -> (&'static str, u16, bool, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid-request", 400, false, "The request payload is incorrect"),
            Self::InternalServerError => ("internal-server-error", 500, false, "Internal server error"),
            Self::DisabledEndpoint => ("disabled-endpoint", 409, false, "This endpoint is disabled"),
            Self::DisabledUser => ("disabled-user", 401, true, "User is disabled"),
            Self::UnverifiedUser => ("unverified-user", 401, true, "User is not verified."),
            Self::ForbiddenAnonymous => ("forbidden-anonymous", 403, true, "Forbidden, user is anonymous."),
            Self::InvalidEmailPassword => ("invalid-email-password", 401, true, "Incorrect email or password"),
            Self::UserAlreadyExists => ("user-already-exists", 409, true, "User already exists"),
            Self::EmailAlreadyVerified => ("email-already-verified", 400, true, "User's email is already verified"),
            Self::PasswordTooShort => ("password-too-short", 400, false, "Password is too short"),
            Self::PasswordInHibpDatabase => ("password-in-hibp-database", 400, false, "Password is in HIBP database"),
            Self::RedirectToNotAllowed => {
                ("redirectTo-not-allowed", 400, false, "The value of \"options.redirectTo\" is not allowed.")
            }
            Self::RoleNotAllowed => ("role-not-allowed", 400, true, "Role not allowed"),
            Self::DefaultRoleMustBeInAllowedRoles => {
                ("default-role-must-be-in-allowed-roles", 400, false, "Default role must be in allowed roles")
            }
            Self::SignupDisabled => ("signup-disabled", 403, true, "Sign up is disabled."),
            Self::UserNotAnonymous => ("user-not-anonymous", 400, false, "Logged in user is not anonymous"),
            Self::InvalidPat => ("invalid-pat", 401, true, "Invalid or expired personal access token"),
            Self::InvalidRefreshToken => ("invalid-refresh-token", 401, true, "Invalid or expired refresh token"),
            Self::InvalidTicket => ("invalid-ticket", 401, true, "Invalid ticket"),
            Self::InvalidOtp => ("invalid-otp", 400, true, "Invalid or expired OTP"),
            Self::OtpTooManyAttempts => {
                ("otp-too-many-attempts", 400, true, "Too many incorrect attempts, please request a new OTP")
            }
        }
    }

    /// What this is in a project that hides what accounts there are.
    pub(super) fn concealed(self, conceal: bool) -> Self {
        if conceal && self.row().2 { Self::InvalidRequest } else { self }
    }

    /// As it stands in `error`.
    pub(super) fn name(self) -> &'static str {
        self.row().0
    }

    /// For people.
    pub(super) fn message(self) -> &'static str {
        self.row().3
    }

    pub(super) fn reply(self) -> Response {
        let (error, status, _, message) = self.row();
        let body = Refused { status, message, error };
        let status = StatusCode::from_u16(status).expect("the table holds statuses");
        let mut reply = (status, Json(body)).into_response();
        // Who knows the project's settings may say less: see `super::layer`.
        reply.extensions_mut().insert(self);
        reply
    }
}

/// A refusal on its way out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A verb refused.
    Verb(Error),
    /// A rule of this API.
    Code(Code),
    /// The body breaks the schema: 400, with what is wrong.
    Schema(String),
    /// The request cannot be read: 400, with why.
    Request(String),
    /// The address is none: 400.
    NotAnEmail,
    /// A parameter cannot be read: 400.
    Parameter(String),
    /// No bearer, or a bad one: 401, with which.
    Unauthorized {
        /// What the endpoint asks for.
        scheme: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// What every dialect can run into.
    Trouble(Trouble),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Verb(error)
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Verb(error) => {
                let mut reply = spell(&error);
                if matches!(error, Error::Store(_) | Error::Unwritable(_) | Error::Internal(_)) {
                    reply.extensions_mut().insert(Fault(Arc::new(error)));
                }
                reply
            }
            Self::Code(code) => code.reply(),
            Self::Schema(reason) => bad(json!({ "error": "schema-validation-error", "reason": reason })),
            Self::Request(reason) => bad(json!({ "error": "request-validation-error", "reason": reason })),
            // `errors`, as the original has it.
            Self::NotAnEmail => {
                bad(json!({ "errors": "bad-request", "message": "email: failed to pass regex validation" }))
            }
            Self::Parameter(msg) => bad(json!({ "msg": msg })),
            Self::Unauthorized { scheme, reason } => {
                let body = json!({ "error": "unauthorized", "reason": reason, "securityScheme": scheme });
                (StatusCode::UNAUTHORIZED, Json(body)).into_response()
            }
            Self::Trouble(what) => trouble(&what),
        }
    }
}

/// What failed on the server's side, beside a reply that does not say it: to be logged once, by who knows the request.
#[derive(Clone, Debug)]
pub(super) struct Fault(pub(super) Arc<Error>);

/// How a verb's error is said.
enum Spelling {
    /// By a code.
    Code(Code),
    /// In the words of the bot check.
    Bot(BotCheck),
    /// As a limit: for so much longer, and no more is said.
    Locked(Duration),
    /// As what every dialect can run into.
    Trouble(Trouble),
}

/// The code of a verb's error; `None` where it has another shape.
pub(super) fn code_of(error: &Error) -> Option<Code> {
    match spelling(error) {
        Spelling::Code(code) => Some(code),
        Spelling::Bot(_) | Spelling::Locked(_) | Spelling::Trouble(_) => None,
    }
}

/// What each error is on this wire.
fn spelling(error: &Error) -> Spelling {
    match error {
        Error::FeatureOff => Spelling::Code(Code::DisabledEndpoint),
        Error::AnonymousForbidden => Spelling::Code(Code::ForbiddenAnonymous),
        Error::NotAnonymous => Spelling::Code(Code::UserNotAnonymous),
        Error::RoleNotAllowed => Spelling::Code(Code::RoleNotAllowed),
        Error::DefaultRoleNotAllowed => Spelling::Code(Code::DefaultRoleMustBeInAllowedRoles),
        Error::RedirectNotAllowed => Spelling::Code(Code::RedirectToNotAllowed),
        Error::AlreadyVerified => Spelling::Code(Code::EmailAlreadyVerified),
        Error::InvalidPersonalToken => Spelling::Code(Code::InvalidPat),
        Error::InvalidTicket => Spelling::Code(Code::InvalidTicket),
        Error::InvalidCode => Spelling::Code(Code::InvalidOtp),
        Error::TooManyCodes => Spelling::Code(Code::OtpTooManyAttempts),
        Error::InvalidExchange => Spelling::Code(Code::InvalidRequest),
        Error::SignupDisabled => Spelling::Code(Code::SignupDisabled),
        Error::EmailTaken => Spelling::Code(Code::UserAlreadyExists),
        // Told like a wrong password (contract 1.3, 3.3): who is locked out learns nothing of the account.
        Error::InvalidCredentials | Error::NoPassword | Error::WrongCurrentPassword | Error::AddressNotAllowed => {
            Spelling::Code(Code::InvalidEmailPassword)
        }
        Error::AccountDisabled | Error::AwaitsOperator => Spelling::Code(Code::DisabledUser),
        Error::VerificationRequired(_) => Spelling::Code(Code::UnverifiedUser),
        Error::InvalidRefreshToken => Spelling::Code(Code::InvalidRefreshToken),
        Error::InvalidVerificationToken => Spelling::Code(Code::InvalidTicket),
        Error::Unauthenticated | Error::UnknownUser => Spelling::Code(Code::InvalidEmailPassword),
        Error::SamePassword
        | Error::UnknownProvider
        | Error::UnknownApiKey
        | Error::TooManyApiKeys
        | Error::UnknownSession
        | Error::UnknownItem
        | Error::ItemExpired
        | Error::UnknownWebhook
        | Error::ProjectExists => Spelling::Code(Code::InvalidRequest),
        Error::ProjectDisabled => Spelling::Code(Code::DisabledEndpoint),
        // Too common or leaked is one thing here.
        Error::PasswordCommon | Error::PasswordLeaked => Spelling::Code(Code::PasswordInHibpDatabase),
        Error::Store(_) | Error::Internal(_) => Spelling::Code(Code::InternalServerError),
        Error::BotCheckFailed(check) => Spelling::Bot(*check),
        Error::Locked { retry_after } => Spelling::Locked(*retry_after),
        Error::TooManyRequests(standing) => Spelling::Trouble(Trouble::TooManyRequests(*standing)),
        Error::UnknownProject => Spelling::Trouble(Trouble::UnknownProject),
        Error::Busy { retry_after } => Spelling::Trouble(Trouble::Unavailable { retry_after: *retry_after }),
        Error::PolicyUnavailable { .. } => Spelling::Code(Code::InternalServerError),
        Error::Unwritable(_) => Spelling::Trouble(Trouble::Unavailable { retry_after: UNWRITABLE_RETRY }),
    }
}

fn spell(error: &Error) -> Response {
    match spelling(error) {
        Spelling::Code(code) => code.reply(),
        Spelling::Bot(BotCheck::Missing) => forbidden("missing x-cf-turnstile-response header"),
        Spelling::Bot(BotCheck::Refused) => forbidden("failed to pass turnstile: [invalid-input-response]"),
        Spelling::Bot(BotCheck::Unanswered) => {
            let body = json!({ "error": "internal server error when attempting to pass turnstile" });
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        }
        Spelling::Locked(retry_after) => retry(empty(StatusCode::TOO_MANY_REQUESTS), retry_after_secs(retry_after)),
        Spelling::Trouble(what) => trouble(&what),
    }
}

/// When to try again where the disk is full: an operator has to act, so not at once.
const UNWRITABLE_RETRY: Duration = Duration::from_secs(5);

/// The reply to what went wrong before a handler was reached.
pub fn trouble(trouble: &Trouble) -> Response {
    match trouble {
        Trouble::NoProject => plain(StatusCode::BAD_REQUEST, "project-id header missing", "invalid-request"),
        Trouble::UnknownProject => plain(StatusCode::NOT_FOUND, "Project not found", "invalid-request"),
        Trouble::ProjectDisabled => Code::DisabledEndpoint.reply(),
        Trouble::NotFound => plain(StatusCode::NOT_FOUND, "Not found", "not-found"),
        Trouble::MethodNotAllowed => plain(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "invalid-request"),
        Trouble::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large", "invalid-request"),
        Trouble::Slow => plain(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time", "invalid-request"),
        // Contract 3.4: nothing in it.
        Trouble::TooManyRequests(standing) => retry(empty(StatusCode::TOO_MANY_REQUESTS), standing.reset_secs()),
        Trouble::Unavailable { retry_after } => {
            let reply = plain(StatusCode::SERVICE_UNAVAILABLE, "The service is busy, try again shortly", BUSY);
            retry(reply, retry_after_secs(*retry_after).max(1))
        }
        Trouble::Internal => Code::InternalServerError.reply(),
    }
}

const BUSY: &str = "internal-server-error";

fn plain(status: StatusCode, message: &str, error: &str) -> Response {
    (status, Json(Refused { status: status.as_u16(), message, error })).into_response()
}

fn bad(body: serde_json::Value) -> Response {
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

fn forbidden(error: &str) -> Response {
    (StatusCode::FORBIDDEN, Json(json!({ "error": error }))).into_response()
}

fn empty(status: StatusCode) -> Response {
    status.into_response()
}

fn retry(mut reply: Response, seconds: u64) -> Response {
    reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_password_has_one_code_and_an_unanswered_check_fails_as_the_contract_says() {
        for error in [Error::PasswordCommon, Error::PasswordLeaked] {
            assert_eq!(code_of(&error), Some(Code::PasswordInHibpDatabase), "{error}");
        }
        let unanswered = Error::PolicyUnavailable { retry_after: Duration::from_secs(5) };
        assert_eq!(code_of(&unanswered), Some(Code::InternalServerError));
    }

    /// Contract 4: the codes that become `invalid-request` where accounts are hidden, and no others.
    #[test]
    fn what_tells_of_an_account_can_be_hidden() {
        let hidden = Code::ALL.into_iter().filter(|code| code.concealed(true) != *code).map(Code::name);
        assert_eq!(
            hidden.collect::<Vec<_>>(),
            [
                "disabled-user",
                "unverified-user",
                "forbidden-anonymous",
                "invalid-email-password",
                "user-already-exists",
                "email-already-verified",
                "role-not-allowed",
                "signup-disabled",
                "invalid-pat",
                "invalid-refresh-token",
                "invalid-ticket",
                "invalid-otp",
                "otp-too-many-attempts",
            ]
        );
        assert!(Code::ALL.into_iter().all(|code| code.concealed(false) == code));
    }
}
