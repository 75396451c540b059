//! The redb engine as its users meet it: reads from the published snapshot, writes into the writer's queue.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redb::AccessGuard;

use super::file::{self, Rows};
use super::job::{self, Job};
use super::medium::{self, Direct, FileMedium, Medium};
use super::opening::{self, Opened};
use super::writer::Writer;
use super::{Read, Step, StoreError, StoreOptions, Visit, Write};

/// How long a read waits for a file that is being reopened.
const REOPEN_PATIENCE: Duration = Duration::from_secs(2);

/// How long writes are refused untried after they failed twice in a row, so that reads get their turn.
const WRITE_PAUSE: Duration = Duration::from_millis(100);

/// One open file and its writer thread.
pub(super) struct Engine(Arc<Shared>);

impl Engine {
    /// Opens the file at `path`; makes it, whole or not at all, when it is absent.
    pub(super) fn open_file(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let named = |error| match error {
            StoreError::Corrupt(why) => StoreError::Corrupt(format!("{}: {why}", path.display())),
            StoreError::Io(why) => StoreError::Io(format!("{}: {why}", path.display())),
            other => other,
        };
        let made = !path.try_exists().map_err(|error| named(file::of_io(&error)))?;
        if made {
            create_file(path, options).map_err(named)?;
        }
        Self::open_medium(Box::new(FileMedium(path.to_owned())), options, made, WRITE_PAUSE).map_err(named)
    }

    /// Opens any medium; `made`: [`create`] has just made what it holds. Tests hand in a failing one, and no pause.
    pub(super) fn open_medium(
        medium: Box<dyn Medium>,
        options: &StoreOptions,
        made: bool,
        write_pause: Duration,
    ) -> Result<Self, StoreError> {
        let Opened { db, rows, number } = opening::open(&*medium, options, made)?;
        let shared = Arc::new(Shared {
            snapshot: ArcSwapOption::from_pointee(Snapshot { rows, epoch: 0 }),
            version: AtomicU64::new(0),
            queue: Mutex::new(Queue::default()),
            queue_len: options.queue,
            wake: Condvar::new(),
            serving: Mutex::new(Serving::Up(0)),
            changed: Condvar::new(),
            failing: ArcSwapOption::empty(),
            steps: options.steps,
        });
        Writer::start(shared.clone(), medium, (db, number), options, write_pause)
            .map_err(|error| file::of_io(&error))?;
        Ok(Self(shared))
    }

    pub(super) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// The last commit.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.0.snapshot.load_full()
    }

    pub(super) fn steps(&self) -> &'static [Step] {
        self.0.steps
    }

    pub(super) fn failing(&self) -> Option<StoreError> {
        self.0.failing.load().as_deref().cloned()
    }

    pub(super) fn read<T, E: From<StoreError>>(&self, mut view: impl FnMut(&dyn Read) -> Result<T, E>) -> Result<T, E> {
        let lost = {
            let snapshot = self.0.snapshot.load();
            match &*snapshot {
                Some(snapshot) => {
                    let reader = Reader::on(&snapshot.rows);
                    let answer = view(&reader);
                    if !reader.lost() {
                        return answer;
                    }
                    Some(snapshot.epoch)
                }
                None => None,
            }
        };
        self.0.wait_reopened(lost)?;
        let snapshot = self.0.snapshot.load();
        match &*snapshot {
            Some(snapshot) => view(&Reader::on(&snapshot.rows)),
            None => Err(StoreError::Io("the file is being reopened".into()).into()),
        }
    }

    pub(super) async fn write<T, E, F>(&self, patience: Duration, job: F) -> Result<T, E>
    where
        F: FnMut(&mut dyn Write) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (job, answer) = job::queued(job);
        self.0.enqueue(job, patience)?;
        // The writer answers every job it was given; silence means that it died with the job in hand.
        answer.await.unwrap_or_else(|_| Err(StoreError::Unknown.into()))
    }

    /// Finishes the queue, closes the file, and returns then.
    pub(super) fn close_blocking(&self) {
        self.0.ask_to_close();
        let mut serving = self.0.serving();
        while *serving != Serving::Closed {
            serving = self.0.changed.wait(serving).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.0.ask_to_close();
    }
}

/// A file appears under its name only when it is complete, so that a crash while creating leaves none.
fn create_file(path: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    let unfinished = &medium::beside(path, ".new");
    let io = |error: std::io::Error| file::of_io(&error);
    medium::create_private_file(unfinished).map_err(io)?;
    let made = create(&FileMedium(unfinished.to_owned()), options)
        .and_then(|()| std::fs::rename(unfinished, path).map_err(io))
        .and_then(|()| medium::sync_dir(medium::parent(path)).map_err(io));
    if made.is_err() {
        // Space may be what is missing; a leftover would only be replaced by the next attempt anyway.
        let _ = std::fs::remove_file(unfinished);
    }
    made
}

