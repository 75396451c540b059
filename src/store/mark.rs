//! Whether a file lies as the last process left it, or was brought here: copied back, moved, or replaced.
//!
//! redb trusts the header of a file that was not closed, which is why a start after `kill -9` takes a millisecond however
//! large the file is. A raw copy of a file in use has such a header too, but its pages are of several moments. The two
//! are told apart by a mark: a number in the file that a commit renews, and beside the file, in `NAME.opened`, the same
//! number with the inode and the time of birth of the file it is about, or, once the file is closed, also with its length
//! and the time of its last change. A file that agrees with its mark is one that we left here, and is opened at once. Any
//! other, whatever its header says, is checked whole, once: the checksum of every page. (A header that says "closed"
//! proves nothing: the copy of it may have been made before the file was opened, and the rest after.)
//!
//! The mark beside the file is written first, durably, and the commit that brings the number into the file comes after
//! it. Whatever a crash leaves of this, the worst is that a sound file is checked; none is refused for its mark. Where a
//! mark cannot be written, as on a full disk, the file is opened all the same.
//!
//! Not told apart: a copy that was made within the last [`RENEWED_AFTER`] before a crash, or since the last commit before
//! it, and put back into the same inode before the file was opened again. And a snapshot of the whole file system is what
//! a crash leaves, which is as good.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::medium::beside;

/// How old a mark gets while a file is written to.
pub(super) const RENEWED_AFTER: Duration = Duration::from_secs(60);

/// What is put behind the name of a file for its mark.
pub(super) const SUFFIX: &str = ".opened";

/// Numbers of which none comes twice, as 64 random bits do not.
#[derive(Clone)]
pub struct Numbers(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Numbers {
    /// Those that `draw` gives.
    pub fn from(draw: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    pub(super) fn draw(&self) -> u64 {
        (self.0)()
    }
}

impl Default for Numbers {
    /// Counted: no two alike in one process.
    fn default() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        Self::from(|| COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Numbers")
    }
}

/// What the mark beside a file says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// We closed it, and nobody has changed it since.
    Closed,
    /// It is ours if it holds this number: it was in use when the last process ended.
    Open(u64),
    /// Nothing: there is no mark, or it is about another file.
    Unknown,
}

/// What the mark beside the file at `path` says of it.
pub(super) fn read(path: &Path) -> Left {
    let (Some(mark), Ok(is)) = (Mark::load(path), Is::of(path)) else { return Left::Unknown };
    match mark.closed {
        _ if (mark.inode, mark.born) != (is.inode, is.born) => Left::Unknown,
        Some(closed) if closed == is.state => Left::Closed,
        Some(_) => Left::Unknown,
        None => Left::Open(mark.number),
    }
}

/// Marks the file at `path`, which is about to be written to, as the one that holds `number`.
pub(super) fn write_open(path: &Path, number: u64, durably: bool) -> io::Result<()> {
    let is = Is::of(path)?;
    let file = Mark { inode: is.inode, born: is.born, number, closed: None }.store(path)?;
    if durably { file.sync_data() } else { Ok(()) }
}

/// Marks the file at `path`, which was closed, as what it is now. Where this is lost, the mark of before still holds.
pub(super) fn write_closed(path: &Path, number: u64) -> io::Result<()> {
    let is = Is::of(path)?;
    Mark { inode: is.inode, born: is.born, number, closed: Some(is.state) }.store(path).map(drop)
}

/// Where the mark of the file at `path` lies.
pub(super) fn path_of(path: &Path) -> PathBuf {
    beside(path, SUFFIX)
}

/// A file as the system knows it: another one, or one that was changed, is unlike it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Is {
    inode: u64,
    born: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    bytes: u64,
    /// When it was last changed, seconds and nanoseconds.
    changed: (i64, i64),
}

impl Is {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        // Not every file system keeps it; the inode then stands alone.
        let born = found.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let born = born.map_or(0, |born| u64::try_from(born.as_nanos()).unwrap_or(u64::MAX));
        let state = State { bytes: found.len(), changed: (found.mtime(), found.mtime_nsec()) };
        Ok(Self { inode: found.ino(), born, state })
    }
}

struct Mark {
    inode: u64,
    born: u64,
    number: u64,
    closed: Option<State>,
}

/// Bytes of a mark: always as many, so that one is written over another in one piece.
const BYTES: usize = 160;

impl Mark {
    fn load(path: &Path) -> Option<Self> {
        let mut text = String::new();
        File::open(path_of(path)).ok()?.take(BYTES as u64).read_to_string(&mut text).ok()?;
        let mut words = text.split_ascii_whitespace();
        if text.len() != BYTES || words.next() != Some("keystead-mark") || words.next() != Some("1") {
            return None;
        }
        let mut next = || words.next()?.parse::<u64>().ok();
        let (inode, born, number) = (next()?, next()?, next()?);
        let closed = match words.next()? {
            "open" => None,
            "closed" => {
                let mut next = || words.next()?.parse::<i64>().ok();
                Some(State { bytes: u64::try_from(next()?).ok()?, changed: (next()?, next()?) })
            }
            _ => return None,
        };
        Some(Self { inode, born, number, closed })
    }

    fn store(&self, path: &Path) -> io::Result<File> {
        let state = match self.closed {
            None => "open".to_owned(),
            Some(State { bytes, changed: (seconds, nanos) }) => format!("closed {bytes} {seconds} {nanos}"),
        };
        let text = format!("keystead-mark 1 {} {} {} {state}", self.inode, self.born, self.number);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path_of(path))?;
        file.write_all_at(format!("{text:<width$}\n", width = BYTES - 1).as_bytes(), 0)?;
        Ok(file)
    }
}
