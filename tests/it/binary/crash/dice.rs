//! Chance that can be had again: the same run when the seed is the same.

/// A number from a seed.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// A source of its own for every purpose.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of `0..sides` (SplitMix64).
    pub fn roll(&mut self, sides: usize) -> usize {
        (self.next() % sides as u64) as usize
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.roll(these.len())]
    }

    /// A password that stands nowhere by chance.
    pub fn password(&mut self) -> String {
        format!("pw-{:016x}{:016x}", self.next(), self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