/// Makes an empty file of the present format in `medium`.
pub(super) fn create(medium: &dyn Medium, options: &StoreOptions) -> Result<(), StoreError> {
    let backend = medium.open().map_err(|error| file::of_io(&error))?;
    let number = Some(options.numbers.draw());
    let db = file::create(Direct(backend), options.cache_bytes, options.steps, number)?;
    db.close().map_err(file::of_redb)
}

/// What the users of a file and its writer have in common.
pub(super) struct Shared {
    /// The last commit; `None` while the file is reopened and after it was closed.
    pub(super) snapshot: ArcSwapOption<Snapshot>,
    /// Counts what was published.
    version: AtomicU64,
    queue: Mutex<Queue>,
    queue_len: usize,
    wake: Condvar,
    serving: Mutex<Serving>,
    changed: Condvar,
    /// Why the last commit failed; `None` after one that did not.
    pub(super) failing: ArcSwapOption<StoreError>,
    /// How the file came to its format.
    pub(super) steps: &'static [Step],
}

/// The rows as of one commit, through the `epoch`th opening of the file.
pub(super) struct Snapshot {
    pub(super) rows: Rows,
    pub(super) epoch: u64,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Box<dyn Job>>,
    /// Until when all of them are content to wait for more; `None`: one is not.
    until: Option<Instant>,
    /// The writer sleeps and must be woken.
    idle: bool,
    /// How many jobs wake a writer that gathers a batch; 0 while it does not.
    enough: usize,
    /// A reader found that the file can no longer be read.
    reopen: bool,
    closing: bool,
}

/// Whether there is a file to read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Serving {
    /// The file is open for the n-th time.
    Up(u64),
    Reopening,
    /// It could not be reopened.
    Down(StoreError),
    Closed,
}

/// The size of a batch after which the next one gathers.
const GATHER_FROM: usize = 8;
/// How long it may: about one durable commit.
const GATHER: Duration = Duration::from_micros(300);

/// So many jobs are committed whether or not they would wait for more.
const CROWD: usize = 64;

/// What the writer does next.
pub(super) enum Next {
    /// Run the batch, which may be empty; before it, reopen the file if that is asked for.
    Batch {
        reopen: bool,
    },
    Close,
}

impl Shared {
    /// Makes `snapshot` what readers see from now on.
    pub(super) fn publish(&self, snapshot: Option<Snapshot>) {
        self.snapshot.store(snapshot.map(Arc::new));
        // After the snapshot: whoever sees the new number sees the new rows.
        self.version.fetch_add(1, Ordering::Release);
    }

    fn enqueue(&self, job: Box<dyn Job>, patience: Duration) -> Result<(), StoreError> {
        let until = (!patience.is_zero()).then(|| Instant::now() + patience);
        let mut queue = self.queue();
        if queue.closing {
            return Err(StoreError::Closed);
        }
        if queue.jobs.len() >= self.queue_len {
            return Err(StoreError::Busy);
        }
        let is_first = queue.jobs.is_empty();
        let others = if is_first { until } else { queue.until };
        queue.until = until.zip(others).map(|(until, others)| until.min(others));
        queue.jobs.push(job);
        let is_news = is_first || queue.until.is_none() || queue.jobs.len() >= CROWD;
        if is_news && queue.jobs.len() >= queue.enough {
            self.wake_writer(queue);
        }
        Ok(())
    }

    fn ask_to_close(&self) {
        let mut queue = self.queue();
        queue.closing = true;
        self.wake_writer(queue);
    }

    /// Wakes the writer only when it sleeps: while it commits, jobs gather into the next batch without a system call.
    fn wake_writer(&self, mut queue: MutexGuard<'_, Queue>) {
        let idle = std::mem::take(&mut queue.idle);
        drop(queue);
        if idle {
            self.wake.notify_one();
        }
    }

