//! A server with a thousand projects beside one with a single project: start, memory, and `me` spread over all of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::series::{Series, round, window};
use super::tokens::access_tokens;
use super::{Bench, group};
use crate::Outcome;
use crate::callers::Rounds;
use crate::load::{Worker, closed_loops};
use crate::noma::{Api, field, me};
use crate::process::{Launch, Server, pause};
use crate::report::{Report, median};
use crate::wire::{Connection, client};

/// Connections where every turn may open a file: so few that it finds room beside the projects kept open.
const ASKING: usize = 8;

/// Connections that are too many for that.
const CROWD: usize = 32;

/// Projects that are busy where most are not; a server keeps 48 open.
const BUSY: usize = 40;

/// Makes the accounts; figures are taken at the default cost.
const CHEAP: [(&str, &str); 2] = [("KEYSTEAD_HASHING__MEMORY_KIB", "8"), ("KEYSTEAD_HASHING__ITERATIONS", "1")];

/// An account in a project, signed in.
struct Member {
    project: String,
    access: String,
}

/// Adds the rows.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let (count, rounds, starts) = (bench.pace.projects, bench.pace.rounds, bench.pace.starts);
    let (window, data) = (window(bench.pace.window), bench.folder.join("projects"));
    let members = bench.runtime.block_on(populate(&data, count))?;

    let launch = Launch::keystead(&data);
    let mut ready = Vec::new();
    for _ in 0..starts {
        let server = launch.start()?;
        ready.push(server.start_ms());
        server.stop()?;
    }
    report.shown(&format!("start to ready, {count} projects"), median(ready), "ms", None, "");
    let server = launch.start()?;
    pause(super::IDLE);
    report.shown(&format!("idle memory, {count} projects"), server.resident_mib()?, "MiB", None, "");

    let [few_site, _] = bench.sites()?;
    let sessions = few_site.take(ASKING)?;
    let single = Launch::keystead(&few_site.data).start()?;
    let runtime = &bench.runtime;
    let access = runtime.block_on(access_tokens(&single, &sessions))?;
    let callers = access.chunks(1).map(|tokens| me(&Api::of(&single), tokens)).collect();
    let mut of_one = runtime.block_on(connect(&single, callers))?;
    let busy = &members[..BUSY.min(members.len())];
    let mut of_busy = runtime.block_on(connect(&server, spread(&server, busy, ASKING)))?;
    let mut of_all = runtime.block_on(connect(&server, spread(&server, &members, ASKING)))?;
    let [mut one, mut some, mut all] = [Series::default(), Series::default(), Series::default()];
    for _ in 0..rounds {
        round(runtime, &single, &mut of_one, window, &mut one)?;
        round(runtime, &server, &mut of_busy, window, &mut some)?;
        round(runtime, &server, &mut of_all, window, &mut all)?;
    }
    report.load(&format!("me, 1 project, {ASKING} connections"), one.figure(), None, None, &one.note_text());
    let scenario = format!("me over {} of {count} projects / 1 project", busy.len());
    report.load(&scenario, some.figure(), Some(some.over(&one)), None, &some.note_text());
    let scenario = format!("me over all of {count} projects / 1 project");
    report.load(&scenario, all.figure(), Some(all.over(&one)), None, &all.note_text());
    let mut crowd = runtime.block_on(connect(&server, spread(&server, &members, CROWD)))?;
    let tally = runtime.block_on(closed_loops(&mut crowd, window))?;
    let refused: u64 = tally.other.values().sum();
    let percent = 100.0 * refused as f64 / (refused + tally.good).max(1) as f64;
    let scenario = format!("refused of me over all of {count} projects, {CROWD} connections");
    report.shown(&scenario, percent, "%", None, &format!("{:.0} answers a second", tally.rate()));
    report.shown(&format!("memory after that, {count} projects"), server.resident_mib()?, "MiB", None, "");
    single.stop()?;
    server.stop()
}

async fn connect(server: &Server, callers: Vec<Rounds>) -> Outcome<Vec<Worker<Rounds>>> {
    Worker::connect(server.target(), group::PROJECTS, ASKING, callers).await
}

/// Callers that go through the projects by turns, each through its own.
fn spread(server: &Server, members: &[Member], callers: usize) -> Vec<Rounds> {
    let requests_of = |caller: usize| {
        let own = members.iter().skip(caller).step_by(callers);
        own.map(|member| Api::within(server, Some(&member.project)).me(&member.access)).collect()
    };
    (0..callers).map(|caller| Rounds::of(requests_of(caller), 200)).collect()
}

/// Makes a data directory of `count` projects with one account each, signed in.
async fn populate(data: &Path, count: usize) -> Outcome<Vec<Member>> {
    let mut declared = String::new();
    for number in 0..count {
        // Writing to a String cannot fail.
        let _ = writeln!(declared, "[project.p{number}]");
    }
    let file = data.with_extension("toml");
    fs::write(&file, declared)?;
    let config = file.to_string_lossy().into_owned();
    let server = Launch::keystead(data).with(&CHEAP).with(&[("KEYSTEAD_CONFIG", config.as_str())]).start()?;
    let projects = server.projects().to_vec();
    if projects.len() != count {
        return Err(format!("{} projects instead of {count}", projects.len()).into());
    }
    let mut signing_up = tokio::task::JoinSet::new();
    for (index, share) in projects.chunks(count.div_ceil(ASKING)).enumerate() {
        let (target, share) = (server.target().clone(), share.to_vec());
        let apis: Vec<_> = share.iter().map(|project| Api::within(&server, Some(project))).collect();
        signing_up.spawn(async move {
            let mut connection = Connection::open(&target, client(group::PROJECTS, index)).await?;
            let mut members = Vec::new();
            for (project, api) in share.into_iter().zip(apis) {
                let reply = connection.call(&api.sign_up("ada@example.com", "correct horse")).await?;
                let access = field(reply.body, "access_token").map(str::to_owned);
                let access = access.ok_or_else(|| format!("sign-up answered {}", reply.status))?;
                members.push(Member { project, access });
            }
            Outcome::Ok(members)
        });
    }
    let mut members = Vec::new();
    while let Some(made) = signing_up.join_next().await {
        members.extend(made??);
    }
    server.stop()?;
    Ok(members)
}
