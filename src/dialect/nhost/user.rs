//! The signed-in account (contract 1.5).

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::input::{Here, SignedIn};
use super::wire::User;
use crate::auth::person::Person;

/// `GET user`.
pub(super) async fn user(SignedIn(actor): SignedIn, Here(ctx): Here) -> Result<Response, Refusal> {
    let person = Person::of(&ctx, &actor.user)?;
    Ok(Json(User::of(&person)).into_response())
}
