//! A panic in a handler becomes one failed request, not a dropped connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// The panic reached nobody but the log.
#[derive(Debug)]
pub(super) struct Panicked;

/// Runs `work`, turning its panic into an error. What it shared is guarded by transactions and by locks that are never
/// held across a panic's source, so going on is safe.
pub(super) fn contained<F: Future>(work: F) -> Contained<F> {
    Contained { work }
}

pin_project! {
    /// See [`contained`]. Not an async function, whose state would hold the work twice: it is moved with every request.
    pub(super) struct Contained<F> {
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let work = self.project().work;
        match catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_a_value_a_value() {
        assert_eq!(contained(async { 7 }).await.ok(), Some(7));
        assert!(contained(async { panic!("on purpose") }).await.is_err());
    }
}
