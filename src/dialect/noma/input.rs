//! What comes in: the bearer, and bodies as checked fields. All wrong fields are told at once (contract, section 2.1).

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::error::Refusal;
use super::{BODY_LIMIT, Trouble};
use crate::auth::{Actor, Ctx, Email, Error, session};
use crate::crypto::Secret;
use crate::env::Timestamp;
use crate::http::body::{self, BodyError};
use crate::http::{bearer, moment};

/// Most characters in any text field but tokens.
const MAX_CHARS: usize = 255;
/// Most characters in a token: longer ones are none of ours.
const MAX_TOKEN_CHARS: usize = 4096;
/// Most characters in a token of another service.
const MAX_FOREIGN_TOKEN_CHARS: usize = 8192;

/// The context of the request, put there by `http`.
pub(super) struct Here(pub(super) Ctx);

impl<S: Send + Sync> FromRequestParts<S> for Here {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Extension::<Ctx>::from_request_parts(parts, state).await {
            Ok(Extension(ctx)) => Ok(Self(ctx)),
            Err(_) => Err(super::trouble(&Trouble::Internal)),
        }
    }
}

/// The signed-in user: a handler that takes this answers 401 without one.
pub(super) struct SignedIn(pub(super) Actor);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Some(ctx) = parts.extensions.get::<Ctx>() else {
            return Err(super::trouble(&Trouble::Internal));
        };
        let actor =
            bearer(&parts.headers).ok_or(Error::Unauthenticated).and_then(|token| session::authenticate(ctx, token));
        actor.map(Self).map_err(|error| Refusal::from(error).noted(ctx).into_response())
    }
}

/// The fields of a JSON body, secrets among them (so no `Debug`). Take each with its rule, then [`Fields::check`].
pub(super) struct Fields {
    body: Map<String, Value>,
    wrong: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Response> {
        match body::json_object(request, BODY_LIMIT).await {
            Ok(body) => Ok(Self { body, wrong: Vec::new() }),
            Err(error) => Err(refusal(error).into_response()),
        }
    }
}

fn refusal(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLarge => Refusal::Trouble(Trouble::TooLarge),
        BodyError::Slow => Refusal::Trouble(Trouble::Slow),
        BodyError::Interrupted => Refusal::Malformed(StatusCode::BAD_REQUEST, "The request body is incomplete."),
        BodyError::NotJsonType => {
            Refusal::Malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The Content-Type must be application/json.")
        }
        BodyError::Malformed => Refusal::Malformed(StatusCode::BAD_REQUEST, "The request body is not valid JSON."),
        BodyError::DuplicateKey => {
            Refusal::Malformed(StatusCode::BAD_REQUEST, "The request body repeats a key in an object.")
        }
        BodyError::NotAnObject => {
            Refusal::Malformed(StatusCode::BAD_REQUEST, "The request body must be a JSON object.")
        }
    }
}

