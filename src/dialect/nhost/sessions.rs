//! Sessions: refreshed, checked, ended; tokens that begin them (contract 1.3, 1.4).

use axum::Json;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::error::{Code, Refusal};
use super::fields::Fields;
use super::input::{Body, Elevated, Form, Here, Perhaps};
use super::wire::{Done, PersonalToken, Session, SessionPayload};
use crate::auth::person::Person;
use crate::auth::personal_tokens::{self, NewPersonalToken};
use crate::auth::session::{self, Issued};
use crate::auth::{Ctx, Error, ProjectSettings, sign_out as end};
use crate::crypto::Secret;

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

/// The body of `token/verify`.
pub(super) struct VerifyForm {
    token: Option<Secret<String>>,
}

impl Form for VerifyForm {
    const NAME: &'static str = "VerifyToken";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { token: fields.optional_token("token")? })
    }
}

/// `POST token/verify`: whether an access token counts, that of the body or else the bearer. Unlike the original's, one
/// whose session has ended does not.
pub(super) async fn verify(
    Here(ctx): Here,
    Perhaps(bearer): Perhaps,
    Body(form): Body<VerifyForm>,
) -> Result<Response, Refusal> {
    match (form.token, bearer) {
        (Some(token), _) => {
            let text = token.expose();
            let text = text.strip_prefix("Bearer ").unwrap_or(text);
            session::authenticate(&ctx, text).map_err(|error| match error {
                Error::Unauthenticated => Refusal::Code(Code::InvalidRequest),
                error => error.into(),
            })?;
        }
        (None, Some(actor)) => session::usable(&ctx, &actor.user)?,
        (None, None) => return Err(Code::InvalidRequest.into()),
    }
    Ok(Json(Done::OK).into_response())
}

/// The body of `signout`.
pub(super) struct SignOutForm {
    refresh_token: Option<Uuid>,
    all: bool,
}

impl Form for SignOutForm {
    const NAME: &'static str = "SignOut";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        let form = Self { refresh_token: fields.optional_uuid("refreshToken")?, all: fields.flag("all")? };
        // The one schema of bodies that is open (contract 0).
        fields.ignore_others();
        Ok(form)
    }
}

/// `POST signout`: ends the session of a refresh token, or all of the bearer's.
pub(super) async fn sign_out(
    Here(ctx): Here,
    Perhaps(bearer): Perhaps,
    Body(form): Body<SignOutForm>,
) -> Result<Response, Refusal> {
    match (form.all, bearer, form.refresh_token) {
        (true, Some(actor), _) => end::everywhere(&ctx, actor).await?,
        (false, _, Some(token)) => end::by_token(&ctx, token).await?,
        (true, None, _) | (false, _, None) => return Err(Code::InvalidRequest.into()),
    }
    Ok(Json(Done::OK).into_response())
}

/// The body of `pat`.
pub(super) struct PersonalTokenForm(NewPersonalToken);

impl Form for PersonalTokenForm {
    const NAME: &'static str = "CreatePAT";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        let expires_at = fields.moment("expiresAt")?;
        Ok(Self(NewPersonalToken { expires_at, metadata: fields.metadata("metadata")? }))
    }
}

/// `POST pat`: 200 with the token, this once.
pub(super) async fn make_personal(
    Elevated(actor): Elevated,
    Here(ctx): Here,
    Body(PersonalTokenForm(new)): Body<PersonalTokenForm>,
) -> Result<Response, Refusal> {
    let (id, token) = personal_tokens::create(&ctx, actor, new).await?;
    Ok(Json(PersonalToken { id, personal_access_token: token.expose() }).into_response())
}

/// The body of `signin/pat`.
pub(super) struct SignInPersonalForm {
    token: Uuid,
}

impl Form for SignInPersonalForm {
    const NAME: &'static str = "SignInPAT";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { token: fields.uuid("personalAccessToken")? })
    }
}

/// `POST signin/pat`: 200 with a session.
pub(super) async fn sign_in_personal(
    Here(ctx): Here,
    Body(form): Body<SignInPersonalForm>,
) -> Result<Response, Refusal> {
    let issued = personal_tokens::sign_in(&ctx, form.token).await?;
    payload(&ctx, Some(&issued))
}

/// A session as it is.
fn bare(ctx: &Ctx, issued: &Issued) -> Result<Response, Refusal> {
    let person = Person::of(ctx, &issued.user)?;
    Ok(Json(Session::of(issued, &person, ctx.now)).into_response())
}

/// A session in its wrapping; `None`: an empty one.
pub(super) fn payload(ctx: &Ctx, issued: Option<&Issued>) -> Result<Response, Refusal> {
    let Some(issued) = issued else { return Ok(Json(SessionPayload { session: None }).into_response()) };
    let person = Person::of(ctx, &issued.user)?;
    let session = Some(Session::of(issued, &person, ctx.now));
    Ok(Json(SessionPayload { session }).into_response())
}
