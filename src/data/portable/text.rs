//! The file as text: lines one after the other, and at its end what tells a whole file from a part of one.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest;

use super::fields::Hex;
use super::line::Line;
use super::whole::{End, Failed, Header};
use super::{FORMAT, MAX_LINE};

/// Writes lines into a buffer, and remembers what the last line says of them.
pub struct Pen {
    hash: digest::Context,
    counts: BTreeMap<String, u64>,
    /// What was written and not taken yet.
    pub text: Vec<u8>,
}

impl Pen {
    /// One that begins a file.
    ///
    /// # Errors
    /// As [`Line::spell`].
    pub fn begin(header: Header) -> Result<Self, String> {
        let mut pen = Self { hash: digest::Context::new(&digest::SHA256), counts: BTreeMap::new(), text: Vec::new() };
        pen.push(&Line::Keystead(header))?;
        Ok(pen)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// As [`Line::spell`]; nothing is written then.
    pub fn write(&mut self, line: &Line) -> Result<(), String> {
        self.push(line)?;
        *self.counts.entry(line.kind().to_owned()).or_default() += 1;
        Ok(())
    }

    /// Writes the last line; what is left to be taken.
    ///
    /// # Errors
    /// As [`Line::spell`].
    pub fn end(mut self) -> Result<Vec<u8>, String> {
        let end = End { counts: Some(std::mem::take(&mut self.counts)), sha256: Some(sha256(&self.hash)) };
        self.push(&Line::End(end))?;
        Ok(self.text)
    }

    /// Writes the last line of an export that failed; what is left to be taken.
    pub fn fail(mut self, reason: String) -> Vec<u8> {
        // A text can always be written.
        let _ = self.push(&Line::Failed(Failed { reason }));
        self.text
    }

    fn push(&mut self, line: &Line) -> Result<(), String> {
        let from = self.text.len();
        self.text.extend_from_slice(line.spell()?.as_bytes());
        self.text.push(b'\n');
        self.hash.update(&self.text[from..]);
        Ok(())
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// Cuts what comes in into lines, in whatever pieces it comes.
pub struct Lines {
    hash: digest::Context,
    counts: BTreeMap<String, u64>,
    header: Option<Header>,
    ended: bool,
    line: u64,
    rest: Vec<u8>,
    too_long: bool,
}

/// Something that is wrong with a line, or with the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line's number, from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
    /// Whether reading on makes no sense.
    pub is_last: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            hash: digest::Context::new(&digest::SHA256),
            counts: BTreeMap::new(),
            header: None,
            ended: false,
            line: 0,
            rest: Vec::new(),
            too_long: false,
        }
    }
}

impl Lines {
    /// Reads on. Every whole line, but the first and the last of the file, goes to `take` with its number.
    ///
    /// # Errors
    /// What `take` answers.
    pub fn feed<E>(
        &mut self,
        mut piece: &[u8],
        take: &mut dyn FnMut(u64, Result<Line, Wrong>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = piece.split_at(end + 1);
            piece = rest;
            self.keep(line);
            self.line += 1;
            let text = std::mem::take(&mut self.rest);
            let read = self.read(&text);
            if let Some(read) = read.transpose() {
                take(self.line, read)?;
            }
        }
        self.keep(piece);
        Ok(())
    }

    /// The first line, once it was read.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// At the end of what came in: whether it was a whole file.
    ///
    /// # Errors
    /// Why not.
    pub fn finish(&self) -> Result<(), Wrong> {
        if self.ended && self.rest.is_empty() {
            return Ok(());
        }
        let reason = if self.line == 0 && self.rest.is_empty() {
            "it is empty"
        } else if self.ended {
            "something stands behind the last line"
        } else {
            "it ends early: a part of it is missing"
        };
        Err(Wrong { line: self.line + 1, reason: reason.into(), is_last: true })
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.rest.len() + piece.len() > MAX_LINE {
            self.too_long = true;
            self.rest.clear();
        }
        if !self.too_long {
            self.rest.extend_from_slice(piece);
        }
    }

    /// What is to be done about a line: nothing for the first one and the last.
    fn read(&mut self, text: &[u8]) -> Result<Option<Line>, Wrong> {
        let wrong = |line, reason: String, is_last| Err(Wrong { line, reason, is_last });
        if std::mem::take(&mut self.too_long) {
            return wrong(self.line, format!("it is longer than {} MiB", MAX_LINE >> 20), self.header.is_none());
        }
        if self.ended {
            return wrong(self.line, "something stands behind the last line".into(), true);
        }
        let parsed = Line::parse(text);
        let Some(header) = &self.header else {
            return match parsed {
                Ok(Line::Keystead(header)) if header.format == FORMAT => {
                    self.hash.update(text);
                    self.header = Some(header);
                    Ok(None)
                }
                Ok(Line::Keystead(header)) => {
                    let Header { format, version, .. } = header;
                    let reason = format!(
                        "it has format {format}, written by Keystead {}; this program reads format {FORMAT}",
                        version.escape_debug()
                    );
                    wrong(self.line, reason, true)
                }
                _ => wrong(self.line, "this is no file that `keystead export` wrote".into(), true),
            };
        };
        let line = match parsed {
            Ok(line) => line,
            Err(reason) => {
                self.hash.update(text);
                return wrong(self.line, reason, false);
            }
        };
        match line {
            Line::Keystead(_) => wrong(self.line, "another file begins here".into(), true),
            Line::Failed(Failed { reason }) => {
                wrong(self.line, format!("the export failed: {}", reason.escape_debug()), true)
            }
            Line::End(end) => {
                self.ended = true;
                self.compare(&end)
            }
            Line::RefreshSecret(_) | Line::SigningKey(_) if !header.secrets => {
                wrong(self.line, "the first line says that there are no secrets in it".into(), false)
            }
            line => {
                self.hash.update(text);
                *self.counts.entry(line.kind().to_owned()).or_default() += 1;
                Ok(Some(line))
            }
        }
    }

    fn compare(&self, end: &End) -> Result<Option<Line>, Wrong> {
        let same = end.sha256.as_ref().is_none_or(|its| *its == sha256(&self.hash));
        if same && end.counts.as_ref().is_none_or(|its| *its == self.counts) {
            return Ok(None);
        }
        let reason = "the file is not what was exported: it was damaged, or edited. If you edited it, write its last line \
                      as {\"type\":\"end\"}";
        Err(Wrong { line: self.line, reason: reason.into(), is_last: true })
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("line", &self.line).finish_non_exhaustive()
    }
}

fn sha256(hash: &digest::Context) -> Hex<32> {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.clone().finish().as_ref());
    Hex(bytes)
}
