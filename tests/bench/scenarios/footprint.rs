//! What keystead costs before it does anything: start, restart after `kill -9`, idle memory, bytes a user.

use std::time::{Duration, Instant};

use super::{Bench, IDLE, group};
use crate::Outcome;
use crate::load::{Window, Worker, closed_loops};
use crate::noma::{Api, Refresh};
use crate::process::{Launch, Server, pause};
use crate::report::{Report, median};
use crate::seed::Site;
use crate::wire::{Connection, client};

/// Connections that write when the server is killed.
const WRITERS: usize = 16;

/// How long they write before it is.
const LOAD: Duration = Duration::from_millis(700);

/// Adds the rows of start, restart, memory and file size.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let (starts, folder) = (bench.pace.starts, bench.folder.clone());
    let first = Launch::keystead(&folder.join("empty")).start()?;
    report.shown("first start, on an empty directory", first.start_ms(), "ms", None, "makes keys and certificates");
    first.stop()?;
    let runtime = bench.runtime.handle().clone();
    for site in bench.sites()? {
        let scenario = format!("file, {} users, bytes each", site.users);
        // An empty file has its own size; only with many users is it theirs.
        if site.users > crate::FEW_USERS {
            report.below(&scenario, bytes_each(site)?, "B", 700.0);
        } else {
            report.shown(&scenario, bytes_each(site)?, "B", None, "");
        }
        let launch = Launch::keystead(&site.data);
        let mut ready = Vec::new();
        for _ in 0..starts {
            let server = launch.start()?;
            ready.push(server.start_ms());
            server.stop()?;
        }
        report.below(&format!("start to ready, {} users", site.users), median(ready), "ms", 25.0);

        let server = launch.start()?;
        let begun = Instant::now();
        runtime.block_on(first_answer(&server, site))?;
        let answered = server.start_ms() + begun.elapsed().as_secs_f64() * 1000.0;
        let note = "handshake and a durable refresh included";
        report.shown(&format!("start to first answer, {} users", site.users), answered, "ms", None, note);
        pause(IDLE);
        report.below(&format!("idle memory, {} users", site.users), server.resident_mib()?, "MiB", 16.0);
        server.stop()?;

        let mut worst: f64 = 0.0;
        for _ in 0..starts.div_ceil(2) {
            let server = launch.start()?;
            let callers = site.take(WRITERS * 2)?.chunks(2).map(|few| Refresh::new(&Api::of(&server), few)).collect();
            let mut workers = runtime.block_on(Worker::connect(server.target(), group::CRASH, WRITERS, callers))?;
            // The load outlives the server; what it sees then is not measured.
            let load =
                runtime.spawn(async move { closed_loops(&mut workers, Window::secs(0.0, 2.0)).await.map(|_| ()) });
            pause(LOAD);
            server.kill()?;
            let again = launch.start()?;
            worst = worst.max(again.start_ms());
            load.abort();
            again.stop()?;
        }
        report.below(&format!("start after kill -9, {} users, worst", site.users), worst, "ms", 100.0);
    }
    Ok(())
}

fn bytes_each(site: &Site) -> Outcome<f64> {
    Ok(site.file_bytes()? as f64 / site.users as f64)
}

async fn first_answer(server: &Server, site: &mut Site) -> Outcome<()> {
    let mut connection = Connection::open(server.target(), client(group::CRASH, 0)).await?;
    Api::of(server).access_tokens(&mut connection, &site.take(1)?).await?;
    Ok(())
}
