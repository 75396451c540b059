//! All projects of one data directory: each file opened on first use, never twice at once, and closed when idle.

mod moment;
mod place;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Gate, OwnedMutexGuard, RwLock};
use uuid::Uuid;

use super::{Store, StoreError, StoreOptions, Volume, draft, file, mark, medium, redb};
pub use moment::{Moment, NoMoment};
pub use place::Over;

/// How a fleet keeps its files.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// How each file is opened. `cache_bytes` is the most that one file gets: all open files together get twice as much
    /// and [`LEAST_CACHE_BYTES`] each.
    pub store: StoreOptions,
    /// Files open at once. When as many are in use, opening another is answered [`StoreError::Busy`].
    pub max_open: usize,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self { store: StoreOptions::default(), max_open: 64 }
    }
}

/// What a file gets for cached pages however many are open, in bytes.
pub const LEAST_CACHE_BYTES: usize = 256 << 10;

/// The stores of all projects. Clones are handles to the same fleet.
///
/// Take a [`Store`] from it for each request and let go of it with the request: a file is closed for idleness, or to
/// make room, only when nobody holds it.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

pub(super) struct Inner {
    pub(super) home: Home,
    pub(super) options: FleetOptions,
    table: Mutex<Table>,
    /// Shared by those who open, create, close or delete a project; alone for whoever wants none of it for an instant.
    doors: Arc<RwLock<()>>,
}

/// Where the files lie.
pub(super) enum Home {
    Memory,
    /// `projects/`.
    Dir(PathBuf),
    Volume(Arc<dyn Volume>),
}

#[derive(Default)]
pub(super) struct Table {
    /// Every project there is, open or not.
    pub(super) known: BTreeSet<Uuid>,
    open: HashMap<Uuid, Open>,
    /// Held by whoever opens, creates, closes or deletes that project.
    gates: HashMap<Uuid, Weak<Gate<()>>>,
    cache_granted: usize,
    /// Files that cannot be used: what they were when that was found, and why.
    refused: HashMap<Uuid, (mark::Is, StoreError)>,
    pub(super) closed: bool,
    /// What is being backed up.
    moment: Option<moment::Taken>,
}

pub(super) struct Open {
    pub(super) store: Store,
    used: Instant,
    cache_bytes: usize,
}

impl Fleet {
    /// The projects in `dir`, which is made (mode 0700) when absent. No file is opened yet. Blocks for one listing.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the directory cannot be made or listed.
    pub fn open(dir: &Path, options: FleetOptions) -> Result<Self, StoreError> {
        let named = |error: std::io::Error| StoreError::Io(format!("{}: {error}", dir.display()));
        medium::private_dir(dir).map_err(named)?;
        let mut known = BTreeSet::new();
        for entry in std::fs::read_dir(dir).map_err(named)? {
            let entry = entry.map_err(named)?;
            if !draft::remove_left_over(&entry.path()) {
                known.extend(project_of(&entry.file_name()));
            }
        }
        Ok(Self::new(Home::Dir(dir.to_owned()), options, known))
    }

    /// A fleet of [`Store::memory`] stores, empty at first.
    pub fn memory() -> Self {
        Self::new(Home::Memory, FleetOptions::default(), BTreeSet::new())
    }

    /// The projects on `volume`. What needs files side by side (drafts, restores, backups) is not to be had there.
    pub fn on(volume: Arc<dyn Volume>, options: FleetOptions) -> Self {
        let known = volume.projects().into_iter().collect();
        Self::new(Home::Volume(volume), options, known)
    }

    fn new(home: Home, options: FleetOptions, known: BTreeSet<Uuid>) -> Self {
        let table = Mutex::new(Table { known, ..Table::default() });
        Self(Arc::new(Inner { home, options, table, doors: Arc::default() }))
    }

    /// All projects, in the order of their ids.
    pub fn ids(&self) -> Vec<Uuid> {
        self.0.table().known.iter().copied().collect()
    }

    /// The store of a project that is open already. Never waits.
    pub fn try_get(&self, id: Uuid) -> Option<Store> {
        self.0.table().touch(id)
    }

    /// The store of a project, opened when it is not yet; `None` when there is no such project.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Busy`] when too many other files are in use, [`StoreError::Closed`] after
    /// [`Fleet::close`].
    pub async fn get(&self, id: Uuid) -> Result<Option<Store>, StoreError> {
        {
            let mut table = self.0.table();
            if table.closed {
                return Err(StoreError::Closed);
            }
            if let Some(store) = table.touch(id) {
                return Ok(Some(store));
            }
            if !table.known.contains(&id) {
                return Ok(None);
            }
        }
        self.alone(id, move |fleet| {
            {
                let mut table = fleet.table();
                if table.closed {
                    return Err(StoreError::Closed);
                }
                if let Some(store) = table.touch(id) {
                    return Ok(Some(store));
                }
                if !table.known.contains(&id) {
                    return Ok(None);
                }
            }
            fleet.open(id, false).map(Some)
        })
        .await
    }

