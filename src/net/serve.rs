//! The accept loop and the life of one connection.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::header::EXPECT;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::{Service, ServiceExt};

use super::body::{Answer, arriving};
use super::client_address::PeerAddress;
use super::limits::{Guest, Guests, Limits, LiveLimits, Place};
use super::listen::Bound;
use super::pulse::{OpenRequest, Pulse, Verdict, Watched};
use super::tls::{ACME_TLS, Tls};
use super::wire::Wire;
use crate::metrics::{Level, Network};

/// How long to wait when the system has no descriptor or memory for another connection.
const BACK_OFF: Duration = Duration::from_millis(50);
/// How long a client may take to answer an HTTP/2 ping.
const PONG: Duration = Duration::from_secs(10);
/// HTTP/2 body bytes a client may send before anyone reads them, for a stream and for the connection.
const WINDOW: u32 = 64 * 1024;
/// HTTP/2 answer bytes kept for a stream.
const SEND_BUFFER: usize = 64 * 1024;

/// Request extension: who is at the other end of the socket (not always the client: see `ClientAddress::settle`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The socket's peer.
    pub address: PeerAddress,
    /// Whether the connection is TLS.
    pub tls: bool,
}

/// Request extension on unix sockets: the user id of the peer's process, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerUid(pub u32);

/// On what terms connections are served.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What they may cost.
    pub limits: LiveLimits,
    /// The reply to a request that is refused before anything looks at it: 431 for its headers, 503 for too many at a
    /// time.
    pub refusal: fn(StatusCode) -> Response<Body>,
    /// Where they are counted.
    pub counts: Arc<Network>,
}

/// These limits, refusals without a body, and counts nobody reads.
impl<L: Into<LiveLimits>> From<L> for Terms {
    fn from(limits: L) -> Self {
        let refusal = |status| {
            let mut reply = Response::new(Body::empty());
            *reply.status_mut() = status;
            reply
        };
        Self { limits: limits.into(), refusal, counts: Arc::default() }
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they took longer than `Limits::drain`.
    pub cut: usize,
}

/// Serves `service` on all `listeners` until `shutdown`, then finishes what was accepted.
///
/// Every request carries [`Peer`], and [`PeerUid`] on unix sockets. Its body fails with
/// [`BodyTooSlow`](super::BodyTooSlow) rather than wait forever. Accept errors never end the loop.
pub async fn serve<S>(
    listeners: Vec<Bound>,
    terms: impl Into<Terms>,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Drained
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let Terms { limits, refusal, counts } = terms.into();
    let (draining, _) = watch::channel(false);
    let guests = Guests::new(limits.clone(), counts.clone());
    let house = House { guests, draining: draining.subscribe(), limits, refusal, counts };
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut turn = 0;
    // Accepted, but without a place so far.
    let mut newcomer = None;
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = tasks.join_next() => report(ended),
            (wire, tls) = next_connection(&listeners, &mut turn), if newcomer.is_none() => {
                house.counts.accepted.one();
                match house.guests.admit(wire.peer()) {
                    Some(guest) => newcomer = Some((wire, tls, guest)),
                    None => {
                        house.counts.turned_away.one();
                        tracing::debug!(peer = ?wire.peer(), "too many connections from one address");
                    }
                }
            }
            place = house.limits.place(house.guests.crowd()), if newcomer.is_some() => {
                if let Some((wire, tls, guest)) = newcomer.take() {
                    tasks.spawn(connection(wire, tls, place, guest, house.clone(), service.clone()));
                }
            }
        }
    }
    drop(newcomer);
    drop(listeners);
    draining.send_replace(true);
    let all_done = timeout(house.limits.current().drain, async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    });
    let cut = if all_done.await.is_ok() { 0 } else { tasks.len() };
    tasks.shutdown().await;
    Drained { cut }
}

/// What all connections share.
#[derive(Clone)]
struct House {
    limits: LiveLimits,
    guests: Arc<Guests>,
    draining: watch::Receiver<bool>,
    refusal: fn(StatusCode) -> Response<Body>,
    counts: Arc<Network>,
}

