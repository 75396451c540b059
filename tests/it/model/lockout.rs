//! When guessing ends (security, 4): told by the whole history of an address, which nothing is ever taken out of.

/// Failures of one client on one address within [`WINDOW`] that lock the two.
pub const FAILURES: usize = 3;
/// Consecutive failures on one address that lock it for everyone.
pub const ACCOUNT_FAILURES: usize = 5;
/// How long a failure counts, in seconds.
pub const WINDOW: u64 = 600;
/// How long a lock lasts, in seconds.
pub const DURATION: u64 = 1200;

/// What became of the secrets that were presented for one address of one project, whether it has an account or not.
#[derive(Default)]
pub struct History(Vec<(u64, Event)>);

#[derive(Clone, Copy)]
enum Event {
    /// A wrong one, by this client.
    Failed(usize),
    /// A right one.
    Succeeded(usize),
    /// An operator forgave all.
    Unlocked,
}

impl History {
    /// A wrong secret.
    pub fn fail(&mut self, now: u64, client: usize) {
        self.0.push((now, Event::Failed(client)));
    }

    /// A right secret: the client's own failures and the address's are forgotten, and not those of other clients.
    pub fn succeed(&mut self, now: u64, client: usize) {
        self.0.push((now, Event::Succeeded(client)));
    }

    /// An operator's unlock.
    pub fn unlock(&mut self, now: u64) {
        self.0.push((now, Event::Unlocked));
    }

    /// For how many more seconds this client may not try; `None`: it may.
    pub fn locked(&self, now: u64, client: usize) -> Option<u64> {
        let since = self.own_lock(client).max(self.common_lock())?;
        (since + DURATION).checked_sub(now).filter(|left| *left > 0)
    }

    /// When the client was last locked out of the address.
    fn own_lock(&self, client: usize) -> Option<u64> {
        let (mut recent, mut locked) = (Vec::new(), None);
        for &(at, event) in &self.0 {
            match event {
                Event::Failed(by) if by == client => {
                    recent.retain(|earlier| at - earlier < WINDOW);
                    recent.push(at);
                    if recent.len() == FAILURES {
                        (recent, locked) = (Vec::new(), Some(at));
                    }
                }
                Event::Succeeded(by) if by == client => (recent, locked) = (Vec::new(), None),
                Event::Unlocked => (recent, locked) = (Vec::new(), None),
                Event::Failed(_) | Event::Succeeded(_) => {}
            }
        }
        locked
    }

    /// When everyone was last locked out of the address.
    fn common_lock(&self) -> Option<u64> {
        let (mut count, mut last, mut locked) = (0, 0, None);
        for &(at, event) in &self.0 {
            match event {
                Event::Failed(_) => {
                    count = if at - last < WINDOW { count + 1 } else { 1 };
                    last = at;
                    if count == ACCOUNT_FAILURES {
                        (count, locked) = (0, Some(at));
                    }
                }
                Event::Succeeded(_) | Event::Unlocked => (count, locked) = (0, None),
            }
        }
        locked
    }
}
