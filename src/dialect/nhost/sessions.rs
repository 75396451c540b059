//! Sessions: refreshed, checked, ended (contract 1.4).

use axum::Json;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::error::Refusal;
use super::fields::Fields;
use super::input::{Body, Form, Here};
use super::wire::Session;
use crate::auth::person::Person;
use crate::auth::session::Issued;
use crate::auth::{Ctx, ProjectSettings, session};

/// The body of `token`.
pub(super) struct RefreshForm {
    refresh_token: Uuid,
}

impl Form for RefreshForm {
    const NAME: &'static str = "RefreshToken";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { refresh_token: fields.uuid("refreshToken")? })
    }
}

/// `POST token`: 200 with the session itself, not wrapped.
pub(super) async fn token(Here(ctx): Here, Body(form): Body<RefreshForm>) -> Result<Response, Refusal> {
    let issued = session::refresh_uuid(&ctx, form.refresh_token).await?;
    bare(&ctx, &issued)
}

/// A session as it is.
fn bare(ctx: &Ctx, issued: &Issued) -> Result<Response, Refusal> {
    let person = Person::of(ctx, &issued.user)?;
    Ok(Json(Session::of(issued, &person, ctx.now)).into_response())
}

/// A session in its wrapping; `None`: an empty one.
pub(super) fn payload(ctx: &Ctx, issued: Option<&Issued>) -> Result<Response, Refusal> {
    let Some(issued) = issued else {
        return Ok(Json(super::wire::SessionPayload { session: None }).into_response());
    };
    let person = Person::of(ctx, &issued.user)?;
    let session = Some(Session::of(issued, &person, ctx.now));
    Ok(Json(super::wire::SessionPayload { session }).into_response())
}
