//! Lines about what lets an account in: sessions, one-time secrets and codes, API keys, personal access tokens. Secrets
//! stand in none of them, only digests and hashes, as in the store.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fields::{Hash, Hex, Ip, Moment, Name, Named, Object};
use super::people::at_most;
use crate::crypto::Digest;
use crate::data::one_time::{self, Purpose};
use crate::data::sessions::{self, Carrier};
use crate::data::{api_keys, codes, decode, decode_row, fetch, id_of_key, personal_tokens, uuid_of};
use crate::store::{Read, StoreError};

/// Most characters of a client's name for itself.
const MAX_AGENT: usize = 120;
/// Most characters of a name.
const MAX_NAME: usize = 255;
/// Most forms that a one-time secret is given out in.
const MAX_FORMS: usize = 8;

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user: Uuid,
    /// When it began.
    pub created_at: Moment,
    /// When its refresh token was last rotated.
    pub refreshed_at: Moment,
    /// When it ends by itself.
    pub expires_at: Moment,
    /// How often its refresh token was rotated.
    pub generation: u32,
    /// Digest of the refresh token that works, or of its only token.
    pub refresh: Hex<32>,
    /// Digest of the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Hex<32>>,
    /// From where it was begun.
    pub ip: Ip,
    /// What its client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What its client holds.
    pub carrier: Named<Carrier>,
}

impl Session {
    /// The session of a row, as it was last refreshed.
    pub(super) fn read(r: &dyn Read, key: &[u8]) -> Result<Option<Self>, StoreError> {
        Ok(sessions::get(r, id_of_key(key)?)?.map(|session| Self {
            id: session.id,
            user: session.user,
            created_at: Moment(session.created_at),
            refreshed_at: Moment(session.refreshed_at),
            expires_at: Moment(session.expires_at),
            generation: session.generation,
            refresh: session.refresh.into(),
            previous: session.previous.map(Into::into),
            ip: Ip(session.ip),
            agent: session.agent,
            carrier: Named(session.carrier),
        }))
    }

    pub(super) fn record(&self) -> sessions::Session {
        sessions::Session {
            id: self.id,
            user: self.user,
            created_at: self.created_at.0,
            refreshed_at: self.refreshed_at.0,
            expires_at: self.expires_at.0,
            generation: self.generation,
            refresh: self.refresh.into(),
            previous: self.previous.map(Into::into),
            ip: self.ip.0,
            agent: self.agent.clone(),
            carrier: self.carrier.0,
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        at_most("agent", self.agent.as_deref(), MAX_AGENT)
    }
}

/// A one-time secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneTime {
    /// Whose it is; nobody's, where it only pretends.
    pub user: Uuid,
    /// What it is good for.
    pub purpose: Named<Purpose>,
    /// Digests of the forms it was given out in.
    pub digests: Vec<Hex<32>>,
    /// Until when it works.
    pub expires_at: Moment,
    /// Whether it went out by mail.
    pub mailed: bool,
    /// What it was issued for besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

impl OneTime {
    /// The secret of a slot; `None` where what is left of it has gone.
    pub(super) fn read(r: &dyn Read, key: &[u8], digests: &[u8]) -> Result<Option<Self>, StoreError> {
        let corrupt = || StoreError::Corrupt("a one-time secret of no account or purpose".into());
        let (user, purpose) = key.get(2..).unwrap_or_default().split_at_checked(16).ok_or_else(corrupt)?;
        let purpose = Purpose::all().find(|one| purpose == [*one as u8]).ok_or_else(corrupt)?;
        let user = uuid_of(user)?;
        let (mut forms, mut found) = (Vec::new(), None);
        for digest in digests.as_chunks::<{ one_time::DIGEST }>().0 {
            if let Some(secret) = fetch::<one_time::OneTime>(r, &one_time::row(purpose, digest))? {
                forms.push(Hex(*digest));
                found = Some(secret);
            }
        }
        Ok(found.map(|secret| Self {
            user,
            purpose: Named(purpose),
            digests: forms,
            expires_at: Moment(secret.expires_at),
            mailed: secret.mailed,
            about: secret.about,
        }))
    }

