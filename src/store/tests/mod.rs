//! The store's battery: the same checks for memory, redb on disk and redb on a disk that fails.

mod battery;
mod faults;
mod files;
mod fleet;
mod model;
mod moment;
pub(crate) mod pages;
mod torn;
mod upgrade;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use redb::StorageBackend;

use super::mark::Left;
use super::medium::Medium;
use super::{Engine, Step, Store, StoreError, StoreOptions, redb as engine};

pub(super) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// All rows, by both directions of scanning.
pub(super) fn rows(store: &Store) -> Result<Rows, StoreError> {
    store.read(|r| {
        let mut rows = Vec::new();
        r.scan(b"", &[0xff; 64], usize::MAX, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        let mut back = Vec::new();
        r.scan_back(b"", &[0xff; 64], usize::MAX, &mut |key, value| {
            back.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })?;
        back.reverse();
        assert_eq!(rows, back);
        assert!(rows.is_sorted());
        Ok(rows.into_iter().collect())
    })
}

pub(super) async fn put(store: &Store, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let (key, value) = (key.to_vec(), value.to_vec());
    store.write(move |w| w.put(&key, &value)).await
}

pub(super) fn get(store: &Store, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    store.read(|r| r.get(key))
}

/// A disk in memory that fails when told to. What was written and not yet synced is remembered apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// Since the last sync: `Err(length)` is a change of length.
    unsynced: Vec<Result<(u64, Vec<u8>), u64>>,
    /// Changing operations that succeed before `fault` strikes.
    pub(super) healthy: u64,
    pub(super) fault: Option<Fault>,
    pub(super) reads_fail: bool,
    pub(super) opens_fail: bool,
    pub(super) free: Option<u64>,
    pub(super) operations: u64,
    /// What was kept of it before an upgrade.
    pub(super) kept: Option<Vec<u8>>,
    /// What its mark says; by default none does.
    pub(super) left: Option<Left>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    Eio,
    Enospc,
    /// Everything seems to succeed and nothing reaches the disk any more.
    Freeze,
}

impl State {
    /// Other bytes on the disk, all of them safe there.
    pub(super) fn replace(&mut self, bytes: Vec<u8>) {
        (self.synced, self.bytes) = (bytes.clone(), bytes);
        self.unsynced.clear();
    }
}

impl Disk {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn fail_after(&self, healthy: u64, fault: Fault) {
        let mut state = self.state();
        state.healthy = healthy;
        state.fault = Some(fault);
    }

    pub(super) fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.reads_fail = false;
        state.opens_fail = false;
        state.free = None;
    }

    /// What a power failure now could leave: all that was synced, and of the rest what `survives` says.
    pub(super) fn crashed(&self, mut survives: impl FnMut() -> bool) -> Self {
        let state = self.state();
        let mut bytes = state.synced.clone();
        for change in &state.unsynced {
            if survives() {
                apply(&mut bytes, change);
            }
        }
        Self::holding(bytes)
    }

    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { synced: bytes.clone(), bytes, ..State::default() })))
    }

    pub(super) fn image(&self) -> Vec<u8> {
        self.state().bytes.clone()
    }

    pub(super) fn store(&self, new: bool) -> Result<Store, StoreError> {
        self.store_after(new, &[])
    }

    /// With a store of the format that `steps` lead to.
    pub(super) fn store_after(&self, new: bool, steps: &'static [Step]) -> Result<Store, StoreError> {
        let options = StoreOptions { cache_bytes: 1 << 20, steps, ..StoreOptions::default() };
        if new {
            engine::create(self, &options)?;
        }
        let engine = engine::Engine::open_medium(Box::new(self.clone()), &options, new, Duration::ZERO)?;
        Ok(Store(Arc::new(Engine::Redb(engine))))
    }

    /// Counts a changing operation; `Ok(false)` when it is to be swallowed.
    fn change(state: &mut State) -> io::Result<bool> {
        state.operations += 1;
        let Some(fault) = state.fault else { return Ok(true) };
        if state.healthy > 0 {
            state.healthy -= 1;
            return Ok(true);
        }
        match fault {
            Fault::Eio => Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())),
            Fault::Enospc => Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())),
            Fault::Freeze => Ok(false),
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Result<(u64, Vec<u8>), u64>) {
    match change {
        Err(len) => bytes.resize(*len as usize, 0),
        Ok((offset, data)) => {
            let start = *offset as usize;
            if bytes.len() < start + data.len() {
                bytes.resize(start + data.len(), 0);
            }
            bytes[start..start + data.len()].copy_from_slice(data);
        }
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
        Self::change(&mut state)?;
        state.kept = Some(state.bytes.clone());
        Ok("a copy".into())
    }

    fn left(&self) -> Left {
        self.state().left.unwrap_or(Left::Unknown)
    }

    fn note_open(&self, number: u64, _durably: bool) -> io::Result<()> {
        self.state().left = Some(Left::Open(number));
        Ok(())
    }

    fn note_closed(&self, _number: u64) -> io::Result<()> {
        self.state().left = Some(Left::Closed);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if state.reads_fail {
            return Err(io::Error::other("bad sector"));
        }
        let start = offset as usize;
        out.copy_from_slice(state.bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        let reaches = Self::change(&mut state)?;
        state.bytes.resize(len as usize, 0);
        if reaches {
            state.unsynced.push(Err(len));
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        if Self::change(&mut state)? {
            let State { synced, unsynced, .. } = &mut *state;
            unsynced.drain(..).for_each(|change| apply(synced, &change));
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let reaches = Self::change(&mut state)?;
        let change = Ok((offset, data.to_vec()));
        apply(&mut state.bytes, &change);
        if reaches {
            state.unsynced.push(change);
        }
        Ok(())
    }
}
