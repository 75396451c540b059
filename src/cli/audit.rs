//! `keystead audit`: the trail shown, followed, verified, exported.

use std::io;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::builder::NonEmptyStringValueParser;
use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::Surroundings;
use super::api::{Api, encode};
use super::output::{cell, entries, visible};
use super::place::InProject;
use crate::config::forms;
use crate::env::Timestamp;

/// How often a follower looks.
const LOOK: Duration = Duration::from_millis(500);
/// Entries asked for at once.
const PAGE: u16 = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    within: InProject,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the latest entries, oldest first
    Tail {
        /// So many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        lines: u16,
        /// Go on with what is added, until stopped
        #[arg(long)]
        follow: bool,
        /// Only entries about this address: tried, locked, unlocked, or of the account that has it
        #[arg(long, value_name = "EMAIL", value_parser = NonEmptyStringValueParser::new())]
        address: Option<String>,
    },
    /// Check that no entry was changed, removed or inserted
    Verify {
        /// A head noted earlier, from the log or an earlier verification: finds a trail rewritten or cut short, too
        #[arg(long, value_name = "SEQ:HASH", value_parser = NonEmptyStringValueParser::new())]
        expect: Option<String>,
    },
    /// Write all entries, one JSON object a line
    Export {
        /// Not those of before: a moment such as 2026-01-31T12:00:00Z, or how long ago, such as 24h
        #[arg(long, value_name = "TIME", value_parser = NonEmptyStringValueParser::new())]
        since: Option<String>,
        /// Only entries about this address
        #[arg(long, value_name = "EMAIL", value_parser = NonEmptyStringValueParser::new())]
        address: Option<String>,
        /// How an entry is written
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
    },
}

/// How an export is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object a line
    Jsonl,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let Self { within, what } = self;
        within.place.clone().with_api(around, async |api, around| {
            let trail = Trail { path: format!("{}/audit", within.path(api).await?), json: within.place.json, api };
            match what {
                What::Tail { lines, follow, address } => trail.tail(around, lines, follow, address.as_deref()).await,
                What::Verify { expect } => trail.verify(around, expect.as_deref()).await,
                What::Export { since, address, format: Format::Jsonl } => {
                    trail.export(around, since.as_deref(), address.as_deref()).await
                }
            }
        })
    }
}

/// One project's trail.
struct Trail<'a> {
    api: &'a Api,
    path: String,
    json: bool,
}

impl Trail<'_> {
    async fn tail(&self, around: &mut Surroundings, lines: u16, follow: bool, address: Option<&str>) -> Result<()> {
        if follow && !self.api.is_live() {
            bail!("no server runs here, so nothing is added: leave --follow out");
        }
        let only = address.map(|address| format!("&address={}", encode(address))).unwrap_or_default();
        let mut answer = self.api.get(&format!("{}?last={lines}{only}", self.path)).await?;
        if !follow && self.json {
            return Ok(around.console.json(&answer)?);
        }
        if !self.json && !heard(around, &heading())? {
            return Ok(());
        }
        loop {
            for entry in entries(&answer, "entries") {
                let line = if self.json { entry.to_string() } else { row(entry) };
                if !heard(around, &line)? {
                    return Ok(());
                }
            }
            if !follow {
                return Ok(());
            }
            let seen = answer["next"].as_u64().or(answer["end"].as_u64()).unwrap_or(0);
            if answer["next"].is_null() {
                tokio::time::sleep(LOOK).await;
            }
            answer = self.api.get(&format!("{}?after={seen}&limit={PAGE}{only}", self.path)).await?;
        }
    }

    async fn verify(&self, around: &mut Surroundings, expect: Option<&str>) -> Result<()> {
        let query = expect.map(|point| format!("?expect={}", encode(point))).unwrap_or_default();
        let answer = self.api.get(&format!("{}/verify{query}", self.path)).await?;
        if self.json {
            around.console.json(&answer)?;
        }
        if answer["ok"] != true {
            let reason = cell(&answer, "reason");
            match answer["broken_at"].as_u64() {
                Some(at) => bail!("the audit trail is broken at entry {at}: {reason}"),
                None => bail!("the audit trail cannot be compared: {reason}"),
            }
        }
        if self.json {
            return Ok(());
        }
        let head = &answer["head"];
        let from = if expect.is_some() { ", and goes on from the one expected" } else { "" };
        around
            .console
            .say(&format!("ok: each of {} entries follows the one before{from}", cell(&answer, "entries")))?;
        Ok(around.console.say(&format!("head: {}:{}", cell(head, "seq"), cell(head, "hash")))?)
    }

    async fn export(&self, around: &mut Surroundings, since: Option<&str>, address: Option<&str>) -> Result<()> {
        let since = since.map(|text| format!("&since={}", encode(&moment(text, around.env.now())))).unwrap_or_default();
        let only = address.map(|address| format!("&address={}", encode(address))).unwrap_or_default();
        let mut after = 0;
        loop {
            let answer = self.api.get(&format!("{}?after={after}&limit={PAGE}{since}{only}", self.path)).await?;
            for entry in entries(&answer, "entries") {
                if !heard(around, &entry.to_string())? {
                    return Ok(());
                }
            }
            match answer["next"].as_u64() {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }
}

/// Says a line; `false` when whoever listened has gone, so that a long list ends with its reader.
fn heard(around: &mut Surroundings, line: &str) -> Result<bool> {
    match writeln!(around.console.out, "{line}").and_then(|()| around.console.out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map(|()| true)?),
    }
}

/// A moment as the API takes it; what is no span of time goes as it is, for the API to judge.
fn moment(text: &str, now: Timestamp) -> String {
    match forms::duration(text) {
        Ok(span) => {
            let ago = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(now.millis().saturating_sub(ago)).rfc3339()
        }
        Err(_) => text.to_owned(),
    }
}

/// Columns of a fixed width: a follower cannot know what is to come.
fn columns(seq: &str, at: &str, event: &str, outcome: &str, by: &str, rest: [&str; 2]) -> String {
    let line = format!("{seq:>8}  {at:20}  {event:21}  {outcome:11}  {by:14}  {:36}  {}", rest[0], rest[1]);
    line.trim_end().to_owned()
}

fn heading() -> String {
    columns("SEQ", "AT", "EVENT", "OUTCOME", "BY", ["USER", "FROM"])
}

fn row(entry: &Value) -> String {
    let by = match entry["uid"].as_u64() {
        Some(uid) => format!("{} {uid}", cell(entry, "by")),
        None => cell(entry, "by"),
    };
    let [seq, at, event, outcome] = ["seq", "at", "event", "outcome"].map(|field| cell(entry, field));
    visible(&columns(&seq, &at, &event, &outcome, &by, [&cell(entry, "user"), &cell(entry, "ip")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_as_long_ago_and_a_moment_itself() {
        let now = Timestamp::from_secs(1_767_225_600);
        assert_eq!(moment("24h", now), "2025-12-31T00:00:00Z");
        assert_eq!(moment("90000d", now), "1970-01-01T00:00:00Z", "never before the epoch");
        assert_eq!(moment("2026-01-31T12:00:00Z", now), "2026-01-31T12:00:00Z");
    }
}
