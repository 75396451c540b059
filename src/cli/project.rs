//! `keystead project`: made, listed, shown, deleted.

use anyhow::Result;
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::api::{Api, encode};
use super::output::{cell, entries, table, visible};
use super::place::{InProject, Place};
use super::{Surroundings, Usage};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a project
    Create {
        /// Its name: 1 to 63 of a-z, 0-9 and "-"
        slug: String,
        /// Its id [else a new one]
        #[arg(long, value_name = "UUID")]
        id: Option<Uuid>,
        /// A setting kept with the project, such as verification.mode=strict; repeatable
        #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
        set: Vec<(String, String)>,
    },
    /// List the projects
    List {
        /// Entries at most
        #[arg(long, default_value_t = 100)]
        limit: u16,
        /// Begin after the project with this id
        #[arg(long, value_name = "ID")]
        after: Option<Uuid>,
    },
    /// Show a project and the settings in force
    Show {
        /// Its slug or id [else the only one]
        #[arg(value_name = "SLUG|ID", value_parser = NonEmptyStringValueParser::new())]
        project: Option<String>,
    },
    /// Delete a project with all its users, sessions and keys
    Delete {
        /// Its slug or id
        #[arg(value_name = "SLUG|ID", value_parser = NonEmptyStringValueParser::new())]
        project: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let Self { place, what } = self;
        place.with_api(around, async |api, around| match what {
            What::Create { slug, id, set } => create(&place, api, around, slug, id, set).await,
            What::List { limit, after } => list(&place, api, around, limit, after).await,
            What::Show { project } => show(&place, api, around, project).await,
            What::Delete { project, yes } => delete(&place, api, around, &project, yes).await,
        })
    }
}

async fn create(
    place: &Place,
    api: &Api,
    around: &mut Surroundings,
    slug: String,
    id: Option<Uuid>,
    set: Vec<(String, String)>,
) -> Result<()> {
    let mut settings = Map::new();
    for (key, value) in set {
        if settings.contains_key(&key) {
            return Err(Usage(format!("--set {key} is there twice")).into());
        }
        settings.insert(key, Value::String(value));
    }
    let made = api.post("/v1/projects", json!({"slug": slug, "id": id, "settings": settings})).await?;
    if place.json {
        return Ok(around.console.json(&made)?);
    }
    Ok(around.console.say(&format!("project {} made, id {}", cell(&made, "slug"), cell(&made, "id")))?)
}

async fn list(place: &Place, api: &Api, around: &mut Surroundings, limit: u16, after: Option<Uuid>) -> Result<()> {
    let answer = api.get(&page("/v1/projects?", limit, after)).await?;
    if place.json {
        return Ok(around.console.json(&answer)?);
    }
    let row = |project: &Value| ["id", "slug", "created_at"].map(|field| cell(project, field)).to_vec();
    let rows: Vec<_> = entries(&answer, "projects").iter().map(row).collect();
    around.console.say(&table(&["ID", "SLUG", "CREATED"], &rows))?;
    more(around, &answer);
    Ok(())
}

async fn show(place: &Place, api: &Api, around: &mut Surroundings, project: Option<String>) -> Result<()> {
    let path = InProject { project, ..InProject::default() }.path(api).await?;
    let shown = api.get(&path).await?;
    if place.json {
        return Ok(around.console.json(&shown)?);
    }
    let settings = toml::to_string(&shown["settings"])?;
    let head = ["slug", "id", "created_at"].map(|field| (field, cell(&shown, field)));
    let settings = settings.trim_end().lines().map(|line| format!("  {}", visible(line)).trim_end().to_owned());
    let settings = settings.collect::<Vec<_>>().join("\n");
    Ok(around.console.say(&format!("{}\nsettings\n{settings}", super::output::fields(&head)))?)
}

async fn delete(place: &Place, api: &Api, around: &mut Surroundings, project: &str, yes: bool) -> Result<()> {
    let shown = api.get(&format!("/v1/projects/{}", encode(project))).await?;
    let slug = cell(&shown, "slug");
    around.console.confirm(yes, &format!("deleting project {slug} and all its users"), &slug)?;
    // By id: what was shown is what is deleted.
    let gone = api.delete(&format!("/v1/projects/{}", cell(&shown, "id"))).await?;
    if place.json {
        return Ok(around.console.json(&gone)?);
    }
    Ok(around.console.say(&format!("project {slug} deleted"))?)
}

/// `path`, which has its `?`, with the page's parameters.
pub(super) fn page(path: &str, limit: u16, after: Option<Uuid>) -> String {
    let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
    format!("{path}limit={limit}{after}")
}

/// Says how to go on when the list did.
pub(super) fn more(around: &mut Surroundings, answer: &Value) {
    if let Some(next) = answer["next"].as_str() {
        around.console.note(&format!("there are more: add --after {next}"));
    }
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
