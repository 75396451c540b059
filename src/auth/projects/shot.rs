//! All projects, or some, as they were at one moment: each copied out of its file while that goes on.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::Projects;
use crate::auth::audit::Point;
use crate::data::{audit, project as rows};
use crate::env::{Env, Timestamp};
use crate::store::{Frozen, Moment, NoMoment, Stop, StoreError, remove_unhurried};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum NotBackedUp {
    /// The store gives no moment.
    #[error("{0}")]
    Moment(#[from] NoMoment),
    /// A project could not be copied.
    #[error("project {0}: {1}")]
    Project(String, StoreError),
    /// There is no project of that name.
    #[error("there is no project `{0}`")]
    Unknown(String),
    /// Nobody wants it any more.
    #[error("it was stopped")]
    Stopped,
    /// The folder for copies cannot be made.
    #[error("{0}: {1}")]
    Folder(PathBuf, io::Error),
}

/// Projects as of one moment. One at a time; no project is deleted or replaced meanwhile.
#[derive(Debug)]
pub struct Shot {
    /// The moment.
    pub at: Timestamp,
    /// Which projects, as they are known by id and slug.
    pub projects: Vec<(Uuid, String)>,
    moment: Moment,
    folder: Scratch,
}

/// One project of it, copied. The copy goes when this does.
#[derive(Debug)]
pub struct Copied {
    /// Its id.
    pub id: Uuid,
    /// Its slug.
    pub slug: String,
    /// Where the copy lies, until this is dropped.
    pub file: PathBuf,
    /// How many rows it has.
    pub rows: u64,
    /// Where its audit trail ends.
    pub audit: Point,
}

impl Drop for Copied {
    fn drop(&mut self) {
        // The folder goes, too.
        let _ = remove_unhurried(&self.file);
    }
}

impl Projects {
    /// Takes all projects, or those of these names (slug or id), as they are now.
    ///
    /// # Errors
    /// [`NotBackedUp`].
    pub async fn shot(&self, only: &[String]) -> Result<Shot, NotBackedUp> {
        // Chosen before the moment: one that is made in between belongs to the next backup, one that goes, too.
        let chosen = self.chosen(only).map_err(NotBackedUp::Unknown)?;
        let projects = self.list().into_iter().filter(|(id, _)| chosen.contains(id));
        let projects = projects.map(|(id, entry)| (id, entry.slug)).collect();
        let env = &self.shared.env;
        let folder = self.scratch("backup").map_err(|(path, error)| NotBackedUp::Folder(path, error))?;
        let (moment, at) = self.fleet.moment(Some(&chosen), || env.now()).await?;
        Ok(Shot { at, projects, moment, folder })
    }

    /// The projects of these names (slug or id); for no names all there are.
    ///
    /// # Errors
    /// The first name that is no project's.
    pub fn chosen(&self, names: &[String]) -> Result<BTreeSet<Uuid>, String> {
        let catalog = self.catalog.load();
        let id_of = |name: &String| {
            let id = Uuid::parse_str(name).ok().filter(|id| catalog.by_id.contains_key(id));
            id.or_else(|| catalog.by_slug.get(name).copied()).ok_or_else(|| name.clone())
        };
        match names {
            [] => Ok(catalog.by_id.keys().copied().collect()),
            names => names.iter().map(id_of).collect(),
        }
    }

    /// A private folder of its own in the data directory, for work that must not be half seen.
    pub(super) fn scratch(&self, purpose: &str) -> Result<Scratch, (PathBuf, io::Error)> {
        let Some(all) = self.workshop() else {
            return Err((PathBuf::new(), io::Error::other("a server in memory has no data directory")));
        };
        Scratch::make(&all, purpose, &self.shared.env).map_err(|error| (all, error))
    }

    /// What a process that was killed left half done.
    pub(super) fn clear_workshop(&self) {
        if let Some(all) = self.workshop()
            && let Err(error) = fs::remove_dir_all(&all)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %all.display(), %error, "what an earlier process left there could not be removed");
        }
    }

    fn workshop(&self) -> Option<PathBuf> {
        Some(self.fleet.dir()?.parent()?.join("work"))
    }
}

impl Shot {
    /// The next project; `None` after the last.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub async fn next(&self) -> Result<Option<(Uuid, Frozen)>, NotBackedUp> {
        Ok(self.moment.next().await?)
    }

    /// Copies a project, working half of the time; `None` for a file that was never made into one. For a thread that may
    /// block.
    ///
    /// # Errors
    /// When it was stopped, there is no space, or the file cannot be read.
    pub fn copy(&self, id: Uuid, frozen: &Frozen, stop: &Stop) -> Result<Option<Copied>, NotBackedUp> {
        let named = |error| match error {
            StoreError::Closed if stop.is_asked() => NotBackedUp::Stopped,
            error => NotBackedUp::Project(self.name(id), error),
        };
        let read = frozen.read(|r| Ok((rows::get(r)?, audit::bounds(r)?))).map_err(named)?;
        let (Some(record), bounds) = read else { return Ok(None) };
        let file = self.folder.path().join(format!("{id}.redb"));
        let audit = Point { seq: bounds.next.saturating_sub(1), hash: bounds.last };
        let mut copied = Copied { id, slug: record.slug, file, rows: 0, audit };
        copied.rows = frozen.copy_to(&copied.file, stop).map_err(named)?;
        Ok(Some(copied))
    }

    fn name(&self, id: Uuid) -> String {
        let known = self.projects.iter().find(|(known, _)| *known == id);
        known.map_or_else(|| id.to_string(), |(_, slug)| slug.clone())
    }
}

/// A private folder that goes with all in it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    fn make(all: &Path, purpose: &str, env: &Env) -> io::Result<Self> {
        let private = || {
            let mut builder = DirBuilder::new();
            builder.mode(0o700);
            builder
        };
        private().recursive(true).create(all)?;
        let tag = u64::from_be_bytes(env.random());
        let path = all.join(format!("{purpose}-{tag:016x}"));
        private().create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "it could not be removed; the next start will");
        }
    }
}
