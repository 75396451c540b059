//! The limits by themselves: what this machine can do before any server of ours runs.

use std::time::Duration;

use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::bare::Template;
use crate::callers::Rounds;
use crate::limits::{bare_hash_rate, bare_write_rate, cores};
use crate::load::{Window, Worker, closed_loops};
use crate::noma::{Api, me};
use crate::process::Launch;
use crate::report::{Figure, Report};

/// Adds one row per limit.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let hashes = bare_hash_rate(Duration::from_secs_f64(bench.pace.hash_window))?;
    report.shown("bare Argon2id, all cores", hashes, "/s", None, &format!("{} cores", cores()));
    for (together, name) in [(1, "bare 4 KiB write + fdatasync"), (64, "bare fdatasync of 64 such writes")] {
        let calls = bare_write_rate(&bench.folder, together, Duration::from_secs_f64(bench.pace.window))?;
        report.shown(name, calls, "/s", None, "");
    }
    let template = bench.folder.join("example.json");
    Template::example().save(&template)?;
    let bare = Launch::bare(&template)?.start()?;
    let callers = || (0..CONNECTIONS).map(|_| me(&Api::of(&bare), &["an-access-token".to_owned()])).collect();
    let target = bare.target();
    bench.runtime.block_on(async {
        let workers = Worker::connect(target, group::TOKENS, CONNECTIONS, callers()).await?;
        report.load("bare HTTPS, 64 connections", measured(workers, bench.pace.window).await?, None, None, "");
        let workers = Worker::share(target, group::HTTP2, 4, callers()).await?;
        let scenario = "bare HTTPS, HTTP/2, 16 connections of 4 streams";
        report.load(scenario, measured(workers, bench.pace.window).await?, None, None, "");
        Ok(())
    })
}

async fn measured(mut workers: Vec<Worker<Rounds>>, window: f64) -> Outcome<Figure> {
    let mut tally = closed_loops(&mut workers, Window::secs(0.5, window)).await?.strict()?;
    Ok(Figure { rate: tally.rate(), p50: tally.quantile_ms(0.5), p99: tally.quantile_ms(0.99) })
}
