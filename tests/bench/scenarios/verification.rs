//! Addresses that are proved: Noma's tokens, which the answer brings, and Nhost's tickets, which a mail brings.
//!
//! Each address is proved once, so a round asks a fixed number of times instead of for a time. Beside it the bare durable
//! writes of as many at once.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::series::Series;
use super::{Bench, CONNECTIONS, group};
use crate::Outcome;
use crate::callers::Rounds;
use crate::limits::bare_write_rate;
use crate::load::{Worker, fixed_loops};
use crate::nhost::{self, follow, send_links};
use crate::noma::{Api, Resend};
use crate::process::{Launch, Server, pause};
use crate::report::Report;

/// How long the bare writes are measured in each round.
const WRITES: Duration = Duration::from_millis(400);

/// How long the mails may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Adds the rows.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let (rounds, each, folder) = (bench.pace.proof_rounds, bench.pace.proofs, bench.folder.clone());
    let inbox = folder.join("mails");
    let [_, site] = bench.sites()?;
    let noma: Vec<_> = (0..rounds).map(|_| site.addresses(each * CONNECTIONS)).collect::<Outcome<_>>()?;
    // Fewer: each is a mail, and a file.
    let links = each.div_ceil(2);
    let nhost = site.addresses(links * CONNECTIONS)?;
    let dir = inbox.to_string_lossy().into_owned();
    let mails = [("KEYSTEAD_MAIL__TRANSPORT", "file"), ("KEYSTEAD_MAIL__FILE__DIR", dir.as_str())];
    let server = Launch::keystead(&site.data).with(&mails).start()?;
    let (runtime, api) = (&bench.runtime, Api::of(&server));

    let [mut resend, mut confirm] = [Series::default(), Series::default()];
    let mut limits = Vec::new();
    for addresses in &noma {
        let callers = addresses.chunks(each).map(|emails| Resend::new(&api, emails)).collect();
        let mut workers = runtime.block_on(connect(&server, callers))?;
        resend.note(runtime.block_on(fixed_loops(&mut workers, each))?.strict()?);
        limits.push(CONNECTIONS as f64 * bare_write_rate(&folder, CONNECTIONS as u64, WRITES)?);
        let callers = workers.into_iter().map(|worker| worker.into_caller().confirmations(&api)).collect();
        let mut workers = runtime.block_on(connect(&server, callers))?;
        confirm.note(runtime.block_on(fixed_loops(&mut workers, each))?.strict()?);
    }
    for (name, series) in [("verify-email/resend", &resend), ("verify-email/confirm", &confirm)] {
        let scenario = format!("{name} / 64 bare writes an fdatasync");
        report.load(&scenario, series.figure(), Some(series.over_rates(&limits)), None, "");
    }

    let api = nhost::Api::of(&server);
    let callers: Vec<Rounds> = nhost.chunks(links).map(|emails| send_links(&api, emails)).collect();
    let mut workers = runtime.block_on(connect(&server, callers))?;
    let (begun, mut sent) = (Instant::now(), Series::default());
    sent.note(runtime.block_on(fixed_loops(&mut workers, links))?.strict()?);
    report.load("Nhost send-verification-email", sent.figure(), None, None, "");
    let tickets = tickets(&inbox, nhost.len())?;
    let rate = tickets.len() as f64 / begun.elapsed().as_secs_f64();
    report.shown("those mails, from the request to a file", rate, "/s", None, "");
    let limit = CONNECTIONS as f64 * bare_write_rate(&folder, CONNECTIONS as u64, WRITES)?;
    let callers: Vec<Rounds> = tickets.chunks(links).map(|tickets| follow(&api, tickets)).collect();
    let mut workers = runtime.block_on(connect(&server, callers))?;
    let mut followed = Series::default();
    followed.note(runtime.block_on(fixed_loops(&mut workers, links))?.strict()?);
    let ratio = followed.over_rates(&[limit]);
    report.load("Nhost verify / 64 bare writes an fdatasync", followed.figure(), Some(ratio), None, "");
    server.stop()
}

async fn connect<C: crate::load::Caller>(server: &Server, callers: Vec<C>) -> Outcome<Vec<Worker<C>>> {
    Worker::connect(server.target(), group::PROOFS, CONNECTIONS, callers).await
}

/// The tickets of that many mails, once all have been written.
fn tickets(inbox: &Path, count: usize) -> Outcome<Vec<String>> {
    let given_up = Instant::now() + PATIENCE;
    loop {
        // Made with the first mail.
        let names = fs::read_dir(inbox).into_iter().flatten().flatten().map(|entry| entry.path());
        let whole: Vec<_> = names.filter(|path| path.extension().is_some_and(|end| end == "eml")).collect();
        if whole.len() >= count {
            return whole.iter().map(|path| ticket(&fs::read_to_string(path)?)).collect();
        }
        if Instant::now() > given_up {
            return Err(format!("{} of {count} mails came", whole.len()).into());
        }
        pause(Duration::from_millis(20));
    }
}

/// The header that Nhost Auth's tests read, too.
fn ticket(mail: &str) -> Outcome<String> {
    let header = mail.lines().find_map(|line| line.strip_prefix("X-Ticket: "));
    Ok(header.ok_or("a mail without a ticket")?.trim().to_owned())
}
