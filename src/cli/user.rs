//! `keystead user`: accounts made, listed, shown, switched off and on, unlocked, deleted; passwords and roles set.

use anyhow::Result;
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Surroundings;
use super::api::{Api, encode};
use super::output::{cell, entries, fields, table};
use super::password::{Given, Source};
use super::place::InProject;
use super::project::{more, page};
use crate::crypto::Secret;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    within: InProject,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the accounts in the order they were made
    List {
        /// Entries at most, up to 1000
        #[arg(long, default_value_t = 100)]
        limit: u16,
        /// Begin after the account with this id
        #[arg(long, value_name = "ID")]
        after: Option<Uuid>,
    },
    /// Show an account
    Show(Who),
    /// Make an account
    Create(Create),
    /// Switch an account off: its sessions end, and it cannot sign in
    Disable(Who),
    /// Switch an account on again
    Enable(Who),
    /// Forget all failed sign-ins with an address
    Unlock {
        /// The address
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        email: String,
    },
    /// Set what the app lets an account do; sessions whose token says the former role end
    SetRole {
        #[command(flatten)]
        who: Who,
        /// The role
        #[arg(value_parser = ["user", "admin"])]
        role: String,
    },
    /// Delete an account with its sessions and keys
    Delete {
        #[command(flatten)]
        who: Who,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Set an account's password; its sessions end
    SetPassword {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        password: Source,
    },
}

#[derive(Debug, clap::Args)]
struct Who {
    /// The account, by address or id
    #[arg(value_name = "EMAIL|ID", value_parser = NonEmptyStringValueParser::new())]
    who: String,
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Its address
    email: String,
    #[command(flatten)]
    password: Source,
    /// Make it without a password: it cannot sign in until it has one
    #[arg(long, conflicts_with_all = ["password_file", "generate", "password_hash"])]
    no_password: bool,
    /// The name it goes by
    #[arg(long)]
    name: Option<String>,
    /// The address counts as proved
    #[arg(long)]
    verified: bool,
    /// What the app lets it do
    #[arg(long, value_parser = ["user", "admin"], default_value = "user")]
    role: String,
    /// A JSON object of the app's own
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    metadata: Option<Object>,
}

/// A JSON object on the command line.
#[derive(Clone, Debug)]
struct Object(Map<String, Value>);

impl Args {
    pub(super) fn run(self, around: &mut Surroundings) -> Result<()> {
        let Self { within, what } = self;
        within.place.clone().with_api(around, async |api, around| {
            let place = Here { path: within.path(api).await?, json: within.place.json, api };
            match what {
                What::List { limit, after } => place.list(around, limit, after).await,
                What::Show(who) => place.show(around, &who).await,
                What::Create(create) => place.create(around, create).await,
                What::Disable(who) => place.switch(around, &who, "disable", "disabled; its sessions ended").await,
                What::Enable(who) => place.switch(around, &who, "enable", "enabled").await,
                What::Unlock { email } => place.unlock(around, &email).await,
                What::SetRole { who, role } => place.set_role(around, &who, &role).await,
                What::Delete { who, yes } => place.delete(around, &who, yes).await,
                What::SetPassword { who, password } => place.set_password(around, &who, &password).await,
            }
        })
    }
}

/// One project's accounts.
struct Here<'a> {
    api: &'a Api,
    path: String,
    json: bool,
}

