//! Uncommitted changes laid over a state: what a job writes before it is kept, and what a batch has kept so far.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::{Read, StoreError, Visit, Write};

/// New values by key; `None` is a removal.
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// `changes` seen over `base`.
pub(super) struct Layer<'a> {
    pub(super) changes: &'a Changes,
    pub(super) base: &'a dyn Read,
}

impl Read for Layer<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let Some(mut merge) = Merge::new(self.range(from, to), limit, visit, |change, row| change < row) else {
            return Ok(());
        };
        // The base has no limit of its own: removals may hide any number of its rows.
        self.base.scan(from, to, usize::MAX, &mut |key, value| merge.row(key, value))?;
        merge.finish();
        Ok(())
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let range = self.range(from, to).map(Iterator::rev);
        let Some(mut merge) = Merge::new(range, limit, visit, |change, row| change > row) else {
            return Ok(());
        };
        self.base.scan_back(from, to, usize::MAX, &mut |key, value| merge.row(key, value))?;
        merge.finish();
        Ok(())
    }
}

impl<'a> Layer<'a> {
    /// The changes with `from <= key < to`; `None` when no key can be.
    fn range(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> Option<impl DoubleEndedIterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)> + use<'a>> {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        (from < to).then(|| self.changes.range::<[u8], _>(bounds))
    }
}

/// Merges the rows of a base, handed in one after the other, with changes in the same order.
struct Merge<'v, 'f, I: Iterator> {
    changes: std::iter::Peekable<I>,
    left: usize,
    visit: &'v mut Visit<'f>,
    /// Whether a change's key comes before a row's key in the order of this scan.
    before: fn(&[u8], &[u8]) -> bool,
    done: bool,
}

impl<'a, 'v, 'f, I: Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>> Merge<'v, 'f, I> {
    fn new(
        changes: Option<I>,
        limit: usize,
        visit: &'v mut Visit<'f>,
        before: fn(&[u8], &[u8]) -> bool,
    ) -> Option<Self> {
        let changes = changes.filter(|_| limit > 0)?;
        Some(Self { changes: changes.peekable(), left: limit, visit, before, done: false })
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        let before = self.before;
        while let Some((changed, new)) = self.changes.next_if(|(changed, _)| before(changed, key)) {
            self.show(changed, new.as_deref())?;
        }
        match self.changes.next_if(|(changed, _)| changed.as_slice() == key) {
            Some((changed, new)) => self.show(changed, new.as_deref()),
            None => self.show(key, Some(value)),
        }
    }

    /// The changes behind the base's last row.
    fn finish(mut self) {
        while !self.done
            && let Some((changed, new)) = self.changes.next()
        {
            // `show` itself remembers that the scan is over.
            let _ = self.show(changed, new.as_deref());
        }
    }

    fn show(&mut self, key: &[u8], value: Option<&[u8]>) -> ControlFlow<()> {
        let Some(value) = value else { return ControlFlow::Continue(()) };
        self.left -= 1;
        let flow = (self.visit)(key, value);
        if flow.is_break() || self.left == 0 {
            self.done = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// The state a job works on: its own changes over everything before it.
pub(super) struct Overlay<'a> {
    changes: Changes,
    base: &'a dyn Read,
}

impl<'a> Overlay<'a> {
    pub(super) fn over(base: &'a dyn Read) -> Self {
        Self { changes: Changes::new(), base }
    }

    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }

    fn layer(&self) -> Layer<'_> {
        Layer { changes: &self.changes, base: self.base }
    }
}

impl Read for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.layer().get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.layer().scan(from, to, limit, visit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.layer().scan_back(from, to, limit, visit)
    }
}

impl Write for Overlay<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.changes.insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.changes.insert(key.to_vec(), None);
        Ok(())
    }
}
