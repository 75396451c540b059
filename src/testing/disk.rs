//! A disk in memory, for stores and whole servers: it fails when told to, and knows what a loss of power could leave.
//!
//! What is written is seen at once, as through the page cache, and safe only after a sync. After a sync that failed some
//! of what it should have made safe is, the rest is seen and lost all the same: so does Linux. Marks beside files count
//! as operations like writes; names are safe as soon as they are given or taken.

mod safe;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use uuid::Uuid;

pub use self::safe::Survival;
use self::safe::{Change, Done, Name, Safe, size};
use crate::store::{Left, Medium, Volume};

/// A file on the disk, and the disk. Clones are the same file.
#[derive(Clone, Default)]
pub struct Disk {
    shared: Arc<Mutex<State>>,
    name: Name,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error of input or output.
    Eio,
    /// No space left.
    Enospc,
    /// Everything seems to succeed and nothing reaches the disk any more.
    Freeze,
}

#[derive(Default)]
struct State {
    /// What is seen.
    files: BTreeMap<Name, Vec<u8>>,
    /// What was kept of files before an upgrade.
    copies: BTreeMap<Name, Vec<u8>>,
    safe: Safe,
    fault: Option<Armed>,
    reads_fail: bool,
    opens_fail: bool,
    free: Option<u64>,
    operations: u64,
    history: Option<History>,
}

struct Armed {
    fault: Fault,
    /// Operations that succeed before it strikes.
    healthy: u64,
    once: bool,
}

/// What was safe at one operation, and all that was done since.
struct History {
    from: u64,
    safe: Safe,
    done: Vec<(Name, Done)>,
}

impl Disk {
    /// A disk with one file.
    pub fn holding(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.replace(bytes);
        disk
    }

    /// Lets `healthy` operations succeed, then `fault` strikes at every one.
    pub fn fail_after(&self, healthy: u64, fault: Fault) {
        self.state().fault = Some(Armed { fault, healthy, once: false });
    }

    /// Lets `healthy` operations succeed, then `fault` strikes at one.
    pub fn fail_once_after(&self, healthy: u64, fault: Fault) {
        self.state().fault = Some(Armed { fault, healthy, once: true });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.fault, state.free) = (None, None);
        (state.reads_fail, state.opens_fail) = (false, false);
    }

    /// From now on no byte can be read.
    pub fn fail_reads(&self) {
        self.state().reads_fail = true;
    }

    /// From now on no file can be opened.
    pub fn fail_opens(&self) {
        self.state().opens_fail = true;
    }

    /// Says that so many bytes are free.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.state().free = Some(bytes);
    }

    /// Operations that change something, so far: writes, changes of length, syncs, marks and names.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// From now on remembers what is done, for [`Disk::after_power_loss`].
    pub fn remember(&self) {
        let mut state = self.state();
        state.history = Some(History { from: state.operations, safe: state.safe.clone(), done: Vec::new() });
    }

    /// Another disk with what a loss of power would have left on this one after so many [operations](Disk::operations),
    /// none of them before [`Disk::remember`]. With `marks` it knows its files again; without, they are checked whole.
    pub fn after_power_loss(&self, operations: u64, survival: Survival, marks: bool) -> Self {
        let state = self.state();
        let mut safe = Safe::default();
        if let Some(history) = &state.history {
            safe = history.safe.clone();
            let number = usize::try_from(operations.saturating_sub(history.from)).unwrap_or(usize::MAX);
            for (at, (name, done)) in history.done.iter().enumerate().take(number) {
                safe.take_in(*name, done, history.from + at as u64);
            }
        }
        drop(state);
        Self::powered_on(safe.without_power(survival, marks))
    }

    /// Another disk with what a loss of power now would leave. Files are not known again.
    pub fn crashed(&self, survival: Survival) -> Self {
        let safe = self.state().safe.clone();
        Self::powered_on(safe.without_power(survival, false))
    }

    /// Another disk with the same on it, nothing of it on its way.
    pub fn copy(&self) -> Self {
        let safe = self.state().safe.clone();
        Self::powered_on(safe.without_power(Survival::Everything, true))
    }

    /// What is seen of the file.
    pub fn image(&self) -> Vec<u8> {
        self.state().files.get(&self.name).cloned().unwrap_or_default()
    }

    /// What is seen of every file.
    pub fn images(&self) -> Vec<Vec<u8>> {
        self.state().files.values().cloned().collect()
    }

    /// All that was written since [`Disk::remember`], piece by piece.
    pub fn written(&self) -> Vec<Vec<u8>> {
        let state = self.state();
        let all = state.history.iter().flat_map(|history| &history.done);
        let data = |(_, done): &(Name, Done)| match done {
            Done::Change(Change::Write(_, data)) => Some(data.clone()),
            _ => None,
        };
        all.filter_map(data).collect()
    }

    /// Other bytes in the file, all of them safe there.
    pub fn replace(&self, bytes: Vec<u8>) {
        let mut state = self.state();
        let safe = state.safe.0.entry(self.name).or_default();
        safe.unsynced.clear();
        safe.bytes.clone_from(&bytes);
        state.files.insert(self.name, bytes);
    }

    /// What was kept of the file before an upgrade.
    pub fn kept(&self) -> Option<Vec<u8>> {
        self.state().copies.get(&self.name).cloned()
    }

    /// Puts another mark beside the file.
    #[cfg(test)]
    pub(crate) fn set_left(&self, left: Left) {
        let mut state = self.state();
        let safe = state.safe.0.entry(self.name).or_default();
        (safe.left, safe.safe_left) = (Some(left), Some(left));
    }

    fn powered_on(safe: Safe) -> Self {
        let files = safe.0.iter().map(|(name, file)| (*name, file.bytes.clone())).collect();
        Self { shared: Arc::new(Mutex::new(State { files, safe, ..State::default() })), name: Name::default() }
    }

    fn named(&self, project: Uuid, unfinished: bool) -> Self {
        Self { shared: Arc::clone(&self.shared), name: Name { project, unfinished } }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Only plain values change under this lock.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does it, unless a fault strikes. What is seen is changed by whoever calls.
    fn operate(&self, state: &mut State, done: Done) -> io::Result<()> {
        let number = state.operations;
        state.operations += 1;
        let struck = state.strikes();
        let done = match (struck, done) {
            (None, done) => done,
            (Some(Fault::Eio | Fault::Enospc), Done::Sync) => Done::Unsynced,
            (Some(_), _) => Done::Nothing,
        };
        state.safe.take_in(self.name, &done, number);
        if let Some(history) = &mut state.history {
            history.done.push((self.name, done));
        }
        let errno = match struck {
            None | Some(Fault::Freeze) => return Ok(()),
            Some(Fault::Eio) => rustix::io::Errno::IO,
            Some(Fault::Enospc) => rustix::io::Errno::NOSPC,
        };
        Err(io::Error::from_raw_os_error(errno.raw_os_error()))
    }
}

