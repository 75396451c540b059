//! Nora auth: the nine endpoints of the contract (its seed generation with the later refinements).
//!
//! | file | what it spells |
//! |---|---|
//! | `accounts` | sign-up, sign-in, sign-in with a provider |
//! | `sessions` | password, session-upgrade, logout |
//! | `profile` | me, profile |
//! | `status` | bootstrap-status |
//! | `credential` | who presents what: header, cookie, API key, and which of them counts |
//! | `cookie` | the cookie `nora_auth`, byte for byte |
//! | `input` | bodies, and the rules of their fields |
//! | `wire` | bodies of answers |
//! | `document` | the table of endpoints: routes, and what the OpenAPI document tells |
//! | `error` | every error, and the limits' texts |
//! | `reply` | what every reply has: correlation id, limits, security headers |
//!
//! Chosen where the contract says *(inferred)*, and where the house's rules go before it (design, section 6):
//!
//! - Logout ends the session of the header and that of the cookie, whichever were presented; a password change ends all
//!   others; a changed role and deletion end them at once. A deleted user's token is 401, never 404.
//! - A body of another `Content-Type` counts as none, as in the first generation: the first rule of a field answers. A
//!   key that stands twice in an object is no JSON.
//! - No boot promotion of anyone to `admin`; whether the first account gets the role is the project's setting.
//! - A locked account is answered like the limiter of sign-ins. An address that must be proved first
//!   (`verification.mode = "strict"`, which the contract does not have) is 403 `EMAIL_VERIFICATION_REQUIRED`.
//! - Every answer is JSON, that of the general limit too. A full server says so with 503 and `Retry-After`.
//! - API keys of workspaces do not exist: every one is 401.
//! - `Strict-Transport-Security` without `includeSubDomains`, and not at names of the local machine.

mod accounts;
mod cookie;
pub mod credential;
mod document;
mod error;
mod input;
mod profile;
mod reply;
mod sessions;
mod status;
mod wire;

use axum::Router;

use super::{Cors, CorsManner, Trouble};
use crate::auth::{Credential, ProjectSettings, Rules};
use crate::http::openapi;
pub use document::API;
pub use error::trouble;
pub use reply::finish;

/// The largest body taken, in bytes (contract 1).
pub const BODY_LIMIT: usize = 1024 * 1024;

/// What scripts of other pages may send (contract 1): without credentials, so not the cookie.
pub const CORS: Cors = Cors { methods: "GET,HEAD,PUT,PATCH,POST,DELETE", headers: None, manner: CorsManner::Listed };

/// The endpoints, mounted at `path`.
pub fn routes(path: &str) -> Router {
    openapi::router(path, document::endpoints())
        .fallback(async || trouble(&Trouble::NotFound))
        .method_not_allowed_fallback(async || trouble(&Trouble::MethodNotAllowed))
}

/// What this dialect does its own way.
pub fn rules(settings: &ProjectSettings) -> Rules {
    let nora = &settings.nora;
    Rules {
        credential: Credential::Token { ttl: nora.token_ttl },
        sign_up_signs_in: false,
        // Unresolved is unsafe to assume.
        first_is_admin: nora.first_user_admin.unwrap_or(false),
        tells_missing_password: true,
        unproved_gets_another: true,
        proves_by_ticket: false,
        same_password: true,
        requests: nora.limits.global,
        changes: nora.limits.mutation,
    }
}
