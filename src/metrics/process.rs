//! The process as the kernel sees it (proc(5)).

use std::fs;

/// Clock ticks in a second: fixed for `/proc` on Linux, whatever the kernel's own timer.
const TICKS: f64 = 100.0;

/// What one look at `/proc/self` gives; what cannot be read is left out.
#[derive(Debug, Default)]
pub(super) struct ProcessNow {
    /// Memory in RAM, bytes.
    pub(super) resident: Option<u64>,
    /// Open file descriptors.
    pub(super) descriptors: Option<u64>,
    /// The most that may be open.
    pub(super) most_descriptors: Option<u64>,
    /// CPU time used, seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Threads.
    pub(super) threads: Option<u64>,
}

impl ProcessNow {
    pub(super) fn look() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let (status, limits) = (read("status"), read("limits"));
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let most = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            resident: field("VmRSS:").map(|kib| kib * 1024),
            descriptors: fs::read_dir("/proc/self/fd").ok().map(|all| all.count() as u64),
            most_descriptors: most.and_then(|line| line.split_whitespace().next()?.parse().ok()),
            cpu_seconds: cpu_seconds(&read("stat")),
            threads: field("Threads:"),
        }
    }
}

/// `utime` and `stime`, fields 14 and 15; the name before them may hold anything, but ends with the last parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_looked_at() {
        let now = ProcessNow::look();
        assert!(now.resident.is_some_and(|bytes| bytes > 1 << 20));
        assert!(now.descriptors.is_some_and(|open| open > 2));
        assert!(now.most_descriptors > now.descriptors);
        assert!(now.threads.is_some_and(|threads| threads > 0) && now.cpu_seconds.is_some());
        assert_eq!(cpu_seconds("1 (a) b) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20"), Some(3.0));
        assert_eq!(cpu_seconds(""), None);
    }
}
