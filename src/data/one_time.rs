//! One-time secrets: a digest that leads once to what the secret stands for. One live secret an account and purpose.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Email, Record, Table, codes, end_of, fetch, key, keys, store};
use crate::crypto::Digest;
use crate::env::Timestamp;
use crate::store::{Read, StoreError, Write};

/// What a one-time secret is good for. Numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Purpose {
    /// Proves the account's address.
    VerifyEmail = 1,
    /// Signs in.
    SignIn = 2,
    /// Gives the account the address it was sent to.
    ChangeEmail = 3,
    /// Lets a new password be set.
    ResetPassword = 4,
    /// Is exchanged for a session by who knows the verifier of its challenge (RFC 7636).
    Exchange = 5,
}

impl Purpose {
    /// The name that goes into the secret's digest, so that a secret of one purpose is unknown under another.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
            Self::SignIn => "sign-in",
            Self::ChangeEmail => "change-email",
            Self::ResetPassword => "reset-password",
            Self::Exchange => "exchange",
        }
    }

    /// The same for the typeable form of the secret.
    pub const fn code_name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email-code",
            Self::SignIn => "sign-in-code",
            Self::ChangeEmail => "change-email-code",
            Self::ResetPassword => "reset-password-code",
            Self::Exchange => "exchange-code",
        }
    }
}

/// What a secret leads to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OneTime {
    /// Whose it is.
    pub user: Uuid,
    /// Until when it works.
    pub expires_at: Timestamp,
    /// It went out by mail to the account's address, so that whoever has it can read that mail.
    pub mailed: bool,
    /// What it was issued for besides: the new address, or the challenge.
    pub about: Option<String>,
}

impl Record for OneTime {
    const VERSION: u8 = 3;
}

/// Who stands in for the account of an address that has none, or none to prove: secrets issued to it cost the same
/// writes and lead nowhere. No account has such an id.
pub fn phantom(email: &Email) -> Uuid {
    uuid::Builder::from_custom_bytes(email.digest()).into_uuid()
}

/// Stores a secret's digests, one for each form it is given out in; an earlier secret of the same account and purpose
/// stops working.
pub fn issue(
    w: &mut (impl Write + ?Sized),
    purpose: Purpose,
    digests: &[Digest],
    secret: &OneTime,
) -> Result<(), StoreError> {
    withdraw(w, purpose, secret.user)?;
    let all: Vec<&[u8]> = digests.iter().map(|digest| digest.as_bytes().as_slice()).collect();
    w.put(&slot(secret.user, purpose), &all.concat())?;
    all.into_iter().try_for_each(|digest| store(w, &row(purpose, digest), secret))
}

/// What a secret leads to, without using it up; `None` when it is unknown or used. It may have expired.
pub fn find(r: &(impl Read + ?Sized), purpose: Purpose, digest: &Digest) -> Result<Option<OneTime>, StoreError> {
    fetch(r, &row(purpose, digest.as_bytes()))
}

/// Takes a secret out, so that it works at most once; `None` when it is unknown, used or expired.
pub fn consume(
    w: &mut (impl Write + ?Sized),
    purpose: Purpose,
    digest: &Digest,
    now: Timestamp,
) -> Result<Option<OneTime>, StoreError> {
    let row = row(purpose, digest.as_bytes());
    let Some(secret) = fetch::<OneTime>(w, &row)? else { return Ok(None) };
    w.delete(&row)?;
    // Its other forms go with it.
    withdraw(w, purpose, secret.user)?;
    Ok((now < secret.expires_at).then_some(secret))
}

/// Makes an account's live secret of this purpose stop working.
pub fn withdraw(w: &mut (impl Write + ?Sized), purpose: Purpose, user: Uuid) -> Result<(), StoreError> {
    let slot = slot(user, purpose);
    if let Some(digests) = w.get(&slot)? {
        digests.chunks(DIGEST).try_for_each(|digest| w.delete(&row(purpose, digest)))?;
        w.delete(&slot)?;
    }
    Ok(())
}

/// Makes all live secrets of an account stop working, its code among them.
pub fn withdraw_all(w: &mut (impl Write + ?Sized), user: Uuid) -> Result<(), StoreError> {
    codes::withdraw(w, user)?;
    let from = key(Table::OneTimeSlot, &[user.as_bytes()]);
    for slot in keys(w, &from, &end_of(&from), usize::MAX)? {
        if let (Some(digests), Some(&purpose)) = (w.get(&slot)?, slot.last()) {
            let row = |digest| key(Table::OneTime, &[&[purpose], digest]);
            digests.chunks(DIGEST).try_for_each(|digest| w.delete(&row(digest)))?;
        }
        w.delete(&slot)?;
    }
    Ok(())
}

