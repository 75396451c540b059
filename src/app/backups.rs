//! Backups that the server takes by itself: one when the last is old enough, the oldest removed beyond those to be kept.
//!
//! What was taken is what lies in the directory: a restart, or another machine's clock, needs no memory of it. Only files
//! whose names this module gives are ever looked at or removed, and never the one just taken.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::auth::Projects;
use crate::backup::{Contents, Draft, Encrypting, Encryption, NotMade, Stop, make};
use crate::config::BackupSettings;
use crate::env::{Env, Timestamp};
use crate::http::moment;

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after the first failure; doubled after each, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Runs until `stopped`.
pub(super) async fn run(projects: Arc<Projects>, env: Env, mut stopped: watch::Receiver<bool>) {
    let stop = Stop::default();
    tokio::select! {
        // The sender gone means the server is gone.
        _ = stopped.wait_for(|set| *set) => stop.ask(),
        () = go_on(&projects, &env, &stop) => {}
    }
}

async fn go_on(projects: &Arc<Projects>, env: &Env, stop: &Stop) {
    let mut every = interval(LOOK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: Option<(PathBuf, Option<Timestamp>)> = None;
    let (mut failures, mut not_before) = (0_u32, Timestamp::default());
    loop {
        every.tick().await;
        let settings = projects.settings();
        let (backup, seen) = (&settings.backup, &projects.shared().metrics.backups);
        let Some(dir) = backup.dir.clone().filter(|_| !settings.ephemeral) else {
            known = None;
            seen.forget();
            continue;
        };
        if known.as_ref().is_none_or(|(of, _)| *of != dir) {
            let last = newest(&dir);
            if let Some(last) = last {
                seen.succeeded(last.secs());
            }
            (known, failures, not_before) = (Some((dir.clone(), last)), 0, Timestamp::default());
        }
        let now = env.now();
        let last = known.as_ref().and_then(|(_, last)| *last);
        // One of the future is of a clock that was set back since.
        let due = last.is_none_or(|last| last > now || now.since(last) >= backup.every);
        if !due || now < not_before {
            continue;
        }
        match take(projects, backup, &dir, stop).await {
            Ok((at, file, contents)) => {
                failures = 0;
                seen.succeeded(at.secs());
                known = Some((dir.clone(), Some(at)));
                let (count, moment) = (contents.files.len(), contents.head.moment);
                tracing::info!(file = %file.display(), projects = count, moment, "a backup was taken");
                forget_old(&dir, &file, backup.keep);
            }
            Err(error) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
                failures += 1;
                not_before = now.plus(pause);
                tracing::error!(dir = %dir.display(), %error, again_in = ?pause, "a backup failed");
                seen.failed(error.to_string());
            }
        }
    }
}

async fn take(
    projects: &Arc<Projects>,
    settings: &BackupSettings,
    dir: &Path,
    stop: &Stop,
) -> Result<(Timestamp, PathBuf, Contents), NotMade> {
    make_dir(dir).map_err(|error| of_path(dir, &error))?;
    // Of a process that was killed.
    for (_, left) in named(dir, ".part") {
        let _ = fs::remove_file(left);
    }
    let encryption = Encryption::to(&settings.recipients).map_err(io::Error::other)?;
    let shot = projects.shot(&[]).await?;
    let at = shot.at;
    let end = if encryption.is_some() { ".tar.age" } else { ".tar" };
    let file = dir.join(format!("keystead-{}{end}", at.rfc3339().replace(':', "")));
    let draft = Draft::new(&file, false).map_err(|error| of_path(&file, &error))?;
    let out = Encrypting::new(draft, encryption.as_ref())?;
    let (contents, out) = make(shot, out, stop.clone()).await?;
    let kept = tokio::task::spawn_blocking(move || out.finish().and_then(Draft::keep)).await;
    kept.map_err(|_| NotMade::Died)?.map_err(|error| of_path(&file, &error))?;
    Ok((at, file, contents))
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn of_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Removes the oldest beyond `keep`, but not the one just `made`.
fn forget_old(dir: &Path, made: &Path, keep: usize) {
    let mut all = taken(dir);
    all.retain(|(_, path)| path != made);
    let beyond = (all.len() + 1).saturating_sub(keep.max(1));
    for (_, path) in all.into_iter().take(beyond) {
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(file = %path.display(), "an old backup was removed"),
            Err(error) => tracing::warn!(file = %path.display(), %error, "an old backup could not be removed"),
        }
    }
}

/// When the last backup in a directory is of.
pub(super) fn newest(dir: &Path) -> Option<Timestamp> {
    taken(dir).last().map(|(at, _)| *at)
}

/// Backups of ours, oldest first.
fn taken(dir: &Path) -> Vec<(Timestamp, PathBuf)> {
    let mut all = named(dir, ".tar");
    all.extend(named(dir, ".tar.age"));
    all.sort();
    all
}

/// Files named as we name them, with this end.
fn named(dir: &Path, end: &str) -> Vec<(Timestamp, PathBuf)> {
    let of = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("keystead-")?;
        // What was being written has the other end before its own.
        let name = name.strip_suffix(end)?;
        let name = if end == ".part" { name.split_once(".tar")?.0 } else { name };
        Some((moment_of(name)?, path))
    };
    fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| of(entry.path())).collect()
}

/// A moment as names spell it: RFC 3339 in UTC, without colons.
fn moment_of(name: &str) -> Option<Timestamp> {
    let (date, time) = name.split_once('T')?;
    let (hours, rest) = time.split_at_checked(2)?;
    let (minutes, seconds) = rest.split_at_checked(2)?;
    let moment = moment(&format!("{date}T{hours}:{minutes}:{seconds}"))?;
    // Only our own spelling.
    (moment.rfc3339().replace(':', "") == name).then_some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_named_is_counted_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let ours = [
            "keystead-2026-11-25T101500Z.tar",
            "keystead-2026-11-26T101500Z.tar.age",
            "keystead-2026-11-27T101500Z.tar",
        ];
        let others =
            ["keystead-2026-11-25.tar", "keystead-latest.tar", "notes.txt", "keystead-2026-11-25T101500Z.tar.part"];
        for name in ours.iter().chain(&others) {
            fs::write(at(name), name).unwrap();
        }
        assert_eq!(newest(dir.path()).unwrap().rfc3339(), "2026-11-27T10:15:00Z");
        assert_eq!(named(dir.path(), ".part").len(), 1);
        forget_old(dir.path(), &at(ours[2]), 2);
        assert!(!at(ours[0]).exists() && at(ours[1]).exists() && at(ours[2]).exists());
        // A clock set back: the one just taken stays, whatever its name says.
        fs::write(at(ours[0]), "again").unwrap();
        forget_old(dir.path(), &at(ours[0]), 1);
        assert!(at(ours[0]).exists() && !at(ours[1]).exists() && !at(ours[2]).exists());
        assert!(others.iter().all(|name| at(name).exists()));
    }
}
