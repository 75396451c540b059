//! `/v1/projects/P/sessions`: listed, ended one by one or all of an account.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Admin;
use super::error::Refusal;
use super::input::{Acting, Asked, At, Page, ProjectName, Who};
use super::users::Named;
use crate::auth::accounts;
use crate::data::sessions::Session;

/// A page of sessions.
#[derive(Serialize)]
pub(super) struct List {
    sessions: Vec<View>,
    next: Option<Uuid>,
}

/// A session as an operator sees it.
#[derive(Serialize)]
pub(super) struct View {
    id: Uuid,
    user: Uuid,
    created_at: String,
    refreshed_at: String,
    expires_at: String,
    ip: String,
    agent: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    user: Option<Who>,
    after: Option<Uuid>,
    limit: Option<usize>,
}

/// How many sessions were ended.
#[derive(Serialize)]
pub(super) struct Revoked {
    revoked: usize,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    At(name): At<ProjectName>,
    Asked(which): Asked<Which>,
) -> Result<Json<List>, Refusal> {
    let project = admin.project(&name).await?;
    let user = which.user.as_ref().map(|who| &who.0);
    let list = |after, limit| accounts::list_sessions(&project, user, after, limit);
    let (sessions, next) = Page::new(which.after, which.limit).read(list, |session| session.id, view)?;
    Ok(Json(List { sessions, next }))
}

pub(super) async fn revoke(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, session)): At<(ProjectName, Uuid)>,
) -> Result<Json<Revoked>, Refusal> {
    let project = admin.project(&name).await?;
    accounts::revoke_session(&project, by, session).await?;
    Ok(Json(Revoked { revoked: 1 }))
}

pub(super) async fn revoke_all(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, who)): At<Named>,
) -> Result<Json<Revoked>, Refusal> {
    let project = admin.project(&name).await?;
    let revoked = accounts::revoke_sessions(&project, by, who.0).await?;
    Ok(Json(Revoked { revoked }))
}

fn view(session: &Session) -> View {
    View {
        id: session.id,
        user: session.user,
        created_at: session.created_at.rfc3339(),
        refreshed_at: session.refreshed_at.rfc3339(),
        expires_at: session.expires_at.rfc3339(),
        ip: session.address().to_string(),
        agent: session.agent.clone(),
    }
}
