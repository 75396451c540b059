//! Writing an archive, entry by entry.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::Serialize;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::NOT_IN_IT;
use super::manifest::{Contents, END, End, FAILED, FORMAT, FileEntry, HEAD, Head, MASTER_KEY, Named, Trail, file_name};
use crate::auth::projects::{Copied, Shot};
use crate::crypto::{Secret, hex};
use crate::env::Timestamp;
use crate::store::{Stop, Unhurried};

/// Writes one archive.
pub struct Writer<W: Write> {
    tar: Builder<W>,
    /// What the entries are dated.
    at: Timestamp,
    head: Head,
    end: End,
}

impl<W: Write> Writer<W> {
    /// Begins with the first entry.
    ///
    /// # Errors
    /// The output's.
    pub fn begin(out: W, shot: &Shot) -> io::Result<Self> {
        let head = Head {
            format: FORMAT,
            keystead: env!("CARGO_PKG_VERSION").to_owned(),
            moment: shot.at.rfc3339(),
            projects: shot.projects.iter().map(|(id, slug)| Named { id: *id, slug: slug.clone() }).collect(),
            not_in_it: NOT_IN_IT.to_owned(),
        };
        let bytes = json_of(&head)?;
        let end = End { head_sha256: hex(digest(&SHA256, &bytes).as_ref()), projects: Vec::new() };
        let mut writer = Self { tar: Builder::new(out), at: shot.at, head, end };
        writer.entry(HEAD, &bytes)?;
        Ok(writer)
    }

    /// Adds a project file, working half of the time.
    ///
    /// # Errors
    /// The output's, and the file's; `InvalidData` when that is not as long as it was, `Other` when it was stopped.
    pub fn project(&mut self, copied: &Copied, stop: &Stop) -> io::Result<()> {
        let file = std::fs::File::open(&copied.file)?;
        let bytes = file.metadata()?.len();
        let name = file_name(copied.id);
        let mut hashed = Hashed { from: Unhurried::new(file, stop), hash: Context::new(&SHA256) };
        let mut header = header(bytes, self.at);
        self.tar.append_data(&mut header, &name, (&mut hashed).take(bytes))?;
        self.end.projects.push(FileEntry {
            id: copied.id,
            slug: copied.slug.clone(),
            file: name,
            bytes,
            sha256: hex(hashed.hash.finish().as_ref()),
            rows: copied.rows,
            audit: Trail { seq: copied.audit.seq, hash: copied.audit.hash.hex() },
        });
        Ok(())
    }

    /// Says that nothing follows, and why.
    ///
    /// # Errors
    /// The output's.
    pub fn fail(mut self, why: &str) -> io::Result<()> {
        let bytes = json_of(&json!({ "error": why }))?;
        self.entry(FAILED, &bytes)?;
        self.tar.into_inner()?.flush()
    }

    /// The last entry. Answers what is in the archive, and the output.
    ///
    /// # Errors
    /// The output's.
    pub fn finish(mut self) -> io::Result<(Contents, W)> {
        let bytes = json_of(&self.end)?;
        self.entry(END, &bytes)?;
        let mut out = self.tar.into_inner()?;
        out.flush()?;
        Ok((Contents { head: self.head, files: self.end.projects, has_master_key: false }, out))
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.tar.append_data(&mut header(bytes.len() as u64, self.at), name, bytes)
    }
}

/// The master key as an entry that goes before an archive: what is written first, the archive after it.
///
/// # Errors
/// None in practice: it is made in memory.
pub fn master_key_entry(key: &Secret<[u8; 32]>, at: Timestamp) -> io::Result<Secret<Vec<u8>>> {
    let mut header = header(32, at);
    header.set_path(MASTER_KEY)?;
    header.set_cksum();
    let mut entry = header.as_bytes().to_vec();
    entry.extend_from_slice(key.expose());
    entry.resize(1024, 0);
    Ok(Secret::new(entry))
}

fn header(bytes: u64, at: Timestamp) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_mtime(at.secs());
    header.set_size(bytes);
    header
}

fn json_of(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Hashes what is read through it.
pub(super) struct Hashed<R> {
    pub(super) from: R,
    pub(super) hash: Context,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(out)?;
        self.hash.update(&out[..read]);
        Ok(read)
    }
}
