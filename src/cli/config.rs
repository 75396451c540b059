//! `keystead config`: tried, shown, explained.

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::place::Place;
use super::{AlreadyTold, Surroundings};
use crate::config::{Problem, Problems, example};

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
    /// Show the settings in force as TOML, secrets unseen
    Show,
    /// Print every key with its default and meaning
    Example,
}

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    let place = &args.place;
    match args.what {
        What::Check => check(place, around),
        What::Show => {
            let text = place.settings(around)?.to_annotated_toml();
            if place.json {
                return Ok(around.console.json(&toml::from_str::<Value>(&text)?)?);
            }
            Ok(around.console.say(text.trim_end())?)
        }
        What::Example => Ok(around.console.say(example().trim_end())?),
    }
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
                Err(AlreadyTold.into())
            }
            Ok(problems) => Err(problems.into()),
            Err(error) => Err(error),
        },
    }
}
