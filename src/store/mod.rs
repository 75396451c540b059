//! The store: an ordered key-value seam with durable group commit, over one redb file or plain memory.
//!
//! Whoever uses it sees ordered bytes only: [`Read`] and [`Write`] inside a job, [`Store`] around them. A job captures
//! ready values (no clock, entropy, hashing or I/O inside) and may be run again, so that the same seam can later stand
//! before a serializable cluster. Engine types never show in a signature here.

mod changes;
mod copy;
mod draft;
mod file;
mod fleet;
mod job;
mod mark;
mod medium;
mod memory;
mod opening;
mod redb;
mod upgrade;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use self::copy::{Frozen, Stop, Unhurried, remove_unhurried};
pub use self::draft::Draft;
pub use self::fleet::{Fleet, FleetOptions, LEAST_CACHE_BYTES, Moment, NoMoment, Over};
pub use self::mark::{Left, Numbers};
pub use self::medium::{Medium, Volume};
pub use self::upgrade::Step;
use crate::metrics::Stores;

/// What a scan does with each row, `(key, value)`; it may break off.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Ordered bytes that can be read. Everything read through one value belongs to one consistent state.
pub trait Read {
    /// The value of `key`, or `None` when there is none.
    ///
    /// # Errors
    /// The engine's failure to read: [`StoreError::Io`], [`StoreError::Corrupt`], [`StoreError::Closed`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits rows with `from <= key < to` in ascending order, at most `limit` of them, until `visit` breaks.
    ///
    /// # Errors
    /// As [`Read::get`].
    fn scan(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Visits the same rows in descending order.
    ///
    /// # Errors
    /// As [`Read::get`].
    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// What a job may do: read the latest state, its own changes included, and change it.
pub trait Write: Read {
    /// Sets `key` to `value`, whether or not it had one.
    ///
    /// # Errors
    /// The engine's failure; none of today's engines fails before the commit.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Removes `key`; removing an absent key is no error.
    ///
    /// # Errors
    /// As [`Write::put`].
    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError>;
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No space left: the change was not made, reads go on, and writes work again once there is space.
    #[error("no space left for the store")]
    Full,
    /// The commit failed; whether the change was made is unknown.
    #[error("the commit failed, its outcome is unknown")]
    Unknown,
    /// The queue of writes is full; nothing was done, try again.
    #[error("the store is busy")]
    Busy,
    /// The file is damaged, foreign, or of a later format. The text names the reason for an operator.
    #[error("{0}")]
    Corrupt(String),
    /// The operating system failed and nothing was changed.
    #[error("store input/output: {0}")]
    Io(String),
    /// The store was closed or its project deleted; nothing was done.
    #[error("the store is closed")]
    Closed,
    /// The job panicked; nothing of it was kept.
    #[error("a store job panicked")]
    JobPanicked,
}

/// How one file is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Memory for cached pages, in bytes. The allocator may keep about twice as much; the operating system caches the
    /// file as well. At a million rows a random read is as fast with 4 MiB as with 16.
    pub cache_bytes: usize,
    /// Writes that may wait for the writer; one more is answered [`StoreError::Busy`].
    pub queue: usize,
    /// Where commits are counted.
    pub counts: Arc<Stores>,
    /// The formats after the first, oldest first: how a file gets from each to the next. Whoever opens files passes all
    /// there are; a file of a format beyond the last is refused.
    pub steps: &'static [Step],
    /// By what a file is known again.
    pub numbers: Numbers,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 4 << 20, queue: 4096, counts: Arc::default(), steps: &[], numbers: Numbers::default() }
    }
}

/// One project's data: an open file, or memory. Clones are handles to the same store.
#[derive(Clone)]
pub struct Store(Arc<Engine>);

enum Engine {
    Memory(memory::Engine),
    Redb(redb::Engine),
}

impl Store {
    /// An empty store that lives as long as its handles.
    pub fn memory() -> Self {
        Self(Arc::new(Engine::Memory(memory::Engine::default())))
    }

