//! Endpoints of the contract that wait for a later version: each answers that it is switched off, as the original does
//! where a feature is.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;

use super::error::Code;
use super::input::Unread;
use super::wire::Refused;
use crate::http::openapi::{Answer, Asks, Endpoint, Operation, Scope, text};

/// Second factors, passkeys, messages to telephones, providers; what they take is not read.
const POST: [(&str, &str); 16] = [
    ("/signup/webauthn", "signUpWebauthn"),
    ("/signup/webauthn/verify", "verifySignUpWebauthn"),
    ("/signup/passwordless/sms", "signUpPasswordlessSms"),
    ("/signup/idtoken", "signUpIdToken"),
    ("/signin/mfa/totp", "verifySignInMfaTotp"),
    ("/signin/passwordless/sms", "signInPasswordlessSms"),
    ("/signin/passwordless/sms/otp", "verifySignInPasswordlessSms"),
    ("/signin/webauthn", "signInWebauthn"),
    ("/signin/webauthn/verify", "verifySignInWebauthn"),
    ("/signin/idtoken", "signInIdToken"),
    ("/link/idtoken", "linkIdToken"),
    ("/user/mfa", "verifyChangeUserMfa"),
    ("/user/webauthn/add", "addSecurityKey"),
    ("/user/webauthn/verify", "verifyAddSecurityKey"),
    ("/elevate/webauthn", "elevateWebauthn"),
    ("/elevate/webauthn/verify", "verifyElevateWebauthn"),
];

/// All of them.
pub(super) fn endpoints() -> impl Iterator<Item = Endpoint> {
    let post = POST.into_iter().map(|(path, id)| Endpoint::post(path, id, disabled));
    let get = Endpoint::get("/mfa/totp/generate", "changeUserMfa", disabled);
    let provider = Endpoint::post("/token/provider/{provider}", "refreshProviderToken", of_provider);
    post.chain([get, provider]).map(|endpoint| {
        endpoint
            .summary("Not in this version")
            .answer(Answer::of::<Refused>(409, "It is switched off (`disabled-endpoint`)."))
    })
}

async fn disabled(_: Unread) -> Response {
    Code::DisabledEndpoint.reply()
}

async fn of_provider(_: Provider, unread: Unread) -> Response {
    disabled(unread).await
}

/// The provider that the path names: none is known.
struct Provider;

impl<S: Send + Sync> FromRequestParts<S> for Provider {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl Asks for Provider {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        operation.path_parameter("provider", "The provider's name.", text(1..=64));
    }
}
