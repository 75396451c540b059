//! Following the link of a mail (contract 1.6): once, by a browser that is sent on to the app.
//!
//! Looking does nothing: HEAD, and requests that a browser makes ahead of its reader, get the page that asks for a press
//! of its button. Where the project wants that (`nhost.verify.confirm`), so does every GET.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{LOCATION, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::confirm;
use super::error::{self, Code, Refusal};
use super::input::Here;
use super::wire::{Refused, Wrong};
use super::{Trouble, error::code_of};
use crate::auth::follow::{self, Followed};
use crate::auth::redirect::{self, Redirect, Targets};
use crate::auth::{Ctx, Error, tickets};
use crate::crypto::Secret;
use crate::http::openapi::{Answer, Asks, Endpoint, Operation, Scope, text};
use crate::http::sheet;

/// What a link says; its `type` is not needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    ticket: Option<String>,
    redirect_to: Option<String>,
    code_challenge: Option<String>,
}

/// A link: as followed, or as sent by the button of the page it led to.
pub(super) struct Link {
    ticket: Secret<String>,
    redirect_to: String,
    code_challenge: Option<String>,
    headers: HeaderMap,
    /// Nobody has decided to follow it yet.
    only_looks: bool,
}

impl Link {
    fn of(fields: Fields, method: &Method, headers: HeaderMap) -> Result<Self, Refusal> {
        let missing = |name| Refusal::Parameter(format!("Query argument {name} is required, but not found"));
        let ticket = Secret::new(fields.ticket.unwrap_or_default());
        let redirect_to = fields.redirect_to.unwrap_or_default();
        match (ticket.expose().is_empty(), redirect_to.is_empty()) {
            (true, _) => return Err(missing("ticket")),
            (_, true) => return Err(missing("redirectTo")),
            _ => {}
        }
        let only_looks = *method == Method::HEAD || is_ahead(&headers);
        Ok(Self { ticket, redirect_to, code_challenge: fields.code_challenge, headers, only_looks })
    }
}

/// Whether a browser asks before its reader does (Fetch, `Sec-Purpose`; what came before it in Safari and Firefox).
fn is_ahead(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| {
        let all = headers.get_all(*name).into_iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split([';', ','])).any(|word| {
            ["prefetch", "prerender", "preview"].iter().any(|ahead| word.trim().eq_ignore_ascii_case(ahead))
        })
    })
}

/// A link that was followed.
pub(super) struct FollowedLink(Link);

impl<S: Send + Sync> FromRequestParts<S> for FollowedLink {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let read = || {
            let unreadable = |_| Refusal::Parameter("the query cannot be read".into());
            let Query(fields) = Query::<Fields>::try_from_uri(&parts.uri).map_err(unreadable)?;
            Link::of(fields, &parts.method, parts.headers.clone())
        };
        read().map(Self).map_err(IntoResponse::into_response)
    }
}

impl Asks for FollowedLink {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        operation.query_parameter("ticket", "The ticket.", text(1..=4096), true);
        operation.query_parameter("redirectTo", "Where to go on to.", text(1..=2048), true);
        operation.query_parameter("type", "Not looked at: the ticket says it.", text(0..=64), false);
        operation.query_parameter("codeChallenge", "What the code is bound to (RFC 7636).", text(43..=43), false);
        operation.answer(Answer::of::<Wrong>(400, "A parameter is missing or cannot be read."));
    }
}

/// A link whose page's button was pressed.
pub(super) struct PressedLink(Link);

impl<S: Send + Sync> FromRequest<S> for PressedLink {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Response> {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let fields = sheet::form::<Fields>(request).await.map_err(|status| match status {
            StatusCode::REQUEST_TIMEOUT => error::trouble(&Trouble::Slow),
            StatusCode::PAYLOAD_TOO_LARGE => error::trouble(&Trouble::TooLarge),
            _ => Code::InvalidRequest.reply(),
        })?;
        Link::of(fields, &method, headers).map(Self).map_err(IntoResponse::into_response)
    }
}

impl Asks for PressedLink {
    fn ask(operation: &mut Operation, _: &Scope<'_>) {
        operation.answer(Answer::of::<Wrong>(400, "A field is missing or cannot be read."));
        operation.answer(Answer::of::<Refused>(408, "The body did not come in time."));
        operation.answer(Answer::of::<Refused>(413, "The body is too large."));
    }
}

