//! `/v1/backup` and `/v1/restore`: projects as an archive, in a stream each way.

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::PathBuf;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Admin;
use super::error::Refusal;
use super::input::{Acting, Asked, Names};
use crate::auth::projects::{NotBackedUp, Restore, Restored};
use crate::backup::{NotMade, Pieces, Stop, extract, make};
use crate::http::body::BodyError;

/// Pieces that may wait to be sent, or to be looked at.
const WAITING: usize = 4;
/// Bytes of a piece that is sent.
const PIECE: usize = 64 << 10;

/// What is to be backed up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    projects: Names,
}

/// What is to be brought back, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    /// Slug or id in the backup; all projects without it.
    project: Option<String>,
    #[serde(default)]
    as_new: bool,
    slug: Option<String>,
    #[serde(default)]
    replace: bool,
    #[serde(default)]
    end_sessions: bool,
}

/// What came of it.
#[derive(Serialize)]
pub(super) struct Outcome {
    moment: String,
    projects: Vec<Back>,
}

#[derive(Serialize)]
struct Back {
    id: Uuid,
    slug: String,
    /// Its id in the backup, where it has another now.
    was: Option<Uuid>,
    /// Where the file that was replaced is kept.
    kept: Option<PathBuf>,
}

pub(super) async fn backup(
    State(admin): State<Admin>,
    Acting(by): Acting,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Refusal> {
    let shot = admin.projects.shot(&wanted.projects.0).await?;
    let (moment, count) = (shot.at.rfc3339(), shot.projects.len());
    tracing::info!(uid = by.uid, moment, projects = count, "an operator takes a backup");
    let (to, body) = Channel::<Bytes, Infallible>::new(WAITING);
    let stop = Stop::default();
    let out = Outlet { to, piece: Vec::with_capacity(PIECE), runtime: Handle::current() };
    let work = make(shot, out, stop.clone());
    tokio::spawn(async move {
        match work.await {
            Ok(_) => tracing::info!(moment, "the backup was taken"),
            Err(NotMade::Output(_) | NotMade::Copy(NotBackedUp::Stopped)) => {
                tracing::warn!(moment, "the backup was broken off by whoever took it");
            }
            Err(error) => tracing::error!(moment, %error, "the backup failed"),
        }
    });
    // Whoever hangs up, or has all, lets go of the body; between two pieces nothing else would tell.
    let hung_up = StopOnDrop(stop);
    let body = body.map_frame(move |frame| {
        let _whole = &hung_up;
        frame
    });
    Ok(([(CONTENT_TYPE, "application/x-tar")], Body::new(body)).into_response())
}

pub(super) async fn restore(
    State(admin): State<Admin>,
    Acting(by): Acting,
    Asked(how): Asked<How>,
    request: Request,
) -> Result<Json<Outcome>, Refusal> {
    let How { project, as_new, slug, replace, end_sessions } = how;
    if as_new && replace {
        return Err(Refusal::Invalid(
            "as_new and replace: a project is brought beside the other, or in its place".into(),
        ));
    }
    if slug.is_some() && !as_new {
        return Err(Refusal::Invalid("slug: only what is brought as new gets another slug".into()));
    }
    let folder = admin.projects.restore_folder()?;
    let (pieces, mut inlet) = mpsc::channel(WAITING);
    let path = folder.path().to_owned();
    let extracted =
        tokio::task::spawn_blocking(move || extract(Pieces::new(|| inlet.blocking_recv()), &path, project.as_deref()));
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => frame.into_data().map_err(|_| ()),
            Err(_) => return Err(Refusal::Body(BodyError::Interrupted)),
        };
        // Also what is not looked at any more is taken in: whoever is still sending would not see the answer.
        if let Ok(piece) = piece {
            let _ = pieces.send(piece).await;
        }
    }
    drop(pieces);
    let (contents, files) = extracted.await.map_err(|_| NotMade::Died)??;
    let how = Restore { as_new, slug, replace, end_sessions };
    let back = |Restored { id, slug, was, kept }: Restored| Back { id, slug, was, kept };
    let restored = admin.projects.restore(files, &how, by).await?;
    Ok(Json(Outcome { moment: contents.head.moment, projects: restored.into_iter().map(back).collect() }))
}

/// Sends what is written into it. For a thread that may block.
struct Outlet {
    to: Sender<Bytes, Infallible>,
    piece: Vec<u8>,
    runtime: Handle,
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        if piece.is_empty() {
            return Ok(());
        }
        self.runtime.block_on(self.to.send_data(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.ask();
    }
}
