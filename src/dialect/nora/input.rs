//! What comes in: the signed-in user, and the fields of bodies with the rules of the contract. The first rule that fails
//! is told.

use std::convert::Infallible;
use std::marker::PhantomData;

use axum::Extension;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};

use super::credential::{Malformed, Presented, presented};
use super::error::{self, Refusal};
use super::wire::Refused;
use super::{BODY_LIMIT, Trouble, cookie};
use crate::auth::{Actor, Ctx, Email, session};
use crate::crypto::Secret;
use crate::http::body::{self, BodyError};
use crate::http::openapi::{self, Answer, Asks, BodyFields, Operation, Scope};

/// The most characters of an address, of a new password, of a name, of a picture: JavaScript's, UTF-16 units.
pub(super) const MAX_EMAIL: usize = 255;
pub(super) const MAX_PASSWORD: usize = 128;
pub(super) const MAX_NAME: usize = 100;
pub(super) const MAX_AVATAR: usize = 500_000;
/// Longer tokens of other services are looked at by nobody.
pub(super) const MAX_BOT_TOKEN: usize = 8192;
/// Where a solved challenge's token may stand; the first that is there counts.
pub(super) const BOT_TOKENS: [&str; 3] = ["botProtectionToken", "turnstileToken", "recaptchaToken"];
/// No account's password is longer, in bytes: what is left of a longer one is as wrong as the whole.
const MAX_PRESENTED: usize = 4096;

/// The languages of this API's pages.
const LOCALES: [&str; 5] = ["en", "es", "fr", "zh-Hans", "zh-Hant"];

/// The context of the request, put there by `http`.
pub(super) struct Here(pub(super) Ctx);

impl<S: Send + Sync> FromRequestParts<S> for Here {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Extension::<Ctx>::from_request_parts(parts, state).await {
            Ok(Extension(ctx)) => Ok(Self(ctx)),
            Err(_) => Err(error::trouble(&Trouble::Internal)),
        }
    }
}

impl Asks for Here {
    fn ask(_: &mut Operation, _: &Scope<'_>) {}
}

/// The headers of a request that brings its bearer's token into the cookie (contract 3.9).
pub(super) struct Upgrading(pub(super) HeaderMap);

impl<S: Send + Sync> FromRequestParts<S> for Upgrading {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.clone()))
    }
}

impl Asks for Upgrading {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        bearer(operation);
        operation.answer(Answer::of::<Refused>(400, "The header is not exactly `Bearer <token>`."));
        operation.answer(Answer::of::<Refused>(401, "The token is wrong, expired or revoked."));
    }
}

/// The headers of a request that ends what it presents, if anything.
pub(super) struct Leaving(pub(super) HeaderMap);

impl<S: Send + Sync> FromRequestParts<S> for Leaving {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.clone()))
    }
}

impl Asks for Leaving {
    fn ask(_: &mut Operation, _: &Scope<'_>) {}
}

fn bearer(operation: &mut Operation) {
    operation.bearer("user", "The `token` of a sign-in.");
}

/// The signed-in user: a handler that takes this answers 400, 401 or 403 without one (contract 3.3).
pub(super) struct SignedIn(pub(super) Actor);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Some(ctx) = parts.extensions.get::<Ctx>() else {
            return Err(error::trouble(&Trouble::Internal));
        };
        match presented(&parts.headers) {
            Ok(Presented::Bearer(token) | Presented::Cookie(token)) => session::authenticate(ctx, token)
                .map(Self)
                .map_err(|error| Refusal::from(error).noted(ctx).into_response()),
            Ok(Presented::Nothing) => Err(error::challenged("Authentication required")),
            Ok(Presented::ApiKey) => Err(error::challenged("Invalid or expired API key")),
            Err(Malformed::Invalid) => {
                Err(error::coded(StatusCode::BAD_REQUEST, "Invalid authentication header", "invalid_auth_header"))
            }
            Err(Malformed::Conflicting) => {
                Err(error::coded(StatusCode::BAD_REQUEST, "Conflicting authentication headers", "conflicting_auth"))
            }
        }
    }
}

impl Asks for SignedIn {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        bearer(operation);
        let cookie = ApiKeyValue::with_description(cookie::NAME, "The same token, as a browser keeps it.");
        operation.secured("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        operation.answer(Answer::of::<Refused>(400, "The headers are malformed, or name two credentials."));
        operation.answer(Answer::of::<Refused>(401, "The token is missing, wrong, expired or revoked."));
    }
}

/// A JSON body that an endpoint reads, field by field, when its turn comes: limits go before it.
pub(super) trait Form {
    /// Its name in the document.
    const NAME: &'static str;

    /// Tells the document its fields.
    fn tell(fields: &mut BodyFields, scope: &Scope<'_>);
}

/// The body of an `F`.
pub(super) struct Body<F> {
    pub(super) fields: Fields,
    form: PhantomData<F>,
}

impl<F> From<Map<String, Value>> for Body<F> {
    fn from(fields: Map<String, Value>) -> Self {
        Self { fields: Fields(fields), form: PhantomData }
    }
}

impl<F: Form> Asks for Body<F> {
    fn ask(operation: &mut Operation, scope: &Scope<'_>) {
        let mut fields = BodyFields::default();
        F::tell(&mut fields, scope);
        operation.body(F::NAME, fields);
        operation.answer(Answer::of::<Refused>(400, "The body is not JSON, or a field is wrong."));
        operation.answer(Answer::of::<Refused>(408, "The body did not come in time."));
        operation.answer(Answer::of::<Refused>(413, "The body is larger than 1 MiB."));
    }
}

/// How the document tells a new password.
pub(super) fn new_password(scope: &Scope<'_>) -> Object {
    let min = scope.settings.password.min_length;
    openapi::text(min..=MAX_PASSWORD.max(min))
}

/// How the document tells a language.
pub(super) fn locale() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(LOCALES)).build()
}

