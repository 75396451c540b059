//! House rules that neither the compiler nor clippy can keep: who may name whom, what a file looks like, what lies where.
//!
//! It reads the sources as text and takes a fraction of a second. What it reports is complete: every breach at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, iter};

/// What each module may name, from the bottom up. Whoever wants to add an entry here changes the shape of the house.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("env", &[]),
    // Whatever counts names it, and it names nothing.
    ("metrics", &[]),
    ("store", &["metrics"]),
    ("crypto", &["env", "metrics"]),
    ("mail", &["crypto", "env", "net", "outbound"]),
    ("net", &["env", "metrics"]),
    ("outbound", &["crypto", "env"]),
    ("token", &["crypto", "env"]),
    ("data", &["crypto", "env", "store"]),
    // Settings are made of the values that the parts below take.
    ("config", &["crypto", "data", "mail", "net", "outbound", "token"]),
    // `config::ProjectSettings` is the policy of a project as plain values; `auth` reads it, and nothing else of config.
    ("auth", &["config", "crypto", "data", "env", "mail", "metrics", "outbound", "store", "token"]),
    // What a backup is made of are the projects that `auth` shows at one moment; nothing of it decides.
    ("backup", &["auth", "crypto", "env", "store"]),
    // `http` finds the dialect of a request, a dialect reads bodies and tokens with `http`: one layer, two folders.
    ("http", &["auth", "dialect", "env", "metrics", "net"]),
    ("dialect", &["auth", "crypto", "env", "http"]),
    // The operator's API sets projects up, and shows records as they are: hence `config` and the types of `data`.
    ("admin", &["auth", "backup", "config", "crypto", "data", "env", "http", "mail", "net"]),
    (
        "app",
        &[
            "admin", "auth", "backup", "config", "crypto", "data", "dialect", "env", "http", "mail", "metrics", "net",
            "outbound", "store", "token",
        ],
    ),
    ("testing", &["admin", "app", "auth", "config", "crypto", "data", "env", "mail", "store"]),
    (
        "cli",
        &[
            "admin", "app", "auth", "backup", "config", "crypto", "dialect", "env", "http", "mail", "metrics", "net",
            "outbound", "testing",
        ],
    ),
];

/// Crates that only these modules may name.
const CRATES_OF: &[(&str, &[&str])] = &[
    ("anyhow", &["cli"]),
    ("age", &["backup", "config"]),
    ("tar", &["backup"]),
    ("clap", &["cli"]),
    ("figment", &["config"]),
    // In `testing` lies a disk that fails, under stores and whole servers.
    ("redb", &["store", "testing"]),
    ("axum", &["net", "http", "dialect", "admin", "app", "cli"]),
    ("hyper", &["net", "app", "cli"]),
    ("hyper_util", &["net", "app", "cli"]),
    ("http", &["net", "http", "dialect", "admin", "app", "cli", "config"]),
    ("instant_acme", &["app"]),
    ("reqwest", &["app", "outbound"]),
    ("http_body_util", &["net", "http", "dialect", "admin", "app", "cli"]),
    ("listenfd", &["net"]),
    ("prometheus_client", &["metrics"]),
    ("rustls", &["net", "outbound"]),
];

/// All that lies at the top, besides what `.gitignore` names.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".config",
    ".git",
    ".github",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "fuzz",
    "packaging",
    "src",
    "tests",
];

/// Lines a file may have without saying why.
const LONG: usize = 500;

/// Said once, so that this file keeps its own rules.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
];
const SLEEP: &str = concat!("sle", "ep(");

#[test]
fn a_module_names_only_what_lies_below_it() {
    let allowed: BTreeMap<_, _> = MAY_NAME.iter().copied().collect();
    let mut breaches = Breaches::default();
    for file in rust_files().iter().filter(|file| file.path.starts_with("src/") && !file.is_test()) {
        let Some(module) = file.module() else { continue };
        let Some(may) = allowed.get(module) else {
            breaches.add(&file.path, 1, format!("the module `{module}` has no place in MAY_NAME"));
            continue;
        };
        for (line, text) in file.code_lines() {
            for named in ours_named(text, file.depth()) {
                if allowed.contains_key(named) && named != module && !may.contains(&named) {
                    breaches.add(&file.path, line, format!("`{module}` names `{named}`"));
                }
            }
        }
    }
    breaches.none();
}

