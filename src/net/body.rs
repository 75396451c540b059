//! Request and answer bodies that may not stall.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::limits::LARGE;
use super::pulse::{AwaitedBody, OpenRequest, Pulse};

/// A body must arrive at this rate at least, beyond the time it is given in any case.
const LEAST_BYTES_PER_SECOND: u64 = 1024;

/// The request's body did not arrive in time. It is found in the chain of sources of the error that reading it gives.
#[derive(Debug, thiserror::Error)]
#[error("the request's body took too long")]
pub struct BodyTooSlow;

/// The most of a body, in bytes, that is taken in for its connection's sake although nobody wants to read it: as much as the
/// largest body any API takes.
const MOST_UNREAD: u64 = 1024 * 1024;

/// The body of a request that must arrive within `grace` and a second for each KiB; what nobody read of it comes out
/// at the other end.
pub(super) fn arriving(incoming: Incoming, grace: Duration, pulse: &Arc<Pulse>) -> (Body, Unread) {
    if incoming.is_end_stream() {
        return (Body::empty(), Unread(None));
    }
    let (leave, left) = oneshot::channel();
    let pulse = pulse.clone();
    let arriving = Arriving { incoming: Some(incoming), leave: Some(leave), grace, received: 0, pulse, awaited: None };
    (Body::new(arriving), Unread(Some(left)))
}

/// What was left of a request's body when its reader dropped it.
pub(super) struct Unread(Option<oneshot::Receiver<Incoming>>);

impl Unread {
    /// Takes it in, where it is small and comes within `limit`.
    ///
    /// A connection with an unread body has to be closed after the answer, and a client that is still sending may then
    /// see a reset instead of the answer (RFC 9112, section 9.6).
    pub(super) async fn take_in(self, limit: Duration) {
        let Some(Ok(mut incoming)) = self.0.map(|mut left| left.try_recv()) else { return };
        if incoming.size_hint().upper().is_none_or(|left| left > MOST_UNREAD) {
            return;
        }
        // Late or broken: the connection is closed, as it would have been.
        let _ = timeout(limit, async { while let Some(Ok(_)) = incoming.frame().await {} }).await;
    }
}

struct Awaited {
    since: Instant,
    timer: Pin<Box<Sleep>>,
    _mark: AwaitedBody,
}

struct Arriving {
    /// Always there, until it is dropped.
    incoming: Option<Incoming>,
    leave: Option<oneshot::Sender<Incoming>>,
    grace: Duration,
    received: u64,
    pulse: Arc<Pulse>,
    /// Since the first time it was waited for.
    awaited: Option<Awaited>,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let (Some(incoming), Some(leave)) = (self.incoming.take(), self.leave.take())
            && !incoming.is_end_stream()
        {
            // Nobody waits for it where the connection is gone.
            let _ = leave.send(incoming);
        }
    }
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(incoming).poll_frame(cx) {
            let data = frame.as_ref().and_then(|f| f.as_ref().ok()).and_then(Frame::data_ref);
            this.received = this.received.saturating_add(data.map_or(0, |data| data.len() as u64));
            // Whether it is over, now that there is nothing more to wait for.
            if !matches!(frame, Some(Ok(_))) || this.is_end_stream() {
                this.awaited = None;
            }
            return Poll::Ready(frame.map(|f| f.map_err(Into::into)));
        }
        let grace = this.grace;
        let Awaited { since, timer, .. } = this.awaited.get_or_insert_with(|| {
            let now = Instant::now();
            let mark = AwaitedBody::new(this.pulse.clone());
            Awaited { since: now, timer: Box::pin(sleep_until(now + grace)), _mark: mark }
        });
        let deadline = *since + this.grace + Duration::from_secs(this.received / LEAST_BYTES_PER_SECOND);
        if timer.deadline() < deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyTooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}

/// Answers are handed over in pieces of this size at most, so that progress shows.
const PIECE: usize = 64 * 1024;

/// The body of an answer, which keeps its request open until the client has taken it.
pub(super) struct Answer {
    body: Body,
    /// None where the request was refused without being counted in.
    request: Option<Arc<OpenRequest>>,
    /// HTTP/2 takes a piece before the client has room for it, as HTTP/1.1 does a large one; the piece itself then keeps
    /// the request open.
    http2: bool,
    /// What is left of a piece that was too large.
    rest: Bytes,
}

impl Answer {
    pub(super) fn new(body: Body, request: OpenRequest, http2: bool) -> Self {
        Self { body, request: Some(Arc::new(request)), http2, rest: Bytes::new() }
    }

    /// The answer to a request that never got a place.
    pub(super) fn refusal(body: Body) -> Self {
        Self { body, request: None, http2: false, rest: Bytes::new() }
    }

    fn piece(&mut self, mut data: Bytes) -> Bytes {
        let is_kept = self.http2 || data.len() > LARGE;
        let Some(request) = self.request.as_ref().filter(|_| is_kept) else { return data };
        self.rest = data.split_off(data.len().min(PIECE));
        request.has_sent_piece();
        Bytes::from_owner(Piece { data, request: request.clone() })
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = match std::mem::take(&mut self.rest) {
            rest if rest.is_empty() => match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    if let Some(request) = &self.request {
                        request.awaits_more();
                    }
                    return Poll::Pending;
                }
            },
            rest => Some(Ok(Frame::data(rest))),
        };
        if let Some(request) = &self.request {
            request.has_moved();
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|data| self.piece(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

/// Bytes on their way to the client. The library drops them when they are written.
struct Piece {
    data: Bytes,
    request: Arc<OpenRequest>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.request.has_taken_piece();
    }
}