    /// Waits for work and moves all of it into `batch`, which is empty. `last` is the size of the batch before.
    ///
    /// Those just answered come back a moment later. Committing the first few of them alone would leave the others a
    /// whole commit behind, and pay twice: after a large batch the next one may gather for as long as a commit takes.
    /// Under light load nothing waits.
    pub(super) fn next(&self, batch: &mut Vec<Box<dyn Job>>, last: usize) -> Next {
        let mut queue = self.queue();
        let mut may_gather = last >= GATHER_FROM;
        loop {
            let urgent = queue.reopen || queue.closing;
            if may_gather && !urgent && !queue.jobs.is_empty() && queue.jobs.len() < last * 3 / 4 {
                may_gather = false;
                queue.idle = true;
                queue.enough = last * 3 / 4;
                let (woken, _) = self.wake.wait_timeout(queue, GATHER).unwrap_or_else(PoisonError::into_inner);
                queue = woken;
                queue.enough = 0;
                queue.idle = false;
                continue;
            }
            let left = queue.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            if !left.is_zero() && !urgent && !queue.jobs.is_empty() && queue.jobs.len() < CROWD {
                queue.idle = true;
                (queue, _) = self.wake.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner);
                queue.idle = false;
                continue;
            }
            if !queue.jobs.is_empty() || queue.reopen {
                std::mem::swap(&mut queue.jobs, batch);
                return Next::Batch { reopen: std::mem::take(&mut queue.reopen) };
            }
            if queue.closing {
                return Next::Close;
            }
            queue.idle = true;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No further job is taken; those that still wait are handed over.
    pub(super) fn shut(&self) -> Vec<Box<dyn Job>> {
        let mut queue = self.queue();
        queue.closing = true;
        std::mem::take(&mut queue.jobs)
    }

    /// Tells waiting readers.
    pub(super) fn set_serving(&self, serving: Serving) {
        *self.serving() = serving;
        self.changed.notify_all();
    }

    /// Has the file reopened after the opening `lost` failed, and waits until it can be read again.
    fn wait_reopened(&self, lost: Option<u64>) -> Result<(), StoreError> {
        let mut serving = self.serving();
        let mut asked = false;
        loop {
            match &*serving {
                Serving::Closed => return Err(StoreError::Closed),
                Serving::Up(epoch) if Some(*epoch) != lost => return Ok(()),
                Serving::Down(error) if asked => return Err(error.clone()),
                Serving::Up(_) | Serving::Down(_) if !asked => {
                    asked = true;
                    // Marked here, so that no two readers ask for the same opening.
                    *serving = Serving::Reopening;
                    let mut queue = self.queue();
                    queue.reopen = true;
                    self.wake_writer(queue);
                }
                Serving::Up(_) | Serving::Down(_) | Serving::Reopening => {
                    asked = true;
                    let (guard, wait) =
                        self.changed.wait_timeout(serving, REOPEN_PATIENCE).unwrap_or_else(PoisonError::into_inner);
                    serving = guard;
                    if wait.timed_out() {
                        return Err(StoreError::Io("the file is being reopened".into()));
                    }
                }
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic runs under this lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serving(&self) -> MutexGuard<'_, Serving> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one snapshot, and remembers when the file under it failed.
pub(super) struct Reader<'a> {
    rows: &'a Rows,
    lost: Cell<bool>,
}

impl<'a> Reader<'a> {
    pub(super) fn on(rows: &'a Rows) -> Self {
        Self { rows, lost: Cell::new(false) }
    }

    /// Whether what was read must be read again from a reopened file.
    pub(super) fn lost(&self) -> bool {
        self.lost.get()
    }

    /// Answers what `read` does, whose every step is redb's: it may panic on a file that was altered outside redb.
    fn guard<T>(&self, read: impl FnOnce() -> Result<T, redb::StorageError>) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if file::loses_file(&error) {
                    self.lost.set(true);
                }
                Err(file::of_redb(error))
            }
            Err(_) => Err(StoreError::Corrupt("the file is damaged; restore it from a backup".into())),
        }
    }

    /// Visits at most `limit` rows in the order in which `next` takes them from the range.
    fn walk(
        &self,
        (from, to): (&[u8], &[u8]),
        limit: usize,
        next: fn(&mut Range) -> Option<Row>,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if from >= to || limit == 0 {
            return Ok(());
        }
        let mut rows = self.guard(|| self.rows.range::<&[u8]>(from..to))?;
        for _ in 0..limit {
            let Some(row) = self.guard(|| next(&mut rows).transpose())? else { break };
            let (key, value) = self.guard(|| Ok((row.0.value(), row.1.value())))?;
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

type Range = redb::Range<'static, &'static [u8], &'static [u8]>;
type Row = Result<(AccessGuard<'static, &'static [u8]>, AccessGuard<'static, &'static [u8]>), redb::StorageError>;

impl Read for Reader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.guard(|| Ok(self.rows.get(key)?.map(|value| value.value().to_vec())))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.walk((from, to), limit, Iterator::next, visit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.walk((from, to), limit, DoubleEndedIterator::next_back, visit)
    }
}
