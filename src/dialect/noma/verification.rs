//! Proving an address (contract 3.8, 3.9).

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::input::{Body, Fields, Form, FormRules, Here};
use super::wire::{Confirmed, Resent, User};
use crate::auth::attempts::retry_after_secs;
use crate::auth::{Email, verify};

/// The same for every address, known or not.
const RESENT: &str = "If the address needs verification, a new verification token has been issued.";

/// The body of `verify-email/resend`.
pub(super) struct ResendForm(Email);

impl Form for ResendForm {
    const NAME: &'static str = "ResendVerification";

    fn read(fields: &mut Fields, _: &FormRules<'_>) -> Option<Self> {
        fields.email("email").map(Self)
    }
}

/// `POST verify-email/resend`: 200, with a token or the rest of the cooldown.
pub(super) async fn resend(Here(ctx): Here, Body(ResendForm(email)): Body<ResendForm>) -> Result<Response, Refusal> {
    let resent = verify::resend(&ctx, email).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    let (token, cooldown) = match &resent {
        verify::Resent::Token(token) => (Some(token.expose().as_str()), None),
        verify::Resent::Mailed => (None, None),
        verify::Resent::Cooldown { retry_after } => (None, Some(retry_after_secs(*retry_after))),
    };
    let body = Resent {
        message: RESENT,
        verification_token: token,
        resend_cooldown_active: cooldown.map(|_| true),
        retry_after_seconds: cooldown,
    };
    Ok(Json(body).into_response())
}

/// The body of `verify-email/confirm`.
pub(super) struct ConfirmForm(String);

impl Form for ConfirmForm {
    const NAME: &'static str = "ConfirmVerification";

    fn read(fields: &mut Fields, _: &FormRules<'_>) -> Option<Self> {
        fields.token("token", 1).map(Self)
    }
}

/// `POST verify-email/confirm`: 200 with the user; no session.
pub(super) async fn confirm(Here(ctx): Here, Body(ConfirmForm(token)): Body<ConfirmForm>) -> Result<Response, Refusal> {
    let user = verify::confirm(&ctx, &token).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Confirmed { message: "Email verified.", user: User::of(&user) }).into_response())
}
