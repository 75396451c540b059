//! What a client must know before anyone signed in (contract 3.8).

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::input::Here;
use super::wire::{Bootstrap, BotProtection};
use crate::auth::{bot, sign_up};

/// `GET bootstrap-status`: 200. Nothing of it is secret, and of accounts only that there is none yet.
pub(super) async fn bootstrap(Here(ctx): Here) -> Result<Response, Refusal> {
    let needs_first_admin = sign_up::needs_first_admin(&ctx).map_err(|error| Refusal::from(error).noted(&ctx))?;
    let status = Bootstrap {
        needs_first_admin,
        signup_enabled: ctx.settings.signup.enabled,
        oauth_login_enabled: false,
        platform_mode: "selfhosted",
        signup_bot_protection: BotProtection::of(bot::challenge(&ctx.settings)),
    };
    Ok(Json(status).into_response())
}
