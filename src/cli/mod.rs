//! The command line: one file per subcommand. The only place for anyhow.
//!
//! Exit codes: 0 done, 1 failed, 2 usage, 78 configuration. stdout is for results (with `--json` one line of JSON, as
//! the admin API answered it), stderr for everything said beside them.
//!
//! Commands about data speak to the running server through its control socket; when none runs, they take the data
//! directory themselves and ask the same API in process.

mod api;
mod audit;
mod backup;
mod bench;
mod completions;
mod config;
mod console;
mod doctor;
mod export;
mod health;
mod import;
mod key;
mod log_line;
mod mail;
mod man;
mod openapi;
mod out_file;
mod outlet;
mod output;
mod password;
mod place;
mod project;
mod reload;
mod restore;
mod serve;
mod session;
#[cfg(test)]
mod tests;
mod user;
mod version;
mod webhook;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::config::{Problem, Problems};
use crate::env::Env;
pub use console::Console;
pub use import::{nhost_accounts, nora_accounts};

/// The work is done.
const DONE: u8 = 0;
/// The work failed.
const FAILED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;
/// The configuration is wrong (`EX_CONFIG` of sysexits.h).
const CONFIGURATION: u8 = 78;

/// What a command finds around it.
#[derive(Debug)]
pub struct Surroundings {
    /// The environment's variables, or those that cannot be read.
    pub environment: Result<BTreeMap<String, String>, Problems>,
    /// Where it reads and writes.
    pub console: Console,
    /// Clock and entropy.
    pub env: Env,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { environment: environment(std::env::vars_os()), console: Console::of_process(), env: Env::system() }
    }
}

/// Runs the command line `args`, the program's name first; its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>, around: &mut Surroundings) -> u8 {
    let command = match Cli::try_parse_from(args) {
        Ok(cli) => cli.command,
        Err(told) => {
            let text = told.render().to_string();
            if told.use_stderr() {
                around.console.note(text.trim_end());
            } else if around.console.say(text.trim_end()).is_err() {
                return FAILED;
            }
            return u8::try_from(told.exit_code()).unwrap_or(USAGE);
        }
    };
    match command.run(around) {
        Ok(()) => DONE,
        Err(error) => {
            let code = exit_code(&error);
            if !error.is::<AlreadyTold>() {
                around.console.note(&format!("error: {error:#}"));
            }
            code
        }
    }
}

/// An auth server in one file.
#[derive(Debug, Parser)]
#[command(name = "keystead", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Args),
    /// Make, list, show and delete projects
    Project(project::Args),
    /// Make, list, show, switch off and on, unlock and delete accounts; set passwords and roles
    User(user::Args),
    /// Write all that projects hold into a file of JSON lines
    Export(export::Args),
    /// Bring projects from an export, or accounts from another product
    Import(import::Args),
    /// Take a backup of projects as they are now, while they are in use
    Backup(backup::Args),
    /// Bring projects back from a backup
    Restore(restore::Args),
    /// List and end sessions
    Session(session::Args),
    /// List and rotate signing keys
    Key(key::Args),
    /// Try the mail transport, preview templates; list, show, resend and drop mails
    Mail(mail::Args),
    /// Show, verify and export the audit trail
    Audit(audit::Args),
    /// List the webhooks, and try one
    Webhook(webhook::Args),
    /// Try, show or explain the configuration
    Config(config::Args),
    /// Have the running server take its configuration, certificates and templates anew
    Reload(reload::Args),
    /// Look whether all is well, and say what to do where it is not
    Doctor(doctor::Args),
    /// Measure how many sign-ins a second this machine bears, and say which hash cost to configure
    ///
    /// Measured with the server's own hashing threads. What else runs meanwhile, a server too, makes the figures smaller.
    Bench(bench::Args),
    /// Say whether the running server can do its work; exit code 0 when it serves
    Health(health::Args),
    /// Print what an API looks like, as an OpenAPI document
    Openapi(openapi::Args),
    /// Write a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man,
    /// Say which version this is
    Version(version::Args),
}

impl Command {
    fn run(self, around: &mut Surroundings) -> Result<()> {
        match self {
            Self::Serve(args) => serve::run(args, around),
            Self::Project(args) => args.run(around),
            Self::User(args) => args.run(around),
            Self::Export(args) => args.run(around),
            Self::Import(args) => args.run(around),
            Self::Backup(args) => args.run(around),
            Self::Restore(args) => args.run(around),
            Self::Session(args) => args.run(around),
            Self::Key(args) => args.run(around),
            Self::Mail(args) => args.run(around),
            Self::Audit(args) => args.run(around),
            Self::Webhook(args) => args.run(around),
            Self::Config(args) => config::run(&args, around),
            Self::Reload(args) => reload::run(&args, around),
            Self::Doctor(args) => doctor::run(&args, around),
            Self::Bench(args) => bench::run(&args, around),
            Self::Health(args) => health::run(&args, around),
            Self::Openapi(args) => openapi::run(&args, around),
            Self::Completions(args) => completions::run(&args, around),
            Self::Man => man::run(around),
            Self::Version(args) => version::run(&args, around),
        }
    }
}

/// The command line is well-formed, but asks for what cannot be.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Something is wrong, and the answer on stdout says so.
#[derive(Debug)]
struct AlreadyTold {
    code: u8,
    what: &'static str,
}

impl AlreadyTold {
    const MISTAKES: Self = Self { code: CONFIGURATION, what: "the configuration has mistakes" };
    const FINDINGS: Self = Self { code: FAILED, what: "not all is well" };
}

impl fmt::Display for AlreadyTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for AlreadyTold {}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(told) = error.downcast_ref::<AlreadyTold>() {
        told.code
    } else if error.is::<Problems>() {
        CONFIGURATION
    } else if error.is::<Usage>() {
        USAGE
    } else {
        FAILED
    }
}

/// The variables as text; of those that are not, only our own are a mistake.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<BTreeMap<String, String>, Problems> {
    let mut all = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            Ok(value) => {
                all.insert(name, value);
            }
            Err(_) if name.starts_with("KEYSTEAD_") || name == "CREDENTIALS_DIRECTORY" => {
                let reason = "is not UTF-8; say it with a flag or in a file".into();
                problems.push(Problem { source: name, key: String::new(), reason });
            }
            Err(_) => {}
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(Problems(problems)) }
}
