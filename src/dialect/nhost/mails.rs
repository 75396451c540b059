//! What sends mails, and what the six digits in one are good for (contract 1.2, 1.3, 1.5): addresses proved and changed,
//! sign-in and sign-up without a password, forgotten passwords.

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::fields::Fields;
use super::input::{Body, BotToken, Elevated, Form, Here, Perhaps};
use super::sessions::payload;
use super::wire::{Done, Refused, SessionPayload};
use crate::auth::mailed::{self, Asked, Brings};
use crate::auth::tickets::Onward;
use crate::auth::wishes::Wishes;
use crate::auth::{Email, ProjectSettings, address, digits, follow, reset};
use crate::crypto::Secret;
use crate::http::openapi::{Answer, Endpoint};

/// A body of an address and where its mail leads.
pub(super) struct AddressForm {
    email: Email,
    onward: Onward,
}

impl Form for AddressForm {
    const NAME: &'static str = "EmailAndOptions";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { email: fields.email("email")?, onward: onward(fields)? })
    }
}

fn onward(fields: &mut Fields) -> Result<Onward, Refusal> {
    Ok(Onward { redirect_to: fields.redirect_option()?, code_challenge: fields.code_challenge()? })
}

fn done() -> Response {
    Json(Done::OK).into_response()
}

/// `POST user/email/send-verification-email`.
async fn send_verification(Here(ctx): Here, Body(form): Body<AddressForm>) -> Result<Response, Refusal> {
    address::send_verification(&ctx, form.email, form.onward).await?;
    Ok(done())
}

/// The body of `user/email/change`.
pub(super) struct ChangeForm {
    email: Email,
    onward: Onward,
}

impl Form for ChangeForm {
    const NAME: &'static str = "NewEmail";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { email: fields.email("newEmail")?, onward: onward(fields)? })
    }
}

/// `POST user/email/change`.
async fn change_email(
    Elevated(actor): Elevated,
    Here(ctx): Here,
    Body(form): Body<ChangeForm>,
) -> Result<Response, Refusal> {
    address::change(&ctx, actor, form.email, form.onward).await?;
    Ok(done())
}

/// `POST user/password/reset`.
async fn forgot_password(
    Here(ctx): Here,
    BotToken(bot_token): BotToken,
    Body(form): Body<AddressForm>,
) -> Result<Response, Refusal> {
    reset::ask(&ctx, form.email, form.onward, bot_token.as_deref()).await?;
    Ok(done())
}

/// The body of `user/password`.
pub(super) struct PasswordForm {
    new: Secret<String>,
    ticket: Option<Secret<String>>,
}

impl Form for PasswordForm {
    const NAME: &'static str = "NewPassword";

    fn read(fields: &mut Fields, settings: &ProjectSettings) -> Result<Self, Refusal> {
        let new = fields.new_password("newPassword", settings)?;
        let ticket = fields.optional_text("ticket")?.map(Secret::new);
        match &ticket {
            Some(ticket) if !ticket.expose().starts_with("passwordReset:") => {
                Err(Refusal::Schema("ticket: does not match ^passwordReset:.*$".into()))
            }
            _ => Ok(Self { new, ticket }),
        }
    }
}

/// `POST user/password`: the bearer's, else that of the account whose ticket it is.
async fn set_password(
    Here(ctx): Here,
    Perhaps(bearer): Perhaps,
    Body(form): Body<PasswordForm>,
) -> Result<Response, Refusal> {
    match (bearer, form.ticket) {
        (Some(actor), _) => reset::set(&ctx, actor, form.new).await?,
        (None, Some(ticket)) => reset::with_ticket(&ctx, ticket.expose(), form.new).await?,
        (None, None) => return Err(super::error::Code::InvalidRequest.into()),
    }
    Ok(done())
}

/// The body of `signin/passwordless/email` and `signup/passwordless/email`.
pub(super) struct LinkForm {
    email: Email,
    wishes: Wishes,
    code_challenge: Option<String>,
}

impl Form for LinkForm {
    const NAME: &'static str = "PasswordlessEmail";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { email: fields.email("email")?, wishes: fields.wishes()?, code_challenge: fields.code_challenge()? })
    }
}

