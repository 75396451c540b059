//! Nhost Auth, for the npm package `@nhost/nhost-js` as it is: what needs neither a second factor nor somebody else's
//! server. Every other endpoint of the contract answers as it does there when it is switched off.
//!
//! | file | what it spells |
//! |---|---|
//! | `accounts` | sign-up and sign-in with a password, accounts without any credential and what becomes of them |
//! | `sessions` | token, token/verify, signout, personal access tokens |
//! | `user` | the signed-in account |
//! | `mails` | what sends mails; six digits; passwords forgotten and set |
//! | `verify`, `confirm` | following the link of a mail; the page that may stand before it |
//! | `service` | healthz, version, the key set |
//! | `disabled` | what waits for a later version |
//! | `input`, `fields` | the bearer; bodies, and the rules of their fields |
//! | `wire` | bodies of answers |
//! | `document` | the table of endpoints: routes, and what the OpenAPI document tells |
//! | `error` | every error |
//! | `limits` | which limits a request meets, by its path |
//! | `layer` | what all requests pass: limits, what may be said of accounts, what failed |
//!
//! Chosen where the contract leaves it open, and where the house's rules go before it (design, section 6):
//!
//! - A password is checked before the account's state is told: a wrong one says nothing of a disabled or unproved account.
//! - A refresh token presented again within the grace gives the same successor; later its session ends.
//! - An access token ends with its session: sign-out, a new password, disabling and deletion hold from the next request on.
//! - Each purpose has a ticket of its own: asking for one does not take another away. A ticket that proves an address
//!   works for 30 days whatever `verification.ttl` says of other secrets, the others and six digits for an hour.
//! - Who comes by a mail to an account whose address nobody has proved yet, other than by the link that asks for just that,
//!   takes it over: its password, sessions and keys of before die. A reset proves the address, too.
//! - Wrong digits are `invalid-otp`; after five an hour `otp-too-many-attempts`, whatever is sent meanwhile; they count in
//!   the lockout that all ways to sign in share.
//! - Where accounts are hidden (`conceal`), what sends mails answers `"OK"` for every address, after the same work.
//! - Following a link is for GET by a reader, or the button of our page: HEAD and what a browser fetches ahead use nothing up.
//! - Without a client URL, who asked for no page is sent on to this server. Without a list, too, nobody is sent anywhere
//!   else, unless `public_url` is on this machine: a session goes where a link leads, and anybody may ask for one.
//! - One client may have ten mails an hour sent to one address, all of them sixty, whatever `limits` says; then 429.
//! - `session.user` says the same everywhere, `isAnonymous` too.
//! - The 204 to OPTIONS says no `Content-Length`, which it may not (RFC 9110, section 8.6).
//! - Who is locked out gets 429 with `Retry-After` and no body, as who meets a limit.
//! - What a body says is looked at before anything else, how long its password is with it: that is told before sign-up
//!   being off.
//! - Where `verification.mode` is `lenient` and its secrets go by mail, a sign-up sends one and begins a session.
//! - `/signout` with an older refresh token of a session ends it; with a personal access token it revokes that.
//! - Personal access tokens end with whatever ends all sessions of their owner; one account has a hundred at most.
//! - What an account without any credential had of its own (name, language, metadata, roles) gives way to what it wishes
//!   when it gets one. Sign-in by link need not be on for that. Where accounts are hidden and a link would go out, an
//!   address that is taken is not told: the account loses its sessions as it would with another. Where new accounts wait
//!   for an operator, so does this one.
//! - A client makes 600 accounts without any credential in ten minutes at most.
//! - Callbacks of identity providers are switched off like the rest, without sending a browser anywhere: there is no state
//!   that could be good.

mod accounts;
mod confirm;
mod disabled;
mod document;
mod error;
mod fields;
mod input;
mod layer;
mod limits;
mod mails;
mod service;
mod sessions;
mod user;
mod verify;
mod wire;

use axum::Router;
use axum::response::Response;

use super::{Asked, Cors, CorsManner, Trouble};
use crate::auth::{Credential, ProjectSettings, Rules};
use crate::http::openapi;
pub use document::API;
pub use error::trouble;

/// The largest body taken, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// What scripts of other pages may send (contract 0).
pub const CORS: Cors = Cors { methods: "POST, GET", headers: None, manner: CorsManner::Open };

/// The endpoints, mounted at `path`.
pub fn routes(path: &str) -> Router {
    openapi::router(path, document::endpoints())
        .fallback(async || trouble(&Trouble::NotFound))
        .method_not_allowed_fallback(async || trouble(&Trouble::MethodNotAllowed))
        .layer(axum::middleware::from_fn(layer::pass))
}

/// What this dialect does its own way.
pub fn rules(_: &ProjectSettings) -> Rules {
    Rules {
        credential: Credential::Hasura,
        sign_up_signs_in: true,
        first_is_admin: false,
        tells_missing_password: false,
        unproved_gets_another: false,
        proves_by_ticket: true,
        same_password: true,
        // Counted by `limits`, over sliding windows.
        requests: None,
        changes: None,
    }
}

/// Adds to a reply, whoever made it, what all replies of the dialect have.
pub fn finish(_: &mut Response, _: &Asked<'_>) {}
