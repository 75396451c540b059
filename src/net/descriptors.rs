//! Descriptors: every connection and every open project file is one, and the system limits them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is left for others than connections: 64 project files, 64 control connections, and 32 for all that is open
/// once (listeners, logs, locks, the runtime's own).
const KEPT: usize = 64 + 64 + 32;

/// Allows this process as many descriptors as it may allow itself; the usual default is 1024, less than one for each
/// connection that is configured.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused: then connections are fewer, as `affordable_connections` says.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Of `wanted` connections as many as leave descriptors for everything else, so that a flood of connections never
/// keeps a project's file from being opened.
pub fn affordable_connections(wanted: usize) -> usize {
    // No limit at all is as good as a large one.
    let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX));
    within(wanted, limit)
}

fn within(wanted: usize, limit: usize) -> usize {
    wanted.min(limit.saturating_sub(KEPT).max(limit / 4)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room() {
        assert_eq!(within(1024, 20_000), 1024);
        assert_eq!(within(1024, usize::MAX), 1024);
        assert_eq!(within(1024, 1024), 864);
        assert_eq!(within(1024, 128), 32);
        assert_eq!(within(1024, 0), 1);
    }
}
