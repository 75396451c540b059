//! A key is described once, beside its field, and that description reads it, shows it and explains it.
//!
//! To add a key: give the section's struct a field with a doc comment (the text of the example configuration: write it
//! for an operator) and a default, and describe it in the section's [`Section::keys`], which says its form and bounds:
//!
//! ```text
//! keys.number("failures", &mut self.failures, 1..=100, "");
//! ```
//!
//! Then `keystead config example > packaging/keystead.toml`, and a row in the README's table. A key that an original
//! product had too also gets a row in `example::WAS`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use documented::DocumentedFields;
use toml::Value;

use super::forms::spell_duration;
use super::reader::Reader;
use super::settings::MasterKeySource;
pub(super) use super::spell::Spell;
use crate::crypto::Secret;

/// A part of the settings with keys of its own. A key has its field's name and its doc comment.
pub(super) trait Section: DocumentedFields {
    /// Describes every key, in the order in which they are explained, and says what must hold between them.
    fn keys(&mut self, keys: &mut Keys<'_>);
}

/// Whoever goes through the keys of a section.
pub(super) struct Keys<'a> {
    work: Work<'a>,
    /// The section's path with a `.` at its end; empty at the top.
    prefix: String,
    /// The same with `NAME` for the operator's own names.
    pattern: String,
    doc: fn(&str) -> &'static str,
}

enum Work<'a> {
    /// Puts into the fields what the layers say.
    Read(&'a mut Reader),
    /// Lists what the fields say.
    List(&'a mut Listing),
}

/// All keys of some settings, in order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) items: Vec<Item>,
    /// Maps that are empty are listed too, by an example.
    examples: bool,
    /// Within such an example.
    in_example: bool,
}

/// A heading or a key.
#[derive(Debug)]
pub(super) enum Item {
    /// The keys below it follow.
    Section {
        path: String,
        doc: &'static str,
        /// It is there for the example's sake only.
        unset: bool,
    },
    Key(Key),
}

/// A key as it stands in some settings.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) path: String,
    /// The path with `NAME` for the operator's own names.
    pub(super) pattern: String,
    pub(super) doc: &'static str,
    pub(super) value: Listed,
    /// Which values it may have: `1 to 100`, `"text" or "json"`; empty where the doc says all.
    pub(super) bounds: String,
    /// A value for whoever sees it for the first time, where none is set.
    pub(super) example: Value,
}

/// What a key is set to.
#[derive(Debug)]
pub(super) enum Listed {
    Unset,
    Plain(Value),
    Secret(Secret<String>),
    /// A secret that is not text.
    Bytes,
}

impl<'a> Keys<'a> {
    /// For reading the section at `prefix` into a `S`.
    pub(super) fn reading<S: Section>(reader: &'a mut Reader, prefix: &str) -> Self {
        Self { work: Work::Read(reader), prefix: prefix.to_owned(), pattern: String::new(), doc: doc_of::<S> }
    }

    fn listing<S: Section>(listing: &'a mut Listing, prefix: String, pattern: String) -> Self {
        Self { work: Work::List(listing), prefix, pattern, doc: doc_of::<S> }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str, field: &mut bool) {
        let path = self.path(name);
        match &mut self.work {
            Work::Read(reader) => *field = reader.flag(&path, *field),
            Work::List(_) => self.plain(name, Value::Boolean(*field), String::new()),
        }
    }

    /// A whole number within `range`, in `unit` (empty: a count).
    pub(super) fn number<N>(&mut self, name: &str, field: &mut N, range: RangeInclusive<u64>, unit: &str)
    where
        N: TryFrom<u64> + Copy,
        i64: TryFrom<N>,
    {
        let path = self.path(name);
        match &mut self.work {
            Work::Read(reader) => *field = reader.number(&path, *field, range, unit),
            Work::List(_) => {
                // Every bound lies below 2^63.
                let value = Value::Integer(i64::try_from(*field).unwrap_or(i64::MAX));
                let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
                self.plain(name, value, format!("{} to {}{unit}", range.start(), range.end()));
            }
        }
    }

    /// A duration within `range`.
    pub(super) fn duration(&mut self, name: &str, field: &mut Duration, range: RangeInclusive<Duration>) {
        let path = self.path(name);
        match &mut self.work {
            Work::Read(reader) => *field = reader.duration(&path, *field, range),
            Work::List(_) => {
                let bounds = format!("{} to {}", spell_duration(*range.start()), spell_duration(*range.end()));
                self.plain(name, Value::String(spell_duration(*field)), bounds);
            }
        }
    }

