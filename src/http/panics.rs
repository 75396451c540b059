//! A panic in a handler becomes one failed request, not a dropped connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

/// The panic reached nobody but the log.
#[derive(Debug)]
pub(super) struct Panicked;

/// Runs `work`, turning its panic into an error. What it shared is guarded by transactions and by locks that are never
/// held across a panic's source, so going on is safe.
pub(super) async fn contained<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = pin!(work);
    std::future::poll_fn(move |cx| {
        let work: Pin<&mut _> = work.as_mut();
        match catch_unwind(AssertUnwindSafe(|| work.poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
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
