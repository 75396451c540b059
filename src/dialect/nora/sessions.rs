//! The session's own endpoints (contract 3.6, 3.9, 3.10).

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::cookie;
use super::credential::{exact_bearer, tokens};
use super::error::Refusal;
use super::input::{self, Body, Form, Here, Leaving, SignedIn, Upgrading};
use super::wire::Success;
use crate::auth::{Error, password, session, sign_out};
use crate::http::openapi::{self, BodyFields, Scope};

/// The body of `password`.
pub(super) struct PasswordForm;

impl Form for PasswordForm {
    const NAME: &'static str = "ChangePassword";

    fn tell(fields: &mut BodyFields, scope: &Scope<'_>) {
        fields.required("currentPassword", openapi::text(1..=input::MAX_PASSWORD));
        fields.required("newPassword", input::new_password(scope));
    }
}

/// `PATCH password`: 200; all other sessions end.
pub(super) async fn change_password(
    SignedIn(actor): SignedIn,
    Here(ctx): Here,
    Body { mut fields, .. }: Body<PasswordForm>,
) -> Result<Response, Refusal> {
    let (current, new) = fields.password_change(ctx.settings.password.min_length)?;
    password::change(&ctx, actor, current, new).await.map_err(|error| match error {
        Error::NoPassword => Refusal::bad("OAuth user \u{2014} no password to change"),
        error => Refusal::from(error).noted(&ctx),
    })?;
    Ok(Json(Success::YES).into_response())
}

/// `POST session-upgrade`: the bearer's token into the cookie.
pub(super) async fn upgrade(Here(ctx): Here, Upgrading(headers): Upgrading) -> Result<Response, Refusal> {
    let token = exact_bearer(&headers).ok_or_else(|| Refusal::bad("Bearer token required"))?;
    session::authenticate(&ctx, token).map_err(|error| match error {
        Error::Unauthenticated => Refusal::unauthorized("Invalid or expired Bearer token"),
        error => Refusal::from(error).noted(&ctx),
    })?;
    let mut reply = Json(Success::YES).into_response();
    cookie::set(&mut reply, &ctx, token);
    Ok(reply)
}

/// `POST logout`: always 200, and the cookie goes; what sessions were presented end. A logout that cannot be stored is
/// none, and says so.
pub(super) async fn sign_out(Here(ctx): Here, Leaving(headers): Leaving) -> Result<Response, Refusal> {
    for token in tokens(&headers) {
        let ended = match session::authenticate(&ctx, token) {
            Ok(actor) => sign_out::here(&ctx, actor).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) | Err(Error::Unauthenticated) => {}
            Err(error) => return Err(Refusal::from(error).noted(&ctx)),
        }
    }
    let mut reply = Json(Success::YES).into_response();
    cookie::clear(&mut reply, &ctx);
    Ok(reply)
}