impl Here<'_> {
    fn user(&self, who: &Who) -> String {
        format!("{}/users/{}", self.path, encode(&who.who))
    }

    async fn list(&self, around: &mut Surroundings, limit: u16, after: Option<Uuid>) -> Result<()> {
        let answer = self.api.get(&page(&format!("{}/users?", self.path), limit, after)).await?;
        if self.json {
            return Ok(around.console.json(&answer)?);
        }
        let row = |user: &Value| {
            let state = if user["disabled_at"].is_null() { "active" } else { "disabled" };
            let verified = if user["verified_at"].is_null() { "no" } else { "yes" };
            let said = |field: &str| cell(user, field);
            vec![said("id"), said("number"), said("email"), state.into(), verified.into(), said("created_at")]
        };
        let rows: Vec<_> = entries(&answer, "users").iter().map(row).collect();
        around.console.say(&table(&["ID", "NUMBER", "EMAIL", "STATE", "VERIFIED", "CREATED"], &rows))?;
        more(around, &answer);
        Ok(())
    }

    async fn show(&self, around: &mut Surroundings, who: &Who) -> Result<()> {
        let user = self.api.get(&self.user(who)).await?;
        if self.json {
            return Ok(around.console.json(&user)?);
        }
        let shown = [
            "id",
            "number",
            "email",
            "display_name",
            "verified_at",
            "verified_by",
            "has_password",
            "role",
            "disabled_at",
            "created_at",
            "metadata",
        ];
        Ok(around.console.say(&fields(&shown.map(|field| (field, cell(&user, field)))))?)
    }

    async fn create(&self, around: &mut Surroundings, new: Create) -> Result<()> {
        let given = if new.no_password { None } else { Some(new.password.take(around)?) };
        let mut body =
            json!({"email": new.email, "display_name": new.name, "verified": new.verified, "role": new.role});
        body["metadata"] = new.metadata.map_or(Value::Null, |object| Value::Object(object.0));
        let told = given.and_then(|given| put_password(&mut body, given));
        let user = self.api.post(&format!("{}/users", self.path), body).await?;
        self.tell(around, user, "made", told)
    }

    async fn set_password(&self, around: &mut Surroundings, who: &Who, password: &Source) -> Result<()> {
        // Asked before a person types a password for nobody.
        let user = self.api.get(&self.user(who)).await?;
        let mut body = json!({});
        let told = put_password(&mut body, password.take(around)?);
        let path = format!("{}/users/{}/password", self.path, cell(&user, "id"));
        let user = self.api.put(&path, body).await?;
        self.tell(around, user, "has a new password; its sessions ended", told)
    }

    async fn switch(&self, around: &mut Surroundings, who: &Who, verb: &str, done: &str) -> Result<()> {
        let user = self.api.post(&format!("{}/{verb}", self.user(who)), json!({})).await?;
        self.tell(around, user, done, None)
    }

    async fn set_role(&self, around: &mut Surroundings, who: &Who, role: &str) -> Result<()> {
        let user = self.api.put(&format!("{}/role", self.user(who)), json!({"role": role})).await?;
        self.tell(around, user, &format!("has the role {role}"), None)
    }

    async fn unlock(&self, around: &mut Surroundings, email: &str) -> Result<()> {
        let answer = self.api.post(&format!("{}/unlock", self.path), json!({"email": email})).await?;
        if self.json {
            return Ok(around.console.json(&answer)?);
        }
        let said = match answer["counters"].as_u64() {
            Some(0) => "there were no failed sign-ins with this address".to_owned(),
            _ => "unlocked: its failed sign-ins are forgotten".to_owned(),
        };
        Ok(around.console.say(&said)?)
    }

    async fn delete(&self, around: &mut Surroundings, who: &Who, yes: bool) -> Result<()> {
        let user = self.api.get(&self.user(who)).await?;
        let email = cell(&user, "email");
        around.console.confirm(yes, &format!("deleting user {email}"), &email)?;
        // By id: what was shown is what is deleted.
        let gone = self.api.delete(&format!("{}/users/{}", self.path, cell(&user, "id"))).await?;
        self.tell(around, gone, "deleted", None)
    }

    /// Says what became of an account, and the password that was made up for it.
    fn tell(
        &self,
        around: &mut Surroundings,
        mut user: Value,
        done: &str,
        password: Option<Secret<String>>,
    ) -> Result<()> {
        if self.json {
            if let Some(password) = password {
                user["password"] = json!(password.expose());
            }
            return Ok(around.console.json(&user)?);
        }
        let (email, id) = (super::output::visible(&cell(&user, "email")), cell(&user, "id"));
        around.console.say(&format!("user {email} ({id}) {done}"))?;
        if let Some(password) = password {
            around.console.say(&format!("password  {}", password.expose()))?;
            around.console.note("this password is shown only now");
        }
        Ok(())
    }
}

/// Puts the password where the API takes it; the one that was made up is handed back, to be told.
fn put_password(body: &mut Value, given: Given) -> Option<Secret<String>> {
    match given {
        Given::Known(password) => {
            body["password"] = json!(password.expose());
            None
        }
        Given::Generated(password) => {
            body["password"] = json!(password.expose());
            Some(password)
        }
        Given::Hash(hash) => {
            body["password_hash"] = json!(hash);
            None
        }
    }
}

fn json_object(text: &str) -> Result<Object, String> {
    serde_json::from_str(text).map(Object).map_err(|error| format!("write a JSON object: {error}"))
}
