//! `/v1/projects/P/outbox`: what waits to be sent and what was given up; sent again, dropped. What a mail says, secrets
//! and all, is shown only to whoever asks for that one mail.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Admin;
use super::error::Refusal;
use super::input::{Acting, Asked, At, Page, ProjectName, Said};
use crate::auth::Error;
use crate::auth::outbox::{self, Found};
use crate::data::outbox::{DeadLetter, Item, Kind};

/// A page of items.
#[derive(Serialize)]
pub(super) struct List {
    items: Vec<View>,
    next: Option<Uuid>,
    /// How many wait in all.
    waiting: u64,
    /// How many were given up in all.
    dead: u64,
}

/// An item as an operator sees it.
#[derive(Serialize)]
pub(super) struct View {
    id: Uuid,
    state: Standing,
    kind: &'static str,
    /// A mail's template, a webhook's event type.
    purpose: String,
    recipient: String,
    created_at: String,
    /// `null` for what was given up.
    next_at: Option<String>,
    expires_at: String,
    attempts: u32,
    /// An attempt was begun and its end is not known yet.
    sending: bool,
    last_error: Option<String>,
    /// When it was given up; `null` for what waits.
    died_at: Option<String>,
}

/// Which items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// Those to be sent.
    #[default]
    Waiting,
    /// Those given up.
    Dead,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    state: Standing,
    after: Option<Uuid>,
    limit: Option<usize>,
}

/// No fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// How many dead letters are tried anew.
#[derive(Serialize)]
pub(super) struct Resent {
    resent: usize,
}

/// How many items were dropped.
#[derive(Serialize)]
pub(super) struct Dropped {
    dropped: usize,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    At(name): At<ProjectName>,
    Asked(which): Asked<Which>,
) -> Result<Json<List>, Refusal> {
    let project = admin.project(&name).await?;
    let page = Page::new(which.after, which.limit);
    let all = |after, limit| -> Result<Vec<Found>, Error> {
        Ok(match which.state {
            Standing::Waiting => outbox::waiting(&project, after, limit)?.into_iter().map(Found::Waiting).collect(),
            Standing::Dead => outbox::dead_letters(&project, after, limit)?.into_iter().map(Found::Dead).collect(),
        })
    };
    let (items, next) = page.read(all, |found| found.item().id, view)?;
    let (waiting, dead) = outbox::counts(&project)?;
    Ok(Json(List { items, next, waiting, dead }))
}

pub(super) async fn show(
    State(admin): State<Admin>,
    At((name, id)): At<(ProjectName, Uuid)>,
) -> Result<Json<View>, Refusal> {
    let project = admin.project(&name).await?;
    Ok(Json(view(&outbox::show(&project, id)?)))
}

/// A mail as its reader will see it.
#[derive(Serialize)]
pub(super) struct Words {
    id: Uuid,
    to: String,
    from: String,
    subject: String,
    text: String,
    html: String,
    headers: BTreeMap<String, String>,
    template: String,
    link: Option<String>,
    code: Option<String>,
}

pub(super) async fn words(
    State(admin): State<Admin>,
    At((name, id)): At<(ProjectName, Uuid)>,
) -> Result<Json<Words>, Refusal> {
    let project = admin.project(&name).await?;
    let found = outbox::show(&project, id)?;
    if found.item().kind != Kind::Mail {
        return Err(Refusal::Invalid("the item is no mail".into()));
    }
    let settings = admin.projects.settings();
    let message = outbox::message(&project, &settings.mail, found.item());
    let message = message.map_err(|error| Refusal::Invalid(error.to_string()))?;
    Ok(Json(Words {
        id: message.id,
        to: message.to,
        from: message.from,
        subject: message.subject,
        text: message.text,
        html: message.html,
        headers: message.headers.into_iter().collect(),
        template: message.template,
        link: message.link,
        code: message.code,
    }))
}

pub(super) async fn resend(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, id)): At<(ProjectName, Uuid)>,
    Said(Nothing {}): Said<Nothing>,
) -> Result<Json<View>, Refusal> {
    let project = admin.project(&name).await?;
    let item = outbox::resend(&project, by, id).await?;
    Ok(Json(view(&Found::Waiting(item))))
}

pub(super) async fn resend_all(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At(name): At<ProjectName>,
    Said(Nothing {}): Said<Nothing>,
) -> Result<Json<Resent>, Refusal> {
    let project = admin.project(&name).await?;
    let resent = outbox::resend_all(&project, by).await?;
    Ok(Json(Resent { resent }))
}

pub(super) async fn remove(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At((name, id)): At<(ProjectName, Uuid)>,
) -> Result<Json<Dropped>, Refusal> {
    let project = admin.project(&name).await?;
    outbox::remove(&project, by, id).await?;
    Ok(Json(Dropped { dropped: 1 }))
}

fn view(found: &Found) -> View {
    let (item, died_at): (&Item, _) = match found {
        Found::Waiting(item) => (item, None),
        Found::Dead(DeadLetter { item, died_at }) => (item, Some(*died_at)),
    };
    View {
        id: item.id,
        state: if died_at.is_some() { Standing::Dead } else { Standing::Waiting },
        kind: match item.kind {
            Kind::Mail => "mail",
            Kind::Webhook => "webhook",
            // Never listed.
            Kind::Decoy => "decoy",
        },
        purpose: item.purpose.clone(),
        recipient: item.recipient.clone(),
        created_at: item.created_at.rfc3339(),
        next_at: died_at.is_none().then(|| item.next_at.rfc3339()),
        expires_at: item.expires_at.rfc3339(),
        attempts: item.attempts,
        sending: died_at.is_none() && item.begun,
        last_error: item.last_error.clone(),
        died_at: died_at.map(crate::env::Timestamp::rfc3339),
    }
}