    /// One of a few words, which stand for all values there are. The words `true` and `false` are TOML's.
    pub(super) fn choice<T: Copy + PartialEq>(&mut self, name: &str, field: &mut T, words: &[(&str, T)]) {
        let path = self.path(name);
        match &mut self.work {
            Work::Read(reader) => *field = reader.choice(&path, *field, words),
            Work::List(_) => {
                let word = words.iter().find(|(_, value)| value == field).map_or("", |(word, _)| *word);
                let all: Vec<_> = words.iter().map(|(word, _)| word_value(word).to_string()).collect();
                // A doc comment that explains each word has named them.
                let explained = all.iter().all(|word| (self.doc)(name).contains(word));
                let bounds = match all.split_last() {
                    Some((last, others)) if !explained && !others.is_empty() => {
                        format!("{} or {last}", others.join(", "))
                    }
                    _ => String::new(),
                };
                self.plain(name, word_value(word), bounds);
            }
        }
    }

    /// A text that is always set.
    pub(super) fn text<T: Spell>(&mut self, name: &str, field: &mut T, parse: impl Fn(&str) -> Result<T, String>) {
        let path = self.path(name);
        match &mut self.work {
            Work::Read(reader) => {
                if let Some(value) = reader.text(&path, parse) {
                    *field = value;
                }
            }
            Work::List(_) => self.plain(name, Value::String(field.spell()), String::new()),
        }
    }

    /// A text that has no default and must be given wherever its section is.
    pub(super) fn required<T: Spell>(
        &mut self,
        name: &str,
        field: &mut T,
        parse: impl Fn(&str) -> Result<T, String>,
        example: &str,
    ) {
        let path = self.path(name);
        match &mut self.work {
            Work::Read(reader) => match reader.text(&path, parse) {
                Some(value) => *field = value,
                None if reader.is_set(&path) => {}
                None => {
                    let section = path.rsplit_once('.').map_or("the configuration", |(section, _)| section);
                    reader.refuse(&path, format!("is missing: `{section}` needs it"));
                }
            },
            Work::List(listing) if listing.in_example => self.unset(name, Value::String(example.to_owned())),
            Work::List(_) => self.plain(name, Value::String(field.spell()), String::new()),
        }
    }

    /// A text that need not be set. `example` is one that may be.
    pub(super) fn optional<T: Spell>(
        &mut self,
        name: &str,
        field: &mut Option<T>,
        parse: impl Fn(&str) -> Result<T, String>,
        example: &str,
    ) {
        let path = self.path(name);
        match (&mut self.work, &*field) {
            (Work::Read(reader), _) => {
                if let Some(value) = reader.text(&path, parse) {
                    *field = Some(value);
                }
            }
            (Work::List(_), Some(value)) => self.plain(name, Value::String(value.spell()), String::new()),
            (Work::List(_), None) => self.unset(name, Value::String(example.to_owned())),
        }
    }

    /// A list of at most `max` texts.
    pub(super) fn list<T: Spell + PartialEq>(
        &mut self,
        name: &str,
        field: &mut Vec<T>,
        max: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) {
        let path = self.path(name);
        match &mut self.work {
            Work::Read(reader) => {
                if let Some(list) = reader.list(&path, max, parse) {
                    *field = list;
                }
            }
            Work::List(_) => {
                let texts = field.iter().map(|item| Value::String(item.spell())).collect();
                self.plain(name, Value::Array(texts), String::new());
            }
        }
    }

    /// A secret: the key itself, `NAME_file`, or the systemd credential named like the key's path. `check` says what is
    /// wrong with it, without quoting it.
    pub(super) fn secret(
        &mut self,
        name: &str,
        field: &mut Option<Secret<String>>,
        check: impl Fn(&str) -> Result<(), String>,
    ) {
        let path = self.path(name);
        match (&mut self.work, &*field) {
            (Work::Read(reader), _) => {
                if let Some(secret) = reader.secret(&path, check) {
                    *field = Some(secret);
                }
            }
            (Work::List(_), Some(secret)) => self.hidden(name, Listed::Secret(secret.clone())),
            (Work::List(_), None) => self.no_secret(name),
        }
    }

