//! What comes in: the bearer, and bodies as checked fields. Schemas are closed: a field they do not name is refused
//! (contract 0).
//!
//! A body is read by a [`Form`], and the same reading writes the document: run without a body, [`Fields`] notes every
//! field it is asked for, with its limits.

use axum::Extension;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::Map;

use super::error::{self, Refusal};
use super::fields::Fields;
use super::wire::{Refused, Unauthorized};
use super::{BODY_LIMIT, Trouble};
use crate::auth::{Actor, Ctx, Error, ProjectSettings, session};
use crate::http::body::{self, BodyError};
use crate::http::openapi::{Answer, Asks, Operation, Scope};

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

/// The token of a solved challenge, where there is one.
pub(super) struct BotToken(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for BotToken {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let value = parts.headers.get(BOT_TOKEN).and_then(|value| value.to_str().ok());
        Ok(Self(value.map(str::to_owned)))
    }
}

const BOT_TOKEN: &str = "x-cf-turnstile-response";

impl Asks for BotToken {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        let description = "The token of a solved challenge, where the project wants one.";
        operation.header_parameter(BOT_TOKEN, description, crate::http::openapi::text(0..=8192));
        operation.answer(Answer::of::<Unauthorized>(403, "The challenge was not solved."));
    }
}

/// A session of any account, an anonymous one too.
pub(super) struct Session(pub(super) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        proved(parts, BEARER).map(|(_, actor)| Self(actor)).map_err(IntoResponse::into_response)
    }
}

/// The schemes as the original calls them.
const BEARER: &str = "BearerAuth";
const ELEVATED: &str = "BearerAuthElevated";

/// Who proves to be somebody, at an endpoint of this scheme.
fn proved<'a>(parts: &'a Parts, scheme: &'static str) -> Result<(&'a Ctx, Actor), Refusal> {
    let ctx = parts.extensions.get::<Ctx>().ok_or(Refusal::Trouble(Trouble::Internal))?;
    let refused = |reason| Refusal::Unauthorized { scheme, reason };
    let token = bearer(&parts.headers).ok_or_else(|| refused("missing or malformed authorization header"))?;
    match session::authenticate(ctx, token) {
        Ok(actor) => Ok((ctx, actor)),
        Err(Error::Unauthenticated) => Err(refused("invalid or expired token")),
        Err(error) => Err(error.into()),
    }
}

/// The same, whose account may do things.
fn usable(parts: &Parts, scheme: &'static str) -> Result<Actor, Refusal> {
    let (ctx, actor) = proved(parts, scheme)?;
    session::usable(ctx, &actor.user)?;
    Ok(actor)
}

impl Asks for Session {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        operation.bearer("user", "The `accessToken` of a session.");
        operation.answer(Answer::of::<Unauthorized>(401, "The token is missing, wrong, expired or revoked."));
    }
}

/// The signed-in user (JWTUSER, contract 0.2): a session whose account may do things.
pub(super) struct SignedIn(pub(super) Actor);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        usable(parts, BEARER).map(Self).map_err(IntoResponse::into_response)
    }
}

impl Asks for SignedIn {
    fn ask(operation: &mut Operation, scope: &Scope<'_>) {
        Session::ask(operation, scope);
        operation
            .answer(Answer::of::<Refused>(401, "The account may not be used (`disabled-user`, `unverified-user`)."));
        operation.answer(Answer::of::<Refused>(403, "The account is anonymous (`forbidden-anonymous`)."));
    }
}

/// The signed-in user where the contract may ask for more than a session (E, section 2.6): here a session is enough, and
/// only who has none is told so under another name.
pub(super) struct Elevated(pub(super) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Elevated {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        usable(parts, ELEVATED).map(Self).map_err(IntoResponse::into_response)
    }
}

impl Asks for Elevated {
    fn ask(operation: &mut Operation, scope: &Scope<'_>) {
        SignedIn::ask(operation, scope);
    }
}

/// The session of the bearer where there is one; a bad bearer counts as none (contract 0, 10).
pub(super) struct Perhaps(pub(super) Option<Actor>);

impl<S: Send + Sync> FromRequestParts<S> for Perhaps {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Some(ctx) = parts.extensions.get::<Ctx>() else {
            return Err(error::trouble(&Trouble::Internal));
        };
        let Some(token) = bearer(&parts.headers) else { return Ok(Self(None)) };
        match session::authenticate(ctx, token) {
            Ok(actor) => Ok(Self(Some(actor))),
            Err(Error::Unauthenticated) => Ok(Self(None)),
            Err(error) => Err(Refusal::from(error).into_response()),
        }
    }
}

impl Asks for Perhaps {
    fn ask(_: &mut Operation, _: &Scope<'_>) {}
}

/// Exactly `Bearer <token>`: two parts, one space, capital B (contract 0).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = all.next().filter(|_| all.next().is_none())?;
    let token = value.to_str().ok()?.strip_prefix("Bearer ")?;
    (!token.is_empty() && !token.contains(' ')).then_some(token)
}

/// A JSON body that an endpoint reads.
pub(super) trait Form: Sized {
    /// Its name in the document.
    const NAME: &'static str;

    /// Takes every field with its rule. The first that is wrong is told.
    fn read(fields: &mut Fields, settings: &ProjectSettings) -> Result<Self, Refusal>;
}

/// A body, read: a handler that takes this answers what is wrong with it.
pub(super) struct Body<F>(pub(super) F);

impl<F: Form, S: Send + Sync> FromRequest<S> for Body<F> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let Some(ctx) = request.extensions().get::<Ctx>() else { return Err(error::trouble(&Trouble::Internal)) };
        let settings = ctx.settings.clone();
        let read = async {
            let body = body::json_object(request, BODY_LIMIT).await.map_err(unreadable)?;
            let mut fields = Fields::of(body);
            let form = F::read(&mut fields, &settings)?;
            fields.end()?;
            Ok::<_, Refusal>(Self(form))
        };
        read.await.map_err(IntoResponse::into_response)
    }
}

impl<F: Form> Asks for Body<F> {
    fn ask(operation: &mut Operation, scope: &Scope<'_>) {
        let mut fields = Fields::asking();
        // Nothing is there to be read: only what was asked for counts.
        let _ = F::read(&mut fields, scope.settings);
        operation.body(F::NAME, fields.asked());
        operation.answer(Answer::of::<super::wire::Wrong>(400, "The body cannot be read, or a field is wrong."));
        operation.answer(Answer::of::<Refused>(408, "The body did not come in time."));
        operation.answer(Answer::of::<Refused>(413, "The body is larger than 1 MiB."));
    }
}

fn unreadable(error: BodyError) -> Refusal {
    let reason = match error {
        BodyError::TooLarge => return Refusal::Trouble(Trouble::TooLarge),
        BodyError::Slow => return Refusal::Trouble(Trouble::Slow),
        BodyError::Interrupted => "the body is incomplete",
        BodyError::NotJsonType => "header Content-Type has unexpected value: expected application/json",
        BodyError::Malformed => "the body is not JSON",
        BodyError::DuplicateKey => "the body repeats a key in an object",
        BodyError::NotAnObject => return Refusal::Schema("value must be an object".into()),
    };
    Refusal::Request(reason.into())
}

/// A body of an endpoint that is switched off: read so that its connection lives on, and not looked at.
pub(super) struct Unread;

impl<S: Send + Sync> FromRequest<S> for Unread {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let _: Map<_, _> = body::json_object(request, BODY_LIMIT).await.unwrap_or_default();
        Ok(Self)
    }
}

impl Asks for Unread {
    fn ask(_: &mut Operation, _: &Scope<'_>) {}
}
