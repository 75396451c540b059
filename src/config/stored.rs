//! Projects made by the command line: the settings they were created with, kept as TOML in their own file.

use std::collections::BTreeMap;

use figment::Figment;
use figment::value::{Dict, Value};

use super::file::parse_toml;
use super::layers::{Layer, Origin};
use super::problem::{Problem, Problems};
use super::project_settings::ProjectSettings;
use super::reader::Reader;
use super::settings::Settings;
use super::{Declared, forms, project, resolve};

/// Stored settings below what is declared; see [`super::Settings::project`].
pub(super) fn project(slug: &str, stored: Option<&str>, declared: &Declared) -> Result<ProjectSettings, Problems> {
    let mut reader = Reader::new(below(slug, stored, declared)?);
    let settings = resolve::project(&mut reader, slug);
    match reader.problems.is_empty() {
        true => Ok(settings),
        false => Err(Problems(reader.problems)),
    }
}

/// See [`Settings::with_projects`].
pub(super) fn with_projects<'a>(
    settings: &Settings,
    kept: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<Settings, Problems> {
    let mut settings = settings.clone();
    let mut problems = Vec::new();
    for (slug, stored) in kept {
        let added = below(slug, stored, &settings.declared)
            .and_then(|declared| Ok((project(slug, stored, &settings.declared)?, declared)));
        match added {
            Ok((project, declared)) => {
                settings.projects.insert(slug.to_owned(), project);
                settings.declared = declared;
            }
            Err(Problems(more)) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(settings) } else { Err(Problems(problems)) }
}

/// What is declared, with what is stored beneath it.
fn below(slug: &str, stored: Option<&str>, declared: &Declared) -> Result<Declared, Problems> {
    let origin = Origin::Stored(slug.to_owned());
    let source = || origin.describe("");
    forms::slug(slug).map_err(|reason| Problems::one(source(), "slug", reason))?;
    let values = parse_toml(stored.unwrap_or_default()).map_err(|reason| Problems::one(source(), "", reason))?;
    let layer = Layer { origin: origin.clone(), values: nested(slug, values) };
    Ok(Declared { layers: Figment::new().merge(layer).merge(&declared.layers), ..declared.clone() })
}

fn nested(slug: &str, values: Dict) -> Dict {
    let projects = Dict::from([(slug.to_owned(), Value::from(values))]);
    Dict::from([("project".to_owned(), Value::from(projects))])
}

/// Whether `stored` may be kept with a project: keys as below `[project.SLUG]`.
///
/// # Errors
/// Every mistake in it, at once.
pub fn validate_stored(slug: &str, stored: &str) -> Result<ProjectSettings, Problems> {
    project(slug, Some(stored), &Declared::default())
}

/// The TOML text to keep for `project create --set KEY=VALUE ...`: dotted keys; a value is a TOML boolean, integer or
/// list, else taken as text (`--set hosts=a.example,b.example`, `--set lockout.window=10m`).
///
/// # Errors
/// Every mistake in it, at once, as [`validate_stored`].
pub fn stored_from(slug: &str, sets: &[(String, String)]) -> Result<String, Problems> {
    let mut table = toml::Table::new();
    let mut problems = Vec::new();
    for (key, value) in sets {
        if let Err(reason) = set(&mut table, key, value) {
            problems.push(Problem { source: "--set".into(), key: key.clone(), reason: reason.into() });
        }
    }
    let text = table.to_string();
    if let Err(Problems(more)) = validate_stored(slug, &text) {
        problems.extend(more.into_iter().map(|problem| Problem { source: "--set".into(), ..problem }));
    }
    if problems.is_empty() { Ok(text) } else { Err(Problems(problems)) }
}

fn set(table: &mut toml::Table, key: &str, value: &str) -> Result<(), &'static str> {
    let (sections, last) = key.rsplit_once('.').map_or((None, key), |(sections, last)| (Some(sections), last));
    let mut at = table;
    // No key lies deeper than two sections; more would only cost.
    for section in sections.into_iter().flat_map(|sections| sections.splitn(8, '.')) {
        let inner = at.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = inner.as_table_mut().ok_or("is below another key that is set")?;
    }
    match at.insert(last.to_owned(), literal(value)) {
        None => Ok(()),
        Some(_) => Err("is set twice"),
    }
}

fn literal(value: &str) -> toml::Value {
    match value.parse::<toml::Value>() {
        Ok(parsed @ (toml::Value::Boolean(_) | toml::Value::Integer(_) | toml::Value::Array(_))) => parsed,
        _ => toml::Value::String(value.to_owned()),
    }
}

/// Stored settings for a copy of their project under another id, beside it: without the id and the host names, which can
/// only be one project's.
///
/// # Errors
/// When they are no TOML.
pub fn stored_for_copy(stored: &str) -> Result<String, String> {
    let mut table: toml::Table = toml::from_str(stored).map_err(|error| error.message().to_owned())?;
    table.remove("id");
    table.remove("hosts");
    Ok(table.to_string())
}

/// What must hold between all projects of a server: no id and no host name twice.
///
/// # Errors
/// Every clash there is, at once.
pub fn check_together<'a>(projects: impl IntoIterator<Item = &'a ProjectSettings>) -> Result<(), Problems> {
    let by_slug: BTreeMap<&str, &ProjectSettings> = projects.into_iter().map(|p| (p.slug.as_str(), p)).collect();
    let clashes = project::conflicts(by_slug.into_values());
    let problem = |(key, reason)| Problem { source: "the projects together".into(), key, reason };
    match clashes.is_empty() {
        true => Ok(()),
        false => Err(Problems(clashes.into_iter().map(problem).collect())),
    }
}