async fn next_connection(listeners: &[Bound], turn: &mut usize) -> (Wire, Option<Tls>) {
    loop {
        let accepted = poll_fn(|cx| {
            // Each listener is first in turn, so that a busy one cannot starve another.
            for step in 0..listeners.len() {
                let at = (*turn + step) % listeners.len();
                if let Poll::Ready(result) = listeners[at].poll_accept(cx) {
                    *turn = at + 1;
                    return Poll::Ready(result.map(|wire| (wire, listeners[at].tls().cloned())));
                }
            }
            Poll::Pending
        });
        match accepted.await {
            Ok((wire, tls)) => return (wire, tls),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now");
                sleep(BACK_OFF).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        // The panic itself was logged where it happened, once.
        tracing::debug!("a connection ended in a panic");
    }
}

async fn connection<S>(wire: Wire, tls: Option<Tls>, place: Place, guest: Arc<Guest>, house: House, service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let _open = Level::hold(&house.counts);
    let counted = house.counts.clone();
    let limits = house.limits.current();
    wire.prepare();
    let (peer, uid) = (Peer { address: wire.peer(), tls: tls.is_some() }, wire.peer_uid().map(PeerUid));
    let pulse = Pulse::new(&limits);
    let seat = house.guests.crowd().join(pulse.clone());
    let (bounds, refusal) = (Arc::clone(&limits), house.refusal);
    let door = Door { peer, uid, guest, pulse: pulse.clone(), limits: bounds, refusal, service };
    let watched = Watched::new(wire, pulse.clone());
    // What only the handshake needs lies in a box of its own, given back before the conversation, which may last.
    let conversation = match tls {
        None => Some(converse(watched, false, door, house)),
        Some(tls) => {
            let handshake = Box::pin(timeout(limits.handshake, tls.acceptor().accept(watched)));
            match unless_asked_to_leave(&pulse, &counted, handshake).await {
                None => None,
                Some(Ok(Ok(stream))) => match stream.get_ref().1.alpn_protocol() {
                    // The handshake was the answer (RFC 8737, section 3).
                    Some(ACME_TLS) => None,
                    protocol => {
                        let http2 = protocol == Some(b"h2");
                        Some(converse(stream, http2, door, house))
                    }
                },
                Some(Ok(Err(error))) => {
                    house.counts.handshakes_failed.one();
                    tracing::debug!(?peer, %error, "handshake failed");
                    None
                }
                Some(Err(_)) => {
                    house.counts.handshakes_slow.one();
                    tracing::debug!(?peer, "handshake took too long");
                    None
                }
            }
        }
    };
    if let Some(conversation) = conversation {
        unless_asked_to_leave(&pulse, &counted, conversation).await;
    }
    // Before the place: whoever takes that must find nobody leaving.
    drop(seat);
    drop(place);
}

/// Goes on with `stage` of a connection, unless another wants its place.
async fn unless_asked_to_leave<F: Future + Unpin>(pulse: &Pulse, counts: &Network, stage: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = stage => Some(done),
        () = pulse.asked_to_leave() => {
            counts.gave_way.one();
            tracing::debug!("connection gave way to another");
            None
        }
    }
}

/// Speaks HTTP/2 where the handshake chose it, else HTTP/1.1.
///
/// Not an async function, whose state would hold each of its values twice for as long as the connection lives.
fn converse<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http2: bool,
    door: Door<S>,
    house: House,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let (pulse, limits, io) = (door.pulse.clone(), Arc::clone(&door.limits), TokioIo::new(stream));
    pulse.ready();
    let service = service_fn(move |request| door.enter(request));
    if http2 {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(limits.http2_streams)
            .max_header_list_size(u32::try_from(readable(&limits)).unwrap_or(u32::MAX))
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(limits.ping)
            .keep_alive_timeout(PONG);
        let conversation = Box::pin(http.serve_connection(io, service));
        Box::pin(watch_over(conversation, |c| c.graceful_shutdown(), pulse, true, limits, house))
    } else {
        let mut http = http1::Builder::new();
        http.max_buf_size(readable(&limits));
        let conversation = Box::pin(http.serve_connection(io, service));
        Box::pin(watch_over(conversation, |c| c.graceful_shutdown(), pulse, false, limits, house))
    }
}

/// How large a request's headers may be for the library, whose own refusal has no body: twice what is allowed, so that
/// nearly every client that sends too much is told so in words.
fn readable(limits: &Limits) -> usize {
    limits.header_bytes.max(8192).saturating_mul(2)
}

