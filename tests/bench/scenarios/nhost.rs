//! Nhost's `user` and `token` on 64 keep-alive connections with a million users, beside the bare HTTPS server.

use super::series::{Series, connect, round, window};
use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::bare::Template;
use crate::nhost::{Api, Refresh, UNLIMITED, user};
use crate::process::Launch;
use crate::report::Report;
use crate::wire::{Connection, client};

/// Sessions each connection goes through.
const SESSIONS_EACH: usize = 3;

/// Adds the rows.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let (rounds, folder, window) = (bench.pace.rounds, bench.folder.clone(), window(bench.pace.window));
    let [_, site] = bench.sites()?;
    let users = site.users;
    let accounts = site.take(SESSIONS_EACH * CONNECTIONS)?;
    let server = Launch::keystead(&site.data).with(&UNLIMITED).start()?;
    let (runtime, api) = (&bench.runtime, Api::of(&server));
    let mut connection = runtime.block_on(Connection::open(server.target(), client(group::TOKENS, 0)))?;
    let tokens = runtime.block_on(api.tokens(&mut connection, &accounts))?;

    let template = folder.join("nhost-user.json");
    runtime.block_on(async { Template::of(&connection.call(&api.user(&tokens[0].access)).await?) })?.save(&template)?;
    let bare = Launch::bare(&template)?.start()?;
    let callers = || tokens.chunks(SESSIONS_EACH).map(|few| user(&api, few)).collect();
    let mut bare_user = runtime.block_on(connect(&bare, callers()))?;
    let mut ours_user = runtime.block_on(connect(&server, callers()))?;
    let [mut limit, mut ours] = [Series::default(), Series::default()];
    for _ in 0..rounds {
        round(runtime, &bare, &mut bare_user, window, &mut limit)?;
        round(runtime, &server, &mut ours_user, window, &mut ours)?;
    }
    report.load("bare HTTPS, the bytes of Nhost user", limit.figure(), None, None, &limit.note_text());
    let scenario = format!("Nhost user, {users} users / bare HTTPS");
    report.load(&scenario, ours.figure(), Some(ours.over(&limit)), Some(0.6), &ours.note_text());

    let callers = tokens.chunks(SESSIONS_EACH).map(|few| Refresh::new(&api, few)).collect();
    let mut refresh = runtime.block_on(connect(&server, callers))?;
    let [mut limit, mut ours] = [Series::default(), Series::default()];
    for _ in 0..rounds {
        round(runtime, &bare, &mut bare_user, window, &mut limit)?;
        round(runtime, &server, &mut refresh, window, &mut ours)?;
    }
    let scenario = format!("Nhost token, {users} users / bare HTTPS");
    report.load(&scenario, ours.figure(), Some(ours.over(&limit)), Some(0.25), &ours.note_text());
    report.below(&format!("Nhost token, {users} users, p99"), ours.figure().p99, "ms", 10.0);

    // The one from before has been idle for longer than the server keeps such.
    let mut connection = runtime.block_on(Connection::open(server.target(), client(group::TOKENS, 0)))?;
    let status = |connection: &mut Connection, request: Vec<u8>| {
        runtime.block_on(async { connection.call(&request).await.map(|reply| reply.status) })
    };
    let access = &tokens[0].access;
    let before = status(&mut connection, api.user(access))?;
    let left = status(&mut connection, api.sign_out(access))?;
    let after = status(&mut connection, api.user(access))?;
    report.holds("Nhost user is refused at once after signout", (before, left, after) == (200, 200, 401));
    server.stop()
}
