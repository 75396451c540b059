//! Where in a user the value of a claim is: JSONPath (RFC 9535), also as the original product's configurations write it.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json_path::JsonPath;

/// A path into a user, read once.
///
/// `$.metadata.plan` may be written `metadata.plan`, `[*]` as `[]`, and a name in it may have characters that RFC 9535
/// wants in brackets, such as `metadata.my-plan`. A path that ends in `[]` and is of names alone looks through every
/// array on its way: `metadata.teams.id[]` is the list of the ids of all teams.
#[derive(Clone, Debug)]
pub struct ClaimPath(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// At most one value.
    One(JsonPath),
    /// A list of those there are; none at all without the value that is looked into.
    Many { all: JsonPath, within: JsonPath },
    /// The value behind these names, or the list of those of every element where there is an array.
    Through(Vec<String>),
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found<'a> {
    /// A value; not null.
    Value(Cow<'a, Value>),
    /// A list of values.
    List(Vec<&'a Value>),
}

impl ClaimPath {
    /// The longest path, in bytes.
    pub const LONGEST: usize = 255;

    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, for an operator. Only one `..` may be in it, and none in a filter, nor a `$` or a pattern:
    /// what a path finds must not be much more than there is, nor the work of finding it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written = Written::of(text).map_err(|reason| format!("is no JSONPath: {reason}"))?;
        let parsed = |path: &str| JsonPath::parse(path).map_err(|error| format!("is no JSONPath: {}", error.message()));
        let all = parsed(&written.path)?;
        Ok(Self(match (written.through, written.within) {
            (Some(names), _) if text.ends_with("[]") => Kind::Through(names),
            (_, Some(within)) => Kind::Many { all, within: parsed(&within)? },
            (_, None) => Kind::One(all),
        }))
    }

    /// What is there in `user`; `None` where nothing is, or null.
    pub(super) fn find<'a>(&self, user: &'a Value) -> Option<Found<'a>> {
        let value = |value: &'a Value| Some(Found::Value(Cow::Borrowed(value))).filter(|_| !value.is_null());
        match &self.0 {
            Kind::One(path) => value(path.query(user).first()?),
            Kind::Many { all, within } => {
                let found = all.query(user).all();
                let is_there = || within.query(user).first().is_some_and(|value| !value.is_null());
                (!found.is_empty() || is_there()).then_some(Found::List(found))
            }
            Kind::Through(names) => {
                let found = through(user, names);
                (!found.is_null()).then_some(Found::Value(Cow::Owned(found)))
            }
        }
    }
}

impl Serialize for Found<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(to),
            Self::List(values) => values.serialize(to),
        }
    }
}

fn through(value: &Value, names: &[String]) -> Value {
    let Some((name, rest)) = names.split_first() else { return value.clone() };
    match value {
        Value::Object(object) => object.get(name).map_or(Value::Null, |inner| through(inner, rest)),
        Value::Array(items) => items.iter().map(|item| through(item, names)).collect(),
        _ => Value::Null,
    }
}

/// A path as it stands in a configuration, taken apart far enough to be spelled as RFC 9535 wants it.
struct Written {
    /// The same in RFC 9535.
    path: String,
    /// What comes before the first piece that may find several values, if there is one.
    within: Option<String>,
    /// The names, when there is nothing but names and `[]`.
    through: Option<Vec<String>>,
}

/// How deep brackets may lie in brackets.
const DEEPEST: usize = 16;

impl Written {
    fn of(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > ClaimPath::LONGEST {
            return Err("it has 1 to 255 bytes");
        }
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut written = Self { path: "$".into(), within: None, through: Some(Vec::new()) };
        if rest.len() == text.len() && !rest.starts_with(['.', '[']) {
            rest = written.name(rest)?;
        }
        while !rest.is_empty() {
            rest = match rest.strip_prefix("..") {
                Some(_) if written.path.contains("..") => return Err("only one `..` may be in it"),
                Some(after) => {
                    written.is_many();
                    written.path.push_str("..");
                    match after {
                        _ if after.starts_with('[') => written.bracket(after)?,
                        _ => written.name(after)?,
                    }
                }
                None if rest.starts_with('[') => written.bracket(rest)?,
                None => written.name(rest.strip_prefix('.').ok_or("a name begins with `.`")?)?,
            };
        }
        Ok(written)
    }

