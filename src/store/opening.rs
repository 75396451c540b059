//! From what lies on a disk to an open database: checked where it may be torn, upgraded where it is of an earlier format.

use std::time::Instant;

use redb::Database;

use super::file::{self, Rows};
use super::mark::Left;
use super::medium::{Detached, Direct, Medium};
use super::{StoreError, StoreOptions, upgrade};

/// A file that is ready to be used.
pub(super) struct Opened {
    pub(super) db: Database,
    pub(super) rows: Rows,
    /// The number it is marked with; `None` where that could not be.
    pub(super) number: Option<u64>,
}

/// Opens what `medium` holds. `made`: just now, so that there is nothing to check.
pub(super) fn open(medium: &dyn Medium, options: &StoreOptions, made: bool) -> Result<Opened, StoreError> {
    if !made && !is_as_left(medium, options) {
        check(medium, options)?;
    }
    let backend = medium.open().map_err(|error| file::of_io(&error))?;
    let (mut db, format) = file::open_any(Direct(backend), options.cache_bytes, options.steps)?;
    if format < upgrade::present(options.steps) {
        db = upgrade::run(medium, db, format, options)?;
    }
    let number = mark(medium, &db, options);
    match file::guard(|| file::latest(&db).map_err(file::of_redb)) {
        Ok(rows) => Ok(Opened { db, rows, number }),
        Err(error) => {
            file::let_go(db);
            Err(error)
        }
    }
}

/// Whether it is what the last process left here.
fn is_as_left(medium: &dyn Medium, options: &StoreOptions) -> bool {
    match medium.left() {
        Left::Closed => true,
        Left::Unknown => false,
        Left::Open(number) => {
            // Nothing is written while it is not known what it is.
            let look = || {
                let backend = medium.open().and_then(Detached::over).map_err(|error| file::of_io(&error))?;
                let (db, _) = file::open_any(backend, options.cache_bytes, options.steps)?;
                file::guard(|| file::number(&db))
            };
            look().is_ok_and(|found| found == Some(number))
        }
    }
}

/// Checks every page, without writing anything.
fn check(medium: &dyn Medium, options: &StoreOptions) -> Result<(), StoreError> {
    let begun = Instant::now();
    let backend = medium.open().and_then(Detached::over).map_err(|error| file::of_io(&error))?;
    file::check(backend, options.cache_bytes, options.steps)?;
    tracing::info!(took_ms = begun.elapsed().as_millis(), "checked every page of a project file that was brought here");
    Ok(())
}

/// Marks an open file as ours. Where that fails, it is checked again the next time: no reason not to use it.
fn mark(medium: &dyn Medium, db: &Database, options: &StoreOptions) -> Option<u64> {
    let marked = file::guard(|| {
        let number = match file::number(db)? {
            Some(number) => number,
            None => {
                let number = options.numbers.draw();
                file::write_number(db, number)?;
                number
            }
        };
        medium.note_open(number, false).map_err(|error| file::of_io(&error))?;
        Ok(number)
    });
    marked.inspect_err(|error| tracing::warn!(%error, "a project file could not be marked as ours")).ok()
}
