//! Settings written back as the TOML that would make them, each value with where it came from; secrets stay unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use toml::{Table, Value};

use super::keys::{Item, Key, Listed, Listing};
use super::project_settings::ProjectSettings;
use super::reader::Reader;
use super::settings::Settings;

/// What stands in a secret's place.
const UNSEEN: &str = "[secret]";
/// Sources stand in one column, but for lines longer than this.
const COLUMN: usize = 64;

/// A key that has a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Dotted, from the top.
    pub key: String,
    /// A secret is `[secret]`.
    pub value: Value,
    /// Where it came from: `default`, a file and its line, a variable, a flag, a credential, or the project's own file.
    pub source: String,
}

impl Settings {
    /// Every key that has a value, defaults included, in the order of the example.
    pub fn shown(&self) -> Vec<Shown> {
        let reader = Reader::new(self.declared.clone());
        let listing = Listing::of(&mut self.clone(), "", false);
        let shown = |key: &Key| {
            let source = match key.value {
                Listed::Secret(_) | Listed::Bytes => reader.secret_source(&key.path),
                Listed::Plain(_) | Listed::Unset => reader.source(&key.path),
            };
            Some(Shown { key: key.path.clone(), value: value(key)?, source })
        };
        listing.keys().filter_map(shown).collect()
    }

    /// The keys whose values differ, secrets among them. A project that only one declares has defaults in the other.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let (mut mine, mut others) = (self.clone(), other.clone());
        for slug in self.projects.keys().chain(other.projects.keys()) {
            for settings in [&mut mine, &mut others] {
                let named = || ProjectSettings::named(slug);
                settings.projects.entry(slug.clone()).or_insert_with(named);
            }
        }
        let (mine, others) = (Listing::of(&mut mine, "", false), Listing::of(&mut others, "", false));
        let set = |listing: Listing| {
            let keys = listing.items.into_iter().filter_map(|item| match item {
                Item::Key(key) if !matches!(key.value, Listed::Unset) => Some((key.path, key.value)),
                Item::Key(_) | Item::Section { .. } => None,
            });
            keys.collect::<BTreeMap<String, Listed>>()
        };
        let (mine, others) = (set(mine), set(others));
        let differs = |path: &&String| match (mine.get(*path), others.get(*path)) {
            (Some(one), Some(other)) => !is_same(one, other),
            _ => true,
        };
        let all: BTreeSet<&String> = mine.keys().chain(others.keys()).collect();
        all.into_iter().filter(differs).cloned().collect()
    }
}

impl ProjectSettings {
    /// The project's settings in force as TOML, with keys as below `[project.SLUG]`; a secret is shown as `[secret]`.
    pub fn to_toml(&self) -> String {
        let mut table = Table::new();
        for key in Listing::of(&mut self.clone(), "", false).keys() {
            if let Some(value) = value(key) {
                insert(&mut table, &key.path, value);
            }
        }
        table.to_string()
    }
}

fn value(key: &Key) -> Option<Value> {
    match &key.value {
        Listed::Plain(value) => Some(value.clone()),
        Listed::Secret(_) | Listed::Bytes => Some(Value::String(UNSEEN.into())),
        Listed::Unset => None,
    }
}

fn is_same(one: &Listed, other: &Listed) -> bool {
    match (one, other) {
        (Listed::Plain(one), Listed::Plain(other)) => one == other,
        (Listed::Secret(one), Listed::Secret(other)) => one.expose() == other.expose(),
        (Listed::Bytes, Listed::Bytes) | (Listed::Unset, Listed::Unset) => true,
        _ => false,
    }
}

fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Settings as TOML, each value with a comment that says where it came from. The keys of a section stand together and before its subsections.
pub fn annotated(shown: &[Shown]) -> String {
    let split = |key: &str| match key.rsplit_once('.') {
        Some((section, name)) => (section.to_owned(), name.to_owned()),
        None => (String::new(), key.to_owned()),
    };
    let lines: Vec<_> = shown
        .iter()
        .map(|shown| {
            let (section, name) = split(&shown.key);
            (section, format!("{name} = {}", shown.value), &shown.source)
        })
        .collect();
    let widths = lines.iter().map(|(_, line, _)| line.chars().count()).filter(|width| *width <= COLUMN);
    let column = widths.max().unwrap_or(0);
    let mut text = String::new();
    let mut current = "";
    for (section, line, source) in &lines {
        if section != current {
            let _ = writeln!(text, "\n[{section}]");
            current = section;
        }
        let _ = writeln!(text, "{line:column$}  # from {source}");
    }
    text
}
