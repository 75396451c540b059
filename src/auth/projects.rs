//! All projects of a server: found by id, by host name or by being the only one; opened at first use; made; deleted.

mod adopt;
mod arrival;
mod restore;
mod shot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Semaphore};
use uuid::Uuid;

use super::catalog::{self, Entry};
use super::project::{Maker, Shared};
use super::{Error, Operator, Project, ProjectSettings};
use crate::config::Settings;
use crate::data::project::ProjectRecord;
use crate::env::Timestamp;
use crate::store::Fleet;
pub use crate::store::NoMoment;
pub use adopt::{Adopted, NotAdopted};
pub use arrival::{Arrivals, Arrived, NotArrived, Wish};
pub use restore::{NotRestored, Restore, Restored};
pub use shot::{Copied, NotBackedUp, Scratch, Shot};

/// Projects kept open; below what the fleet allows, since requests in flight may hold some that were let go.
const MAX_OPEN: usize = 48;

/// Files made or made ready at a time: so few that they find room beside the projects kept open.
const MAX_READYING: usize = 8;

/// The projects of a server.
pub struct Projects {
    fleet: Fleet,
    shared: Shared,
    settings: ArcSwap<Settings>,
    /// What links are built from where a project says nothing.
    default_url: ArcSwap<String>,
    /// Whether a listener that the settings do not name lets others in.
    reachable: AtomicBool,
    /// Where the catalog is kept; `None` in memory.
    catalog_file: Option<PathBuf>,
    catalog: ArcSwap<Catalog>,
    open: ArcSwap<HashMap<Uuid, Arc<Project>>>,
    /// Projects that could not be opened when they were last asked for, and why.
    unopened: ArcSwap<BTreeMap<Uuid, String>>,
    /// Held while a project is opened, made, closed or deleted.
    changing: Mutex<()>,
    /// Files that are made ready for their projects at a time.
    readying: Semaphore,
}

/// What projects are made of.
pub struct Parts {
    /// Their files.
    pub fleet: Fleet,
    /// Clock, entropy, hashing pool and master key.
    pub shared: Shared,
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// What links are built from where a project says nothing.
    pub default_url: String,
    /// Where the catalog is kept; `None` in memory.
    pub catalog_file: Option<PathBuf>,
}

/// How a request names its project.
#[derive(Clone, Copy, Debug)]
pub enum Selector<'a> {
    /// By id.
    Id(Uuid),
    /// By a host name, without port, in lower case.
    Host(&'a str),
    /// By slug.
    Slug(&'a str),
    /// By being the only one.
    Only,
}

/// Which projects there are, without opening their files.
#[derive(Clone, Debug, Default)]
struct Catalog {
    by_id: BTreeMap<Uuid, Entry>,
    by_slug: HashMap<String, Uuid>,
    by_host: HashMap<String, Uuid>,
    /// Every origin that some project allows.
    origins: Vec<String>,
    /// Whether one of them lists no origin.
    lists_none: bool,
}

/// A project as it is to be made.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Its name for people and configuration.
    pub slug: String,
    /// Its id; `None`: a new one.
    pub id: Option<Uuid>,
    /// Settings kept in its file, as TOML.
    pub settings: Option<String>,
}

impl Projects {
    /// Learns which projects there are, makes those that the settings declare, and `default` where there is none.
    ///
    /// # Errors
    /// When a file cannot be read or made.
    pub async fn start(parts: Parts, now: Timestamp) -> Result<Self, Error> {
        let projects = Self::learned(parts).await?;
        projects.make_declared(now).await?;
        Ok(projects)
    }

