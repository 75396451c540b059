//! The data directory: made private, held by one process at a time, and where things lie in it.
//!
//! Only project files have a format with a number, and are upgraded (`store::upgrade`). What lies beside them needs none:
//! `catalog.json` and the marks (`UUID.redb.opened`) are made anew where they cannot be read; `tls/` and `acme/` hold PEM
//! and what is asked for anew; `master.key` is 32 bytes, and what they seal begins with a version of its own.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::StartError;

/// A data directory that this process holds.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// Locked; the kernel lets it go with the process, however that ends.
    _lock: File,
}

impl DataDir {
    /// Makes the directory (0700) when absent, and takes it for this process alone.
    ///
    /// # Errors
    /// `InUse` when another process holds it; `Exposed` when others may write to it.
    pub(super) fn take(path: &Path) -> Result<Self, StartError> {
        let at = |error| StartError::file(path, error);
        if !path.exists() {
            if let Some(parent) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(at)?;
            }
            DirBuilder::new().mode(0o700).create(path).map_err(at)?;
            // The umask may have taken bits away.
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(at)?;
        }
        let found = fs::metadata(path).map_err(at)?;
        if !found.is_dir() {
            return Err(StartError::NotADirectory(path.to_owned()));
        }
        if found.mode() & 0o077 != 0 {
            // It is ours to mend when we own it; where we do not, this fails and says so.
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(at)?;
        }
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| StartError::file(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StartError::InUse { data_dir: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(StartError::file(&lock_path, error)),
        }
    }

    /// The key that seals the projects' secrets.
    pub(super) fn master_key(&self) -> PathBuf {
        master_key(&self.path)
    }

    /// The project files.
    pub(super) fn projects(&self) -> PathBuf {
        projects(&self.path)
    }

    /// Which projects there are; made anew when absent.
    pub(super) fn catalog(&self) -> PathBuf {
        catalog(&self.path)
    }

    /// The local CA and certificate.
    pub(super) fn tls(&self) -> PathBuf {
        tls(&self.path)
    }

    /// What ACME servers gave.
    pub(super) fn acme(&self) -> PathBuf {
        acme(&self.path)
    }

    /// Where the command line finds the running server.
    pub(super) fn control(&self) -> PathBuf {
        self.path.join("control.sock")
    }
}

pub(super) fn master_key(dir: &Path) -> PathBuf {
    dir.join("master.key")
}

/// Whether no project's file lies in a directory, which need not exist.
pub(super) fn holds_nothing(dir: &Path) -> bool {
    let Ok(files) = fs::read_dir(projects(dir)) else { return true };
    !files.flatten().any(|file| file.path().extension().is_some_and(|end| end == "redb"))
}

pub(super) fn projects(dir: &Path) -> PathBuf {
    dir.join("projects")
}

pub(super) fn catalog(dir: &Path) -> PathBuf {
    dir.join("catalog.json")
}

pub(super) fn tls(dir: &Path) -> PathBuf {
    dir.join("tls")
}

pub(super) fn acme(dir: &Path) -> PathBuf {
    dir.join("acme")
}
