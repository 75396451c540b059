//! Reads merged layers key by key: each read names what it wants, gathers what is wrong and goes on with the default.
//!
//! A key is known because it is read. So the list of known keys, which unknown ones are held against, cannot differ
//! from what the settings use.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::value::{Dict, Value};

use super::Declared;
use super::file::{Lines, parse_toml};
use super::forms;
use super::layers::Origin;
use super::problem::Problem;
use super::suggest;

/// Keys the design has and this version does not, so that their reason is better than "unknown".
const LATER: [&str; 1] = ["providers"];

/// Why a key or value of [`LATER`] is refused.
pub(super) const LATER_REASON: &str = "arrives in a later version of Keystead";

/// Merged layers being read.
pub(super) struct Reader {
    figment: Figment,
    root: Value,
    known: BTreeSet<String>,
    /// Sections that may be absent or empty.
    maps: BTreeSet<String>,
    /// What was wrong so far.
    pub(super) problems: Vec<Problem>,
    /// Where systemd put the unit's credentials.
    pub(super) credentials: Option<PathBuf>,
    lines: Lines,
}

impl Reader {
    pub(super) fn new(declared: Declared) -> Self {
        let Declared { layers: figment, credentials, lines } = declared;
        let root = figment.find_value("").unwrap_or_else(|_| Value::from(Dict::new()));
        Self { figment, root, known: BTreeSet::new(), maps: BTreeSet::new(), problems: Vec::new(), credentials, lines }
    }

    /// Refuses the value at `path`, wherever it came from.
    pub(super) fn refuse(&mut self, path: &str, reason: impl Into<String>) {
        let source = self.source(path);
        self.problems.push(Problem { source, key: path.to_owned(), reason: reason.into() });
    }

    /// Where the value at `path` comes from, for people: a file with its line, a variable, a flag.
    pub(super) fn source(&self, path: &str) -> String {
        self.describe(&self.origin(path), path)
    }

    fn describe(&self, origin: &Origin, path: &str) -> String {
        match (origin, self.lines.get(path)) {
            (Origin::File(file), Some(line)) => format!("{}:{line}", file.display()),
            _ => origin.describe(path),
        }
    }

    /// Which layer the value at `path` comes from.
    pub(super) fn origin(&self, path: &str) -> Origin {
        self.root.find_ref(path).map_or(Origin::Default, |value| self.origin_of(value))
    }

    fn origin_of(&self, value: &Value) -> Origin {
        Origin::of(self.figment.get_metadata(value.tag()))
    }

    /// The names in the table at `path`.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        match self.root.find_ref(path) {
            Some(Value::Dict(_, dict)) => dict.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether there is a table at `path`.
    pub(super) fn is_table(&self, path: &str) -> bool {
        matches!(self.root.find_ref(path), Some(Value::Dict(..)))
    }

    /// Refuses the value at `path` as a whole, so that nothing in it is called unknown besides.
    pub(super) fn refuse_known(&mut self, path: &str, reason: impl Into<String>) {
        self.known.insert(path.to_owned());
        self.refuse(path, reason);
    }

    /// Says that there may be a section at `path`, which may hold nothing.
    pub(super) fn know_map(&mut self, path: &str) {
        self.maps.insert(path.to_owned());
    }

