//! `/v1/projects/P/keys`: signing keys listed and rotated.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::error::Refusal;
use super::input::{Acting, At, ProjectName, Said};
use super::{Admin, created};
use crate::auth::keys::{self, KeyView};
use crate::config::forms;

/// All signing keys.
#[derive(Serialize)]
pub(super) struct List {
    keys: Vec<View>,
}

/// A signing key as an operator sees it.
#[derive(Serialize)]
pub(super) struct View {
    id: Uuid,
    kid: String,
    /// As JWTs spell it.
    algorithm: &'static str,
    created_at: String,
    /// From when on nothing it signed is accepted; null for the keys that sign.
    retires_at: Option<String>,
}

/// The keys that sign now.
#[derive(Serialize)]
struct RotatedView {
    #[serde(flatten)]
    signing: View,
    /// The one for JWTs that other services check; null where the project has none of its own.
    jwt: Option<View>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    overlap: Option<Span>,
}

/// A duration as configuration writes it.
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        forms::duration(&String::deserialize(from)?).map(Self).map_err(D::Error::custom)
    }
}

pub(super) async fn list(State(admin): State<Admin>, At(name): At<ProjectName>) -> Result<Json<List>, Refusal> {
    let project = admin.project(&name).await?;
    Ok(Json(List { keys: keys::list(&project)?.iter().map(view).collect() }))
}

/// The keys there were verify for `overlap` longer; for the project's own setting when it is not said.
pub(super) async fn rotate(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At(name): At<ProjectName>,
    Said(how): Said<Rotate>,
) -> Result<Response, Refusal> {
    let project = admin.project(&name).await?;
    let overlap = how.overlap.map_or_else(|| project.settings().tokens.key_overlap, |span| span.0);
    let rotated = keys::rotate(&project, by, overlap).await?;
    Ok(created(RotatedView { signing: view(&rotated.signing), jwt: rotated.jwt.as_ref().map(view) }))
}

fn view(key: &KeyView) -> View {
    View {
        id: key.id,
        kid: key.kid.clone(),
        algorithm: key.algorithm,
        created_at: key.created_at.rfc3339(),
        retires_at: key.retires_at.map(|at| at.rfc3339()),
    }
}
