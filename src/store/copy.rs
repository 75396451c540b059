//! Copies of project files: made from one state while the file is in use, and compared with it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::{Database, ReadableTable};

use super::file::{self, Rows};
use super::medium::{self, Direct, FileMedium, Medium};
use super::redb::{Reader, Snapshot};
use super::{Read, Store, StoreError};

/// Memory for the pages of a copy.
const CACHE_BYTES: usize = 4 << 20;
/// How long a copy works before it rests for as long: half a core and half a disk stay for those who are served.
const SPELL: Duration = Duration::from_millis(4);
/// Rows between two looks at the time.
const LOOK: u32 = 64;
/// How much of a copy is committed at a time, in bytes of keys and values. In one commit the checksum of every page would
/// come last, and with it a great many scattered writes at once, behind which every change of those who are served would
/// wait.
const AT_ONCE: usize = 1 << 20;

/// How much of a copy is freed at a time, in bytes.
const FREED: u64 = 16 << 20;

/// A project's rows as of one commit, while its file goes on. Their pages are kept meanwhile, so the file grows by what
/// is written.
pub struct Frozen {
    rows: Arc<Snapshot>,
    /// Keeps the file open.
    store: Store,
}

/// Whether work should stop, for whoever does it and whoever wants it to. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Has the work stopped.
    pub fn ask(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Whether it should.
    pub fn is_asked(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for it, for as long.
    fn rest(&self, time: Duration) {
        let asked = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.1.wait_timeout_while(asked, time, |asked| !*asked));
    }
}

impl Frozen {
    pub(super) fn new(rows: Arc<Snapshot>, store: Store) -> Self {
        Self { rows, store }
    }

    /// Runs `view` on the rows.
    ///
    /// # Errors
    /// What `view` answers.
    pub fn read<T>(&self, view: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> Result<T, StoreError> {
        view(&Reader::on(&self.rows.rows))
    }

    /// Writes the rows into a new file at `path` (mode 0600), durably, and compares it with them row by row. Answers
    /// how many there are. Works half of the time, so as not to be felt; for a thread that may block.
    ///
    /// # Errors
    /// [`StoreError::Closed`] when it was stopped or the project's file was closed, [`StoreError::Full`] without space,
    /// and the engine's. The new file may be left unfinished then.
    pub fn copy_to(&self, path: &Path, stop: &Stop) -> Result<u64, StoreError> {
        guarded(|| {
            medium::create_private_file(path).map_err(|error| file::of_io(&error))?;
            let steps = self.store.steps();
            let db = file::create(Direct(backend(path)?), CACHE_BYTES, steps, None)?;
            self.insert_all(&db, stop)?;
            db.close().map_err(file::of_redb)?;
            let (db, copy) = file::open(Direct(backend(path)?), CACHE_BYTES, steps)?;
            let count = self.compare(&copy, stop)?;
            drop(copy);
            db.close().map_err(file::of_redb)?;
            Ok(count)
        })
    }

    fn insert_all(&self, db: &Database, stop: &Stop) -> Result<(), StoreError> {
        let mut rows = self.rows.rows.iter().map_err(file::of_redb)?;
        let (mut pace, mut more) = (Pace::new(stop), true);
        while more {
            let mut change = db.begin_write().map_err(file::of_redb)?;
            {
                let mut to = change.open_table(file::ROWS).map_err(file::of_redb)?;
                let mut bytes = 0;
                while bytes < AT_ONCE {
                    let Some(row) = rows.next() else {
                        more = false;
                        break;
                    };
                    let (key, value) = row.map_err(file::of_redb)?;
                    to.insert(key.value(), value.value()).map_err(file::of_redb)?;
                    bytes += key.value().len() + value.value().len();
                    pace.step()?;
                }
            }
            // What a crash leaves of it is of no use: only the last one leaves a file that is opened without repair.
            change.set_quick_repair(!more);
            change.commit().map_err(file::of_redb)?;
        }
        Ok(())
    }

    fn compare(&self, copy: &Rows, stop: &Stop) -> Result<u64, StoreError> {
        let mut copied = copy.iter().map_err(file::of_redb)?;
        let (mut count, mut pace) = (0, Pace::new(stop));
        for row in self.rows.rows.iter().map_err(file::of_redb)? {
            let (key, value) = row.map_err(file::of_redb)?;
            let same = match copied.next().transpose().map_err(file::of_redb)? {
                Some((its_key, its_value)) => its_key.value() == key.value() && its_value.value() == value.value(),
                None => false,
            };
            if !same {
                return Err(unlike());
            }
            count += 1;
            pace.step()?;
        }
        if copied.next().is_some() { Err(unlike()) } else { Ok(count) }
    }
}

impl std::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Frozen")
    }
}

fn backend(path: &Path) -> Result<Box<dyn redb::StorageBackend>, StoreError> {
    FileMedium(path.to_owned()).open().map_err(|error| file::of_io(&error))
}

/// redb may panic on a file that was altered outside it.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(StoreError::Corrupt("the file is damaged".into())))
}

fn unlike() -> StoreError {
    StoreError::Corrupt("the copy is not what was copied; is the disk or the memory broken?".into())
}

/// A copy that is read half of the time, so as not to be felt.
pub struct Unhurried<'a> {
    file: File,
    pace: Pace<'a>,
}

impl<'a> Unhurried<'a> {
    /// Reads `file`, until it is to `stop`.
    pub fn new(file: File, stop: &'a Stop) -> Self {
        Self { file, pace: Pace::new(stop) }
    }
}

impl io::Read for Unhurried<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.pace.look().map_err(|_| io::Error::other("it was stopped"))?;
        self.file.read(out)
    }
}

/// Removes a copy that nobody else has open, from its end on: a file system may hold up everybody's writes for as long as
/// it takes to free what one file held.
///
/// # Errors
/// The file system's.
pub fn remove_unhurried(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let mut bytes = file.metadata()?.len();
    while bytes > FREED {
        let since = Instant::now();
        bytes -= FREED;
        file.set_len(bytes)?;
        file.sync_all()?;
        Stop::default().rest(since.elapsed());
    }
    fs::remove_file(path)
}

/// Work and rest in turns.
struct Pace<'a> {
    stop: &'a Stop,
    rows: u32,
    since: Instant,
}

impl<'a> Pace<'a> {
    fn new(stop: &'a Stop) -> Self {
        Self { stop, rows: 0, since: Instant::now() }
    }

    /// After each row.
    fn step(&mut self) -> Result<(), StoreError> {
        self.rows += 1;
        if self.rows.is_multiple_of(LOOK) { self.look() } else { Ok(()) }
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let worked = self.since.elapsed();
        if worked >= SPELL {
            self.stop.rest(worked);
            self.since = Instant::now();
        }
        if self.stop.is_asked() { Err(StoreError::Closed) } else { Ok(()) }
    }
}
