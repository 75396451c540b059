//! The one writer of an open file: drains the queue, runs each job on its own overlay, commits once, answers all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use redb::Database;

use super::changes::{Changes, Layer};
use super::file::{self, Rows};
use super::job::Job;
use super::medium::{Detached, Direct, Medium};
use super::redb::{Next, Reader, Serving, Shared, Snapshot};
use super::{Numbers, StoreError, StoreOptions, mark};
use crate::metrics::Stores;

/// Jobs are shallow, and thousands of files may be open: a small stack.
const STACK_BYTES: usize = 512 << 10;

/// Space that must be free before a commit is tried, beside the rows themselves: redb copies the pages it changes, its
/// own books and a leaf and its branch for each row. Without that space redb would fail half way, and the file would
/// have to be reopened for every refused write.
const SPARE_BYTES: u64 = 256 << 10;
const SPARE_BYTES_PER_ROW: u64 = 8 << 10;

/// The writer of one open file; lives on a thread of its own.
pub(super) struct Writer {
    shared: Arc<Shared>,
    medium: Box<dyn Medium>,
    cache_bytes: usize,
    counts: Arc<Stores>,
    write_pause: Duration,
    /// The open file; `None` while it could not be reopened.
    db: Option<Database>,
    numbers: Numbers,
    /// What the file is marked with, and since when if it was by this opening.
    number: Option<u64>,
    marked: Option<Instant>,
    epoch: u64,
    /// Why writes cannot be: the file is read through memory (see [`Detached`]), or not open at all.
    read_only: Option<StoreError>,
    /// Commits that failed since the last that did not.
    failures: u32,
    /// Until when, and with what, writes are refused untried.
    refused: Option<(Instant, StoreError)>,
}

impl Writer {
    /// Starts the thread; it ends, and closes the file, when [`Shared`] is asked to close.
    pub(super) fn start(
        shared: Arc<Shared>,
        medium: Box<dyn Medium>,
        (db, number): (Database, Option<u64>),
        options: &StoreOptions,
        write_pause: Duration,
    ) -> io::Result<()> {
        let writer = Self {
            shared,
            medium,
            cache_bytes: options.cache_bytes,
            counts: Arc::clone(&options.counts),
            write_pause,
            db: Some(db),
            numbers: options.numbers.clone(),
            number,
            marked: None,
            epoch: 0,
            read_only: None,
            failures: 0,
            refused: None,
        };
        thread::Builder::new().name("store-writer".into()).stack_size(STACK_BYTES).spawn(move || writer.run())?;
        Ok(())
    }

    fn run(mut self) {
        let (mut batch, mut last) = (Vec::new(), 0);
        loop {
            match self.shared.next(&mut batch, last) {
                Next::Close => return,
                Next::Batch { reopen } => {
                    last = batch.len();
                    if reopen {
                        self.reopen();
                    }
                    if !batch.is_empty() {
                        self.run_batch(&mut batch);
                    }
                }
            }
        }
    }

    fn run_batch(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let outcome = self.try_batch(batch);
        for job in batch.drain(..) {
            job.settle(outcome.as_ref().err());
        }
    }

    /// Runs all jobs and commits what they changed. An error is the fate of them all: a refusal, too, may rest on a
    /// change that is now in doubt.
    fn try_batch(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        self.make_writable()?;
        let snapshot = self.shared.snapshot.load_full().ok_or(StoreError::Closed)?;
        let reader = Reader::on(&snapshot.rows);
        let (mut kept, jobs) = (Changes::new(), batch.len());
        for job in batch {
            if let Some(changes) = job.run(&Layer { changes: &kept, base: &reader }) {
                kept.extend(changes);
            }
        }
        let lost = reader.lost();
        drop(snapshot);
        let committed = if kept.is_empty() { Ok(()) } else { self.commit_and_tell(&kept, jobs) };
        if lost && committed.is_ok() {
            self.reopen();
        }
        committed
    }

    /// Commits, and says to whoever asks how it went.
    fn commit_and_tell(&mut self, kept: &Changes, jobs: usize) -> Result<(), StoreError> {
        let begun = Instant::now();
        let committed = self.commit_and_publish(kept);
        match &committed {
            Ok(()) => {
                self.counts.commits.took(begun.elapsed());
                self.counts.batches.saw(jobs as u64);
                if self.shared.failing.load().is_some() {
                    self.shared.failing.store(None);
                }
            }
            Err(error) => self.tell_failure(error),
        }
        committed
    }

    fn tell_failure(&self, error: &StoreError) {
        self.counts.failed.one();
        self.shared.failing.store(Some(Arc::new(error.clone())));
    }

