//! Load: closed loops on many connections, one paced probe, and what they saw.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::streams::Stream;
use crate::wire::{Connection, Target, Wire, client};

/// What one connection does: the next request, and what becomes of its answer.
pub(crate) trait Caller: Send + 'static {
    /// The next request, complete.
    fn request(&mut self) -> &[u8];
    /// Takes the answer; `false` when it is not the one the scenario is about.
    fn reply(&mut self, status: u16, body: &[u8]) -> bool;
    /// How long to stay silent after an answer that was not expected.
    fn penalty(&self) -> Duration {
        Duration::ZERO
    }
}

/// A caller and its connection; both live on from round to round.
pub(crate) struct Worker<C> {
    wire: Wire,
    caller: C,
}

impl<C: Caller> Worker<C> {
    /// Connects every caller, the `n`th from the `n`th address of `group`, at most `addresses` different ones.
    pub(crate) async fn connect(target: &Target, group: u8, addresses: usize, callers: Vec<C>) -> Outcome<Vec<Self>> {
        let mut workers = Vec::with_capacity(callers.len());
        for (index, caller) in callers.into_iter().enumerate() {
            let connection = Connection::open(target, client(group, index % addresses)).await?;
            workers.push(Self { wire: Wire::Http1(Box::new(connection)), caller });
        }
        Ok(workers)
    }

    /// Gives every caller a share of an HTTP/2 connection, `each` callers to a connection and an address.
    pub(crate) async fn share(target: &Target, group: u8, each: usize, callers: Vec<C>) -> Outcome<Vec<Self>> {
        let mut workers = Vec::with_capacity(callers.len());
        let mut streams = Vec::new();
        for (index, caller) in callers.into_iter().enumerate() {
            if streams.is_empty() {
                streams = Stream::open(target, client(group, index), each).await?;
            }
            let stream = streams.pop().ok_or("a connection without streams")?;
            workers.push(Self { wire: Wire::Http2(stream), caller });
        }
        Ok(workers)
    }

    /// What the caller has come to hold.
    pub(crate) fn into_caller(self) -> C {
        self.caller
    }
}

/// What a load saw within its window.
#[derive(Default)]
pub(crate) struct Tally {
    /// Answers as expected.
    pub(crate) good: u64,
    /// Other answers, by status; 0 stands for a broken connection.
    pub(crate) other: BTreeMap<u16, u64>,
    /// The first of the others, to be shown.
    pub(crate) oddity: Option<String>,
    /// How long the window was.
    pub(crate) window: Duration,
    micros: Vec<u32>,
}

impl Tally {
    /// Expected answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.good as f64 / self.window.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that a share of `quantile` (0 to 1) of the expected answers did not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&mut self, quantile: f64) -> f64 {
        self.micros.sort_unstable();
        let rank = (self.micros.len() as f64 * quantile).ceil() as usize;
        self.micros.get(rank.saturating_sub(1)).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    }

    /// The others as text, empty when there are none.
    pub(crate) fn complaint(&self) -> String {
        let counts =
            self.other.iter().map(|(status, count)| format!("{count} x {status}")).collect::<Vec<_>>().join(", ");
        match &self.oddity {
            Some(text) => format!("{counts}: {text}"),
            None => counts,
        }
    }

    /// This, or an error when any answer was not the expected one or there was none at all.
    pub(crate) fn strict(self) -> Outcome<Self> {
        if self.other.is_empty() && self.good > 0 {
            Ok(self)
        } else {
            Err(format!("{} answers as expected, others: {}", self.good, self.complaint()).into())
        }
    }

    fn note(&mut self, status: u16, text: impl FnOnce() -> String) {
        *self.other.entry(status).or_default() += 1;
        self.oddity.get_or_insert_with(text);
    }

    /// Adds what another saw.
    pub(crate) fn merge(&mut self, other: Self) {
        self.good += other.good;
        self.micros.extend_from_slice(&other.micros);
        for (status, count) in other.other {
            *self.other.entry(status).or_default() += count;
        }
        self.oddity = self.oddity.take().or(other.oddity);
    }
}

/// Warm-up and measured window of one round.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// Load before the window opens.
    pub(crate) warm_up: Duration,
    /// How long answers count.
    pub(crate) measured: Duration,
}

