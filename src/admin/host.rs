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

    /// Looks whether all is well.
    fn examine(&self) -> Work<'_, Vec<Finding>>;
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

/// Something that is not well, or may not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do about it: a command or a key.
    pub remedy: String,
}

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or everybody can break in.
    Error,
    /// Something will not work, or is not safe for strangers.
    Warning,
    /// Worth knowing.
    Hint,
}

impl Finding {
    /// A finding of these words.
    pub fn new(severity: Severity, what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity, what: what.into(), why: why.into(), remedy: remedy.into() }
    }
}

/// All findings, the worst first.
#[derive(Serialize)]
pub(super) struct Findings {
    findings: Vec<Finding>,
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

pub(super) async fn findings(State(admin): State<Admin>) -> Json<Findings> {
    Json(Findings { findings: admin.host.examine().await })
}
