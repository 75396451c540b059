//! Configuration: flag > environment > file > default, checked as a whole before anything starts.
//!
//! ```text
//! file, layers      TOML, variables and flags as layered trees (figment), nothing understood yet
//! reader, secrets   one key at a time out of the layers, with its source; mistakes gathered
//! forms             the text forms of values: durations, listeners, URLs ...
//! settings, project_settings   the result: checked, immutable; each key declared beside its field
//! keys              how a key is declared once, to be read, shown and explained
//! resolve, project  out of the layers into the settings; what must hold between projects
//! show, example     settings written back as TOML, with sources; every key explained
//! from_nhost        the environment of Nhost Auth, said in these keys
//! problem, suggest  all mistakes at once, with "did you mean"
//! ```
//!
//! Only `--config` or `KEYSTEAD_CONFIG` names a file; none is read by itself. Relative paths, also those written in a
//! file, are relative to the working directory.

mod access;
mod backup;
mod bot;
mod dialect_settings;
mod example;
mod file;
pub mod forms;
mod from_nhost;
mod keys;
mod layers;
mod mail;
mod mail_forms;
mod nhost;
mod nhost_forms;
mod problem;
mod project;
mod project_mail;
mod project_settings;
mod reader;
mod redirects;
mod resolve;
mod secrets;
mod settings;
mod show;
mod spell;
mod stored;
mod suggest;
#[cfg(test)]
mod tests;
mod tls;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::value::{Dict, Value};

pub use access::Access;
pub use backup::BackupSettings;
pub use bot::{Bot, BotProvider};
pub use dialect_settings::*;
pub use example::example;
pub use file::parse_toml;
pub use from_nhost::{Remark, Translation, WrongLine, from_nhost, parse_env_file};
pub use nhost::*;
pub use problem::{Problem, Problems};
pub use project_settings::*;
pub use redirects::{ClientUrl, NoRedirectUrl, RedirectPattern, RedirectUrl};
pub use settings::*;
pub use show::{Shown, annotated};
pub use stored::{check_together, stored_for_copy, stored_from, validate_stored};
pub use webhook::{Webhook, WebhookEvent};

use file::Lines;
use layers::{Layer, Origin};
use reader::Reader;

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--data-dir DIR`
    pub data_dir: Option<PathBuf>,
    /// `--listen ADDR`, each; any at all replaces the configured list.
    pub listen: Vec<String>,
    /// `--ephemeral`
    pub ephemeral: bool,
}

/// The settings from flags, environment, file and defaults.
///
/// `environment` is the process's, whole: variables without `KEYSTEAD_` are passed over, but for systemd's
/// `CREDENTIALS_DIRECTORY`.
///
/// # Errors
/// Every mistake there is, at once.
pub fn load(overrides: &Overrides, environment: &BTreeMap<String, String>) -> Result<Settings, Problems> {
    let (layer, mut problems) = layers::environment(environment);
    let (mut figment, mut lines) = (Figment::new().merge(assumed(overrides)), Lines::new());
    if let Some(path) = config_path(overrides, environment) {
        match file::read_toml(&path) {
            Ok((values, found)) => {
                figment = figment.merge(Layer { origin: Origin::File(path), values });
                lines = found;
            }
            Err(reason) => problems.push(Problem { source: path.display().to_string(), key: String::new(), reason }),
        }
    }
    let layers = figment.merge(layer).merge(flags(overrides));
    let credentials = environment.get("CREDENTIALS_DIRECTORY").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let declared = Declared { layers, credentials, lines };
    let mut reader = Reader::new(declared.clone());
    let mut settings = resolve::settings(&mut reader);
    if overrides.ephemeral && settings.tls.mode == TlsMode::Acme {
        let reason = "\"acme\" keeps an account and certificates in the data directory, and --ephemeral has none";
        reader.refuse("tls.mode", reason);
    }
    problems.append(&mut reader.problems);
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    if let Some(dir) = &overrides.data_dir {
        // Byte for byte: the layers hold text.
        settings.data_dir.clone_from(dir);
    }
    settings.ephemeral = overrides.ephemeral;
    settings.declared = declared;
    Ok(settings)
}

fn config_path(overrides: &Overrides, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let variable = || environment.get("KEYSTEAD_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    overrides.config.clone().or_else(variable)
}

/// What a flag makes the default, below all that is said.
fn assumed(overrides: &Overrides) -> Layer {
    let mut values = Dict::new();
    if overrides.ephemeral {
        // Test suites run side by side: each server takes a free port, and says which.
        let addresses = Value::from(vec!["127.0.0.1:0"]);
        values.insert("listen".into(), Value::from(Dict::from([("addresses".to_owned(), addresses)])));
    }
    Layer { origin: Origin::Flag, values }
}

fn flags(overrides: &Overrides) -> Layer {
    let mut values = Dict::new();
    if let Some(dir) = overrides.data_dir.as_deref().map(Path::to_string_lossy) {
        values.insert("data_dir".into(), Value::from(dir.as_ref()));
    }
    if !overrides.listen.is_empty() {
        let addresses = Value::from(overrides.listen.clone());
        values.insert("listen".into(), Value::from(Dict::from([("addresses".to_owned(), addresses)])));
    }
    Layer { origin: Origin::Flag, values }
}

impl Settings {
    /// One project's settings: default < what it was created with < file < environment. The project need not be
    /// declared anywhere.
    ///
    /// `stored` is the TOML text kept in the project's own file, with keys as below `[project.SLUG]`. What must hold
    /// between projects is [`check_together`]'s.
    ///
    /// # Errors
    /// Every mistake there is, at once.
    pub fn project(&self, slug: &str, stored: Option<&str>) -> Result<ProjectSettings, Problems> {
        stored::project(slug, stored, &self.declared)
    }

    /// Says of the value at `key`, which reads well, what is wrong with it all the same.
    pub fn problem(&self, key: &str, reason: String) -> Problem {
        Problem { source: Reader::new(self.declared.clone()).source(key), key: key.to_owned(), reason }
    }

    /// The same settings with these projects among them, by slug, each with the TOML text kept in its own file.
    ///
    /// # Errors
    /// Every mistake there is, at once.
    pub fn with_projects<'a>(
        &self,
        kept: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, Problems> {
        stored::with_projects(self, kept)
    }
}

/// What file, environment and flags said, kept for [`Settings::project`]. Shows nothing: there are secrets in it.
#[derive(Clone, Default)]
pub(crate) struct Declared {
    layers: Figment,
    /// Where systemd put the unit's credentials.
    credentials: Option<PathBuf>,
    /// Where the file's keys stand in it.
    lines: Lines,
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Declared")
    }
}