    /// Learns which projects there are, and makes none.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn learned(parts: Parts) -> Result<Self, Error> {
        let projects = Self {
            fleet: parts.fleet,
            shared: parts.shared,
            settings: ArcSwap::new(parts.settings),
            default_url: ArcSwap::from_pointee(parts.default_url),
            reachable: AtomicBool::new(false),
            catalog_file: parts.catalog_file,
            catalog: ArcSwap::default(),
            open: ArcSwap::default(),
            unopened: ArcSwap::default(),
            changing: Mutex::new(()),
            readying: Semaphore::new(MAX_READYING),
        };
        projects.clear_workshop();
        projects.learn().await?;
        Ok(projects)
    }

    /// A project, opened if need be; `None` when there is none of that name.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub async fn find(&self, selector: Selector<'_>) -> Result<Option<Arc<Project>>, Error> {
        let Some(id) = self.id_of(selector) else { return Ok(None) };
        match self.opened(id) {
            Some(project) => Ok(Some(project)),
            None => self.open(id).await,
        }
    }

    /// The project, when it is open already: the path of nearly every request, without waiting.
    pub fn find_open(&self, selector: Selector<'_>) -> Option<Arc<Project>> {
        match selector {
            // What is open exists.
            Selector::Id(id) => self.opened(id),
            _ => self.opened(self.id_of(selector)?),
        }
    }

    /// What links are built from where neither a project nor the configuration says; for projects opened from now on.
    pub fn set_default_url(&self, url: &str) {
        self.default_url.store(Arc::new(url.to_owned()));
        // Opened again at first use, with the new URL.
        self.open.store(Arc::default());
    }

    /// Others than this machine's own programs reach the server, whatever its settings say: by a socket that was handed
    /// over. For projects opened from now on.
    pub fn note_reachable(&self) {
        self.reachable.store(true, Ordering::Relaxed);
        self.open.store(Arc::default());
    }

    /// What links are built from where neither a project nor the configuration says.
    pub fn default_url(&self) -> String {
        self.default_url.load().to_string()
    }

    /// Whether there is such a project.
    pub fn knows(&self, selector: Selector<'_>) -> bool {
        self.id_of(selector).is_some()
    }

    /// Every origin that some project allows scripts from.
    pub fn all_origins(&self) -> Vec<String> {
        self.catalog.load().origins.clone()
    }

    /// Whether some project lists no origin.
    pub fn any_lists_no_origin(&self) -> bool {
        self.catalog.load().lists_none
    }

    /// How many projects there are.
    pub fn count(&self) -> usize {
        self.catalog.load().by_id.len()
    }

    /// Every project's id and slug, oldest first.
    pub fn list(&self) -> Vec<(Uuid, Entry)> {
        self.catalog.load().by_id.iter().map(|(id, entry)| (*id, entry.clone())).collect()
    }

    /// Makes a project.
    ///
    /// # Errors
    /// `ProjectExists` when the slug or the id is taken, and the store's.
    pub async fn create(&self, new: NewProject, by: Operator) -> Result<Arc<Project>, Error> {
        let id = {
            let _changing = self.changing.lock().await;
            let catalog = self.catalog.load();
            let id = new.id.unwrap_or_else(|| self.shared.env.new_id(by.now));
            if catalog.by_slug.contains_key(&new.slug) || catalog.by_id.contains_key(&id) {
                return Err(Error::ProjectExists);
            }
            let entry = Entry { slug: new.slug, created_at: by.now, settings: new.settings };
            let mut entries = catalog.by_id.clone();
            entries.insert(id, entry.clone());
            // Before there is a file: what cannot stand beside the others is never made.
            let with_new = self.catalog_of(&self.settings(), entries)?;
            make_file(self.fleet.clone(), self.shared.clone(), (id, entry), Maker::Operator(by.uid)).await?;
            self.publish(with_new)?;
            id
        };
        self.open(id).await?.ok_or(Error::UnknownProject)
    }

    /// Deletes a project with all it holds, its audit trail too: only the log tells of it.
    ///
    /// # Errors
    /// `UnknownProject`, and the store's.
    pub async fn delete(&self, id: Uuid, by: Operator) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let catalog = self.catalog.load();
        let Some(entry) = catalog.by_id.get(&id) else { return Err(Error::UnknownProject) };
        let slug = entry.slug.clone();
        self.forget_open(id);
        self.note_unopened(id, None);
        self.fleet.delete(id).await?;
        let mut entries = catalog.by_id.clone();
        entries.remove(&id);
        tracing::warn!(project = %slug, %id, uid = by.uid, "a project was deleted by an operator, with all it held");
        self.publish(self.catalog_of(&self.settings(), entries)?)
    }

    /// Closes files of projects that nobody used for `idle`.
    pub async fn close_idle(&self, idle: Duration) {
        let _changing = self.changing.lock().await;
        if self.count() > 1 {
            let now = self.shared.env.now();
            // A file that cannot be read is not what waits to be sent.
            let sends = |project: &Project| super::outbox::counts(project).is_ok_and(|(waiting, _)| waiting > 0);
            let in_use = |project: &Arc<Project>| project.used_within(idle, now) || sends(project);
            let keep: HashMap<_, _> =
                self.open.load().iter().filter(|(_, p)| in_use(p)).map(|(id, p)| (*id, Arc::clone(p))).collect();
            self.open.store(Arc::new(keep));
        }
        self.fleet.close_idle(idle).await;
    }

    /// Wakes whoever sends for a project in whose outbox something waits, without opening the project.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub async fn wake_if_waiting(&self, id: Uuid) -> Result<(), Error> {
        if let Some(store) = self.fleet.get(id).await?
            && store.read(|r| crate::data::outbox::any(r))?
        {
            self.shared.wake_outbox(id);
        }
        Ok(())
    }

    /// Every project that is open now.
    pub fn all_open(&self) -> Vec<Arc<Project>> {
        self.open.load().values().cloned().collect()
    }

    /// Closes every file; later calls fail.
    pub async fn close(&self) {
        self.open.store(Arc::default());
        self.fleet.close().await;
    }

    /// The settings in force now. A reload replaces them: take them anew for each piece of work, and keep none.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Clock, entropy, hashing pool and master key.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    fn id_of(&self, selector: Selector<'_>) -> Option<Uuid> {
        let catalog = self.catalog.load();
        match selector {
            Selector::Id(id) => catalog.by_id.contains_key(&id).then_some(id),
            Selector::Host(host) => catalog.by_host.get(host).copied(),
            Selector::Slug(slug) => catalog.by_slug.get(slug).copied(),
            Selector::Only if catalog.by_id.len() == 1 => catalog.by_id.keys().next().copied(),
            Selector::Only => None,
        }
    }

    fn opened(&self, id: Uuid) -> Option<Arc<Project>> {
        self.open.load().get(&id).cloned()
    }

    async fn open(&self, id: Uuid) -> Result<Option<Arc<Project>>, Error> {
        // Until the project is open: whoever waits for `changing` holds a file, and the room for those is bounded.
        let _turn = self.readying.acquire().await;
        // The file first, while others are opened and changed: it may have to be checked or upgraded, which can take long.
        let readied = self.fleet.get(id).await;
        let _changing = self.changing.lock().await;
        if let Some(project) = self.opened(id) {
            return Ok(Some(project));
        }
        let result = match &readied {
            Ok(_) => self.open_file(id).await,
            Err(error) => Err(error.clone().into()),
        };
        match &result {
            // Only that others are at work: nothing is wrong with the file.
            Err(Error::Unwritable(_)) => {}
            Err(error) => self.note_unopened(id, Some(error.to_string())),
            Ok(_) => self.note_unopened(id, None),
        }
        result
    }

    /// Projects that could not be opened when they were last asked for: their ids, and why.
    pub fn unopened(&self) -> Arc<BTreeMap<Uuid, String>> {
        self.unopened.load_full()
    }

    fn note_unopened(&self, id: Uuid, error: Option<String>) {
        let known = self.unopened.load();
        if error.is_none() && !known.contains_key(&id) {
            return;
        }
        let mut unopened = BTreeMap::clone(&known);
        match error {
            Some(error) => drop(unopened.insert(id, error)),
            None => drop(unopened.remove(&id)),
        }
        self.unopened.store(Arc::new(unopened));
    }

    /// The caller holds `changing`.
    async fn open_file(&self, id: Uuid) -> Result<Option<Arc<Project>>, Error> {
        self.make_room();
        let Some(store) = self.fleet.get(id).await? else { return Ok(None) };
        let whole = self.settings();
        let settings = |record: &ProjectRecord| self.settings_of(&whole, &record.slug, record.settings.as_deref());
        let Some(project) = Project::open(store, &self.shared, settings)? else { return Ok(None) };
        let project = Arc::new(project);
        // It serves without: only JWTs cannot be signed before there is a key.
        if let Err(error) = super::keys::provide(&project, self.shared.env.now()).await {
            tracing::warn!(project = %project.record().slug, %error, "no key for JWTs could be made; it will be tried again");
        }
        let mut open = HashMap::clone(&self.open.load());
        open.insert(id, Arc::clone(&project));
        self.open.store(Arc::new(open));
        // What was left in it by an earlier process.
        project.wake_outbox();
        Ok(Some(project))
    }

    /// Lets the longest unused project go when as many are open as may be: the fleet closes only files nobody holds.
    fn make_room(&self) {
        let open = self.open.load();
        if open.len() >= MAX_OPEN
            && let Some((&id, _)) = open.iter().min_by_key(|(_, project)| project.used_at())
        {
            self.forget_open(id);
        }
    }

    fn forget_open(&self, id: Uuid) {
        let mut open = HashMap::clone(&self.open.load());
        open.remove(&id);
        self.open.store(Arc::new(open));
    }

    fn settings_of(&self, server: &Settings, slug: &str, stored: Option<&str>) -> Result<ProjectSettings, Error> {
        let settings = server.project(slug, stored);
        let settings = settings.map_err(|problems| Error::Internal(format!("settings of project {slug}: {problems}")));
        Ok(self.completed(settings?, server))
    }

    /// What a project leaves to the server: the URL of links, and whether a stranger could be its first account.
    fn completed(&self, mut settings: ProjectSettings, server: &Settings) -> ProjectSettings {
        settings.public_url.get_or_insert_with(|| self.default_url.load().to_string());
        let is_local_only = || server.listen.is_local_only() && !self.reachable.load(Ordering::Relaxed);
        settings.nora.first_user_admin.get_or_insert_with(is_local_only);
        settings
    }

    /// Reads the catalog file, and each project's file that it does not know.
    async fn learn(&self) -> Result<(), Error> {
        let ids = self.fleet.ids();
        let mut entries = self.catalog_file.as_deref().map(catalog::load).unwrap_or_default();
        entries.retain(|id, _| ids.contains(id));
        for id in ids {
            // With one project it is opened anyway, and its file has the last word.
            if entries.contains_key(&id) {
                continue;
            }
            let Some(store) = self.fleet.get(id).await? else { continue };
            match store.read(|r| Ok::<_, Error>(crate::data::project::get(r)?))? {
                Some(record) => {
                    let entry = Entry { slug: record.slug, created_at: record.created_at, settings: record.settings };
                    entries.insert(id, entry);
                }
                // A crash between making the file and making it a project: nothing was acknowledged.
                None => {
                    drop(store);
                    self.fleet.delete(id).await?;
                }
            }
        }
        self.publish(self.catalog_of(&self.settings(), entries)?)
    }

    /// `entries` with what they are found by: no slug and no host name leads to two of them.
    fn catalog_of(&self, settings: &Settings, entries: BTreeMap<Uuid, Entry>) -> Result<Catalog, Error> {
        let mut catalog = Catalog::default();
        for (id, entry) in &entries {
            if let Some(other) = catalog.by_slug.insert(entry.slug.clone(), *id) {
                return Err(Error::Internal(format!(
                    "two project files say they are `{}`: {other} and {id}; move one of them away",
                    entry.slug
                )));
            }
            let settings = self.settings_of(settings, &entry.slug, entry.settings.as_deref())?;
            for host in settings.hosts {
                if let Some(other) = catalog.by_host.insert(host.clone(), *id).filter(|other| other != id) {
                    return Err(Error::Internal(format!(
                        "the projects {other} and {id} both claim the host {host}; take it from one of them"
                    )));
                }
            }
            catalog.lists_none |= settings.cors.origins.is_empty();
            catalog.origins.extend(settings.cors.origins);
        }
        catalog.by_id = entries;
        Ok(catalog)
    }

    /// Makes `catalog` what there is, in memory and in the catalog file.
    fn publish(&self, catalog: Catalog) -> Result<(), Error> {
        if let Some(file) = &self.catalog_file {
            catalog::save(file, &catalog.by_id)
                .map_err(|error| Error::Internal(format!("{}: {error}", file.display())))?;
        }
        // Relaxed: a link that is made at this moment may be of before or after.
        self.shared.several.store(catalog.by_id.len() > 1, Ordering::Relaxed);
        self.catalog.store(Arc::new(catalog));
        Ok(())
    }
}

/// Makes the file of a project, and it into a project.
async fn make_file(fleet: Fleet, shared: Shared, (id, entry): (Uuid, Entry), maker: Maker) -> Result<(), Error> {
    let store = fleet.create(id).await?;
    let record = ProjectRecord { id, slug: entry.slug, created_at: entry.created_at, settings: entry.settings };
    Project::create(&store, record, &shared, maker).await
}

impl fmt::Debug for Projects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projects").field("count", &self.count()).finish_non_exhaustive()
    }
}
