//! Sign-in and sign-up on 64 connections beside the bare hash on the same cores, by turns.

use std::time::Duration;

use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::limits::bare_hash_rate;
use crate::load::{Caller, Window, Worker, closed_loops};
use crate::noma::{Api, SignIn, SignUp};
use crate::process::{Launch, Server};
use crate::report::{Report, median};

/// Accounts each connection signs in to.
const ACCOUNTS_EACH: usize = 2;

/// Seconds until 64 requests wait evenly at the pool.
const WARM_UP: f64 = 1.0;

/// What every account must reach of the bare hash.
const TARGET: f64 = 0.92;

/// Adds the rows of sign-in and sign-up.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let [_, site] = bench.sites()?;
    let accounts = site.take(ACCOUNTS_EACH * CONNECTIONS)?;
    let server = Launch::keystead(&site.data).start()?;
    let api = Api::of(&server);
    let sign_ins = accounts.chunks(ACCOUNTS_EACH).map(|accounts| SignIn::new(&api, accounts)).collect();
    against_hash(bench, report, &server, "sign-in", group::SIGN_IN, sign_ins)?;
    let sign_ups = (0..CONNECTIONS).map(|index| SignUp::new(&api, format!("new{index}"))).collect();
    against_hash(bench, report, &server, "sign-up", group::SIGN_UP, sign_ups)?;
    server.stop()
}

fn against_hash<C: Caller>(
    bench: &Bench,
    report: &mut Report,
    server: &Server,
    name: &str,
    group: u8,
    callers: Vec<C>,
) -> Outcome<()> {
    let connect = Worker::connect(server.target(), group, CONNECTIONS, callers);
    let mut workers = bench.runtime.block_on(connect)?;
    let window = Window::secs(WARM_UP, bench.pace.hash_window);
    let [mut rates, mut ratios, mut p99s] = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..bench.pace.hash_rounds {
        let limit = bare_hash_rate(Duration::from_secs_f64(bench.pace.hash_window))?;
        let mut tally = bench.runtime.block_on(closed_loops(&mut workers, window))?.strict()?;
        rates.push(tally.rate());
        ratios.push(tally.rate() / limit);
        p99s.push(tally.quantile_ms(0.99));
    }
    report.ratio(&format!("{name}, 64 connections / bare Argon2id"), median(rates), median(ratios), "/s", TARGET);
    report.shown(&format!("{name}, 64 connections, p99"), median(p99s), "ms", None, "");
    Ok(())
}
