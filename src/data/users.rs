//! Accounts: one row each, found by id or by address.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Email, Record, Table, end_of, fetch, key, store, uuid_of};
use crate::crypto::StoredHash;
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Its id in every API; never used again after deletion.
    #[serde(skip)] // the row's key
    pub id: Uuid,
    /// Its number within the project, counted up from 1 and never used again.
    pub number: u64,
    /// The address as typed at sign-up; `None` for an account that has none. Its [`Email::key`] is unique within the
    /// project.
    pub email: Option<String>,
    /// The name it goes by, at most 255 characters.
    pub display_name: Option<String>,
    /// When and how the address was proved to belong to the account's owner.
    pub email_proof: Option<EmailProof>,
    /// A JSON object of the app's own, as text.
    pub metadata: Option<String>,
    /// The language its owner prefers (BCP 47), for mails and pages; `None`: the project's.
    pub locale: Option<String>,
    /// What the app lets it do: the app's data, never power over Keystead (design, section 6).
    pub role: Role,
    /// Whether a picture is kept for it, in a row of its own: it must not bloat this one, which every request reads.
    pub has_avatar: bool,
    /// The password's hash; `None` for an account that has no password.
    pub password: Option<StoredHash>,
    /// Set while an operator has the account switched off.
    pub disabled_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Made without any credential; its owner may give it some later.
    pub is_anonymous: bool,
    /// The roles that tokens for other services name, where they are not those of every account in the project's settings.
    pub roles: Option<Roles>,
    /// Its telephone number.
    pub phone: Option<Phone>,
}

/// Roles as other services know them: names of the app's own, never power over Keystead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// The one in force unless a request asks for another.
    pub default: String,
    /// Those a request may ask for.
    pub allowed: Vec<String>,
}

/// A telephone number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phone {
    /// As it was brought, E.164.
    pub number: String,
    /// Whether it was proved.
    pub verified: bool,
}

/// What an app lets an account do. Numbers are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// What everyone may.
    #[default]
    User,
    /// What the app reserves for its administrators.
    Admin,
}

/// A proof of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailProof {
    /// When it was given.
    pub at: Timestamp,
    /// What it is worth.
    pub kind: ProofKind,
}

/// What a proof of an address is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofKind {
    /// The verification secret was handed to the app, so perhaps to anyone: never a ground for linking or reset
    /// (design, section 6).
    Asserted,
    /// An operator says so.
    Operator,
    /// The secret came back that a mail had brought to the address.
    Mailed,
}

impl Record for User {
    const VERSION: u8 = 3;

    fn take_key(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.id = super::id_of_key(key)?;
        Ok(())
    }
}

impl User {
    /// An account without anything, which has no number yet.
    pub fn new(id: Uuid, created_at: Timestamp) -> Self {
        Self {
            id,
            number: 0,
            email: None,
            display_name: None,
            email_proof: None,
            metadata: None,
            locale: None,
            role: Role::User,
            has_avatar: false,
            password: None,
            disabled_at: None,
            created_at,
            is_anonymous: false,
            roles: None,
            phone: None,
        }
    }

    /// Under which key the address is found, where there is one.
    ///
    /// # Errors
    /// `Corrupt` when the stored text is no address.
    pub fn address(&self) -> Result<Option<Email>, StoreError> {
        let parse = |text: &String| Email::parse(text);
        let parsed = self.email.as_ref().map(parse).transpose();
        parsed.map_err(|_| StoreError::Corrupt("an account whose address is none".into()))
    }

    /// The address as typed; empty where there is none.
    pub fn typed_email(&self) -> &str {
        self.email.as_deref().unwrap_or_default()
    }

    /// The address in lower case, without a copy where it is so already; empty where there is none.
    pub fn lower_case_email(&self) -> Cow<'_, str> {
        let typed = self.typed_email();
        if typed.chars().any(char::is_uppercase) { typed.to_lowercase().into() } else { typed.into() }
    }

    /// Whether it may be used at all.
    pub fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }
}

impl Role {
    /// Its name in every API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::User, Self::Admin].into_iter().find(|role| role.name() == name)
    }
}

/// The account with this id.
pub fn get(r: &(impl Read + ?Sized), id: Uuid) -> Result<Option<User>, StoreError> {
    fetch(r, &key(Table::User, &[id.as_bytes()]))
}