    /// Opens the file at `path`, creating it (mode 0600, whatever the umask) when it is absent. One of an earlier format
    /// is upgraded, which leaves a copy of what it was beside it. Blocks: not for the async runtime's threads.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a torn, damaged, foreign or later-format file, [`StoreError::Full`] without space to create
    /// or upgrade it, [`StoreError::Io`] for anything else, such as a file that another process has open.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Engine::Redb(redb::Engine::open_file(path, options)?))))
    }

    /// Opens what `medium` holds, of which `made` says that it was made just now. Writes that failed are tried again at once.
    fn open_medium(medium: Box<dyn Medium>, options: &StoreOptions, made: bool) -> Result<Self, StoreError> {
        let engine = redb::Engine::open_medium(medium, options, made, Duration::ZERO)?;
        Ok(Self(Arc::new(Engine::Redb(engine))))
    }

    /// Runs `view` on a consistent snapshot that includes every acknowledged write. Never waits for a writer, unless the
    /// file is being reopened after an I/O error; `view` is then run once more.
    ///
    /// # Errors
    /// What `view` answers, and the engine's failure to give a snapshot.
    pub fn read<T, E: From<StoreError>>(&self, view: impl FnMut(&dyn Read) -> Result<T, E>) -> Result<T, E> {
        match &*self.0 {
            Engine::Memory(engine) => engine.read(view),
            Engine::Redb(engine) => engine.read(view),
        }
    }

    /// A number that changes, before the write is acknowledged, whenever what [`Store::read`] sees may have changed. What
    /// was read after taking the number is still true while the number is the same.
    pub fn version(&self) -> u64 {
        match &*self.0 {
            Engine::Memory(engine) => engine.version(),
            Engine::Redb(engine) => engine.version(),
        }
    }

    /// How its file came to the format it has; none in memory.
    fn steps(&self) -> &'static [Step] {
        match &*self.0 {
            Engine::Memory(_) => &[],
            Engine::Redb(engine) => engine.steps(),
        }
    }

    /// Why the last change was not made, if it was not: the state of the disk as of then, for free.
    pub fn failing(&self) -> Option<StoreError> {
        match &*self.0 {
            Engine::Memory(_) => None,
            Engine::Redb(engine) => engine.failing(),
        }
    }

    /// Runs `job` on the latest state and makes what it changed durable before answering. When `job` answers an error,
    /// nothing of it is kept. A caller that stops waiting does not stop the job.
    ///
    /// # Errors
    /// What `job` answers, or the reason why it was not run or not kept.
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: FnMut(&mut dyn Write) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.write_within(Duration::ZERO, job).await
    }

    /// [`Store::write`] for a job that may wait for others to be committed with it, for as long as `patience`: a commit
    /// costs a thread about as much for one job as for ten. Any job that may not wait takes those that do along.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_within<T, E, F>(&self, patience: Duration, job: F) -> Result<T, E>
    where
        F: FnMut(&mut dyn Write) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &*self.0 {
            Engine::Memory(engine) => engine.write(job),
            Engine::Redb(engine) => engine.write(patience, job).await,
        }
    }

    /// What is committed now; `None` for a store in memory, and while a file is being reopened.
    fn freeze(&self) -> Option<Frozen> {
        match &*self.0 {
            Engine::Memory(_) => None,
            Engine::Redb(engine) => Some(Frozen::new(engine.snapshot()?, self.clone())),
        }
    }

    /// Finishes the writes that wait, closes the file and returns when it is closed. Later calls, also through other
    /// handles, answer [`StoreError::Closed`]. Dropping the last handle does the same without waiting.
    pub async fn close(&self) {
        let store = self.clone();
        // A failure to join means that the runtime is going down: the file then closes by itself, unwaited.
        let _ = tokio::task::spawn_blocking(move || store.close_blocking()).await;
    }

    /// [`Store::close`] for a thread that may block.
    pub fn close_blocking(&self) {
        match &*self.0 {
            Engine::Memory(engine) => engine.close(),
            Engine::Redb(engine) => engine.close_blocking(),
        }
    }

    /// Whether this is the only handle, so that closing disturbs nobody.
    fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}
