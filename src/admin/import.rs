//! `/v1/projects/P/users/import`: accounts from elsewhere, a batch at a time. One wrong account refuses its whole batch,
//! unless it is to be left out.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Admin;
use super::error::Refusal;
use super::input::{Acting, At, ProjectName};
use crate::auth::import::{self, Brought, BroughtSession, BroughtToken, Done, MAX_BATCH};
use crate::auth::{Email, ProjectSettings, Role};
use crate::crypto::{Digest, StoredHash};
use crate::data::identities::Name;
use crate::data::users::{Phone, Roles};
use crate::env::Timestamp;
use crate::http::{body, moment};

/// The largest batch, bytes: it may hold pictures.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// Most characters of a name, of a picture, of a language.
const MAX_NAME: usize = 255;
const MAX_AVATAR: usize = 500_000;
const MAX_LOCALE: usize = 35;
/// Most bytes of metadata, as JSON.
const MAX_METADATA: usize = 64 * 1024;
/// Most roles of an account, and most bytes of one's name.
const MAX_ROLES: usize = 64;
const MAX_ROLE: usize = 255;
/// Most sessions of an account, most personal access tokens, most identities.
const MAX_SESSIONS: usize = 100;
const MAX_TOKENS: usize = 100;
const MAX_IDENTITIES: usize = 64;

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
    /// Whether its address counts as proved, also where not all of the batch do.
    #[serde(default)]
    verified: bool,
    #[serde(default)]
    disabled: bool,
    metadata: Option<Value>,
    #[serde(default)]
    is_anonymous: bool,
    default_role: Option<String>,
    roles: Option<Vec<String>>,
    phone: Option<String>,
    #[serde(default)]
    phone_verified: bool,
    #[serde(default)]
    sessions: Vec<AccountSession>,
    #[serde(default)]
    personal_tokens: Vec<AccountToken>,
    #[serde(default)]
    identities: Vec<AccountIdentity>,
}

/// A session whose client holds a refresh token that is a UUID.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountSession {
    /// SHA-256 of the token's text, as 64 hexadecimal digits.
    digest: String,
    created_at: Option<String>,
    expires_at: String,
}

/// A personal access token, which is a UUID.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountToken {
    id: Option<String>,
    /// As that of a session's.
    digest: String,
    created_at: Option<String>,
    expires_at: String,
    metadata: Option<Value>,
}

/// Who it is at a provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountIdentity {
    provider: String,
    id: String,
}

/// What became of a batch.
#[derive(Serialize)]
pub(super) struct Outcome {
    made: usize,
    /// Their id or address was there already.
    present: usize,
    /// Sessions of those that were made, their personal access tokens, and their identities at providers.
    sessions: usize,
    personal_tokens: usize,
    identities: usize,
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
    let settings = project.settings();
    let (mut good, mut refused) = (Vec::with_capacity(batch.accounts.len()), Vec::new());
    for account in batch.accounts {
        let line = account.line;
        match account.read(batch.verified, &settings) {
            Ok(brought) => good.push(brought),
            Err(reason) => refused.push(Refused { line, reason }),
        }
    }
    let done = match refused.is_empty() || batch.skip_invalid {
        true => import::import(&project, by, good).await?,
        false => Done::default(),
    };
    let Done { made, present, sessions, personal_tokens, identities } = done;
    Ok(Json(Outcome { made, present, sessions, personal_tokens, identities, refused }))
}

/// Whether `account`, a JSON object as the route takes it, could be made in a project with these settings.
///
/// # Errors
/// Why not; no secret is repeated.
pub fn check(account: Value, settings: &ProjectSettings) -> Result<(), String> {
    let account: Account = serde_json::from_value(account).map_err(|error| error.to_string())?;
    account.read(false, settings).map(drop)
}

impl Account {
    fn read(self, verified: bool, settings: &ProjectSettings) -> Result<Brought, String> {
        let id = match self.id {
            Some(text) => {
                // The nil UUID stands for no account at all.
                let id = Uuid::try_parse(&text).ok().filter(|id| !id.is_nil());
                Some(id.ok_or("the id is not a UUID")?)
            }
            None => None,
        };
        let email = match &self.email {
            Some(text) => Some(Email::parse(text).map_err(|_| "the address is not a valid one")?),
            // Whoever has neither address nor id would be made anew with each import.
            None if id.is_none() => return Err("there is no address".into()),
            None => None,
        };
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
            ["data:image/", "https://", "http://"].iter().any(|lead| text.starts_with(lead))
                && text.chars().count() <= MAX_AVATAR
        };
        if !self.avatar.as_ref().is_none_or(is_picture) {
            return Err(format!("the picture is no URL of an image, or has more than {MAX_AVATAR} characters"));
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
        let sessions = at_most(self.sessions, MAX_SESSIONS, "sessions")?;
        let tokens = at_most(self.personal_tokens, MAX_TOKENS, "personal access tokens")?;
        let identities = at_most(self.identities, MAX_IDENTITIES, "identities")?;
        Ok(Brought {
            id,
            email,
            password,
            display_name,
            role,
            avatar: self.avatar,
            locale: self.locale,
            verified: verified || self.verified,
            created_at,
            disabled: self.disabled,
            metadata: metadata(self.metadata)?,
            is_anonymous: self.is_anonymous,
            roles: if self.is_anonymous { None } else { roles(self.default_role, self.roles, settings)? },
            phone: phone(self.phone, self.phone_verified)?,
            sessions: sessions.iter().map(AccountSession::read).collect::<Result<_, _>>()?,
            personal_tokens: tokens.into_iter().map(AccountToken::read).collect::<Result<_, _>>()?,
            identities: identities.iter().map(AccountIdentity::read).collect::<Result<_, _>>()?,
        })
    }
}