/// The id of the account with this address.
pub fn id_by_email(r: &(impl Read + ?Sized), email: &Email) -> Result<Option<Uuid>, StoreError> {
    r.get(&email_key(email))?.map(|bytes| uuid_of(&bytes)).transpose()
}

/// The account with this address.
pub fn by_email(r: &(impl Read + ?Sized), email: &Email) -> Result<Option<User>, StoreError> {
    match id_by_email(r, email)? {
        Some(id) => match get(r, id)? {
            Some(user) => Ok(Some(user)),
            None => Err(StoreError::Corrupt("an address that leads to no account".into())),
        },
        None => Ok(None),
    }
}

/// Writes a new account and the index row of its address. The caller has seen that id and address are free.
pub fn insert(w: &mut (impl Write + ?Sized), user: &User) -> Result<(), StoreError> {
    if let Some(email) = user.address()? {
        w.put(&email_key(&email), user.id.as_bytes())?;
    }
    put(w, user)
}

/// Gives an account, which is then written, another address than the stored one. The caller has seen that it is free.
pub fn move_to(w: &mut (impl Write + ?Sized), user: &mut User, email: &Email) -> Result<(), StoreError> {
    if let Some(former) = user.address()? {
        w.delete(&email_key(&former))?;
    }
    user.email = Some(email.typed().to_owned());
    w.put(&email_key(email), user.id.as_bytes())?;
    put(w, user)
}

/// Writes an account whose address did not change.
pub fn put(w: &mut (impl Write + ?Sized), user: &User) -> Result<(), StoreError> {
    store(w, &key(Table::User, &[user.id.as_bytes()]), user)
}

/// Whether there is any account.
pub fn any(r: &(impl Read + ?Sized)) -> Result<bool, StoreError> {
    let from = key(Table::User, &[]);
    Ok(!super::keys(r, &from, &end_of(&from), 1)?.is_empty())
}

/// Removes an account and its index row; what hangs on it (sessions, keys, secrets, picture) is the caller's to remove.
/// Its id is remembered, and nothing else of it: see [`is_gone`].
pub fn remove(w: &mut (impl Write + ?Sized), user: &User) -> Result<(), StoreError> {
    if let Some(email) = user.address()? {
        w.delete(&email_key(&email))?;
    }
    w.put(&gone_key(user.id), &[])?;
    w.delete(&key(Table::User, &[user.id.as_bytes()]))
}

/// Remembers the id of an account that was deleted elsewhere.
pub(super) fn put_gone(w: &mut (impl Write + ?Sized), id: Uuid) -> Result<(), StoreError> {
    w.put(&gone_key(id), &[])
}

/// Whether there was an account with this id that was deleted. Ids of our own never come again; one that is brought from
/// elsewhere might.
pub fn is_gone(r: &(impl Read + ?Sized), id: Uuid) -> Result<bool, StoreError> {
    Ok(r.get(&gone_key(id))?.is_some())
}

/// At most `limit` accounts in the order they were made, after the one with the id `after`.
pub fn list(r: &(impl Read + ?Sized), after: Option<Uuid>, limit: usize) -> Result<Vec<User>, StoreError> {
    let from = match after {
        // The smallest key above `after`.
        Some(id) => key(Table::User, &[id.as_bytes(), &[0]]),
        None => key(Table::User, &[]),
    };
    super::collect(r, &from, &end_of(&key(Table::User, &[])), limit)
}

fn gone_key(id: Uuid) -> Vec<u8> {
    key(Table::UserGone, &[id.as_bytes()])
}

fn email_key(email: &Email) -> Vec<u8> {
    key(Table::UserByEmail, &[email.key().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_takes_its_address_along() {
        let store = crate::store::Store::memory();
        let [first, second] = ["a@example.com", "b@example.com"].map(|text| Email::parse(text).expect("an address"));
        store
            .write(move |w| {
                let mut user = User::new(Uuid::from_u128(3), Timestamp::from_millis(9));
                insert(w, &user)?;
                assert!(id_by_email(w, &first)?.is_none(), "it has none");
                move_to(w, &mut user, &first)?;
                assert_eq!(by_email(w, &first)?.map(|user| user.id), Some(user.id));
                move_to(w, &mut user, &second)?;
                assert_eq!((id_by_email(w, &first)?, id_by_email(w, &second)?), (None, Some(user.id)));
                remove(w, &user)?;
                assert_eq!(id_by_email(w, &second)?, None);
                Ok::<_, StoreError>(())
            })
            .await
            .expect("a write");
    }
}
