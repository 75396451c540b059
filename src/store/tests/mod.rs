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
use std::ops::ControlFlow;

use super::{Step, Store, StoreError, StoreOptions, redb as engine};
pub(super) use crate::testing::{Disk, Fault, Survival};

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

/// Stores on a disk that fails when told to.
pub(super) trait Stores {
    fn store(&self, new: bool) -> Result<Store, StoreError> {
        self.store_after(new, &[])
    }

    /// With a store of the format that `steps` lead to.
    fn store_after(&self, new: bool, steps: &'static [Step]) -> Result<Store, StoreError>;
}

impl Stores for Disk {
    fn store_after(&self, new: bool, steps: &'static [Step]) -> Result<Store, StoreError> {
        let options = StoreOptions { cache_bytes: 1 << 20, steps, ..StoreOptions::default() };
        if new {
            engine::create(self, &options)?;
        }
        Store::open_medium(Box::new(self.clone()), &options, new)
    }
}
