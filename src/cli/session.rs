//! `keystead session`: listed, ended.

use anyhow::Result;
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use serde_json::Value;
use uuid::Uuid;

use super::Surroundings;
use super::api::{Api, encode};
use super::output::{cell, entries, table};
use super::place::InProject;
use super::project::{more, page};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    within: InProject,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List sessions, oldest first; expired ones that were not yet swept among them
    List {
        /// Only those of this account, by address or id
        #[arg(value_name = "EMAIL|ID", value_parser = NonEmptyStringValueParser::new())]
        who: Option<String>,
        /// Entries at most, up to 1000
        #[arg(long, default_value_t = 100)]
        limit: u16,
        /// Begin after the session with this id
        #[arg(long, value_name = "ID")]
        after: Option<Uuid>,
    },
    /// End a session, or all sessions of an account
    Revoke(Which),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The session
    #[arg(value_name = "ID")]
    session: Option<Uuid>,
    /// All sessions of this account, by address or id
    #[arg(long, value_name = "EMAIL|ID", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
}

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let Self { within, what } = self;
        within.place.with_api(around, async |api, around| match what {
            What::List { who, limit, after } => list(&within, api, around, who.as_deref(), limit, after).await,
            What::Revoke(which) => revoke(&within, api, around, which).await,
        })
    }
}

async fn list(
    within: &InProject,
    api: &Api,
    around: &mut Surroundings,
    who: Option<&str>,
    limit: u16,
    after: Option<Uuid>,
) -> Result<()> {
    let user = who.map(|who| format!("user={}&", encode(who))).unwrap_or_default();
    let path = format!("{}/sessions?{user}", within.path(api).await?);
    let answer = api.get(&page(&path, limit, after)).await?;
    if within.place.json {
        return Ok(around.console.json(&answer)?);
    }
    let columns = ["id", "user", "created_at", "refreshed_at", "expires_at", "ip", "agent"];
    let row = |session: &Value| columns.map(|field| cell(session, field)).to_vec();
    let rows: Vec<_> = entries(&answer, "sessions").iter().map(row).collect();
    around.console.say(&table(&["ID", "USER", "BEGAN", "REFRESHED", "EXPIRES", "IP", "AGENT"], &rows))?;
    more(around, &answer);
    Ok(())
}

async fn revoke(within: &InProject, api: &Api, around: &mut Surroundings, which: Which) -> Result<()> {
    let project = within.path(api).await?;
    let path = match (which.session, which.user) {
        (Some(session), _) => format!("{project}/sessions/{session}"),
        (None, who) => format!("{project}/users/{}/sessions", encode(&who.unwrap_or_default())),
    };
    let answer = api.delete(&path).await?;
    if within.place.json {
        return Ok(around.console.json(&answer)?);
    }
    let said = match answer["revoked"].as_u64() {
        Some(1) => "1 session ended".to_owned(),
        _ => format!("{} sessions ended", cell(&answer, "revoked")),
    };
    Ok(around.console.say(&said)?)
}
