//! A hint beside the project files: which slug each has, so that a start need not open them all. Made anew when absent.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::env::Timestamp;

/// What the catalog knows of a project. Every field is as in the project's own file, and none changes there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name for people and configuration.
    pub slug: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The settings it was made with, as TOML.
    pub settings: Option<String>,
}

/// What the file says; nothing when it is absent or unreadable, for the project files say it too.
pub(crate) fn load(path: &Path) -> BTreeMap<Uuid, Entry> {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Replaces the file, unless it says so already.
pub(crate) fn save(path: &Path, entries: &BTreeMap<Uuid, Entry>) -> io::Result<()> {
    if load(path) == *entries && path.exists() {
        return Ok(());
    }
    let draft = path.with_extension("tmp");
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec_pretty(entries)?)?;
    // No sync: a torn or lost catalog is made anew.
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("catalog.json");
        let entry = Entry { slug: "shop".into(), created_at: Timestamp::from_secs(7), settings: None };
        let entries = BTreeMap::from([(Uuid::from_u128(9), entry)]);
        save(&path, &entries).expect("saved");
        assert_eq!(load(&path), entries);
        fs::write(&path, b"{\"torn").expect("written");
        assert!(load(&path).is_empty());
    }
}
