//! Which data a command is about: the flags, and the settings they lead to.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::api::{Api, encode};
use super::output::{cell, entries};
use super::{Surroundings, Usage};
use crate::config::{Overrides, Settings, load};

/// How many projects an error names.
const NAMED: usize = 20;

/// Flags of every command about data.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Place {
    /// The configuration file [else KEYSTEAD_CONFIG, else none]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The data directory [else KEYSTEAD_DATA_DIR, else the configuration's, else ./keystead-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Write the result as one line of JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Place {
    /// The settings in force there.
    ///
    /// # Errors
    /// [`crate::config::Problems`], all at once.
    pub(super) fn settings(&self, around: &Surroundings) -> Result<Settings> {
        let overrides =
            Overrides { config: self.config.clone(), data_dir: self.data_dir.clone(), ..Overrides::default() };
        Ok(load(&overrides, around.environment.as_ref().map_err(Clone::clone)?)?)
    }

    /// Runs `work` with the admin API of this place, whichever way it is reached.
    pub(super) fn with_api<T>(
        &self,
        around: &mut Surroundings,
        work: impl AsyncFnOnce(&Api, &mut Surroundings) -> Result<T>,
    ) -> Result<T> {
        let settings = self.settings(around)?;
        // One thread is enough: a command asks a few questions one after another.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let api = Api::open(settings, around.env.clone()).await?;
            let result = work(&api, around).await;
            api.close().await;
            result
        })
    }
}

/// Flags of every command about what is in a project.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct InProject {
    #[command(flatten)]
    pub(super) place: Place,
    /// The project, by slug or id [else the only one]
    #[arg(long, global = true, value_name = "SLUG|ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) project: Option<String>,
}

impl InProject {
    /// The project's path in the admin API.
    pub(super) async fn path(&self, api: &Api) -> Result<String> {
        if let Some(name) = &self.project {
            return Ok(format!("/v1/projects/{}", encode(name)));
        }
        let answer = api.get(&format!("/v1/projects?limit={NAMED}")).await?;
        match entries(&answer, "projects") {
            [] => bail!("there is no project yet: make one with `keystead project create SLUG`"),
            [only] => Ok(format!("/v1/projects/{}", cell(only, "id"))),
            several => {
                let names: Vec<_> = several.iter().map(|project| cell(project, "slug")).collect();
                let more = if answer["next"].is_null() { "" } else { ", …" };
                Err(Usage(format!("there are several projects, say which with --project: {}{more}", names.join(", ")))
                    .into())
            }
        }
    }
}