impl Window {
    /// From seconds.
    pub(crate) fn secs(warm_up: f64, measured: f64) -> Self {
        Self { warm_up: Duration::from_secs_f64(warm_up), measured: Duration::from_secs_f64(measured) }
    }
}

/// Has every worker ask `each` times, once warm or cold: for what can be asked only so often. The window is as long as
/// that takes.
pub(crate) async fn fixed_loops<C: Caller>(workers: &mut Vec<Worker<C>>, each: usize) -> Outcome<Tally> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut worker in workers.drain(..) {
        tasks.spawn(async move {
            let mut tally = Tally::default();
            for _ in 0..each {
                let since = Instant::now();
                let reply = worker.wire.call(worker.caller.request()).await?;
                if worker.caller.reply(reply.status, reply.body) {
                    tally.good += 1;
                    tally.micros.push(micros(since.elapsed()));
                } else {
                    tally.note(reply.status, || shown(reply.body));
                }
            }
            Outcome::Ok((worker, tally))
        });
    }
    let mut total = Tally::default();
    while let Some(done) = tasks.join_next().await {
        let (worker, tally) = done??;
        total.merge(tally);
        workers.push(worker);
    }
    total.window = begun.elapsed();
    Ok(total)
}

/// Runs every worker as a closed loop for `window`; gives the workers back for the next round.
pub(crate) async fn closed_loops<C: Caller>(workers: &mut Vec<Worker<C>>, window: Window) -> Outcome<Tally> {
    let opens = Instant::now() + window.warm_up;
    let closes = opens + window.measured;
    let mut tasks = JoinSet::new();
    for worker in workers.drain(..) {
        tasks.spawn(closed_loop(worker, opens, closes));
    }
    let mut total = Tally { window: window.measured, ..Tally::default() };
    while let Some(done) = tasks.join_next().await {
        let (worker, tally) = done?;
        total.merge(tally);
        workers.push(worker);
    }
    Ok(total)
}

async fn closed_loop<C: Caller>(mut worker: Worker<C>, opens: Instant, closes: Instant) -> (Worker<C>, Tally) {
    let mut tally = Tally { micros: Vec::with_capacity(64 * 1024), ..Tally::default() };
    loop {
        let begun = Instant::now();
        if begun >= closes {
            return (worker, tally);
        }
        let answer = worker.wire.call(worker.caller.request()).await;
        let done = Instant::now();
        let counts = done >= opens && done < closes;
        match answer {
            Ok(reply) => {
                if worker.caller.reply(reply.status, reply.body) {
                    if counts {
                        tally.good += 1;
                        tally.micros.push(micros(done - begun));
                    }
                    continue;
                }
                tally.note(reply.status, || shown(reply.body));
            }
            Err(error) => {
                tally.note(0, || error.to_string());
                if worker.wire.reopen().await.is_err() {
                    return (worker, tally);
                }
            }
        }
        let penalty = worker.caller.penalty();
        if !penalty.is_zero() {
            tokio::time::sleep(penalty).await;
        }
    }
}

/// One client that intends to send every `period` for `span`, from a thread and a runtime of its own; latencies count
/// from the intended moment, so that an answer which delays the next request is charged for it.
pub(crate) fn paced<C: Caller>(
    target: &Target,
    group: u8,
    mut caller: C,
    period: Duration,
    span: Duration,
) -> std::thread::JoinHandle<Outcome<Tally>> {
    let target = target.clone();
    std::thread::spawn(move || {
        let runtime = single_threaded()?;
        let mut connection = runtime.block_on(Connection::open(&target, client(group, 0)))?;
        let mut tally = Tally { window: span, ..Tally::default() };
        let first = Instant::now() + period;
        for turn in 0..(span.as_micros() / period.as_micros().max(1)) {
            let intended = first + period * u32::try_from(turn)?;
            wait_until(intended);
            let reply = runtime.block_on(connection.call(caller.request()))?;
            if caller.reply(reply.status, reply.body) {
                tally.good += 1;
                tally.micros.push(micros(intended.elapsed()));
            } else {
                tally.note(reply.status, || shown(reply.body));
            }
        }
        Ok(tally)
    })
}

/// A runtime for one client that must not wait behind the driver's others.
fn single_threaded() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The probe's clock: tokio's timer is a millisecond coarse, which would be a fifth of the bound it measures.
#[expect(clippy::disallowed_methods, reason = "a paced load waits for the moment it is due")]
fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(160)]).into_owned()
}
