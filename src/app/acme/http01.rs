//! Answers to HTTP-01 challenges (RFC 8555, section 8.3), while an order waits for them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// What is answered, by token. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<ArcSwap<HashMap<String, String>>>);

/// A challenge being answered, until dropped.
pub(super) struct Answering {
    answers: Answers,
    token: String,
}

impl Answers {
    /// What to answer to `GET /.well-known/acme-challenge/TOKEN`.
    pub(crate) fn get(&self, token: &str) -> Option<String> {
        self.0.load().get(token).cloned()
    }

    /// Answers `token` as long as what it returns is held.
    pub(super) fn answer(&self, token: &str, key_authorization: &str) -> Answering {
        self.change(|all| _ = all.insert(token.to_owned(), key_authorization.to_owned()));
        Answering { answers: self.clone(), token: token.to_owned() }
    }

    fn change(&self, change: impl Fn(&mut HashMap<String, String>)) {
        self.0.rcu(|all| {
            let mut all = HashMap::clone(all);
            change(&mut all);
            all
        });
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.answers.change(|all| _ = all.remove(&self.token));
    }
}
