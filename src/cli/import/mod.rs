//! `keystead import`: projects out of an export; or accounts of another product, read row by row and brought to the admin
//! API in batches. Whether the server runs or not. What was brought from another product before is found and passed over,
//! also what was deleted since, so it can be run again.

mod keystead;
mod nhost;
mod rows;
mod table;

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};

use super::api::Api;
use super::output::entries;
use super::place::InProject;
use super::{Surroundings, Usage};
use crate::env::Timestamp;
use nhost::Accounts;
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
    #[arg(long, value_name = "PRODUCT", default_value = "keystead")]
    from: Product,
    /// The file; of keystead also - for standard input; of nhost the directory of its tables: users.csv, user_roles.csv, and where there are any
    /// refresh_tokens.csv, user_providers.csv and user_security_keys.csv
    file: PathBuf,
    /// Look at everything and change nothing (keystead)
    #[arg(long)]
    dry_run: bool,
    /// Bring the project under this slug (keystead)
    #[arg(long, value_name = "SLUG", value_parser = NonEmptyStringValueParser::new())]
    slug: Option<String>,
    /// Bring the project under a new id: as another one, in which no session, token or key of the old one works (keystead)
    #[arg(long)]
    new_id: bool,
    /// How it is written [else by the end of its name] (nora, nhost)
    #[arg(long)]
    format: Option<Format>,
    /// Leave out lines that are wrong, and say which; without it the first one ends the import before its batch (nora, nhost)
    #[arg(long)]
    skip_invalid: bool,
    /// All addresses count as proved (nora, nhost)
    #[arg(long)]
    verified: bool,
}

/// Products whose accounts are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Product {
    /// Keystead: what `keystead export` wrote
    Keystead,
    /// Nora: its table `users`
    Nora,
    /// Nhost Auth: the tables of its schema `auth`
    Nhost,
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
    sessions: u64,
    personal_tokens: u64,
    identities: u64,
    skipped: u64,
    named: Vec<Value>,
}

/// Where accounts come from.
enum Source<R> {
    Nora(Rows<R>),
    Nhost(Box<Accounts<R>>),
}

impl<R: Read> Source<R> {
    fn next(&mut self) -> Option<Result<Row, WrongRow>> {
        match self {
            Self::Nora(rows) => rows.next(),
            Self::Nhost(accounts) => accounts.next(),
        }
    }

