//! The cookie `nora_auth` (contract 4), attribute by attribute as the original's framework writes it.

use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::Response;

use crate::auth::Ctx;

pub(super) const NAME: &str = "nora_auth";

/// Sets the cookie to a session's token. Its time begins now, also where the token's began earlier.
pub(super) fn set(reply: &mut Response, ctx: &Ctx, token: &str) {
    let ttl = ctx.settings.nora.token_ttl;
    let expires = ctx.now.plus(ttl).http_date();
    write(reply, ctx, &format!("{NAME}={token}; Max-Age={}; Path=/; Expires={expires}", ttl.as_secs()));
}

/// Takes the cookie away.
pub(super) fn clear(reply: &mut Response, ctx: &Ctx) {
    write(reply, ctx, &format!("{NAME}=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
}

fn write(reply: &mut Response, ctx: &Ctx, begun: &str) {
    let secure = if ctx.client.secure || ctx.settings.nora.force_secure_cookies { "; Secure" } else { "" };
    let text = format!("{begun}; HttpOnly{secure}; SameSite=Lax");
    let mut value = HeaderValue::try_from(text).expect("a token and a date are visible ASCII");
    value.set_sensitive(true);
    reply.headers_mut().insert(SET_COOKIE, value);
}