#[test]
fn imports_in_braces_do_not_slip_through() {
    // `use crate::{a, b};` would hide names from the test above; one path a line is the style here anyway.
    let mut breaches = Breaches::default();
    for file in rust_files() {
        for (line, text) in file.code_lines() {
            if ["crate::{", "crate::*", "keystead::*"].iter().any(|form| text.contains(form)) {
                breaches.add(&file.path, line, "name each module of the crate on a line of its own");
            }
        }
    }
    breaches.none();
}

#[test]
fn a_dialect_names_no_other_dialect() {
    let files = rust_files();
    let dialect_of =
        |file: &File| file.path.strip_prefix("src/dialect/")?.split_once('/').map(|(name, _)| name.to_owned());
    let dialects: BTreeSet<String> = files.iter().filter_map(&dialect_of).collect();
    let mut breaches = Breaches::default();
    for file in &files {
        let Some(own) = dialect_of(file) else { continue };
        for (line, text) in file.code_lines() {
            for other in dialects.iter().filter(|other| **other != own) {
                if words(text).any(|word| word == other) {
                    breaches.add(&file.path, line, format!("the dialect `{own}` names `{other}`"));
                }
            }
        }
    }
    breaches.none();
}

#[test]
fn a_crate_is_named_where_it_belongs() {
    let mut breaches = Breaches::default();
    for file in rust_files().iter().filter(|file| file.path.starts_with("src/") && !file.is_test()) {
        let Some(module) = file.module() else { continue };
        for (line, text) in file.code_lines() {
            for (name, modules) in CRATES_OF {
                if names_crate(text, name) && !modules.contains(&module) {
                    breaches.add(&file.path, line, format!("`{module}` names the crate `{name}`"));
                }
            }
        }
    }
    breaches.none();
}

#[test]
fn a_file_says_why_it_exists_and_why_it_is_long() {
    let mut breaches = Breaches::default();
    for file in rust_files() {
        if !file.text.starts_with("//! ") {
            breaches.add(&file.path, 1, "the first line says why the file exists: `//! ...`");
        }
        let lines = file.text.lines().count();
        if lines > LONG && !file.text.lines().any(|line| line.starts_with("//! Long because ")) {
            breaches.add(&file.path, lines, format!("more than {LONG} lines without `//! Long because ...`"));
        }
    }
    breaches.none();
}

#[test]
fn nothing_is_unfinished_and_no_test_waits_for_time() {
    let mut breaches = Breaches::default();
    for file in text_files() {
        for (line, text) in numbered(&file.text) {
            for mark in UNFINISHED.iter().filter(|mark| text.contains(**mark)) {
                breaches.add(&file.path, line, format!("`{mark}`"));
            }
        }
        // The load generator keeps a schedule; that is what it measures.
        if file.path.ends_with(".rs") && !file.path.starts_with("tests/bench/") {
            for (line, text) in file.test_lines().filter(|(_, text)| text.contains(SLEEP)) {
                breaches.add(&file.path, line, format!("a test waits for an event, not for time: {}", text.trim()));
            }
        }
    }
    breaches.none();
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let homes = ["ho", "Us", "ro", "wo", "tm"].into_iter().zip(["me", "ers", "ot", "rk", "p"]);
    let homes: Vec<String> = homes.map(|(a, b)| format!("/{a}{b}/")).collect();
    let mut breaches = Breaches::default();
    for file in text_files().iter().filter(|file| file.path != "Cargo.lock") {
        for (line, text) in numbered(&file.text) {
            for home in homes.iter().filter(|home| text.contains(home.as_str())) {
                breaches.add(&file.path, line, format!("a path that only one machine has: {home}"));
            }
            for document in text.split(|c: char| !c.is_ascii_alphanumeric() && !"._-/".contains(c)) {
                let document = document.trim_start_matches('/');
                let here = || Path::new(&file.path).parent().map(|folder| root().join(folder).join(document).exists());
                if document.len() > 3
                    && document.ends_with(".md")
                    && !root().join(document).exists()
                    && here() != Some(true)
                {
                    breaches.add(&file.path, line, format!("{document} is not in this repository"));
                }
            }
        }
    }
    breaches.none();
}

