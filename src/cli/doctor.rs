//! `keystead doctor`: whether all is well, and what to do where it is not.

use anyhow::Result;
use serde_json::{Value, json};

use super::api::Api;
use super::output::{cell, entries, visible};
use super::place::Place;
use super::{AlreadyTold, Surroundings};
use crate::admin::{Finding, Severity};
use crate::config::{Problem, Problems};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    let place = &args.place;
    let findings = match place.settings(around) {
        Ok(settings) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match Api::open(settings, around.env.clone()).await {
                    Ok(api) => {
                        let answer = api.get("/v1/findings").await;
                        api.close().await;
                        answer.map(|answer| entries(&answer, "findings").to_vec())
                    }
                    // What keeps this command out keeps the server out.
                    Err(error) => Ok(vec![hurdle(&error)?]),
                }
            })?
        }
        Err(error) => mistakes(error)?,
    };
    let is_bad = findings.iter().any(|finding| finding["severity"] == "error");
    if place.json {
        around.console.json(&json!({ "ok": !is_bad, "findings": findings }))?;
    } else {
        around.console.say(&said(&findings))?;
    }
    if is_bad { Err(AlreadyTold::FINDINGS.into()) } else { Ok(()) }
}

/// Why the data cannot be looked at.
fn hurdle(error: &anyhow::Error) -> Result<Value> {
    let what = format!("{error:#}");
    let finding = Finding::new(
        Severity::Error,
        what,
        "the data cannot be looked at, so nothing more can be said",
        "do what it says, and run `keystead doctor` again",
    );
    Ok(serde_json::to_value(finding)?)
}

/// Every mistake in the configuration as a finding.
fn mistakes(error: anyhow::Error) -> Result<Vec<Value>> {
    let Problems(problems) = error.downcast()?;
    let finding = |Problem { source, key, reason }: Problem| {
        let what = if key.is_empty() { format!("{source}: {reason}") } else { format!("{source}: {key}: {reason}") };
        let remedy = "`keystead config example` explains every key";
        serde_json::to_value(Finding::new(Severity::Error, what, "no server starts with this configuration", remedy))
    };
    Ok(problems.into_iter().map(finding).collect::<Result<_, _>>()?)
}

fn said(findings: &[Value]) -> String {
    if findings.is_empty() {
        return "all is well".to_owned();
    }
    let block = |finding: &Value| {
        let field = |name: &str| visible(&cell(finding, name));
        format!("{}: {}\n  why:    {}\n  remedy: {}", field("severity"), field("what"), field("why"), field("remedy"))
    };
    findings.iter().map(block).collect::<Vec<_>>().join("\n\n")
}
