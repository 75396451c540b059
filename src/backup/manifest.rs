//! What an archive says of itself, first and last.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The format that is written and read.
pub(super) const FORMAT: u32 = 1;
/// The names of entries.
pub(super) const HEAD: &str = "keystead-backup.json";
pub(super) const END: &str = "keystead-backup.end.json";
pub(super) const FAILED: &str = "keystead-backup.failed.json";
pub(super) const MASTER_KEY: &str = "master.key";

/// The first entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The format of the archive.
    pub format: u32,
    /// Which Keystead wrote it.
    pub keystead: String,
    /// The moment that all its projects are of, RFC 3339 in UTC.
    pub moment: String,
    /// Which projects there were, as they were known.
    pub projects: Vec<Named>,
    /// What is not in it.
    pub not_in_it: String,
}

/// A project by id and slug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its id.
    pub id: Uuid,
    /// Its slug.
    pub slug: String,
}

/// The last entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// SHA-256 of the first entry, hexadecimal.
    pub head_sha256: String,
    /// The project files, in their order.
    pub projects: Vec<FileEntry>,
}

/// A project file in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The project's id.
    pub id: Uuid,
    /// Its slug.
    pub slug: String,
    /// The entry's name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// How many rows it has.
    pub rows: u64,
    /// Where its audit trail ends: what `keystead audit verify --expect` takes.
    pub audit: Trail,
}

/// The end of an audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// The last entry's number.
    pub seq: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// All that a whole archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The first entry.
    #[serde(flatten)]
    pub head: Head,
    /// The project files: what the last entry says of them.
    pub files: Vec<FileEntry>,
    /// Whether the master key is in it.
    pub has_master_key: bool,
}

pub(super) fn file_name(id: Uuid) -> String {
    format!("projects/{id}.redb")
}
