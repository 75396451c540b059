//! What the server's process and file were like, every few seconds, and whether that is flat.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::Server;
use crate::report::Report;

/// Samples that are told as the soak goes on: one of so many.
const TOLD: usize = 12;

/// One look at the server.
pub(super) struct Sample {
    values: [f64; KINDS.len()],
}

/// What is looked at, and its unit.
const KINDS: [(&str, &str); 4] = [("memory", "MiB"), ("file", "MiB"), ("descriptors", ""), ("threads", "")];

impl Sample {
    /// As it is now; `data` is the server's directory.
    pub(super) fn of(server: &Server, data: &Path) -> Outcome<Self> {
        let process = format!("/proc/{}", server.pid());
        let mut bytes = 0;
        for entry in fs::read_dir(data.join("projects"))? {
            // What a backup or a probe keeps there for a moment may be gone again.
            bytes += entry?.metadata().map_or(0, |found| found.len());
        }
        let file = bytes as f64 / f64::from(1 << 20);
        let descriptors = fs::read_dir(format!("{process}/fd"))?.count() as f64;
        let threads = fs::read_dir(format!("{process}/task"))?.count() as f64;
        Ok(Self { values: [server.resident_mib()?, file, descriptors, threads] })
    }
}

/// All samples of a soak.
pub(super) struct Samples {
    begun: Instant,
    span: Duration,
    taken: Vec<(f64, Sample)>,
}

impl Samples {
    /// Of a soak of this length that begins now.
    pub(super) fn new(span: Duration) -> Self {
        Self { begun: Instant::now(), span, taken: Vec::new() }
    }

    /// Adds one; tells one a minute, with the number of answers until then.
    #[expect(clippy::print_stderr, reason = "a run of half an hour shows how it goes")]
    pub(super) fn add(&mut self, sample: Sample, answers: u64) {
        let minutes = self.begun.elapsed().as_secs_f64() / 60.0;
        if self.taken.len().is_multiple_of(TOLD) {
            let [memory, file, descriptors, threads] = sample.values;
            eprintln!(
                "{minutes:5.1} min: {memory:.1} MiB, file {file:.2} MiB, {descriptors} descriptors, {threads} threads, \
                 {answers} answers"
            );
        }
        self.taken.push((minutes, sample));
    }

    /// How much of the soak is over, 0 to 1.
    pub(super) fn share(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() / self.span.as_secs_f64()
    }

    /// The last third's largest must be below `flat` times the second third's; the slope over both is shown.
    pub(super) fn judge(&self, report: &mut Report, flat: f64) {
        let third = self.span.as_secs_f64() / 60.0 / 3.0;
        for (kind, (name, unit)) in KINDS.into_iter().enumerate() {
            let value = |(minutes, sample): &(f64, Sample)| (*minutes, sample.values[kind]);
            let within = |from: f64, to: f64| {
                self.taken.iter().map(value).filter(move |(at, _)| *at >= from * third && *at < to * third)
            };
            let most = |from, to| within(from, to).map(|(_, value)| value).fold(f64::NAN, f64::max);
            let (second, last) = (most(1.0, 2.0), most(2.0, f64::INFINITY));
            let slope = slope(&within(1.0, f64::INFINITY).collect::<Vec<_>>()) * 60.0;
            let note = format!("{} in the first third, {slope:+.2} an hour", shown(most(0.0, 1.0)));
            report.shown(&format!("soak: {name}, most of the second third"), second, unit, None, &note);
            report.below(&format!("soak: {name}, most of the last third"), last, unit, second * flat);
        }
    }
}

fn shown(value: f64) -> String {
    format!("{value:.2}")
}

/// Least squares; per unit of the first coordinate.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    covariance / variance
}
