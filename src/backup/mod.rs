//! Backups: an archive of project files as of one moment, written as a stream, read as a stream, encrypted on the way.
//!
//! The archive is a tar, so that an operator can look into it with any tool. In this order it holds
//!
//! | entry | what |
//! |---|---|
//! | `master.key` | the master key, 32 bytes; only where the operator asked for it |
//! | `keystead-backup.json` | [`Head`]: format, version, moment, which projects |
//! | `projects/UUID.redb` | a project's file, one for each |
//! | `keystead-backup.end.json` | [`End`]: size, SHA-256, rows and end of the audit trail of each, SHA-256 of the first |
//!
//! Without the last entry an archive is cut off. A writer that fails half way says so in an entry
//! `keystead-backup.failed.json`, so that whoever reads the stream learns why.
//!
//! The TLS keys, the configuration and mail templates are not in it. Encryption is that of `age` (C2SP), around the whole.

mod encryption;
mod extract;
mod file;
mod make;
mod manifest;
mod pieces;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use crate::store::Stop;
pub use encryption::{Encrypting, Encryption, Keys, NotEncrypted, NotOpened, Opened, open};
pub use extract::extract;
pub use file::Draft;
pub use make::{NotMade, make, yield_to_others};
pub use manifest::{Contents, End, FileEntry, Head, Named, Trail};
pub use pieces::Pieces;
pub use read::{BadArchive, Part, peek_master_key, read};
pub use write::{Writer, master_key_entry};

/// What is never in a backup, for the operator to hear.
pub const NOT_IN_IT: &str = "the master key, TLS keys and certificates, the configuration, mail templates";
