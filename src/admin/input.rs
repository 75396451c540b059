//! What comes in, as types: names in paths, pages in queries, bodies whose every field is known.

use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Admin;
use super::error::Refusal;
use crate::auth::accounts::{NewPassword, UserRef};
use crate::auth::{Email, Operator, Project, Role};
use crate::crypto::{Secret, StoredHash};
use crate::http::body;
use crate::net::PeerUid;

/// The largest body, bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Most characters in a password or a name.
const MAX_CHARS: usize = 255;
/// Entries of a page when the query does not say.
const PAGE: usize = 100;
/// The most entries of a page.
const MAX_PAGE: usize = 1000;

/// The parameters in the path.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(value) =
            Path::from_request_parts(parts, state).await.map_err(|error| Refusal::Invalid(error.body_text()))?;
        Ok(Self(value))
    }
}

/// Who asks, and the one clock reading of it.
pub(super) struct Acting(pub(super) Operator);

impl FromRequestParts<Admin> for Acting {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, Refusal> {
        let uid = parts.extensions.get::<PeerUid>().map(|PeerUid(uid)| *uid);
        Ok(Self(Operator { now: admin.now(), uid }))
    }
}

/// The parameters in the query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(value) =
            Query::from_request_parts(parts, state).await.map_err(|error| Refusal::Invalid(error.body_text()))?;
        Ok(Self(value))
    }
}

/// The body; none at all is an empty object.
pub(super) struct Said<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Said<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Refusal> {
        let object = body::json_object(request, BODY_LIMIT).await.map_err(Refusal::Body)?;
        serde_json::from_value(Value::Object(object)).map(Self).map_err(|error| Refusal::Invalid(error.to_string()))
    }
}

/// Slugs or ids of projects with commas between; none for all.
#[derive(Debug, Default)]
pub(super) struct Names(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(from)?.split(',').map(str::to_owned).collect()))
    }
}

/// A project as an operator names it: by slug or id.
#[derive(Debug, Deserialize)]
pub(super) struct ProjectName(String);

impl ProjectName {
    pub(super) fn id(&self) -> Option<Uuid> {
        Uuid::parse_str(&self.0).ok()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// An account as an operator names it: by address or id.
#[derive(Debug)]
pub(super) struct Who(pub(super) UserRef);

impl FromStr for Who {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Uuid::parse_str(text) {
            Ok(id) => Ok(Self(UserRef::Id(id))),
            Err(_) => match Email::parse(text) {
                Ok(email) => Ok(Self(UserRef::Email(email))),
                Err(_) => Err("a user is named by address or id"),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// An address in a body.
#[derive(Debug)]
pub(super) struct Address(pub(super) Email);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Email::parse(&text).map(Self).map_err(|_| D::Error::custom("that is not a valid email address"))
    }
}

/// What the app lets an account do: `user` or `admin`.
#[derive(Debug, Default)]
pub(super) struct AsRole(pub(super) Role);

impl<'de> Deserialize<'de> for AsRole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Role::named(&name).map(Self).ok_or_else(|| D::Error::custom("a role is `user` or `admin`"))
    }
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<Uuid>,
    limit: Option<usize>,
}

impl Page {
    pub(super) fn new(after: Option<Uuid>, limit: Option<usize>) -> Self {
        Self { after, limit }
    }

    /// Reads one entry more than asked for, to know whether there is a next page.
    ///
    /// Answers the entries as `view` shows them, and the id after which the next page begins.
    pub(super) fn read<T, V: Serialize, E: Into<Refusal>>(
        &self,
        list: impl FnOnce(Option<Uuid>, usize) -> Result<Vec<T>, E>,
        id: impl Fn(&T) -> Uuid,
        view: impl Fn(&T) -> V,
    ) -> Result<(Vec<V>, Option<Uuid>), Refusal> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Refusal::Invalid(format!("limit: write a number from 1 to {MAX_PAGE}")));
        }
        let mut entries = list(self.after, limit + 1).map_err(Into::into)?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(id);
        Ok((entries.iter().map(view).collect(), next))
    }
}

/// A new password: in clear or as a hash from elsewhere.
pub(super) fn new_password(
    project: &Project,
    plain: Option<Secret<String>>,
    hash: Option<&str>,
) -> Result<Option<NewPassword>, Refusal> {
    match (plain, hash) {
        (Some(_), Some(_)) => Err(Refusal::Invalid("give `password` or `password_hash`, not both".into())),
        (Some(plain), None) => {
            let min = project.settings().password.min_length;
            match plain.expose().chars().count() {
                chars if chars < min => {
                    Err(Refusal::Invalid(format!("password: it must have at least {min} characters")))
                }
                chars if chars > MAX_CHARS => {
                    Err(Refusal::Invalid(format!("password: it may have at most {MAX_CHARS} characters")))
                }
                _ => Ok(Some(NewPassword::Plain(plain))),
            }
        }
        (None, Some(hash)) => match StoredHash::parse_import(hash) {
            Ok(hash) => Ok(Some(NewPassword::Imported(hash))),
            Err(error) => Err(Refusal::Invalid(format!("password_hash: {error}"))),
        },
        (None, None) => Ok(None),
    }
}

/// The name an account goes by: trimmed; an empty one is none.
pub(super) fn display_name(text: Option<&str>) -> Result<Option<String>, Refusal> {
    let name = text.map(str::trim).filter(|name| !name.is_empty());
    match name {
        Some(name) if name.chars().count() > MAX_CHARS => {
            Err(Refusal::Invalid(format!("display_name: it may have at most {MAX_CHARS} characters")))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

/// An account's metadata as it is kept; an empty object is none.
pub(super) fn metadata(object: Option<&Map<String, Value>>) -> Option<String> {
    object.filter(|object| !object.is_empty()).map(|object| Value::Object(object.clone()).to_string())
}
