//! One line: its type and what it says, read with every field known and of its kind, whatever the order.

use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::access::{ApiKey, Code, OneTime, PersonalToken, Session};
use super::counters::{Cooldown, LockoutAccount, LockoutClient, Rate};
use super::people::{Device, GoneUser, Identity, User};
use super::sending::Sending;
use super::trail::Audit;
use super::whole::{End, Failed, Header, Project, RefreshSecret, SigningKey};
use crate::data::Table;
use crate::data::issued::Issued;

/// A line of a portable file. Its `type` is the variant's name in snake case.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Keystead(Header),
    /// The first line of a project.
    Project(Box<Project>),
    /// Only with secrets.
    RefreshSecret(RefreshSecret),
    /// Only with secrets.
    SigningKey(SigningKey),
    /// An account.
    User(Box<User>),
    /// The id of an account that was deleted.
    GoneUser(GoneUser),
    /// Who an account is at a provider.
    Identity(Identity),
    /// A session.
    Session(Box<Session>),
    /// A device that an account was used from.
    Device(Device),
    /// A one-time secret.
    OneTime(OneTime),
    /// A short code.
    Code(Code),
    /// An API key.
    ApiKey(Box<ApiKey>),
    /// A personal access token.
    PersonalToken(PersonalToken),
    /// Failures of one client on one address.
    LockoutClient(LockoutClient),
    /// Failures on one address.
    LockoutAccount(LockoutAccount),
    /// A pause between two mails.
    Cooldown(Cooldown),
    /// A window of a limiter.
    Rate(Rate),
    /// An entry of the audit trail.
    Audit(Box<Audit>),
    /// Something that waits to be sent.
    Outbox(Box<Sending>),
    /// Something that was given up.
    DeadLetter(Box<Sending>),
    /// The last line.
    End(End),
    /// The last line of an export that failed.
    Failed(Failed),
}

impl Line {
    /// Its type.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Keystead(_) => "keystead",
            Self::Project(_) => "project",
            Self::RefreshSecret(_) => "refresh_secret",
            Self::SigningKey(_) => "signing_key",
            Self::User(_) => "user",
            Self::GoneUser(_) => "gone_user",
            Self::Identity(_) => "identity",
            Self::Session(_) => "session",
            Self::Device(_) => "device",
            Self::OneTime(_) => "one_time",
            Self::Code(_) => "code",
            Self::ApiKey(_) => "api_key",
            Self::PersonalToken(_) => "personal_token",
            Self::LockoutClient(_) => "lockout_client",
            Self::LockoutAccount(_) => "lockout_account",
            Self::Cooldown(_) => "cooldown",
            Self::Rate(_) => "rate",
            Self::Audit(_) => "audit",
            Self::Outbox(_) => "outbox",
            Self::DeadLetter(_) => "dead_letter",
            Self::End(_) => "end",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether its record is one of `issued`.
    pub fn belongs_to(&self, issued: Issued) -> bool {
        self.table().is_some_and(|table| issued.holds(table))
    }

    /// Where its record lies; `None` for what is said around records.
    const fn table(&self) -> Option<Table> {
        Some(match self {
            Self::Keystead(_) | Self::Project(_) | Self::End(_) | Self::Failed(_) => return None,
            Self::RefreshSecret(_) => Table::Meta,
            Self::SigningKey(_) => Table::SigningKey,
            Self::User(_) => Table::User,
            Self::GoneUser(_) => Table::UserGone,
            Self::Identity(_) => Table::Identity,
            Self::Session(_) => Table::Session,
            Self::Device(_) => Table::Device,
            Self::OneTime(_) => Table::OneTime,
            Self::Code(_) => Table::Code,
            Self::ApiKey(_) => Table::ApiKey,
            Self::PersonalToken(_) => Table::PersonalToken,
            Self::LockoutClient(_) => Table::LockoutByClient,
            Self::LockoutAccount(_) => Table::LockoutByAccount,
            Self::Cooldown(_) => Table::Cooldown,
            Self::Rate(_) => Table::Rate,
            Self::Audit(_) => Table::Audit,
            Self::Outbox(_) => Table::Outbox,
            Self::DeadLetter(_) => Table::DeadLetter,
        })
    }

