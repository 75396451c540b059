//! Where the bytes of one store lie: the file on disk, how it comes into being, and a view of it that needs no writing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use uuid::Uuid;

use super::mark::{self, Left};

/// Something that can be opened, and opened again after it failed.
pub trait Medium: Send + Sync {
    /// A fresh backend on the same bytes. The one before must have been closed.
    ///
    /// # Errors
    /// The system's.
    fn open(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Bytes left to grow into; `None` when that is not known.
    fn free_bytes(&self) -> Option<u64>;

    /// Keeps a durable copy of the bytes, which nobody has open, as what they were in `format`, in place of any other.
    /// Answers what to call it.
    ///
    /// # Errors
    /// The system's; there is no such copy then.
    fn keep_copy(&self, format: u64) -> io::Result<String>;

    /// Whether it is what the last process left here.
    fn left(&self) -> Left;

    /// Marks it as the one that holds `number`, and is in use.
    ///
    /// # Errors
    /// The system's.
    fn note_open(&self, number: u64, durably: bool) -> io::Result<()>;

    /// Marks it as left in good order.
    ///
    /// # Errors
    /// The system's.
    fn note_closed(&self, number: u64) -> io::Result<()>;
}

/// Where the files of projects lie, if not in a directory. Names are durable as soon as they are given or taken.
pub trait Volume: Send + Sync + fmt::Debug {
    /// Whose files it holds.
    fn projects(&self) -> Vec<Uuid>;

    /// The file of a project.
    fn file(&self, project: Uuid) -> Box<dyn Medium>;

    /// An empty file that is to become that of a project, in place of another such.
    fn unfinished(&self, project: Uuid) -> Box<dyn Medium>;

    /// Makes the unfinished file, which nobody has open, that of its project.
    ///
    /// # Errors
    /// The system's; the project has no file then.
    fn finish(&self, project: Uuid) -> io::Result<()>;

    /// Removes the file of a project, which nobody has open.
    ///
    /// # Errors
    /// The system's; the file is there still then.
    fn remove(&self, project: Uuid) -> io::Result<()>;
}

/// A file that exists.
pub(super) struct FileMedium(pub(super) PathBuf);

/// What is put behind the name of a file for the copy of what it was in `format`.
pub(super) fn kept_suffix(format: u64) -> String {
    format!(".format-{format}")
}

/// `path` with `suffix` behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Medium for FileMedium {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        let file = OpenOptions::new().read(true).write(true).open(&self.0)?;
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }

    fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.0).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn keep_copy(&self, format: u64) -> io::Result<String> {
        let kept = beside(&self.0, &kept_suffix(format));
        let unfinished = beside(&kept, ".new");
        let copy = || {
            let mut to = create_private_file(&unfinished)?;
            io::copy(&mut File::open(&self.0)?, &mut to)?;
            to.sync_all()?;
            std::fs::rename(&unfinished, &kept)?;
            sync_dir(parent(&kept))
        };
        copy().inspect_err(|_| {
            // Space may be what is missing; a leftover would only be replaced by the next attempt anyway.
            let _ = std::fs::remove_file(&unfinished);
        })?;
        Ok(kept.display().to_string())
    }

    fn left(&self) -> Left {
        mark::read(&self.0)
    }

    fn note_open(&self, number: u64, durably: bool) -> io::Result<()> {
        mark::write_open(&self.0, number, durably)
    }

    fn note_closed(&self, number: u64) -> io::Result<()> {
        mark::write_closed(&self.0, number)
    }
}

/// A new, empty file at `path` in place of any other, mode 0600 whatever the umask.
pub(super) fn create_private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The mode given to open(2) only counts for a file that was not there, and less the umask.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The directory at `path`, made when absent, mode 0700 whatever the umask.
pub(super) fn private_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_dir(parent(path))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Makes the names in a directory durable: what was created, renamed or removed there stays so after power loss.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The directory that holds `path`.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A medium's backend, as redb takes it: every operation is passed on.
#[derive(Debug)]
pub(super) struct Direct(pub(super) Box<dyn StorageBackend>);

impl StorageBackend for Direct {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}

/// A backend whose file is read and never written: what redb writes while opening (its recovery) stays in memory.
///
/// This is how reads go on while the disk takes no writes. The memory is bounded by what recovery writes, a few pages.
#[derive(Debug)]
pub(super) struct Detached {
    file: Direct,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

const BLOCK: u64 = 4096;

impl Detached {
    pub(super) fn over(file: Box<dyn StorageBackend>) -> io::Result<Self> {
        let written = Mutex::new(Written { len: file.len()?, blocks: BTreeMap::new() });
        Ok(Self { file: Direct(file), written })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One block as the file has it, zeros behind its end.
    fn block_of_file(&self, number: u64) -> io::Result<Box<[u8]>> {
        let mut block = vec![0; BLOCK as usize].into_boxed_slice();
        let start = number * BLOCK;
        let there = self.file.len()?.saturating_sub(start).min(BLOCK);
        if there > 0 {
            self.file.read(start, &mut block[..there as usize])?;
        }
        Ok(block)
    }
}

impl StorageBackend for Detached {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        let end = offset + out.len() as u64;
        if end > written.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = self.file.len()?.saturating_sub(offset).min(out.len() as u64) as usize;
        let (in_file, behind) = out.split_at_mut(there);
        if !in_file.is_empty() {
            self.file.read(offset, in_file)?;
        }
        behind.fill(0);
        for (number, block) in written.blocks.range(offset / BLOCK..end.div_ceil(BLOCK)) {
            let start = number * BLOCK;
            let (from, to) = (start.max(offset), (start + BLOCK).min(end));
            out[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&block[(from - start) as usize..(to - start) as usize]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.written().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        let end = offset + data.len() as u64;
        for number in offset / BLOCK..end.div_ceil(BLOCK) {
            let block = match written.blocks.entry(number) {
                Entry::Occupied(block) => block.into_mut(),
                Entry::Vacant(place) => place.insert(self.block_of_file(number)?),
            };
            let start = number * BLOCK;
            let (from, to) = (start.max(offset), (start + BLOCK).min(end));
            block[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
        }
        written.len = written.len.max(end);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}
