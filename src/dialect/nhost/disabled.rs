//! Endpoints of the contract that wait for a later version: each answers that it is switched off.

use axum::response::Response;

use super::error::Code;
use super::input::Unread;

/// Whatever was asked for.
pub(super) async fn disabled(_: Unread) -> Response {
    Code::DisabledEndpoint.reply()
}