    pub(super) fn record(&self) -> (Vec<Digest>, one_time::OneTime) {
        let digests = self.digests.iter().map(|digest| (*digest).into()).collect();
        let Self { user, expires_at, mailed, about, .. } = self.clone();
        (digests, one_time::OneTime { user, expires_at: expires_at.0, mailed, about })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.digests.len() {
            1..=MAX_FORMS => Ok(()),
            _ => Err(format!("`digests`: write 1 to {MAX_FORMS}")),
        }
    }
}

/// A short code that a mail brought, and the guesses at it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Whose it is; nobody's, where it only pretends.
    pub user: Uuid,
    /// Its hash, while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// Until when it works.
    pub expires_at: Moment,
    /// When it was guessed at.
    pub guesses: Vec<Moment>,
    /// How long the guesses are remembered.
    pub keep_until: Moment,
}

impl Code {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let record: codes::Code = decode(value)?;
        Ok(Self {
            user: id_of_key(key)?,
            hash: record.hash.map(Hash),
            expires_at: Moment(record.expires_at),
            guesses: record.guesses.into_iter().map(Moment).collect(),
            keep_until: Moment(record.keep_until),
        })
    }

    /// Its row's key, and its row.
    pub(super) fn record(&self) -> (Vec<u8>, codes::Code) {
        let record = codes::Code {
            hash: self.hash.clone().map(|Hash(hash)| hash),
            expires_at: self.expires_at.0,
            guesses: self.guesses.iter().map(|guess| guess.0).collect(),
            keep_until: self.keep_until.0,
        };
        (codes::row(self.user), record)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let is_bounded = self.guesses.len() <= codes::MOST;
        if is_bounded { Ok(()) } else { Err(format!("`guesses`: more than {}", codes::MOST)) }
    }
}

/// An account's API key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Its number within the project.
    pub number: u64,
    /// Whose it is.
    pub user: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// The text before the secret.
    pub prefix: String,
    /// Digest of the whole key.
    pub digest: Hex<32>,
    /// What the app lets it do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Moment,
    /// From when on it no longer works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
    /// About when it last proved itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Moment>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Moment>,
}

impl ApiKey {
    pub(super) fn read(value: &[u8]) -> Result<Self, StoreError> {
        let record: api_keys::ApiKey = decode(value)?;
        Ok(Self {
            number: record.number,
            user: record.user,
            name: record.name,
            prefix: record.prefix,
            digest: record.digest.into(),
            scopes: record.scopes,
            created_at: Moment(record.created_at),
            expires_at: record.expires_at.map(Moment),
            last_used_at: record.last_used_at.map(Moment),
            revoked_at: record.revoked_at.map(Moment),
        })
    }

    pub(super) fn record(&self) -> api_keys::ApiKey {
        api_keys::ApiKey {
            number: self.number,
            user: self.user,
            name: self.name.clone(),
            prefix: self.prefix.clone(),
            digest: self.digest.into(),
            scopes: self.scopes.clone(),
            created_at: self.created_at.0,
            expires_at: self.expires_at.map(|at| at.0),
            last_used_at: self.last_used_at.map(|at| at.0),
            revoked_at: self.revoked_at.map(|at| at.0),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.number == 0 {
            return Err("`number`: API keys count from 1".into());
        }
        if self.prefix.is_empty() || !self.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("`prefix`: write the key's text before its secret".into());
        }
        at_most("prefix", Some(&self.prefix), MAX_NAME)?;
        at_most("name", Some(&self.name), MAX_NAME)
    }
}

/// A personal access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonalToken {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user: Uuid,
    /// Its digest.
    pub digest: Hex<32>,
    /// When it was made.
    pub created_at: Moment,
    /// From when on it no longer works.
    pub expires_at: Moment,
    /// The app's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
}

impl PersonalToken {
    pub(super) fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let record: personal_tokens::PersonalToken = decode_row(key, value)?;
        Ok(Self {
            id: record.id,
            user: record.user,
            digest: record.digest.into(),
            created_at: Moment(record.created_at),
            expires_at: Moment(record.expires_at),
            metadata: record.metadata.map(Object),
        })
    }

    pub(super) fn record(&self) -> personal_tokens::PersonalToken {
        personal_tokens::PersonalToken {
            id: self.id,
            user: self.user,
            digest: self.digest.into(),
            created_at: self.created_at.0,
            expires_at: self.expires_at.0,
            metadata: self.metadata.clone().map(|Object(text)| text),
        }
    }
}
