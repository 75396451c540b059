//! Opening one redb file: its tables, its format version, and what redb's errors mean to us.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{Database, ReadOnlyTable, ReadableDatabase, StorageBackend, TableDefinition, TableError, WriteTransaction};

use super::StoreError;
use super::upgrade::{self, Step};

/// All rows of a project.
pub(super) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keystead");

/// The rows as of one commit; holds that commit's pages as long as it lives.
pub(super) type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What the file is: its format's number under `"version"`.
const FORMAT: TableDefinition<'_, &str, u64> = TableDefinition::new("keystead_format");
const VERSION_KEY: &str = "version";
/// The number by which a file is known again where it lies (see [`super::mark`]).
const MARK_KEY: &str = "mark";

/// Who can read it: the first version of Keystead that knows the format, as text under `"needs"`. Since format 2.
const PROGRAM: TableDefinition<'_, &str, &str> = TableDefinition::new("keystead_program");
const NEEDS_KEY: &str = "needs";

/// Makes a file of the present format, with this number, in what `backend` holds, which is empty.
pub(super) fn create(
    backend: impl StorageBackend,
    cache_bytes: usize,
    steps: &[Step],
    number: Option<u64>,
) -> Result<Database, StoreError> {
    guard(|| {
        let db = builder(cache_bytes).create_with_backend(backend).map_err(of_redb)?;
        let mut change = db.begin_write().map_err(of_redb)?;
        change.set_quick_repair(true);
        change.open_table(ROWS).map_err(of_redb)?;
        write_format(&change, steps)?;
        if let Some(number) = number {
            mark(&change, number)?;
        }
        change.commit().map_err(of_redb)?;
        Ok(db)
    })
}

/// Opens what `backend` holds, which has the present format.
pub(super) fn open(
    backend: impl StorageBackend,
    cache_bytes: usize,
    steps: &[Step],
) -> Result<(Database, Rows), StoreError> {
    let (db, format) = open_any(backend, cache_bytes, steps)?;
    if format != upgrade::present(steps) {
        return Err(StoreError::Corrupt(format!("the file has format {format} and was not upgraded")));
    }
    let rows = guard(|| latest(&db).map_err(of_redb))?;
    Ok((db, rows))
}

/// Opens what `backend` holds, of the present format or an earlier one, and answers which.
pub(super) fn open_any(
    backend: impl StorageBackend,
    cache_bytes: usize,
    steps: &[Step],
) -> Result<(Database, u64), StoreError> {
    guard(|| {
        refuse_empty(&backend)?;
        let db = builder(cache_bytes).create_with_backend(backend).map_err(of_redb)?;
        let format = format_of(&db, steps)?;
        Ok((db, format))
    })
}

/// Checks the checksum of every page of what `backend` holds, which is not to be written to the disk: a repair may be
/// tried. A file that was closed may be torn as well as another.
pub(super) fn check(backend: impl StorageBackend, cache_bytes: usize, steps: &[Step]) -> Result<(), StoreError> {
    guard(|| {
        refuse_empty(&backend)?;
        let db = builder(cache_bytes).set_check_integrity_on_open(true).create_with_backend(backend);
        let db = db.map_err(|error| match error {
            redb::DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                torn()
            }
            error => of_redb(error),
        })?;
        format_of(&db, steps).map(drop)
    })
    .map_err(|error| match error {
        StoreError::Corrupt(why) if why.starts_with(DAMAGED) => torn(),
        other => other,
    })
}

fn torn() -> StoreError {
    StoreError::Corrupt(
        "the file is torn: it was copied while a server wrote it, or damaged since. Copies of a server that runs are \
         made by `keystead backup`; bring back such a one, or a copy that was made while the server was stopped"
            .into(),
    )
}

fn refuse_empty(backend: &impl StorageBackend) -> Result<(), StoreError> {
    match backend.len().map_err(|error| of_io(&error))? {
        0 => Err(StoreError::Corrupt("the file is empty; restore it from a backup".into())),
        _ => Ok(()),
    }
}

