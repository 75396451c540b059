//! Sign-up and sign-in (contract 3.1 to 3.3).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::input::{Fields, Here};
use super::wire::{TokenPayload, VerificationRequired};
use crate::auth::sign_up::{self, SignUp, SignedUp};
use crate::auth::{Error, sign_in};

/// `POST signup`: 201 with tokens, 202 where the address must be proved first.
pub(super) async fn sign_up(Here(ctx): Here, mut fields: Fields) -> Result<Response, Refusal> {
    let email = fields.email("email");
    let password = fields.new_password("password", ctx.settings.password.min_length);
    let display_name = fields.optional_text("display_name");
    let bot_token = fields.optional_token("bot_protection_token");
    fields.check()?;
    let (Some(email), Some(password)) = (email, password) else { return Err(unreachable_field()) };
    let new = SignUp { email, password, display_name, bot_token };
    match sign_up::sign_up(&ctx, new).await.map_err(|error| Refusal::from(error).noted(&ctx))? {
        SignedUp::In(issued) => Ok((StatusCode::CREATED, Json(TokenPayload::of(&issued))).into_response()),
        SignedUp::MustVerify(unverified) => {
            Ok((StatusCode::ACCEPTED, Json(VerificationRequired::of(&unverified))).into_response())
        }
    }
}

/// `POST login`: 200 with tokens.
pub(super) async fn sign_in(Here(ctx): Here, mut fields: Fields) -> Result<Response, Refusal> {
    let email = fields.email("email");
    let password = fields.password("password");
    fields.check()?;
    let (Some(email), Some(password)) = (email, password) else { return Err(unreachable_field()) };
    let issued =
        sign_in::with_password(&ctx, email, password).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(TokenPayload::of(&issued)).into_response())
}

/// `POST login/social`: no provider can be enabled yet, so each is an unknown one.
pub(super) async fn sign_in_social(_: Here, mut fields: Fields) -> Result<Response, Refusal> {
    fields.text("provider");
    fields.token("id_token", 1);
    fields.optional_text("nonce");
    fields.check()?;
    Err(Error::UnknownProvider.into())
}

/// `Fields::check` has refused every absent required field.
pub(super) fn unreachable_field() -> Refusal {
    Error::Internal("a required field was neither given nor refused".into()).into()
}
