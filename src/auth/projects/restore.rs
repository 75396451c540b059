//! Project files from a backup brought back: under their own ids, over those that are there, or as other projects beside
//! them. All of them are made ready and looked at before anything changes; if then one cannot be placed, none is.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::shot::Scratch;
use super::{Entry, Projects};
use crate::auth::events::EventKind;
use crate::auth::project::{Maker, Shared};
use crate::auth::transplant::{remove_issued, transplant};
use crate::auth::{Error, Operator, Project, ProjectSettings};
use crate::config::stored_for_copy;
use crate::data::audit;
use crate::data::issued::Issued;
use crate::data::project::{self as rows, ProjectRecord};
use crate::store::{Over, Store, StoreError, StoreOptions};

/// How projects are brought back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restore {
    /// Under new ids, beside the originals.
    pub as_new: bool,
    /// And by this slug: for one project.
    pub slug: Option<String>,
    /// In the place of those that are there, whose files are kept.
    pub replace: bool,
    /// Without the sessions of that day, and without the links and codes that were unused then.
    pub end_sessions: bool,
}

/// A project that was brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Its id.
    pub id: Uuid,
    /// Its slug.
    pub slug: String,
    /// The id it had in the backup, where it has another now.
    pub was: Option<Uuid>,
    /// Where the file that was there before is kept.
    pub kept: Option<PathBuf>,
}

/// Why nothing was brought back. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum NotRestored {
    /// What is to be brought is not right.
    #[error("{0}")]
    Refused(String),
    /// It does not fit with what is there.
    #[error("{0}")]
    Exists(String),
    /// The store failed.
    #[error("{0}")]
    Failed(#[from] Error),
}

/// A project that is ready to be placed.
struct Ready {
    id: Uuid,
    was: Option<Uuid>,
    entry: Entry,
    file: PathBuf,
}

