//! What the figures were measured on, and of what: without it a file of figures says nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::limits::cores;

/// The machine, as it names itself.
pub(crate) fn machine() -> Value {
    json!({
        "cores": cores(),
        "processor": field("/proc/cpuinfo", "model name"),
        "memory_kib": field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok()),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
        "architecture": std::env::consts::ARCH,
    })
}

/// The commit that was built; `None` outside a clone.
pub(crate) fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(Path::new(env!("CARGO_MANIFEST_DIR"))).args(arguments).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let clean = git(&["status", "--porcelain"])?.is_empty();
    Some(if clean { commit } else { format!("{commit}, and changes") })
}

/// The most memory this process ever had, MiB.
pub(crate) fn own_peak_mib() -> Option<f64> {
    field("/proc/self/status", "VmHWM")?.trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// The first value of that name in a file of `name: value` lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}
