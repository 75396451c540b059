//! From an earlier format of a file to the present one: at open, in one transaction, after a copy was put beside it.
//!
//! A crash or a fault at any moment leaves the file whole, in the earlier format or in the present one. The copy is what
//! an earlier Keystead can go on with; it stays until the operator removes it.

use std::ops::ControlFlow;
use std::time::Instant;

use redb::{Database, ReadableTable, Table};

use super::file;
use super::medium::{Direct, Medium};
use super::{Read, StoreError, StoreOptions, Visit, Write};

/// How a file gets from one format to the next. The first format is 1.
#[derive(Debug)]
pub struct Step {
    /// The format it leads to, one after the last.
    pub to: u64,
    /// The first version of Keystead that reads that format.
    pub needs: &'static str,
    /// Rewrites the rows. What it reads includes what it wrote; everything is kept together, or nothing when it fails. It
    /// holds no more than a bounded number of rows.
    pub run: fn(&mut dyn Write) -> Result<(), StoreError>,
}

/// The format that files have after all `steps`.
pub(super) fn present(steps: &[Step]) -> u64 {
    steps.last().map_or(1, |step| step.to)
}

/// Space beyond the copy and the rewritten rows: redb's own books.
const SPARE_BYTES: u64 = 4 << 20;

/// Upgrades `db`, which is what `medium` holds and has `format`, and answers it anew.
pub(super) fn run(
    medium: &dyn Medium,
    db: Database,
    format: u64,
    options: &StoreOptions,
) -> Result<Database, StoreError> {
    let io = |error: std::io::Error| file::of_io(&error);
    let begun = Instant::now();
    // A copy is made of a file that rests.
    file::guard(|| db.close().map_err(file::of_redb))?;
    let backend = medium.open().map_err(io)?;
    let bytes = backend.len().map_err(io)?;
    backend.close().map_err(io)?;
    check_space(medium, bytes, format)?;
    let kept = medium.keep_copy(format).map_err(io)?;
    let (db, _) = file::open_any(Direct(medium.open().map_err(io)?), options.cache_bytes, options.steps)?;
    if let Err(error) = file::guard(|| rewrite(&db, format, options.steps)) {
        file::let_go(db);
        return Err(error);
    }
    let took_ms = begun.elapsed().as_millis();
    let to = present(options.steps);
    tracing::info!(from = format, to, bytes, took_ms, kept, "upgraded a project file; what it was is kept beside it");
    Ok(db)
}

/// The copy is as long as the file, and so may be what a transaction rewrites.
fn check_space(medium: &dyn Medium, bytes: u64, format: u64) -> Result<(), StoreError> {
    let needed = 2 * bytes + SPARE_BYTES;
    match medium.free_bytes() {
        Some(free) if free < needed => Err(StoreError::Io(format!(
            "upgrading the file from format {format}, with a copy kept, needs {} MiB of free space and there are {}; \
             make room and try again (nothing was changed)",
            needed.div_ceil(1 << 20),
            free >> 20,
        ))),
        _ => Ok(()),
    }
}

fn rewrite(db: &Database, format: u64, steps: &[Step]) -> Result<(), StoreError> {
    let mut change = db.begin_write().map_err(file::of_redb)?;
    // As with every commit: reopening after a crash takes a millisecond, not a scan.
    change.set_quick_repair(true);
    {
        let mut rows = Rewriting(change.open_table(file::ROWS).map_err(file::of_redb)?);
        steps.iter().filter(|step| step.to > format).try_for_each(|step| (step.run)(&mut rows))?;
    }
    file::write_format(&change, steps)?;
    change.commit().map_err(file::of_redb)
}

/// All rows within the upgrade's transaction: redb keeps on disk what does not fit its cache.
struct Rewriting<'change>(Table<'change, &'static [u8], &'static [u8]>);

type Row<'a> = Result<(redb::AccessGuard<'a, &'static [u8]>, redb::AccessGuard<'a, &'static [u8]>), redb::StorageError>;

fn visit_all<'a>(rows: impl Iterator<Item = Row<'a>>, limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    for row in rows.take(limit) {
        let (key, value) = row.map_err(file::of_redb)?;
        if visit(key.value(), value.value()) == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

impl Read for Rewriting<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key).map_err(file::of_redb)?.map(|value| value.value().to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        visit_all(self.0.range::<&[u8]>(from..to).map_err(file::of_redb)?, limit, visit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        visit_all(self.0.range::<&[u8]>(from..to).map_err(file::of_redb)?.rev(), limit, visit)
    }
}

impl Write for Rewriting<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.0.insert(key, value).map_err(file::of_redb)?;
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.0.remove(key).map_err(file::of_redb)?;
        Ok(())
    }
}
