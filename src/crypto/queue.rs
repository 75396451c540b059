//! A bounded queue that is fair by client: first in, first out within a client, turn by turn between clients.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// Clients that share one turn in the queue: an IPv4 address or an IPv6 /64, as the caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientGroup(pub u128);

/// The queue. Each group with waiting jobs has one place in the round, so that a group waits for at most one job of
/// every other group, however many those have queued.
pub(super) struct FairQueue<J> {
    waiting: HashMap<ClientGroup, VecDeque<J>>,
    /// Every group in `waiting`, once, in order of their next turn.
    round: VecDeque<ClientGroup>,
    /// Every group in `waiting`, once, by the length of its line; finds the longest without a scan.
    by_length: BTreeSet<(usize, ClientGroup)>,
    length: usize,
    capacity: usize,
}

/// What became of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed<J> {
    /// It waits.
    Queued,
    /// It waits in the place of this one, the newest job of the longest line.
    Displaced(J),
    /// It does not wait: the queue is full and giving it a place would not make the lines more even.
    Refused(J),
}

impl<J> FairQueue<J> {
    /// A queue for at most `capacity` jobs of all groups together.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            round: VecDeque::new(),
            by_length: BTreeSet::new(),
            length: 0,
            capacity: capacity.max(1),
        }
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// How many groups wait for their turn.
    pub(super) fn groups(&self) -> usize {
        self.round.len()
    }

    /// Adds a job at the end of its group's line.
    pub(super) fn push(&mut self, from: ClientGroup, job: J) -> Pushed<J> {
        if self.length < self.capacity {
            self.append(from, job);
            return Pushed::Queued;
        }
        let own = self.waiting.get(&from).map_or(0, VecDeque::len);
        // With lines of equal or nearly equal length a displacement would only swap who waits.
        match self.by_length.last() {
            Some(&(longest, crowd)) if longest > own + 1 => {
                let displaced = self.take(crowd, VecDeque::pop_back).expect("a group in the queue has a job");
                self.append(from, job);
                Pushed::Displaced(displaced)
            }
            _ => Pushed::Refused(job),
        }
    }

    /// The next job: the oldest of the group whose turn it is.
    pub(super) fn pop(&mut self) -> Option<J> {
        let group = self.round.pop_front()?;
        let job = self.take(group, VecDeque::pop_front);
        if self.waiting.contains_key(&group) {
            self.round.push_back(group);
        }
        job
    }

    fn append(&mut self, group: ClientGroup, job: J) {
        let line = self.waiting.entry(group).or_default();
        if line.is_empty() {
            self.round.push_back(group);
        } else {
            self.by_length.remove(&(line.len(), group));
        }
        line.push_back(job);
        self.by_length.insert((line.len(), group));
        self.length += 1;
    }

    /// Takes one job from a line. The caller keeps `round` in step when the line ends; a displaced line has two or more.
    fn take(&mut self, group: ClientGroup, end: fn(&mut VecDeque<J>) -> Option<J>) -> Option<J> {
        let line = self.waiting.get_mut(&group)?;
        self.by_length.remove(&(line.len(), group));
        let job = end(line)?;
        self.length -= 1;
        if line.is_empty() {
            self.waiting.remove(&group);
        } else {
            self.by_length.insert((line.len(), group));
        }
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: ClientGroup = ClientGroup(1);
    const B: ClientGroup = ClientGroup(2);
    const C: ClientGroup = ClientGroup(3);

    fn drain<J>(queue: &mut FairQueue<J>) -> Vec<J> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn groups_take_turns_and_keep_their_order() {
        let mut queue = FairQueue::new(100);
        for job in ["a1", "a2", "a3"] {
            queue.push(A, job);
        }
        queue.push(B, "b1");
        queue.push(C, "c1");
        queue.push(B, "b2");
        assert_eq!(drain(&mut queue), ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_flood_does_not_delay_another_group() {
        let mut queue = FairQueue::new(2000);
        for job in 0..1000 {
            queue.push(A, job);
        }
        queue.push(B, 5000);
        assert_eq!(queue.pop(), Some(0));
        assert_eq!(queue.pop(), Some(5000));
    }

    #[test]
    fn a_full_queue_makes_room_for_others_at_the_cost_of_the_longest_line() {
        let mut queue = FairQueue::new(3);
        for job in ["a1", "a2", "a3"] {
            assert_eq!(queue.push(A, job), Pushed::Queued);
        }
        assert_eq!(queue.push(A, "a4"), Pushed::Refused("a4"));
        assert_eq!(queue.push(B, "b1"), Pushed::Displaced("a3"));
        assert_eq!(queue.push(B, "b2"), Pushed::Refused("b2"));
        assert_eq!(queue.push(C, "c1"), Pushed::Displaced("a2"));
        assert_eq!(queue.push(ClientGroup(4), "d1"), Pushed::Refused("d1"), "all lines are even");
        assert_eq!(drain(&mut queue), ["a1", "b1", "c1"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_out_of_bound(steps in prop::collection::vec(prop::option::of(0u128..5), 0..300)) {
            let mut queue = FairQueue::new(16);
            let (mut inside, mut next) = (BTreeSet::new(), 0u32);
            for step in steps {
                match step {
                    Some(group) => {
                        inside.insert(next);
                        match queue.push(ClientGroup(group), next) {
                            Pushed::Queued => {}
                            Pushed::Displaced(out) | Pushed::Refused(out) => prop_assert!(inside.remove(&out)),
                        }
                        next += 1;
                    }
                    None => match queue.pop() {
                        Some(out) => prop_assert!(inside.remove(&out)),
                        None => prop_assert!(inside.is_empty()),
                    },
                }
                prop_assert_eq!(queue.len(), inside.len());
                prop_assert!(queue.len() <= 16);
                prop_assert_eq!(queue.round.len(), queue.waiting.len());
                prop_assert_eq!(queue.by_length.len(), queue.waiting.len());
            }
            prop_assert_eq!(drain(&mut queue).into_iter().collect::<BTreeSet<_>>(), inside);
        }
    }
}
