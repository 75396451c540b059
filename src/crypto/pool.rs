//! The password hashing pool: threads of its own behind a fair, bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use argon2::Block;
use thiserror::Error;
use tokio::sync::oneshot;
use zeroize::Zeroize;

use super::queue::{FairQueue, Pushed};
use super::{BadCost, ClientGroup, HashCost, Secret, StoredHash};
use crate::env::Entropy;
use crate::metrics::Hashing;

/// How a [`HashPool`] works.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// What a new hash costs; [`HashCost::check`] must accept it.
    pub cost: HashCost,
    /// Hashing threads; 0 means one per core.
    pub threads: usize,
    /// How many jobs may wait, of all clients together.
    pub queue: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { cost: HashCost::default(), threads: 0, queue: 1024 }
    }
}

/// Computes password hashes beside the network threads, at a lower scheduling priority.
///
/// Memory: at most one Argon2 memory per thread, made by the first hash and given back after ten idle seconds. An
/// imported Argon2 or scrypt hash of a higher cost takes its own (up to 256 MiB) for the time of its verification.
///
/// Time: a job against no account costs exactly one hash of the configured cost, like a wrong password against a hash
/// of that cost. A wrong password against a *cheaper* stored hash (imported, or of an earlier configuration) is filled
/// up with Argon2 work to about the same time; against a dearer one it takes longer, which an observer can notice
/// until its owner signs in once and the hash is replaced.
pub struct HashPool {
    shared: Arc<Shared>,
}

/// What a verification found.
#[derive(Debug)]
pub struct Verdict {
    /// Whether the password is the stored one.
    pub matches: bool,
    /// When it is, and the stored hash is imported or of another cost: the hash to store in its place.
    pub rehash: Option<StoredHash>,
}

/// The queue is full, or the job was given up for one of another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many password hashes are waiting")]
pub struct Busy {
    /// When the present queue will have been worked off: 1 to 60 seconds.
    pub retry_after: Duration,
}

/// How long a thread keeps its memory without work.
const IDLE: Duration = Duration::from_secs(10);

/// The lowest priority there is (`setpriority(2)`): hashing gets what the network threads leave.
const NICE: i32 = 19;

/// What a hash is taken to need before one was measured.
const FIRST_GUESS: Duration = Duration::from_millis(20);

/// Room reserved for a thread's memory at least, in blocks of 1 KiB: above the 32 MiB up to which glibc learns to keep
/// freed blocks for itself. So every release really goes back to the system; what is not touched costs nothing.
const RESERVE: usize = 33 * 1024;

struct Shared {
    /// What a new hash costs from now on.
    cost: ArcSwap<HashCost>,
    threads: usize,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
    work: Condvar,
    counts: Arc<Hashing>,
    computed: AtomicU64,
    /// Running mean of the time of one hash of `cost`, microseconds; 0 before the first.
    hash_micros: AtomicU64,
    memory_blocks: AtomicUsize,
}

struct State {
    /// Each with the moment it was asked for.
    queue: FairQueue<(Instant, Job)>,
    closed: bool,
}

enum Job {
    Hash { password: Secret<String>, reply: oneshot::Sender<Result<StoredHash, Busy>> },
    Verify { password: Secret<String>, stored: Option<StoredHash>, reply: oneshot::Sender<Result<Verdict, Busy>> },
}

impl HashPool {
    /// Starts the threads. They end when the pool is dropped; a hash that is being computed then is finished first.
    ///
    /// # Panics
    /// When [`HashCost::check`] refuses the cost, or the system gives no threads: both only at the start of a server.
    pub fn start(settings: PoolSettings, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        Self::start_with(settings, entropy, IDLE)
    }