/// Drives a conversation to its end, or ends it when it stalls, idles, or the server stops.
async fn watch_over<C>(
    mut conversation: Pin<Box<C>>,
    ask_to_end: impl Fn(Pin<&mut C>),
    pulse: Arc<Pulse>,
    http2: bool,
    limits: Arc<Limits>,
    mut house: House,
) where
    C: Future<Output = hyper::Result<()>>,
{
    // Looking early costs nothing; looking late would stretch the shortest limit.
    let mut timer = pin!(sleep_until(Instant::now() + limits.header_read.min(limits.stall).min(limits.idle)));
    let mut drain_at: Option<Instant> = None;
    let mut asked_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            ended = conversation.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = timer.as_mut() => {}
            _ = house.draining.wait_for(|draining| *draining), if drain_at.is_none() => {
                // A connection that is new may have its first request on the way: it was accepted.
                let wait = if pulse.had_request() { Duration::ZERO } else { limits.linger };
                drain_at = Some(Instant::now() + wait);
            }
        }
        let now = Instant::now();
        if asked_at.is_some_and(|asked| now >= asked + limits.linger) && !pulse.is_busy() {
            return;
        }
        let idle = if house.limits.is_crowded() { limits.idle.min(limits.header_read) } else { limits.idle };
        let verdict = pulse.verdict(&limits, http2, idle);
        let mut next = match verdict {
            Verdict::Stalled(at) => {
                tracing::debug!(at, "connection stalled");
                return;
            }
            Verdict::Fine(next) => next,
            Verdict::Idle => now + limits.linger,
        };
        let drain = drain_at.is_some_and(|at| now >= at);
        if asked_at.is_none() && (drain || verdict == Verdict::Idle) {
            ask_to_end(conversation.as_mut());
            asked_at = Some(now);
        }
        if asked_at.is_some() {
            next = next.min(now + limits.linger);
        } else if let Some(at) = drain_at {
            next = next.min(at);
        }
        timer.as_mut().reset(next);
    }
}

/// Where requests of one connection enter.
struct Door<S> {
    peer: Peer,
    uid: Option<PeerUid>,
    guest: Arc<Guest>,
    pulse: Arc<Pulse>,
    limits: Arc<Limits>,
    refusal: fn(StatusCode) -> Response<Body>,
    service: S,
}

impl<S> Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    fn enter(&self, request: Request<Incoming>) -> impl Future<Output = Result<Response<Answer>, Infallible>> + use<S> {
        let http2 = request.version() == Version::HTTP_2;
        let entered = self.check(&request).map(|open| {
            // A client that waits for 100 (Continue) sends nothing it is not asked for; HTTP/2 ends a stream by itself.
            let drain = !http2 && !request.headers().contains_key(EXPECT);
            let (head, body) = request.into_parts();
            let (body, unread) = arriving(body, self.limits.stall, &self.pulse);
            let unread = Some(unread).filter(|_| drain);
            let mut request = Request::from_parts(head, body);
            request.extensions_mut().insert(self.peer);
            if let Some(uid) = self.uid {
                request.extensions_mut().insert(uid);
            }
            (open, self.service.clone().oneshot(request), unread, self.limits.linger)
        });
        let refusal = self.refusal;
        async move {
            match entered {
                Ok((mut open, answer, unread, linger)) => {
                    let answer = answer.await?;
                    if let Some(unread) = unread {
                        unread.take_in(linger).await;
                    }
                    let bytes =
                        answer.body().size_hint().upper().map_or(0, |bytes| usize::try_from(bytes).unwrap_or(0));
                    if !open.can_hold(bytes) {
                        return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE).map(Answer::refusal));
                    }
                    open.has_moved();
                    Ok(answer.map(|body| Answer::new(body, open, http2)))
                }
                Err(status) => Ok(refusal(status).map(Answer::refusal)),
            }
        }
    }

    fn check(&self, request: &Request<Incoming>) -> Result<OpenRequest, StatusCode> {
        let headers = request.headers();
        if headers.len() > self.limits.headers || size_of(headers) > self.limits.header_bytes {
            self.guest.counts().oversized.one();
            return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        let place = self.guest.request().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        Ok(OpenRequest::new(self.pulse.clone(), place))
    }
}

/// What headers weigh, as HTTP/2 counts them (RFC 9113, section 6.5.2).
fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}
