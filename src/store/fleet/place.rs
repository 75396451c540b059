//! Files from elsewhere put in a project's place: a restored backup, and the file it replaced put back.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{Fleet, file_of};
use crate::store::{StoreError, StoreOptions, file, mark, medium};

/// What becomes of a file that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// There is none, else nothing is done.
    Nothing,
    /// It is kept at this path, in the directory of the projects.
    KeptAt(PathBuf),
    /// It goes.
    Gone,
}

impl Fleet {
    /// Moves the closed file at `file`, on the same file system, into the place of a project; durable when it answers.
    /// At every instant there is one whole file in that place. Whoever still holds the store that was there gets
    /// [`StoreError::Closed`] from then on.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the project exists and nothing may be replaced, or a file cannot be moved;
    /// [`StoreError::Busy`] during a backup.
    pub async fn place(&self, id: Uuid, file: &Path, over: Over) -> Result<(), StoreError> {
        let from = file.to_owned();
        self.alone(id, move |fleet| {
            let io = |error: std::io::Error| file::of_io(&error);
            let Some(dir) = fleet.dir() else { return Err(StoreError::Io("the fleet is in memory".into())) };
            let open = {
                let mut table = fleet.table();
                match (table.closed, table.is_backed_up()) {
                    (true, _) => return Err(StoreError::Closed),
                    (_, true) => return Err(StoreError::Busy),
                    _ => {}
                }
                if over == Over::Nothing && table.known.contains(&id) {
                    return Err(StoreError::Io(format!("project {id} exists already")));
                }
                table.take(id)
            };
            if let Some(open) = open {
                open.store.close_blocking();
            }
            let place = file_of(dir, id);
            if let Over::KeptAt(aside) = &over {
                std::fs::hard_link(&place, aside).map_err(io)?;
            }
            std::fs::rename(&from, &place)
                // Its mark goes along; where there is none the file is checked at its next opening.
                .inspect(|()| drop(std::fs::rename(mark::path_of(&from), mark::path_of(&place))))
                .and_then(|()| medium::sync_dir(dir))
                .map_err(io)?;
            fleet.table().known.insert(id);
            Ok(())
        })
        .await
    }

    /// How the files of projects are opened, for one that is to become one.
    pub fn store_options(&self) -> &StoreOptions {
        &self.0.options.store
    }

    /// The directory of the project files; `None` for a fleet in memory.
    pub fn dir(&self) -> Option<&Path> {
        self.0.dir()
    }
}
