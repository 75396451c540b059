//! Secrets: inline, from a file named by `KEY_file`, or as the systemd credential named like the key's path.
//!
//! A credential (`$CREDENTIALS_DIRECTORY/project.default.secret`) is handed over by the unit, so it ranks with the
//! environment. The same secret said twice at one rank is a mistake; else the higher rank wins, whatever its form.

use std::path::{Path, PathBuf};

use crate::crypto::Secret;
use zeroize::Zeroizing;

use super::file::read_bounded;
use super::forms;
use super::layers::Origin;
use super::reader::Reader;
use super::settings::MasterKeySource;

/// More is no secret but a wrong path.
const MAX_BYTES: u64 = 64 * 1024;

/// Where a secret is kept.
enum Place {
    Nowhere,
    Inline,
    InFile,
    Credential(PathBuf),
    /// Said twice at one rank, and whether one of them is inline.
    Several {
        inline: bool,
    },
}

impl Reader {
    /// Which of the places of the secret at `path` counts: the highest rank.
    fn place(&self, path: &str) -> Place {
        let said = |path: &str| self.is_set(path).then(|| self.origin(path));
        let (inline, in_file) = (said(path), said(&format!("{path}_file")));
        let credential = self.credential(path);
        let all = [inline.clone(), in_file.clone(), credential.as_ref().map(|_| Origin::Environment)];
        let Some(highest) = all.iter().flatten().max() else { return Place::Nowhere };
        if all.iter().flatten().filter(|origin| *origin == highest).count() > 1 {
            return Place::Several { inline: inline.as_ref() == Some(highest) };
        }
        match credential {
            _ if inline.as_ref() == Some(highest) => Place::Inline,
            _ if in_file.as_ref() == Some(highest) => Place::InFile,
            Some(file) => Place::Credential(file),
            None => Place::Nowhere,
        }
    }

    /// Where the secret at `path` comes from, for people.
    pub(super) fn secret_source(&self, path: &str) -> String {
        let file_path = format!("{path}_file");
        match self.place(path) {
            Place::Inline | Place::Several { inline: true } => self.source(path),
            Place::InFile | Place::Several { inline: false } => format!("a file ({})", self.source(&file_path)),
            Place::Credential(_) => format!("the systemd credential {path}"),
            Place::Nowhere => self.source(path),
        }
    }

    /// The secret at `path`, wherever it is kept. `check` says what is wrong with it, without quoting it.
    pub(super) fn secret(&mut self, path: &str, check: impl Fn(&str) -> Result<(), String>) -> Option<Secret<String>> {
        let file_path = format!("{path}_file");
        // Both are known, whichever is read.
        let _ = (self.take(path), self.take(&file_path));
        let (key, text) = match self.place(path) {
            Place::Nowhere => return None,
            Place::Several { inline } => {
                let key = if inline { path } else { &file_path };
                let places = format!("`{path}`, `{file_path}` and the credential `{path}`");
                self.refuse(key, format!("said twice: give only one of {places}"));
                return None;
            }
            // Its place is the configuration or a file: the store holds none in clear.
            Place::Inline if matches!(self.origin(path), Origin::Stored(_)) => {
                let reason = "a secret is not kept with the project: give ";
                self.refuse(path, format!("{reason}`{file_path}`, or set it in the configuration"));
                return None;
            }
            Place::Inline => (Some(path), self.text(path, |text| Ok(Zeroizing::new(text.to_owned())))?),
            Place::InFile => {
                let file = self.text(&file_path, forms::path)?;
                let text = read_text(&file);
                (Some(file_path.as_str()), text.map_err(|reason| self.refuse(&file_path, reason)).ok()?)
            }
            Place::Credential(file) => {
                let text = read_text(&file);
                (None, text.map_err(|reason| self.refuse_credential(path, reason)).ok()?)
            }
        };
        match (check(&text), key) {
            (Ok(()), _) => Some(Secret::new(text.as_str().to_owned())),
            (Err(reason), Some(key)) => {
                self.refuse(key, reason);
                None
            }
            (Err(reason), None) => {
                self.refuse_credential(path, reason);
                None
            }
        }
    }

    /// The master key: `master_key_file`, or the credential `master_key` of 32 bytes, raw or as 64 hexadecimal digits.
    /// It is never inline: an environment or a configuration file is no place for the key to everything.
    pub(super) fn master_key(&mut self) -> Option<MasterKeySource> {
        const KEY: &str = "master_key_file";
        let file = self.text(KEY, forms::path);
        let credential = self.credential("master_key");
        let credential = match (file, credential) {
            (Some(file), None) => return Some(MasterKeySource::File(file)),
            (None, credential) => credential?,
            // Not a matter of rank: the wrong master key opens nothing.
            (Some(_), Some(_)) => {
                self.refuse(KEY, "said twice: give only one of `master_key_file` and the credential `master_key`");
                return None;
            }
        };
        let key = read_bounded(&credential, MAX_BYTES).map(Zeroizing::new).and_then(|bytes| thirty_two_bytes(&bytes));
        match key {
            Ok(key) => Some(MasterKeySource::Bytes(key)),
            Err(reason) => {
                self.refuse_credential("master_key", reason);
                None
            }
        }
    }

    /// The credential's file, when the unit has one of that name.
    fn credential(&self, name: &str) -> Option<PathBuf> {
        let path = self.credentials.as_ref()?.join(name);
        // One that cannot be looked at is there: reading it says why it cannot.
        path.try_exists().unwrap_or(true).then_some(path)
    }

    fn refuse_credential(&mut self, name: &str, reason: String) {
        let source = format!("the systemd credential {name}");
        self.problems.push(super::problem::Problem { source, key: name.to_owned(), reason });
    }
}

/// A secret's file without the line end an editor leaves.
fn read_text(path: &Path) -> Result<Zeroizing<String>, String> {
    let named = |reason: String| format!("{}: {reason}", path.display());
    let bytes = Zeroizing::new(read_bounded(path, MAX_BYTES).map_err(named)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| named("not UTF-8 text".into()))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

fn thirty_two_bytes(bytes: &[u8]) -> Result<Secret<[u8; 32]>, String> {
    if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
        return Ok(Secret::new(raw));
    }
    let digits = bytes.trim_ascii_end();
    let mut key = Zeroizing::new([0; 32]);
    let wanted = || "a master key is 32 bytes, raw or as 64 hexadecimal digits".to_owned();
    if digits.len() != 64 {
        return Err(wanted());
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |index: usize| pair.get(index).and_then(|b| char::from(*b).to_digit(16));
        let value = digit(0).zip(digit(1)).map(|(high, low)| high * 16 + low);
        *byte = value.and_then(|v| u8::try_from(v).ok()).ok_or_else(wanted)?;
    }
    Ok(Secret::new(*key))
}
