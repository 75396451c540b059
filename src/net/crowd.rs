//! Who gives way when every place is taken: the connection that has kept the server waiting longest.
//!
//! And who gives way when too much waits for its clients to take it: whoever has let an answer wait longest.
//!
//! Without this a thousand strangers who connect and say nothing would shut everybody else out until their time is up,
//! and then the next thousand. A connection the server is at work for never has to go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::pulse::Pulse;

/// How many connections are compared to find one that goes; with more of them, the next so many in turn.
const COMPARED: usize = 2048;

/// All connections that have a place.
#[derive(Default)]
pub(super) struct Crowd(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    taken: BTreeMap<u64, Arc<Pulse>>,
    next: u64,
    /// Where comparing goes on.
    turn: u64,
    /// Those that were asked to go and have not gone yet.
    leaving: usize,
}

/// What became of a place that is wanted.
pub(super) enum Wanted {
    /// Somebody is leaving.
    OnItsWay,
    /// Nobody may be asked before so much time.
    In(Duration),
    /// The server is at work for everybody.
    Nobody,
}

impl Crowd {
    /// Counts a connection in, until what is returned is dropped.
    pub(super) fn join(self: &Arc<Self>, pulse: Arc<Pulse>) -> Seat {
        let mut seats = self.seats();
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, pulse.clone());
        Seat { crowd: self.clone(), number, pulse }
    }

    /// Asks the one to go who has kept us waiting longest, `patience` at least; before all others, one who never asked
    /// for anything.
    pub(super) fn want_place(&self, patience: Duration) -> Wanted {
        self.want(patience, |_| true)
    }

    /// Asks the one to go who has let an answer wait longest, `patience` at least.
    pub(super) fn want_memory(&self, patience: Duration) {
        // What comes of it is for the next answer.
        let _ = self.want(patience, Pulse::has_answers);
    }

    fn want(&self, patience: Duration, may_go: impl Fn(&Pulse) -> bool) -> Wanted {
        let mut seats = self.seats();
        if seats.leaving > 0 {
            return Wanted::OnItsWay;
        }
        let after = seats.taken.range(seats.turn..).chain(seats.taken.range(..seats.turn)).take(COMPARED);
        let (mut first, mut longest, mut last) = (None, None, seats.turn);
        for (number, pulse) in after {
            last = *number;
            let Some(waited) = pulse.kept_waiting().filter(|_| may_go(pulse)) else { continue };
            longest = longest.max(Some(waited));
            let rank = (!pulse.had_request(), waited);
            if waited >= patience && first.as_ref().is_none_or(|(most, _)| rank > *most) {
                first = Some((rank, pulse));
            }
        }
        let Some((_, pulse)) = first else {
            return longest.map_or(Wanted::Nobody, |waited| Wanted::In(patience.saturating_sub(waited)));
        };
        pulse.ask_to_leave();
        seats.leaving += 1;
        seats.turn = last + 1;
        Wanted::OnItsWay
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's seat, until dropped.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    pulse: Arc<Pulse>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.crowd.seats();
        seats.taken.remove(&self.number);
        // Under the lock, where it was asked.
        if self.pulse.is_asked_to_leave() {
            seats.leaving -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limits;
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// Until it has kept us waiting for some of the clock's steps.
    fn let_wait(pulse: &Pulse) {
        while pulse.kept_waiting() < Some(Duration::from_millis(5)) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn whoever_keeps_us_waiting_longest_goes() {
        let crowd = Arc::new(Crowd::default());
        let come = || {
            let pulse = Pulse::new(&Limits::default());
            (crowd.join(pulse.clone()), pulse)
        };
        assert!(matches!(crowd.want_place(Duration::ZERO), Wanted::Nobody));
        let first = come();
        assert!(matches!(crowd.want_place(LONG), Wanted::In(wait) if wait <= LONG));
        let_wait(&first.1);
        let second = come();
        let_wait(&second.1);
        // The first has shaken hands meanwhile, and is the newer one.
        first.1.ready();
        assert!(matches!(crowd.want_place(Duration::ZERO), Wanted::OnItsWay));
        assert!(second.1.is_asked_to_leave() && !first.1.is_asked_to_leave());
        // One at a time.
        assert!(matches!(crowd.want_place(Duration::ZERO), Wanted::OnItsWay));
        assert!(!first.1.is_asked_to_leave());
        drop(second);
        assert!(matches!(crowd.want_place(Duration::ZERO), Wanted::OnItsWay));
        assert!(first.1.is_asked_to_leave());
        drop(first);
        assert!(matches!(crowd.want_place(Duration::ZERO), Wanted::Nobody));
        // Nobody holds an answer.
        let idle = come();
        crowd.want_memory(Duration::ZERO);
        assert!(!idle.1.is_asked_to_leave());
    }
}
