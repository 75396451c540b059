//! `keystead export`: all that projects hold, as JSON lines into a file that appears whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::builder::NonEmptyStringValueParser;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::api::{Api, encode};
use super::output::{cell, counted, visible};
use super::place::Place;
use super::{Surroundings, Usage};
use crate::crypto::hex;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The file; - for standard output
    file: PathBuf,
    /// Only this project, by slug or id; repeatable [else all]
    #[arg(long, value_name = "SLUG|ID", value_parser = NonEmptyStringValueParser::new())]
    project: Vec<String>,
    /// Signing keys, refresh secret and unsent mails too, in the clear: who has the file can sign in as anybody
    #[arg(long)]
    with_secrets: bool,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let to_stdout = self.file == Path::new("-");
        if to_stdout && self.place.json {
            return Err(Usage("the lines go to standard output: there is no place for --json".into()).into());
        }
        if !to_stdout && !self.force && self.file.symlink_metadata().is_ok() {
            bail!("{} is there already: choose another name, or pass --force", self.file.display());
        }
        self.place.clone().with_api(around, async |api, around| {
            let end = if to_stdout {
                self.receive(api, &mut around.console.out).await?
            } else {
                let mut draft = Draft::beside(&self.file, &hex(&around.env.random::<8>()))?;
                let end = self.receive(api, &mut draft.file).await?;
                draft.put_in_place(&self.file)?;
                end
            };
            self.tell(around, &end, to_stdout)
        })
    }

    /// Writes what comes; the last line, when it says that all came.
    async fn receive(&self, api: &Api, to: &mut dyn Write) -> Result<Value> {
        let names = self.project.iter().map(|name| encode(name)).collect::<Vec<_>>().join(",");
        let only = if names.is_empty() { String::new() } else { format!("&projects={names}") };
        let mut body = api.stream(&format!("/v1/export?secrets={}{only}", self.with_secrets)).await?;
        let mut last = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the export ended early; there is no file")?;
            let Ok(piece) = frame.into_data() else { continue };
            to.write_all(&piece).context("the export cannot be written")?;
            last.extend_from_slice(&piece);
            // All before the last whole line is of no interest any more.
            let inner = last.strip_suffix(b"\n").unwrap_or(&last);
            if let Some(cut) = inner.iter().rposition(|byte| *byte == b'\n') {
                last.drain(..=cut);
            }
        }
        to.flush()?;
        let end: Value = serde_json::from_slice(&last).unwrap_or_default();
        match end["type"].as_str() {
            Some("end") => Ok(end),
            Some("failed") => bail!("the export failed: {}", visible(&cell(&end, "reason"))),
            _ => bail!("the export ended early; the server's log may say why"),
        }
    }

    fn tell(&self, around: &mut Surroundings, end: &Value, to_stdout: bool) -> Result<()> {
        let counts = end["counts"].as_object().cloned().unwrap_or_default();
        let lines: u64 = counts.values().filter_map(Value::as_u64).sum();
        let projects = end["counts"]["project"].as_u64().unwrap_or_default();
        if self.place.json {
            let told = json!({"file": self.file, "secrets": self.with_secrets, "lines": lines + 2, "counts": counts});
            around.console.json(&told)?;
        } else if !to_stdout {
            let users = end["counts"]["user"].as_u64().unwrap_or_default();
            let (projects, users) = (counted(projects, "project"), counted(users, "account"));
            let said = format!("{}: {projects}, {users}, {} lines", self.file.display(), lines + 2);
            around.console.say(&said)?;
        }
        around.console.note(if self.with_secrets {
            "WARNING: the keys are in it in the clear. Whoever reads it can sign in as anybody, as long as these keys are \
             in use: encrypt it, and delete it when it was imported"
        } else {
            "it holds addresses, password hashes and digests of tokens: keep it as you keep the data directory. Keys are \
             not in it: where it is imported, everybody has to sign in again"
        });
        Ok(())
    }
}

/// A file in the making, which only its owner may read. Dropped, it is gone.
struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    fn beside(place: &Path, tag: &str) -> Result<Self> {
        let mut name = place.file_name().context("that is no name of a file")?.to_owned();
        name.push(format!(".{tag}.part"));
        let path = place.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        // The mode above passes through the umask; this one does not.
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(Self { file, path })
    }

    fn put_in_place(&self, place: &Path) -> Result<()> {
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let placed = || -> io::Result<()> {
            self.file.sync_all()?;
            fs::rename(&self.path, place)?;
            File::open(parent)?.sync_all()
        };
        placed().with_context(|| place.display().to_string())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // In its place it has another name.
        let _ = fs::remove_file(&self.path);
    }
}
