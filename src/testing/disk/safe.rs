//! What is on a disk for good, what is on its way there, and what a loss of power leaves of it.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::store::Left;

/// What a loss of power leaves of what was written and not synced. The numbers are seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// Some of the writes, each whole, in any order.
    Writes(u64),
    /// Some of the sectors of each write: pages are torn.
    Sectors(u64),
}

/// The largest piece that a disk writes whole, in bytes.
const SECTOR: usize = 512;

/// A file has one name while it is made, and another from then on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) project: Uuid,
    pub(super) unfinished: bool,
}

/// What an operation did.
#[derive(Clone)]
pub(super) enum Done {
    Nothing,
    Change(Change),
    Sync,
    /// A sync that failed.
    Unsynced,
    Mark {
        left: Left,
        durably: bool,
    },
    Named,
    Removed,
}

#[derive(Clone)]
pub(super) enum Change {
    Write(u64, Vec<u8>),
    Resize(u64),
}

/// What is on the disk, and what is on its way there.
#[derive(Clone, Default)]
pub(super) struct Safe(pub(super) BTreeMap<Name, SafeFile>);

#[derive(Clone, Default)]
pub(super) struct SafeFile {
    pub(super) bytes: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
    /// What its mark says; by default there is none. Written without a sync it is seen, and safe as `safe_left`.
    pub(super) left: Option<Left>,
    pub(super) safe_left: Option<Left>,
}

impl Safe {
    pub(super) fn take_in(&mut self, name: Name, done: &Done, number: u64) {
        let file = self.0.entry(name).or_default();
        match done {
            Done::Nothing => {}
            Done::Change(change) => file.unsynced.push(change.clone()),
            Done::Sync => std::mem::take(&mut file.unsynced).iter().for_each(|change| change.make(&mut file.bytes)),
            Done::Unsynced => {
                let mut coin = Coin(number);
                let all = std::mem::take(&mut file.unsynced);
                all.iter().filter(|_| coin.toss()).for_each(|change| change.make(&mut file.bytes));
            }
            Done::Mark { left, durably } => {
                file.left = Some(*left);
                if *durably {
                    file.safe_left = Some(*left);
                }
            }
            Done::Named => {
                let file = std::mem::take(file);
                self.0.remove(&name);
                self.0.insert(Name { unfinished: false, ..name }, file);
            }
            Done::Removed => drop(self.0.remove(&name)),
        }
    }

    /// What is on the disk when the power comes back. With `marks` files are known again.
    pub(super) fn without_power(mut self, survival: Survival, marks: bool) -> Self {
        let mut coin = match survival {
            Survival::Nothing | Survival::Everything => Coin(0),
            Survival::Writes(seed) | Survival::Sectors(seed) => Coin(seed),
        };
        for file in self.0.values_mut() {
            for change in std::mem::take(&mut file.unsynced) {
                match survival {
                    Survival::Nothing => {}
                    Survival::Everything => change.make(&mut file.bytes),
                    Survival::Writes(_) if coin.toss() => change.make(&mut file.bytes),
                    Survival::Writes(_) => {}
                    Survival::Sectors(_) => change.make_in_part(&mut file.bytes, &mut coin),
                }
            }
            let left = if survival == Survival::Everything { file.left } else { file.safe_left };
            file.left = left.filter(|_| marks);
            file.safe_left = file.left;
        }
        self
    }
}

impl Change {
    pub(super) fn make(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Resize(len) => bytes.resize(size(*len), 0),
            Self::Write(offset, data) => write(bytes, size(*offset), data),
        }
    }

    fn make_in_part(&self, bytes: &mut Vec<u8>, coin: &mut Coin) {
        match self {
            Self::Resize(_) if coin.toss() => self.make(bytes),
            Self::Resize(_) => {}
            Self::Write(offset, data) => {
                let mut at = size(*offset);
                let mut rest = data.as_slice();
                while !rest.is_empty() {
                    // To the end of the sector in which it begins.
                    let (sector, behind) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if coin.toss() {
                        write(bytes, at, sector);
                    }
                    at += sector.len();
                    rest = behind;
                }
            }
        }
    }
}

fn write(bytes: &mut Vec<u8>, start: usize, data: &[u8]) {
    let end = start + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(data);
}

/// A place in memory.
pub(super) fn size(of: u64) -> usize {
    usize::try_from(of).unwrap_or(usize::MAX)
}

/// The same tosses for the same seed (SplitMix64).
struct Coin(u64);

impl Coin {
    fn toss(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) & 1 == 1
    }
}
