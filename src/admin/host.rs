//! What an operator may ask of the process itself: to take its configuration anew, and whether all is well.

use std::future::Future;
use std::pin::Pin;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;

use super::Admin;
use super::error::Refusal;
use crate::config::Problems;

/// The process behind the API: a server that runs, or a command that has taken the data directory.
pub trait Host: Send + Sync {
    /// Takes the configuration anew.
    fn reload(&self) -> Work<'_, Result<Reloaded, NotReloaded>>;
}

/// Something being done.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What came of taking the configuration anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Keys that have another value now.
    pub changed: Vec<String>,
    /// Keys that would have, but a running server cannot change them.
    pub needs_restart: Vec<String>,
    /// Projects that were made because they are declared now.
    pub made: Vec<String>,
    /// Projects that are not declared any more. They stay.
    pub undeclared: Vec<String>,
    /// Whether another certificate is served now.
    pub new_certificate: bool,
}

/// Why the configuration was not taken anew. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    /// It has mistakes.
    #[error("{0}")]
    Settings(Problems),
    /// It is right, but something failed.
    #[error("{0}")]
    Failed(String),
    /// No server runs.
    #[error("no server runs")]
    Stopped,
}

/// A setting in force.
#[derive(Serialize)]
pub(super) struct Setting {
    key: String,
    value: Value,
    source: String,
}

/// All settings in force.
#[derive(Serialize)]
pub(super) struct Settings {
    settings: Vec<Setting>,
}

pub(super) async fn reload(State(admin): State<Admin>) -> Result<Json<Reloaded>, Refusal> {
    Ok(Json(admin.host.reload().await?))
}

pub(super) async fn settings(State(admin): State<Admin>) -> Result<Json<Settings>, Refusal> {
    let entries = admin.projects.list();
    let kept = entries.iter().map(|(_, entry)| (entry.slug.as_str(), entry.settings.as_deref()));
    let all = admin.projects.settings().with_projects(kept).map_err(Refusal::Settings)?;
    let shown = all.shown().into_iter();
    let settings = shown.map(|shown| Setting {
        key: shown.key,
        value: serde_json::to_value(shown.value).unwrap_or_default(),
        source: shown.source,
    });
    Ok(Json(Settings { settings: settings.collect() }))
}
