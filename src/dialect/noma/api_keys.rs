//! A user's API keys (contract 3.10), and the extension by which the integrator's own services prove one.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

use super::error::{self, Refusal};
use super::input::{Body, Fields, Form, FormRules, Here, SignedIn, unauthenticated};
use super::wire::{Key, Keys, Message, Proved, User};
use crate::auth::Error;
use crate::auth::api_keys::{self, NewApiKey};
use crate::crypto::Digest;
use crate::http::bearer;
use crate::http::openapi::{Answer, Asks, Operation, Scope};

/// `GET api-keys`: newest first.
pub(super) async fn list(SignedIn(actor): SignedIn, Here(ctx): Here) -> Result<Response, Refusal> {
    let keys = api_keys::list(&ctx, &actor).map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Keys { data: keys.iter().map(|key| Key::of(key, None)).collect() }).into_response())
}

/// The body of `api-keys`.
pub(super) struct NewKeyForm(NewApiKey);

impl Form for NewKeyForm {
    const NAME: &'static str = "NewApiKey";

    fn read(fields: &mut Fields, rules: &FormRules<'_>) -> Option<Self> {
        let name = fields.text("name");
        let scopes = fields.texts("scopes");
        let expires_at = fields.future("expires_at", rules.now);
        Some(Self(NewApiKey { name: name?, scopes, expires_at }))
    }
}

/// `POST api-keys`: 201 with the key's text, shown this once.
pub(super) async fn create(
    SignedIn(actor): SignedIn,
    Here(ctx): Here,
    Body(NewKeyForm(new)): Body<NewKeyForm>,
) -> Result<Response, Refusal> {
    let (key, text) = api_keys::create(&ctx, actor, new).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok((StatusCode::CREATED, Json(Key::of(&key, Some(text.expose())))).into_response())
}

/// `POST api-keys/{id}/revoke`: 200, also the second time.
pub(super) async fn revoke(
    SignedIn(actor): SignedIn,
    Here(ctx): Here,
    KeyNumber(number): KeyNumber,
) -> Result<Response, Refusal> {
    api_keys::revoke(&ctx, actor, number).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Message::of("API key revoked.")).into_response())
}

/// The key that the path names.
pub(super) struct KeyNumber(u64);

impl<S: Send + Sync> FromRequestParts<S> for KeyNumber {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        // What is no text (`%ff`) is no number either.
        let number = path.ok().and_then(|Path(id)| id.parse().ok());
        number.map(Self).ok_or_else(|| Refusal::from(Error::UnknownApiKey).into_response())
    }
}

impl Asks for KeyNumber {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let number = number.format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
        operation.path_parameter("id", "The key's `id`.", number.build());
        operation.answer(Answer::of::<Message>(404, "This user has no such API key."));
    }
}

/// The body of `api-keys/verify`.
pub(super) struct ProveForm(String);

impl Form for ProveForm {
    const NAME: &'static str = "VerifyApiKey";

    fn read(fields: &mut Fields, _: &FormRules<'_>) -> Option<Self> {
        fields.token("key", 1).map(Self)
    }
}

/// `POST api-keys/verify` (extension): the integrator's service, with the project's secret as bearer, asks whose key
/// `{"key"}` is. 200 `{"data":{…key…},"user":{…}}`; 401 without the secret; 422 for a key that does not work. In a
/// project without a `secret` the route answers 401 to all.
pub(super) async fn prove(
    _: Service,
    Here(ctx): Here,
    Body(ProveForm(key)): Body<ProveForm>,
) -> Result<Response, Refusal> {
    match api_keys::prove(&ctx, &key).await {
        Ok((key, user)) => Ok(Json(Proved { data: Key::of(&key, None), user: User::of(&user) }).into_response()),
        Err(Error::UnknownApiKey) => Ok(error::field("key", "The API key is invalid, revoked or expired.")),
        Err(error) => Err(Refusal::from(error).noted(&ctx)),
    }
}

/// One of the integrator's own services: it knows the project's secret.
pub(super) struct Service;

impl<S: Send + Sync> FromRequestParts<S> for Service {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Here(ctx) = Here::from_request_parts(parts, state).await?;
        let secret = ctx.settings.secret.as_ref();
        let proved = secret.zip(bearer(&parts.headers)).is_some_and(|(secret, presented)| {
            // Digests compare in constant time, and hide the length.
            Digest::of(PURPOSE, secret.expose().as_bytes()) == Digest::of(PURPOSE, presented.as_bytes())
        });
        proved.then_some(Self).ok_or_else(|| Refusal::from(Error::Unauthenticated).into_response())
    }
}

impl Asks for Service {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        operation.bearer("service", "The project's `secret`, for your own services.");
        operation.answer(unauthenticated("The project's secret is missing or wrong, or the project has none."));
    }
}

const PURPOSE: &str = "project-secret";
