//! The limits by themselves: what this machine can do before any server of ours runs.

use std::time::Duration;

use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::bare::Template;
use crate::limits::{bare_hash_rate, bare_write_rate, cores};
use crate::load::{Window, Worker, closed_loops};
use crate::noma::{Api, Me};
use crate::process::Launch;
use crate::report::Report;

/// Adds one row per limit.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let hashes = bare_hash_rate(Duration::from_secs_f64(bench.pace.hash_window))?;
    report.shown("bare Argon2id, all cores", hashes, "/s", None, &format!("{} cores", cores()));
    let writes = bare_write_rate(&bench.folder, Duration::from_secs_f64(bench.pace.window))?;
    report.shown("bare 4 KiB write + fdatasync", writes, "/s", None, "");
    let template = bench.folder.join("example.json");
    Template::example().save(&template)?;
    let bare = Launch::bare(&template)?.start()?;
    let callers = (0..CONNECTIONS).map(|_| Me::new(&Api::of(&bare), &["an-access-token".to_owned()])).collect();
    let mut tally = bench.runtime.block_on(async {
        let mut workers = Worker::connect(bare.target(), group::TOKENS, CONNECTIONS, callers).await?;
        closed_loops(&mut workers, Window::secs(0.5, bench.pace.window)).await?.strict()
    })?;
    let p99 = tally.quantile_ms(0.99);
    report.shown("bare HTTPS, 64 connections", tally.rate(), "/s", None, &format!("p99 {p99:.2} ms"));
    Ok(())
}
