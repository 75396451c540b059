//! The layers of a configuration and their order: default < stored with the project < file < environment < flag.
//!
//! figment merges them and remembers for every value which layer it came from. Defaults are no layer: they stand where
//! a key is read (`resolve`, `project`), in their checked form.
//!
//! An environment variable is `KEYSTEAD_` and the key's path in upper case, `__` between levels. A slug's `-` is
//! written `_` (`KEYSTEAD_PROJECT__MY_APP__CONCEAL` is `project.my-app.conceal`): unambiguous, since slugs hold no `_`.
//! A slug with `--` in it or `-` at its end cannot be spelled in the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::problem::Problem;

const PREFIX: &str = "KEYSTEAD_";

/// Variables with the prefix that are no keys: the file to read, and the log filter of the command line.
const NOT_KEYS: [&str; 2] = ["KEYSTEAD_CONFIG", "KEYSTEAD_LOG"];

/// Where a value comes from; later ones win.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// Nobody said it.
    Default,
    /// The settings a project was created with, by slug.
    Stored(String),
    /// The configuration file.
    File(PathBuf),
    /// A variable.
    Environment,
    /// A flag.
    Flag,
}

impl Origin {
    /// How a problem with the value at `path` names its source.
    pub(super) fn describe(&self, path: &str) -> String {
        match self {
            Self::Default => "default".into(),
            Self::Stored(slug) => format!("the settings project `{slug}` was created with"),
            Self::File(file) => file.display().to_string(),
            Self::Environment => variable(path),
            Self::Flag => {
                format!("--{}", if path == "listen.addresses" { "listen".into() } else { path.replace('_', "-") })
            }
        }
    }

    /// Whether every value is text here, to be read as what its key wants. A file says its types itself.
    pub(super) fn is_text(&self) -> bool {
        !matches!(self, Self::File(_) | Self::Default)
    }

    fn metadata(&self) -> Metadata {
        match self {
            Self::Default => Metadata::named("default"),
            Self::Stored(slug) => Metadata::from("stored", slug.clone()),
            Self::File(path) => Metadata::from("file", path.as_path()),
            Self::Environment => Metadata::named("environment"),
            Self::Flag => Metadata::named("flag"),
        }
    }

    /// The inverse of `metadata`.
    pub(super) fn of(metadata: Option<&Metadata>) -> Self {
        let Some(metadata) = metadata else { return Self::Default };
        let source = metadata.source.as_ref();
        match metadata.name.as_ref() {
            "stored" => Self::Stored(source.and_then(|s| s.custom()).unwrap_or_default().to_owned()),
            "file" => Self::File(source.and_then(|s| s.file_path()).unwrap_or(Path::new("")).to_owned()),
            "environment" => Self::Environment,
            "flag" => Self::Flag,
            _ => Self::Default,
        }
    }
}

/// The variable that sets the key at `path`.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").replace('-', "_").to_uppercase())
}

/// One layer, as figment takes it.
pub(super) struct Layer {
    pub(super) origin: Origin,
    pub(super) values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.origin.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The variables that are keys, as a layer of texts; and those that cannot be keys whatever keys there are.
pub(super) fn environment(variables: &BTreeMap<String, String>) -> (Layer, Vec<Problem>) {
    let mut values = Dict::new();
    let mut problems = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !NOT_KEYS.contains(&name.as_str())) else { continue };
        let refused = match path_of(rest) {
            Ok(path) => insert(&mut values, &path, Value::from(value.as_str())).err(),
            Err(reason) => Some(reason),
        };
        if let Some(reason) = refused {
            problems.push(Problem { source: name.clone(), key: String::new(), reason: reason.to_owned() });
        }
    }
    (Layer { origin: Origin::Environment, values }, problems)
}

fn path_of(rest: &str) -> Result<Vec<String>, &'static str> {
    let spelled = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            && !segment.starts_with('_')
            && !segment.ends_with('_')
    };
    let segments: Vec<&str> = rest.split("__").collect();
    if segments.len() > 8 || !segments.iter().all(|segment| spelled(segment)) {
        return Err("not a key: variables are KEYSTEAD_ and the key's path in upper case, `__` between levels");
    }
    let mut path: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    if let [project, slug, ..] = path.as_mut_slice()
        && project == "project"
    {
        *slug = slug.replace('_', "-");
    }
    Ok(path)
}

/// Puts `value` at `path`, making the tables on the way.
pub(super) fn insert(values: &mut Dict, path: &[String], value: Value) -> Result<(), &'static str> {
    const CLASH: &str = "a value here and keys below it at once: one of them is no key";
    match path {
        [] => Ok(()),
        [last] if values.contains_key(last) => Err(CLASH),
        [last] => {
            values.insert(last.clone(), value);
            Ok(())
        }
        [first, rest @ ..] => match values.entry(first.clone()).or_insert_with(|| Value::from(Dict::new())) {
            Value::Dict(_, inner) => insert(inner, rest, value),
            _ => Err(CLASH),
        },
    }
}