    fn start_with(settings: PoolSettings, entropy: Arc<dyn Entropy>, idle: Duration) -> Arc<Self> {
        settings.cost.check().expect("the configuration checks the hash cost");
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            some => some,
        };
        let shared = Arc::new(Shared {
            cost: ArcSwap::from_pointee(settings.cost),
            threads,
            entropy,
            state: Mutex::new(State { queue: FairQueue::new(settings.queue), closed: false }),
            work: Condvar::new(),
            counts: Arc::default(),
            computed: AtomicU64::new(0),
            hash_micros: AtomicU64::new(0),
            memory_blocks: AtomicUsize::new(0),
        });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || Worker { shared, memory: Vec::new(), counted: 0 }.run(idle))
                .expect("the system gives a starting server its threads");
        }
        Arc::new(Self { shared })
    }

    /// Hashes a new password, all of its bytes.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full for this client.
    pub async fn hash(&self, from: ClientGroup, password: Secret<String>) -> Result<StoredHash, Busy> {
        let (reply, answer) = oneshot::channel();
        self.submit(from, Job::Hash { password, reply });
        self.wait(answer).await
    }

    /// Checks a password against a stored hash; against `None`, does the same work and matches never.
    ///
    /// # Errors
    /// [`Busy`] when the queue is full for this client. Nothing was checked then: it is no failed attempt.
    pub async fn verify(
        &self,
        from: ClientGroup,
        password: Secret<String>,
        stored: Option<StoredHash>,
    ) -> Result<Verdict, Busy> {
        let (reply, answer) = oneshot::channel();
        self.submit(from, Job::Verify { password, stored, reply });
        self.wait(answer).await
    }

    /// What new hashes cost from now on; stored ones of another cost are replaced at the next sign-in. One that is
    /// being computed is finished at its own cost.
    ///
    /// # Errors
    /// When [`HashCost::check`] refuses it.
    pub fn set_cost(&self, cost: HashCost) -> Result<(), BadCost> {
        cost.check()?;
        if self.shared.cost() != cost {
            self.shared.cost.store(Arc::new(cost));
            self.shared.hash_micros.store(0, Relaxed);
        }
        Ok(())
    }

    /// How many hashes were computed since the start, dummies and replacements included.
    pub fn hashes_computed(&self) -> u64 {
        self.shared.computed.load(Relaxed)
    }

    /// Where waits and refusals are counted.
    pub fn counts(&self) -> &Arc<Hashing> {
        &self.shared.counts
    }

    /// The running mean of one hash of the present cost; `None` before the first.
    pub fn measured_hash_time(&self) -> Option<Duration> {
        Some(self.shared.hash_micros.load(Relaxed)).filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    /// How many threads hash.
    pub fn threads(&self) -> usize {
        self.shared.threads
    }

    /// How many jobs wait.
    pub fn queued(&self) -> usize {
        self.shared.state().queue.len()
    }

    /// Bytes of Argon2 memory the threads hold at present.
    pub fn memory_held(&self) -> usize {
        self.shared.memory_blocks.load(Relaxed) * Block::SIZE
    }

    fn submit(&self, from: ClientGroup, job: Job) {
        let pushed = self.shared.state().queue.push(from, (Instant::now(), job));
        self.shared.work.notify_one();
        match pushed {
            Pushed::Queued => {}
            Pushed::Displaced((_, job)) | Pushed::Refused((_, job)) => {
                self.shared.counts.refused.one();
                job.refuse(self.busy());
            }
        }
    }

    /// The reply is dropped unsent only when the job panicked; to the caller that is one more passing failure.
    async fn wait<T>(&self, answer: oneshot::Receiver<Result<T, Busy>>) -> Result<T, Busy> {
        answer.await.unwrap_or_else(|_| Err(self.busy()))
    }

    fn busy(&self) -> Busy {
        let jobs = u32::try_from(self.queued() + 1).unwrap_or(u32::MAX);
        let threads = u32::try_from(self.shared.threads).unwrap_or(u32::MAX);
        let wait = self.shared.hash_time().saturating_mul(jobs) / threads;
        Busy { retry_after: wait.clamp(Duration::from_secs(1), Duration::from_secs(60)) }
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.work.notify_all();
    }
}

impl std::fmt::Debug for HashPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashPool").field("cost", &self.shared.cost()).field("threads", &self.shared.threads).finish()
    }
}

impl Shared {
    /// Nothing panics while it holds the lock, and the queue is sound between any two of its operations.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cost(&self) -> HashCost {
        **self.cost.load()
    }

    fn hash_time(&self) -> Duration {
        match self.hash_micros.load(Relaxed) {
            0 => FIRST_GUESS,
            micros => Duration::from_micros(micros),
        }
    }

    fn measured(&self, took: Duration) {
        let new = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let old = self.hash_micros.load(Relaxed);
        let mean = if old == 0 { new } else { old - old / 8 + new / 8 };
        self.hash_micros.store(mean.max(1), Relaxed);
    }
}

