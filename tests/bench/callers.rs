//! What clients of every dialect do: sign in with right passwords, and storm.

use std::time::Duration;

use crate::load::Caller;
use crate::seed::SeededSession;

/// A dialect in which one can sign in.
pub(crate) trait Dialect: Clone + Send + 'static {
    /// The whole request.
    fn sign_in(&self, email: &str, password: &str) -> Vec<u8>;
}

/// Goes through ready requests, one after the other, and expects one status.
pub(crate) struct Rounds {
    requests: Vec<Vec<u8>>,
    turn: usize,
    expected: u16,
}

impl Rounds {
    /// With at least one request.
    pub(crate) fn of(requests: Vec<Vec<u8>>, expected: u16) -> Self {
        Self { requests, turn: 0, expected }
    }
}

impl Caller for Rounds {
    fn request(&mut self) -> &[u8] {
        self.turn = (self.turn + 1) % self.requests.len();
        &self.requests[self.turn]
    }

    fn reply(&mut self, status: u16, _: &[u8]) -> bool {
        status == self.expected
    }
}

/// Signs in with right passwords, one account after the other.
pub(crate) struct SignIn(Rounds);

impl SignIn {
    /// With the given accounts, at least one.
    pub(crate) fn new(api: &impl Dialect, accounts: &[SeededSession]) -> Self {
        let request = |account: &SeededSession| api.sign_in(&account.email, &account.password);
        Self(Rounds::of(accounts.iter().map(request).collect(), 200))
    }
}

impl Caller for SignIn {
    fn request(&mut self) -> &[u8] {
        self.0.request()
    }

    fn reply(&mut self, status: u16, body: &[u8]) -> bool {
        self.0.reply(status, body)
    }
}

/// A storm: by turns a right password and a guess at an unknown address, a new one each time so that no lockout spares
/// the server the hash.
pub(crate) struct Storm<A> {
    right: SignIn,
    api: A,
    name: String,
    count: u64,
    guess: Vec<u8>,
    penalty: Duration,
}

impl<A: Dialect> Storm<A> {
    /// Right sign-ins use `accounts`; guesses begin with `name`; after a refusal for load it waits `penalty`.
    pub(crate) fn new(api: &A, accounts: &[SeededSession], name: String, penalty: Duration) -> Self {
        Self { right: SignIn::new(api, accounts), api: api.clone(), name, count: 0, guess: Vec::new(), penalty }
    }
}

impl<A: Dialect> Caller for Storm<A> {
    fn request(&mut self) -> &[u8] {
        self.count += 1;
        if self.count.is_multiple_of(2) {
            return self.right.request();
        }
        self.guess = self.api.sign_in(&format!("{}-{}@unknown.example", self.name, self.count), "a wrong password");
        &self.guess
    }

    fn reply(&mut self, status: u16, body: &[u8]) -> bool {
        if self.count.is_multiple_of(2) { self.right.reply(status, body) } else { status == 401 }
    }

    fn penalty(&self) -> Duration {
        self.penalty
    }
}
