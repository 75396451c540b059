//! What a client may ask without an account (contract 1.1).

use axum::Json;
use axum::response::{IntoResponse, Response};

use super::input::Here;
use super::wire::{Done, KeySet, Version};

/// `GET healthz`.
pub(super) async fn healthz() -> Response {
    Json(Done::OK).into_response()
}

/// `GET version`.
pub(super) async fn version() -> Response {
    Json(Version::OURS).into_response()
}

/// `GET .well-known/jwks.json`: the keys that access tokens are checked with; none where they are secrets.
pub(super) async fn jwks(Here(ctx): Here) -> Response {
    Json(KeySet(ctx.project.jwks(&ctx))).into_response()
}