    /// Whether anything was said at `path`.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.root.find_ref(path).is_some()
    }

    /// Says that the key at `path` exists, and takes its value.
    pub(super) fn take(&mut self, path: &str) -> Option<(Value, Origin)> {
        self.known.insert(path.to_owned());
        let value = self.root.find_ref(path)?;
        Some((value.clone(), self.origin_of(value)))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, path: &str, default: bool) -> bool {
        let Some((value, origin)) = self.take(path) else { return default };
        let flag = match &value {
            Value::Bool(_, flag) => Some(*flag),
            Value::String(_, text) if origin.is_text() => text.parse().ok(),
            _ => None,
        };
        flag.unwrap_or_else(|| {
            self.refuse(path, format!("expects true or false, found {}", kind(&value)));
            default
        })
    }

    /// A whole number within `range`, in `unit` (empty: a count).
    pub(super) fn number<N>(&mut self, path: &str, default: N, range: RangeInclusive<u64>, unit: &str) -> N
    where
        N: TryFrom<u64>,
    {
        let Some((value, origin)) = self.take(path) else { return default };
        let number = match &value {
            Value::Num(_, number) => number.to_i128(),
            Value::String(_, text) if origin.is_text() => text.trim().parse::<i128>().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.refuse(path, format!("expects a whole number, found {}", kind(&value)));
            return default;
        };
        let within = u64::try_from(number).ok().filter(|n| range.contains(n)).and_then(|n| N::try_from(n).ok());
        within.unwrap_or_else(|| {
            let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
            self.refuse(path, format!("{number} is outside {} to {}{unit}", range.start(), range.end()));
            default
        })
    }

    /// A duration within `range`.
    pub(super) fn duration(&mut self, path: &str, default: Duration, range: RangeInclusive<Duration>) -> Duration {
        let parse = |text: &str| {
            let span = forms::duration(text)?;
            if range.contains(&span) {
                return Ok(span);
            }
            let spelled = [*range.start(), *range.end()].map(forms::spell_duration);
            Err(format!("{} is outside {} to {}", forms::spell_duration(span), spelled[0], spelled[1]))
        };
        self.text(path, parse).unwrap_or(default)
    }

    /// One of a few words; `true` and `false` may be among them.
    pub(super) fn choice<T: Copy>(&mut self, path: &str, default: T, words: &[(&str, T)]) -> T {
        let Some((value, _)) = self.take(path) else { return default };
        let text = match &value {
            Value::String(_, text) => Ok(text.clone()),
            Value::Bool(_, flag) if words.iter().any(|(word, _)| *word == flag.to_string()) => Ok(flag.to_string()),
            other => Err(format!("expects a text in quotes, found {}", kind(other))),
        };
        let chosen = text.and_then(|text| match words.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(*choice),
            None => Err(format!("{text:.40?} is none of the choices; {}", one_of(words))),
        });
        chosen.map_err(|reason| self.refuse(path, reason)).unwrap_or(default)
    }

    /// A text, parsed. `None`: absent or refused.
    pub(super) fn text<T>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (value, _) = self.take(path)?;
        let parsed = match &value {
            Value::String(_, text) => parse(text),
            other => Err(format!("expects a text in quotes, found {}", kind(other))),
        };
        parsed.map_err(|reason| self.refuse(path, reason)).ok()
    }

    /// A list of texts, each parsed; `None` when absent or all are refused. Twice the same is a mistake, as are more than `max`.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        path: &str,
        max: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let (value, origin) = self.take(path)?;
        let texts = match texts(&value, &origin) {
            Ok(texts) if texts.len() <= max => texts,
            Ok(texts) => {
                self.refuse(path, format!("holds {} entries; {max} are allowed", texts.len()));
                return None;
            }
            Err(reason) => {
                self.refuse(path, reason);
                return None;
            }
        };
        let before = self.problems.len();
        let mut list = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match parse(text) {
                Ok(item) if list.contains(&item) => {
                    self.refuse(path, format!("entry {} stands there twice", index + 1))
                }
                Ok(item) => list.push(item),
                Err(reason) => self.refuse(path, format!("entry {}: {reason}", index + 1)),
            }
        }
        // Those that are right count for what must hold between keys.
        (self.problems.len() == before || !list.is_empty()).then_some(list)
    }

    /// Refuses every key that was never read, under `prefix` (empty: everywhere).
    pub(super) fn refuse_unknown(&mut self, prefix: &str) {
        let mut found = Vec::new();
        if let Some(value) = self.root.find_ref(prefix) {
            self.walk(prefix, value, &mut found);
        }
        self.problems.append(&mut found);
    }

    fn walk(&self, path: &str, value: &Value, found: &mut Vec<Problem>) {
        if self.known.contains(path) {
            return;
        }
        let origin = self.origin_of(value);
        let is_section = path.is_empty() || self.is_section(path);
        let reason = match value {
            // An unknown table of a file is one mistake; each variable is one of its own.
            Value::Dict(_, dict) if is_section || origin == Origin::Environment => {
                return dict.iter().for_each(|(name, inner)| self.walk_into(path, name, inner, found));
            }
            _ if is_section => format!("expects a section ([{path}]), found {}", kind(value)),
            _ => self.unknown(path, &origin),
        };
        found.push(Problem { source: self.describe(&origin, path), key: path.to_owned(), reason });
    }

    fn walk_into(&self, path: &str, name: &str, inner: &Value, found: &mut Vec<Problem>) {
        let at = if path.is_empty() { String::new() } else { format!("{path}.") };
        if name.is_empty() || name.contains('.') {
            // A quoted key with a dot would look like a path.
            let key = format!("{at}{name:?}");
            let source = self.describe(&self.origin_of(inner), &key);
            found.push(Problem { source, key, reason: "unknown key".into() });
        } else {
            self.walk(&format!("{at}{name}"), inner, found);
        }
    }

    fn is_section(&self, path: &str) -> bool {
        let inside = format!("{path}.");
        self.maps.contains(path)
            || self.known.range(inside.clone()..).next().is_some_and(|known| known.starts_with(&inside))
    }

    fn unknown(&self, path: &str, origin: &Origin) -> String {
        if is_later(path) {
            return LATER_REASON.into();
        }
        let what = if *origin == Origin::Environment { "unknown variable" } else { "unknown key" };
        let known: Vec<&str> =
            self.known.iter().map(String::as_str).chain(self.maps.iter().map(String::as_str)).collect();
        match suggest::nearest(path, &known) {
            Some(known) if *origin == Origin::Environment => {
                format!("{what}; did you mean {}?", super::layers::variable(&known))
            }
            Some(known) => format!("{what}; did you mean `{known}`?"),
            None => what.into(),
        }
    }

    /// Every key that was read.
    #[cfg(test)]
    pub(super) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }
}

