//! Where a command reads and writes: results, remarks, questions, passwords typed unseen.

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::{Result, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::Value;

use super::Usage;
use crate::crypto::Secret;

/// The longest line that is read, bytes.
const MAX_LINE: u64 = 4096;

/// Standard input, output and error, or a test's.
pub struct Console {
    /// Where answers come from.
    pub input: Box<dyn BufRead>,
    /// Whether a person sits at `input`.
    pub terminal: bool,
    /// Results.
    pub out: Box<dyn Write>,
    /// Remarks.
    pub err: Box<dyn Write>,
}

impl Console {
    /// This process's.
    pub fn of_process() -> Self {
        Self {
            input: Box::new(io::stdin().lock()),
            terminal: io::stdin().is_terminal(),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
        }
    }

    /// A line of the result. A reader who has gone is no failure: the work is done all the same.
    ///
    /// # Errors
    /// When the result cannot be written.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        let written = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// The result as one line of JSON.
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.say(&value.to_string())
    }

    /// A remark; lost when nobody listens.
    pub(super) fn note(&mut self, line: &str) {
        // There is no other place to complain at.
        let _ = writeln!(self.err, "{line}").and_then(|()| self.err.flush());
    }

    /// Makes sure that something is to be destroyed: by `--yes`, or by typing `word`.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn confirm(&mut self, yes: bool, what: &str, word: &str) -> Result<()> {
        if yes {
            return Ok(());
        }
        if !self.terminal {
            return Err(Usage(format!("{what} needs --yes when there is no terminal to ask at")).into());
        }
        self.prompt(&format!("This cannot be undone. Type {word} to go on with {what}: "));
        if self.line()?.expose().trim() != word {
            bail!("not confirmed; nothing was changed");
        }
        Ok(())
    }

    /// A new password: typed twice unseen at a terminal, else the first line of the input.
    ///
    /// # Errors
    /// When none comes.
    pub(super) fn new_password(&mut self) -> Result<Secret<String>> {
        if !self.terminal {
            return self.first_line();
        }
        let (first, second) = (self.unseen("New password: ")?, self.unseen("Again: ")?);
        if first.expose() != second.expose() {
            bail!("the two passwords are not the same; nothing was changed");
        }
        not_empty(first)
    }

    /// The first line of the input, without asking.
    pub(super) fn first_line(&mut self) -> Result<Secret<String>> {
        not_empty(self.line()?)
    }

    fn unseen(&mut self, prompt: &str) -> Result<Secret<String>> {
        // Silent first: whoever types as soon as the prompt shows is not seen either.
        let silent = Silent::stdin();
        self.prompt(prompt);
        let line = self.line();
        if silent.is_some() {
            // The line end that was typed was not seen either.
            self.note("");
        }
        line
    }

    fn prompt(&mut self, text: &str) {
        let _ = write!(self.err, "{text}").and_then(|()| self.err.flush());
    }

    fn line(&mut self) -> Result<Secret<String>> {
        let mut line = Secret::new(String::new());
        self.input.by_ref().take(MAX_LINE).read_line(line.expose_mut())?;
        strip_line_end(line.expose_mut());
        Ok(line)
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

pub(super) fn strip_line_end(line: &mut String) {
    if line.ends_with('\n') {
        line.pop();
    }
    if line.ends_with('\r') {
        line.pop();
    }
}

fn not_empty(password: Secret<String>) -> Result<Secret<String>> {
    if password.expose().is_empty() {
        bail!("no password came: write it on the first line of the input, or use --password-file or --generate");
    }
    Ok(password)
}

/// While it lives, the terminal does not show what is typed.
struct Silent(Termios);

impl Silent {
    /// `None` when standard input is no terminal: then there is nothing that shows.
    fn stdin() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Nothing better to try when it fails.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