/// Clears the account's slot of a secret whose row (with this key) was swept, unless a newer secret took it.
pub(crate) fn forget_slot(w: &mut (impl Write + ?Sized), row: &[u8], user: Uuid) -> Result<(), StoreError> {
    // table, version, purpose, digest
    let Some((head, digest)) = row.split_at_checked(3) else { return Ok(()) };
    let slot = key(Table::OneTimeSlot, &[user.as_bytes(), &head[2..]]);
    if w.get(&slot)?.is_some_and(|digests| digests.chunks(DIGEST).any(|one| one == digest)) {
        w.delete(&slot)?;
    }
    Ok(())
}

/// When a secret of this purpose was last issued for this address, known or not.
pub fn last_issued(r: &(impl Read + ?Sized), purpose: Purpose, email: &Email) -> Result<Option<Timestamp>, StoreError> {
    Ok(fetch::<Cooldown>(r, &cooldown(purpose, email))?.map(|row| row.issued_at))
}

/// Remembers that a secret of this purpose was issued (or pretended) for this address. The row may be swept after
/// `until`.
pub fn note_issued(
    w: &mut (impl Write + ?Sized),
    purpose: Purpose,
    email: &Email,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    store(w, &cooldown(purpose, email), &Cooldown { issued_at: now, until })
}

/// When a secret was last issued for an address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cooldown {
    pub(super) issued_at: Timestamp,
    pub(crate) until: Timestamp,
}

impl Record for Cooldown {}

/// When owners of accounts are told something only so often. Numbers are on disk, apart from those of [`Purpose`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Notice {
    /// Failed attempts locked the account.
    LockedOut = 0x80,
    /// The password was changed.
    PasswordChanged = 0x81,
    /// A new device.
    NewDevice = 0x82,
    /// The account has another address.
    EmailChanged = 0x83,
}

/// Whether the owner of this address, known or not, may be told now: not within `pause` of the last time. Remembers it.
pub fn may_notice(
    w: &mut (impl Write + ?Sized),
    notice: Notice,
    email: &Email,
    now: Timestamp,
    pause: std::time::Duration,
) -> Result<bool, StoreError> {
    let row = key(Table::Cooldown, &[&[notice as u8], &email.digest()]);
    let last = fetch::<Cooldown>(w, &row)?;
    if last.is_some_and(|last| now.since(last.issued_at) < pause) {
        return Ok(false);
    }
    store(w, &row, &Cooldown { issued_at: now, until: now.plus(pause) })?;
    Ok(true)
}

/// Where a purpose or a notice would stand in the key of a row that only pads.
pub(super) const PADDING: u8 = 0xff;

/// Writes as many rows as making an account does, where none is made; they go at `until`.
pub fn pad_as_account(
    w: &mut (impl Write + ?Sized),
    id: Uuid,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    for n in 0..2 {
        store(w, &key(Table::Cooldown, &[&[PADDING, n], id.as_bytes()]), &Cooldown { issued_at: now, until })?;
    }
    Ok(())
}

/// Bytes of a digest in a slot.
pub(super) const DIGEST: usize = 32;

pub(super) fn row(purpose: Purpose, digest: &[u8]) -> Vec<u8> {
    key(Table::OneTime, &[&[purpose as u8], digest])
}

pub(super) fn slot(user: Uuid, purpose: Purpose) -> Vec<u8> {
    key(Table::OneTimeSlot, &[user.as_bytes(), &[purpose as u8]])
}

fn cooldown(purpose: Purpose, email: &Email) -> Vec<u8> {
    key(Table::Cooldown, &[&[purpose as u8], &email.digest()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    const NOW: Timestamp = Timestamp::from_secs(100);

    fn secret(user: u128) -> OneTime {
        OneTime { user: Uuid::from_u128(user), expires_at: Timestamp::from_secs(200), mailed: true, about: None }
    }

    fn digest(text: &str) -> Digest {
        Digest::of("test", text.as_bytes())
    }

    #[tokio::test]
    async fn both_forms_die_when_one_is_used_or_a_new_one_is_issued() {
        let store = Store::memory();
        store
            .write(|w| {
                let use_it = |w: &mut dyn Write, text| consume(w, Purpose::VerifyEmail, &digest(text), NOW);
                issue(w, Purpose::VerifyEmail, &[digest("link"), digest("code")], &secret(1))?;
                assert!(use_it(w, "code")?.is_some_and(|found| found.mailed));
                assert!(use_it(w, "link")?.is_none(), "gone with the code");
                issue(w, Purpose::VerifyEmail, &[digest("link"), digest("code")], &secret(1))?;
                issue(w, Purpose::VerifyEmail, &[digest("second")], &secret(1))?;
                assert!(use_it(w, "link")?.is_none() && use_it(w, "code")?.is_none());
                assert!(use_it(w, "second")?.is_some());
                issue(w, Purpose::VerifyEmail, &[digest("link"), digest("code")], &secret(1))?;
                withdraw_all(w, Uuid::from_u128(1))?;
                assert_eq!(keys(w, &[0], &[255], 9)?.len(), 0, "nothing is left");
                Ok::<_, StoreError>(())
            })
            .await
            .expect("a write");
    }
}
