//! What is wrong with a configuration: every mistake at once, each with where it stands, its key and its reason.

use std::fmt;

/// How every report of mistakes ends.
const HELP: &str = "`keystead config example` prints every key with its meaning; \
    `keystead config check` tries a configuration without starting.";

/// One mistake. None of its texts ever holds a secret's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: a file, an environment variable, a flag, a credential.
    pub source: String,
    /// The key, dotted from the top; empty when the source as a whole is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// All mistakes of a configuration; never empty where it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// A single mistake.
    pub(crate) fn one(source: impl Into<String>, key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self(vec![Problem { source: source.into(), key: key.into(), reason: reason.into() }])
    }
}

impl std::error::Error for Problems {}

/// One block a mistake, then where help is.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "1 mistake in the configuration:")?,
            count => writeln!(f, "{count} mistakes in the configuration:")?,
        }
        for problem in &self.0 {
            writeln!(f)?;
            writeln!(f, "  {}", problem.source)?;
            if !problem.key.is_empty() {
                writeln!(f, "    key:    {}", problem.key)?;
            }
            writeln!(f, "    reason: {}", problem.reason)?;
        }
        writeln!(f)?;
        f.write_str(HELP)
    }
}
