//! Whether the server can do its work, and if not, why: `/readyz` for strangers, the same with reasons for the operator.
//!
//! Asking costs no write: a store tells how its last commit went, and one that failed is tried again by the server itself
//! from time to time, not by whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::auth::{Projects, outbox};
use crate::env::Timestamp;
use crate::net::Tls;

/// How far the clock may step back without a warning: time servers correct by less.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// No clock that is right says less: this program was written later.
const EARLIEST: Timestamp = Timestamp::from_secs(1_767_225_600); // 2026-01-01T00:00:00Z

/// The end of a certificate is near this long before it, or in the last tenth of its life where that is less.
const NEAR_END: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What waits longer to be sent does not wait for its turn any more, but for somebody to look.
const LATE: Duration = Duration::from_secs(60 * 60);

/// How a part of the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Ok,
    /// It works, and somebody should look.
    Degraded,
    /// Requests should go elsewhere.
    Unavailable,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it does.
    pub status: Status,
    /// For the operator only: it may name projects and files.
    pub detail: String,
}

/// What one look gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub Vec<Check>);

/// Looks whether the server can do its work. Clones look at the same one.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    projects: Arc<Projects>,
    tls: Option<Tls>,
    /// The latest time the clock has shown, in milliseconds.
    latest: AtomicU64,
}

impl Health {
    /// Of the server that serves `projects`, with `tls` where it does so itself.
    pub fn new(projects: Arc<Projects>, tls: Option<Tls>) -> Self {
        let latest = AtomicU64::new(projects.shared().env.now().millis());
        Self(Arc::new(Inner { projects, tls, latest }))
    }

    /// Looks at everything.
    pub fn report(&self) -> Report {
        let now = self.0.projects.shared().env.now();
        let mut checks = vec![self.store(), self.keys(), self.certificate(now), self.outbox(now), self.clock(now)];
        checks.extend(self.backup(now));
        Report(checks)
    }

    /// Until when the served certificate is good.
    pub fn certificate_until(&self) -> Option<Timestamp> {
        self.0.tls.as_ref().map(|tls| tls.identity().expires_at())
    }

    /// Whether open projects can be read and written. Where only some fail, the others are worth being served.
    fn store(&self) -> Check {
        let open = self.0.projects.all_open();
        let failing: Vec<String> = open
            .iter()
            .filter_map(|project| {
                let error = project.readable().err().or_else(|| project.failing())?;
                Some(format!("{}: {error}", project.record().slug))
            })
            .collect();
        let status = match failing.len() {
            0 => Status::Ok,
            some if some < open.len() => Status::Degraded,
            _ => Status::Unavailable,
        };
        let fine = || format!("{} open, the last change to each was made", open.len());
        Check { name: "store", status, detail: if failing.is_empty() { fine() } else { failing.join("; ") } }
    }

    /// Whether every project that was asked for could be opened, which is when its keys are loaded. A project without
    /// them is not served at all; the others are.
    fn keys(&self) -> Check {
        let (open, unopened) = (self.0.projects.all_open().len(), self.0.projects.unopened());
        if unopened.is_empty() {
            return Check { name: "keys", status: Status::Ok, detail: format!("loaded for {open} open projects") };
        }
        let status = if open == 0 { Status::Unavailable } else { Status::Degraded };
        let detail: Vec<_> = unopened.iter().map(|(id, error)| format!("{id} cannot be opened: {error}")).collect();
        Check { name: "keys", status, detail: detail.join("; ") }
    }

    fn certificate(&self, now: Timestamp) -> Check {
        let check = |status, detail| Check { name: "certificate", status, detail };
        let Some(tls) = &self.0.tls else { return check(Status::Ok, "TLS is ended by somebody else".to_owned()) };
        let identity = tls.identity();
        let (from, until) = (identity.not_before(), identity.expires_at());
        if now >= until {
            check(Status::Unavailable, format!("it expired at {}", until.rfc3339()))
        } else if now < from {
            check(Status::Unavailable, format!("it is not valid before {}", from.rfc3339()))
        } else if let Some(why) = tls.trouble() {
            check(Status::Degraded, format!("it is good until {}, and could not be renewed: {why}", until.rfc3339()))
        } else if until.since(now) < (until.since(from) / 10).min(NEAR_END) {
            check(Status::Degraded, format!("it expires at {}, and was not renewed", until.rfc3339()))
        } else {
            check(Status::Ok, format!("it is good until {}", until.rfc3339()))
        }
    }