    /// What has been read so far finds one value at most, what follows perhaps several.
    fn is_many(&mut self) {
        self.within.get_or_insert_with(|| self.path.clone());
        self.through = None;
    }

    /// Takes a name, or `*`; gives what follows it.
    fn name<'a>(&mut self, text: &'a str) -> Result<&'a str, &'static str> {
        let (name, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
        match name {
            "" => return Err("a name in it is empty"),
            "*" => {
                self.is_many();
                self.path.push_str("[*]");
            }
            _ if name.contains([']', '(', ')', '?', '*', '@', ',']) => {
                return Err("what is no name stands in brackets");
            }
            _ => {
                let escaped = name.replace('\\', r"\\").replace('\'', r"\'");
                self.path.push_str(&format!("['{escaped}']"));
                if let Some(names) = &mut self.through {
                    names.push(name.to_owned());
                }
            }
        }
        Ok(rest)
    }

    /// Takes what is in brackets; gives what follows them.
    fn bracket<'a>(&mut self, text: &'a str) -> Result<&'a str, &'static str> {
        let end = closing(text)?;
        let (inner, rest) = (text[1..end].trim(), &text[end + 1..]);
        if inner.is_empty() {
            // Names and `[]` may still turn out to be looked through.
            let names = self.through.take();
            self.is_many();
            self.through = names;
            self.path.push_str("[*]");
            return Ok(rest);
        }
        let is_name = inner.starts_with(['\'', '"']) && quoted(inner) == Some(inner.len());
        if !is_name && inner.parse::<i64>().is_err() {
            self.is_many();
        }
        self.through = None;
        self.path.push_str(&text[..=end]);
        Ok(rest)
    }
}

/// Where the bracket closes that `text` begins with.
fn closing(text: &str) -> Result<usize, &'static str> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(next) = text[at..].chars().next() {
        match next {
            '\'' | '"' => {
                at += quoted(&text[at..]).ok_or("a quote in it does not end")?;
                continue;
            }
            '.' if text[at..].starts_with("..") => return Err("no `..` may be in its brackets"),
            // Looked at again for each element, the whole user would make a filter's work grow with the square of them.
            '$' => return Err("no `$` may be in its brackets"),
            // A pattern from the user's metadata may be as costly as they like, for each element.
            'm' | 's' if ["match", "search"].iter().any(|name| is_call(&text[at..], name)) => {
                return Err("neither `match` nor `search` may be in its brackets");
            }
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err("its brackets lie too deep");
        }
        if depth == 0 {
            return if next == ']' { Ok(at) } else { Err("its brackets do not match") };
        }
        at += next.len_utf8();
    }
    Err("a bracket in it does not end")
}

/// Whether `text` begins with a call of this function.
fn is_call(text: &str, name: &str) -> bool {
    text.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('('))
}

