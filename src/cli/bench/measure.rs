//! Measures one cost in a hashing pool like the server's: the same code, threads and priority.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

use crate::crypto::{ClientGroup, HashCost, HashPool, PoolSettings, Secret};
use crate::env::Env;

/// Hashes of one thread at most; more make no figure better.
const MOST_EACH: u32 = 10_000;

/// What one cost gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) cost: HashCost,
    /// Threads that hashed at once.
    pub(super) threads: usize,
    /// Hashes a second, of all threads.
    pub(super) rate: f64,
    /// The share of its cores that hashing got, 0 to 1: the rest went to other processes.
    pub(super) share: f64,
}

impl Measured {
    /// How long one hash takes while all threads hash, milliseconds.
    pub(super) fn hash_ms(&self) -> f64 {
        self.threads as f64 * 1000.0 / self.rate
    }

    /// What all threads need at once, KiB.
    pub(super) fn memory_in_all_kib(&self) -> u64 {
        self.threads as u64 * u64::from(self.cost.memory_kib)
    }
}

/// Hashes for about `seconds`, after one hash of each thread that nobody counts: it pays for the memory's pages.
pub(super) async fn measure(cost: HashCost, threads: usize, seconds: u64, env: &Env) -> Result<Measured> {
    let queue = usize::MAX;
    let pool = HashPool::start(PoolSettings { cost, threads, queue }, Arc::clone(&env.entropy));
    let threads = pool.threads();
    hash(&pool, threads).await?;
    let once = hash(&pool, threads).await?;
    let each = Duration::from_secs(seconds).as_secs_f64() / once.as_secs_f64().max(f64::EPSILON);
    // As many for each thread: all begin and end together, so neither end of the span falls into a hash.
    let count = threads * (each as u32).clamp(2, MOST_EACH) as usize;
    let before = processor_time();
    let took = hash(&pool, count).await?.as_secs_f64();
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(threads);
    let share = (processor_time() - before) / (took * cores as f64);
    Ok(Measured { cost, threads, rate: count as f64 / took, share: share.min(1.0) })
}

/// What this process has used so far, seconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// How long `count` hashes take that are asked for at once.
async fn hash(pool: &Arc<HashPool>, count: usize) -> Result<Duration> {
    let begun = Instant::now();
    let mut hashes = JoinSet::new();
    for _ in 0..count {
        let pool = Arc::clone(pool);
        let password = Secret::new("correct horse battery staple".to_owned());
        hashes.spawn(async move { pool.hash(ClientGroup(0), password).await.map(drop) });
    }
    while let Some(done) = hashes.join_next().await {
        if !matches!(done, Ok(Ok(()))) {
            bail!("a hash was given up");
        }
    }
    Ok(begun.elapsed())
}

/// What memory there is for all processes, or for this container, KiB; `None` where the system does not say.
pub(super) fn memory_kib() -> Option<u64> {
    let read = |path| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| total_kib(&text));
    let container = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    machine.into_iter().chain(container.map(|bytes| bytes / 1024)).min()
}

/// `MemTotal` of proc_meminfo(5).
fn total_kib(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_system_s_words() {
        let text = "MemTotal:        8052828 kB\nMemFree:          410496 kB\n";
        assert_eq!(total_kib(text), Some(8_052_828));
        assert_eq!(total_kib("MemFree: 1 kB\n"), None);
    }
}
