//! Opening one redb file: its tables, its format version, and what redb's errors mean to us.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{Database, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition, TableError};

use super::StoreError;

/// All rows of a project.
pub(super) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keystead");

/// The rows as of one commit; holds that commit's pages as long as it lives.
pub(super) type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What the file is: one row, [`FORMAT_VERSION`] under `"version"`.
const FORMAT: TableDefinition<'_, &str, u64> = TableDefinition::new("keystead_format");
const VERSION_KEY: &str = "version";

/// How rows lie in the file. Raised when an older Keystead could misread it; `tests/formats` keeps a file of each.
pub(super) const FORMAT_VERSION: u64 = 1;

/// Opens what `backend` holds, writing the tables when it is `new`.
pub(super) fn open(
    backend: impl StorageBackend,
    cache_bytes: usize,
    new: bool,
) -> Result<(Database, Rows), StoreError> {
    // redb trusts a file that was closed cleanly and may panic on one that was altered since.
    catch_unwind(AssertUnwindSafe(|| {
        if !new && backend.len().map_err(|error| of_io(&error))? == 0 {
            return Err(StoreError::Corrupt("the file is empty; restore it from a backup".into()));
        }
        let db = redb::Builder::new().set_cache_size(cache_bytes).create_with_backend(backend).map_err(of_redb)?;
        if new {
            write_tables(&db).map_err(of_redb)?;
        }
        check_format(&db)?;
        let rows = latest(&db).map_err(of_redb)?;
        Ok((db, rows))
    }))
    .unwrap_or_else(|_| Err(StoreError::Corrupt("the file is damaged; restore it from a backup".into())))
}

/// The rows as of the last commit.
pub(super) fn latest(db: &Database) -> Result<Rows, redb::Error> {
    Ok(db.begin_read()?.open_table(ROWS)?)
}

fn write_tables(db: &Database) -> Result<(), redb::Error> {
    let mut change = db.begin_write()?;
    change.set_quick_repair(true);
    change.open_table(ROWS)?;
    change.open_table(FORMAT)?.insert(VERSION_KEY, FORMAT_VERSION)?;
    Ok(change.commit()?)
}

fn check_format(db: &Database) -> Result<(), StoreError> {
    let table = match db.begin_read().map_err(of_redb)?.open_table(FORMAT) {
        Ok(table) => table,
        Err(TableError::Storage(error)) => return Err(of_redb(error)),
        Err(_) => return Err(StoreError::Corrupt("this redb file was not written by Keystead".into())),
    };
    match table.get(VERSION_KEY).map_err(of_redb)?.map(|version| version.value()) {
        Some(FORMAT_VERSION) => Ok(()),
        Some(version) => Err(StoreError::Corrupt(format!(
            "the file has format {version}, this Keystead reads format {FORMAT_VERSION}: use a later Keystead"
        ))),
        None => Err(StoreError::Corrupt("the file names no format version; restore it from a backup".into())),
    }
}

/// What an error of redb means where nothing was changed yet.
pub(super) fn of_redb(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => of_io(&error),
        redb::Error::DatabaseClosed => StoreError::Closed,
        redb::Error::DatabaseAlreadyOpen => StoreError::Io("another process has the file open".into()),
        redb::Error::Corrupted(what) => {
            StoreError::Corrupt(format!("the file is damaged ({what}); restore it from a backup"))
        }
        redb::Error::UpgradeRequired(version) => {
            StoreError::Corrupt(format!("this redb file has the outdated file format {version}"))
        }
        error => StoreError::Io(error.to_string()),
    }
}

/// What an error of the operating system means where nothing was changed yet.
pub(super) fn of_io(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => StoreError::Full,
        // redb's word for bytes that are no redb file.
        io::ErrorKind::InvalidData => StoreError::Corrupt(format!("this is no redb file ({error})")),
        _ => StoreError::Io(error.to_string()),
    }
}

/// Whether `error` makes every later access through the same open file fail, so that it must be reopened.
pub(super) fn loses_file(error: &redb::StorageError) -> bool {
    !matches!(error, redb::StorageError::Corrupted(_) | redb::StorageError::ValueTooLarge(_))
}
