//! Rows of a table of users, out of CSV or JSON lines, one at a time. Columns are known by their usual names; others are
//! passed over.

use std::io::{BufRead, BufReader, Read};

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use super::Format;

/// The longest line of JSON: a picture and the rest.
const MAX_LINE: u64 = 4 << 20;

/// What the admin API calls a field, and what columns it may come from.
const COLUMNS: [(&str, &[&str]); 8] = [
    ("id", &["id", "user_id"]),
    ("email", &["email"]),
    ("password_hash", &["password_hash", "passwordhash", "password"]),
    ("display_name", &["name", "display_name", "displayname"]),
    ("role", &["role"]),
    ("avatar", &["avatar", "avatar_url"]),
    ("locale", &["preferred_locale", "preferredlocale", "locale"]),
    ("created_at", &["created_at", "createdat"]),
];

/// A row: where it stands, and the fields it has.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) fields: Map<String, Value>,
}

/// A row that cannot be read.
pub(super) struct WrongRow {
    /// The file it is in, where there are several.
    pub(super) file: Option<&'static str>,
    pub(super) line: u64,
    pub(super) reason: String,
    /// The disk failed: nothing that follows can be read either.
    pub(super) is_last: bool,
}

impl WrongRow {
    /// One that says nothing one could bring.
    pub(super) fn new(file: &'static str, line: u64, reason: &str) -> Self {
        Self { file: Some(file), line, reason: reason.to_owned(), is_last: false }
    }

    /// One that is not even a row.
    pub(super) fn of_csv(file: impl Into<Option<&'static str>>, error: &csv::Error, before: u64) -> Self {
        let line = error.position().map_or(before, csv::Position::line);
        let reason = match error.kind() {
            csv::ErrorKind::UnequalLengths { len, expected_len, .. } => {
                format!("it has {len} fields, the header {expected_len}")
            }
            csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
            _ => "it cannot be read".to_owned(),
        };
        Self { file: file.into(), line, reason, is_last: error.is_io_error() }
    }
}

/// The rows of a file.
pub(super) enum Rows<R> {
    Csv { reader: csv::Reader<R>, columns: Vec<Option<&'static str>> },
    Jsonl { reader: BufReader<R>, line: u64 },
}

impl<R: Read> Rows<R> {
    /// # Errors
    /// When there is no header, or no column of addresses.
    pub(super) fn open(file: R, format: Format) -> Result<Self> {
        match format {
            Format::Jsonl => Ok(Self::Jsonl { reader: BufReader::new(file), line: 0 }),
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new().from_reader(file);
                let columns: Vec<_> = reader.headers()?.iter().map(field_of).collect();
                if !columns.contains(&Some("email")) {
                    bail!("the first line names no column `email`");
                }
                Ok(Self::Csv { reader, columns })
            }
        }
    }

    /// The next row; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<Row, WrongRow>> {
        match self {
            Self::Csv { reader, columns } => next_csv(reader, columns),
            Self::Jsonl { reader, line } => loop {
                *line += 1;
                match next_json(reader, *line)? {
                    Ok(None) => {} // an empty line
                    Ok(Some(row)) => return Some(Ok(row)),
                    Err(wrong) => return Some(Err(wrong)),
                }
            },
        }
    }
}

fn next_csv<R: Read>(reader: &mut csv::Reader<R>, columns: &[Option<&'static str>]) -> Option<Result<Row, WrongRow>> {
    let mut record = csv::StringRecord::new();
    let before = reader.position().line();
    match reader.read_record(&mut record) {
        Ok(false) => None,
        Ok(true) => {
            let line = record.position().map_or(before, csv::Position::line);
            let named = columns.iter().zip(&record).filter_map(|(column, text)| Some(((*column)?, text)));
            // psql writes NULL as nothing.
            let fields = named.filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.to_owned(), text.into()));
            Some(Ok(Row { line, fields: fields.collect() }))
        }
        Err(error) => Some(Err(WrongRow::of_csv(None, &error, before))),
    }
}

fn next_json<R: Read>(reader: &mut BufReader<R>, line: u64) -> Option<Result<Option<Row>, WrongRow>> {
    let wrong = |reason: &str| Some(Err(WrongRow { file: None, line, reason: reason.to_owned(), is_last: false }));
    let mut bytes = Vec::new();
    match reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes) {
        Ok(0) => return None,
        Ok(_) => {}
        Err(error) => return Some(Err(WrongRow { file: None, line, reason: error.to_string(), is_last: true })),
    }
    if bytes.len() as u64 == MAX_LINE && bytes.last() != Some(&b'\n') {
        // The rest of the line is passed over, a piece at a time.
        let mut piece = Vec::new();
        while reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut piece).is_ok_and(|read| read > 0)
            && piece.last() != Some(&b'\n')
        {
            piece.clear();
        }
        return wrong("it is longer than 4 MiB");
    }
    if bytes.trim_ascii().is_empty() {
        return Some(Ok(None));
    }
    let Ok(Value::Object(object)) = serde_json::from_slice(&bytes) else { return wrong("it is no JSON object") };
    let mut fields = Map::new();
    for (name, value) in object {
        let Some(field) = field_of(&name) else { continue };
        match value {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => {
                fields.insert(field.to_owned(), text.into());
            }
            _ => return wrong(&format!("`{field}` is no text")),
        }
    }
    Some(Ok(Some(Row { line, fields })))
}

fn field_of(column: &str) -> Option<&'static str> {
    let column = column.trim().trim_start_matches('\u{feff}').to_ascii_lowercase();
    COLUMNS.iter().find(|(_, names)| names.contains(&column.as_str())).map(|(field, _)| *field)
}