#[test]
fn the_top_level_holds_nothing_else() {
    let ignored = fs::read_to_string(root().join(".gitignore")).expect(".gitignore");
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let mut breaches = Breaches::default();
    for entry in fs::read_dir(root()).expect("the top level") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if !TOP.contains(&name.as_str()) && !ignored.contains(&name.as_str()) {
            breaches.add(&name, 0, "does not belong to the top level");
        }
    }
    breaches.none();
}

#[test]
fn every_dependency_has_its_reason() {
    let mut breaches = Breaches::default();
    for path in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let text = fs::read_to_string(root().join(path)).expect("a manifest");
        let mut section = "";
        for (line, text) in numbered(&text) {
            if let Some(name) = text.strip_prefix('[') {
                section = name.trim_end_matches(']');
                if section == "features" {
                    breaches.add(path, line, "cargo features: there is one program");
                }
            } else if section.ends_with("dependencies") && text.contains('=') && !text.starts_with('#') {
                let reason = text.rsplit_once(" # ").map_or("", |(_, reason)| reason);
                if reason.len() < 8 {
                    breaches.add(path, line, format!("a dependency without its reason beside it: {text}"));
                }
            }
        }
    }
    breaches.none();
}

/// A target that is listed nowhere is not looked for when a parser is changed; one without inputs begins with nothing.
#[test]
fn every_fuzz_target_is_listed_and_has_inputs() {
    let fuzz = root().join("fuzz");
    let read = |path: &str| fs::read_to_string(fuzz.join(path)).expect("a text");
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz.join(folder)).expect("a folder").map(|entry| entry.expect("an entry"));
        entries.map(|entry| entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned()).collect()
    };
    let manifest = read("Cargo.toml");
    let targets = manifest.lines().skip_while(|line| *line != "[[bin]]");
    let targets = targets.filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let targets: BTreeSet<String> = targets.map(str::to_owned).collect();
    // The last column of the table.
    let table = read("src/lib.rs");
    let listed = table.lines().filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix("` |")?.rsplit_once('`'));
    let listed = listed.map(|(_, target)| target.to_owned()).collect();
    let mut breaches = Breaches::default();
    for (place, there) in
        [("fuzz/src/lib.rs", listed), ("fuzz/fuzz_targets", names("fuzz_targets")), ("fuzz/corpus", names("corpus"))]
    {
        for name in targets.symmetric_difference(&there) {
            breaches.add(place, 0, format!("`{name}` is here or in fuzz/Cargo.toml, and belongs into both"));
        }
    }
    for name in names("dictionaries").difference(&targets) {
        breaches.add("fuzz/dictionaries", 0, format!("words for no target: {name}"));
    }
    breaches.none();
}

#[test]
fn the_reader_of_sources_reads_what_counts() {
    let text = "use a::b; // crate::c\n/* crate::d\n */ let x = \"crate::e \\\" \"; let r = r#\"crate::f\"#; let c = '\"'; crate::g::h(); 'x: loop {}\n";
    let code = code_of(text);
    assert_eq!(code.lines().count(), text.lines().count());
    assert_eq!(code.lines().flat_map(|line| ours_named(line, 2)).collect::<Vec<_>>(), ["g"]);
    assert_eq!(ours_named("super::super::data::x(); super::auth::y()", 2).collect::<Vec<_>>(), ["data"]);
    assert_eq!(ours_named("use super::data;", 1).collect::<Vec<_>>(), ["data"]);
    assert!(names_crate("use http::Uri;", "http") && names_crate("fn f(x: &http::Uri)", "http"));
    assert!(!names_crate("use crate::http::bearer;", "http") && !names_crate("axum::http::Uri", "http"));
}

