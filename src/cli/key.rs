//! `keystead key`: signing keys listed and rotated.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::Surroundings;
use super::output::{cell, entries, table};
use super::place::InProject;
use crate::config::forms;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    within: InProject,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the signing keys, each kind oldest first
    List,
    /// Sign with new keys from now on
    Rotate(Overlap),
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Overlap {
    /// How long tokens of the keys there are stay good, such as 24h [else the project's tokens.key_overlap]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    overlap: Option<String>,
    /// Refuse everything signed so far, at once: the keys are known to others
    #[arg(long)]
    now: bool,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let Self { within, what } = self;
        within.place.with_api(around, async |api, around| {
            let path = format!("{}/keys", within.path(api).await?);
            match what {
                What::List => {
                    let answer = api.get(&path).await?;
                    if within.place.json {
                        return Ok(around.console.json(&answer)?);
                    }
                    let row = |key: &Value| {
                        let retires = &key["retires_at"];
                        let retires = retires.as_str().map_or("signs now".into(), str::to_owned);
                        vec![cell(key, "kid"), cell(key, "algorithm"), cell(key, "created_at"), retires]
                    };
                    let rows: Vec<_> = entries(&answer, "keys").iter().map(row).collect();
                    Ok(around.console.say(&table(&["KEY", "ALGORITHM", "CREATED", "RETIRES"], &rows))?)
                }
                What::Rotate(how) => {
                    let overlap = if how.now { Some("0s".to_owned()) } else { how.overlap };
                    let key = api.post(&format!("{path}/rotate"), json!({"overlap": overlap})).await?;
                    if within.place.json {
                        return Ok(around.console.json(&key)?);
                    }
                    let said =
                        |key: &Value| format!("{} ({}) signs from now on", cell(key, "kid"), cell(key, "algorithm"));
                    let more = Some(&key["jwt"]).filter(|key| !key.is_null()).map(|key| format!("\n{}", said(key)));
                    Ok(around.console.say(&format!("{}{}", said(&key), more.unwrap_or_default()))?)
                }
            }
        })
    }
}

fn duration(text: &str) -> Result<String, String> {
    forms::duration(text).map(|_| text.to_owned())
}