impl Projects {
    /// A private folder for files that are to be restored.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn restore_folder(&self) -> Result<Scratch, NotRestored> {
        self.scratch("restore").map_err(|(path, error)| NotRestored::Refused(format!("{}: {error}", path.display())))
    }

    /// Brings back the projects in these files, which lie in a [`Projects::restore_folder`] and are used up.
    ///
    /// # Errors
    /// [`NotRestored`]; nothing has changed then.
    pub async fn restore(
        &self,
        files: Vec<(Uuid, PathBuf)>,
        how: &Restore,
        by: Operator,
    ) -> Result<Vec<Restored>, NotRestored> {
        if how.slug.is_some() && files.len() != 1 {
            let many = files.len();
            return Err(NotRestored::Refused(format!("{many} projects cannot have one slug; name one of them")));
        }
        let mut ready: Vec<Ready> = Vec::with_capacity(files.len());
        for (id, file) in files {
            let one = self.make_ready(id, file, how, by, &ready).await?;
            ready.push(one);
        }
        let _changing = self.changing.lock().await;
        let mut entries = self.catalog.load().by_id.clone();
        for one in &ready {
            let slug = &one.entry.slug;
            if entries.contains_key(&one.id) && !how.replace {
                return Err(NotRestored::Exists(format!(
                    "project {slug} ({}) is there already; replace it, or bring it as a new one beside it",
                    one.id
                )));
            }
            if let Some((other, _)) = entries.iter().find(|(id, entry)| entry.slug == *slug && **id != one.id) {
                return Err(NotRestored::Exists(format!(
                    "there is another project called {slug} ({other}): delete that one, or bring this one as a new one under \
                     another slug"
                )));
            }
            entries.insert(one.id, one.entry.clone());
        }
        // What cannot stand beside the others is not placed.
        let with_them =
            self.catalog_of(&self.settings(), entries).map_err(|error| NotRestored::Exists(error.to_string()))?;
        let mut placed = Vec::new();
        for one in &ready {
            match self.place(one, by).await {
                Ok(kept) => placed.push((one, kept)),
                Err(error) => return Err(self.undo(placed, error).await),
            }
        }
        if let Err(error) = self.publish(with_them) {
            return Err(self.undo(placed, error).await);
        }
        let restored = |(one, kept): (&Ready, Option<PathBuf>)| Restored {
            id: one.id,
            slug: one.entry.slug.clone(),
            was: one.was,
            kept,
        };
        let all: Vec<Restored> = placed.into_iter().map(restored).collect();
        for one in &all {
            self.note_unopened(one.id, None);
            if let Err(error) = self.wake_if_waiting(one.id).await {
                tracing::warn!(project = %one.slug, %error, "whether it has mails to send could not be seen");
            }
            tracing::warn!(project = %one.slug, id = %one.id, uid = by.uid, "a project was restored by an operator");
        }
        Ok(all)
    }

    /// Looks whether a file can be brought back, and makes it what it is to be.
    async fn make_ready(
        &self,
        id: Uuid,
        file: PathBuf,
        how: &Restore,
        by: Operator,
        others: &[Ready],
    ) -> Result<Ready, NotRestored> {
        let refused = |why: String| NotRestored::Refused(format!("projects/{id}.redb: {why}"));
        let store = open(&file, self.fleet.store_options()).await.map_err(|error| refused(error.to_string()))?;
        let mut record = known(&store, id, &self.shared).map_err(refused)?;
        let maker = Maker::Operator(by.uid);
        let was = how.as_new.then_some(id);
        if how.as_new {
            record.id = self.shared.env.new_id(by.now);
            record.slug = match &how.slug {
                Some(slug) => slug.clone(),
                None => self.free_slug(&record.slug, others),
            };
            let stored = record.settings.as_deref().map(stored_for_copy).transpose();
            record.settings = stored.map_err(|why| refused(format!("its settings: {why}")))?;
            transplant(&store, record.clone(), &self.shared, maker, by.now).await?;
        } else {
            if how.end_sessions {
                remove_issued(&store, Issued::Passing).await?;
            }
            let event = maker.event(&self.shared, by.now, EventKind::ProjectRestored);
            store.write(move |w| Ok::<_, Error>(audit::append(w, &event)?)).await?;
        }
        store.close().await;
        let ProjectRecord { id, slug, created_at, settings } = record;
        Ok(Ready { id, was, entry: Entry { slug, created_at, settings }, file })
    }

    fn free_slug(&self, slug: &str, others: &[Ready]) -> String {
        let catalog = self.catalog.load();
        let is_free = |slug: &String| {
            !catalog.by_slug.contains_key(slug) && !others.iter().any(|other| other.entry.slug == *slug)
        };
        let numbered = (2_u64..).map(|n| format!("{slug}-{n}"));
        std::iter::once(slug.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| slug.to_owned())
    }

    /// The caller holds `changing`. Answers where the file is kept that was there before.
    async fn place(&self, one: &Ready, by: Operator) -> Result<Option<PathBuf>, Error> {
        let dir = self.fleet.dir().map(Path::to_owned).unwrap_or_default();
        let there = self.catalog.load().by_id.contains_key(&one.id);
        let moment = by.now.rfc3339().replace(':', "");
        let names = (1_u32..).map(|n| match n {
            1 => format!("{}.redb.replaced-{moment}", one.id),
            // Replaced already within this second.
            n => format!("{}.redb.replaced-{moment}-{n}", one.id),
        });
        let kept = names.map(|name| dir.join(name)).find(|path| !path.exists()).filter(|_| there);
        let over = kept.clone().map_or(Over::Nothing, Over::KeptAt);
        // Opened anew at its next request, which waits for us.
        self.forget_open(one.id);
        self.fleet.place(one.id, &one.file, over).await?;
        Ok(kept)
    }

    async fn undo(&self, placed: Vec<(&Ready, Option<PathBuf>)>, error: Error) -> NotRestored {
        for (one, kept) in placed {
            let undone = match &kept {
                Some(kept) => self.fleet.place(one.id, kept, Over::Gone).await,
                None => self.fleet.delete(one.id).await.map(drop),
            };
            if let Err(error) = undone {
                tracing::error!(id = %one.id, %error, "a project that was restored could not be taken back");
            }
        }
        error.into()
    }
}

async fn open(file: &Path, options: &StoreOptions) -> Result<Store, StoreError> {
    let (file, options) = (file.to_owned(), options.clone());
    // It lies where no process left it: so every page is checked.
    let opened = tokio::task::spawn_blocking(move || Store::open(&file, &options));
    opened.await.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
}

/// The project in a store: the one that is expected, with keys that can be unsealed here.
fn known(store: &Store, id: Uuid, shared: &Shared) -> Result<ProjectRecord, String> {
    let record = store.read(|r| rows::get(r)).map_err(|error| error.to_string())?;
    let record = record.ok_or("it holds no project")?;
    if record.id != id {
        return Err(format!("it holds project {}", record.id));
    }
    // As it will be opened; its settings are looked at with those of the others.
    let settings = |record: &ProjectRecord| Ok(ProjectSettings::named(&record.slug));
    match Project::open(store.clone(), shared, settings) {
        Ok(_) => Ok(record),
        Err(error) => Err(error.to_string()),
    }
}
