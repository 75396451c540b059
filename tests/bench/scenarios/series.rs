//! Servers that take turns: one round of one load at a time, so that a change of the machine's mood meets them all.

use tokio::runtime::Runtime;

use super::{CONNECTIONS, group};
use crate::Outcome;
use crate::load::{Caller, Tally, Window, Worker, closed_loops};
use crate::process::Server;
use crate::report::{Figure, median};

/// The share of a round before its window opens.
const WARM_UP: f64 = 0.25;

/// A window of so many seconds, and the warm-up before it.
pub(super) fn window(measured: f64) -> Window {
    Window::secs(WARM_UP * measured, measured)
}

/// What one kind of load made of one server, round by round.
#[derive(Default)]
pub(super) struct Series {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    processor_micros: Vec<f64>,
}

impl Series {
    /// One more round.
    pub(super) fn note(&mut self, mut tally: Tally) {
        self.rates.push(tally.rate());
        self.p50.push(tally.quantile_ms(0.5));
        self.p99.push(tally.quantile_ms(0.99));
    }

    /// The medians of its rounds.
    pub(super) fn figure(&self) -> Figure {
        let [rate, p50, p99] = [&self.rates, &self.p50, &self.p99].map(|values| median(values.clone()));
        Figure { rate, p50, p99 }
    }

    /// The median of the rounds' ratios, neighbours in time divided by each other.
    pub(super) fn over(&self, limit: &Self) -> f64 {
        self.over_rates(&limit.rates)
    }

    /// The same with limits that are only rates.
    pub(super) fn over_rates(&self, limits: &[f64]) -> f64 {
        median(self.rates.iter().zip(limits).map(|(ours, limit)| ours / limit).collect())
    }

    /// What a row says besides.
    pub(super) fn note_text(&self) -> String {
        format!("{:.1} us processor each", median(self.processor_micros.clone()))
    }
}

/// One round of one server.
pub(super) fn round<C: Caller>(
    runtime: &Runtime,
    server: &Server,
    workers: &mut Vec<Worker<C>>,
    window: Window,
    series: &mut Series,
) -> Outcome<()> {
    let before = server.processor_secs()?;
    let tally = runtime.block_on(closed_loops(workers, window))?.strict()?;
    let answers = tally.rate() * (window.measured + window.warm_up).as_secs_f64();
    series.processor_micros.push((server.processor_secs()? - before) * 1e6 / answers);
    series.note(tally);
    Ok(())
}

/// Connects each caller, over HTTP/1.1.
pub(super) async fn connect<C: Caller>(server: &Server, callers: Vec<C>) -> Outcome<Vec<Worker<C>>> {
    Worker::connect(server.target(), group::TOKENS, CONNECTIONS, callers).await
}