    /// The line as text, without its end.
    ///
    /// # Errors
    /// Why it cannot be written: a record that should never have been stored.
    pub fn spell(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| error.to_string())
    }

    /// Reads a line, as bytes from outside.
    ///
    /// # Errors
    /// What is wrong with it. What a field says is not repeated: it may be a secret.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(text).map_err(|_| "that is not UTF-8")?;
        let Fields { kind, fields } = serde_json::from_str(text).map_err(|error| told(&error))?;
        let line = match kind.ok_or("it has no `type`")?.as_str() {
            "keystead" => Self::Keystead(read(fields)?),
            "project" => Self::Project(read(fields)?),
            "refresh_secret" => Self::RefreshSecret(read(fields)?),
            "signing_key" => Self::SigningKey(read(fields)?),
            "user" => Self::User(read(fields)?),
            "gone_user" => Self::GoneUser(read(fields)?),
            "identity" => Self::Identity(read(fields)?),
            "session" => Self::Session(read(fields)?),
            "device" => Self::Device(read(fields)?),
            "one_time" => Self::OneTime(read(fields)?),
            "code" => Self::Code(read(fields)?),
            "api_key" => Self::ApiKey(read(fields)?),
            "personal_token" => Self::PersonalToken(read(fields)?),
            "lockout_client" => Self::LockoutClient(read(fields)?),
            "lockout_account" => Self::LockoutAccount(read(fields)?),
            "cooldown" => Self::Cooldown(read(fields)?),
            "rate" => Self::Rate(read(fields)?),
            "audit" => Self::Audit(read(fields)?),
            "outbox" => Self::Outbox(read(fields)?),
            "dead_letter" => Self::DeadLetter(read(fields)?),
            "end" => Self::End(read(fields)?),
            "failed" => Self::Failed(read(fields)?),
            _ => return Err("this program knows no such `type`".into()),
        };
        line.check().map(|()| line)
    }

    /// Whether its values are within what the store holds.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Project(project) => project.check(),
            Self::User(user) => user.check(),
            Self::Identity(identity) => identity.check(),
            Self::Session(session) => session.check(),
            Self::OneTime(secret) => secret.check(),
            Self::Code(code) => code.check(),
            Self::ApiKey(key) => key.check(),
            Self::LockoutClient(lockout) => lockout.check(),
            Self::Outbox(item) => item.check(false),
            Self::DeadLetter(item) => item.check(true),
            Self::Keystead(_)
            | Self::RefreshSecret(_)
            | Self::SigningKey(_)
            | Self::GoneUser(_)
            | Self::Device(_)
            | Self::PersonalToken(_)
            | Self::LockoutAccount(_)
            | Self::Cooldown(_)
            | Self::Rate(_)
            | Self::Audit(_)
            | Self::End(_)
            | Self::Failed(_) => Ok(()),
        }
    }
}

/// The fields of a line, unread, but for its type.
struct Fields<'a> {
    kind: Option<String>,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields<'de>, A::Error> {
                let (mut kind, mut fields) = (None, Vec::<(String, &'de RawValue)>::new());
                while let Some(name) = entries.next_key::<String>()? {
                    if (name == "type" && kind.is_some()) || fields.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a field stands twice"));
                    }
                    if fields.len() == MOST_FIELDS {
                        return Err(A::Error::custom("no line has so many fields"));
                    }
                    match name.as_str() {
                        "type" => kind = Some(entries.next_value()?),
                        _ => fields.push((name, entries.next_value()?)),
                    }
                }
                Ok(Fields { kind, fields })
            }
        }
        from.deserialize_map(Reader)
    }
}

/// More than any line has.
const MOST_FIELDS: usize = 64;

fn read<'de, T: Deserialize<'de>>(fields: Vec<(String, &'de RawValue)>) -> Result<T, String> {
    let entries = Entries { fields: fields.into_iter(), current: None };
    T::deserialize(MapAccessDeserializer::new(entries)).map_err(|error| told(&error))
}

/// Fields one after the other; one that cannot be read says which it is.
struct Entries<'a> {
    fields: std::vec::IntoIter<(String, &'a RawValue)>,
    current: Option<(String, &'a RawValue)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        self.current = self.fields.next();
        let name = self.current.as_ref().map(|(name, _)| name.as_str());
        name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        let (name, raw) = self.current.take().ok_or_else(|| Self::Error::custom("a value without a name"))?;
        seed.deserialize(raw).map_err(|error| Self::Error::custom(format_args!("`{name}`: {}", told(&error))))
    }
}

/// An error without the place in a text that nobody sees, and without what was found there.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    match text.rsplit_once(", expected ") {
        Some((_, expected)) if text.starts_with("invalid ") => format!("expected {expected}"),
        _ => text.to_owned(),
    }
}
