//! `me` and refresh on 64 keep-alive connections, with few users and with many, beside the bare HTTPS server and the
//! bare durable write; `me` over HTTP/2, too.

use std::time::Duration;

use super::series::{Series, connect, round, window};
use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::bare::Template;
use crate::callers::Rounds;
use crate::limits::bare_write_rate;
use crate::load::Worker;
use crate::noma::{Api, Refresh, me};
use crate::process::{Launch, Server};
use crate::report::Report;
use crate::seed::{SeededSession, Site};
use crate::wire::{Connection, client};

/// Sessions each connection goes through, for `me` and for refresh.
const SESSIONS_EACH: usize = 6;

/// Requests at a time on one HTTP/2 connection.
const STREAMS: usize = 4;

/// The share of a round for each of the bare writes.
const WRITES: f64 = 0.4;

/// Adds the rows of `me` and refresh.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let (rounds, folder, window) = (bench.pace.rounds, bench.folder.clone(), window(bench.pace.window));
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

    // The bare server is asked with the same bytes, tokens and all.
    let mut bare_me = runtime.block_on(connect(&bare, me_callers(&many, &many_access)))?;
    let mut few_me = runtime.block_on(connect(&few, me_callers(&few, &few_access)))?;
    let mut many_me = runtime.block_on(connect(&many, me_callers(&many, &many_access)))?;
    let [mut limit, mut with_few, mut with_many] = [Series::default(), Series::default(), Series::default()];
    for _ in 0..rounds {
        round(runtime, &bare, &mut bare_me, window, &mut limit)?;
        round(runtime, &few, &mut few_me, window, &mut with_few)?;
        round(runtime, &many, &mut many_me, window, &mut with_many)?;
    }
    report.load("bare HTTPS, the bytes of me", limit.figure(), None, None, &limit.note_text());
    let scenario = format!("me, {} users / bare HTTPS", users[0]);
    report.load(&scenario, with_few.figure(), Some(with_few.over(&limit)), None, &with_few.note_text());
    let scenario = format!("me, {} users / bare HTTPS", users[1]);
    report.load(&scenario, with_many.figure(), Some(with_many.over(&limit)), Some(0.7), &with_many.note_text());
    let scenario = format!("me, {} / {} users", users[1], users[0]);
    report.load(&scenario, with_many.figure(), Some(with_many.over(&with_few)), Some(0.8), "");

    let share = |server, callers| runtime.block_on(share(server, callers));
    let mut bare_me_2 = share(&bare, me_callers(&many, &many_access))?;
    let mut many_me_2 = share(&many, me_callers(&many, &many_access))?;
    let [mut limit, mut ours] = [Series::default(), Series::default()];
    for _ in 0..rounds {
        round(runtime, &bare, &mut bare_me_2, window, &mut limit)?;
        round(runtime, &many, &mut many_me_2, window, &mut ours)?;
    }
    report.load("bare HTTPS, HTTP/2, the bytes of me", limit.figure(), None, None, &limit.note_text());
    let scenario = format!("me over HTTP/2, {} users / bare HTTPS", users[1]);
    report.load(&scenario, ours.figure(), Some(ours.over(&limit)), None, &ours.note_text());
    drop((bare_me_2, many_me_2));
    report.holds("me is refused at once after logout", runtime.block_on(revoked(&many, &many_access[0]))?);

    let mut few_refresh = runtime.block_on(connect(&few, few_refresh))?;
    let mut many_refresh = runtime.block_on(connect(&many, many_refresh))?;
    let [mut limit, mut with_few, mut with_many] = [Series::default(), Series::default(), Series::default()];
    let [mut single, mut grouped] = [Vec::new(), Vec::new()];
    let writes = Duration::from_secs_f64(WRITES * bench.pace.window);
    for _ in 0..rounds {
        round(runtime, &bare, &mut bare_me, window, &mut limit)?;
        round(runtime, &few, &mut few_refresh, window, &mut with_few)?;
        single.push(bare_write_rate(&folder, 1, writes)?);
        round(runtime, &many, &mut many_refresh, window, &mut with_many)?;
        grouped.push(CONNECTIONS as f64 * bare_write_rate(&folder, CONNECTIONS as u64, writes)?);
    }
    let scenario = format!("refresh, {} users / bare HTTPS", users[0]);
    report.load(&scenario, with_few.figure(), Some(with_few.over(&limit)), None, &with_few.note_text());
    let scenario = format!("refresh, {} users / bare HTTPS", users[1]);
    report.load(&scenario, with_many.figure(), Some(with_many.over(&limit)), Some(0.25), &with_many.note_text());
    let scenario = format!("refresh, {} / {} users", users[1], users[0]);
    report.load(&scenario, with_many.figure(), Some(with_many.over(&with_few)), Some(0.8), "");
    report.below(&format!("refresh, {} users, p99", users[1]), with_many.figure().p99, "ms", 10.0);
    let scenario = format!("refresh, {} users / bare write + fdatasync", users[1]);
    let per_call = with_many.over_rates(&single);
    report.load(
        &scenario,
        with_many.figure(),
        Some(per_call),
        None,
        "the ratio is durable refreshes for each fdatasync",
    );
    let scenario = format!("refresh, {} users / 64 bare writes an fdatasync", users[1]);
    report.load(&scenario, with_many.figure(), Some(with_many.over_rates(&grouped)), None, "");
    few.stop()?;
    many.stop()
}

/// Connects the callers over HTTP/2.
async fn share(server: &Server, callers: Vec<Rounds>) -> Outcome<Vec<Worker<Rounds>>> {
    Worker::share(server.target(), group::HTTP2, STREAMS, callers).await
}

pub(super) async fn access_tokens(server: &Server, sessions: &[SeededSession]) -> Outcome<Vec<String>> {
    let mut connection = Connection::open(server.target(), client(group::TOKENS, 0)).await?;
    Api::of(server).access_tokens(&mut connection, sessions).await
}

fn me_callers(server: &Server, access: &[String]) -> Vec<Rounds> {
    access.chunks(SESSIONS_EACH).map(|tokens| me(&Api::of(server), tokens)).collect()
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
