//! Sign-up and sign-in with a password (contract 1.2, 1.3).

use axum::response::Response;

use super::error::Refusal;
use super::fields::Fields;
use super::input::{Body, Form, Here};
use super::sessions::payload;
use crate::auth::{Email, ProjectSettings, sign_in};
use crate::crypto::Secret;

/// The body of `signin/email-password`.
pub(super) struct SignInForm {
    email: Email,
    password: Secret<String>,
}

impl Form for SignInForm {
    const NAME: &'static str = "SignInEmailPassword";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { email: fields.email("email")?, password: fields.password("password")? })
    }
}

/// `POST signin/email-password`: 200 with a session.
pub(super) async fn sign_in(Here(ctx): Here, Body(form): Body<SignInForm>) -> Result<Response, Refusal> {
    let issued = sign_in::with_password(&ctx, form.email, form.password).await?;
    payload(&ctx, Some(&issued))
}
