//! A configuration for whoever comes from Nhost Auth: its environment file, said in our own keys.
//!
//! ```text
//! env_file   the file's lines as variables
//! settings   which variable becomes which key
//! absent     the variables of what this version has not
//! jwt        how tokens are signed: HASURA_GRAPHQL_JWT_SECRET and the custom claims
//! sheet      the keys as TOML; what our own reader refuses is taken out again, and why is said
//! ```
//!
//! Source: Nhost contract, section 3. Only what differs from our defaults is written, so a default that differs there is
//! written where the file says nothing.

mod absent;
mod env_file;
mod jwt;
mod settings;
mod sheet;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::problem::{Problem, Problems};
use crate::crypto::Secret;

pub use env_file::{Variable, WrongLine, parse as parse_env_file};

/// What an environment file comes to.
#[derive(Debug)]
pub struct Translation {
    /// The configuration. Holds secrets in clear when there are [`Translation::secrets`].
    pub toml: Secret<String>,
    /// The keys whose values in it are secrets.
    pub secrets: Vec<String>,
    /// What could not be carried over.
    pub left: Vec<Remark>,
    /// What is carried over, or stands for something there, and behaves otherwise.
    pub different: Vec<Remark>,
    /// How many variables of the file are none of Nhost Auth's.
    pub foreign: usize,
}

/// Something to know about a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The variable, or several: `AUTH_SMS_*`.
    pub name: String,
    /// What is to be known. No value is repeated that may be secret.
    pub text: String,
}

/// Translates an environment file for the project `slug`.
///
/// # Errors
/// Every line that cannot be read, at once; also when `slug` is none, or what came out is no configuration.
pub fn from_nhost(text: &str, slug: &str) -> Result<Translation, Problems> {
    super::forms::slug(slug).map_err(|reason| Problems::one("--slug", "", reason))?;
    let variables = parse_env_file(text).map_err(|wrong| {
        let problem = |wrong: &WrongLine| Problem {
            source: format!("line {}", wrong.line),
            key: String::new(),
            reason: wrong.reason.to_owned(),
        };
        Problems(wrong.iter().map(problem).collect())
    })?;
    settings::translate(Variables::new(variables), slug)
}

/// The variables of a file, and which of them were asked for.
struct Variables {
    all: BTreeMap<String, Secret<String>>,
    asked: BTreeSet<String>,
}

impl Variables {
    /// Of those named twice, the last counts.
    fn new(variables: Vec<Variable>) -> Self {
        Self { all: variables.into_iter().map(|one| (one.name, one.value)).collect(), asked: BTreeSet::new() }
    }

    /// What a variable is set to; an empty one is not set.
    fn get(&mut self, name: &str) -> Option<&str> {
        let (name, value) = self.all.get_key_value(name)?;
        self.asked.insert(name.clone());
        Some(value.expose().trim()).filter(|value| !value.is_empty())
    }

    /// Takes note of all variables that begin so; whether there are any that say something.
    fn pass(&mut self, prefix: &str) -> bool {
        let mut any = false;
        for (name, value) in self.all.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix)) {
            any |= !value.expose().trim().is_empty();
            self.asked.insert(name.clone());
        }
        any
    }

    /// The names that nobody asked for.
    fn others(&self) -> impl Iterator<Item = &String> {
        self.all.keys().filter(|name| !self.asked.contains(*name))
    }
}
