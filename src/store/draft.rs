//! A project's file in the making: filled beside the others, found by nobody, and put in its place whole or not at all.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::fleet::{Fleet, Home, file_of};
use super::{Store, StoreError, file, mark, medium};

/// How the names of such files end.
const END: &str = ".draft";

/// A store that belongs to no project yet. Dropped, it is gone; a file that a crash leaves goes when the fleet is opened.
#[derive(Debug)]
pub struct Draft {
    store: Store,
    /// `None` in memory.
    path: Option<PathBuf>,
}

impl Draft {
    /// Where rows are written to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Closes the file, which stays until it is installed.
    pub async fn close(&self) {
        if self.path.is_some() {
            self.store.close().await;
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Installed, it is not there; and what cannot be removed goes when the fleet is opened.
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_file(mark::path_of(path));
        }
    }
}

impl Fleet {
    /// An empty store under a name that no project and no other draft has.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Closed`] after [`Fleet::close`].
    pub async fn draft(&self, name: Uuid) -> Result<Draft, StoreError> {
        self.alone(name, move |fleet| {
            if fleet.table().closed {
                return Err(StoreError::Closed);
            }
            let dir = match &fleet.home {
                Home::Dir(dir) => dir,
                Home::Memory => return Ok(Draft { store: Store::memory(), path: None }),
                Home::Volume(_) => return Err(StoreError::Io("there are no drafts on this volume".into())),
            };
            let path = dir.join(format!("{name}.redb{END}"));
            let store = Store::open(&path, &fleet.options.store)?;
            Ok(Draft { store, path: Some(path) })
        })
        .await
    }

    /// Makes a draft the project `id`, in place of the file that this project has now, if it has one. Durable when it
    /// answers; after a crash there is the one or the other.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Busy`] during a backup; what was there is there still then.
    pub async fn install(&self, draft: Draft, id: Uuid) -> Result<(), StoreError> {
        draft.close().await;
        self.alone(id, move |fleet| {
            let former = {
                let mut table = fleet.table();
                if table.is_backed_up() {
                    return Err(StoreError::Busy);
                }
                table.take(id)
            };
            if let Some(former) = former {
                former.store.close_blocking();
            }
            match (fleet.dir(), &draft.path) {
                (Some(dir), Some(path)) => put_in_place(dir, path, &file_of(dir, id))?,
                _ => fleet.keep(id, draft.store.clone()),
            }
            fleet.table().known.insert(id);
            Ok(())
        })
        .await
    }
}

fn put_in_place(dir: &Path, draft: &Path, place: &Path) -> Result<(), StoreError> {
    // Its mark goes along; where that fails the file is checked at its next opening.
    let moved = std::fs::rename(draft, place)
        .inspect(|()| drop(std::fs::rename(mark::path_of(draft), mark::path_of(place))))
        .and_then(|()| medium::sync_dir(dir));
    moved.map_err(|error| file::of_io(&error))
}

/// Removes a file that a crash left in the making; whether it was one.
pub(super) fn remove_left_over(path: &Path) -> bool {
    let ends = [END, ".draft.new", ".draft.opened"];
    let is_draft = path.to_str().is_some_and(|name| ends.iter().any(|end| name.ends_with(end)));
    // One that stays does no harm.
    is_draft && std::fs::remove_file(path).is_ok()
}
