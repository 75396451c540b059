//! A job on its way through the writer: run once with its type forgotten, answered once after the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use super::changes::{Changes, Overlay};
use super::{Read, StoreError, Write};

/// A queued job without its types.
pub(super) trait Job: Send {
    /// Runs on top of `base`; answers the changes to keep, `None` when it refused or panicked.
    fn run(&mut self, base: &dyn Read) -> Option<Changes>;

    /// Answers the caller: with what the job said when its batch stands, else with `failed`. A panic stays a panic.
    fn settle(self: Box<Self>, failed: Option<&StoreError>);
}

/// Runs `job` on an overlay of its own. Its answer, and its changes when they are to be kept.
pub(super) fn run<T, E: From<StoreError>>(
    job: &mut impl FnMut(&mut dyn Write) -> Result<T, E>,
    base: &dyn Read,
) -> (Result<T, E>, Option<Changes>, bool) {
    let mut overlay = Overlay::over(base);
    // The overlay is thrown away after a panic and the job is never called again, so nothing broken stays visible.
    match catch_unwind(AssertUnwindSafe(|| job(&mut overlay))) {
        Ok(Ok(value)) => (Ok(value), Some(overlay.into_changes()), false),
        Ok(Err(refusal)) => (Err(refusal), None, false),
        Err(_) => (Err(E::from(StoreError::JobPanicked)), None, true),
    }
}

/// Boxes `job` and gives the end at which its answer arrives.
pub(super) fn queued<T, E, F>(job: F) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    F: FnMut(&mut dyn Write) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Queued { job, outcome: None, panicked: false, reply }), answer)
}

struct Queued<F, T, E> {
    job: F,
    outcome: Option<Result<T, E>>,
    panicked: bool,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Queued<F, T, E>
where
    F: FnMut(&mut dyn Write) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, base: &dyn Read) -> Option<Changes> {
        let (outcome, changes, panicked) = run(&mut self.job, base);
        self.outcome = Some(outcome);
        self.panicked = panicked;
        changes
    }

    fn settle(self: Box<Self>, failed: Option<&StoreError>) {
        let answer = match (self.outcome, failed) {
            (Some(outcome), None) => outcome,
            (Some(outcome), Some(_)) if self.panicked => outcome,
            (_, Some(error)) => Err(E::from(error.clone())),
            (None, None) => Err(E::from(StoreError::Closed)),
        };
        // Nobody waits any more: the change stands all the same.
        let _ = self.reply.send(answer);
    }
}
