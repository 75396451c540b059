//! The raw form: TOML text as a tree of values, before anyone asks what they mean.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use figment::value::{Dict, Value};
use toml::de::{DeTable, DeValue};

/// A configuration is small; more is a mistake, and never read into memory.
const MAX_BYTES: u64 = 1024 * 1024;

/// TOML text as a tree. The reason names line and column and never quotes the text, which may hold secrets.
///
/// # Errors
/// What is wrong, when it is not TOML.
pub fn parse_toml(text: &str) -> Result<Dict, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().and_then(|span| text.get(..span.start)).map(|before| {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line}, column {column}: ")
        });
        format!("not TOML: {}{}", at.unwrap_or_default(), error.message())
    })?;
    Ok(dict(table))
}

/// The lines on which the keys of a file stand, by their paths.
pub(super) type Lines = BTreeMap<String, usize>;

/// A configuration file as a tree, and where its keys stand.
///
/// # Errors
/// What is wrong, when it cannot be read or is not TOML.
pub(super) fn read_toml(path: &Path) -> Result<(Dict, Lines), String> {
    let bytes = read_bounded(path, MAX_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    Ok((parse_toml(&text)?, lines(&text)))
}

fn lines(text: &str) -> Lines {
    // Offsets of line ends, so that a line is found without counting anew for every key.
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut lines = Lines::new();
    if let Ok(table) = DeTable::parse(text) {
        note_lines("", table.get_ref(), &ends, &mut lines);
    }
    lines
}

fn note_lines(at: &str, table: &DeTable<'_>, ends: &[usize], lines: &mut Lines) {
    for (key, value) in table {
        let path = if at.is_empty() { key.get_ref().to_string() } else { format!("{at}.{}", key.get_ref()) };
        if let DeValue::Table(inner) = value.get_ref() {
            note_lines(&path, inner, ends, lines);
        }
        lines.insert(path, 1 + ends.partition_point(|end| *end < key.span().start));
    }
}

/// A whole file of at most `max` bytes.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 > max => Err(format!("larger than {max} bytes")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(explain(&error)),
    }
}

/// An I/O error as an operator reads it.
pub(super) fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "the file may not be read by this user".into(),
        io::ErrorKind::IsADirectory => "that is a directory, not a file".into(),
        _ => format!("cannot be read: {error}"),
    }
}

fn dict(table: toml::Table) -> Dict {
    table.into_iter().map(|(key, value)| (key, raw(value))).collect()
}

fn raw(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::from(flag),
        // No key is a date; as text it fails with the reason of the key it stands at.
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(items) => Value::from(items.into_iter().map(raw).collect::<Vec<_>>()),
        toml::Value::Table(table) => Value::from(dict(table)),
    }
}
