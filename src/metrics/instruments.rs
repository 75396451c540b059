//! Instruments of relaxed atomics: counted up, held, spread over bounds.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number for each of `N` outcomes, which are numbered from 0.
#[derive(Debug)]
pub struct Counts<K, const N: usize>([Count; N], PhantomData<fn(K)>);

impl<K, const N: usize> Default for Counts<K, N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()), PhantomData)
    }
}

impl<K: Into<usize>, const N: usize> Counts<K, N> {
    /// One more of `kind`.
    pub fn one(&self, kind: K) {
        if let Some(count) = self.0.get(kind.into()) {
            count.one();
        }
    }

    /// How many there were of `kind`.
    pub fn get(&self, kind: K) -> u64 {
        self.0.get(kind.into()).map_or(0, Count::get)
    }
}

/// How many there are now.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// One more, until what is answered is dropped.
    pub fn hold<T: AsRef<Self>>(whole: &Arc<T>) -> Held<T> {
        AsRef::<Self>::as_ref(&**whole).0.fetch_add(1, Relaxed);
        Held(Arc::clone(whole))
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One of those a [`Level`] counts.
#[derive(Debug)]
pub struct Held<T: AsRef<Level>>(Arc<T>);

impl<T: AsRef<Level>> Drop for Held<T> {
    fn drop(&mut self) {
        self.0.as_ref().as_ref().0.fetch_sub(1, Relaxed);
    }
}

impl AsRef<Level> for super::Network {
    fn as_ref(&self) -> &Level {
        &self.open
    }
}

/// How often a value fell between two bounds.
#[derive(Debug)]
pub struct Spread {
    bounds: &'static [u64],
    /// What one unit of a value is in the unit that is told.
    scale: f64,
    /// For each bound those up to it and above the one before; at the end those above all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Spread {
    /// Of durations; the bounds are microseconds, ascending.
    pub fn of_seconds(bounds: &'static [u64]) -> Self {
        Self::new(bounds, 1e-6)
    }

    /// Of numbers of things; the bounds ascend.
    pub fn of_things(bounds: &'static [u64]) -> Self {
        Self::new(bounds, 1.0)
    }

    fn new(bounds: &'static [u64], scale: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, scale, counts, sum: AtomicU64::new(0) }
    }

    /// One more that took so long.
    pub fn took(&self, span: Duration) {
        self.saw(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }

    /// One more of this size, in the unit of the bounds.
    pub fn saw(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// The sum of all values, their number, and how many fell up to each bound and above the one before.
    pub(super) fn told(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let scaled = |value: u64| value as f64 * self.scale;
        let bounds = self.bounds.iter().map(|bound| scaled(*bound)).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.counts.iter().map(|count| count.load(Relaxed))).collect();
        // Of what was read, not read again: a page must agree with itself.
        let count = buckets.iter().map(|(_, count)| count).sum();
        (scaled(self.sum.load(Relaxed)), count, buckets)
    }
}

/// How the last backup went that the server took by itself.
#[derive(Debug, Default)]
pub struct Backups {
    /// Seconds since 1970; 0 for none.
    last: AtomicU64,
    trouble: Mutex<Option<Arc<str>>>,
}

impl Backups {
    /// One was taken, in seconds since 1970.
    pub fn succeeded(&self, at: u64) {
        self.last.store(at, Relaxed);
        self.set_trouble(None);
    }

    /// One failed.
    pub fn failed(&self, why: String) {
        self.set_trouble(Some(why.into()));
    }

    /// None are taken any more.
    pub fn forget(&self) {
        self.last.store(0, Relaxed);
        self.set_trouble(None);
    }

    /// When the last one was taken, in seconds since 1970.
    pub fn last(&self) -> Option<u64> {
        Some(self.last.load(Relaxed)).filter(|at| *at > 0)
    }

    /// Why the last attempt failed, if it did.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<Arc<str>>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_up_to_its_bound() {
        let spread = Spread::of_things(&[1, 10]);
        for value in [0, 1, 2, 10, 11] {
            spread.saw(value);
        }
        assert_eq!(spread.told(), (24.0, 5, vec![(1.0, 2), (10.0, 2), (f64::INFINITY, 1)]));
        let spread = Spread::of_seconds(&[1_500]);
        spread.took(Duration::from_micros(1_500));
        spread.took(Duration::MAX);
        let (_, count, buckets) = spread.told();
        assert_eq!((count, buckets[0]), (2, (0.0015, 1)));
    }

    #[test]
    fn what_is_held_is_let_go() {
        let network = Arc::new(super::super::Network::default());
        let held = [Level::hold(&network), Level::hold(&network)];
        assert_eq!(network.open.get(), 2);
        drop(held);
        assert_eq!(network.open.get(), 0);
    }
}
