//! `keystead export`: all that projects hold, as JSON lines into a file that appears whole or not at all.

use std::io::Write;

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::Surroundings;
use super::api::Api;
use super::out_file::OutFile;
use super::output::{cell, counted, visible};
use super::place::Place;
use crate::backup::Draft;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    file: OutFile,
    /// Signing keys, refresh secret and unsent mails too, in the clear: who has the file can sign in as anybody
    #[arg(long)]
    with_secrets: bool,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        self.file.check(self.place.json)?;
        self.place.clone().with_api(around, async |api, around| {
            let cannot = || format!("{} cannot be written", self.file.path.display());
            let end = if self.file.is_stdout() {
                self.receive(api, &mut around.console.out).await?
            } else {
                let mut draft = Draft::new(&self.file.path, self.file.force).with_context(cannot)?;
                let end = self.receive(api, &mut draft).await?;
                draft.keep().with_context(cannot)?;
                end
            };
            self.tell(around, &end)
        })
    }

    /// Writes what comes; the last line, when it says that all came.
    async fn receive(&self, api: &Api, to: &mut dyn Write) -> Result<Value> {
        let mut body = api.stream(&format!("/v1/export?{}secrets={}", self.file.query(), self.with_secrets)).await?;
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

    fn tell(&self, around: &mut Surroundings, end: &Value) -> Result<()> {
        let counts = end["counts"].as_object().cloned().unwrap_or_default();
        let lines: u64 = counts.values().filter_map(Value::as_u64).sum();
        let projects = end["counts"]["project"].as_u64().unwrap_or_default();
        if self.place.json {
            let told =
                json!({"file": self.file.path, "secrets": self.with_secrets, "lines": lines + 2, "counts": counts});
            around.console.json(&told)?;
        } else if !self.file.is_stdout() {
            let users = end["counts"]["user"].as_u64().unwrap_or_default();
            let (projects, users) = (counted(projects, "project"), counted(users, "account"));
            let said = format!("{}: {projects}, {users}, {} lines", self.file.path.display(), lines + 2);
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
