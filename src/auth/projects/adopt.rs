//! Other settings for a server that runs: checked against the projects there are, then put in force at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Catalog, Entry, MAX_READYING, Projects, make_file};
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
        let new = self.declare(&settings, &mut entries, now).map_err(NotAdopted::Settings)?;
        let resolved = resolve(&settings, &entries).map_err(NotAdopted::Settings)?;
        let adopted = Adopted {
            made: new.iter().map(|(_, entry)| entry.slug.clone()).collect(),
            undeclared: before.projects.keys().filter(|slug| !settings.projects.contains_key(*slug)).cloned().collect(),
        };
        let outbound = self.shared.outbound.prepare(&settings.outbound.policy())?;
        let catalog = self.catalog_of(&settings, entries)?;
        self.make_all(new, catalog).await?;
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

    /// Makes the projects that the settings in force declare, and `default` where there is none.
    pub(super) async fn make_declared(&self, now: Timestamp) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let settings = self.settings();
        let mut entries = self.catalog.load().by_id.clone();
        let declared = self.declare(&settings, &mut entries, now);
        let mut new = declared.map_err(|problems| Error::Internal(problems.to_string()))?;
        if entries.is_empty() {
            let entry = Entry { slug: "default".into(), created_at: now, settings: None };
            new.push((self.shared.env.new_id(now), entry));
            entries.extend(new.iter().cloned());
        }
        if new.is_empty() {
            return Ok(());
        }
        let catalog = self.catalog_of(&settings, entries)?;
        self.make_all(new, catalog).await
    }

    /// Puts the projects that `settings` declare and `entries` lacks among these, and answers which they are.
    fn declare(
        &self,
        settings: &Settings,
        entries: &mut BTreeMap<Uuid, Entry>,
        now: Timestamp,
    ) -> Result<Vec<(Uuid, Entry)>, Problems> {
        let known: HashSet<String> = entries.values().map(|entry| entry.slug.clone()).collect();
        let mut new = Vec::new();
        for declared in settings.projects.values().filter(|declared| !known.contains(&declared.slug)) {
            let id = declared.id.unwrap_or_else(|| self.shared.env.new_id(now));
            if let Some(other) = entries.get(&id) {
                let (key, reason) = (format!("project.{}.id", declared.slug), format!("is project `{}`'s", other.slug));
                return Err(Problems::one("the projects together", key, reason));
            }
            let entry = Entry { slug: declared.slug.clone(), created_at: now, settings: None };
            entries.insert(id, entry.clone());
            new.push((id, entry));
        }
        Ok(new)
    }

    /// Makes all of them, of which `catalog` tells, or none. Several at a time: a file waits for the disk most of the
    /// time it takes, and a thousand may be declared at once.
    async fn make_all(&self, new: Vec<(Uuid, Entry)>, catalog: Catalog) -> Result<(), Error> {
        let (mut making, mut made) = (JoinSet::new(), Ok(()));
        let mut waiting = new.iter();
        loop {
            while made.is_ok()
                && making.len() < MAX_READYING
                && let Some(project) = waiting.next()
            {
                let (fleet, shared) = (self.fleet.clone(), self.shared.clone());
                making.spawn(make_file(fleet, shared, project.clone(), Maker::Configuration));
            }
            match making.join_next().await {
                None => break,
                Some(done) => {
                    let done = done.unwrap_or_else(|error| Err(Error::Internal(format!("making a project: {error}"))));
                    made = made.and(done);
                }
            }
        }
        let made = made.and_then(|()| self.publish(catalog));
        if made.is_err() {
            self.remove_files(&new).await;
        }
        made
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
