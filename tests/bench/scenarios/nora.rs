//! Nora's `me` on 64 keep-alive connections with a million users, beside the bare HTTPS server; the same with the largest
//! picture there may be.

use super::series::{Series, connect, round, window};
use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::bare::Template;
use crate::nora::{Api, UNLIMITED, me};
use crate::process::Launch;
use crate::report::Report;
use crate::wire::{Connection, client};

/// Adds the rows.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let (rounds, folder, window) = (bench.pace.rounds, bench.folder.clone(), window(bench.pace.window));
    let [_, site] = bench.sites()?;
    let users = site.users;
    let accounts = site.take(CONNECTIONS + 1)?;
    let server = Launch::keystead(&site.data).with(&UNLIMITED).start()?;
    let (runtime, api) = (&bench.runtime, Api::of(&server));
    let mut connection = runtime.block_on(Connection::open(server.target(), client(group::TOKENS, 0)))?;
    let tokens = runtime.block_on(api.tokens(&mut connection, &accounts))?;
    let (pictured, tokens) = tokens.split_last().ok_or("no session")?;

    let template = folder.join("nora-me.json");
    runtime.block_on(async { Template::of(&connection.call(&api.me(&tokens[0])).await?) })?.save(&template)?;
    let bare = Launch::bare(&template)?.start()?;
    let callers = || tokens.iter().map(|token| me(&api, token)).collect();
    let mut bare_me = runtime.block_on(connect(&bare, callers()))?;
    let mut ours_me = runtime.block_on(connect(&server, callers()))?;
    let [mut limit, mut ours] = [Series::default(), Series::default()];
    for _ in 0..rounds {
        round(runtime, &bare, &mut bare_me, window, &mut limit)?;
        round(runtime, &server, &mut ours_me, window, &mut ours)?;
    }
    let scenario = format!("Nora me, {users} users / bare HTTPS");
    report.load(&scenario, ours.figure(), Some(ours.over(&limit)), Some(0.7), &ours.note_text());

    let picture = format!("data:image/png;base64,{}", "A".repeat(500_000 - 22));
    let status =
        runtime.block_on(async { connection.call(&api.picture(pictured, &picture)).await.map(|r| r.status) })?;
    report.holds("a picture of 500,000 characters is taken", status == 200);
    let callers = (0..CONNECTIONS).map(|_| me(&api, pictured)).collect();
    let mut with_picture = runtime.block_on(connect(&server, callers))?;
    let mut pictures = Series::default();
    for _ in 0..rounds {
        round(runtime, &server, &mut with_picture, window, &mut pictures)?;
    }
    report.above("Nora me with that picture", pictures.figure(), 500.0, &pictures.note_text());

    let status = |connection: &mut Connection, request: Vec<u8>| {
        runtime.block_on(async { connection.call(&request).await.map(|reply| reply.status) })
    };
    let before = status(&mut connection, api.me(&tokens[0]))?;
    let left = status(&mut connection, api.logout(&tokens[0]))?;
    let after = status(&mut connection, api.me(&tokens[0]))?;
    report.holds("Nora me is refused at once after logout", (before, left, after) == (200, 200, 401));
    server.stop()
}