    /// What is not brought, and how many of each.
    fn left(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Nora(_) => Vec::new(),
            Self::Nhost(accounts) => accounts.left().all().collect(),
        }
    }
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        if self.from == Product::Keystead {
            return keystead::run(&self, around);
        }
        if self.dry_run || self.new_id || self.slug.is_some() {
            return Err(Usage("--dry-run, --slug and --new-id are for files of keystead".into()).into());
        }
        let mut source = self.source(around)?;
        self.within.place.clone().with_api(around, async |api, around| {
            let path = format!("{}/users/import", self.within.path(api).await?);
            let mut tally = Tally::default();
            let done = self.bring(api, around, &path, &mut source, &mut tally).await;
            self.tell(around, &tally, &source.left(), done.is_ok())?;
            done
        })
    }

    fn source(&self, around: &Surroundings) -> Result<Source<File>> {
        if self.from == Product::Nhost {
            if self.format.is_some_and(|format| format != Format::Csv) {
                bail!("the tables of nhost are read as CSV");
            }
            return Ok(Source::Nhost(Box::new(Accounts::in_directory(&self.file, around.env.now())?)));
        }
        let format = match (self.format, self.file.extension().and_then(|end| end.to_str())) {
            (Some(format), _) => format,
            (None, Some("csv")) => Format::Csv,
            (None, Some("jsonl" | "ndjson" | "json")) => Format::Jsonl,
            (None, _) => bail!("{}: say with --format how it is written", self.file.display()),
        };
        let name = || self.file.display().to_string();
        Ok(Source::Nora(Rows::open(File::open(&self.file).with_context(name)?, format).with_context(name)?))
    }

    async fn bring(
        &self,
        api: &Api,
        around: &mut Surroundings,
        path: &str,
        source: &mut Source<File>,
        tally: &mut Tally,
    ) -> Result<()> {
        loop {
            let (mut batch, mut bytes) = (Vec::with_capacity(BATCH), 0);
            let mut more = true;
            while batch.len() < BATCH && bytes < BATCH_BYTES && more {
                match source.next() {
                    Some(Ok(row)) => {
                        bytes += row.fields.values().map(weight).sum::<usize>();
                        batch.push(account(row));
                    }
                    Some(Err(WrongRow { file, line, reason, is_last: true })) => {
                        bail!("{}: {reason}", place(file, line))
                    }
                    Some(Err(wrong)) => self.wrong(around, tally, &wrong)?,
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
            tally.sessions += count("sessions");
            tally.personal_tokens += count("personal_tokens");
            tally.identities += count("identities");
            for refused in entries(&answer, "refused") {
                let line = refused["line"].as_u64().unwrap_or_default();
                let reason = refused["reason"].as_str().unwrap_or_default().to_owned();
                let file = (self.from == Product::Nhost).then_some(nhost::USERS);
                self.wrong(around, tally, &WrongRow { file, line, reason, is_last: false })?;
            }
        }
    }

    /// A line that is wrong: left out and named, or the end.
    fn wrong(&self, around: &mut Surroundings, tally: &mut Tally, wrong: &WrongRow) -> Result<()> {
        let WrongRow { file, line, reason, .. } = wrong;
        let place = place(*file, *line);
        if !self.skip_invalid {
            bail!("{place}: {reason}; nothing of its batch was made. --skip-invalid leaves such lines out");
        }
        tally.skipped += 1;
        if tally.named.len() < NAMED {
            around.console.note(&format!("{place} is left out: {reason}"));
            let mut named = json!({ "line": line, "reason": reason });
            if let Some(file) = file {
                named["file"] = (*file).into();
            }
            tally.named.push(named);
        }
        Ok(())
    }

    fn tell(&self, around: &mut Surroundings, tally: &Tally, left: &[(&str, u64)], is_whole: bool) -> Result<()> {
        let Tally { made, present, sessions, personal_tokens, identities, skipped, named } = tally;
        let is_nhost = self.from == Product::Nhost;
        if self.within.place.json {
            let mut told = json!({
                "complete": is_whole, "made": made, "present": present, "skipped": skipped, "skipped_lines": named,
            });
            if is_nhost {
                told["sessions"] = (*sessions).into();
                told["personal_tokens"] = (*personal_tokens).into();
                told["identities"] = (*identities).into();
                told["not_carried"] =
                    left.iter().map(|(what, count)| json!({ "what": what, "count": count })).collect();
            }
            return Ok(around.console.json(&told)?);
        }
        let end = if is_whole { "" } else { ", then the import ended; run again, it goes on from there" };
        around.console.say(&format!("{made} made, {present} were there already, {skipped} left out{end}"))?;
        if is_nhost {
            let with = format!(
                "with those that were made: {sessions} sessions, \
                 {personal_tokens} personal access tokens, {identities} identities of providers"
            );
            around.console.say(&with)?;
        }
        for (what, count) in left {
            around.console.say(&format!("not carried over: {count} {what}"))?;
        }
        Ok(())
    }
}

/// Reads tables of Nhost Auth as an import would, one after the other: users, roles, refresh tokens, identities, security
/// keys. What comes out, as the admin API takes it; for fuzzing.
pub fn nhost_accounts(tables: [&[u8]; 5]) -> Vec<Value> {
    let [users, roles, tokens, providers, keys] = tables.map(Cursor::new);
    let now = Timestamp::from_secs(1_800_000_000);
    let Ok(mut accounts) = Accounts::of(users, roles, [Some(tokens), Some(providers), Some(keys)], now) else {
        return Vec::new();
    };
    std::iter::from_fn(|| accounts.next()).filter_map(Result::ok).map(account).collect()
}

/// Reads Nora's table of users as an import would: JSON lines where it begins like one, else CSV. What comes out, as the
/// admin API takes it; for fuzzing.
pub fn nora_accounts(table: &[u8]) -> Vec<Value> {
    let format = if table.starts_with(b"{") { Format::Jsonl } else { Format::Csv };
    let Ok(mut rows) = Rows::open(table, format) else { return Vec::new() };
    std::iter::from_fn(|| rows.next()).filter_map(Result::ok).map(account).collect()
}

/// Where a row stands.
fn place(file: Option<&str>, line: u64) -> String {
    match file {
        Some(file) => format!("{file}, line {line}"),
        None => format!("line {line}"),
    }
}

/// About how many bytes a value has as JSON.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| weight(item) + 1).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + weight(value) + 6).sum(),
        _ => 5,
    }
}

/// A row as the admin API takes it.
fn account(row: Row) -> Value {
    let mut account: Map<String, Value> = row.fields;
    account.insert("line".into(), row.line.into());
    Value::Object(account)
}