impl Fields {
    /// Ends the reading: either all fields were right, or all wrong ones are told.
    pub(super) fn check(self) -> Result<(), Refusal> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.wrong)) }
    }

    /// A required address.
    pub(super) fn email(&mut self, name: &str) -> Option<Email> {
        let text = self.required(name, Trim::Yes)?;
        if text.chars().count() > MAX_CHARS {
            self.too_long(name, MAX_CHARS);
            return None;
        }
        let email = Email::parse(&text).ok();
        if email.is_none() {
            self.refuse(name, &format!("The {} field must be a valid email address.", spoken(name)));
        }
        email
    }

    /// A required new password of at least `min` characters.
    pub(super) fn new_password(&mut self, name: &str, min: usize) -> Option<Secret<String>> {
        let text = self.password(name)?;
        if text.expose().chars().count() < min {
            self.refuse(name, &format!("The {} field must be at least {min} characters.", spoken(name)));
            return None;
        }
        Some(text)
    }

    /// A required password as it may be on file.
    pub(super) fn password(&mut self, name: &str) -> Option<Secret<String>> {
        let text = Secret::new(self.required(name, Trim::No)?);
        if text.expose().chars().count() > MAX_CHARS {
            self.too_long(name, MAX_CHARS);
            return None;
        }
        Some(text)
    }

    /// A required token of at least `min` characters.
    pub(super) fn token(&mut self, name: &str, min: usize) -> Option<String> {
        let text = self.required(name, Trim::No)?;
        if text.chars().count() < min {
            self.refuse(name, &format!("The {} field must be at least {min} characters.", spoken(name)));
            return None;
        }
        self.no_longer_than(name, text, MAX_TOKEN_CHARS)
    }

    /// An optional token of another service.
    pub(super) fn optional_token(&mut self, name: &str) -> Option<String> {
        let text = self.string(name, Trim::Yes)?;
        self.no_longer_than(name, text, MAX_FOREIGN_TOKEN_CHARS)
    }

    /// A required text of at most 255 characters.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let text = self.required(name, Trim::Yes)?;
        self.short(name, text)
    }

    /// An optional text of at most 255 characters.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        let text = self.string(name, Trim::Yes)?;
        self.short(name, text)
    }

    /// An optional list of texts of at most 255 characters; at most 100 of them.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        const MAX_ITEMS: usize = 100;
        let items = match self.body.remove(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.refuse(name, &format!("The {} field must be an array.", spoken(name)));
                return Vec::new();
            }
        };
        if items.len() > MAX_ITEMS {
            self.refuse(name, &format!("The {} field must not have more than {MAX_ITEMS} items.", spoken(name)));
            return Vec::new();
        }
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let name = format!("{name}.{index}");
            match item {
                Value::String(text) => texts.extend(self.short(&name, text)),
                _ => self.not_a_string(&name),
            }
        }
        texts
    }

    /// An optional moment after `now`: a date or a date-time.
    pub(super) fn future(&mut self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let text = self.string(name, Trim::Yes)?;
        match moment(&text) {
            Some(at) if at > now => Some(at),
            Some(_) => {
                self.refuse(name, &format!("The {} field must be a date after now.", spoken(name)));
                None
            }
            None => {
                self.refuse(name, &format!("The {} field must be a valid date.", spoken(name)));
                None
            }
        }
    }

    fn no_longer_than(&mut self, name: &str, text: String, max: usize) -> Option<String> {
        if text.chars().count() > max {
            self.too_long(name, max);
            return None;
        }
        Some(text)
    }

    fn short(&mut self, name: &str, text: String) -> Option<String> {
        if text.chars().count() > MAX_CHARS {
            self.too_long(name, MAX_CHARS);
            None
        } else if text.contains('\0') {
            self.refuse(name, &format!("The {} field must not contain NUL characters.", spoken(name)));
            None
        } else {
            Some(text)
        }
    }

    fn required(&mut self, name: &str, trim: Trim) -> Option<String> {
        let before = self.wrong.len();
        let text = self.string(name, trim);
        if text.is_none() && self.wrong.len() == before {
            self.refuse(name, &format!("The {} field is required.", spoken(name)));
        }
        text
    }

    /// The text of a field; an empty one counts as absent.
    fn string(&mut self, name: &str, trim: Trim) -> Option<String> {
        match self.body.remove(name)? {
            Value::Null => None,
            Value::String(text) => {
                let text = match trim {
                    Trim::Yes => text.trim().to_owned(),
                    Trim::No => text,
                };
                (!text.is_empty()).then_some(text)
            }
            _ => {
                self.not_a_string(name);
                None
            }
        }
    }

    fn not_a_string(&mut self, name: &str) {
        self.refuse(name, &format!("The {} field must be a string.", spoken(name)));
    }

    fn too_long(&mut self, name: &str, max: usize) {
        self.refuse(name, &format!("The {} field must not be greater than {max} characters.", spoken(name)));
    }

    fn refuse(&mut self, name: &str, message: &str) {
        self.wrong.push((name.to_owned(), message.to_owned()));
    }
}

#[derive(Clone, Copy)]
enum Trim {
    Yes,
    No,
}

/// A field's name in a sentence.
fn spoken(name: &str) -> String {
    name.replace('_', " ")
}
