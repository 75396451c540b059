//! The request a thread works on at this moment, so that whatever is said or counted about it finds its name.
//!
//! It is set around each poll of the request's future, and costs two moves: a span would be formatted for every request,
//! whether or not a line is ever written in it.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{MatchedPath, Request};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::auth::RequestId;
use crate::metrics::{Metrics, Route};

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// A request, and the route it was found to be for.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    request: RequestId,
    route: Option<Arc<Route>>,
}

/// The name of the request this thread works on; `None` outside of any.
pub fn request() -> Option<RequestId> {
    CURRENT.with_borrow(|current| current.as_ref().map(|scope| scope.request.clone()))
}

/// The route of the request this thread works on, once it is found.
pub(super) fn route() -> Option<Arc<Route>> {
    CURRENT.with_borrow(|current| current.as_ref().and_then(|scope| scope.route.clone()))
}

/// Says what route it is.
pub(super) fn set_route(route: Option<Arc<Route>>) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(scope) = current {
            scope.route = route;
        }
    });
}

/// Runs `work` as the request of this name.
pub(super) fn within<F: Future>(request: RequestId, work: F) -> Within<F> {
    Within { scope: Some(Scope { request, route: None }), work }
}

pin_project! {
    /// See [`within`]. Not an async function, whose state would hold the work twice: it is moved with every request.
    pub(super) struct Within<F> {
        scope: Option<Scope>,
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = Entered::into(this.scope);
        this.work.poll(cx)
    }
}

/// While it lives, the thread works on that request; afterwards, also after a panic, on the one before.
struct Entered<'a> {
    scope: &'a mut Option<Scope>,
    before: Option<Scope>,
}

impl<'a> Entered<'a> {
    fn into(scope: &'a mut Option<Scope>) -> Self {
        let before = CURRENT.replace(scope.take());
        Self { scope, before }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        *self.scope = CURRENT.replace(self.before.take());
    }
}

/// Notes the route of every request that comes to a dialect's router.
#[derive(Clone, Debug)]
pub(super) struct NoteRoute {
    pub(super) dialect: &'static str,
    /// Where the dialect is mounted: no part of a route's name, so that moving it starts no new series.
    pub(super) mount: Arc<str>,
    pub(super) metrics: Arc<Metrics>,
}

impl<S> Layer<S> for NoteRoute {
    type Service = Noted<S>;

    fn layer(&self, inner: S) -> Noted<S> {
        Noted { note: self.clone(), inner }
    }
}

/// A route whose requests are noted.
#[derive(Clone, Debug)]
pub(super) struct Noted<S> {
    note: NoteRoute,
    inner: S,
}

impl<S: Service<Request>> Service<Request> for Noted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        let NoteRoute { dialect, mount, metrics } = &self.note;
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let template = path.and_then(|path| path.strip_prefix(&**mount)).unwrap_or("other");
        set_route(Some(metrics.requests.at(dialect, template)));
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Option<String> {
        request().map(|id| id.to_string())
    }

    #[tokio::test]
    async fn a_name_holds_between_waits_and_not_beyond() {
        assert_eq!(name(), None);
        let (outer, inner) = within(RequestId::given(1, b"outer"), async {
            tokio::task::yield_now().await;
            let inner = within(RequestId::new(0xab), async { name() }).await;
            tokio::task::yield_now().await;
            (name(), inner)
        })
        .await;
        assert_eq!((outer.as_deref(), inner.as_deref()), (Some("outer"), Some("00000000000000ab")));
        assert_eq!(name(), None);
    }

    #[tokio::test]
    async fn two_requests_on_one_thread_keep_apart_and_a_panic_ends_only_its_own() {
        let work = |text: &'static str| {
            within(RequestId::given(1, text.as_bytes()), async move {
                for _ in 0..10 {
                    assert_eq!(name().as_deref(), Some(text));
                    tokio::task::yield_now().await;
                }
            })
        };
        tokio::join!(work("one"), work("two"));
        let panicked = super::super::panics::contained(within(RequestId::new(1), async { panic!("on purpose") })).await;
        assert!(panicked.is_err());
        assert_eq!(name(), None);
    }
}