impl AccountSession {
    fn read(&self) -> Result<BroughtSession, String> {
        let refresh = digest(&self.digest)?;
        let (created_at, expires_at) = span(self.created_at.as_deref(), &self.expires_at)?;
        Ok(BroughtSession { refresh, created_at, expires_at })
    }
}

impl AccountToken {
    fn read(self) -> Result<BroughtToken, String> {
        let id = self.id.map(|text| Uuid::try_parse(&text).ok().filter(|id| !id.is_nil()));
        let id = id.map(|id| id.ok_or("the id of a token is not a UUID")).transpose()?;
        let (created_at, expires_at) = span(self.created_at.as_deref(), &self.expires_at)?;
        let (digest, metadata) = (digest(&self.digest)?, metadata(self.metadata)?);
        Ok(BroughtToken { id, digest, created_at, expires_at, metadata })
    }
}

/// When a token was made, where that is known, and until when it works.
fn span(from: Option<&str>, to: &str) -> Result<(Option<Timestamp>, Timestamp), String> {
    let from = from.map(|text| moment(text).ok_or("the time a token was made is none")).transpose()?;
    Ok((from, moment(to).ok_or("the time a token expires is none")?))
}

impl AccountIdentity {
    fn read(&self) -> Result<Name, String> {
        Name::new(&self.provider, &self.id).ok_or_else(|| "an identity is none of a provider".into())
    }
}

fn at_most<T>(list: Vec<T>, most: usize, what: &str) -> Result<Vec<T>, String> {
    if list.len() <= most { Ok(list) } else { Err(format!("it has more than {most} {what}")) }
}

fn digest(text: &str) -> Result<Digest, String> {
    let mut bytes = [0; 32];
    let pairs = text.as_bytes().as_chunks::<2>().0;
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let both = value(high).zip(value(low)).filter(|_| text.len() == 64);
        let (high, low) = both.ok_or("a token's digest is not 64 hexadecimal digits")?;
        *byte = high << 4 | low;
    }
    if pairs.is_empty() { Err("a token's digest is empty".into()) } else { Ok(Digest::from_bytes(bytes)) }
}

fn metadata(value: Option<Value>) -> Result<Option<String>, String> {
    let object: Map<String, Value> = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(object)) if object.is_empty() => return Ok(None),
        Some(Value::Object(object)) => object,
        Some(_) => return Err("the metadata is no JSON object".into()),
    };
    let text = Value::Object(object).to_string();
    if text.len() <= MAX_METADATA {
        Ok(Some(text))
    } else {
        Err(format!("the metadata has more than {MAX_METADATA} bytes"))
    }
}

/// The roles of an account; `None` where they are those that every account has.
fn roles(
    default: Option<String>,
    allowed: Option<Vec<String>>,
    settings: &ProjectSettings,
) -> Result<Option<Roles>, String> {
    if default.is_none() && allowed.is_none() {
        return Ok(None);
    }
    let default = default.unwrap_or_else(|| settings.nhost.default_role.clone());
    let mut allowed = at_most(allowed.unwrap_or_default(), MAX_ROLES, "roles")?;
    if !allowed.contains(&default) {
        allowed.push(default.clone());
    }
    let is_name = |role: &String| (1..=MAX_ROLE).contains(&role.len()) && !role.chars().any(char::is_control);
    if !allowed.iter().all(is_name) {
        return Err(format!("the name of a role is empty, or has more than {MAX_ROLE} bytes"));
    }
    let own: BTreeSet<&str> = allowed.iter().map(String::as_str).collect();
    let is_usual = default == settings.nhost.default_role && own == settings.nhost.roles().collect();
    Ok((!is_usual).then_some(Roles { default, allowed }))
}

fn phone(number: Option<String>, verified: bool) -> Result<Option<Phone>, String> {
    let Some(number) = number.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let digits = number.strip_prefix('+').unwrap_or(&number);
    match (3..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(Some(Phone { number, verified })),
        false => Err("the telephone number is none like +15550100".into()),
    }
}
