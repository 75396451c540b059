//! `me` and refresh on 64 keep-alive connections, with few users and with many, beside the bare HTTPS server.
//!
//! All servers run side by side and take turns in short rounds, so that a change of the machine's mood meets them all.

use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::bare::Template;
use crate::limits::bare_write_rate;
use crate::load::{Caller, Tally, Window, Worker, closed_loops};
use crate::noma::{Api, Me, Refresh};
use crate::process::{Launch, Server};
use crate::report::{Report, median};
use crate::seed::Site;
use crate::wire::{Connection, client};

/// Sessions each connection goes through, for `me` and for refresh.
const SESSIONS_EACH: usize = 6;

/// The share of a round before its window opens.
const WARM_UP: f64 = 0.25;

/// What one kind of load made of one server, round by round.
#[derive(Default)]
pub(super) struct Series {
    rates: Vec<f64>,
    p50: Vec<f64>,
    pub(super) p99: Vec<f64>,
    processor_micros: Vec<f64>,
}

impl Series {
    fn note(&mut self, mut tally: Tally, processor_secs: f64, window: Window) {
        let answers = tally.rate() * (window.measured + window.warm_up).as_secs_f64();
        self.rates.push(tally.rate());
        self.p50.push(tally.quantile_ms(0.5));
        self.p99.push(tally.quantile_ms(0.99));
        self.processor_micros.push(processor_secs * 1e6 / answers);
    }

    pub(super) fn rate(&self) -> f64 {
        median(self.rates.clone())
    }

    /// The median of the rounds' ratios, neighbours in time divided by each other.
    pub(super) fn over(&self, limit: &Self) -> f64 {
        median(self.rates.iter().zip(&limit.rates).map(|(ours, limit)| ours / limit).collect())
    }

    pub(super) fn note_text(&self) -> String {
        let [p50, p99, micros] = [&self.p50, &self.p99, &self.processor_micros].map(|values| median(values.clone()));
        format!("p50 {p50:.2} ms, p99 {p99:.2} ms, {micros:.1} us processor each")
    }
}

/// Adds the rows of `me` and refresh.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let window = Window::secs(WARM_UP * bench.pace.window, bench.pace.window);
    let (rounds, folder) = (bench.pace.rounds, bench.folder.clone());
    let [few_site, many_site] = bench.sites()?;
    let users = [few_site.users, many_site.users];
    let few = Launch::keystead(&few_site.data).start()?;
    let many = Launch::keystead(&many_site.data).start()?;
    let few_sessions = few_site.take(SESSIONS_EACH * CONNECTIONS)?;
    let many_sessions = many_site.take(SESSIONS_EACH * CONNECTIONS)?;
    let [few_refresh, many_refresh] = [refresh_callers(&few, few_site)?, refresh_callers(&many, many_site)?];
    let runtime = &bench.runtime;
    let few_access = runtime.block_on(access_tokens(&few, &few_sessions))?;
    let many_access = runtime.block_on(access_tokens(&many, &many_sessions))?;

    let template = folder.join("me.json");
    runtime.block_on(sample_answer(&many, &many_access[0]))?.save(&template)?;
    let bare = Launch::bare(&template)?.start()?;

    let mut bare_me = runtime.block_on(connect(&bare, me_callers(&many, &many_access)))?;
    let mut few_me = runtime.block_on(connect(&few, me_callers(&few, &few_access)))?;
    let mut many_me = runtime.block_on(connect(&many, me_callers(&many, &many_access)))?;
    let [mut limit, mut with_few, mut with_many] = [Series::default(), Series::default(), Series::default()];
    for _ in 0..rounds {
        round(runtime, &bare, &mut bare_me, window, &mut limit)?;
        round(runtime, &few, &mut few_me, window, &mut with_few)?;
        round(runtime, &many, &mut many_me, window, &mut with_many)?;
    }
    report.shown("bare HTTPS, the bytes of me", limit.rate(), "/s", None, &limit.note_text());
    report.shown(&format!("me, {} users", users[0]), with_few.rate(), "/s", Some(limit.rate()), &with_few.note_text());
    let scenario = format!("me, {} users / bare HTTPS", users[1]);
    report.ratio(&scenario, with_many.rate(), with_many.over(&limit), "/s", 0.7);
    report.shown(
        &format!("me, {} users", users[1]),
        with_many.rate(),
        "/s",
        Some(limit.rate()),
        &with_many.note_text(),
    );
    let scenario = format!("me, {} / {} users", users[1], users[0]);
    report.ratio(&scenario, with_many.rate(), with_many.over(&with_few), "/s", 0.8);
    report.holds("me is refused at once after logout", runtime.block_on(revoked(&many, &many_access[0]))?);

    let mut few_refresh = runtime.block_on(connect(&few, few_refresh))?;
    let mut many_refresh = runtime.block_on(connect(&many, many_refresh))?;
    let [mut limit, mut with_few, mut with_many] = [Series::default(), Series::default(), Series::default()];
    for _ in 0..rounds {
        round(runtime, &bare, &mut bare_me, window, &mut limit)?;
        round(runtime, &few, &mut few_refresh, window, &mut with_few)?;
        round(runtime, &many, &mut many_refresh, window, &mut with_many)?;
    }
    report.shown(&format!("refresh, {} users", users[0]), with_few.rate(), "/s", None, &with_few.note_text());
    let scenario = format!("refresh, {} users / bare HTTPS", users[1]);
    report.ratio(&scenario, with_many.rate(), with_many.over(&limit), "/s", 0.25);
    let scenario = format!("refresh, {} / {} users", users[1], users[0]);
    report.ratio(&scenario, with_many.rate(), with_many.over(&with_few), "/s", 0.8);
    report.below(&format!("refresh, {} users, p99", users[1]), median(with_many.p99.clone()), "ms", 10.0);
    let writes = bare_write_rate(&folder, window.measured)?;
    let scenario = format!("refresh, {} users / bare fdatasync", users[1]);
    report.shown(&scenario, with_many.rate(), "/s", Some(writes), &with_many.note_text());
    few.stop()?;
    many.stop()
}

