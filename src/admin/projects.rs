//! `/v1/projects`: made, listed, shown, deleted.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::error::Refusal;
use super::input::{Acting, Asked, At, Page, ProjectName, Said};
use super::{Admin, created};
use crate::auth::projects::NewProject;
use crate::auth::{Error, Project, ProjectSettings};
use crate::config::{check_together, stored_from};

/// A page of projects.
#[derive(Serialize)]
pub(super) struct List {
    projects: Vec<Line>,
    next: Option<Uuid>,
}

/// A project in a list.
#[derive(Serialize)]
pub(super) struct Line {
    id: Uuid,
    slug: String,
    created_at: String,
}

/// A project by itself.
#[derive(Serialize)]
pub(super) struct Whole {
    #[serde(flatten)]
    line: Line,
    /// What is in force, with keys as below `[project.SLUG]`; a secret is `[secret]`.
    settings: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    slug: String,
    id: Option<Uuid>,
    /// Dotted keys as below `[project.SLUG]`, values as in `keystead project create --set`.
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

pub(super) async fn list(State(admin): State<Admin>, Asked(page): Asked<Page>) -> Result<Json<List>, Refusal> {
    let all = |after: Option<Uuid>, limit| {
        let all = admin.projects.list().into_iter();
        Ok::<_, Error>(all.filter(|(id, _)| after.is_none_or(|after| after < *id)).take(limit).collect())
    };
    let view = |(id, entry): &(Uuid, crate::auth::catalog::Entry)| Line {
        id: *id,
        slug: entry.slug.clone(),
        created_at: entry.created_at.rfc3339(),
    };
    let (projects, next) = page.read(all, |(id, _)| *id, view)?;
    Ok(Json(List { projects, next }))
}

pub(super) async fn create(
    State(admin): State<Admin>,
    Acting(by): Acting,
    Said(new): Said<New>,
) -> Result<Response, Refusal> {
    let sets: Vec<_> = new.settings.into_iter().collect();
    let stored = stored_from(&new.slug, &sets).map_err(Refusal::Settings)?;
    let settings = admin.projects.settings().project(&new.slug, Some(&stored)).map_err(Refusal::Settings)?;
    let id = match (new.id, settings.id) {
        (Some(given), Some(set)) if given != set => {
            return Err(Refusal::Invalid(format!("id: the settings say {set}, the request {given}")));
        }
        (given, set) => given.or(set),
    };
    check_with_all(&admin, settings)?;
    let stored = Some(stored).filter(|text| !text.is_empty());
    let project = admin.projects.create(NewProject { slug: new.slug, id, settings: stored }, by).await?;
    Ok(created(whole(&project)?))
}

pub(super) async fn show(State(admin): State<Admin>, At(name): At<ProjectName>) -> Result<Json<Whole>, Refusal> {
    Ok(Json(whole(&*admin.project(&name).await?)?))
}

pub(super) async fn delete(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At(name): At<ProjectName>,
) -> Result<Json<Line>, Refusal> {
    // Let go before it is deleted: a file that somebody holds stays open.
    let gone = line(&*admin.project(&name).await?);
    admin.projects.delete(gone.id, by).await?;
    Ok(Json(gone))
}

/// What must hold between the new project and those there are: no host name twice.
fn check_with_all(admin: &Admin, new: ProjectSettings) -> Result<(), Refusal> {
    let settings = admin.projects.settings();
    let mut all = vec![new];
    for (_, entry) in admin.projects.list() {
        all.push(settings.project(&entry.slug, entry.settings.as_deref()).map_err(Refusal::Settings)?);
    }
    check_together(&all).map_err(Refusal::Settings)
}

fn line(project: &Project) -> Line {
    let record = project.record();
    Line { id: record.id, slug: record.slug.clone(), created_at: record.created_at.rfc3339() }
}

fn whole(project: &Project) -> Result<Whole, Refusal> {
    let settings = toml::from_str(&project.settings().to_toml())
        .map_err(|error| Error::Internal(format!("the settings cannot be shown: {error}")))?;
    Ok(Whole { line: line(project), settings })
}