    /// A secret that is kept as something else than its text: what `parse` makes of it.
    pub(super) fn secret_as<T>(
        &mut self,
        name: &str,
        field: &mut Option<T>,
        check: impl Fn(&str) -> Result<(), String>,
        parse: impl Fn(&str) -> T,
    ) {
        let path = self.path(name);
        match (&mut self.work, &*field) {
            (Work::Read(reader), _) => {
                if let Some(secret) = reader.secret(&path, check) {
                    *field = Some(parse(secret.expose()));
                }
            }
            (Work::List(_), Some(_)) => self.hidden(name, Listed::Bytes),
            (Work::List(_), None) => self.no_secret(name),
        }
    }

    /// The key `master_key_file` or the credential `master_key`: never inline.
    pub(super) fn master_key(&mut self, field: &mut Option<MasterKeySource>) {
        const NAME: &str = "master_key_file";
        let doc = (self.doc)("master_key");
        let example = Value::String("/etc/keystead/master.key".into());
        match (&mut self.work, &*field) {
            (Work::Read(reader), _) => *field = reader.master_key(),
            (Work::List(_), Some(MasterKeySource::File(file))) => {
                self.push(NAME, doc, Listed::Plain(Value::String(file.spell())), String::new(), example);
            }
            (Work::List(_), Some(MasterKeySource::Bytes(_))) => {
                self.push("master_key", doc, Listed::Bytes, String::new(), example);
            }
            (Work::List(_), None) => self.push(NAME, doc, Listed::Unset, String::new(), example),
        }
    }

    /// A section with keys of its own.
    pub(super) fn section<S: Section>(&mut self, name: &str, section: &mut S) {
        self.enter(name, name, false, section);
    }

    /// Sections of the operator's own naming below `name`, kept in the field called `of`. `named` makes an empty one,
    /// `check` judges its name; `example` names one.
    pub(super) fn map<S: Section>(
        &mut self,
        name: &str,
        of: &str,
        field: &mut BTreeMap<String, S>,
        named: impl Fn(&str) -> S,
        check: impl Fn(&str) -> Result<(), String>,
        example: &str,
    ) {
        let path = self.path(name);
        let found = match &mut self.work {
            Work::Read(reader) => {
                reader.know_map(&path);
                reader.names(&path)
            }
            Work::List(listing) if listing.examples && field.is_empty() => vec![example.to_owned()],
            Work::List(_) => field.keys().cloned().collect(),
        };
        for inner in found {
            let at = format!("{path}.{inner}");
            if let Work::Read(reader) = &mut self.work {
                let refused = match check(&inner) {
                    Ok(()) if reader.is_table(&at) => None,
                    Ok(()) => Some("expects a section, with keys in it".to_owned()),
                    // Refused as a quoted key: its path would mean another.
                    Err(_) if inner.is_empty() || inner.contains('.') => continue,
                    Err(reason) => Some(reason),
                };
                if let Some(reason) = refused {
                    reader.refuse_known(&at, reason);
                    continue;
                }
            }
            let unset = matches!(self.work, Work::List(_)) && !field.contains_key(&inner);
            let mut section = field.remove(&inner).unwrap_or_else(|| named(&inner));
            self.enter(&format!("{name}.{inner}"), of, unset, &mut section);
            field.insert(inner, section);
        }
    }

    /// Texts under names of the operator's own, at most `max`: `NAME = "TEXT"`. `check` judges both.
    pub(super) fn pairs(
        &mut self,
        name: &str,
        field: &mut BTreeMap<String, String>,
        max: usize,
        check: impl Fn(&str, &str) -> Result<(), String>,
        example: (&str, &str),
    ) {
        let path = self.path(name);
        let doc = (self.doc)(name);
        let pattern = format!("{}{name}.NAME", self.pattern);
        match &mut self.work {
            Work::Read(reader) => {
                reader.know_map(&path);
                for inner in reader.names(&path) {
                    if inner.is_empty() || inner.contains('.') {
                        // Refused as a quoted key: its path would mean another.
                        continue;
                    }
                    let check = |text: &str| check(&inner, text).map(|()| text.to_owned());
                    if let Some(text) = reader.text(&format!("{path}.{inner}"), check) {
                        field.insert(inner, text);
                    }
                }
                if field.len() > max {
                    reader.refuse(&path, format!("are more than {max}"));
                }
            }
            Work::List(listing) if field.is_empty() && !listing.examples => {}
            Work::List(listing) => {
                // In TOML a section of its own, with a key for each.
                let unset = field.is_empty() || listing.in_example;
                listing.items.push(Item::Section { path: path.clone(), doc, unset });
                let shown = if field.is_empty() { vec![example] } else { pairs_of(field) };
                for (inner, text) in shown {
                    let (path, pattern) = (format!("{path}.{inner}"), pattern.clone());
                    let example = Value::String(text.to_owned());
                    let value = if unset { Listed::Unset } else { Listed::Plain(example.clone()) };
                    let doc = "The name is yours.";
                    listing.items.push(Item::Key(Key { path, pattern, doc, value, bounds: String::new(), example }));
                }
            }
        }
    }

