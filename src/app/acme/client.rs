//! How an ACME server is reached: HTTPS only, by its configured URL, within limits of time and size.
//!
//! Not the client for calls to addresses that users bring: the operator names this server, and it may well be a private
//! one. It may bring a CA of its own.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use super::order::OrderError;
use crate::env::Env;
use crate::outbound;

/// One call.
const CALL: Duration = Duration::from_secs(30);
/// The largest answer: a chain has a few KiB, a directory less.
const MAX_ANSWER: usize = 256 << 10;

/// A client for the server behind `directory_url`, which `ca_file` may vouch for beside the public authorities.
pub(super) fn client(env: &Env, ca_file: Option<&Path>) -> Result<Box<dyn HttpClient>, OrderError> {
    let tls = outbound::tls(env, ca_file)?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(CALL)
        .user_agent(concat!("keystead/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| OrderError::Client(error.to_string()))?;
    Ok(Box::new(Client(Arc::new(client))))
}

struct Client(Arc<reqwest::Client>);

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = reqwest::Request::try_from(Request::from_parts(parts, body.to_bytes())).map_err(other)?;
            let (parts, body) =
                Response::<reqwest::Body>::from(client.execute(request).await.map_err(other)?).into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Error::Other)?.to_bytes();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "stands where a function of the error is wanted")]
fn other(error: reqwest::Error) -> Error {
    // Its causes say what happened; the outermost text says only that something did.
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Error::Other(text.into())
}
