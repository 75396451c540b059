//! What comes in: the bearer, and bodies as checked fields. All wrong fields are told at once (contract, section 2.1).
//!
//! A body is read by a [`Form`], and the same reading writes the document: run without a body, [`Fields`] notes every
//! field it is asked for, with its limits.

use axum::Extension;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};

use super::error::Refusal;
use super::wire::{Invalid, Message};
use super::{BODY_LIMIT, Trouble};
use crate::auth::{Actor, Ctx, Email, Error, ProjectSettings, session};
use crate::crypto::Secret;
use crate::env::Timestamp;
use crate::http::body::{self, BodyError};
use crate::http::openapi::{self, Answer, Asks, BodyFields, Operation, Scope, nullable};
use crate::http::{bearer, moment};

/// Most characters in any text field but tokens.
const MAX_CHARS: usize = 255;
/// Most characters in a token: longer ones are none of ours.
const MAX_TOKEN_CHARS: usize = 4096;
/// Most texts in a list.
const MAX_ITEMS: usize = 100;
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

impl Asks for Here {
    fn ask(_: &mut Operation, _: &Scope<'_>) {}
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

impl Asks for SignedIn {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        operation.bearer("user", "The `access_token` of a session.");
        operation.answer(unauthenticated("The access token is missing, wrong, expired or revoked."));
    }
}

/// The answer without the bearer that a route needs.
pub(super) fn unauthenticated(description: &'static str) -> Answer {
    Answer::of::<Message>(401, description).with_header("www-authenticate", "`Bearer`.")
}

/// A JSON body that an endpoint reads.
pub(super) trait Form: Sized {
    /// Its name in the document.
    const NAME: &'static str;

    /// Takes every field with its rule, in the order of the contract; `None` where one was refused, which `fields`
    /// then knows.
    fn read(fields: &mut Fields, rules: &FormRules<'_>) -> Option<Self>;
}

/// What a rule of a field may depend on.
pub(super) struct FormRules<'a> {
    pub(super) settings: &'a ProjectSettings,
    pub(super) now: Timestamp,
}

/// A body, read: a handler that takes this answers what is wrong with it.
pub(super) struct Body<F>(pub(super) F);

impl<F: Form, S: Send + Sync> FromRequest<S> for Body<F> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let Some(ctx) = request.extensions().get::<Ctx>() else { return Err(super::trouble(&Trouble::Internal)) };
        let (settings, now) = (ctx.settings.clone(), ctx.now);
        let body = body::json_object(request, BODY_LIMIT).await.map_err(|error| refusal(error).into_response())?;
        let mut fields = Fields { body, wrong: Vec::new(), asked: None };
        let form = F::read(&mut fields, &FormRules { settings: &settings, now });
        match form {
            Some(form) if fields.wrong.is_empty() => Ok(Self(form)),
            None if fields.wrong.is_empty() => {
                let defect = Error::Internal("a required field was neither given nor refused".into());
                Err(Refusal::from(defect).into_response())
            }
            _ => Err(Refusal::Invalid(fields.wrong).into_response()),
        }
    }
}

impl<F: Form> Asks for Body<F> {
    fn ask(operation: &mut Operation, scope: &Scope<'_>) {
        let mut fields = Fields { body: Map::new(), wrong: Vec::new(), asked: Some(BodyFields::default()) };
        let rules = FormRules { settings: scope.settings, now: Timestamp::default() };
        // Nothing is there to be read: only what was asked for counts.
        let _ = F::read(&mut fields, &rules);
        operation.body(F::NAME, fields.asked.unwrap_or_default());
        operation.answer(Answer::of::<Message>(400, "The body is not a JSON object, or repeats a key."));
        operation.answer(Answer::of::<Message>(408, "The body did not come in time."));
        operation.answer(Answer::of::<Message>(413, "The body is larger than 64 KiB."));
        operation.answer(Answer::of::<Message>(415, "The body is not `application/json`."));
        operation.answer(Answer::of::<Invalid>(422, "A field is wrong."));
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

/// The fields of a JSON body, secrets among them (so no `Debug`).
pub(super) struct Fields {
    body: Map<String, Value>,
    wrong: Vec<(String, String)>,
    /// What was asked for, where there is no body and the document is written.
    asked: Option<BodyFields>,
}

impl Fields {
    /// A required address.
    pub(super) fn email(&mut self, name: &str) -> Option<Email> {
        self.note(|asked| asked.required(name, openapi::email(MAX_CHARS)));
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
        self.note(|asked| asked.required(name, openapi::text(min..=MAX_CHARS)));
        let text = self.secret(name)?;
        if text.expose().chars().count() < min {
            self.refuse(name, &format!("The {} field must be at least {min} characters.", spoken(name)));
            return None;
        }
        Some(text)
    }

    /// A required password as it may be on file.
    pub(super) fn password(&mut self, name: &str) -> Option<Secret<String>> {
        self.note(|asked| asked.required(name, openapi::text(1..=MAX_CHARS)));
        self.secret(name)
    }

    fn secret(&mut self, name: &str) -> Option<Secret<String>> {
        let text = Secret::new(self.required(name, Trim::No)?);
        if text.expose().chars().count() > MAX_CHARS {
            self.too_long(name, MAX_CHARS);
            return None;
        }
        Some(text)
    }

    /// A required token of at least `min` characters.
    pub(super) fn token(&mut self, name: &str, min: usize) -> Option<String> {
        self.note(|asked| asked.required(name, openapi::text(min..=MAX_TOKEN_CHARS)));
        let text = self.required(name, Trim::No)?;
        if text.chars().count() < min {
            self.refuse(name, &format!("The {} field must be at least {min} characters.", spoken(name)));
            return None;
        }
        self.no_longer_than(name, text, MAX_TOKEN_CHARS)
    }

    /// An optional token of another service.
    pub(super) fn optional_token(&mut self, name: &str) -> Option<String> {
        self.note(|asked| asked.optional(name, nullable(openapi::text(0..=MAX_FOREIGN_TOKEN_CHARS))));
        let text = self.string(name, Trim::Yes)?;
        self.no_longer_than(name, text, MAX_FOREIGN_TOKEN_CHARS)
    }

    /// A required text of at most 255 characters.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.note(|asked| asked.required(name, openapi::text(1..=MAX_CHARS)));
        let text = self.required(name, Trim::Yes)?;
        self.short(name, text)
    }

    /// An optional text of at most 255 characters.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        self.note(|asked| asked.optional(name, nullable(openapi::text(0..=MAX_CHARS))));
        let text = self.string(name, Trim::Yes)?;
        self.short(name, text)
    }

    /// An optional list of texts of at most 255 characters; at most 100 of them.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        self.note(|asked| {
            let items = ArrayBuilder::new().items(openapi::text(0..=MAX_CHARS));
            asked.optional(name, nullable(items.max_items(Some(MAX_ITEMS)).build()));
        });
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
        self.note(|asked| {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let text = text.description(Some("A date or a date-time (RFC 3339) that is still to come."));
            let text = text.examples(["2099-12-31T23:59:59Z"]);
            asked.optional(name, nullable(text.build()));
        });
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

    /// Notes a field for the document, when that is what the reading is for.
    fn note(&mut self, field: impl FnOnce(&mut BodyFields)) {
        if let Some(asked) = &mut self.asked {
            field(asked);
        }
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