impl State {
    /// The fault that strikes at this operation.
    fn strikes(&mut self) -> Option<Fault> {
        let armed = self.fault.as_mut()?;
        if armed.healthy > 0 {
            armed.healthy -= 1;
            return None;
        }
        let fault = armed.fault;
        if armed.once {
            self.fault = None;
        }
        Some(fault)
    }
}

impl Medium for Disk {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        if self.state().opens_fail {
            return Err(io::Error::other("no such device"));
        }
        Ok(Box::new(self.clone()))
    }

    fn free_bytes(&self) -> Option<u64> {
        self.state().free
    }

    fn keep_copy(&self, _format: u64) -> io::Result<String> {
        let mut state = self.state();
        self.operate(&mut state, Done::Nothing)?;
        let bytes = state.files.get(&self.name).cloned().unwrap_or_default();
        state.copies.insert(self.name, bytes);
        Ok("a copy".into())
    }

    fn left(&self) -> Left {
        self.state().safe.0.get(&self.name).and_then(|file| file.left).unwrap_or(Left::Unknown)
    }

    fn note_open(&self, number: u64, durably: bool) -> io::Result<()> {
        self.operate(&mut self.state(), Done::Mark { left: Left::Open(number), durably })
    }

    fn note_closed(&self, _number: u64) -> io::Result<()> {
        self.operate(&mut self.state(), Done::Mark { left: Left::Closed, durably: false })
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().files.get(&self.name).map_or(0, |bytes| bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if state.reads_fail {
            return Err(io::Error::other("bad sector"));
        }
        let start = size(offset);
        let bytes = state.files.get(&self.name).and_then(|bytes| bytes.get(start..start.checked_add(out.len())?));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(&Change::Resize(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.operate(&mut self.state(), Done::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(&Change::Write(offset, data.to_vec()))
    }
}

impl Disk {
    fn change(&self, change: &Change) -> io::Result<()> {
        let mut state = self.state();
        self.operate(&mut state, Done::Change(change.clone()))?;
        change.make(state.files.entry(self.name).or_default());
        Ok(())
    }
}

impl Volume for Disk {
    fn projects(&self) -> Vec<Uuid> {
        let state = self.state();
        state.files.keys().filter(|name| !name.unfinished).map(|name| name.project).collect()
    }

    fn file(&self, project: Uuid) -> Box<dyn Medium> {
        Box::new(self.named(project, false))
    }

    fn unfinished(&self, project: Uuid) -> Box<dyn Medium> {
        let file = self.named(project, true);
        file.replace(Vec::new());
        Box::new(file)
    }

    fn finish(&self, project: Uuid) -> io::Result<()> {
        let file = self.named(project, true);
        let mut state = self.state();
        file.operate(&mut state, Done::Named)?;
        if let Some(bytes) = state.files.remove(&file.name) {
            state.files.insert(Name { project, unfinished: false }, bytes);
        }
        Ok(())
    }

    fn remove(&self, project: Uuid) -> io::Result<()> {
        let file = self.named(project, false);
        let mut state = self.state();
        file.operate(&mut state, Done::Removed)?;
        state.files.remove(&file.name);
        Ok(())
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}
