//! What a connection is doing, and when it has done too little for too long.
//!
//! Reads, writes, requests and answers leave marks here (an atomic store each); the connection's one timer looks at
//! them from time to time, so that no timer is set or moved for a request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::{HeldBytes, LARGE, Limits, RequestPlace};

/// The marks. Times are milliseconds since `born`, plus one; zero is never.
pub(super) struct Pulse {
    born: Instant,
    /// Length of an answer's age class, milliseconds.
    class: u64,
    requests: AtomicU32,
    had_request: AtomicBool,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    blocked_since: AtomicU64,
    /// Answers not yet taken by the client, counted in the age class of their last progress, in a ring. Classes 2 and
    /// 3 behind the present are too old; the connection is looked at before the ring wraps.
    answers: [AtomicU32; 4],
    answer_since: AtomicU64,
    /// Requests whose bodies are waited for.
    bodies: AtomicU32,
    body_since: AtomicU64,
    leaving: AtomicBool,
    leave: Notify,
}

/// What to do with a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    Fine(Instant),
    /// It is idle: let it go in good form.
    Idle,
    /// It stalls: drop it. Says in what.
    Stalled(&'static str),
}

impl Pulse {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            class: millis(limits.stall).max(1),
            requests: AtomicU32::new(0),
            had_request: AtomicBool::new(false),
            idle_since: AtomicU64::new(1),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            answers: Default::default(),
            answer_since: AtomicU64::new(0),
            bodies: AtomicU32::new(0),
            body_since: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            leave: Notify::new(),
        })
    }

    /// The handshake is over; the first request is awaited.
    pub(super) fn ready(&self) {
        self.idle_since.store(self.now(), Relaxed);
        self.head_since.store(0, Relaxed);
    }

    /// Whether a request ever came.
    pub(super) fn had_request(&self) -> bool {
        self.had_request.load(Relaxed)
    }

    /// Whether a request is being received, answered, or taken by the client.
    pub(super) fn is_busy(&self) -> bool {
        self.requests.load(Relaxed) > 0
    }

    /// How long the client has kept us waiting: for a handshake, a request, a body, or to take an answer. `None` while
    /// it waits for us, or was asked to leave already.
    pub(super) fn kept_waiting(&self) -> Option<Duration> {
        let requests = self.requests.load(Relaxed);
        let blocked = self.blocked_since.load(Relaxed);
        let since = if self.is_asked_to_leave() {
            return None;
        } else if blocked != 0 {
            blocked
        } else if requests == 0 {
            self.idle_since.load(Relaxed)
        } else {
            let bodies = self.bodies.load(Relaxed);
            // Wrapping: one may have left a class before it is counted there.
            let counts = self.answers.iter().map(|answers| answers.load(Relaxed));
            let answers = counts.fold(0, u32::wrapping_add);
            if answers + bodies < requests {
                return None;
            }
            if bodies > 0 { self.body_since.load(Relaxed) } else { self.answer_since.load(Relaxed) }
        };
        Some(Duration::from_millis(self.now().saturating_sub(since)))
    }

    /// Whether an answer waits to be taken.
    pub(super) fn has_answers(&self) -> bool {
        self.answers.iter().any(|answers| answers.load(Relaxed) > 0)
    }

    /// Somebody else wants the place.
    pub(super) fn ask_to_leave(&self) {
        self.leaving.store(true, Relaxed);
        self.leave.notify_one();
    }

    pub(super) fn is_asked_to_leave(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// Until it is asked to leave.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }

    /// Judges the connection. `idle`: how long it may be idle.
    pub(super) fn verdict(&self, limits: &Limits, http2: bool, idle: Duration) -> Verdict {
        let now = self.now();
        let (stall, header_read) = (millis(limits.stall), millis(limits.header_read));
        let mut next = now + stall.min(header_read).min(millis(idle)).max(1);
        let mut is_over = |since: u64, limit: u64| {
            if since != 0 {
                next = next.min((since + limit).max(now + 1));
            }
            since != 0 && now.saturating_sub(since) >= limit
        };
        if is_over(self.blocked_since.load(Relaxed), stall) {
            return Verdict::Stalled("taking what we send");
        }
        let class = now / self.class;
        if [class + 1, class + 2].iter().any(|old| self.answer_class(*old).load(Relaxed) > 0) {
            return Verdict::Stalled("taking an answer");
        }
        if !self.is_busy() {
            let idle_since = self.idle_since.load(Relaxed);
            if !self.had_request() && is_over(idle_since, header_read) {
                return Verdict::Stalled("sending its first request");
            }
            // HTTP/2 speaks between requests too; what it reads is no sign of a request.
            if !http2 && is_over(self.head_since.load(Relaxed), header_read) {
                return Verdict::Stalled("sending headers");
            }
            if is_over(idle_since, millis(idle)) {
                return Verdict::Idle;
            }
        }
        Verdict::Fine(self.born + Duration::from_millis(next))
    }

    fn now(&self) -> u64 {
        millis(self.born.elapsed()) + 1
    }

    fn answer_class(&self, class: u64) -> &AtomicU32 {
        &self.answers[usize::try_from(class % 4).expect("a remainder of four")]
    }

    fn has_read(&self) {
        if !self.is_busy() && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    fn has_written<T>(&self, result: Poll<T>) -> Poll<T> {
        let blocked = self.blocked_since.load(Relaxed) != 0;
        match (result.is_pending(), blocked) {
            (true, false) => self.blocked_since.store(self.now(), Relaxed),
            (false, true) => self.blocked_since.store(0, Relaxed),
            _ => {}
        }
        result
    }
}

/// In the word that says where an answer stands: see [`OpenRequest`].
const MARK: u64 = PIECE - 1;
const PIECE: u64 = 1 << 40;
const AWAITED: u64 = 1 << 63;

/// A request, from its headers to the last byte of its answer handed over. Dropped wherever it ends.
pub(super) struct OpenRequest {
    pulse: Arc<Pulse>,
    place: RequestPlace,
    /// Where the answer stands, in one word: the age class of its last progress, plus one, in the bits of `MARK`, zero
    /// while there is nothing for the client to take; how many pieces it has not taken; whether more is `AWAITED`.
    answer: AtomicU64,
    held: Option<HeldBytes>,
}

impl OpenRequest {
    pub(super) fn new(pulse: Arc<Pulse>, place: RequestPlace) -> Self {
        pulse.requests.fetch_add(1, Relaxed);
        pulse.had_request.store(true, Relaxed);
        pulse.head_since.store(0, Relaxed);
        Self { pulse, place, answer: AtomicU64::new(0), held: None }
    }

    /// Whether an answer of so many bytes may be held for the client; they are counted for as long as the request is
    /// open.
    pub(super) fn can_hold(&mut self, bytes: usize) -> bool {
        if bytes > LARGE {
            self.held = self.place.hold(bytes);
        }
        bytes <= LARGE || self.held.is_some()
    }

    /// The answer is ready, or more of it.
    pub(super) fn has_moved(&self) {
        self.step(|answer| answer & !AWAITED);
    }

    /// More of the answer is still being made: what the client waits for is no fault of its own.
    pub(super) fn awaits_more(&self) {
        self.step(|answer| answer | AWAITED);
    }

    /// A piece is on its way to the client.
    pub(super) fn has_sent_piece(&self) {
        self.step(|answer| answer + PIECE);
    }

    /// The client has taken a piece.
    pub(super) fn has_taken_piece(&self) {
        self.step(|answer| answer - PIECE);
    }

    fn step(&self, change: impl Fn(u64) -> u64) {
        let now = self.pulse.now();
        let class = now / self.pulse.class;
        let mut old = self.answer.load(Relaxed);
        loop {
            let changed = change(old) & !MARK;
            let mark = if changed == AWAITED { 0 } else { class + 1 };
            if changed | mark == old {
                break;
            }
            match self.answer.compare_exchange_weak(old, changed | mark, Relaxed, Relaxed) {
                Ok(_) if old & MARK == mark => break,
                Ok(_) => {
                    if mark != 0 {
                        self.pulse.answer_class(class).fetch_add(1, Relaxed);
                    }
                    self.leave(old);
                    break;
                }
                Err(found) => old = found,
            }
        }
        self.pulse.answer_since.store(now, Relaxed);
    }

    fn leave(&self, answer: u64) {
        if let Some(class) = (answer & MARK).checked_sub(1) {
            self.pulse.answer_class(class).fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.leave(self.answer.load(Relaxed));
        self.pulse.idle_since.store(self.pulse.now(), Relaxed);
        self.pulse.head_since.store(0, Relaxed);
        self.pulse.requests.fetch_sub(1, Relaxed);
    }
}

/// A request's body that is waited for, until dropped.
pub(super) struct AwaitedBody(Arc<Pulse>);

impl AwaitedBody {
    pub(super) fn new(pulse: Arc<Pulse>) -> Self {
        if pulse.bodies.fetch_add(1, Relaxed) == 0 {
            pulse.body_since.store(pulse.now(), Relaxed);
        }
        Self(pulse)
    }
}

impl Drop for AwaitedBody {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Relaxed);
    }
}

/// A stream that leaves its marks.
pub(super) struct Watched<T> {
    stream: T,
    pulse: Arc<Pulse>,
}

impl<T> Watched<T> {
    pub(super) fn new(stream: T, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.has_read();
        }
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, data);
        self.pulse.has_written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.pulse.has_written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn millis(span: Duration) -> u64 {
    // A century is forever, and leaves room to add.
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(100 * 365 * 86_400_000)
}