/// A list of texts; from the environment also comma-separated or as a TOML array.
fn texts(value: &Value, origin: &Origin) -> Result<Vec<String>, String> {
    let strings = |items: &[Value]| {
        let all: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        all.ok_or_else(|| "expects a list of texts in quotes".to_owned())
    };
    match value {
        Value::Array(_, items) => strings(items),
        // `[::1]:8443` begins like an array and is none.
        Value::String(_, text) if origin.is_text() && text.trim().starts_with('[') && text.trim().ends_with(']') => {
            match parse_toml(&format!("list = {text}"))?.get("list") {
                Some(Value::Array(_, items)) => strings(items),
                _ => Err("expects a list".into()),
            }
        }
        Value::String(_, text) if origin.is_text() => {
            Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        other => Err(format!("expects a list like [\"a\", \"b\"], found {}", kind(other))),
    }
}

/// Whether the design has the key and this version does not.
fn is_later(path: &str) -> bool {
    let inner = match path.strip_prefix("project.") {
        Some(rest) => rest.split_once('.').map_or("", |(_, inner)| inner),
        None => path,
    };
    LATER.iter().any(|later| inner == *later || inner.strip_prefix(later).is_some_and(|rest| rest.starts_with('.')))
}

fn one_of<T>(words: &[(&str, T)]) -> String {
    let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    format!("write {}", words.join(" or "))
}

/// What a value is, without saying it: it may be a secret in the wrong place.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a text",
        Value::Bool(..) => "true or false",
        Value::Num(_, number) if number.to_f64().is_some() => "a fraction",
        Value::Num(..) => "a number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a table",
        Value::Array(..) => "a list",
    }
}
