//! Projects out of what `keystead export` wrote: sent as it is to the admin API, which looks at every line.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Args;
use crate::cli::api::encode;
use crate::cli::output::{cell, entries};
use crate::cli::{Surroundings, Usage};

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    if args.format.is_some() || args.skip_invalid || args.verified {
        return Err(Usage("--format, --skip-invalid and --verified are for --from nora and --from nhost".into()).into());
    }
    let mut file = match args.file == Path::new("-") {
        true => None,
        false => Some(File::open(&args.file).with_context(|| args.file.display().to_string())?),
    };
    args.within.place.clone().with_api(around, async |api, around| {
        let answer = match &mut file {
            Some(file) => api.send(&path(args), file).await?,
            None => api.send(&path(args), &mut around.console.input).await?,
        };
        tell(args, around, &answer)
    })
}

fn path(args: &Args) -> String {
    let mut path = format!("/v1/import?dry_run={}&new_id={}", args.dry_run, args.new_id);
    for (name, value) in [("project", &args.within.project), ("slug", &args.slug)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    path
}

fn tell(args: &Args, around: &mut Surroundings, answer: &Value) -> Result<()> {
    if args.within.place.json {
        return Ok(around.console.json(answer)?);
    }
    for project in entries(answer, "projects") {
        let done = if args.dry_run { "could be imported" } else { "imported" };
        let named = format!(
            "project {} ({}) {done}: {}",
            cell(project, "slug"),
            cell(project, "id"),
            counts(&project["written"])
        );
        around.console.say(&named)?;
        if project["left_out"].as_object().is_some_and(|left| !left.is_empty()) {
            around.console.say(&format!("  left out: {}", counts(&project["left_out"])))?;
        }
    }
    Ok(())
}

/// Such as `2 user, 1 session`.
fn counts(by_type: &Value) -> String {
    let counts: Vec<_> = by_type.as_object().into_iter().flatten().map(|(kind, n)| format!("{n} {kind}")).collect();
    if counts.is_empty() { "nothing but itself".into() } else { counts.join(", ") }
}