    /// Makes a new, empty project; durable when it answers.
    ///
    /// # Errors
    /// As [`Fleet::get`]; [`StoreError::Io`] when the project exists.
    pub async fn create(&self, id: Uuid) -> Result<Store, StoreError> {
        self.alone(id, move |fleet| {
            {
                let table = fleet.table();
                if table.closed {
                    return Err(StoreError::Closed);
                }
                if table.known.contains(&id) {
                    return Err(StoreError::Io(format!("project {id} exists already")));
                }
            }
            let store = fleet.open(id, true)?;
            fleet.table().known.insert(id);
            Ok(store)
        })
        .await
    }

    /// Closes a project and removes its file for good; durable when it answers. Whoever still holds the store gets
    /// [`StoreError::Closed`] from then on. Answers whether there was such a project.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file cannot be removed, [`StoreError::Busy`] during a backup.
    pub async fn delete(&self, id: Uuid) -> Result<bool, StoreError> {
        self.alone(id, move |fleet| {
            let (known, open) = {
                let mut table = fleet.table();
                if table.is_backed_up() {
                    return Err(StoreError::Busy);
                }
                (table.known.contains(&id), table.take(id))
            };
            if let Some(open) = open {
                open.store.close_blocking();
            }
            if !known {
                return Ok(false);
            }
            match &fleet.home {
                Home::Memory => Ok(()),
                Home::Dir(dir) => remove_files(dir, id),
                Home::Volume(volume) => volume.remove(id),
            }
            .map_err(|error| file::of_io(&error))?;
            fleet.table().known.remove(&id);
            Ok(true)
        })
        .await
    }

    /// Closes the files that nobody holds and nobody asked for during the last `idle`. Memory stores stay.
    pub async fn close_idle(&self, idle: Duration) {
        if matches!(self.0.home, Home::Memory) {
            return;
        }
        let candidates: Vec<Uuid> = {
            let table = self.0.table();
            table.open.iter().filter(|(_, open)| open.is_idle(idle)).map(|(id, _)| *id).collect()
        };
        for id in candidates {
            self.close_one(id, move |open| open.is_idle(idle)).await;
        }
    }

    /// Closes all files, in use or not, and answers when they are closed. The fleet opens none any more.
    pub async fn close(&self) {
        let open: BTreeSet<Uuid> = {
            let mut table = self.0.table();
            // What opens from now on sees the mark; what is being opened has a gate, behind which we wait.
            table.closed = true;
            table.open.keys().chain(table.gates.keys()).copied().collect()
        };
        for id in open {
            self.close_one(id, |_| true).await;
        }
    }

    #[cfg(test)]
    pub(super) fn cache_granted(&self) -> usize {
        self.0.table().cache_granted
    }

    async fn close_one(&self, id: Uuid, still: impl FnOnce(&Open) -> bool + Send + 'static) {
        let closed = self.alone(id, move |fleet| {
            let open = {
                let mut table = fleet.table();
                if table.open.get(&id).is_some_and(still) { table.take(id) } else { None }
            };
            if let Some(open) = open {
                open.store.close_blocking();
            }
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::warn!(%id, %error, "project file was not closed");
        }
    }

    /// Runs `step` on a blocking thread while nothing else opens, closes or deletes the project. The step holds the gate
    /// itself, so that it ends in good order when its caller stops waiting.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        id: Uuid,
        step: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let doors = Arc::clone(&self.0.doors).read_owned().await;
        let gate = self.0.table().gate(id);
        let held = gate.lock_owned().await;
        let fleet = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let result = step(&fleet);
            drop((held, doors));
            fleet.table().gates.retain(|_, gate| gate.strong_count() > 0);
            result
        })
        .await
        .unwrap_or_else(|error| Err(StoreError::Io(format!("opening project {id}: {error}"))))
    }
}