    fn commit_and_publish(&mut self, kept: &Changes) -> Result<(), StoreError> {
        let Some(db) = &self.db else { return Err(StoreError::Closed) };
        let bytes: usize = kept.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
        let needed = SPARE_BYTES + SPARE_BYTES_PER_ROW * kept.len() as u64 + bytes as u64;
        if self.medium.free_bytes().is_some_and(|free| free < needed) {
            return Err(StoreError::Full);
        }
        let number = self.next_number();
        // A panic in redb speaks of a damaged file: as unknown as any other failed commit.
        let committed =
            catch_unwind(AssertUnwindSafe(|| commit(db, kept, number))).unwrap_or_else(|_| Err(StoreError::Unknown));
        match committed {
            Ok(rows) => {
                self.failures = 0;
                if number.is_some() {
                    (self.number, self.marked) = (number, Some(Instant::now()));
                }
                self.shared.publish(Some(Snapshot { rows, epoch: self.epoch }));
                Ok(())
            }
            Err(error) => {
                self.count_failure(&error);
                // It is unknown which number is in the file.
                (self.number, self.marked) = (None, None);
                tracing::error!(%error, failures = self.failures, "store commit failed, reopening the file");
                self.reopen();
                Err(error)
            }
        }
    }

    /// The number that goes into the file with the next commit, where the one there is due to be renewed. It is noted
    /// beside the file first.
    fn next_number(&self) -> Option<u64> {
        if self.marked.is_some_and(|marked| marked.elapsed() < mark::RENEWED_AFTER) {
            return None;
        }
        let number = self.numbers.draw();
        // Where that fails, the file is checked at its next opening, at worst.
        self.medium.note_open(number, true).ok().map(|()| number)
    }

    /// An open file that takes writes, or why there is none.
    fn make_writable(&mut self) -> Result<(), StoreError> {
        if self.failures == 0 && self.read_only.is_none() {
            return Ok(());
        }
        if let Some((until, error)) = &self.refused
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        if self.read_only.is_some() {
            self.reopen();
        }
        let Some(error) = self.read_only.clone() else { return Ok(()) };
        self.count_failure(&error);
        self.tell_failure(&error);
        Err(error)
    }

    /// One failure may be a stray; from the second on, reads get some time between two attempts.
    fn count_failure(&mut self, error: &StoreError) {
        self.failures += 1;
        if self.failures > 1 {
            // What is refused untried is not in doubt.
            let error = if *error == StoreError::Unknown { StoreError::Busy } else { error.clone() };
            self.refused = Some((Instant::now() + self.write_pause, error));
        }
    }

    /// Closes the file, which redb has given up, and opens it anew: for writing, else for reading only, else not.
    fn reopen(&mut self) {
        self.shared.set_serving(Serving::Reopening);
        self.shared.publish(None);
        self.close();
        self.epoch += 1;
        let opened = self.open_for_writing();
        self.read_only = opened.as_ref().err().cloned();
        match opened.or_else(|_| self.open_detached()) {
            Ok((db, rows)) => {
                self.db = Some(db);
                self.shared.publish(Some(Snapshot { rows, epoch: self.epoch }));
                self.shared.set_serving(Serving::Up(self.epoch));
            }
            Err(error) => {
                tracing::error!(%error, "store file could not be reopened");
                self.shared.set_serving(Serving::Down(error));
            }
        }
    }

    fn open_for_writing(&self) -> Result<(Database, Rows), StoreError> {
        let backend = self.medium.open().map_err(|error| file::of_io(&error))?;
        file::open(Direct(backend), self.cache_bytes, self.shared.steps)
    }

    fn open_detached(&self) -> Result<(Database, Rows), StoreError> {
        let backend = self.medium.open().and_then(Detached::over).map_err(|error| file::of_io(&error))?;
        file::open(backend, self.cache_bytes, self.shared.steps)
    }

    fn close(&mut self) {
        let db = self.db.take();
        // Closing commits; that may fail like any commit, and what was acknowledged is safe already.
        if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
            tracing::error!("closing a store file panicked");
        }
    }
}

/// Also after a panic of this thread: nobody waits for an answer that cannot come.
impl Drop for Writer {
    fn drop(&mut self) {
        let waiting = self.shared.shut();
        self.shared.publish(None);
        self.close();
        if let Some(number) = self.number
            && self.read_only.is_none()
        {
            // The mark of an open file holds as well.
            let _ = self.medium.note_closed(number);
        }
        for job in waiting {
            job.settle(Some(&StoreError::Closed));
        }
        self.shared.set_serving(Serving::Closed);
    }
}

/// Writes `kept` in key order, with a new number for the file, and makes it durable. The rows as they are then.
fn commit(db: &Database, kept: &Changes, number: Option<u64>) -> Result<Rows, StoreError> {
    let mut change = db.begin_write().map_err(file::of_redb)?;
    // Allocator state goes with every commit, so that reopening after a crash takes a millisecond, not a scan.
    change.set_quick_repair(true);
    {
        let mut rows = change.open_table(file::ROWS).map_err(file::of_redb)?;
        for (key, value) in kept {
            match value {
                Some(value) => rows.insert(key.as_slice(), value.as_slice()).map_err(file::of_redb)?,
                None => rows.remove(key.as_slice()).map_err(file::of_redb)?,
            };
        }
    }
    if let Some(number) = number {
        file::mark(&change, number)?;
    }
    change.commit().map_err(|error| match file::of_redb(error) {
        // redb makes a commit valid by its very last write, into space the file already has.
        StoreError::Full => StoreError::Full,
        _ => StoreError::Unknown,
    })?;
    file::latest(db).map_err(|_| StoreError::Unknown)
}
