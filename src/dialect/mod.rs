//! Dialects: spellings of the same things. Each decodes, calls one verb, encodes; it never decides.
//!
//! A dialect gives: a router over its own paths (as if mounted at `/`), the spelling of every [`crate::auth::Error`] in
//! one total `match`, and the spelling of what goes wrong before a verb is reached ([`Trouble`]). It may not name
//! another dialect, `data` or `store`.

pub mod nhost;
pub mod noma;
pub mod nora;

use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::response::Response;
use serde_json::Value;

use crate::auth::limits::Standing;
use crate::auth::{ProjectSettings, RequestId, Rules};
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
    /// The client sent more requests than it may.
    TooManyRequests(Standing),
    /// The server cannot do it now.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// A defect.
    Internal,
}

/// Which scripts may send what (Fetch standard): what a preflight is told.
#[derive(Clone, Copy, Debug)]
pub struct Cors {
    /// The methods, comma-separated.
    pub methods: &'static str,
    /// The request headers, comma-separated; `None`: whatever is asked for.
    pub headers: Option<&'static str>,
    /// What it does beyond that.
    pub manner: CorsManner,
}

/// How freely a dialect lets scripts of other pages in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsManner {
    /// Pages of listed origins only, and without what the browser keeps for the server.
    Listed,
    /// Pages of any origin where none is listed, with credentials (which the dialect reads none of: no cookies); OPTIONS is
    /// answered like a preflight also where it is none.
    Open,
}

/// What is known of a request when its reply goes out.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its name in logs.
    pub id: RequestId,
    /// The name its client gave it: `x-correlation-id`, unchecked.
    pub correlation: Option<&'a HeaderValue>,
    /// Where its client stands under the last limiter that every request passes, if there is one.
    pub standing: Option<Standing>,
    /// Whether browsers may be told to use TLS here from now on: it is used, and not at a name of the local machine.
    pub always_tls: bool,
}

/// The dialects there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// NomaCMS project auth.
    Noma,
    /// Nora auth.
    Nora,
    /// Nhost Auth.
    Nhost,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Noma, Self::Nora, Self::Nhost];

    /// Its name in settings, paths, commands, metrics and log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noma => "noma",
            Self::Nora => "nora",
            Self::Nhost => "nhost",
        }
    }

    /// Where it is mounted in a project with these settings, its own path first; nowhere when it is switched off.
    pub fn mounts(self, settings: &ProjectSettings) -> impl Iterator<Item = &str> {
        let (noma, nora, nhost) = (&settings.noma, &settings.nora, &settings.nhost);
        let (enabled, path, also) = match self {
            Self::Noma => (noma.enabled, &noma.path, None),
            // Its usual public path, where it is the only one.
            Self::Nora => (nora.enabled, &nora.path, Some("/api/auth").filter(|_| !noma.enabled && !nhost.enabled)),
            Self::Nhost => (nhost.enabled, &nhost.path, None),
        };
        [Some(path.as_str()), also].into_iter().flatten().filter(move |_| enabled)
    }

    /// Its OpenAPI document.
    pub fn document(self, scope: &Scope<'_>) -> Value {
        match self {
            Self::Noma => openapi::document(&noma::API, scope),
            Self::Nora => openapi::document(&nora::API, scope),
            Self::Nhost => openapi::document(&nhost::API, scope),
        }
    }

    /// Its routes, mounted at `path` (which begins with `/` and does not end with one).
    pub fn routes(self, path: &str) -> Router {
        match self {
            Self::Noma => noma::routes(path),
            Self::Nora => nora::routes(path),
            Self::Nhost => nhost::routes(path),
        }
    }

    /// What it does its own way in a project with these settings.
    pub fn rules(self, settings: &ProjectSettings) -> Rules {
        match self {
            Self::Noma => noma::rules(settings),
            Self::Nora => nora::rules(settings),
            Self::Nhost => nhost::rules(settings),
        }
    }

    /// The reply to what went wrong before a handler was reached.
    pub fn trouble(self, trouble: &Trouble) -> Response {
        match self {
            Self::Noma => noma::trouble(trouble),
            Self::Nora => nora::trouble(trouble),
            Self::Nhost => nhost::trouble(trouble),
        }
    }

    /// Adds to a reply, whoever made it, what all replies of the dialect have.
    pub fn finish(self, reply: &mut Response, asked: &Asked<'_>) {
        match self {
            Self::Noma => noma::finish(reply, asked),
            Self::Nora => nora::finish(reply, asked),
            Self::Nhost => nhost::finish(reply, asked),
        }
    }

    /// What scripts of other pages may send.
    pub const fn cors(self) -> Cors {
        match self {
            Self::Noma => noma::CORS,
            Self::Nora => nora::CORS,
            Self::Nhost => nhost::CORS,
        }
    }
}
