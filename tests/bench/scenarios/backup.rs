//! What those who sign in feel while a backup is taken, and how fast it is.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Bench, group};
use crate::Outcome;
use crate::callers::SignIn;
use crate::load::{Tally, paced};
use crate::noma::Api;
use crate::process::Launch;
use crate::report::Report;

/// A sign-in 20 times a second: a third of a core.
const PERIOD: Duration = Duration::from_millis(50);

/// Accounts that sign in.
const KNOWN: usize = 256;

/// How much slower the slowest of a hundred may be.
const TWICE: f64 = 2.0;

/// Adds the rows.
pub(crate) fn run(bench: &mut Bench, report: &mut Report) -> Outcome<()> {
    let span = Duration::from_secs_f64(bench.pace.storm);
    let folder = bench.folder.clone();
    let [_, site] = bench.sites()?;
    let (known, data, bytes) = (site.take(KNOWN)?, site.data.clone(), site.file_bytes()?);
    let server = Launch::keystead(&data).start()?;
    let (api, target) = (Api::of(&server), server.target().clone());
    let sign_ins = |span| {
        let probe = paced(&target, group::BACKUP, SignIn::new(&api, &known), PERIOD, span);
        probe.join().map_err(|_| "a probe panicked")??.strict()
    };
    let mut quiet: Tally = sign_ins(span)?;
    let file = folder.join("backup.tar");
    let (to, mut during) = (file.clone(), None::<Tally>);
    let backup = thread::spawn(move || take(&data, &to));
    while !backup.is_finished() {
        let more = sign_ins(span / 5)?;
        match &mut during {
            Some(tally) => tally.merge(more),
            None => during = Some(more),
        }
    }
    let took = backup.join().map_err(|_| "the backup's thread panicked")??;
    server.stop()?;
    std::fs::remove_file(file)?;
    let mut during = during.ok_or("the backup was over before anybody signed in")?;
    let before = quiet.quantile_ms(0.99);
    report.latency("sign-in at 20/s, quiet", &mut quiet, None);
    report.latency("sign-in at 20/s during a backup", &mut during, Some(TWICE * before));
    let mib = bytes as f64 / f64::from(1 << 20);
    report.shown("backup of that file, MiB of it", mib / took.as_secs_f64(), "MiB/s", None, "");
    Ok(())
}

/// `keystead backup` of a data directory whose server runs; how long it took.
pub(super) fn take(data: &Path, file: &Path) -> Outcome<Duration> {
    let since = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystead"));
    command.arg("backup").arg(file).arg("--data-dir").arg(data).env_clear();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let took = since.elapsed();
    if status.success() { Ok(took) } else { Err("the backup failed".into()) }
}
