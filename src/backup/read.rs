//! Reading an archive, entry by entry, believing nothing: names are compared, never used as paths; sizes are checked
//! before a byte is kept; what the last entry says must be what came.

use std::collections::BTreeMap;
use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::de::DeserializeOwned;
use tar::Archive;
use uuid::Uuid;

use super::manifest::{Contents, END, End, FAILED, FORMAT, HEAD, Head, MASTER_KEY, file_name};
use super::write::Hashed;
use crate::crypto::{Secret, hex};

/// The largest first and last entry: some hundred bytes a project.
const MAX_JSON: u64 = 32 << 20;
/// The largest project file: what redb can address is far more than any disk of today.
const MAX_FILE: u64 = 1 << 44;
/// The most zeros behind the last entry: tools fill up to blocks of 10 KiB.
const MAX_FILLING: u64 = 64 << 10;
/// Bytes of a tar block.
const BLOCK: usize = 512;

/// Why an archive is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadArchive {
    /// It is something else.
    #[error("this is no backup of Keystead ({0})")]
    Foreign(String),
    /// It ends early.
    #[error("the backup is cut off: it ends before its last entry")]
    CutOff,
    /// A later Keystead wrote it.
    #[error("the backup has format {0}, this Keystead reads format {FORMAT}: use a later Keystead")]
    Later(u32),
    /// What it says of itself is not what is in it.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// Whoever wrote it failed, and said why.
    #[error("the backup was not finished: {0}")]
    Unfinished(String),
    /// The project that is wanted is not in it.
    #[error("there is no project `{0}` in the backup; there is: {1}")]
    Absent(String, String),
    /// It cannot be read, or what is in it cannot be kept.
    #[error("{0}")]
    Io(io::Error),
}