impl LinkForm {
    fn asked(self, bot_token: Option<String>) -> Asked {
        let Self { email, wishes, code_challenge } = self;
        Asked { brings: Brings::Link, email, wishes, code_challenge, bot_token }
    }
}

/// `POST signin/passwordless/email`.
async fn sign_in_by_link(
    Here(ctx): Here,
    BotToken(bot_token): BotToken,
    Body(form): Body<LinkForm>,
) -> Result<Response, Refusal> {
    mailed::sign_in(&ctx, form.asked(bot_token)).await?;
    Ok(done())
}

/// `POST signup/passwordless/email`.
async fn sign_up_by_link(
    Here(ctx): Here,
    BotToken(bot_token): BotToken,
    Body(form): Body<LinkForm>,
) -> Result<Response, Refusal> {
    mailed::sign_up(&ctx, form.asked(bot_token)).await?;
    Ok(done())
}

/// The body of `signin/otp/email` and `signup/otp/email`.
pub(super) struct DigitsForm {
    email: Email,
    wishes: Wishes,
}

impl Form for DigitsForm {
    const NAME: &'static str = "OtpEmail";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { email: fields.email("email")?, wishes: fields.wishes()? })
    }
}

impl DigitsForm {
    fn asked(self, bot_token: Option<String>) -> Asked {
        let Self { email, wishes } = self;
        Asked { brings: Brings::Digits, email, wishes, code_challenge: None, bot_token }
    }
}

/// `POST signin/otp/email`.
async fn sign_in_by_digits(
    Here(ctx): Here,
    BotToken(bot_token): BotToken,
    Body(form): Body<DigitsForm>,
) -> Result<Response, Refusal> {
    mailed::sign_in(&ctx, form.asked(bot_token)).await?;
    Ok(done())
}

/// `POST signup/otp/email`.
async fn sign_up_by_digits(
    Here(ctx): Here,
    BotToken(bot_token): BotToken,
    Body(form): Body<DigitsForm>,
) -> Result<Response, Refusal> {
    mailed::sign_up(&ctx, form.asked(bot_token)).await?;
    Ok(done())
}

/// The body of `signin/otp/email/verify`.
pub(super) struct TypedForm {
    email: Email,
    otp: Secret<String>,
}

impl Form for TypedForm {
    const NAME: &'static str = "OtpEmailVerify";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { email: fields.email("email")?, otp: Secret::new(fields.text("otp")?) })
    }
}

/// `POST signin/otp/email/verify`: 200 with a session.
async fn verify_digits(Here(ctx): Here, Body(form): Body<TypedForm>) -> Result<Response, Refusal> {
    let issued = digits::sign_in(&ctx, form.email, &form.otp).await?;
    payload(&ctx, Some(&issued))
}

/// The body of `token/exchange`.
pub(super) struct ExchangeForm {
    code: Secret<String>,
    verifier: Secret<String>,
}

impl Form for ExchangeForm {
    const NAME: &'static str = "TokenExchange";

    fn read(fields: &mut Fields, _: &ProjectSettings) -> Result<Self, Refusal> {
        Ok(Self { code: Secret::new(fields.text("code")?), verifier: Secret::new(fields.text("codeVerifier")?) })
    }
}

/// `POST token/exchange`: 200 with a session.
async fn exchange(Here(ctx): Here, Body(form): Body<ExchangeForm>) -> Result<Response, Refusal> {
    let issued = follow::exchange(&ctx, &form.code, &form.verifier).await?;
    payload(&ctx, Some(&issued))
}

