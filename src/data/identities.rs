//! Who accounts are at other places: an account of a provider leads to at most one account here. Nothing that the
//! provider could be asked with is kept.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, Table, end_of, fetch, key, keys, store};
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// The name of an account at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    provider: String,
    subject: String,
}

impl Name {
    /// Most bytes of a provider's name.
    pub const MAX_PROVIDER: usize = 64;
    /// Most bytes of what it calls an account.
    pub const MAX_SUBJECT: usize = 255;

    /// A name; `None` when one half is empty, too long or has control characters.
    pub fn new(provider: &str, subject: &str) -> Option<Self> {
        let fits = |text: &str, max| (1..=max).contains(&text.len()) && !text.chars().any(char::is_control);
        (fits(provider, Self::MAX_PROVIDER) && fits(subject, Self::MAX_SUBJECT))
            .then(|| Self { provider: provider.to_owned(), subject: subject.to_owned() })
    }

    /// The name in an identity's row key.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        let (&length, rest) = key.get(2..)?.split_first()?;
        let (provider, subject) = rest.split_at_checked(length.into())?;
        Self::new(str::from_utf8(provider).ok()?, str::from_utf8(subject).ok()?)
    }

    /// The provider's name.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// What the provider calls the account.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Both halves as bytes: the length of the first tells where the second begins.
    fn bytes(&self) -> Vec<u8> {
        let length = u8::try_from(self.provider.len()).unwrap_or(u8::MAX);
        [&[length], self.provider.as_bytes(), self.subject.as_bytes()].concat()
    }
}

/// An account's identity at a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Whose it is here.
    pub user: Uuid,
    /// Since when that is known here.
    pub created_at: Timestamp,
}

impl Record for Identity {}

/// The identity of this name.
pub fn get(r: &(impl Read + ?Sized), name: &Name) -> Result<Option<Identity>, StoreError> {
    fetch(r, &row(&name.bytes()))
}

/// Writes a new identity and its index row. The caller has seen that the name is free.
pub fn insert(w: &mut (impl Write + ?Sized), name: &Name, identity: &Identity) -> Result<(), StoreError> {
    let name = name.bytes();
    w.put(&by_user(identity.user, &name), &[])?;
    store(w, &row(&name), identity)
}

/// Removes all identities of an account that is being deleted.
pub fn remove_all(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<(), StoreError> {
    let from = by_user(user, &[]);
    for index in keys(w, &from, &end_of(&from), usize::MAX)? {
        w.delete(&row(index.get(from.len()..).unwrap_or_default()))?;
        w.delete(&index)?;
    }
    Ok(())
}

fn row(name: &[u8]) -> Vec<u8> {
    key(Table::Identity, &[name])
}

fn by_user(user: Uuid, name: &[u8]) -> Vec<u8> {
    key(Table::IdentityByUser, &[user.as_bytes(), name])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_name_leads_to_one_account_until_that_is_gone() {
        let name = |provider, subject| Name::new(provider, subject).expect("a name");
        let store = Store::memory();
        store
            .write(move |w| {
                let of = |n| Identity { user: Uuid::from_u128(n), created_at: Timestamp::from_secs(9) };
                insert(w, &name("git", "hub7"), &of(1))?;
                insert(w, &name("github", "7"), &of(1))?;
                insert(w, &name("github", "8"), &of(2))?;
                let user = |w: &mut dyn Write, n| get(w, &n).map(|found| found.map(|one| one.user.as_u128()));
                assert_eq!(user(w, name("git", "hub7"))?, Some(1));
                assert_eq!((user(w, name("github", "8"))?, user(w, name("gith", "ub8"))?), (Some(2), None));
                remove_all(w, Uuid::from_u128(1))?;
                assert_eq!((user(w, name("github", "7"))?, user(w, name("github", "8"))?), (None, Some(2)));
                assert_eq!(keys(w, &[0], &[255], 9)?.len(), 2);
                Ok::<_, StoreError>(())
            })
            .await
            .expect("a write");
        for (provider, subject) in [("", "7"), ("github", ""), ("git\nhub", "7")] {
            assert_eq!(Name::new(provider, subject), None);
        }
        assert!(Name::new("github", &"7".repeat(256)).is_none());
    }
}
