//! `/v1/projects/P/users/import`: accounts from elsewhere, a batch at a time. One wrong account refuses its whole batch,
//! unless it is to be left out.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Admin;
use super::error::Refusal;
use super::input::{Acting, At, ProjectName};
use crate::auth::import::{self, Brought, Done, MAX_BATCH};
use crate::auth::{Email, Role};
use crate::crypto::StoredHash;
use crate::http::{body, moment};

/// The largest batch, bytes: it may hold pictures.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// Most characters of a name, of a picture, of a language.
const MAX_NAME: usize = 255;
const MAX_AVATAR: usize = 500_000;
const MAX_LOCALE: usize = 35;

/// A batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    accounts: Vec<Account>,
    /// Leave wrong accounts out instead of refusing the batch.
    #[serde(default)]
    skip_invalid: bool,
    /// All addresses count as proved.
    #[serde(default)]
    verified: bool,
}

/// An account as text, so that what is wrong with one is told of that one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    /// Where it stood: what the answer calls it.
    line: u64,
    id: Option<String>,
    email: Option<String>,
    password_hash: Option<String>,
    display_name: Option<String>,
    role: Option<String>,
    avatar: Option<String>,
    locale: Option<String>,
    created_at: Option<String>,
}

/// What became of a batch.
#[derive(Serialize)]
pub(super) struct Outcome {
    made: usize,
    /// Their id or address was there already.
    present: usize,
    /// Wrong accounts; where they are not to be left out, nothing was made.
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    line: u64,
    reason: String,
}

impl<S: Send + Sync> FromRequest<S> for Batch {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let object = body::json_object(request, BODY_LIMIT).await.map_err(Refusal::Body)?;
        let batch: Self =
            serde_json::from_value(Value::Object(object)).map_err(|error| Refusal::Invalid(error.to_string()))?;
        match batch.accounts.len() {
            ..=MAX_BATCH => Ok(batch),
            many => Err(Refusal::Invalid(format!("accounts: {many} are more than {MAX_BATCH}"))),
        }
    }
}

pub(super) async fn import(
    State(admin): State<Admin>,
    Acting(by): Acting,
    At(name): At<ProjectName>,
    batch: Batch,
) -> Result<Json<Outcome>, Refusal> {
    let project = admin.project(&name).await?;
    let (mut good, mut refused) = (Vec::with_capacity(batch.accounts.len()), Vec::new());
    for account in batch.accounts {
        let line = account.line;
        match account.read(batch.verified) {
            Ok(brought) => good.push(brought),
            Err(reason) => refused.push(Refused { line, reason }),
        }
    }
    let done = match refused.is_empty() || batch.skip_invalid {
        true => import::import(&project, by, good).await?,
        false => Done::default(),
    };
    Ok(Json(Outcome { made: done.made, present: done.present, refused }))
}

impl Account {
    fn read(self, verified: bool) -> Result<Brought, String> {
        let id = match self.id {
            Some(text) => {
                // The nil UUID stands for no account at all.
                let id = Uuid::try_parse(&text).ok().filter(|id| !id.is_nil());
                Some(id.ok_or("the id is not a UUID")?)
            }
            None => None,
        };
        let email = self.email.ok_or("there is no address")?;
        let email = Email::parse(&email).map_err(|_| "the address is not a valid one")?;
        let password = match self.password_hash {
            Some(text) => Some(StoredHash::parse_import(&text).map_err(|error| format!("the password: {error}"))?),
            None => None,
        };
        let role = match self.role.as_deref().map(str::trim) {
            Some(name) => Role::named(name).ok_or("the role is neither `user` nor `admin`")?,
            None => Role::User,
        };
        let display_name = self.display_name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        if display_name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME) {
            return Err(format!("the name has more than {MAX_NAME} characters"));
        }
        let is_picture = |text: &String| {
            ["data:image/", "https://"].iter().any(|lead| text.starts_with(lead)) && text.chars().count() <= MAX_AVATAR
        };
        if !self.avatar.as_ref().is_none_or(is_picture) {
            return Err(format!("the picture is no data URL of an image, or has more than {MAX_AVATAR} characters"));
        }
        let is_language =
            |text: &String| text.len() <= MAX_LOCALE && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !self.locale.as_ref().is_none_or(is_language) {
            return Err("the language is no tag like `fr` or `zh-Hans`".into());
        }
        let created_at = match self.created_at {
            Some(text) => Some(moment(&text).ok_or("the time it was made is none")?),
            None => None,
        };
        let (avatar, locale) = (self.avatar, self.locale);
        Ok(Brought { id, email, password, display_name, role, avatar, locale, verified, created_at })
    }
}
