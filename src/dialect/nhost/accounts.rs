//! Sign-up and sign-in with a password, and accounts that begin without one (contract 1.2, 1.3, 1.5).

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::{Code, Refusal};
use super::fields::Fields;
use super::input::{Body, BotToken, Form, Here, Session};
use super::sessions::payload;
use super::wire::Done;
use crate::auth::anonymous::{self, Deanonymize};
use crate::auth::sign_up::{self, SignUp, SignedUp};
use crate::auth::wishes::Wishes;
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

/// The body of `signin/anonymous`.
pub(super) struct AnonymousForm(Wishes);

impl Form for AnonymousForm {
    const NAME: &'static str = "SignInAnonymous";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self(Wishes {
            display_name: fields.display_name()?,
            locale: fields.locale()?,
            metadata: fields.metadata("metadata")?,
            ..Wishes::default()
        }))
    }
}

/// `POST signin/anonymous`: 200 with the session of a new account.
pub(super) async fn sign_in_anonymously(
    Here(ctx): Here,
    Body(AnonymousForm(wishes)): Body<AnonymousForm>,
) -> Result<Response, Refusal> {
    let issued = anonymous::sign_in(&ctx, wishes).await?;
    payload(&ctx, Some(&issued))
}

/// The body of `user/deanonymize`.
pub(super) struct DeanonymizeForm {
    by_password: bool,
    new: Deanonymize,
}

impl Form for DeanonymizeForm {
    const NAME: &'static str = "Deanonymize";

    fn read(fields: &mut Fields, settings: &ProjectSettings) -> Result<Self, Refusal> {
        let by_password = fields.choice("signInMethod", &[("email-password", true), ("passwordless", false)])?;
        let email = fields.email("email")?;
        let password = fields.optional_new_password("password", settings)?;
        // Taken, and meant nothing in the original either.
        fields.optional_text("connection")?;
        let wishes = fields.wishes()?;
        let code_challenge = fields.code_challenge()?;
        Ok(Self { by_password, new: Deanonymize { email, password, wishes, code_challenge } })
    }
}

/// `POST user/deanonymize`: 200.
pub(super) async fn deanonymize(
    Session(actor): Session,
    Here(ctx): Here,
    Body(DeanonymizeForm { by_password, mut new }): Body<DeanonymizeForm>,
) -> Result<Response, Refusal> {
    if !by_password {
        new.password = None;
    } else if new.password.is_none() {
        return Err(Code::InvalidRequest.into());
    }
    anonymous::deanonymize(&ctx, actor, new).await?;
    Ok(Json(Done::OK).into_response())
}
