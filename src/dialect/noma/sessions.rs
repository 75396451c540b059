//! The session's own endpoints (contract 3.4 to 3.7).

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::accounts::unreachable_field;
use super::error::Refusal;
use super::input::{Fields, Here, SignedIn};
use super::wire::{Me, TokenPayload, User};
use crate::auth::{Error, password, session};

/// The shortest text that may be a refresh token (contract 3.4).
const MIN_REFRESH_TOKEN_CHARS: usize = 40;

/// `POST refresh`: 200 with new tokens.
pub(super) async fn refresh(Here(ctx): Here, mut fields: Fields) -> Result<Response, Refusal> {
    let token = fields.token("refresh_token", MIN_REFRESH_TOKEN_CHARS);
    fields.check()?;
    let Some(token) = token else { return Err(unreachable_field()) };
    let issued = session::refresh(&ctx, &token).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(TokenPayload::of(&issued)).into_response())
}

/// `GET me`: 200 with the user as stored now.
pub(super) async fn me(SignedIn(actor): SignedIn) -> Response {
    Json(Me { user: User::of(&actor.user) }).into_response()
}

/// `POST change-password`: 200; a wrong current password is 422, never 401.
pub(super) async fn change_password(
    SignedIn(actor): SignedIn,
    Here(ctx): Here,
    mut fields: Fields,
) -> Result<Response, Refusal> {
    let current = fields.password("current_password");
    let new = fields.new_password("new_password", ctx.settings.password.min_length);
    fields.check()?;
    let (Some(current), Some(new)) = (current, new) else { return Err(unreachable_field()) };
    password::change(&ctx, actor, current, new).await.map_err(|error| match error {
        // No password is a wrong one: clients of this API know one answer.
        Error::NoPassword => Error::WrongCurrentPassword.into(),
        error => Refusal::from(error).noted(&ctx),
    })?;
    Ok(Json(json!({ "message": "Password updated." })).into_response())
}

/// `POST logout`: ends this session.
pub(super) async fn sign_out(SignedIn(actor): SignedIn, Here(ctx): Here) -> Result<Response, Refusal> {
    session::sign_out(&ctx, actor).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(json!({ "message": "Logged out." })).into_response())
}

/// `POST logout-all`: ends all of this user's sessions.
pub(super) async fn sign_out_all(SignedIn(actor): SignedIn, Here(ctx): Here) -> Result<Response, Refusal> {
    session::sign_out_all(&ctx, actor).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(json!({ "message": "Logged out from all sessions." })).into_response())
}
