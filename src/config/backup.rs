//! Backups that the server takes by itself.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use documented::DocumentedFields;

use super::forms;
use super::keys::{Keys, Section};

/// `[backup]`: what the server backs up by itself.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct BackupSettings {
    /// Where backups of all projects go, as keystead-MOMENT.tar, or .tar.age where they are encrypted; made with mode 0700.
    /// Better on another disk, and copied elsewhere. Unset: none are taken.
    pub dir: Option<PathBuf>,
    /// The time between two of them. The first is taken at once.
    pub every: Duration,
    /// How many are kept; older ones are removed, but never the last.
    pub keep: usize,
    /// Whom they are encrypted for: public keys as age-keygen prints them, age1…. None: they are not encrypted. The master
    /// key is never in them.
    pub recipients: Vec<String>,
}

/// The most recipients.
const MAX_RECIPIENTS: usize = 16;

impl Section for BackupSettings {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.optional("dir", &mut self.dir, forms::path, "/var/backups/keystead");
        keys.duration("every", &mut self.every, Duration::from_secs(60)..=Duration::from_secs(31 * 86_400));
        keys.number("keep", &mut self.keep, 1..=10_000, "");
        keys.list("recipients", &mut self.recipients, MAX_RECIPIENTS, recipient);
    }
}

impl Default for BackupSettings {
    fn default() -> Self {
        Self { dir: None, every: Duration::from_secs(86_400), keep: 7, recipients: Vec::new() }
    }
}

fn recipient(text: &str) -> Result<String, String> {
    match age::x25519::Recipient::from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("is no public key of age: write what age-keygen printed, age1…".to_owned()),
    }
}