/// Their rows in the table of endpoints.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let sent = || Answer::of::<Done>(200, "The mail is on its way, where one is sent: the answer does not say.");
    let wishes = || Answer::of::<Refused>(400, "A wish that is not granted, or a page nobody is sent on to.");
    let taken = || Answer::of::<Refused>(409, "The address has an account (`user-already-exists`).");
    let account = || Answer::of::<Refused>(401, "The address is not admitted, or the account may not be used.");
    let off = || Answer::of::<Refused>(409, "It is switched off (`disabled-endpoint`).");
    let nobody_new = || Answer::of::<Refused>(403, "Sign-up is off (`signup-disabled`), or the account is anonymous.");
    let session = || Answer::of::<SessionPayload>(200, "Signed in.");
    vec![
        Endpoint::post("/signup/passwordless/email", "signUpPasswordlessEmail", sign_up_by_link)
            .summary("Make an account and send a link that signs in")
            .answer(sent())
            .answer(wishes())
            .answer(account())
            .answer(nobody_new())
            .answer(taken())
            .answer(off()),
        Endpoint::post("/signup/otp/email", "signUpOTPEmail", sign_up_by_digits)
            .summary("Make an account and send six digits that sign in")
            .answer(sent())
            .answer(wishes())
            .answer(account())
            .answer(nobody_new())
            .answer(taken())
            .answer(off()),
        Endpoint::post("/signin/passwordless/email", "signInPasswordlessEmail", sign_in_by_link)
            .summary("Send a link that signs in")
            .description("An unknown address gets an account, where the project wants that. The link works once, for an hour.")
            .answer(sent())
            .answer(wishes())
            .answer(account())
            .answer(nobody_new())
            .answer(off()),
        Endpoint::post("/signin/otp/email", "signInOTPEmail", sign_in_by_digits)
            .summary("Send six digits that sign in")
            .description("An unknown address gets an account, where the project wants that. They work once, for an hour.")
            .answer(sent())
            .answer(wishes())
            .answer(account())
            .answer(nobody_new())
            .answer(off()),
        Endpoint::post("/signin/otp/email/verify", "verifySignInOTPEmail", verify_digits)
            .summary("Sign in with six digits")
            .description("After five wrong ones within an hour no more are looked at, whatever is sent meanwhile.")
            .answer(session())
            .answer(Answer::of::<Refused>(400, "They are wrong (`invalid-otp`), or too many were (`otp-too-many-attempts`)."))
            .answer(account())
            .answer(Answer::of::<Refused>(403, "The account is anonymous (`forbidden-anonymous`)."))
            .answer(off()),
        Endpoint::post("/token/exchange", "tokenExchange", exchange)
            .summary("Exchange the code of a link for a session (RFC 7636)")
            .description("The code works once, for five minutes, also where the verifier is wrong.")
            .answer(session())
            .answer(Answer::of::<Refused>(400, "Code or verifier is wrong (`invalid-request`)."))
            .answer(account())
            .answer(Answer::of::<Refused>(403, "The account is anonymous (`forbidden-anonymous`).")),
        Endpoint::post("/user/email/send-verification-email", "sendVerificationEmail", send_verification)
            .summary("Send a link that proves an address")
            .answer(sent())
            .answer(Answer::of::<Refused>(400, "It is proved already, or a page nobody is sent on to."))
            .answer(account())
            .answer(Answer::of::<Refused>(403, "The account is anonymous (`forbidden-anonymous`).")),
        Endpoint::post("/user/email/change", "changeUserEmail", change_email)
            .summary("Send a link to another address, which gives it to the account")
            .description("Until the link is followed nothing changes.")
            .answer(sent())
            .answer(Answer::of::<Refused>(400, "A page nobody is sent on to."))
            .answer(account())
            .answer(taken()),
        Endpoint::post("/user/password/reset", "sendPasswordResetEmail", forgot_password)
            .summary("Send a link for a new password")
            .answer(sent())
            .answer(Answer::of::<Refused>(400, "A page nobody is sent on to.")),
        Endpoint::post("/user/password", "changeUserPassword", set_password)
            .summary("Set a password")
            .description(
                "That of the bearer's account, whose other sessions end; else that of the account whose ticket it is, which \
                 is used up: all its sessions end.",
            )
            .answer(Answer::of::<Done>(200, "It is set."))
            .answer(Answer::of::<Refused>(400, "Neither bearer nor ticket, or a password that is not taken."))
            .answer(Answer::of::<Refused>(401, "The ticket is wrong or used, or the account may not be used."))
            .answer(Answer::of::<Refused>(403, "The account is anonymous (`forbidden-anonymous`).")),
    ]
}
