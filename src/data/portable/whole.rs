//! The lines around the records: the file's first and last, and those that make a project out of a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fields::{Base64, Hex, Moment};
use crate::data::audit;
use crate::data::project::{self, ProjectRecord, Sequence};
use crate::store::{Read, StoreError, Write};

/// The first line of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`super::FORMAT`].
    pub format: u64,
    /// The program that wrote it.
    pub version: String,
    /// When.
    pub exported_at: Moment,
    /// Whether keys and what was sealed is in it, in the clear.
    pub secrets: bool,
}

/// The last line of a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// How many lines of each type stand before it, but for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<BTreeMap<String, u64>>,
    /// SHA-256 of all bytes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hex<32>>,
}

/// The last line where an export failed: instead of [`End`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Why.
    pub reason: String,
}

/// The first line of a project. What follows is its own, up to the next such line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub slug: String,
    /// When it was made.
    pub created_at: Moment,
    /// The settings it was made with, as TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// The number that an account got last.
    pub last_user_number: u64,
    /// The number that an API key got last.
    pub last_api_key_number: u64,
    /// Where its audit trail begins.
    pub audit: TrailBegins,
}

/// Where an audit trail begins.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrailBegins {
    /// The number of the first entry that is kept.
    pub first: u64,
    /// The hash before it.
    pub before: Hex<32>,
}

impl Project {
    /// The project a file holds; `None` in a file that was never made into one.
    pub(super) fn read(r: &dyn Read) -> Result<Option<Self>, StoreError> {
        let Some(record) = project::get(r)? else { return Ok(None) };
        let trail = audit::bounds(r)?;
        Ok(Some(Self {
            id: record.id,
            slug: record.slug,
            created_at: Moment(record.created_at),
            settings: record.settings,
            last_user_number: project::last(r, Sequence::Users)?,
            last_api_key_number: project::last(r, Sequence::ApiKeys)?,
            audit: TrailBegins { first: trail.first, before: trail.before.into() },
        }))
    }

    /// What its file says of it.
    pub fn record(&self) -> ProjectRecord {
        ProjectRecord {
            id: self.id,
            slug: self.slug.clone(),
            created_at: self.created_at.0,
            settings: self.settings.clone(),
        }
    }

    /// Makes an empty file into the project `record`, which goes on counting, and whose audit trail goes on, as this one.
    pub fn begin(&self, w: &mut dyn Write, record: &ProjectRecord) -> Result<(), StoreError> {
        project::put(w, record)?;
        project::go_on_after(w, Sequence::Users, self.last_user_number)?;
        project::go_on_after(w, Sequence::ApiKeys, self.last_api_key_number)?;
        audit::begin(w, self.audit.first, self.audit.before.into())
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self { id, .. } if id.is_nil() => Err("`id`: the nil UUID is no project's".into()),
            Self { audit: TrailBegins { first: 0, .. }, .. } => Err("`audit`: entries count from 1".into()),
            Self { settings: Some(text), .. } if text.len() > MAX_SETTINGS => {
                Err(format!("`settings`: more than {MAX_SETTINGS} bytes"))
            }
            _ => Ok(()),
        }
    }
}

/// Most bytes of a project's own settings.
const MAX_SETTINGS: usize = 1 << 20;

/// What a project's refresh tokens and digests are derived from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshSecret {
    /// 32 bytes.
    pub key: Base64,
}

/// A key that signs, or signed, tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKey {
    /// Its id.
    pub id: Uuid,
    /// How it signs, as JWTs spell it: EdDSA, ES256 or RS256.
    pub algorithm: String,
    /// When it was made.
    pub created_at: Moment,
    /// From when on nothing signed by it is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<Moment>,
    /// The key itself: the seed, the private scalar, or PKCS #8.
    pub key: Base64,
}
