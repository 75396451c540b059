//! Other settings for a server that runs: checked against the projects there are, then put in force at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Entry, Projects};
use crate::auth::project::Maker;
use crate::auth::{Error, ProjectSettings};
use crate::config::{Problem, Problems, Settings, check_together};
use crate::env::Timestamp;
use crate::outbound::SetupError;

/// What came of new settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Projects that are declared now and were not there: made.
    pub made: Vec<String>,
    /// Projects that are not declared any more. They go on with what they were created with.
    pub undeclared: Vec<String>,
}

/// Why settings were not put in force. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotAdopted {
    /// They do not fit the projects there are.
    #[error("{0}")]
    Settings(Problems),
    /// The client for calls to others cannot be set up as they want it.
    #[error("{0}")]
    Outbound(#[from] SetupError),
    /// A project they declare cannot be made.
    #[error("{0}")]
    Project(#[from] Error),
}

impl Projects {
    /// Puts `settings` in force, for open projects at their next request, and makes the projects they declare. Links are
    /// built from `default_url` where neither a project nor the settings say.
    ///
    /// # Errors
    /// [`NotAdopted`], and then nothing has changed.
    pub async fn adopt(&self, settings: Settings, default_url: &str, now: Timestamp) -> Result<Adopted, NotAdopted> {
        let _changing = self.changing.lock().await;
        let before = self.settings();
        let mut entries = self.catalog.load().by_id.clone();
        let known: Vec<String> = entries.values().map(|entry| entry.slug.clone()).collect();
        let mut new = Vec::new();
        for declared in settings.projects.values().filter(|declared| !known.contains(&declared.slug)) {
            let id = declared.id.unwrap_or_else(|| self.shared.env.new_id(now));
            if let Some(other) = entries.get(&id) {
                let (key, reason) = (format!("project.{}.id", declared.slug), format!("is project `{}`'s", other.slug));
                return Err(NotAdopted::Settings(Problems::one("the projects together", key, reason)));
            }
            let entry = Entry { slug: declared.slug.clone(), created_at: now, settings: None };
            entries.insert(id, entry.clone());
            new.push((id, entry));
        }
        let resolved = resolve(&settings, &entries).map_err(NotAdopted::Settings)?;
        let adopted = Adopted {
            made: new.iter().map(|(_, entry)| entry.slug.clone()).collect(),
            undeclared: before.projects.keys().filter(|slug| !settings.projects.contains_key(*slug)).cloned().collect(),
        };
        let outbound = self.shared.outbound.prepare(&settings.outbound.policy())?;
        let catalog = self.catalog_of(&settings, entries)?;
        self.make_files(&new).await?;
        if let Err(error) = self.publish(catalog) {
            self.remove_files(&new).await;
            return Err(error.into());
        }
        self.shared.outbound.adopt(outbound);
        let server = Arc::new(settings);
        self.settings.store(Arc::clone(&server));
        self.default_url.store(Arc::new(default_url.to_owned()));
        for (id, settings) in resolved {
            if let Some(project) = self.opened(id) {
                let adopted = project.adopt(self.completed(settings, &server));
                let provided = match adopted {
                    Ok(()) => crate::auth::keys::provide(&project, now).await,
                    refused => refused,
                };
                if let Err(error) = provided {
                    tracing::warn!(project = %project.record().slug, %error,
                        "the keys for JWTs are not as the new settings want them; it will be tried again");
                }
            }
        }
        Ok(adopted)
    }

    /// Everything for which [`Projects::adopt`] would refuse `settings`, at once.
    pub fn problems_with(&self, settings: &Settings) -> Vec<Problem> {
        let mut problems = match resolve(settings, &self.catalog.load().by_id) {
            Ok(_) => Vec::new(),
            Err(Problems(problems)) => problems,
        };
        if let Err(error) = self.shared.outbound.prepare(&settings.outbound.policy()) {
            problems.push(settings.problem("outbound.ca_file", error.to_string()));
        }
        problems
    }

    /// Makes all of them, or none.
    async fn make_files(&self, new: &[(Uuid, Entry)]) -> Result<(), Error> {
        for (count, (id, entry)) in new.iter().enumerate() {
            if let Err(error) = self.make_file(*id, entry.clone(), Maker::Configuration).await {
                self.remove_files(&new[..=count]).await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn remove_files(&self, made: &[(Uuid, Entry)]) {
        for (id, entry) in made {
            if let Err(error) = self.fleet.delete(*id).await {
                tracing::error!(project = %entry.slug, %id, %error, "a file of no project is left behind");
            }
        }
    }
}

/// Every project's settings under `settings`, and what must hold between them.
fn resolve(settings: &Settings, entries: &BTreeMap<Uuid, Entry>) -> Result<Vec<(Uuid, ProjectSettings)>, Problems> {
    let mut problems = Vec::new();
    let mut resolved = Vec::new();
    for (id, entry) in entries {
        match settings.project(&entry.slug, entry.settings.as_deref()) {
            Ok(project) => resolved.push((*id, project)),
            Err(Problems(more)) => problems.extend(more),
        }
    }
    if let Err(Problems(more)) = check_together(resolved.iter().map(|(_, project)| project)) {
        problems.extend(more);
    }
    if problems.is_empty() { Ok(resolved) } else { Err(Problems(problems)) }
}
