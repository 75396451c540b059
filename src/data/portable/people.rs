//! Lines about accounts: the account itself, ids of those that are gone, who they are elsewhere, their devices.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fields::{Hash, Hex, Moment, Named, Object};
use crate::data::identities::{Identity as IdentityRecord, Name};
use crate::data::users::{self, EmailProof, Phone, ProofKind, Role, Roles};
use crate::data::{Email, avatars, decode, devices, id_of_key, uuid_of};
use crate::store::{Read, StoreError};

/// Most characters of a name.
const MAX_NAME: usize = 255;
/// Most characters of a picture.
const MAX_PICTURE: usize = 500_000;

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// Its number within the project.
    pub number: u64,
    /// Its address as typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// When and how the address was proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_proof: Option<Proof>,
    /// Its password's hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Hash>,
    /// The name it goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The app's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// Its language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Its picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// What the app lets it do.
    pub role: Named<Role>,
    /// Its roles in tokens for other services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<RolesOf>,
    /// Its telephone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<PhoneOf>,
    /// Whether it was made without any credential.
    pub is_anonymous: bool,
    /// Since when it is switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Moment>,
    /// When it was made.
    pub created_at: Moment,
}

/// A proof of an address.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// When it was given.
    pub at: Moment,
    /// What it is worth.
    pub kind: Named<ProofKind>,
}

/// Roles in tokens for other services.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolesOf {
    /// The one in force unless a request asks for another.
    pub default: String,
    /// Those a request may ask for.
    pub allowed: Vec<String>,
}

/// A telephone number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneOf {
    /// E.164.
    pub number: String,
    /// Whether it was proved.
    pub verified: bool,
}

impl User {
    /// The account of a row, with its picture.
    pub(super) fn read(r: &dyn Read, user: users::User) -> Result<Self, StoreError> {
        Ok(Self {
            id: user.id,
            number: user.number,
            picture: if user.has_avatar { avatars::get(r, user.id)? } else { None },
            email: user.email,
            email_proof: user.email_proof.map(|proof| Proof { at: Moment(proof.at), kind: Named(proof.kind) }),
            password: user.password.map(Hash),
            display_name: user.display_name,
            metadata: user.metadata.map(Object),
            locale: user.locale,
            role: Named(user.role),
            roles: user.roles.map(|Roles { default, allowed }| RolesOf { default, allowed }),
            phone: user.phone.map(|Phone { number, verified }| PhoneOf { number, verified }),
            is_anonymous: user.is_anonymous,
            disabled_at: user.disabled_at.map(Moment),
            created_at: Moment(user.created_at),
        })
    }

    /// The account's row.
    pub(super) fn record(&self) -> users::User {
        users::User {
            id: self.id,
            number: self.number,
            email: self.email.clone(),
            display_name: self.display_name.clone(),
            email_proof: self.email_proof.map(|proof| EmailProof { at: proof.at.0, kind: proof.kind.0 }),
            metadata: self.metadata.clone().map(|Object(text)| text),
            locale: self.locale.clone(),
            role: self.role.0,
            has_avatar: self.picture.is_some(),
            password: self.password.clone().map(|Hash(hash)| hash),
            disabled_at: self.disabled_at.map(|at| at.0),
            created_at: self.created_at.0,
            is_anonymous: self.is_anonymous,
            roles: self.roles.clone().map(|RolesOf { default, allowed }| Roles { default, allowed }),
            phone: self.phone.clone().map(|PhoneOf { number, verified }| Phone { number, verified }),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.id.is_nil() {
            return Err("`id`: the nil UUID is no account's".into());
        }
        if self.number == 0 {
            return Err("`number`: accounts count from 1".into());
        }
        let is_address = |text: &String| Email::parse(text).is_ok_and(|email| email.typed() == text);
        if !self.email.as_ref().is_none_or(is_address) {
            return Err("`email`: that is no valid address".into());
        }
        at_most("display_name", self.display_name.as_deref(), MAX_NAME)?;
        at_most("locale", self.locale.as_deref(), MAX_NAME)?;
        at_most("picture", self.picture.as_deref(), MAX_PICTURE)?;
        at_most("phone", self.phone.as_ref().map(|phone| phone.number.as_str()), MAX_NAME)?;
        for role in self.roles.iter().flat_map(|roles| roles.allowed.iter().chain([&roles.default])) {
            at_most("roles", Some(role), MAX_NAME)?;
        }
        Ok(())
    }
}

/// Refuses a text that is longer than its field may be.
pub(super) fn at_most(field: &str, text: Option<&str>, most: usize) -> Result<(), String> {
    match text {
        Some(text) if text.chars().count() > most => Err(format!("`{field}`: more than {most} characters")),
        _ => Ok(()),
    }
}

/// The id of an account that was deleted: no other ever gets it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoneUser {
    /// Its id.
    pub id: Uuid,
}

impl GoneUser {
    pub(super) fn read(key: &[u8]) -> Result<Self, StoreError> {
        Ok(Self { id: id_of_key(key)? })
    }
}

/// Who an account is at a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The provider.
    pub provider: String,
    /// What the provider calls the account.
    pub subject: String,
    /// Whose it is here.
    pub user: Uuid,
    /// Since when that is known here.
    pub created_at: Moment,
}

impl Identity {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let name = Name::of_key(key).ok_or_else(|| StoreError::Corrupt("an identity without a name".into()))?;
        let record: IdentityRecord = decode(value)?;
        let (provider, subject) = (name.provider().to_owned(), name.subject().to_owned());
        Ok(Self { provider, subject, user: record.user, created_at: Moment(record.created_at) })
    }

    /// Its name and its row; `None` where it can have none.
    pub(super) fn record(&self) -> Option<(Name, IdentityRecord)> {
        let name = Name::new(&self.provider, &self.subject)?;
        Some((name, IdentityRecord { user: self.user, created_at: self.created_at.0 }))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.record()
            .map(drop)
            .ok_or_else(|| "`provider`, `subject`: empty, too long, or with control characters".into())
    }
}

/// A device that an account was used from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Whose it is.
    pub user: Uuid,
    /// A digest of what it calls itself.
    pub mark: Hex<16>,
    /// About when it was used last.
    pub used_at: Moment,
}

impl Device {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt("a device without an account".into());
        let (user, mark) = key.get(2..).unwrap_or_default().split_at_checked(16).ok_or_else(corrupt)?;
        let record: devices::Device = decode(value)?;
        let mark = Hex(mark.try_into().map_err(|_| corrupt())?);
        Ok(Self { user: uuid_of(user)?, mark, used_at: Moment(record.used_at) })
    }

    /// Its row's key, and its row.
    pub(super) fn record(&self) -> (Vec<u8>, devices::Device) {
        (devices::row(self.user, &self.mark.0), devices::Device { used_at: self.used_at.0 })
    }
}
