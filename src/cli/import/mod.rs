//! `keystead import`: accounts of another product, read row by row and brought to the admin API in batches, whether the
//! server runs or not. Memory stays flat; what was brought before is found and passed over, also what was deleted since, so
//! it can be run again.

mod rows;

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::Surroundings;
use super::api::Api;
use super::output::entries;
use super::place::InProject;
use rows::{Row, Rows, WrongRow};

/// Accounts of a batch.
const BATCH: usize = 1000;
/// And about its most bytes: pictures are large.
const BATCH_BYTES: usize = 4 << 20;
/// Lines that were left out and are named; more are only counted.
const NAMED: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    within: InProject,
    /// Whose file it is
    #[arg(long, value_name = "PRODUCT")]
    from: Product,
    /// The file
    file: PathBuf,
    /// How it is written [else by the end of its name]
    #[arg(long)]
    format: Option<Format>,
    /// Leave out lines that are wrong, and say which; without it the first one ends the import before its batch
    #[arg(long)]
    skip_invalid: bool,
    /// All addresses count as proved
    #[arg(long)]
    verified: bool,
}

/// Products whose accounts are understood.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Product {
    /// Nora: its table `users`
    Nora,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// As psql's `\copy … csv header`
    Csv,
    /// A JSON object a line
    Jsonl,
}

/// What has become of the file so far.
#[derive(Default)]
struct Tally {
    made: u64,
    present: u64,
    skipped: u64,
    named: Vec<Value>,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let Product::Nora = self.from;
        let format = match (self.format, self.file.extension().and_then(|end| end.to_str())) {
            (Some(format), _) => format,
            (None, Some("csv")) => Format::Csv,
            (None, Some("jsonl" | "ndjson" | "json")) => Format::Jsonl,
            (None, _) => bail!("{}: say with --format how it is written", self.file.display()),
        };
        let name = || self.file.display().to_string();
        let rows = Rows::open(File::open(&self.file).with_context(name)?, format).with_context(name)?;
        self.within.place.clone().with_api(around, async |api, around| {
            let path = format!("{}/users/import", self.within.path(api).await?);
            let mut tally = Tally::default();
            let done = self.bring(api, around, &path, rows, &mut tally).await;
            self.tell(around, &tally, done.is_ok())?;
            done
        })
    }

    async fn bring(
        &self,
        api: &Api,
        around: &mut Surroundings,
        path: &str,
        mut rows: Rows,
        tally: &mut Tally,
    ) -> Result<()> {
        loop {
            let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), 0);
            let mut more = true;
            while batch.len() < BATCH && bytes < BATCH_BYTES && more {
                match rows.next() {
                    Some(Ok(row)) => {
                        bytes += row.fields.values().filter_map(Value::as_str).map(str::len).sum::<usize>();
                        batch.push(account(row));
                    }
                    Some(Err(WrongRow { line, reason, is_last: true })) => bail!("line {line}: {reason}"),
                    Some(Err(WrongRow { line, reason, .. })) => self.wrong(around, tally, line, &reason)?,
                    None => more = false,
                }
            }
            if batch.is_empty() && !more {
                return Ok(());
            }
            let body = json!({ "accounts": batch, "skip_invalid": self.skip_invalid, "verified": self.verified });
            let answer = api.post(path, body).await?;
            let count = |name: &str| answer[name].as_u64().unwrap_or_default();
            tally.made += count("made");
            tally.present += count("present");
            for refused in entries(&answer, "refused") {
                let line = refused["line"].as_u64().unwrap_or_default();
                self.wrong(around, tally, line, refused["reason"].as_str().unwrap_or_default())?;
            }
        }
    }

    /// A line that is wrong: left out and named, or the end.
    fn wrong(&self, around: &mut Surroundings, tally: &mut Tally, line: u64, reason: &str) -> Result<()> {
        if !self.skip_invalid {
            bail!("line {line}: {reason}; nothing of its batch was made. --skip-invalid leaves such lines out");
        }
        tally.skipped += 1;
        if tally.named.len() < NAMED {
            around.console.note(&format!("line {line} is left out: {reason}"));
            tally.named.push(json!({ "line": line, "reason": reason }));
        }
        Ok(())
    }

    fn tell(&self, around: &mut Surroundings, tally: &Tally, is_whole: bool) -> Result<()> {
        let Tally { made, present, skipped, named } = tally;
        if self.within.place.json {
            let told = json!({
                "complete": is_whole, "made": made, "present": present, "skipped": skipped, "skipped_lines": named,
            });
            return Ok(around.console.json(&told)?);
        }
        let end = if is_whole { "" } else { ", then the import ended; run again, it goes on from there" };
        Ok(around.console.say(&format!("{made} made, {present} were there already, {skipped} left out{end}"))?)
    }
}

/// A row as the admin API takes it.
fn account(row: Row) -> Value {
    let mut account: Map<String, Value> = row.fields;
    account.insert("line".into(), row.line.into());
    Value::Object(account)
}
