//! What the machine can do: the bare hash and the bare durable write, measured in the run they are compared with.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::Outcome;
use crate::process::{USER_HZ, pause, processor_secs};

/// Keystead's default cost (design, section 4): KiB, passes, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// How many cores this process may use, which is how many hashing threads the server starts.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Memory of one hash, in MiB.
pub(crate) fn hash_mib() -> f64 {
    f64::from(COST.0) / 1024.0
}

/// Who else used the cores: a run beside a compiler is not a measurement, and the report says so.
pub(crate) struct Neighbours {
    busy: f64,
    ours: f64,
    begun: Instant,
}

impl Neighbours {
    /// Begins to watch.
    pub(crate) fn watch() -> Outcome<Self> {
        Ok(Self { busy: busy_secs()?, ours: own_secs()?, begun: Instant::now() })
    }

    /// What others took of all cores since then, in percent. Counts children only once they have ended.
    pub(crate) fn percent(&self) -> Outcome<f64> {
        let others = (busy_secs()? - self.busy) - (own_secs()? - self.ours);
        Ok(100.0 * others.max(0.0) / (self.begun.elapsed().as_secs_f64() * cores() as f64))
    }
}

/// Seconds all cores were busy, time stolen by a hypervisor included (proc_stat(5); idle and iowait are fields 4 and 5).
fn busy_secs() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let fields = stat.lines().next().ok_or("an empty /proc/stat")?.split_whitespace().skip(1).take(8);
    Ok(fields
        .enumerate()
        .filter(|(index, _)| !matches!(index, 3 | 4))
        .flat_map(|(_, ticks)| ticks.parse::<f64>())
        .sum::<f64>()
        / USER_HZ)
}

/// Seconds this process and its ended children used (proc_pid_stat(5), fields 14 to 17).
fn own_secs() -> Outcome<f64> {
    processor_secs("self", 4)
}

/// Argon2id at the default cost with reused memory, one thread a core, for `span`: hashes a second.
pub(crate) fn bare_hash_rate(span: Duration) -> Outcome<f64> {
    let params = Params::new(COST.0, COST.1, COST.2, Some(32)).map_err(|error| error.to_string())?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let (hashes, open, over) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let warm = Barrier::new(cores() + 1);
    let window = thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                let mut memory = vec![Block::default(); params.block_count()];
                let mut hash = [0; 32];
                let mut once =
                    || hasher.hash_password_into_with_memory(b"a password", &[7; 16], &mut hash, &mut memory);
                // The first hash pays for the memory's pages.
                once().expect("the cost and the lengths are valid constants");
                warm.wait();
                while !over.load(Ordering::Relaxed) {
                    once().expect("the cost and the lengths are valid constants");
                    if open.load(Ordering::Relaxed) && !over.load(Ordering::Relaxed) {
                        hashes.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        warm.wait();
        // Hashes are counted when they end, so both edges of the window cut a hash in the same way.
        pause(span.mul_f64(0.1));
        open.store(true, Ordering::Relaxed);
        let opened = Instant::now();
        pause(span);
        over.store(true, Ordering::Relaxed);
        opened.elapsed()
    });
    Ok(hashes.load(Ordering::Relaxed) as f64 / window.as_secs_f64())
}

/// 4 KiB written in place `together` times and one `fdatasync`, again and again for `span`, in `dir`: calls of
/// `fdatasync` a second.
pub(crate) fn bare_write_rate(dir: &Path, together: u64, span: Duration) -> Outcome<f64> {
    let path = dir.join("bare-write");
    let file = File::options().create(true).truncate(true).write(true).open(&path)?;
    let page = [0x5a; 4096];
    // Every page exists beforehand: no write waits for the file's length.
    for index in 0..256 {
        file.write_all_at(&page, index * 4096)?;
    }
    file.sync_all()?;
    let begun = Instant::now();
    let mut calls: u64 = 0;
    while begun.elapsed() < span {
        for index in calls * together..(calls + 1) * together {
            file.write_all_at(&page, (index % 256) * 4096)?;
        }
        file.sync_data()?;
        calls += 1;
    }
    let rate = calls as f64 / begun.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}
