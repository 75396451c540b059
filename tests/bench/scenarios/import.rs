//! 100,000 accounts of another product, brought while the server runs: how long it takes, what memory the server needs,
//! and what somebody else feels.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Bench, group};
use crate::Outcome;
use crate::load::{Tally, paced};
use crate::noma::{Api, field, me};
use crate::process::Launch;
use crate::report::Report;
use crate::wire::{Connection, client};

/// What an import of that many accounts may take, seconds.
const BOUND: f64 = 20.0;

/// `me` 20 times a second, for as long as the import lasts in pieces of this length.
const PERIOD: Duration = Duration::from_millis(50);
const PIECE: Duration = Duration::from_millis(500);

/// A hash as Nora has it; the import does not compute it.
const HASH: &str = "$2a$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// Adds the rows.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let (accounts, folder) = (bench.pace.accounts, bench.folder.clone());
    let (data, table) = (folder.join("import"), folder.join("users.csv"));
    write_table(&table, accounts)?;
    let server = Launch::keystead(&data).start()?;
    let (api, target) = (Api::of(&server), server.target().clone());
    let access = bench.runtime.block_on(async {
        let mut connection = Connection::open(&target, client(group::IMPORT, 0)).await?;
        let reply = connection.call(&api.sign_up("ada@example.com", "correct horse")).await?;
        Outcome::Ok(field(reply.body, "access_token").ok_or("a sign-up without a session")?.to_owned())
    })?;
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystead"));
    command.args(["import", "--from", "nora", "--json"]).arg(&table).arg("--data-dir").arg(&data).env_clear();
    let importing = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let importing = std::thread::spawn(move || {
        let output = importing.wait_with_output();
        (output, begun.elapsed())
    });
    let mut others: Option<Tally> = None;
    while !importing.is_finished() {
        let probe = paced(&target, group::IMPORT, me(&api, std::slice::from_ref(&access)), PERIOD, PIECE);
        let more = probe.join().map_err(|_| "a probe panicked")??.strict()?;
        match &mut others {
            Some(tally) => tally.merge(more),
            None => others = Some(more),
        }
    }
    let (output, took) = importing.join().map_err(|_| "the import's thread panicked")?;
    let output = output?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if told["made"].as_u64() != Some(accounts as u64) {
        return Err(format!("the import said {told}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let scenario = format!("import --from nora, {accounts} accounts, while the server runs");
    report.below(&scenario, took.as_secs_f64(), "s", BOUND);
    report.shown("the server's peak memory in that import", server.peak_mib()?, "MiB", None, "");
    let mut others = others.ok_or("the import was over before anybody asked")?;
    report.latency("me at 20/s during that import", &mut others, None);
    server.stop()
}

/// A table of users as psql writes it.
fn write_table(path: &Path, accounts: usize) -> Outcome<()> {
    let mut table = BufWriter::new(fs::File::create(path)?);
    writeln!(table, "id,email,password_hash,role,name,avatar,provider,provider_id,preferred_locale,created_at")?;
    for number in 0..accounts {
        let id = format!("d4e5f6a7-b8c9-4d01-a234-{number:012x}");
        writeln!(table, "{id},nora{number}@example.com,{HASH},user,Nora {number},,,,en,2025-01-15T10:30:00Z")?;
    }
    Ok(table.flush()?)
}