impl Job {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Hash { reply, .. } => reply.is_closed(),
            Self::Verify { reply, .. } => reply.is_closed(),
        }
    }

    /// Whoever has gone needs no answer.
    fn refuse(self, busy: Busy) {
        match self {
            Self::Hash { reply, .. } => drop(reply.send(Err(busy))),
            Self::Verify { reply, .. } => drop(reply.send(Err(busy))),
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    memory: Vec<Block>,
    /// Blocks of it that are counted in `Shared::memory_blocks`: those it began with.
    counted: usize,
}

impl Worker {
    fn run(mut self, idle: Duration) {
        // On Linux the priority is the calling thread's own. Without it hashing is merely less polite.
        let _ = rustix::process::setpriority_process(None, NICE);
        while let Some(job) = self.next(idle) {
            // A panic ends this job only: its reply is dropped, and the memory it may have left half-written is
            // overwritten by the next hash before it is read.
            let _ = catch_unwind(AssertUnwindSafe(|| self.work(job)));
            self.shrink();
        }
        self.release();
    }

    /// The next job somebody still waits for; `None` when the pool is gone.
    fn next(&mut self, idle: Duration) -> Option<Job> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        loop {
            while let Some((since, job)) = state.queue.pop() {
                if !job.is_abandoned() {
                    shared.counts.waits.took(since.elapsed());
                    return Some(job);
                }
            }
            if state.closed {
                return None;
            }
            if self.memory.capacity() == 0 {
                state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, wait) = shared.work.wait_timeout(state, idle).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if wait.timed_out() && state.queue.len() == 0 {
                drop(state);
                self.release();
                state = shared.state();
            }
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Hash { password, reply } => {
                let hash = self.hash(password.expose().as_bytes());
                drop(reply.send(Ok(hash)));
            }
            Job::Verify { password, stored, reply } => {
                let verdict = self.verify(password.expose().as_bytes(), stored.as_ref());
                drop(reply.send(Ok(verdict)));
            }
        }
    }

    fn verify(&mut self, password: &[u8], stored: Option<&StoredHash>) -> Verdict {
        let Some(stored) = stored else {
            self.hash(password);
            return Verdict { matches: false, rehash: None };
        };
        let current = stored.is_current(self.shared.cost());
        let start = Instant::now();
        self.prepare();
        let matches = stored.matches(password, &mut self.memory);
        self.shared.computed.fetch_add(1, Relaxed);
        let took = start.elapsed();
        match (matches, current) {
            (_, true) => self.shared.measured(took),
            (true, false) => return Verdict { matches, rehash: Some(self.hash(password)) },
            (false, false) => self.fill_up(took, password),
        }
        Verdict { matches, rehash: None }
    }

    fn hash(&mut self, password: &[u8]) -> StoredHash {
        let mut salt = [0; 16];
        self.shared.entropy.fill(&mut salt);
        self.prepare();
        let start = Instant::now();
        let hash = StoredHash::compute(self.shared.cost(), salt, password, &mut self.memory);
        self.shared.measured(start.elapsed());
        self.shared.computed.fetch_add(1, Relaxed);
        hash
    }

    /// Works on for about as long as a hash of the configured cost would have taken beyond `took`: Argon2's time is
    /// proportional to its memory.
    fn fill_up(&mut self, took: Duration, password: &[u8]) {
        let whole = self.shared.hash_time();
        let missing = whole.saturating_sub(took).as_secs_f64() / whole.as_secs_f64();
        let cost = self.shared.cost();
        let memory_kib = (f64::from(cost.memory_kib) * missing).floor();
        // At most the configured memory, as `missing` is at most 1; a cast from float saturates.
        let part = HashCost { memory_kib: memory_kib as u32, ..cost };
        if part.check().is_ok() {
            StoredHash::compute(part, [0; 16], password, &mut self.memory);
        }
    }

    fn prepare(&mut self) {
        if self.memory.capacity() == 0 {
            let blocks = self.shared.cost().blocks();
            self.memory.reserve_exact(blocks.max(RESERVE));
            self.memory.resize(blocks, Block::new());
            self.counted = blocks;
            self.shared.memory_blocks.fetch_add(blocks, Relaxed);
        }
    }

    /// An imported hash of higher cost made the memory grow, or another cost holds now: give that back at once.
    fn shrink(&mut self) {
        if self.memory.len() > self.shared.cost().blocks() || self.memory.len() != self.counted {
            self.release();
        }
    }

    /// Wiped first, as it holds what was derived from passwords.
    fn release(&mut self) {
        if self.memory.capacity() > 0 {
            self.memory.iter_mut().for_each(Zeroize::zeroize);
            self.memory = Vec::new();
            self.shared.memory_blocks.fetch_sub(self.counted, Relaxed);
            self.counted = 0;
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