    /// Whether what is to be sent is sent. It is tried again for days: a warning, not a reason to send requests elsewhere.
    fn outbox(&self, now: Timestamp) -> Check {
        let (mut waiting, mut dead, mut late) = (0, 0, Vec::new());
        for project in self.0.projects.all_open() {
            // What cannot be read is the store's trouble.
            let Ok((its_waiting, its_dead)) = outbox::counts(&project) else { continue };
            (waiting, dead) = (waiting + its_waiting, dead + its_dead);
            // One row, for anybody may ask how the server does. A decoy that is not taken away tells as much as a mail.
            let since = project.waits_since().ok().flatten();
            if let Some(since) = since.filter(|since| now.since(*since) > LATE) {
                late.push(format!("{}: waits since {}", project.record().slug, since.rfc3339()));
            }
        }
        let status = if late.is_empty() { Status::Ok } else { Status::Degraded };
        late.insert(0, format!("{waiting} waiting, {dead} dead letters"));
        Check { name: "outbox", status, detail: late.join("; ") }
    }

    /// Whether the backups are taken that the server should take by itself; `None` where it should not.
    fn backup(&self, now: Timestamp) -> Option<Check> {
        let settings = self.0.projects.settings();
        settings.backup.dir.as_ref()?;
        let backups = &self.0.projects.shared().metrics.backups;
        let last = backups.last().map(Timestamp::from_secs);
        let said =
            last.map_or_else(|| "none was taken yet".to_owned(), |at| format!("the last is of {}", at.rfc3339()));
        let (status, detail) = match backups.trouble() {
            Some(why) => (Status::Degraded, format!("{said}; the last attempt failed: {why}")),
            None if last.is_some_and(|at| now.since(at) > 2 * settings.backup.every) => {
                (Status::Degraded, format!("{said}, and one is overdue"))
            }
            None => (Status::Ok, said),
        };
        Some(Check { name: "backup", status, detail })
    }

    fn clock(&self, now: Timestamp) -> Check {
        let latest = Timestamp::from_millis(self.0.latest.fetch_max(now.millis(), Relaxed));
        let check = |status, detail| Check { name: "clock", status, detail };
        if now < EARLIEST {
            check(Status::Degraded, format!("it says {}, before this program was written", now.rfc3339()))
        } else if latest.since(now) > CLOCK_TOLERANCE {
            let detail =
                format!("it says {}, and said {} before: tokens may live longer", now.rfc3339(), latest.rfc3339());
            check(Status::Degraded, detail)
        } else {
            check(Status::Ok, format!("it says {}", now.rfc3339()))
        }
    }
}

impl Report {
    /// How the server does: as its worst part does.
    pub fn status(&self) -> Status {
        self.0.iter().map(|check| check.status).max().unwrap_or(Status::Ok)
    }

    /// For strangers: names and how they do.
    pub fn brief(&self) -> Response {
        self.answer(|check| json!({ "status": check.status }))
    }

    /// For the operator: with reasons.
    pub fn full(&self) -> Response {
        self.answer(|check| json!({ "status": check.status, "detail": check.detail }))
    }

    fn answer(&self, tell: impl Fn(&Check) -> Value) -> Response {
        let checks: Map<String, Value> = self.0.iter().map(|check| (check.name.to_owned(), tell(check))).collect();
        let status = self.status();
        if status == Status::Unavailable {
            // What has a `message` is shown by clients that know nothing of health.
            let message = "The server cannot do its work now.";
            let body = Json(json!({ "status": status, "message": message, "checks": checks }));
            return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], body).into_response();
        }
        Json(json!({ "status": status, "checks": checks })).into_response()
    }
}
