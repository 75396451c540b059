//! `keystead openapi`: what an API looks like, without a server.

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;

use super::place::Place;
use super::{Surroundings, Usage};
use crate::app::configured_url;
use crate::auth::ProjectSettings;
use crate::config::Settings;
use crate::dialect::Dialect;
use crate::http::openapi::Scope;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which API
    #[arg(value_name = "DIALECT", value_parser = PossibleValuesParser::new(Dialect::ALL.map(Dialect::name)))]
    dialect: String,
    /// The project whose settings and mounts count, by slug [else the only one in the configuration]
    #[arg(long, value_name = "SLUG")]
    project: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    let settings = args.place.settings(around)?;
    let project = project(&settings, args.project.as_deref())?;
    let Some(dialect) = Dialect::ALL.into_iter().find(|dialect| dialect.name() == args.dialect) else {
        bail!("there is no API {}", args.dialect)
    };
    let Some(mount) = dialect.mounts(&project).next() else {
        bail!("{} is switched off in project {} ({0}.enabled)", args.dialect, project.slug)
    };
    let url = format!("{}{mount}", project.public_url.clone().unwrap_or_else(|| configured_url(&settings)));
    let document = dialect.document(&Scope { settings: &project, url, project: project.id });
    if args.place.json {
        return Ok(around.console.json(&document)?);
    }
    Ok(around.console.say(&serde_json::to_string_pretty(&document)?)?)
}

/// The project that is meant. Only the configuration is looked at: what lies in project files takes a server.
fn project(settings: &Settings, named: Option<&str>) -> Result<ProjectSettings> {
    let declared: Vec<&str> = settings.projects.keys().map(String::as_str).collect();
    let slug = match (named, declared.as_slice()) {
        (Some(slug), _) => slug,
        (None, []) => "default",
        (None, [only]) => only,
        (None, several) => {
            let text = format!("there are several projects, say which with --project: {}", several.join(", "));
            return Err(Usage(text).into());
        }
    };
    Ok(settings.project(slug, None)?)
}