/// What comes while an archive is read.
pub enum Part<'a> {
    /// The first entry.
    Head(&'a Head),
    /// A project file of so many bytes. Whoever does not want it leaves it.
    Project(Uuid, u64, &'a mut dyn Read),
}

/// Reads an archive to its end. `take` gets each part as it comes; only after this has answered is known that all of it is
/// as it was written.
///
/// # Errors
/// [`BadArchive`], and what `take` answers.
pub fn read(
    mut input: impl Read,
    take: impl FnMut(Part<'_>) -> Result<(), BadArchive>,
) -> Result<Contents, BadArchive> {
    let contents = entries(&mut input, take)?;
    // Nothing follows but what fills up the last block. Whether an encrypted one is whole shows at its very end only.
    let mut rest = Vec::new();
    input.take(MAX_FILLING + 1).read_to_end(&mut rest).map_err(of_io)?;
    match rest.len() as u64 > MAX_FILLING || rest.iter().any(|byte| *byte != 0) {
        true => Err(BadArchive::Damaged("something follows its last entry".into())),
        false => Ok(contents),
    }
}

fn entries(
    input: &mut impl Read,
    mut take: impl FnMut(Part<'_>) -> Result<(), BadArchive>,
) -> Result<Contents, BadArchive> {
    let mut archive = Archive::new(input);
    let (mut head, mut has_master_key): (Option<(Head, String)>, bool) = (None, false);
    // Name, bytes, SHA-256 of each file, as they came.
    let mut came: BTreeMap<Uuid, (u64, String)> = BTreeMap::new();
    // Raw: this format needs no extension of tar, whose names and sizes would be read before anybody asks.
    for entry in archive.entries().map_err(of_io)?.raw(true) {
        let mut entry = entry.map_err(|error| of_tar(error, head.is_some()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(BadArchive::Foreign(format!("its entry {name:?} is no plain file")));
        }
        let size = entry.size();
        match (&head, name.as_str()) {
            (None, MASTER_KEY) if !has_master_key && size == 32 => {
                has_master_key = true;
                drain(&mut entry, size)?;
            }
            (None, HEAD) => {
                let bytes = whole(&mut entry, size)?;
                head = Some((head_of(&bytes)?, hex(digest(&SHA256, &bytes).as_ref())));
                if let Some((head, _)) = &head {
                    take(Part::Head(head))?;
                }
            }
            (None, _) => return Err(BadArchive::Foreign(format!("it begins with {name:?}"))),
            (Some(_), FAILED) => {
                let said: serde_json::Value = parsed(&whole(&mut entry, size)?)?;
                return Err(BadArchive::Unfinished(said["error"].as_str().unwrap_or("it does not say why").to_owned()));
            }
            (Some((head, sum)), END) => {
                let end: End = parsed(&whole(&mut entry, size)?)?;
                agree(&end, sum, &came)?;
                return Ok(Contents { head: head.clone(), files: end.projects, has_master_key });
            }
            (Some((head, _)), name) => {
                let of = head.projects.iter().map(|project| project.id).find(|id| file_name(*id) == name);
                let Some(id) = of.filter(|id| !came.contains_key(id)) else {
                    return Err(BadArchive::Damaged(format!("the entry {name:?} is none that it should have")));
                };
                if size > MAX_FILE {
                    return Err(BadArchive::Damaged(format!("{name} says it has {size} bytes")));
                }
                let mut hashed = Hashed { from: Counted { from: &mut entry, read: 0 }, hash: Context::new(&SHA256) };
                take(Part::Project(id, size, &mut hashed))?;
                io::copy(&mut hashed, &mut io::sink()).map_err(of_io)?;
                if hashed.from.read != size {
                    return Err(BadArchive::CutOff);
                }
                came.insert(id, (size, hex(hashed.hash.finish().as_ref())));
            }
        }
    }
    Err(if head.is_some() { BadArchive::CutOff } else { BadArchive::Foreign("it is empty".into()) })
}

/// The master key out of the first 1024 bytes of an archive, where it has one.
pub fn peek_master_key(start: &[u8]) -> Option<Secret<[u8; 32]>> {
    let (header, rest) = start.split_first_chunk::<BLOCK>()?;
    let name = header.split(|byte| *byte == 0).next()?;
    let key = rest.first_chunk::<32>()?;
    (name == MASTER_KEY.as_bytes()).then(|| Secret::new(*key))
}

fn head_of(bytes: &[u8]) -> Result<Head, BadArchive> {
    // The format first: a later one may be written otherwise.
    let value: serde_json::Value = parsed(bytes)?;
    match value["format"].as_u64().and_then(|format| u32::try_from(format).ok()) {
        Some(FORMAT) => parsed(bytes),
        Some(later) if later > FORMAT => Err(BadArchive::Later(later)),
        _ => Err(BadArchive::Foreign(format!("its {HEAD} names no format"))),
    }
}

/// Whether what the last entry says is what came.
fn agree(end: &End, head_sha256: &str, came: &BTreeMap<Uuid, (u64, String)>) -> Result<(), BadArchive> {
    if end.head_sha256 != head_sha256 {
        return Err(BadArchive::Damaged(format!("{HEAD} was changed")));
    }
    if end.projects.len() != came.len() {
        return Err(BadArchive::Damaged(format!("{} files are listed, {} came", end.projects.len(), came.len())));
    }
    for listed in &end.projects {
        let is_it = came.get(&listed.id).is_some_and(|(bytes, sum)| (*bytes, sum) == (listed.bytes, &listed.sha256));
        if !is_it || listed.file != file_name(listed.id) {
            return Err(BadArchive::Damaged(format!("{} is not what was written", listed.file)));
        }
    }
    Ok(())
}

fn whole(entry: &mut impl Read, size: u64) -> Result<Vec<u8>, BadArchive> {
    if size > MAX_JSON {
        return Err(BadArchive::Damaged(format!("an entry says it has {size} bytes")));
    }
    let mut bytes = Vec::new();
    entry.take(size).read_to_end(&mut bytes).map_err(of_io)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(BadArchive::CutOff) }
}

fn drain(entry: &mut impl Read, size: u64) -> Result<(), BadArchive> {
    let read = io::copy(entry, &mut io::sink()).map_err(of_io)?;
    if read == size { Ok(()) } else { Err(BadArchive::CutOff) }
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadArchive> {
    serde_json::from_slice(bytes).map_err(|error| BadArchive::Damaged(error.to_string()))
}

fn of_io(error: io::Error) -> BadArchive {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BadArchive::CutOff,
        _ => BadArchive::Io(error),
    }
}

/// What tar says of bytes that are none of its own has no kind.
fn of_tar(error: io::Error, begun: bool) -> BadArchive {
    match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::InvalidData if begun => BadArchive::Damaged(error.to_string()),
        io::ErrorKind::Other | io::ErrorKind::InvalidData => BadArchive::Foreign(error.to_string()),
        io::ErrorKind::UnexpectedEof if !begun => BadArchive::Foreign("it is too short".into()),
        _ => of_io(error),
    }
}

/// Counts what is read through it.
struct Counted<R> {
    from: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(out)?;
        self.read += read as u64;
        Ok(read)
    }
}
