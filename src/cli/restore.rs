//! `keystead restore`: projects out of a backup, all of them looked at before anything changes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::Surroundings;
use super::api::{Api, encode};
use super::backup::{passphrase, summary};
use super::output::{cell, entries, table};
use super::place::Place;
use crate::backup::{Contents, Keys, open, peek_master_key, read};
use crate::crypto::Secret;

/// Where a master key would be: a block for its name, one for itself.
const START: usize = 1024;
/// The largest file of identities.
const MAX_IDENTITIES: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// The backup; - for standard input
    file: PathBuf,
    /// Only this project of it, by slug or id [else all]
    #[arg(long, value_name = "SLUG|ID", value_parser = NonEmptyStringValueParser::new())]
    project: Option<String>,
    /// As a new project beside the original, under a new id [and by this slug]: passwords stay, nothing that the original
    /// gave out works
    #[arg(
        long, value_name = "SLUG", num_args = 0..=1, require_equals = true, default_missing_value = "",
        conflicts_with_all = ["replace", "end_sessions"]
    )]
    as_new: Option<String>,
    /// In the place of the project that is there, whose file is kept aside
    #[arg(long)]
    replace: bool,
    /// End all sessions in it, and make the links and codes useless that were unused then
    #[arg(long)]
    end_sessions: bool,
    /// A file of age identities that open it; repeatable
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// The passphrase that opens it, on the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Only read it to its end, and say what is in it
    #[arg(long, conflicts_with_all = ["project", "as_new", "replace", "end_sessions"])]
    check: bool,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let keys = self.keys()?;
        let name = self.file.display().to_string();
        if self.file != Path::new("-") {
            let file = File::open(&self.file).with_context(|| name.clone())?;
            let opened = open(file, &keys).with_context(|| name.clone())?;
            return self.go_on(around, opened, &name);
        }
        let input = std::mem::replace(&mut around.console.input, Box::new(std::io::empty()));
        let opened = open(input, &keys).context("standard input")?;
        self.go_on(around, opened, "standard input")
    }

    fn go_on(self, around: &mut Surroundings, mut from: impl Read, name: &str) -> Result<()> {
        if self.check {
            let contents = read(from, |_| Ok(())).with_context(|| name.to_owned())?;
            return self.say_what_is_in_it(around, &contents, name);
        }
        let mut start = Secret::new(Vec::with_capacity(START));
        from.by_ref().take(START as u64).read_to_end(start.expose_mut()).with_context(|| name.to_owned())?;
        let brought = peek_master_key(start.expose());
        let skipped = if brought.is_some() { START } else { 0 };
        let mut from = start.expose()[skipped..].chain(from);
        let settings = self.place.settings(around)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let api = Api::open_to_restore(settings, around.env.clone(), brought.as_ref()).await?;
            let answer = api.send(&self.path(), &mut from).await;
            // Where nothing was, nothing stays after a failure.
            api.close_after_restore(answer.is_ok()).await;
            self.tell(around, &answer?)
        })
    }

    fn keys(&self) -> Result<Keys> {
        let mut keys = Keys::default();
        for file in &self.identity {
            let name = || file.display().to_string();
            let mut text = Secret::new(Vec::new());
            File::open(file)
                .with_context(name)?
                .take(MAX_IDENTITIES)
                .read_to_end(text.expose_mut())
                .with_context(name)?;
            keys.add_identities(&text).with_context(name)?;
        }
        if let Some(file) = &self.passphrase_file {
            keys.add_passphrase(&passphrase(file)?);
        }
        Ok(keys)
    }

    fn path(&self) -> String {
        let mut path = format!(
            "/v1/restore?as_new={}&replace={}&end_sessions={}",
            self.as_new.is_some(),
            self.replace,
            self.end_sessions
        );
        let slug = self.as_new.as_ref().filter(|slug| !slug.is_empty());
        for (name, value) in [("project", self.project.as_ref()), ("slug", slug)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        path
    }

    fn tell(&self, around: &mut Surroundings, answer: &Value) -> Result<()> {
        if self.place.json {
            return Ok(around.console.json(answer)?);
        }
        for project in entries(answer, "projects") {
            let was = match &project["was"] {
                Value::Null => String::new(),
                was => format!(", which was {}", was.as_str().unwrap_or_default()),
            };
            let (slug, id) = (cell(project, "slug"), cell(project, "id"));
            let moment = cell(answer, "moment");
            around.console.say(&format!("project {slug} ({id}){was} is as it was at {moment}"))?;
            if let Some(kept) = project["kept"].as_str() {
                around.console.say(&format!("  the file that was there is kept: {kept}"))?;
            }
        }
        Ok(())
    }

    fn say_what_is_in_it(&self, around: &mut Surroundings, contents: &Contents, name: &str) -> Result<()> {
        if self.place.json {
            return Ok(around.console.json(&json!({"ok": true, "backup": contents}))?);
        }
        around.console.say(&format!("{name} is whole: {}", summary(contents)))?;
        let rows: Vec<Vec<String>> = contents
            .files
            .iter()
            .map(|file| {
                let trail = format!("{}:{}", file.audit.seq, file.audit.hash);
                vec![file.slug.clone(), file.id.to_string(), file.rows.to_string(), file.bytes.to_string(), trail]
            })
            .collect();
        around.console.say(&table(&["SLUG", "ID", "ROWS", "BYTES", "AUDIT"], &rows))?;
        Ok(())
    }
}