/// The number in the file.
pub(super) fn number(db: &Database) -> Result<Option<u64>, StoreError> {
    let table = db.begin_read().map_err(of_redb)?.open_table(FORMAT).map_err(of_redb)?;
    Ok(table.get(MARK_KEY).map_err(of_redb)?.map(|number| number.value()))
}

/// Puts a number into a file that has none.
pub(super) fn write_number(db: &Database, number: u64) -> Result<(), StoreError> {
    let mut change = db.begin_write().map_err(of_redb)?;
    change.set_quick_repair(true);
    mark(&change, number)?;
    change.commit().map_err(of_redb)
}

/// Puts this number into the file in place of any other.
pub(super) fn mark(change: &WriteTransaction, number: u64) -> Result<(), StoreError> {
    change.open_table(FORMAT).map_err(of_redb)?.insert(MARK_KEY, number).map_err(of_redb)?;
    Ok(())
}

fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Answers what `step` does: redb trusts a file that was closed cleanly and may panic on one that was altered since.
pub(super) fn guard<T>(step: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|_| Err(StoreError::Corrupt(format!("{DAMAGED}; restore it from a backup"))))
}

/// Closes a file that cannot be used.
pub(super) fn let_go(db: Database) {
    // Why it cannot be is known; what else is wrong with it adds nothing.
    let _ = guard(|| db.close().map_err(of_redb));
}

/// How an error begins that speaks of a file of ours.
const DAMAGED: &str = "the file is damaged";

/// The rows as of the last commit.
pub(super) fn latest(db: &Database) -> Result<Rows, redb::Error> {
    Ok(db.begin_read()?.open_table(ROWS)?)
}

/// Says in the file that it has the present format.
pub(super) fn write_format(change: &WriteTransaction, steps: &[Step]) -> Result<(), StoreError> {
    let mut format = change.open_table(FORMAT).map_err(of_redb)?;
    format.insert(VERSION_KEY, upgrade::present(steps)).map_err(of_redb)?;
    if let Some(step) = steps.last() {
        change.open_table(PROGRAM).map_err(of_redb)?.insert(NEEDS_KEY, step.needs).map_err(of_redb)?;
    }
    Ok(())
}

/// The file's format, when `steps` lead from it to the present one.
fn format_of(db: &Database, steps: &[Step]) -> Result<u64, StoreError> {
    let read = db.begin_read().map_err(of_redb)?;
    let table = match read.open_table(FORMAT) {
        Ok(table) => table,
        Err(TableError::Storage(error)) => return Err(of_redb(error)),
        Err(_) => return Err(StoreError::Corrupt("this redb file was not written by Keystead".into())),
    };
    let present = upgrade::present(steps);
    match table.get(VERSION_KEY).map_err(of_redb)?.map(|version| version.value()) {
        Some(format) if (1..=present).contains(&format) => Ok(format),
        Some(format) => {
            // A later format may keep it elsewhere.
            let program = read.open_table(PROGRAM).ok().and_then(|texts| texts.get(NEEDS_KEY).ok().flatten());
            let needed = match program {
                Some(version) => format!("needs Keystead {} or later", version.value()),
                None => "needs a later Keystead".to_owned(),
            };
            Err(StoreError::Corrupt(format!(
                "the file has format {format}, which {needed}; this is Keystead {}, which reads formats up to {present}",
                env!("CARGO_PKG_VERSION")
            )))
        }
        None => Err(StoreError::Corrupt("the file names no format version; restore it from a backup".into())),
    }
}

/// What an error of redb means where nothing was changed yet.
pub(super) fn of_redb(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => of_io(&error),
        redb::Error::DatabaseClosed => StoreError::Closed,
        redb::Error::DatabaseAlreadyOpen => StoreError::Io("another process has the file open".into()),
        redb::Error::Corrupted(what) => StoreError::Corrupt(format!("{DAMAGED} ({what}); restore it from a backup")),
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
