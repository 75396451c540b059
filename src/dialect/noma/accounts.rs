//! Sign-up and sign-in (contract 3.1 to 3.3).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::input::{Body, Fields, Form, FormRules, Here};
use super::wire::{TokenPayload, VerificationRequired};
use crate::auth::sign_up::{self, SignUp, SignedUp};
use crate::auth::wishes::Wishes;
use crate::auth::{Email, Error, sign_in};
use crate::crypto::Secret;

/// The body of `signup`.
pub(super) struct SignUpForm(SignUp);

impl Form for SignUpForm {
    const NAME: &'static str = "SignUp";

    fn read(fields: &mut Fields, rules: &FormRules<'_>) -> Option<Self> {
        let email = fields.email("email");
        let password = fields.new_password("password", rules.settings.password.min_length);
        let display_name = fields.optional_text("display_name");
        let bot_token = fields.optional_token("bot_protection_token");
        let wishes = Wishes { display_name, ..Wishes::default() };
        Some(Self(SignUp { wishes, bot_token, ..SignUp::new(email?, password?) }))
    }
}

/// `POST signup`: 201 with tokens, 202 where the address must be proved first.
pub(super) async fn sign_up(Here(ctx): Here, Body(SignUpForm(new)): Body<SignUpForm>) -> Result<Response, Refusal> {
    match sign_up::sign_up(&ctx, new).await.map_err(|error| Refusal::from(error).noted(&ctx))? {
        SignedUp::In(issued) => Ok((StatusCode::CREATED, Json(TokenPayload::of(&issued))).into_response()),
        // Never: `rules` say that a sign-up signs in.
        SignedUp::Made(_) => Err(Error::Internal("a sign-up began no session".into()).into()),
        SignedUp::MustVerify(unverified) => {
            Ok((StatusCode::ACCEPTED, Json(VerificationRequired::of(&unverified))).into_response())
        }
    }
}

/// The body of `login`.
pub(super) struct SignInForm {
    email: Email,
    password: Secret<String>,
}

impl Form for SignInForm {
    const NAME: &'static str = "SignIn";

    fn read(fields: &mut Fields, _: &FormRules<'_>) -> Option<Self> {
        let email = fields.email("email");
        let password = fields.password("password");
        Some(Self { email: email?, password: password? })
    }
}

/// `POST login`: 200 with tokens.
pub(super) async fn sign_in(Here(ctx): Here, Body(form): Body<SignInForm>) -> Result<Response, Refusal> {
    let issued = sign_in::with_password(&ctx, form.email, form.password)
        .await
        .map_err(|error| Refusal::from(error).noted(&ctx))?;
    Ok(Json(TokenPayload::of(&issued)).into_response())
}

/// The body of `login/social`.
pub(super) struct SocialForm;

impl Form for SocialForm {
    const NAME: &'static str = "SocialSignIn";

    fn read(fields: &mut Fields, _: &FormRules<'_>) -> Option<Self> {
        fields.text("provider");
        fields.token("id_token", 1);
        fields.optional_text("nonce");
        Some(Self)
    }
}

/// `POST login/social`: no provider can be enabled yet, so each is an unknown one.
pub(super) async fn sign_in_social(_: Here, _: Body<SocialForm>) -> Result<Response, Refusal> {
    Err(Error::UnknownProvider.into())
}