/// One round of one server.
pub(super) fn round<C: Caller>(
    runtime: &tokio::runtime::Runtime,
    server: &Server,
    workers: &mut Vec<Worker<C>>,
    window: Window,
    series: &mut Series,
) -> Outcome<()> {
    let before = server.processor_secs()?;
    let tally = runtime.block_on(closed_loops(workers, window))?.strict()?;
    series.note(tally, server.processor_secs()? - before, window);
    Ok(())
}

/// Connects each caller.
pub(super) async fn connect<C: Caller>(server: &Server, callers: Vec<C>) -> Outcome<Vec<Worker<C>>> {
    Worker::connect(server.target(), group::TOKENS, CONNECTIONS, callers).await
}

async fn access_tokens(server: &Server, sessions: &[crate::seed::SeededSession]) -> Outcome<Vec<String>> {
    let mut connection = Connection::open(server.target(), client(group::TOKENS, 0)).await?;
    Api::of(server).access_tokens(&mut connection, sessions).await
}

/// The bare server is asked with the same bytes, tokens and all.
fn me_callers(server: &Server, access: &[String]) -> Vec<Me> {
    access.chunks(SESSIONS_EACH).map(|tokens| Me::new(&Api::of(server), tokens)).collect()
}

fn refresh_callers(server: &Server, site: &mut Site) -> Outcome<Vec<Refresh>> {
    let sessions = site.take(SESSIONS_EACH * CONNECTIONS)?;
    Ok(sessions.chunks(SESSIONS_EACH).map(|few| Refresh::new(&Api::of(server), few)).collect())
}

async fn sample_answer(server: &Server, access: &str) -> Outcome<Template> {
    let mut connection = Connection::open(server.target(), client(group::TOKENS, 0)).await?;
    Template::of(&connection.call(&Api::of(server).me(access)).await?)
}

/// Whether `me` stops answering with the very next request after a logout on another connection.
async fn revoked(server: &Server, access: &str) -> Outcome<bool> {
    let api = Api::of(server);
    let mut asks = Connection::open(server.target(), client(group::TOKENS, 0)).await?;
    let mut leaves = Connection::open(server.target(), client(group::TOKENS, 1)).await?;
    let before = asks.call(&api.me(access)).await?.status;
    let left = leaves.call(&api.logout(access)).await?.status;
    let after = asks.call(&api.me(access)).await?.status;
    Ok((before, left, after) == (200, 200, 401))
}
