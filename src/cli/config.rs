//! `keystead config`: tried, shown, explained.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::output::{entries, visible};
use super::place::Place;
use super::{AlreadyTold, Surroundings};
use crate::auth::catalog;
use crate::config::{self, Problem, Problems, Remark, Shown, annotated, example};
use crate::crypto::Secret;

/// The largest environment file, bytes.
const MAX_ENV_FILE: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say every mistake in the configuration, without starting anything
    Check,
    /// Show every setting as TOML and where it comes from, secrets unseen
    Show {
        /// What the running server has in force, which may differ from what this command finds
        #[arg(long)]
        running: bool,
    },
    /// Print every key with its default and meaning
    Example,
    /// Print the configuration that an environment file of Nhost Auth stands for, and say what it cannot say
    ///
    /// The configuration goes to standard output, with the secrets that were in the file; everything else is said beside
    /// it, on standard error.
    FromNhost {
        /// The environment file
        file: PathBuf,
        /// The project it is for
        #[arg(long, value_name = "SLUG", default_value = "default")]
        slug: String,
    },
}

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    let place = &args.place;
    match &args.what {
        What::Check => check(place, around),
        What::Show { running } => {
            let shown = if *running { in_force(place, around)? } else { found(place, around)? };
            if place.json {
                return Ok(around.console.json(&tree(&shown))?);
            }
            Ok(around.console.say(annotated(&shown).trim_end())?)
        }
        What::Example => Ok(around.console.say(example().trim_end())?),
        What::FromNhost { file, slug } => from_nhost(file, slug, place.json, around),
    }
}

/// What a server started with these flags and this environment would have in force.
fn found(place: &Place, around: &Surroundings) -> Result<Vec<Shown>> {
    let settings = place.settings(around)?;
    // Without its catalog, which this user may not read, only what is declared is known.
    let catalog = catalog::load(&settings.data_dir.join("catalog.json"));
    let kept = catalog.values().map(|entry| (entry.slug.as_str(), entry.settings.as_deref()));
    Ok(settings.with_projects(kept)?.shown())
}

/// What the running server has in force.
fn in_force(place: &Place, around: &mut Surroundings) -> Result<Vec<Shown>> {
    place.with_api(around, async |api, _| {
        if !api.is_running() {
            bail!("no server runs there; without --running this shows what one would have in force");
        }
        let answer = api.get("/v1/config").await?;
        let shown = |entry: &Value| {
            let (key, source) = (entry["key"].as_str()?.to_owned(), entry["source"].as_str()?.to_owned());
            Some(Shown { key, value: serde_json::from_value(entry["value"].clone()).ok()?, source })
        };
        Ok(entries(&answer, "settings").iter().filter_map(shown).collect())
    })
}

/// Objects `{"value", "source"}` in objects for the sections.
fn tree(shown: &[Shown]) -> Value {
    let mut whole = Map::new();
    for Shown { key, value, source } in shown {
        let (sections, name) = key.rsplit_once('.').map_or((None, key.as_str()), |(at, name)| (Some(at), name));
        let mut at = &mut whole;
        for section in sections.into_iter().flat_map(|sections| sections.split('.')) {
            let inner = at.entry(section).or_insert_with(|| Value::Object(Map::new()));
            // A section has no value of its own.
            let Value::Object(inner) = inner else { return Value::Null };
            at = inner;
        }
        at.insert(name.to_owned(), json!({ "value": value, "source": source }));
    }
    Value::Object(whole)
}

fn check(place: &Place, around: &mut Surroundings) -> Result<()> {
    match place.settings(around) {
        Ok(_) if place.json => Ok(around.console.json(&json!({"ok": true, "problems": []}))?),
        Ok(_) => Ok(around.console.say("the configuration is right")?),
        Err(error) => match error.downcast::<Problems>() {
            Ok(Problems(problems)) if place.json => {
                let view =
                    |problem: &Problem| json!({"source": problem.source, "key": problem.key, "reason": problem.reason});
                let all: Vec<_> = problems.iter().map(view).collect();
                around.console.json(&json!({"ok": false, "problems": all}))?;
                Err(AlreadyTold::MISTAKES.into())
            }
            Ok(problems) => Err(problems.into()),
            Err(error) => Err(error),
        },
    }
}

fn from_nhost(file: &Path, slug: &str, json: bool, around: &mut Surroundings) -> Result<()> {
    let name = || file.display().to_string();
    let mut text = Secret::new(String::new());
    let read = File::open(file).with_context(name)?.take(MAX_ENV_FILE + 1).read_to_string(text.expose_mut());
    if read.with_context(name)? as u64 > MAX_ENV_FILE {
        bail!("{}: it is larger than {MAX_ENV_FILE} bytes", name());
    }
    let made = config::from_nhost(text.expose(), slug)?;
    if json {
        let remarks = |all: &[Remark]| -> Vec<Value> {
            all.iter().map(|one| json!({ "name": one.name, "reason": one.text })).collect()
        };
        return Ok(around.console.json(&json!({
            "toml": made.toml.expose(), "secrets": made.secrets, "not_carried": remarks(&made.left),
            "different": remarks(&made.different), "foreign": made.foreign,
        }))?);
    }
    around.console.say(made.toml.expose().trim_end())?;
    for (heading, remarks) in [("Not carried over:", &made.left), ("Behaves differently:", &made.different)] {
        if !remarks.is_empty() {
            around.console.note(heading);
        }
        for Remark { name, text } in remarks {
            around.console.note(&format!("  {}: {}", visible(name), visible(text)));
        }
    }
    if made.foreign > 0 {
        around
            .console
            .note(&format!("{} further variables are none of Nhost Auth's, and were passed over.", made.foreign));
    }
    if !made.secrets.is_empty() {
        let keys = made.secrets.join(", ");
        around.console.note(&format!("What was printed holds secrets ({keys}): let nobody but the server read it."));
    }
    Ok(())
}
