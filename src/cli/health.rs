//! `keystead health`: whether the running server can do its work, for what watches containers and services.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::api::Api;
use super::output::{cell, visible};
use super::place::Place;
use super::{AlreadyTold, Surroundings};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
}

/// Done when the server serves, well or not so well; failed when requests should go elsewhere, or none runs.
pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    let place = &args.place;
    let data_dir = place.settings(around)?.data_dir;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Some(health) = runtime.block_on(Api::health(&data_dir))? else {
        if !place.json {
            bail!("no server runs on {}", data_dir.display());
        }
        around.console.json(&json!({ "status": "unavailable", "checks": {} }))?;
        return Err(AlreadyTold::FINDINGS.into());
    };
    if place.json {
        around.console.json(&health)?;
    } else {
        around.console.say(&said(&health))?;
    }
    match health["status"].as_str() {
        Some("ok" | "degraded") => Ok(()),
        _ => Err(AlreadyTold::FINDINGS.into()),
    }
}

/// The whole in one line, and a line for each part that is not well.
fn said(health: &Value) -> String {
    let part = |(name, check): (&String, &Value)| {
        let ill = check["status"] != "ok";
        ill.then(|| format!("  {name}: {}: {}", cell(check, "status"), visible(&cell(check, "detail"))))
    };
    let ill = health["checks"].as_object().into_iter().flatten().filter_map(part);
    std::iter::once(cell(health, "status")).chain(ill).collect::<Vec<_>>().join("\n")
}
