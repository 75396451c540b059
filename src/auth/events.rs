//! What happened, told in the transaction that made it so: the one place that verbs tell, whoever listens.

use uuid::Uuid;

use super::{Ctx, Error, Project, ProjectSettings, notices};
use crate::data::events as rows;
pub use crate::data::events::{By, Event, EventKind};
use crate::env::Timestamp;
use crate::store::{StoreError, Write};

/// Records `event` as part of a job. Where it puts something into the outbox, the caller wakes who sends it.
pub(crate) fn record(w: &mut dyn Write, settings: &ProjectSettings, event: &Event) -> Result<(), StoreError> {
    rows::append(w, event)?;
    notices::tell(w, settings, event)?;
    Ok(())
}

impl Ctx {
    /// A fresh event of this request, made before the transaction that records it.
    pub(crate) fn event(&self, kind: EventKind, by: By, user: Option<Uuid>) -> Event {
        Event {
            id: self.project.env().new_id(self.now),
            at: self.now,
            kind,
            by,
            user,
            ip: Some(self.client.ip_bytes()),
            request: Some(self.request_id.0),
        }
    }

    /// Records `event` as part of a job.
    pub(crate) fn record(&self, w: &mut dyn Write, event: &Event) -> Result<(), StoreError> {
        record(w, &self.settings, event)?;
        // From within the job: whoever looks waits for its commit.
        if event.kind.is_sent() {
            self.project.wake_outbox();
        }
        Ok(())
    }
}

/// A fresh event of the operator's doing.
pub(crate) fn by_operator(project: &Project, now: Timestamp, kind: EventKind, user: Option<Uuid>) -> Event {
    Event { id: project.env().new_id(now), at: now, kind, by: By::Operator, user, ip: None, request: None }
}

/// At most `limit` events in the order they happened, after the one with the id `after`.
///
/// # Errors
/// Only the store's.
pub fn list(project: &Project, after: Option<Uuid>, limit: usize) -> Result<Vec<Event>, Error> {
    project.store().read(|r| Ok(rows::list(r, after, limit)?))
}
