//! A table as psql writes it: `\copy (select * from auth.users) to 'users.csv' with csv header`. Columns are known by
//! their names, in whatever order; NULL is nothing, and so is an empty text.

use std::io::Read;

use anyhow::{Context, Result, bail};
use csv::StringRecord;

use super::rows::WrongRow;

/// A table being read, row by row.
pub(super) struct Table<R> {
    reader: csv::Reader<R>,
    name: &'static str,
    columns: Vec<String>,
}

/// A row of it.
pub(super) struct Record<'a> {
    /// The line it begins on.
    pub(super) line: u64,
    columns: &'a [String],
    record: StringRecord,
}

impl<R: Read> Table<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When there is none, or it lacks a column that has to be there.
    pub(super) fn open(file: R, name: &'static str, needed: &[&str]) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().from_reader(file);
        let header = reader.headers().context(name)?;
        let columns: Vec<_> =
            header.iter().map(|column| column.trim().trim_start_matches('\u{feff}').to_ascii_lowercase()).collect();
        for column in needed {
            if !columns.iter().any(|known| known == column) {
                bail!("{name}: the first line names no column `{column}`");
            }
        }
        Ok(Self { reader, name, columns })
    }

    /// The next row; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<Record<'_>, WrongRow>> {
        let mut record = StringRecord::new();
        let before = self.reader.position().line();
        match self.reader.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                let line = record.position().map_or(before, csv::Position::line);
                Some(Ok(Record { line, columns: &self.columns, record }))
            }
            Err(error) => Some(Err(WrongRow::of_csv(self.name, &error, before))),
        }
    }
}

impl Record<'_> {
    /// What a column says; `None` for NULL, for an empty text, and where there is no such column.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|known| known == column)?;
        self.record.get(at).filter(|text| !text.is_empty())
    }

    /// What a column of a boolean says; `None` also for what is none.
    pub(super) fn flag(&self, column: &str) -> Option<bool> {
        match self.get(column)? {
            "t" | "true" | "TRUE" => Some(true),
            "f" | "false" | "FALSE" => Some(false),
            _ => None,
        }
    }
}