/// `GET verify`: 302 to the app; or the page.
pub(super) async fn verify(Here(ctx): Here, FollowedLink(link): FollowedLink) -> Result<Response, Refusal> {
    answer(ctx, link, false).await
}

/// `POST verify`, from the page: a page that goes on to the app.
pub(super) async fn press(Here(ctx): Here, PressedLink(link): PressedLink) -> Result<Response, Refusal> {
    answer(ctx, Link { only_looks: false, ..link }, true).await
}

async fn answer(mut ctx: Ctx, link: Link, pressed: bool) -> Result<Response, Refusal> {
    let onward = |ctx: &Ctx, url: &str| match pressed {
        true => confirm::onward(ctx, &link.headers, url),
        false => redirect_to(url),
    };
    let refused = |ctx: &Ctx, target: &Redirect, code| onward(ctx, &with_error(ctx, target, code));
    let targets = Targets::of(&ctx.settings);
    let target = match targets.admit(&link.redirect_to) {
        Ok(target) => target,
        Err(redirect::Refused::Malformed) => return Err(Code::InvalidRequest.into()),
        Err(redirect::Refused::NotAllowed) => {
            let client = targets.fallback().ok_or(Code::RedirectToNotAllowed)?;
            return Ok(refused(&ctx, &client, Code::RedirectToNotAllowed));
        }
    };
    let Some(kind) = tickets::kind_of(link.ticket.expose()) else {
        return Ok(refused(&ctx, &target, Code::InvalidTicket));
    };
    if !pressed && (link.only_looks || ctx.settings.nhost.verify.confirm) {
        let fields = [
            ("ticket", Some(link.ticket.expose().as_str())),
            ("redirectTo", Some(&link.redirect_to)),
            ("codeChallenge", link.code_challenge.as_deref()),
        ];
        return Ok(confirm::page(&ctx, &link.headers, kind, fields));
    }
    // A GET is not asked for it by `http`: elsewhere it begins no session.
    let agent = link.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    ctx.client.agent = agent.map(str::to_owned);
    match follow::follow(&ctx, link.ticket.expose(), link.code_challenge.as_deref()).await {
        Ok(Followed::In(issued)) => {
            let token = issued.refresh.as_ref().map_or("", |refresh| refresh.token.expose());
            Ok(onward(&ctx, &target.with_parameters([("refreshToken", token), ("type", kind.prefix())])))
        }
        Ok(Followed::Code(code)) => Ok(onward(&ctx, &target.with_parameters([("code", code.expose().as_str())]))),
        Err(error) => match code_of(&error) {
            // Nothing was used up: the same link may work a little later.
            None | Some(Code::InternalServerError) => Err(error.into()),
            Some(code) => Ok(refused(&ctx, &target, code)),
        },
    }
}

/// Sends the browser on with what went wrong, said as elsewhere.
pub(super) fn refused(ctx: &Ctx, target: &Redirect, code: Code) -> Response {
    redirect_to(&with_error(ctx, target, code))
}

fn with_error(ctx: &Ctx, target: &Redirect, code: Code) -> String {
    let code = code.concealed(ctx.settings.conceal);
    target.with_error(code.name(), code.message())
}

fn redirect_to(url: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(url) else {
        return Refusal::from(Error::Internal("a redirect that may not stand in a header".into())).into_response();
    };
    let mut reply = StatusCode::FOUND.into_response();
    sheet::never_kept(reply.headers_mut());
    reply.headers_mut().insert(LOCATION, location);
    reply
}

/// Their rows in the table of endpoints.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let description = "To `redirectTo`, with `refreshToken` and `type`, or with `code`, or with `error` and \
                       `errorDescription`; to the client URL where `redirectTo` is not allowed.";
    vec![
        Endpoint::get("/verify", "verifyTicket", verify)
            .summary("Follow the link of a mail")
            .description(
                "The ticket is used up, whatever comes of it. HEAD, and a browser that fetches ahead, use nothing up.",
            )
            .answer(Answer::page(200, "A page whose button follows the link, where the project wants one."))
            .answer(Answer::empty(302, description).with_header("location", "Where to.")),
        Endpoint::post("/verify", "pressVerify", press)
            .summary("What the button of that page does")
            .answer(Answer::page(200, "A page that goes on to where the link leads.")),
    ]
}