/// A file and what is to be read of it.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
    /// The same lines without comments and the insides of strings; empty for other languages.
    code: String,
}

impl File {
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.starts_with("tests/") || self.path.contains("/tests/") || name.ends_with("tests.rs")
    }

    /// Its top-level module; none for the crate's two roots.
    fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let first = rest.split('/').next()?;
        (!matches!(rest, "lib" | "main")).then_some(first)
    }

    /// How many `super::` lead to the crate's root.
    fn depth(&self) -> usize {
        self.path.split('/').count() - 1 - usize::from(self.path.ends_with("/mod.rs"))
    }

    /// The line where the unit tests of a source file begin.
    fn tests_begin(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let at = lines
            .windows(2)
            .position(|two| two[0] == "#[cfg(test)]" && two[1].starts_with("mod ") && two[1].ends_with('{'));
        match at {
            _ if self.is_test() => 0,
            Some(at) => at,
            None => lines.len(),
        }
    }

    /// Numbered lines of code that is no test; for tests all lines.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() { usize::MAX } else { self.tests_begin() };
        numbered(&self.code).take(end)
    }

    fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.code).skip(self.tests_begin())
    }
}

/// The breaches of one rule.
#[derive(Default)]
struct Breaches(String);

impl Breaches {
    fn add(&mut self, path: &str, line: usize, what: impl std::fmt::Display) {
        writeln!(self.0, "{path}:{line}: {what}").expect("a string takes it");
    }

    fn none(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files() -> Vec<File> {
    let mut files = text_files();
    files.retain(|file| file.path.ends_with(".rs"));
    assert!(files.len() > 50, "the sources are where they are looked for");
    files
}

/// Every file of the repository that is text; not what is built or kept beside it.
fn text_files() -> Vec<File> {
    const SKIPPED: &[&str] = &[".git", "target", "keystead-data", "node_modules", "corpus", "artifacts", "coverage"];
    let mut folders = vec![root().to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if SKIPPED.contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
                let code = if path.ends_with(".rs") { code_of(&text) } else { String::new() };
                files.push(File { path, text, code });
            }
        }
    }
    files
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    iter::zip(1.., text.lines())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The top-level modules of this crate which a line names, in a file `depth` levels below the crate's root.
fn ours_named(line: &str, depth: usize) -> impl Iterator<Item = &str> {
    let up = "super::".repeat(depth);
    let by_super = move |at: usize| line[at..].starts_with(&up) && !line[..at].ends_with("super::");
    let starts = line.char_indices().filter_map(move |(at, _)| {
        let fresh = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        ["crate::", "keystead::"]
            .iter()
            .find(|lead| fresh && line[at..].starts_with(**lead))
            .map(|lead| at + lead.len())
            .or_else(|| (fresh && by_super(at)).then_some(at + 7 * depth))
    });
    starts.filter_map(|at| words(&line[at..]).next().filter(|word| line[at..].starts_with(word)))
}

/// Whether a path on this line begins with this crate.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].trim_end_matches("::");
        let rooted = !line[..at].ends_with("::") || before.is_empty() || before.ends_with([' ', '(', '<', '&']);
        let fresh = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let after = &line[at + name.len()..];
        rooted && fresh && (after.starts_with("::") || (line.starts_with("use ") && after.starts_with(';')))
    })
}

/// Rust source without comments and without what stands in strings and characters, line for line.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string_length(rest),
            'r' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw_string_length(rest),
            '\'' if rest.starts_with("'\\") => rest[3..].find('\'').map_or(rest.len(), |end| end + 4),
            '\'' if rest.chars().nth(2) == Some('\'') => 2 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|&c| c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// 0 when it is none.
fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|&c| c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    text[2 + hashes..].find(&end).map_or(text.len(), |at| 2 + hashes + at + end.len())
}
