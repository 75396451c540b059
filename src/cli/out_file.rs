//! Where a backup or an export goes, and of which projects it is: the flags of both.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::builder::NonEmptyStringValueParser;

use super::Usage;
use super::api::encode;

/// Flags of every command that writes what projects hold.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OutFile {
    /// The file; - for standard output
    #[arg(value_name = "FILE")]
    pub(super) path: PathBuf,
    /// Only this project, by slug or id; repeatable [else all]
    #[arg(long, value_name = "SLUG|ID", value_parser = NonEmptyStringValueParser::new())]
    project: Vec<String>,
    /// Replace a file that is there
    #[arg(long)]
    pub(super) force: bool,
}

impl OutFile {
    pub(super) fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Before any work is done: whether the result has a place, and the file too.
    pub(super) fn check(&self, json: bool) -> Result<()> {
        if self.is_stdout() && json {
            return Err(Usage("it goes to standard output: there is no place for --json".into()).into());
        }
        if !self.is_stdout() && !self.force && self.path.symlink_metadata().is_ok() {
            bail!("{} is there already: choose another name, or pass --force", self.path.display());
        }
        Ok(())
    }

    /// The parameter `projects` of a query, with a separator behind it; nothing for all.
    pub(super) fn query(&self) -> String {
        let names = self.project.iter().map(|name| encode(name)).collect::<Vec<_>>().join(",");
        if names.is_empty() { names } else { format!("projects={names}&") }
    }
}
