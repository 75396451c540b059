//! `/v1/projects/P/webhooks`: who is told of what happens, and whether that works. A secret is never shown.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tokio::time::Instant;

use super::Admin;
use super::error::Refusal;
use super::input::{Acting, At, ProjectName};
use crate::auth::webhooks;

/// All webhooks of a project.
#[derive(Serialize)]
pub(super) struct List {
    webhooks: Vec<View>,
}

/// A webhook as an operator sees it.
#[derive(Serialize)]
struct View {
    name: String,
    /// Without path and query, which may hold a secret of the receiver's.
    url: String,
    /// Empty: all.
    events: Vec<&'static str>,
    enabled: bool,
    /// How many posts wait, counted up to a thousand.
    waiting: usize,
}

/// What came of a ping.
#[derive(Serialize)]
pub(super) struct Pinged {
    /// Whether the receiver took it.
    ok: bool,
    status: Option<u16>,
    /// How the answer begins.
    answer: Option<String>,
    /// Why there is no answer.
    error: Option<String>,
    milliseconds: u64,
}

/// Characters of an answer that are shown.
const BEGINNING: usize = 200;

pub(super) async fn list(State(admin): State<Admin>, At(name): At<ProjectName>) -> Result<Json<List>, Refusal> {
    let project = admin.project(&name).await?;
    let view = |(name, webhook, waiting): (String, webhooks::Webhook, usize)| View {
        name,
        url: webhook.url.to_string(),
        events: webhook.events.iter().map(|event| event.name()).collect(),
        enabled: webhook.enabled,
        waiting,
    };
    Ok(Json(List { webhooks: webhooks::list(&project)?.into_iter().map(view).collect() }))
}

/// Posts a `ping`, and says what came back.
pub(super) async fn test(
    State(admin): State<Admin>,
    At((name, webhook)): At<(ProjectName, String)>,
    Acting(by): Acting,
) -> Result<Json<Pinged>, Refusal> {
    let project = admin.project(&name).await?;
    let begun = Instant::now();
    let came = webhooks::ping(&project, &webhook, by.now).await?;
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Json(match came {
        Ok(answer) => Pinged {
            ok: answer.is_success(),
            status: Some(answer.status),
            answer: Some(String::from_utf8_lossy(&answer.body).chars().take(BEGINNING).collect()),
            error: None,
            milliseconds,
        },
        Err(error) => Pinged { ok: false, status: None, answer: None, error: Some(error.to_string()), milliseconds },
    }))
}
