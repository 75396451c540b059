//! Sign-in through each dialect and sign-up on 64 connections, beside the bare hash on the same cores, by turns.

use std::time::Duration;

use super::series::Series;
use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::callers::{Dialect, SignIn};
use crate::limits::bare_hash_rate;
use crate::load::{Caller, Window, Worker, closed_loops};
use crate::nhost;
use crate::noma::{Api, SignUp};
use crate::nora;
use crate::process::{Launch, Server};
use crate::report::Report;
use crate::seed::SeededSession;

/// Accounts each connection signs in to.
const ACCOUNTS_EACH: usize = 2;

/// Seconds until 64 requests wait evenly at the pool.
const WARM_UP: f64 = 0.7;

/// What every account must reach of the bare hash.
const TARGET: f64 = 0.92;

/// Adds the rows of sign-in and sign-up.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let [_, site] = bench.sites()?;
    let accounts = site.take(ACCOUNTS_EACH * CONNECTIONS)?;
    let server = Launch::keystead(&site.data).with(&nora::UNLIMITED).with(&nhost::UNLIMITED).start()?;
    let api = Api::of(&server);
    against_hash(bench, report, &server, "sign-in", sign_ins(&api, &accounts))?;
    against_hash(bench, report, &server, "Nora sign-in", sign_ins(&nora::Api::of(&server), &accounts))?;
    against_hash(bench, report, &server, "Nhost sign-in", sign_ins(&nhost::Api::of(&server), &accounts))?;
    let sign_ups = (0..CONNECTIONS).map(|index| SignUp::new(&api, format!("new{index}"))).collect();
    against_hash(bench, report, &server, "sign-up", sign_ups)?;
    server.stop()
}

fn sign_ins(api: &impl Dialect, accounts: &[SeededSession]) -> Vec<SignIn> {
    accounts.chunks(ACCOUNTS_EACH).map(|accounts| SignIn::new(api, accounts)).collect()
}

fn against_hash<C: Caller>(
    bench: &Bench,
    report: &mut Report,
    server: &Server,
    name: &str,
    callers: Vec<C>,
) -> Outcome<()> {
    let connect = Worker::connect(server.target(), group::SIGN_IN, CONNECTIONS, callers);
    let mut workers = bench.runtime.block_on(connect)?;
    let window = Window::secs(WARM_UP, bench.pace.hash_window);
    let (mut limits, mut ours) = (Vec::new(), Series::default());
    for _ in 0..bench.pace.hash_rounds {
        limits.push(bare_hash_rate(Duration::from_secs_f64(bench.pace.hash_window))?);
        ours.note(bench.runtime.block_on(closed_loops(&mut workers, window))?.strict()?);
    }
    let scenario = format!("{name}, 64 connections / bare Argon2id");
    report.load(&scenario, ours.figure(), Some(ours.over_rates(&limits)), Some(TARGET), "");
    Ok(())
}
