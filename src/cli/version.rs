//! `keystead version`.

use anyhow::Result;
use serde_json::{Value, json};

use super::Surroundings;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write it as one line of JSON, with what it was built for
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    if args.json {
        return Ok(around.console.json(&build())?);
    }
    Ok(around.console.say(&format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")))?)
}

/// What the compiler knows. The commit only where whoever built it said so, with `KEYSTEAD_COMMIT`.
fn build() -> Value {
    let mut build = json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "target": format!("{}-unknown-{}-{}", std::env::consts::ARCH, std::env::consts::OS, ABI),
        "static": cfg!(target_feature = "crt-static"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    });
    if let Some(commit) = option_env!("KEYSTEAD_COMMIT") {
        build["commit"] = commit.into();
    }
    build
}

const ABI: &str = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
