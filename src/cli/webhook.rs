//! `keystead webhook`: listed, tried.

use anyhow::{Result, bail};
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::Surroundings;
use super::api::encode;
use super::output::{cell, entries, fields, table};
use super::place::InProject;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    within: InProject,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the project's webhooks and how much waits for each
    List,
    /// Post a signed `ping` and show what the receiver answers
    Test {
        /// The webhook's name in the configuration
        #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        name: String,
    },
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let Self { within, what } = self;
        within.place.with_api(around, async |api, around| {
            let path = format!("{}/webhooks", within.path(api).await?);
            match what {
                What::List => {
                    let answer = api.get(&path).await?;
                    if within.place.json {
                        return Ok(around.console.json(&answer)?);
                    }
                    let rows: Vec<_> = entries(&answer, "webhooks").iter().map(row).collect();
                    Ok(around.console.say(&table(&["NAME", "URL", "EVENTS", "WAITING"], &rows))?)
                }
                What::Test { name } => {
                    let answer = api.post(&format!("{path}/{}/test", encode(&name)), json!({})).await?;
                    if within.place.json {
                        around.console.json(&answer)?;
                    } else {
                        let said = |(name, field): (&'static str, &str)| match &answer[field] {
                            Value::Null => None,
                            _ => Some((name, cell(&answer, field))),
                        };
                        let all =
                            [("status", "status"), ("error", "error"), ("ms", "milliseconds"), ("answer", "answer")];
                        let lines: Vec<_> = all.into_iter().filter_map(said).collect();
                        around.console.say(&fields(&lines))?;
                    }
                    match answer["ok"].as_bool() {
                        Some(true) => Ok(()),
                        _ => bail!("the receiver did not take it: only a status of 200 to 299 counts"),
                    }
                }
            }
        })
    }
}

fn row(webhook: &Value) -> Vec<String> {
    let events: Vec<_> = entries(webhook, "events").iter().filter_map(Value::as_str).collect();
    let events = match (webhook["enabled"].as_bool(), events.is_empty()) {
        (Some(false), _) => "(switched off)".into(),
        (_, true) => "all".into(),
        (_, false) => events.join(", "),
    };
    vec![cell(webhook, "name"), cell(webhook, "url"), events, cell(webhook, "waiting")]
}
