//! `keystead reload`: the running server takes its configuration, certificates and templates anew.

use anyhow::{Result, bail};
use serde_json::Value;

use super::Surroundings;
use super::place::Place;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    let place = &args.place;
    place.with_api(around, async |api, around| {
        if !api.is_running() {
            bail!("no server runs there; the next one reads the configuration when it starts");
        }
        let answer = api.post("/v1/reload", Value::Null).await?;
        if place.json {
            return Ok(around.console.json(&answer)?);
        }
        Ok(around.console.say(&said(&answer))?)
    })
}

fn said(answer: &Value) -> String {
    let list = |field: &str| {
        let items = answer[field].as_array().map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec!["the configuration was taken anew".to_owned()];
    for (field, heading) in [
        ("changed", "changed"),
        ("needs_restart", "needs a restart"),
        ("made", "project made"),
        ("undeclared", "project declared no more (it stays)"),
    ] {
        let items = list(field);
        if !items.is_empty() {
            lines.push(format!("  {heading}: {items}"));
        }
    }
    if answer["new_certificate"] == true {
        lines.push("  another certificate is served".to_owned());
    }
    lines.join("\n")
}
