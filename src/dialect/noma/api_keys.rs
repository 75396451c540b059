//! A user's API keys (contract 3.10), and the extension by which the integrator's own services prove one.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::accounts::unreachable_field;
use super::error::{self, Refusal};
use super::input::{Fields, Here, SignedIn};
use super::wire::{Key, Keys, Proved, User};
use crate::auth::Error;
use crate::auth::api_keys::{self, NewApiKey};
use crate::crypto::Digest;
use crate::http::bearer;

/// `GET api-keys`: newest first.
pub(super) async fn list(SignedIn(actor): SignedIn, Here(ctx): Here) -> Result<Response, Refusal> {
    let keys = api_keys::list(&ctx, &actor).map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Keys { data: keys.iter().map(|key| Key::of(key, None)).collect() }).into_response())
}

/// `POST api-keys`: 201 with the key's text, shown this once.
pub(super) async fn create(
    SignedIn(actor): SignedIn,
    Here(ctx): Here,
    mut fields: Fields,
) -> Result<Response, Refusal> {
    let name = fields.text("name");
    let scopes = fields.texts("scopes");
    let expires_at = fields.future("expires_at", ctx.now);
    fields.check()?;
    let Some(name) = name else { return Err(unreachable_field()) };
    let new = NewApiKey { name, scopes, expires_at };
    let (key, text) = api_keys::create(&ctx, actor, new).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok((StatusCode::CREATED, Json(Key::of(&key, Some(text.expose())))).into_response())
}

/// `POST api-keys/{id}/revoke`: 200, also the second time.
pub(super) async fn revoke(
    SignedIn(actor): SignedIn,
    Here(ctx): Here,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    // What is no text (`%ff`) is no id either.
    let number = id.ok().and_then(|Path(id)| id.parse().ok()).ok_or(Error::UnknownApiKey)?;
    api_keys::revoke(&ctx, actor, number).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(json!({ "message": "API key revoked." })).into_response())
}

/// `POST api-keys/verify` (extension): the integrator's service, with the project's secret as bearer, asks whose key
/// `{"key"}` is. 200 `{"data":{…key…},"user":{…}}`; 401 without the secret; 422 for a key that does not work. In a
/// project without a `secret` the route answers 401 to all.
pub(super) async fn prove(_: Service, Here(ctx): Here, mut fields: Fields) -> Result<Response, Refusal> {
    let key = fields.token("key", 1);
    fields.check()?;
    let Some(key) = key else { return Err(unreachable_field()) };
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

const PURPOSE: &str = "project-secret";
