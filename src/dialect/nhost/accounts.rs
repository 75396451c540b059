//! Sign-up and sign-in with a password (contract 1.2, 1.3).

use axum::response::Response;

use super::error::Refusal;
use super::fields::Fields;
use super::input::{Body, BotToken, Form, Here};
use super::sessions::payload;
use crate::auth::sign_up::{self, SignUp, SignedUp};
use crate::auth::{Email, Error, ProjectSettings, sign_in};
use crate::crypto::Secret;

/// The body of `signup/email-password`.
pub(super) struct SignUpForm(SignUp);

impl Form for SignUpForm {
    const NAME: &'static str = "SignUpEmailPassword";

    fn read(fields: &mut Fields, settings: &ProjectSettings) -> Result<Self, Refusal> {
        let email = fields.email("email")?;
        let password = fields.new_password("password", settings)?;
        let wishes = fields.wishes()?;
        let code_challenge = fields.code_challenge()?;
        Ok(Self(SignUp { wishes, code_challenge, ..SignUp::new(email, password) }))
    }
}

/// `POST signup/email-password`: 200 with a session, or without one where the address must be proved first.
pub(super) async fn sign_up(
    Here(ctx): Here,
    BotToken(bot_token): BotToken,
    Body(SignUpForm(new)): Body<SignUpForm>,
) -> Result<Response, Refusal> {
    match sign_up::sign_up(&ctx, SignUp { bot_token, ..new }).await? {
        SignedUp::In(issued) => payload(&ctx, Some(&issued)),
        SignedUp::MustVerify(_) => payload(&ctx, None),
        // Never: `rules` say that a sign-up signs in.
        SignedUp::Made(_) => Err(Error::Internal("a sign-up began no session".into()).into()),
    }
}

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
