//! Endpoints declared once: the router and the OpenAPI document are both made from one table, so that neither can have
//! what the other has not.
//!
//! A dialect's table is a list of [`Endpoint`]s, and the rest of its document is an [`Api`]:
//!
//! - What a handler takes is read off its own signature: each type of an argument says with [`Asks`] what it reads of a
//!   request (fields of a body, a bearer, a segment of the path) and what is answered when that is wrong.
//! - The fields of a body are told by the reading itself: the reader runs once without a body, and every field it asks
//!   for is written down in [`BodyFields`], with the limits it would have kept.
//! - What a handler answers is said by type in the table ([`Answer`]). The integration tests hold every reply of every
//!   test against the document, so that a status, a field or a header it does not name fails there.

mod document;
mod operation;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, patch, post};
use utoipa::openapi::HttpMethod;

use crate::auth::ProjectSettings;
pub use document::document;
pub use operation::{Answer, Arguments, Asks, BodyFields, Operation, email, nullable, text};

/// A dialect's API as its document tells it.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Its name for people.
    pub title: &'static str,
    /// What a reader must know before the first request; CommonMark.
    pub description: &'static str,
    /// Its endpoints.
    pub endpoints: fn() -> Vec<Endpoint>,
    /// What each request may carry, and what each may be answered before its handler is reached.
    pub every: fn(&mut Operation, &Scope<'_>),
}

/// For whom a document is written.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// The project's settings: limits that an operator may set are told as they are set.
    pub settings: &'a ProjectSettings,
    /// Where the API is mounted, as a URL without a final slash.
    pub url: String,
    /// The project's id, where the document is one project's.
    pub project: Option<uuid::Uuid>,
}

/// One endpoint of a dialect: its route and its place in the document.
pub struct Endpoint {
    method: HttpMethod,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    route: MethodRouter,
    asks: fn(&mut Operation, &Scope<'_>),
    answers: Vec<Answer>,
}

impl Endpoint {
    /// `GET path`, which `handler` answers; `id` names the operation for generated clients.
    pub fn get<T: Arguments + 'static>(path: &'static str, id: &'static str, handler: impl Handler<T, ()>) -> Self {
        Self::new::<T>(HttpMethod::Get, path, id, get(handler))
    }

    /// `POST path`.
    pub fn post<T: Arguments + 'static>(path: &'static str, id: &'static str, handler: impl Handler<T, ()>) -> Self {
        Self::new::<T>(HttpMethod::Post, path, id, post(handler))
    }

    /// `PATCH path`.
    pub fn patch<T: Arguments + 'static>(path: &'static str, id: &'static str, handler: impl Handler<T, ()>) -> Self {
        Self::new::<T>(HttpMethod::Patch, path, id, patch(handler))
    }

    fn new<T: Arguments>(method: HttpMethod, path: &'static str, id: &'static str, route: MethodRouter) -> Self {
        Self { method, path, id, summary: "", description: None, route, asks: T::ask, answers: Vec::new() }
    }

    /// What it does, in one line.
    pub fn summary(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    /// What that line leaves out; CommonMark.
    pub fn description(self, description: &'static str) -> Self {
        Self { description: Some(description), ..self }
    }

    /// One of its answers.
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }
}

/// The router of these endpoints, mounted at `path` (which begins with `/` and does not end with one).
pub fn router(path: &str, endpoints: Vec<Endpoint>) -> Router {
    endpoints
        .into_iter()
        .fold(Router::new(), |router, endpoint| router.route(&format!("{path}{}", endpoint.path), endpoint.route))
}
