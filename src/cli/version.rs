//! `keystead version`.

use anyhow::Result;
use serde_json::json;

use super::Surroundings;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write it as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    if args.json {
        return Ok(around.console.json(&json!({"name": name, "version": version}))?);
    }
    Ok(around.console.say(&format!("{name} {version}"))?)
}
