//! A configuration while it is put together: keys in sections, each with where it comes from. Our own reader judges it, and
//! what it refuses is taken out, so that what is left is a configuration.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use figment::Figment;
use toml::Value;

use super::super::file::parse_toml;
use super::super::layers::{Layer, Origin};
use super::super::problem::{Problem, Problems};
use super::super::reader::Reader;
use super::super::{Declared, resolve};
use super::Remark;
use crate::crypto::Secret;

/// How often it is judged: each time something goes, so this is never reached.
const ROUNDS: usize = 200;

/// Keys in sections, in the order of their sections' first keys.
#[derive(Default)]
pub(super) struct Sheet {
    sections: Vec<(String, Vec<Line>)>,
}

/// A line of a section.
enum Line {
    Comment(String),
    Key(Entry),
}

/// A key that is set.
pub(super) struct Entry {
    key: String,
    value: Value,
    /// The variable it comes from.
    from: String,
    /// What is said of it besides.
    why: String,
    is_secret: bool,
    /// What stands in its place when it is refused: a key that lets fewer in must not go, and let everyone in.
    closed: Option<&'static str>,
}

impl Entry {
    /// A key that stands for a variable.
    pub(super) fn new(key: &str, value: impl Into<Value>, from: &str) -> Self {
        let (key, from) = (key.to_owned(), from.to_owned());
        Self { key, value: value.into(), from, why: String::new(), is_secret: false, closed: None }
    }

    /// The same, with a word of explanation.
    pub(super) fn because(self, why: &str) -> Self {
        Self { why: why.to_owned(), ..self }
    }

    /// The same, as a secret.
    pub(super) fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// The same, which is this rather than not there.
    pub(super) fn or(self, closed: &'static str) -> Self {
        Self { closed: Some(closed), ..self }
    }
}

impl Sheet {
    /// Adds a key to a section.
    pub(super) fn set(&mut self, section: &str, entry: Entry) {
        self.section(section).push(Line::Key(entry));
    }

    /// Adds a comment to a section.
    pub(super) fn say(&mut self, section: &str, comment: &str) {
        self.section(section).push(Line::Comment(comment.to_owned()));
    }

    fn section(&mut self, name: &str) -> &mut Vec<Line> {
        let at = self.sections.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.sections.push((name.to_owned(), Vec::new()));
            self.sections.len() - 1
        });
        &mut self.sections[at].1
    }

    /// The paths of the keys that are secrets.
    pub(super) fn secrets(&self) -> Vec<String> {
        let of = |(section, lines): &(String, Vec<Line>)| {
            let keys = lines.iter().filter_map(Line::entry).filter(|entry| entry.is_secret);
            keys.map(|entry| format!("{section}.{}", entry.key)).collect::<Vec<_>>()
        };
        self.sections.iter().flat_map(of).collect()
    }

    /// Takes out what our reader refuses, and says of each why.
    ///
    /// # Errors
    /// When something is wrong that is none of its keys.
    pub(super) fn settle(&mut self, left: &mut Vec<Remark>) -> Result<(), Problems> {
        for _ in 0..ROUNDS {
            let problems = mistakes(self.toml().expose());
            if problems.is_empty() {
                return Ok(());
            }
            let before = left.len();
            let mut seen = BTreeSet::new();
            // Of several about one key, the first: what the others say is seen while it is dealt with.
            for problem in problems.iter().filter(|problem| seen.insert(problem.key.as_str())) {
                self.take_out(problem, left);
            }
            if left.len() == before {
                return Err(Problems(problems));
            }
        }
        Err(Problems::one("the configuration that came out", "", "its keys contradict each other"))
    }

    fn take_out(&mut self, problem: &Problem, left: &mut Vec<Remark>) {
        let keys = |section: &str, lines: &[Line]| {
            let paths = lines.iter().filter_map(Line::entry).map(|entry| format!("{section}.{}", entry.key));
            paths.collect::<Vec<_>>()
        };
        if !self.sections.iter().any(|(section, lines)| keys(section, lines).contains(&problem.key)) {
            // The section as a whole: it holds too much, or it lacks what was taken out of it.
            let parent = problem.key.rsplit_once('.').map_or("", |(parent, _)| parent);
            let is_it = |section: &str| section == problem.key || section == parent;
            for (_, lines) in self.sections.iter_mut().filter(|(section, _)| is_it(section)) {
                for entry in lines.drain(..).filter_map(Line::into_entry) {
                    left.push(Remark { name: entry.from, text: format!("{}: {}", entry.key, problem.reason) });
                }
            }
            return;
        }
        for (section, lines) in &mut self.sections {
            let is_it =
                |line: &Line| line.entry().is_some_and(|entry| format!("{section}.{}", entry.key) == problem.key);
            let Some(at) = lines.iter().position(is_it) else { continue };
            let Line::Key(entry) = &mut lines[at] else { continue };
            let mut say = |text: String| left.push(Remark { name: entry.from.clone(), text });
            if let Value::Array(items) = &mut entry.value {
                // The others of a list stay.
                let before = items.len();
                items.retain(|item| {
                    let alone = format!("[{section}]\n{} = {}\n", entry.key, Value::Array(vec![item.clone()]));
                    let wrong =
                        mistakes(&alone).into_iter().find(|problem| problem.key == format!("{section}.{}", entry.key));
                    if let Some(Problem { reason, .. }) = &wrong {
                        say(reason.clone());
                    }
                    wrong.is_none()
                });
                if !items.is_empty() && items.len() < before {
                    return;
                }
                if items.len() == before {
                    say(problem.reason.clone());
                }
            } else {
                say(problem.reason.clone());
            }
            match entry.closed.take() {
                Some(closed) => {
                    let closed_value = Value::String(closed.to_owned());
                    entry.value = match entry.value {
                        Value::Array(_) => Value::Array(vec![closed_value]),
                        _ => closed_value,
                    };
                    entry.why = "nothing of it could be carried over; without it, everything would be allowed".into();
                }
                None => {
                    lines.remove(at);
                }
            }
            return;
        }
    }

    /// The whole as TOML.
    pub(super) fn toml(&self) -> Secret<String> {
        let mut text = Secret::new(String::new());
        let out = text.expose_mut();
        for (section, lines) in self.sections.iter().filter(|(_, lines)| !lines.is_empty()) {
            let _ = writeln!(out, "\n[{section}]");
            for line in lines {
                match line {
                    Line::Comment(comment) => {
                        let _ = writeln!(out, "# {comment}");
                    }
                    Line::Key(entry) => {
                        let why = if entry.why.is_empty() { String::new() } else { format!(": {}", entry.why) };
                        let _ = writeln!(out, "# {}{why}\n{} = {}", entry.from, entry.key, entry.value);
                    }
                }
            }
        }
        text
    }
}

impl Line {
    fn into_entry(self) -> Option<Entry> {
        match self {
            Self::Key(entry) => Some(entry),
            Self::Comment(_) => None,
        }
    }

    fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Key(entry) => Some(entry),
            Self::Comment(_) => None,
        }
    }
}

/// Every mistake of a configuration that is this text and nothing else.
pub(super) fn mistakes(text: &str) -> Vec<Problem> {
    let source = "the configuration that came out";
    match parse_toml(text) {
        Ok(values) => {
            let layer = Layer { origin: Origin::File(PathBuf::from(source)), values };
            let layers = Figment::new().merge(layer);
            let mut reader = Reader::new(Declared { layers, ..Declared::default() });
            resolve::settings(&mut reader);
            reader.problems
        }
        Err(reason) => vec![Problem { source: source.into(), key: String::new(), reason }],
    }
}