/// The fields of a JSON body, secrets among them (so no `Debug`).
pub(super) struct Fields(Map<String, Value>);

impl<F, S: Send + Sync> FromRequest<S> for Body<F> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let refusal = match body::json_object(request, BODY_LIMIT).await {
            Ok(body) => return Ok(Self::from(body)),
            // As if there were none.
            Err(BodyError::NotJsonType) => return Ok(Self::from(Map::new())),
            Err(BodyError::TooLarge) => Refusal::Trouble(Trouble::TooLarge),
            Err(BodyError::Slow) => Refusal::Trouble(Trouble::Slow),
            Err(BodyError::Interrupted) => Refusal::Central(StatusCode::BAD_REQUEST, "request aborted"),
            Err(BodyError::Malformed | BodyError::DuplicateKey | BodyError::NotAnObject) => {
                Refusal::Central(StatusCode::BAD_REQUEST, "Invalid JSON body")
            }
        };
        Err(refusal.into_response())
    }
}

impl Fields {
    /// A new account's address (contract 3.1).
    pub(super) fn new_email(&mut self) -> Result<Email, Refusal> {
        let text = self.text("email").map(|text| text.trim().to_lowercase()).unwrap_or_default();
        if text.is_empty() {
            return Err(Refusal::bad("Email is required"));
        }
        if units(&text) > MAX_EMAIL {
            return Err(Refusal::bad("Email too long"));
        }
        Email::parse(&text).ok().filter(|_| is_shaped(&text)).ok_or_else(|| Refusal::bad("Invalid email format"))
    }

    /// A new password of at least `min` characters (contract 3.1).
    pub(super) fn new_password(&mut self, name: &str, min: usize) -> Result<Secret<String>, Refusal> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()).map(Secret::new) else {
            return Err(Refusal::bad("Password is required"));
        };
        match units(text.expose()) {
            short if short < min => Err(Refusal::bad(format!("Password must be at least {min} characters"))),
            // The operator may ask for more than the contract allows; then what he asks for is allowed.
            long if long > MAX_PASSWORD.max(min) => Err(Refusal::bad("Password too long")),
            _ => Ok(text),
        }
    }

    /// The token of a solved challenge (contract 3.1).
    pub(super) fn bot_token(&mut self) -> Option<String> {
        BOT_TOKENS.into_iter().filter_map(|name| self.text(name)).find(|text| !text.trim().is_empty())
    }

    /// Address and password of somebody who signs in (contract 3.2). The address is `None` when it cannot be anybody's.
    pub(super) fn credentials(&mut self) -> Result<(Option<Email>, Secret<String>), Refusal> {
        let email = self.text("email").map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        let password = self.presented_password("password");
        match (email, password) {
            (Some(email), Some(password)) => Ok((Email::parse(&email).ok(), password)),
            _ => Err(Refusal::bad("Email and password required")),
        }
    }

    /// Current and new password (contract 3.6).
    pub(super) fn password_change(&mut self, min: usize) -> Result<(Secret<String>, Secret<String>), Refusal> {
        let is_there = match self.0.get("newPassword") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        };
        match self.presented_password("currentPassword") {
            Some(current) if is_there => Ok((current, self.new_password("newPassword", min)?)),
            _ => Err(Refusal::bad("Both passwords required")),
        }
    }

    /// The name to go by, if it is there (contract 3.5).
    pub(super) fn name(&mut self) -> Result<Option<String>, Refusal> {
        let Some(value) = self.0.remove("name") else { return Ok(None) };
        let name = value.as_str().map(str::trim).filter(|name| (1..=MAX_NAME).contains(&units(name)));
        match name {
            Some(name) if !name.contains('\0') => Ok(Some(name.to_owned())),
            _ => Err(Refusal::bad("Name must be 1-100 characters")),
        }
    }

    /// The picture, if it is there; `Some(None)`: none any more.
    pub(super) fn avatar(&mut self) -> Result<Option<Option<String>>, Refusal> {
        match self.0.remove("avatar") {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) if text.starts_with("data:image/") => match units(&text) {
                ..=MAX_AVATAR => Ok(Some(Some(text))),
                _ => Err(Refusal::bad("Image too large. Max 500KB.")),
            },
            Some(_) => Err(Refusal::bad("Invalid avatar format")),
        }
    }

    /// The language, if it is there; `Some(None)`: the project's.
    pub(super) fn locale(&mut self) -> Result<Option<Option<String>>, Refusal> {
        let text = match self.0.remove("preferredLocale") {
            None => return Ok(None),
            Some(Value::Null) => return Ok(Some(None)),
            Some(Value::String(text)) => text,
            Some(_) => String::new(),
        };
        match LOCALES.contains(&text.trim()) {
            true => Ok(Some(Some(text.trim().to_owned()))),
            false => Err(Refusal::bad(format!("preferredLocale must be one of {}", LOCALES.join(", ")))),
        }
    }

    fn presented_password(&mut self, name: &str) -> Option<Secret<String>> {
        let text = Secret::new(self.text(name)?);
        let whole = text.expose();
        match whole.len() {
            0 => None,
            1..=MAX_PRESENTED => Some(text),
            _ => Some(Secret::new(whole[..whole.floor_char_boundary(MAX_PRESENTED)].to_owned())),
        }
    }

    /// A text field; anything else is none.
    fn text(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }
}

/// Length as JavaScript counts it.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// No white space, one `@`, and a dot in the domain with text on both sides (contract 3.1).
fn is_shaped(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let dotted = domain.rsplit_once('.').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
    !local.is_empty() && !domain.contains('@') && dotted && !text.contains(char::is_whitespace)
}
