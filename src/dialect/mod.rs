//! Dialects: spellings of the same things. Each decodes, calls one verb, encodes; it never decides.
//!
//! A dialect gives: a router over its own paths (as if mounted at `/`), the spelling of every [`crate::auth::Error`] in
//! one total `match`, and the spelling of what goes wrong before a verb is reached ([`Trouble`]). It may not name
//! another dialect, `data` or `store`.

pub mod noma;

use std::time::Duration;

use axum::Router;
use axum::response::Response;
use serde_json::Value;

use crate::auth::{ProjectSettings, Rules};
use crate::http::openapi::{self, Scope};

/// What goes wrong before a dialect's handler is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Several projects, and the request names none.
    NoProject,
    /// The request names a project there is not.
    UnknownProject,
    /// The project is switched off.
    ProjectDisabled,
    /// No such route.
    NotFound,
    /// The route takes other methods.
    MethodNotAllowed,
    /// The body is larger than the dialect takes.
    TooLarge,
    /// The body did not come in time.
    Slow,
    /// The server cannot do it now.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// A defect.
    Internal,
}

/// The dialects there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// NomaCMS project auth.
    Noma,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Noma];

    /// Its name in settings, paths and commands.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noma => "noma",
        }
    }

    /// Where it is mounted in a project with these settings; `None` where it is switched off.
    pub fn mount(self, settings: &ProjectSettings) -> Option<&str> {
        let (enabled, path) = match self {
            Self::Noma => (settings.noma.enabled, settings.noma.path.as_str()),
        };
        enabled.then_some(path)
    }

    /// Its OpenAPI document.
    pub fn document(self, scope: &Scope<'_>) -> Value {
        match self {
            Self::Noma => openapi::document(&noma::API, scope),
        }
    }

    /// Its routes, mounted at `path` (which begins with `/` and does not end with one).
    pub fn routes(self, path: &str) -> Router {
        match self {
            Self::Noma => noma::routes(path),
        }
    }

    /// What it does its own way in a project with these settings.
    pub fn rules(self, settings: &ProjectSettings) -> Rules {
        match self {
            Self::Noma => noma::rules(settings),
        }
    }

    /// The reply to what went wrong before a handler was reached.
    pub fn trouble(self, trouble: &Trouble) -> Response {
        match self {
            Self::Noma => noma::trouble(trouble),
        }
    }

    /// The largest body it takes, in bytes.
    pub const fn body_limit(self) -> usize {
        match self {
            Self::Noma => noma::BODY_LIMIT,
        }
    }
}
