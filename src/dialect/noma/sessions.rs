//! The session's own endpoints (contract 3.4 to 3.7).

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::input::{Body, Fields, Form, FormRules, Here, SignedIn};
use super::wire::{Me, Message, TokenPayload, User};
use crate::auth::{Error, password, session, sign_out};
use crate::crypto::Secret;

/// The shortest text that may be a refresh token (contract 3.4).
const MIN_REFRESH_TOKEN_CHARS: usize = 40;

/// The body of `refresh`.
pub(super) struct RefreshForm(String);

impl Form for RefreshForm {
    const NAME: &'static str = "Refresh";

    fn read(fields: &mut Fields, _: &FormRules<'_>) -> Option<Self> {
        fields.token("refresh_token", MIN_REFRESH_TOKEN_CHARS).map(Self)
    }
}

/// `POST refresh`: 200 with new tokens.
pub(super) async fn refresh(Here(ctx): Here, Body(RefreshForm(token)): Body<RefreshForm>) -> Result<Response, Refusal> {
    let issued = session::refresh(&ctx, &token).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(TokenPayload::of(&issued)).into_response())
}

/// `GET me`: 200 with the user as stored now.
pub(super) async fn me(SignedIn(actor): SignedIn) -> Response {
    Json(Me { user: User::of(&actor.user) }).into_response()
}

/// The body of `change-password`.
pub(super) struct PasswordForm {
    current: Secret<String>,
    new: Secret<String>,
}

impl Form for PasswordForm {
    const NAME: &'static str = "ChangePassword";

    fn read(fields: &mut Fields, rules: &FormRules<'_>) -> Option<Self> {
        let current = fields.password("current_password");
        let new = fields.new_password("new_password", rules.settings.password.min_length);
        Some(Self { current: current?, new: new? })
    }
}

/// `POST change-password`: 200; a wrong current password is 422, never 401.
pub(super) async fn change_password(
    SignedIn(actor): SignedIn,
    Here(ctx): Here,
    Body(form): Body<PasswordForm>,
) -> Result<Response, Refusal> {
    password::change(&ctx, actor, form.current, form.new).await.map_err(|error| match error {
        // No password is a wrong one: clients of this API know one answer.
        Error::NoPassword => Error::WrongCurrentPassword.into(),
        error => Refusal::from(error).about_password("new_password").noted(&ctx),
    })?;
    Ok(Json(Message::of("Password updated.")).into_response())
}

/// `POST logout`: ends this session.
pub(super) async fn sign_out(SignedIn(actor): SignedIn, Here(ctx): Here) -> Result<Response, Refusal> {
    sign_out::here(&ctx, actor).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Message::of("Logged out.")).into_response())
}

/// `POST logout-all`: ends all of this user's sessions.
pub(super) async fn sign_out_all(SignedIn(actor): SignedIn, Here(ctx): Here) -> Result<Response, Refusal> {
    sign_out::everywhere(&ctx, actor).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Message::of("Logged out from all sessions.")).into_response())
}
