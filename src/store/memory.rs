//! The memory engine: a sorted map behind the same jobs, for tests and `--ephemeral`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Read, StoreError, Visit, Write, job};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// `None` once closed. A reader keeps the map it started with; a writer that finds one copies the map.
pub(super) struct Engine {
    rows: Mutex<Option<Arc<Rows>>>,
    version: AtomicU64,
}

impl Default for Engine {
    fn default() -> Self {
        Self { rows: Mutex::new(Some(Arc::default())), version: AtomicU64::new(0) }
    }
}

impl Engine {
    pub(super) fn read<T, E: From<StoreError>>(&self, mut view: impl FnMut(&dyn Read) -> Result<T, E>) -> Result<T, E> {
        let rows = self.lock().clone().ok_or(StoreError::Closed)?;
        view(&*rows)
    }

    pub(super) fn write<T, E: From<StoreError>>(
        &self,
        mut job: impl FnMut(&mut dyn Write) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.lock();
        let rows = state.as_mut().ok_or(StoreError::Closed)?;
        let (outcome, changes, _) = job::run(&mut job, &**rows);
        if let Some(changes) = changes.filter(|changes| !changes.is_empty()) {
            let rows = Arc::make_mut(rows);
            for (key, value) in changes {
                match value {
                    Some(value) => rows.insert(key, value),
                    None => rows.remove(&key),
                };
            }
            self.version.fetch_add(1, Ordering::Release);
        }
        outcome
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        *self.lock() = None;
        self.version.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Rows>>> {
        // Jobs run under the lock, but their panics are caught and the map is only touched after they returned.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(BTreeMap::get(self, key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from < to {
            let _ = self.range::<[u8], _>(between(from, to)).take(limit).try_for_each(|(k, v)| visit(k, v));
        }
        Ok(())
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from < to {
            let _ = self.range::<[u8], _>(between(from, to)).rev().take(limit).try_for_each(|(k, v)| visit(k, v));
        }
        Ok(())
    }
}

fn between<'a>(from: &'a [u8], to: &'a [u8]) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(from), Bound::Excluded(to))
}
