//! The soak: half an hour of everything at a moderate pace, in which memory, file, descriptors and threads must stay flat.
//!
//! Lives are short: accounts come and go in equal numbers, sessions last two minutes, the audit trail is kept short.
//! What grows all the same is not given back.

mod life;
mod samples;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::life::{Around, Counts};
use self::samples::{Sample, Samples};
use super::backup::take;
use super::{Bench, group};
use crate::Outcome;
use crate::nhost;
use crate::nora;
use crate::process::{Launch, pause};
use crate::report::Report;

/// Clients at a time; a third of them speaks each dialect.
const CLIENTS: usize = 24;

/// Requests a second, all clients together.
const PACE: f64 = 200.0;

/// The pace of one who guesses passwords, and of one who speaks HTTP/2.
const GUESS_EVERY: Duration = Duration::from_millis(500);
const HTTP2_EVERY: Duration = Duration::from_millis(250);

/// When backups are taken and when the server reloads, as shares of the soak: in each third both.
const BACKUPS: [f64; 3] = [0.2, 0.5, 0.8];
const RELOADS: [f64; 3] = [0.25, 0.55, 0.85];

/// The time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// What may be the largest of the last third, beside the largest of the second.
const FLAT: f64 = 1.1;

/// Sessions, counters and cooldowns are over before the server sweeps (every ten minutes); a hash costs little, because
/// the soak is not about hashing; mails go where they can be taken away.
const SETTINGS: [(&str, &str); 14] = [
    ("KEYSTEAD_HASHING__MEMORY_KIB", "4096"),
    ("KEYSTEAD_HASHING__ITERATIONS", "1"),
    ("KEYSTEAD_MAIL__TRANSPORT", "file"),
    ("KEYSTEAD_PROJECT__DEFAULT__TOKENS__ACCESS_TTL", "1m"),
    ("KEYSTEAD_PROJECT__DEFAULT__TOKENS__REFRESH_TTL", "2m"),
    ("KEYSTEAD_PROJECT__DEFAULT__NORA__TOKEN_TTL", "2m"),
    ("KEYSTEAD_PROJECT__DEFAULT__NORA__FIRST_USER_ADMIN", "false"),
    ("KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "1000000/10m"),
    ("KEYSTEAD_PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_DAILY", "1000000/1d"),
    ("KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__WINDOW", "1m"),
    ("KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__DURATION", "1m"),
    ("KEYSTEAD_PROJECT__DEFAULT__AUDIT__MAX_ENTRIES", "5000"),
    ("KEYSTEAD_PROJECT__DEFAULT__NOMA__LIMIT", "100000000/1m"),
    ("KEYSTEAD_LOG__LEVEL", "info"),
];

/// Adds the rows.
pub(crate) fn run(bench: &mut Bench, report: &mut Report, minutes: f64) -> Outcome<()> {
    let (data, mails) = (bench.folder.join("soak"), bench.folder.join("soak-mails"));
    std::fs::create_dir_all(&mails)?;
    let mail_dir = mails.to_string_lossy().into_owned();
    let launch = Launch::keystead(&data).with(&SETTINGS).with(&nora::UNLIMITED).with(&nhost::UNLIMITED);
    let server = launch.with(&[("KEYSTEAD_MAIL__FILE__DIR", &mail_dir)]).start()?;
    let around = Arc::new(Around::of(&server, &data)?);
    let counts = Arc::new(Counts::default());
    let span = Duration::from_secs_f64(minutes * 60.0);
    let ends = Instant::now() + span;
    let period = Duration::from_secs_f64(CLIENTS as f64 / PACE);
    let mut clients = vec![
        bench.runtime.spawn(life::guesser(Arc::clone(&around), Arc::clone(&counts), GUESS_EVERY, ends)),
        bench.runtime.spawn(life::http2(Arc::clone(&around), Arc::clone(&counts), HTTP2_EVERY, ends)),
    ];
    clients.extend(
        (0..CLIENTS).map(|index| {
            bench.runtime.spawn(life::client(Arc::clone(&around), Arc::clone(&counts), index, period, ends))
        }),
    );
    let mut samples = Samples::new(span);
    let (mut backups, mut reloads) = (BACKUPS.iter().peekable(), RELOADS.iter().peekable());
    while Instant::now() < ends {
        pause(SAMPLE_EVERY.min(ends.saturating_duration_since(Instant::now())));
        samples.add(Sample::of(&server, &data)?, counts.good());
        empty(&mails)?;
        if backups.next_if(|share| **share <= samples.share()).is_some() {
            let file = bench.folder.join("soak.tar");
            take(&data, &file)?;
            std::fs::remove_file(file)?;
        }
        if reloads.next_if(|share| **share <= samples.share()).is_some() {
            reload(&data)?;
        }
    }
    for client in clients {
        bench.runtime.block_on(client)?;
    }
    server.stop()?;
    let log = std::fs::read_to_string(data.with_extension("log"))?;
    report.holds("soak: no panic in the log", !log.contains("panic"));
    report.holds("soak: every answer was the one expected", counts.odd() == 0);
    for (kind, count, odd) in counts.told() {
        report.shown(&format!("soak: {kind}"), count as f64, "", None, &odd);
    }
    samples.judge(report, FLAT);
    Ok(())
}

/// `keystead reload`, with settings that are the same.
fn reload(data: &Path) -> Outcome<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystead"));
    command.arg("reload").arg("--data-dir").arg(data).env_clear();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("the reload failed".into()) }
}

/// Takes the mails away, as a mail server would.
fn empty(folder: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(folder)? {
        // One that is being written has its last name only when it is whole.
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
