//! Where a new password comes from: a file, standard input, a prompt, or the random source. Never from the command
//! line, which every user of the machine can see.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Surroundings;
use super::console::strip_line_end;
use crate::crypto::Secret;
use crate::env::Env;

/// The flags that say so.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct Source {
    /// Read the password from the first line of FILE, or of standard input for "-"
    /// [else asked for at a terminal, else the first line of standard input]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Make up a password and print it, once
    #[arg(long)]
    generate: bool,
    /// A hash made elsewhere: bcrypt, Argon2, scrypt or PBKDF2 in their usual text forms
    #[arg(long, value_name = "HASH")]
    password_hash: Option<String>,
}

/// A new password.
pub(super) enum Given {
    /// Somebody knows it.
    Known(Secret<String>),
    /// It was made up, and must be told.
    Generated(Secret<String>),
    /// Only its hash is known.
    Hash(String),
}

impl Source {
    /// The password, asked for if need be.
    pub(super) fn take(&self, around: &mut Surroundings) -> Result<Given> {
        if let Some(hash) = &self.password_hash {
            return Ok(Given::Hash(hash.clone()));
        }
        if self.generate {
            return Ok(Given::Generated(generated(&around.env)));
        }
        match &self.password_file {
            Some(path) if path == Path::new("-") => around.console.first_line().map(Given::Known),
            Some(path) => first_line_of(path).map(Given::Known),
            None => around.console.new_password().map(Given::Known),
        }
    }
}

/// 120 bits as 20 letters, digits, "-" and "_".
fn generated(env: &Env) -> Secret<String> {
    let random = Secret::new(env.random::<15>());
    Secret::new(URL_SAFE_NO_PAD.encode(random.expose()))
}

fn first_line_of(path: &Path) -> Result<Secret<String>> {
    let whole = fs::read_to_string(path).map(Secret::new).with_context(|| path.display().to_string())?;
    let mut line = whole.expose().split_inclusive('\n').next().unwrap_or_default().to_owned();
    strip_line_end(&mut line);
    anyhow::ensure!(!line.is_empty(), "{}: the first line is empty", path.display());
    Ok(Secret::new(line))
}
