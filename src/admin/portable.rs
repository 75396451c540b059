//! `/v1/export` and `/v1/import`: all that projects hold as lines, in a stream each way.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Admin;
use super::error::Refusal;
use super::input::{Acting, Asked, Names};
use crate::auth::Error;
use crate::auth::export::export as tell;
use crate::auth::projects::{Arrivals, Arrived, NotArrived, Wish};
use crate::http::body::BodyError;

/// Pieces that may wait to be sent.
const WAITING: usize = 2;

/// What is to be exported.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    projects: Names,
    #[serde(default)]
    secrets: bool,
}

/// How a file is to be taken.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    project: Option<String>,
    slug: Option<String>,
    #[serde(default)]
    new_id: bool,
    #[serde(default)]
    dry_run: bool,
}

/// What came of a file.
#[derive(Serialize)]
pub(super) struct Outcome {
    projects: Vec<Taken>,
    dry_run: bool,
}

/// A project that came.
#[derive(Serialize)]
struct Taken {
    id: Uuid,
    slug: String,
    written: BTreeMap<&'static str, u64>,
    left_out: BTreeMap<&'static str, u64>,
}

pub(super) async fn export(
    State(admin): State<Admin>,
    Acting(by): Acting,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Refusal> {
    let chosen = admin.projects.chosen(&wanted.projects.0).map_err(|_| Error::UnknownProject)?;
    let ids: Vec<Uuid> = chosen.into_iter().collect();
    if wanted.secrets {
        tracing::warn!(uid = by.uid, projects = ids.len(), "an operator exports projects with their secrets");
    }
    let mut pieces = tell(admin.projects, ids, wanted.secrets, by.now);
    let (mut to, body) = Channel::<Bytes, Infallible>::new(WAITING);
    tokio::spawn(async move {
        while let Some(piece) = pieces.recv().await {
            // Whoever read has gone; dropping the pieces stops the telling.
            if to.send_data(piece.into()).await.is_err() {
                return;
            }
        }
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::new(body)).into_response())
}

pub(super) async fn import(
    State(admin): State<Admin>,
    Acting(by): Acting,
    Asked(how): Asked<How>,
    request: Request,
) -> Result<Json<Outcome>, Refusal> {
    let How { project: only, slug, new_id, dry_run } = how;
    let mut arrivals = Arrivals::new(admin.projects, by, Wish { only, slug, new_id, dry_run });
    let (mut body, mut failed) = (request.into_body(), None);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Refusal::Body(BodyError::Interrupted))?.into_data() else { continue };
        // Also what is not looked at any more is taken in: whoever is still sending would not see the answer.
        if failed.is_none() {
            failed = arrivals.feed(&piece).await.err();
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    let arrived = arrivals.finish().await.map_err(|error| match error {
        NotArrived::Wrong(wrong) => Refusal::File(wrong),
        NotArrived::Failed(error) => error.into(),
    })?;
    let taken = |Arrived { id, slug, written, left }: Arrived| Taken { id, slug, written, left_out: left };
    Ok(Json(Outcome { projects: arrived.into_iter().map(taken).collect(), dry_run }))
}