/// The length of the quoted text that `text` begins with.
fn quoted(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next()?;
    while let Some((at, next)) = chars.next() {
        match next {
            '\\' => drop(chars.next()),
            _ if next == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(path: &str, user: &Value) -> Option<Value> {
        let path = ClaimPath::parse(path).unwrap_or_else(|reason| panic!("{path}: {reason}"));
        path.find(user).map(|found| serde_json::to_value(found).unwrap())
    }

    /// The table of the original's own tests, and what follows from it.
    #[test]
    fn paths_as_the_original_writes_them() {
        let user = json!({
            "m": {
                "k": "v", "l": ["a", "b", "c"], "l2": ["a"], "lm": [{"id": 1}, {"id": 2}, {"id": 3}],
                "ln": [[{"id": 1}, {"id": 2}], [{"id": 3}]], "none": [],
                "d": [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": "a"}],
            },
            "metadata": {"m1": 1, "my-plan": "pro", "a.b": 5, "null": null, "it's": 6, "x\\y": 7},
        });
        for (path, found) in [
            ("m", user["m"].clone()),
            ("m.k", json!("v")),
            ("$.m.k", json!("v")),
            ("$['m']['k']", json!("v")),
            (".m.k", json!("v")),
            ("['m'].k", json!("v")),
            ("m.l[2]", json!("c")),
            ("m.l[-1]", json!("c")),
            ("m.l[]", json!(["a", "b", "c"])),
            ("m.l[*]", json!(["a", "b", "c"])),
            ("m.l.*", json!(["a", "b", "c"])),
            ("m.l2[]", json!(["a"])),
            ("m.l2[*]", json!(["a"])),
            ("m.k[]", json!("v")),
            ("m.lm[].id", json!([1, 2, 3])),
            ("m.lm[*].id", json!([1, 2, 3])),
            ("m.lm.id[]", json!([1, 2, 3])),
            ("m.lm[].id[]", json!([1, 2, 3])),
            ("m.ln.id[]", json!([[1, 2], [3]])),
            ("m.d[?(@.v == 'a')].id", json!([1, 3])),
            ("m.d[?@.v=='a'].id", json!([1, 3])),
            ("m.d[?(@.v == ']')].id", json!([])),
            ("m.d[?@.v == '$' || @['match'] || @.search].id", json!([])),
            ("m.l[0:2]", json!(["a", "b"])),
            ("m.l[0,2]", json!(["a", "c"])),
            ("m['k','l2']", json!(["v", ["a"]])),
            ("m.none[]", json!([])),
            ("m.none[*].id", json!([])),
            ("m..id", json!([1, 2, 3, 1, 2, 3, 1, 2, 3])),
            ("$..m1", json!([1])),
            ("$", user.clone()),
            ("metadata.m1", json!(1)),
            ("metadata.my-plan", json!("pro")),
            ("metadata['a.b']", json!(5)),
            ("metadata[\"a.b\"]", json!(5)),
            ("metadata.it's", json!(6)),
            ("metadata.x\\y", json!(7)),
        ] {
            assert_eq!(at(path, &user), Some(found), "{path}");
        }
        for path in [
            "nonexistent.nonexistent",
            "nonexistent[*]",
            "nonexistent[]",
            "nonexistent[].id",
            "nonexistent[?@.a].id",
            "m.l[3]",
            "m.k.k",
            "metadata.null",
            "metadata.null[*]",
            "metadata.null[]",
        ] {
            assert_eq!(at(path, &user), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let deep = format!("a[?{}1==1{}]", "(".repeat(40), ")".repeat(40));
        for path in [
            "",
            ".",
            "..",
            "a.",
            "a..",
            "a...b",
            "..a..b",
            "a[?@..b]",
            "a[?@.b == $.c]",
            "a[?count($.a[*]) > 1]",
            "a[?match(@.b, @.c)]",
            "a[? search(@.b, 'c')]",
            "a[",
            "a]",
            "a[0",
            "a['b]",
            "a[(]",
            "a[0)",
            "a[b]",
            "a[?]",
            "a[?@.b ==]",
            "$a",
            "a[0]b",
            "a\u{1}",
            "a[01]",
            "a[9999999999999999999]",
            &deep,
            &"a".repeat(256),
        ] {
            assert!(ClaimPath::parse(path).is_err(), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}|[$.\\[\\]*?@'\"(),:a\\\\ =0-9-]{0,60}") {
            if let Ok(path) = ClaimPath::parse(&text) {
                let _ = path.find(&json!({"a": [{"a": 1}, null, [[]]], "": {"0": {}}}));
            }
        }
    }
}
