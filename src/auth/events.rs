//! What happened, told in the transaction that made it so: the one place that verbs tell, whoever listens.

use uuid::Uuid;

use super::webhooks::{self, Teller};
use super::{Ctx, Email, Operator, Project, notices};
use crate::data::audit;
pub use crate::data::events::{By, Event, EventKind, Outcome};
use crate::env::Timestamp;
use crate::store::{StoreError, Write};

impl Teller {
    /// Records `event` as part of a job, and tells it to whoever wants to know. Where its kind is sent by mail, the
    /// caller wakes who sends it.
    pub(crate) fn record(&self, w: &mut dyn Write, event: &Event) -> Result<(), StoreError> {
        audit::append(w, event)?;
        notices::tell(w, self.settings(), event)?;
        self.tell(w, event)
    }
}

impl Project {
    /// What records events in jobs that have no request.
    pub(crate) fn teller(&self) -> Teller {
        Teller::new(self, self.settings())
    }
}

impl Ctx {
    /// A fresh event of this request, made before the transaction that records it.
    pub(crate) fn event(&self, kind: EventKind, by: By, user: Option<Uuid>) -> Event {
        Event {
            id: self.project.env().new_id(self.now),
            at: self.now,
            kind,
            by,
            uid: None,
            user,
            ip: Some(self.client.ip_bytes()),
            request: Some(self.request_id.number()),
            outcome: Outcome::Done,
            address: None,
        }
    }

    /// The same, of a secret presented for an address, whether or not it has an account.
    pub(crate) fn event_on(&self, kind: EventKind, by: By, user: Option<Uuid>, email: &Email) -> Event {
        Event { address: Some(self.project.address_digest(email)), ..self.event(kind, by, user) }
    }

    /// Records `event` as part of a job.
    pub(crate) fn record(&self, w: &mut dyn Write, event: &Event) -> Result<(), StoreError> {
        audit::append(w, event)?;
        let project = &self.project;
        notices::tell(w, &self.settings, event)?;
        // From within the job: whoever looks waits for its commit.
        if event.kind.is_sent() {
            project.wake_outbox();
        }
        webhooks::tell(w, project.id(), &self.settings, &project.shared().webhook_wakes, event)
    }
}

/// A fresh event that follows from the project's settings.
pub(crate) fn by_server(project: &Project, now: Timestamp, kind: EventKind) -> Event {
    Event { by: By::Server, ..by_operator(project, Operator { now, uid: None }, kind, None) }
}

/// A fresh event of the operator's doing.
pub(crate) fn by_operator(project: &Project, by: Operator, kind: EventKind, user: Option<Uuid>) -> Event {
    Event {
        id: project.env().new_id(by.now),
        at: by.now,
        kind,
        by: By::Operator,
        uid: by.uid,
        user,
        ip: None,
        request: None,
        outcome: Outcome::Done,
        address: None,
    }
}
