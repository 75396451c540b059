//! The account as its owner sees and changes it (contract 3.4, 3.5).

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::input::{self, Body, Form, Here, SignedIn};
use super::wire::{Me, Profile};
use crate::auth::profile::{self, Changes};
use crate::http::openapi::{self, BodyFields, Scope};

/// `GET me`: 200 with the account as stored now.
pub(super) async fn me(SignedIn(actor): SignedIn, Here(ctx): Here) -> Result<Response, Refusal> {
    let avatar = profile::avatar(&ctx, &actor.user).map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Me::of(&actor.user, avatar.as_deref())).into_response())
}

/// The body of `profile`.
pub(super) struct ProfileForm;

impl Form for ProfileForm {
    const NAME: &'static str = "ChangeProfile";

    fn tell(fields: &mut BodyFields, _: &Scope<'_>) {
        fields.optional("name", openapi::text(1..=input::MAX_NAME));
        fields.optional("avatar", openapi::nullable(openapi::text(0..=input::MAX_AVATAR)));
        fields.optional("preferredLocale", openapi::nullable(input::locale()));
    }
}

/// `PATCH profile`: 200 with name, picture and language, whatever was sent; all of it changes or nothing.
pub(super) async fn change(
    SignedIn(actor): SignedIn,
    Here(ctx): Here,
    Body { mut fields, .. }: Body<ProfileForm>,
) -> Result<Response, Refusal> {
    let changes = Changes { display_name: fields.name()?, avatar: fields.avatar()?, locale: fields.locale()? };
    if changes.display_name.is_none() && changes.avatar.is_none() && changes.locale.is_none() {
        return Err(Refusal::bad("No fields to update"));
    }
    let changed = profile::change(&ctx, actor, changes).await;
    let (user, avatar) = changed.map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(Profile::of(&user, avatar.as_deref())).into_response())
}
