//! Endpoints of the contract that wait for a later version: second factors, passkeys, messages to telephones, identity
//! providers, and being one (contract 1.2 to 1.5, 5). Each answers that it is switched off, as one does there.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::error::{Code, Refusal};
use super::input::{Here, Unread};
use super::verify::refused;
use super::wire::{OAuthRefused, Refused, Wrong};
use crate::auth::redirect::Targets;
use crate::http::openapi::{Answer, Asks, Endpoint, Operation, Scope, text};

/// The identity providers that the contract knows (section 5.1).
const PROVIDERS: [&str; 16] = [
    "apple",
    "github",
    "google",
    "linkedin",
    "discord",
    "spotify",
    "twitch",
    "gitlab",
    "bitbucket",
    "workos",
    "azuread",
    "entraid",
    "strava",
    "facebook",
    "windowslive",
    "twitter",
];

/// One of them, in the path.
pub(super) struct Provider;

impl<S: Send + Sync> FromRequestParts<S> for Provider {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        match name.is_ok_and(|Path(name)| PROVIDERS.contains(&name.as_str())) {
            true => Ok(Self),
            false => Err(Refusal::Parameter("provider: value is not one of the allowed values".into()).into_response()),
        }
    }
}

impl Asks for Provider {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(PROVIDERS));
        operation.path_parameter("provider", "The identity provider.", name.build());
        operation.answer(Answer::of::<Wrong>(400, "There is no such provider, or a parameter cannot be read."));
    }
}

/// What is looked at of the query of a sign-in by a provider.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start {
    redirect_to: Option<String>,
}

/// That query, read.
pub(super) struct Started(Start);

impl<S: Send + Sync> FromRequestParts<S> for Started {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let unreadable = |_: QueryRejection| Refusal::Parameter("the query cannot be read".into()).into_response();
        Query::<Start>::try_from_uri(&parts.uri).map(|Query(start)| Self(start)).map_err(unreadable)
    }
}

impl Asks for Started {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        operation.query_parameter("redirectTo", "Where to go on to.", text(0..=2048), false);
    }
}

/// Whatever was asked for.
pub(super) async fn disabled(_: Unread) -> Response {
    Code::DisabledEndpoint.reply()
}

/// The same, of a provider.
async fn disabled_provider(_: Provider, _: Unread) -> Response {
    Code::DisabledEndpoint.reply()
}

/// `GET signin/provider/{provider}`: a page that is allowed is told (contract 5.1); without one, who asked.
async fn start(_: Provider, Started(start): Started, Here(ctx): Here) -> Result<Response, Refusal> {
    match Targets::of(&ctx.settings).choose(start.redirect_to.as_deref()) {
        Ok(Some(target)) => Ok(refused(&ctx, &target, Code::DisabledEndpoint)),
        Ok(None) => Err(Code::DisabledEndpoint.into()),
        Err(_) => Err(Code::RedirectToNotAllowed.into()),
    }
}

/// An endpoint of the OAuth 2 provider.
async fn oauth(_: Unread) -> Response {
    let body = OAuthRefused { error: "server_error", error_description: "OAuth2 provider is disabled" };
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

/// An endpoint that its login page calls.
async fn oauth_login(_: Unread) -> Response {
    let (error, message) = (Code::DisabledEndpoint.name(), Code::DisabledEndpoint.message());
    (StatusCode::BAD_REQUEST, Json(Refused { status: 400, message, error })).into_response()
}

/// Their rows in the table of endpoints.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let off = || Answer::of::<Refused>(409, "It is switched off (`disabled-endpoint`).");
    let later = |endpoint: Endpoint| endpoint.summary("Not in this version");
    let mut all: Vec<Endpoint> =
        POSTS.iter().map(|(path, id)| later(Endpoint::post(path, id, disabled)).answer(off())).collect();
    all.push(later(Endpoint::get("/mfa/totp/generate", "changeUserMfa", disabled)).answer(off()));
    let onward = || Answer::empty(302, "To `redirectTo`, with the same error.").with_header("location", "Where to.");
    let wrong = || Answer::of::<Refused>(400, "Nobody is sent on to `redirectTo`.");
    let begin = |path, id| later(Endpoint::get(path, id, start)).answer(onward()).answer(wrong()).answer(off());
    all.push(begin("/signup/provider/{provider}", "signUpProvider"));
    all.push(begin("/signin/provider/{provider}", "signInProvider"));
    const CALLBACK: &str = "/signin/provider/{provider}/callback";
    all.extend(
        [
            Endpoint::get(CALLBACK, "signInProviderCallback", disabled_provider),
            Endpoint::post(CALLBACK, "signInProviderCallbackPost", disabled_provider),
            Endpoint::get("/signin/provider/{provider}/callback/tokens", "getProviderTokens", disabled_provider),
            Endpoint::post("/token/provider/{provider}", "refreshProviderToken", disabled_provider),
        ]
        .map(|endpoint| later(endpoint).answer(off())),
    );
    let gets = OAUTH_GETS.iter().map(|(path, id)| Endpoint::get(path, id, oauth));
    let posts = OAUTH_POSTS.iter().map(|(path, id)| Endpoint::post(path, id, oauth));
    let refused = || Answer::of::<OAuthRefused>(500, "It is switched off (`server_error`).");
    all.extend(gets.chain(posts).map(|endpoint| later(endpoint).answer(refused())));
    let refused = || Answer::of::<Refused>(400, "It is switched off (`disabled-endpoint`).");
    all.push(later(Endpoint::get("/oauth2/login", "oauth2LoginGet", oauth_login)).answer(refused()));
    all.push(later(Endpoint::post("/oauth2/login", "oauth2LoginPost", oauth_login)).answer(refused()));
    all
}

const POSTS: [(&str, &str); 16] = [
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
    ("/user/mfa", "verifyChangeUserMfa"),
    ("/user/webauthn/add", "addSecurityKey"),
    ("/user/webauthn/verify", "verifyAddSecurityKey"),
    ("/link/idtoken", "linkIdToken"),
    ("/elevate/webauthn", "elevateWebauthn"),
    ("/elevate/webauthn/verify", "verifyElevateWebauthn"),
];

const OAUTH_GETS: [(&str, &str); 5] = [
    ("/.well-known/openid-configuration", "getOpenIDConfiguration"),
    ("/.well-known/oauth-authorization-server", "getOAuthAuthorizationServer"),
    ("/oauth2/jwks", "oauth2Jwks"),
    ("/oauth2/authorize", "oauth2Authorize"),
    ("/oauth2/userinfo", "oauth2UserinfoGet"),
];

const OAUTH_POSTS: [(&str, &str); 5] = [
    ("/oauth2/authorize", "oauth2AuthorizePost"),
    ("/oauth2/userinfo", "oauth2UserinfoPost"),
    ("/oauth2/token", "oauth2Token"),
    ("/oauth2/revoke", "oauth2Revoke"),
    ("/oauth2/introspect", "oauth2Introspect"),
];
