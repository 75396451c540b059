//! What those who watch the server ask for: `GET /metrics` as OpenMetrics text, and its health with reasons. Never served
//! where strangers are.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::health::{Health, Status};
use crate::auth::{Projects, outbox};
use crate::env::Timestamp;
use crate::metrics::{self, Page};

/// The version of the text's form that is written.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What there is to be seen of a server. Clones see the same one.
#[derive(Clone, Debug)]
pub struct Watch {
    projects: Arc<Projects>,
    health: Health,
    started_at: Timestamp,
}

impl Watch {
    /// Of the server that serves `projects` since now.
    pub fn new(projects: Arc<Projects>, health: Health) -> Self {
        let started_at = projects.shared().env.now();
        Self { projects, health, started_at }
    }

    /// `GET /metrics`.
    pub fn metrics_routes(self) -> Router {
        Router::new().route("/metrics", get(async move || self.metrics()))
    }

    /// `GET /v1/health`.
    pub fn health_routes(self) -> Router {
        Router::new().route("/v1/health", get(async move || self.health.report().full()))
    }

    /// What cannot be read is not counted here: health says so.
    fn outbox(&self) -> (u64, u64) {
        let open = self.projects.all_open();
        open.iter()
            .filter_map(|project| outbox::counts(project).ok())
            .fold((0, 0), |(waiting, dead), (w, d)| (waiting + w, dead + d))
    }

    fn metrics(&self) -> Response {
        let shared = self.projects.shared();
        let pool = &shared.pool;
        let page = Page {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at.secs(),
            projects: self.projects.count() as u64,
            projects_open: self.projects.all_open().len() as u64,
            hashes_waiting: pool.queued() as u64,
            hashes_computed: pool.hashes_computed(),
            hashing_memory: pool.memory_held() as u64,
            certificate_until: self.health.certificate_until().map(Timestamp::secs),
            outbox: self.outbox(),
            checks: self.health.report().0.iter().map(|check| (check.name, level(check.status))).collect(),
        };
        ([(CONTENT_TYPE, OPEN_METRICS)], metrics::page(&shared.metrics, page)).into_response()
    }
}

fn level(status: Status) -> u64 {
    match status {
        Status::Ok => 0,
        Status::Degraded => 1,
        Status::Unavailable => 2,
    }
}
