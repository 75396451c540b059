//! Sign-up and sign-in (contract 3.1, 3.2, 3.7).

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::input::{Body, Fields, Form, Here};
use super::wire::{Made, Token};
use super::{cookie, input, reply};
use crate::auth::limits::{self, Limiter, Standing};
use crate::auth::sign_up::{self, SignUp, SignedUp};
use crate::auth::{Ctx, Error, sign_in};
use crate::http::openapi::{self, BodyFields, Scope};

/// The body of `signup`.
pub(super) struct SignUpForm;

impl Form for SignUpForm {
    const NAME: &'static str = "SignUp";

    fn tell(fields: &mut BodyFields, scope: &Scope<'_>) {
        fields.required("email", openapi::email(input::MAX_EMAIL));
        fields.required("password", input::new_password(scope));
        for name in input::BOT_TOKENS {
            fields.optional(name, openapi::text(0..=input::MAX_BOT_TOKEN));
        }
    }
}

/// `POST signup`: 200 with the account; no session.
pub(super) async fn sign_up(Here(ctx): Here, body: Body<SignUpForm>) -> Response {
    let mut passed = None;
    let done = signed_up(&ctx, body.fields, &mut passed).await;
    limited(&ctx, done, passed)
}

/// Open, limits, fields, challenge, account: in this order (contract 3.1).
async fn signed_up(ctx: &Ctx, mut fields: Fields, passed: &mut Option<Standing>) -> Result<Response, Refusal> {
    sign_up::open(ctx)?;
    let limits = &ctx.settings.nora.limits;
    for (limiter, limit) in [(Limiter::SignUpBurst, limits.signup_burst), (Limiter::SignUpDaily, limits.signup_daily)] {
        *passed = limits::count(ctx, limiter, limit).await.map_err(could_not(ctx))?.or(*passed);
    }
    let email = fields.new_email()?;
    let password = fields.new_password("password", ctx.settings.password.min_length)?;
    let new = SignUp { bot_token: fields.bot_token(), ..SignUp::new(email, password) };
    let user = match sign_up::sign_up(ctx, new).await.map_err(could_not(ctx))? {
        SignedUp::Made(user) => *user,
        SignedUp::MustVerify(unverified) => unverified.user,
        // Never: `rules` say that a sign-up begins no session.
        SignedUp::In(issued) => issued.user,
    };
    Ok(Json(Made::of(&user)).into_response())
}

/// What failed has a text of its own here; the log has the reason, which nobody can log afterwards.
fn could_not(ctx: &Ctx) -> impl Fn(Error) -> Refusal {
    |error| match error {
        Error::Store(_) | Error::Internal(_) => {
            Refusal::from(error).noted(ctx);
            Refusal::Rule(StatusCode::INTERNAL_SERVER_ERROR, "Could not create account".to_owned(), None)
        }
        other => other.into(),
    }
}

/// The body of `login`.
pub(super) struct SignInForm;

impl Form for SignInForm {
    const NAME: &'static str = "SignIn";

    fn tell(fields: &mut BodyFields, _: &Scope<'_>) {
        // No rules of form: what cannot be anybody's is a wrong one.
        fields.required("email", openapi::text(1..=input::MAX_EMAIL));
        fields.required("password", openapi::text(1..=input::MAX_PASSWORD));
    }
}

/// `POST login`: 200 with the token, and the cookie.
pub(super) async fn sign_in(Here(ctx): Here, body: Body<SignInForm>) -> Response {
    let mut passed = None;
    let done = signed_in(&ctx, body.fields, &mut passed).await;
    limited(&ctx, done, passed)
}

async fn signed_in(ctx: &Ctx, mut fields: Fields, passed: &mut Option<Standing>) -> Result<Response, Refusal> {
    *passed = limits::count(ctx, Limiter::SignIn, ctx.settings.nora.limits.login).await?;
    let (email, password) = fields.credentials()?;
    // What is no address is nobody's.
    let email = email.ok_or(Error::InvalidCredentials)?;
    let issued = sign_in::with_password(ctx, email, password).await?;
    let token = issued.access_token.expose();
    let mut reply = Json(Token { token }).into_response();
    cookie::set(&mut reply, ctx, token);
    Ok(reply)
}

/// The body of `oauth-login` (contract 3.7).
pub(super) struct ProviderForm;

impl Form for ProviderForm {
    const NAME: &'static str = "SignInWithProvider";

    fn tell(fields: &mut BodyFields, _: &Scope<'_>) {
        for name in ["provider", "oauthAccessToken", "oauthIdToken", "email", "providerId", "name"] {
            fields.optional(name, openapi::text(0..=input::MAX_BOT_TOKEN));
        }
    }
}

/// `POST oauth-login`: no provider can be enabled yet; it counts as an attempt to sign in all the same.
pub(super) async fn sign_in_with_provider(Here(ctx): Here, _: Body<ProviderForm>) -> Response {
    match limits::count(&ctx, Limiter::SignIn, ctx.settings.nora.limits.login).await {
        Ok(passed) => {
            let disabled = Refusal::Rule(StatusCode::FORBIDDEN, "OAuth login is disabled".to_owned(), None);
            limited(&ctx, Err(disabled), passed)
        }
        Err(error) => limited(&ctx, Err(error.into()), None),
    }
}

/// The reply, with where the client stands under the last limiter it passed.
fn limited(ctx: &Ctx, done: Result<Response, Refusal>, passed: Option<Standing>) -> Response {
    let reply = done.unwrap_or_else(|refusal| refusal.noted(ctx).into_response());
    match &passed {
        Some(standing) => reply::show(reply, standing),
        None => reply,
    }
}
