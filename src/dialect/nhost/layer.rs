//! What every request passes on its way to a handler and back: its limits, what may be said of accounts, and what failed is
//! logged.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::error::{Code, Fault, trouble};
use super::{Trouble, limits};
use crate::auth::Ctx;

/// Passes a request on, and looks at its reply.
pub(super) async fn pass(request: Request, next: Next) -> Response {
    let Some(ctx) = request.extensions().get::<Ctx>().cloned() else { return next.run(request).await };
    if let Err(standing) = limits::count(&ctx, request.uri().path()) {
        return trouble(&Trouble::TooManyRequests(standing));
    }
    let mut reply = next.run(request).await;
    if let Some(Fault(error)) = reply.extensions_mut().remove::<Fault>() {
        tracing::error!(request = %ctx.request_id, project = %ctx.project.record().slug, %error, "request failed");
    }
    if let Some(code) = reply.extensions_mut().remove::<Code>() {
        let concealed = code.concealed(ctx.settings.conceal);
        if concealed != code {
            return concealed.reply();
        }
    }
    reply
}