impl Inner {
    /// `projects/`, if that is where the files lie.
    pub(super) fn dir(&self) -> Option<&Path> {
        match &self.home {
            Home::Dir(dir) => Some(dir),
            Home::Memory | Home::Volume(_) => None,
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        // Only plain maps change under this lock.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens or, for a `new` project, creates its file and enters it. The caller holds the project's gate.
    fn open(&self, id: Uuid, new: bool) -> Result<Store, StoreError> {
        let (store, cache_bytes) = match &self.home {
            Home::Memory => (Store::memory(), 0),
            Home::Volume(volume) => self.open_within(|options| {
                make_on(&**volume, id, new, options)?;
                Store::open_medium(volume.file(id), options, new)
            })?,
            Home::Dir(dir) => {
                let path = file_of(dir, id);
                // A file that vanished must not come back empty, nor a found one pass for new.
                let there = path.try_exists().map_err(|error| file::of_io(&error))?;
                match (there, new) {
                    (true, true) => return Err(StoreError::Io(format!("a file of project {id} exists already"))),
                    (false, false) => return Err(StoreError::Io(format!("the file of project {id} is gone"))),
                    _ => {}
                }
                self.was_refused(id, &path)?;
                self.open_within(|options| Store::open(&path, options)).inspect_err(|error| {
                    if let (StoreError::Corrupt(_), Ok(is)) = (error, mark::Is::of(&path)) {
                        self.table().refused.insert(id, (is, error.clone()));
                    }
                })?
            }
        };
        let mut table = self.table();
        table.note_opened(id, &store);
        table.open.insert(id, Open { store: store.clone(), used: Instant::now(), cache_bytes });
        if table.closed {
            // `close` went by while the file was being opened.
            let open = table.take(id);
            drop(table);
            if let Some(open) = open {
                open.store.close_blocking();
            }
            return Err(StoreError::Closed);
        }
        Ok(store)
    }

    /// Opens a file with the cache that it is granted, in bytes, once there is room for one more.
    fn open_within(
        &self,
        open: impl FnOnce(&StoreOptions) -> Result<Store, StoreError>,
    ) -> Result<(Store, usize), StoreError> {
        self.make_room()?;
        let cache_bytes = self.grant_cache();
        let options = StoreOptions { cache_bytes, ..self.options.store.clone() };
        match open(&options) {
            Ok(store) => Ok((store, cache_bytes)),
            Err(error) => {
                self.table().cache_granted -= cache_bytes;
                Err(error)
            }
        }
    }

    /// Enters a store that has no file.
    pub(super) fn keep(&self, id: Uuid, store: Store) {
        self.table().open.insert(id, Open { store, used: Instant::now(), cache_bytes: 0 });
    }

    /// Why a file cannot be used, when that is known and it is still the same: to find out may take reading all of it, and
    /// whoever asks for the project must not make us do that again and again.
    fn was_refused(&self, id: Uuid, file: &Path) -> Result<(), StoreError> {
        let mut table = self.table();
        let Some((then, error)) = table.refused.get(&id) else { return Ok(()) };
        if mark::Is::of(file).is_ok_and(|is| is == *then) {
            return Err(error.clone());
        }
        table.refused.remove(&id);
        Ok(())
    }

    /// Half of what is left: one project alone has a large cache, a thousand together do not have a thousand of them.
    fn grant_cache(&self) -> usize {
        let most = self.options.store.cache_bytes;
        let mut table = self.table();
        let half = (2 * most).saturating_sub(table.cache_granted) / 2;
        let granted = half.clamp(LEAST_CACHE_BYTES.min(most), most);
        table.cache_granted += granted;
        granted
    }

    /// Closes the file longest unused when as many are open as may be.
    fn make_room(&self) -> Result<(), StoreError> {
        loop {
            let (open, _held) = {
                let mut table = self.table();
                if table.open.len() < self.options.max_open + table.kept_open(self.options.max_open) {
                    return Ok(());
                }
                table.take_oldest_unheld().ok_or(StoreError::Busy)?
            };
            open.store.close_blocking();
        }
    }
}

impl Table {
    fn touch(&mut self, id: Uuid) -> Option<Store> {
        let open = self.open.get_mut(&id)?;
        open.used = Instant::now();
        Some(open.store.clone())
    }

    pub(super) fn take(&mut self, id: Uuid) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.cache_granted -= open.cache_bytes;
        Some(open)
    }

    fn gate(&mut self, id: Uuid) -> Arc<Gate<()>> {
        if let Some(gate) = self.gates.get(&id).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::new(Gate::new(()));
        self.gates.insert(id, Arc::downgrade(&gate));
        gate
    }

    /// The store longest unused among those that nobody holds and nobody is busy with, and its project's gate.
    fn take_oldest_unheld(&mut self) -> Option<(Open, OwnedMutexGuard<()>)> {
        let mut unheld: Vec<(Instant, Uuid)> =
            self.open.iter().filter(|(_, open)| open.store.is_unshared()).map(|(id, open)| (open.used, *id)).collect();
        unheld.sort_unstable();
        for (_, id) in unheld {
            if let Ok(held) = self.gate(id).try_lock_owned() {
                return self.take(id).map(|open| (open, held));
            }
        }
        None
    }
}

impl Open {
    fn is_idle(&self, idle: Duration) -> bool {
        self.store.is_unshared() && self.used.elapsed() >= idle
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fleet")
    }
}

/// Makes the file of a `new` project, whole or not at all.
fn make_on(volume: &dyn Volume, id: Uuid, new: bool, options: &StoreOptions) -> Result<(), StoreError> {
    if !new {
        return Ok(());
    }
    redb::create(&*volume.unfinished(id), options)?;
    volume.finish(id).map_err(|error| file::of_io(&error))
}

pub(super) fn file_of(dir: &Path, id: Uuid) -> PathBuf {
    dir.join(format!("{id}.redb"))
}

/// Removes the project's file, and first all that lies beside it under its name: what earlier formats left is as secret.
fn remove_files(dir: &Path, id: Uuid) -> std::io::Result<()> {
    let (file, name) = (file_of(dir, id), format!("{id}.redb."));
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(name.as_bytes()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => medium::sync_dir(dir),
    }
}

/// The project whose file has this name; `None` for anything else in the directory.
fn project_of(name: &std::ffi::OsStr) -> Option<Uuid> {
    let id = name.to_str()?.strip_suffix(".redb")?;
    // Only the spelling that `file_of` gives: one project must not have two files.
    id.parse().ok().filter(|parsed: &Uuid| parsed.to_string() == id)
}
