//! What others feel while one address storms sign-in: `me` from a second address, a sign-in from a third, and memory.

use std::time::Duration;

use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::callers::{Dialect, SignIn, Storm};
use crate::limits::{bare_hash_rate, cores, hash_mib};
use crate::load::{Tally, Window, Worker, closed_loops, paced};
use crate::nhost;
use crate::noma::{Api, me};
use crate::process::{Launch, Server, pause};
use crate::report::Report;
use crate::seed::SeededSession;
use crate::wire::{Connection, client};

/// `me` 20 times a second.
const ME_PERIOD: Duration = Duration::from_millis(50);

/// One sign-in a second.
const SIGN_IN_PERIOD: Duration = Duration::from_secs(1);

/// How long the storm blows before anything is measured.
const RISE: Duration = Duration::from_secs(1);

/// Accounts the storm knows the passwords of.
const KNOWN: usize = 256;

/// What the server may hold beside the hashing threads' memory, in MiB.
const REST_MIB: f64 = 48.0;

/// How one storm blows.
struct Weather {
    name: &'static str,
    connections: usize,
    /// Client addresses it comes from.
    addresses: usize,
    /// The whole server on one core.
    pinned: bool,
    /// As a share of a whole storm.
    length: f64,
    /// After "busy": a thousand clients that ask again at once would measure the driver.
    penalty: Duration,
}

/// What was seen in one storm.
struct Seen {
    quiet_me: Tally,
    me: Tally,
    sign_in: Tally,
    storm: Tally,
    peak_mib: f64,
}

/// Adds the rows of the storms.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    // One hash on a core that is busy hashing, as the others are.
    let hash_ms = 1000.0 * cores() as f64 / bare_hash_rate(Duration::from_secs_f64(bench.pace.hash_window))?;
    let memory_bound = |threads: usize| threads as f64 * hash_mib() + REST_MIB;
    let all_cores = Weather {
        name: "all cores",
        connections: CONNECTIONS,
        addresses: 1,
        pinned: false,
        length: 1.0,
        penalty: Duration::ZERO,
    };
    let mut seen = blow(bench, &all_cores, Api::of)?;
    report.latency("me at 20/s, quiet", &mut seen.quiet_me, None);
    report.latency("me at 20/s in a storm", &mut seen.me, Some(5.0));
    report.latency("one sign-in/s in a storm", &mut seen.sign_in, Some(4.0 * hash_ms));
    report.below("peak memory, 64 connections", seen.peak_mib, "MiB", memory_bound(cores()));
    report.shown("the storm itself", seen.storm.rate(), "/s", Some(1000.0 * cores() as f64 / hash_ms), &seen.others());

    let one_core = Weather { name: "one core", pinned: true, ..all_cores };
    let mut seen = blow(bench, &one_core, Api::of)?;
    report.latency("me at 20/s, quiet, server on one core", &mut seen.quiet_me, None);
    report.latency("me at 20/s in a storm, server on one core", &mut seen.me, Some(10.0));
    report.latency("one sign-in/s in a storm, server on one core", &mut seen.sign_in, Some(4.0 * hash_ms));
    report.shown("the storm itself, one core", seen.storm.rate(), "/s", Some(1000.0 / hash_ms), &seen.others());

    let many = Weather {
        name: "thousand",
        connections: 1000,
        addresses: 20,
        penalty: Duration::from_millis(200),
        ..all_cores
    };
    let mut seen = blow(bench, &many, Api::of)?;
    report.below("peak memory, 1000 connections", seen.peak_mib, "MiB", memory_bound(cores()));
    report.latency("me at 20/s, 1000 connections", &mut seen.me, None);
    report.shown("the storm itself, 1000 connections", seen.storm.rate(), "/s", None, &seen.others());

    let through_nhost = Weather { name: "Nhost", length: 0.6, ..all_cores };
    let mut seen = blow(bench, &through_nhost, nhost::Api::of)?;
    report.latency("me at 20/s in a storm through Nhost", &mut seen.me, Some(5.0));
    report.latency("one Nhost sign-in/s in that storm", &mut seen.sign_in, Some(4.0 * hash_ms));
    report.below("peak memory in that storm", seen.peak_mib, "MiB", memory_bound(cores()));
    report.shown("that storm itself", seen.storm.rate(), "/s", Some(1000.0 * cores() as f64 / hash_ms), &seen.others());
    Ok(())
}

impl Seen {
    fn others(&self) -> String {
        if self.storm.other.is_empty() { String::new() } else { self.storm.complaint() }
    }
}

/// A fresh server, a quiet moment, then the storm with both probes. Storm and sign-ins speak the dialect that `through`
/// makes.
fn blow<A: Dialect>(bench: &mut Bench, weather: &Weather, through: impl Fn(&Server) -> A) -> Outcome<Seen> {
    let span = Duration::from_secs_f64(bench.pace.storm * weather.length);
    let [_, site] = bench.sites()?;
    let (known, mut others) = (site.take(KNOWN)?, site.take(2)?);
    let launch = Launch::keystead(&site.data);
    let server = if weather.pinned { launch.pinned() } else { launch }.start()?;
    let (api, stormed, target) = (Api::of(&server), through(&server), server.target().clone());

    let third: Vec<SeededSession> = others.split_off(1);
    let access = bench.runtime.block_on(async {
        let mut connection = Connection::open(&target, client(group::PROBE, 0)).await?;
        api.access_tokens(&mut connection, &others).await
    })?;
    let quiet = paced(&target, group::PROBE, me(&api, &access), ME_PERIOD, span / 5);
    let quiet_me = joined(quiet)?;

    let each = known.len() / CONNECTIONS;
    let callers = (0..weather.connections).map(|index| {
        let start = (index * each) % known.len();
        let name = format!("{}-{index}", weather.name.replace(' ', "-"));
        Storm::new(&stormed, &known[start..start + each], name, weather.penalty)
    });
    let connect = Worker::connect(&target, group::STORM, weather.addresses, callers.collect());
    let mut workers = bench.runtime.block_on(connect)?;
    let storm = bench.runtime.spawn(async move {
        closed_loops(&mut workers, Window { warm_up: RISE, measured: span + SIGN_IN_PERIOD }).await
    });
    pause(RISE);
    let me = paced(&target, group::PROBE, me(&api, &access), ME_PERIOD, span);
    let sign_in = paced(&target, group::THIRD, SignIn::new(&stormed, &third), SIGN_IN_PERIOD, span);
    let (me, sign_in) = (joined(me)?, joined(sign_in)?);
    let storm = bench.runtime.block_on(storm)??;
    let peak_mib = server.peak_mib()?;
    server.stop()?;
    Ok(Seen { quiet_me, me, sign_in, storm, peak_mib })
}

fn joined(probe: std::thread::JoinHandle<Outcome<Tally>>) -> Outcome<Tally> {
    probe.join().map_err(|_| "a probe panicked")??.strict()
}