    /// Refuses the value of a key of this section, for what must hold between several.
    pub(super) fn refuse(&mut self, name: &str, reason: impl Into<String>) {
        let path = self.path(name);
        if let Work::Read(reader) = &mut self.work {
            reader.refuse(&path, reason);
        }
    }

    /// Whether the value of a key of this section was refused, so that what follows from it need not be said.
    pub(super) fn refused(&self, name: &str) -> bool {
        let path = self.path(name);
        match &self.work {
            Work::Read(reader) => reader.problems.iter().any(|problem| problem.key == path),
            Work::List(_) => false,
        }
    }

    fn enter<S: Section>(&mut self, name: &str, of: &str, unset: bool, section: &mut S) {
        let path = self.path(name);
        let doc = (self.doc)(of);
        let prefix = format!("{path}.");
        // An entry of a map has its name in the path, which the field does not.
        let own_name = if name.contains('.') { "NAME." } else { "" };
        let pattern = format!("{}{}.{own_name}", self.pattern, name.split('.').next().unwrap_or(name));
        match &mut self.work {
            Work::Read(reader) => section.keys(&mut Keys::reading::<S>(reader, &prefix)),
            Work::List(listing) => {
                let before = listing.in_example;
                listing.in_example |= unset;
                listing.items.push(Item::Section { path, doc, unset: listing.in_example });
                section.keys(&mut Keys::listing::<S>(listing, prefix, pattern));
                listing.in_example = before;
            }
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn plain(&mut self, name: &str, value: Value, bounds: String) {
        self.push(name, (self.doc)(name), Listed::Plain(value.clone()), bounds, value);
    }

    fn unset(&mut self, name: &str, example: Value) {
        self.push(name, (self.doc)(name), Listed::Unset, String::new(), example);
    }

    fn hidden(&mut self, name: &str, secret: Listed) {
        self.push(name, (self.doc)(name), secret, String::new(), Value::String(String::new()));
    }

    fn no_secret(&mut self, name: &str) {
        self.unset(name, Value::String("...".into()));
        let example = Value::String(format!("/etc/keystead/{}", self.path(name).replace(['.', '_'], "-")));
        self.push(&format!("{name}_file"), "The same, from a file.", Listed::Unset, String::new(), example);
    }

    fn push(&mut self, name: &str, doc: &'static str, value: Listed, bounds: String, example: Value) {
        let (path, pattern) = (self.path(name), format!("{}{name}", self.pattern));
        if let Work::List(listing) = &mut self.work {
            let value = if listing.in_example { Listed::Unset } else { value };
            listing.items.push(Item::Key(Key { path, pattern, doc, value, bounds, example }));
        }
    }
}

impl Listing {
    /// Every key of `section`, which stands at `prefix`.
    pub(super) fn of<S: Section>(section: &mut S, prefix: &str, examples: bool) -> Self {
        let mut listing = Self { items: Vec::new(), examples, in_example: false };
        section.keys(&mut Keys::listing::<S>(&mut listing, prefix.to_owned(), prefix.to_owned()));
        listing
    }

    /// The keys without headings.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.items.iter().filter_map(|item| match item {
            Item::Key(key) => Some(key),
            Item::Section { .. } => None,
        })
    }
}

fn pairs_of(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

fn word_value(word: &str) -> Value {
    word.parse().map_or_else(|_| Value::String(word.to_owned()), Value::Boolean)
}

fn doc_of<S: Section>(name: &str) -> &'static str {
    S::get_field_docs(name).expect("a key is named like its field, and every field has a doc comment")
}
