//! Why a call failed. The texts are for the operator: they name neither path nor query, no header, no body.

use std::error::Error;
use std::io;

use super::guard::{Refused, Unresolved};

/// Why a call failed before there was an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The URL names an address that may not be called. It stays so until the configuration says otherwise.
    #[error("{0}")]
    Forbidden(Refused),
    /// The URL's name has only addresses that may not be called, as of now.
    #[error("the name leads nowhere that may be called: {0}")]
    Misled(Refused),
    /// The URL's name has no address, as of now.
    #[error("the name has no address")]
    Unresolved,
    /// No connection came about.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The server could not prove who it is.
    #[error("TLS: {0}")]
    Untrusted(String),
    /// The time was over.
    #[error("no answer in time")]
    TimedOut,
    /// Too many calls, to this host or at all.
    #[error("too many calls are under way")]
    Busy,
    /// The connection ended early, or something else than HTTP came.
    #[error("the call broke off: {0}")]
    Broken(String),
    /// The answer is longer than anything expected.
    #[error("the answer is too large")]
    AnswerTooLarge,
}

impl CallError {
    /// Whether the same call may work later, without a change of the configuration.
    pub fn may_work_later(&self) -> bool {
        match self {
            Self::Forbidden(_) => false,
            Self::Misled(_)
            | Self::Unresolved
            | Self::Unreachable(_)
            | Self::Untrusted(_)
            | Self::TimedOut
            | Self::Busy
            | Self::Broken(_)
            | Self::AnswerTooLarge => true,
        }
    }

    /// The client's error in these terms; its own text would quote the URL.
    pub(super) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        for cause in causes(&error) {
            if let Some(refused) = cause.downcast_ref::<Refused>() {
                return Self::Misled(*refused);
            }
            if cause.is::<Unresolved>() {
                return Self::Unresolved;
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Untrusted(tls.to_string());
            }
        }
        let deepest = causes(&error).last().map(ToString::to_string).unwrap_or_default();
        match () {
            () if error.is_timeout() => Self::TimedOut,
            () if error.is_connect() => Self::Unreachable(deepest),
            () => Self::Broken(deepest),
        }
    }
}

/// The error and what caused it, from the outside in.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        // An I/O error that wraps another names as its source that one's source, not that one.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
