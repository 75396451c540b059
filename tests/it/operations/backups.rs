//! Backups that the server takes by itself, over days of a clock that moves: one when it is due, the oldest gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use keystead::config::{Overrides, load};
use keystead::testing::Server;

fn names(dir: &Path) -> Vec<String> {
    let all = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.expect("an entry").file_name());
    let mut all: Vec<String> = all.map(|name| name.to_string_lossy().into_owned()).collect();
    all.retain(|name| !name.ends_with(".part"));
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_a_day_and_the_last_three_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = dir.path().join("kept");
    let of = |path: &Path| path.to_str().expect("text").to_owned();
    let environment = BTreeMap::from(
        [
            ("KEYSTEAD_DATA_DIR", of(&dir.path().join("data"))),
            ("KEYSTEAD_BACKUP__DIR", of(&kept)),
            ("KEYSTEAD_BACKUP__KEEP", "3".to_owned()),
            ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:0".to_owned()),
            ("KEYSTEAD_HASHING__MEMORY_KIB", "8".to_owned()),
            ("KEYSTEAD_HASHING__ITERATIONS", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let server = Server::run(load(&Overrides::default(), &environment).expect("settings")).await;
    let mut seen: Vec<String> = Vec::new();
    for day in 0..6 {
        let last = loop {
            if let Some(last) = names(&kept).pop().filter(|last| seen.last() != Some(last)) {
                break last;
            }
            tokio::task::yield_now().await;
        };
        seen.push(last);
        while names(&kept).len() > 3 {
            tokio::task::yield_now().await;
        }
        let from = seen.len().saturating_sub(3);
        assert_eq!(names(&kept), seen[from..], "day {day}");
        server.clock().advance(Duration::from_secs(86_400));
    }
    server.stop().await;
}
