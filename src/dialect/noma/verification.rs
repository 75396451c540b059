//! Proving an address (contract 3.8, 3.9).

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::accounts::unreachable_field;
use super::error::Refusal;
use super::input::{Fields, Here};
use super::wire::{Confirmed, User};
use crate::auth::attempts::retry_after_secs;
use crate::auth::verify::{self, Resent};

/// The same for every address, known or not.
const RESENT: &str = "If the address needs verification, a new verification token has been issued.";

/// `POST verify-email/resend`: 200, with a token or the rest of the cooldown.
pub(super) async fn resend(Here(ctx): Here, mut fields: Fields) -> Result<Response, Refusal> {
    let email = fields.email("email");
    fields.check()?;
    let Some(email) = email else { return Err(unreachable_field()) };
    let body = match verify::resend(&ctx, email).await.map_err(|error| Refusal::from(error).noted(&ctx))? {
        Resent::Token(token) => json!({ "message": RESENT, "verification_token": token.expose() }),
        Resent::Mailed => json!({ "message": RESENT }),
        Resent::Cooldown { retry_after } => json!({
            "message": RESENT,
            "resend_cooldown_active": true,
            "retry_after_seconds": retry_after_secs(retry_after),
        }),
    };
    Ok(Json(body).into_response())
}

/// `POST verify-email/confirm`: 200 with the user; no session.
pub(super) async fn confirm(Here(ctx): Here, mut fields: Fields) -> Result<Response, Refusal> {
    let token = fields.token("token", 1);
    fields.check()?;
    let Some(token) = token else { return Err(unreachable_field()) };
    let user = verify::confirm(&ctx, &token).await.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Confirmed { message: "Email verified.", user: User::of(&user) }).into_response())
}
