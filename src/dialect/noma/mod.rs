//! NomaCMS project auth: 13 endpoints of the contract and one extension.
//!
//! Chosen where the contract says *(inferred)*: an access token is PASETO v4.public unless `noma.token_format = "jwt"`;
//! a body that is not JSON by its `Content-Type` is 415; a repeated key in an object is 400; a top level that is not an
//! object is 400; a disabled account is answered like a wrong password; `refresh` honours the grace of
//! `tokens.refresh_grace` (10 s, the contract's upper bound; set it to `0s` for the contract's default); a locked
//! `change-password` is 429 like a locked login; the general limit is off unless `noma.limit` sets one. Extensions:
//! `POST api-keys/verify`, authenticated with the project's `secret`, for the integrator's own services;
//! `bot_protection_token` in the body of `signup` where the project has bot protection, without which it answers 403
//! `bot_protection_failed`.

mod accounts;
mod api_keys;
mod document;
mod error;
mod input;
mod sessions;
mod verification;
mod wire;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{Asked, Cors, CorsManner, Trouble};
use crate::auth::attempts::retry_after_secs;
use crate::auth::{Credential, ProjectSettings, Rules};
use crate::http::openapi;
pub use document::API;

/// The largest body taken, in bytes: no field of the contract needs more than a few KiB.
pub const BODY_LIMIT: usize = 64 * 1024;

/// The endpoints, mounted at `path`.
pub fn routes(path: &str) -> Router {
    openapi::router(path, document::endpoints())
        .fallback(async || trouble(&Trouble::NotFound))
        .method_not_allowed_fallback(async || trouble(&Trouble::MethodNotAllowed))
}

/// What scripts of other pages may send (contract 1).
pub const CORS: Cors = Cors {
    methods: "GET, POST",
    headers: Some("authorization, content-type, accept, project-id"),
    manner: CorsManner::Listed,
};

/// What this dialect does its own way.
pub fn rules(settings: &ProjectSettings) -> Rules {
    Rules {
        credential: Credential::Pair(settings.noma.token_format),
        sign_up_signs_in: true,
        first_is_admin: false,
        tells_missing_password: false,
        unproved_gets_another: true,
        proves_by_ticket: false,
        same_password: false,
        requests: settings.noma.limit,
        changes: None,
    }
}

/// What every reply has: where there is a limit, how much of it is left (contract 6).
pub fn finish(reply: &mut Response, asked: &Asked<'_>) {
    if let Some(standing) = &asked.standing {
        let headers = reply.headers_mut();
        headers.insert("x-ratelimit-limit", standing.limit.count.into());
        headers.insert("x-ratelimit-remaining", standing.remaining.into());
    }
}

/// The reply to what went wrong before a handler was reached.
pub fn trouble(trouble: &Trouble) -> Response {
    let (status, message) = match trouble {
        Trouble::NoProject => (StatusCode::BAD_REQUEST, "Project header missing."),
        Trouble::UnknownProject => (StatusCode::NOT_FOUND, "Project not found."),
        Trouble::ProjectDisabled => {
            let message = "Authentication is disabled for this project.";
            return error::coded(StatusCode::FORBIDDEN, message, "project_auth_disabled");
        }
        Trouble::NotFound => (StatusCode::NOT_FOUND, "Not found."),
        Trouble::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed."),
        Trouble::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The request body is larger than 64 KiB."),
        Trouble::Slow => (StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time."),
        Trouble::TooManyRequests(standing) => {
            let reply = error::plain(StatusCode::TOO_MANY_REQUESTS, "Too Many Attempts.");
            return ([("retry-after", standing.reset_secs().to_string())], reply).into_response();
        }
        Trouble::Unavailable { retry_after } => {
            let seconds = retry_after_secs(*retry_after).max(1);
            let reply = error::plain(StatusCode::SERVICE_UNAVAILABLE, "The service is busy. Try again shortly.");
            return ([("retry-after", seconds.to_string())], reply).into_response();
        }
        Trouble::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Server error."),
    };
    error::plain(status, message)
}
