//! The fields of a body, taken one by one with the rules of the contract's section 0.1.

use serde_json::{Map, Value};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use uuid::Uuid;

use super::error::{Code, Refusal};
use crate::auth::wishes::Wishes;
use crate::auth::{Email, ProjectSettings};
use crate::crypto::Secret;
use crate::env::Timestamp;
use crate::http::moment;
use crate::http::openapi::{self, BodyFields};

/// Most characters of an address.
const MAX_EMAIL: usize = 255;
/// Characters of a password in the schema.
const PASSWORD: std::ops::RangeInclusive<usize> = 3..=50;
/// Most characters of a name.
const MAX_NAME: usize = 32;
/// Most roles in a wish.
const MAX_ROLES: usize = 64;
/// Most bytes of metadata, as JSON.
const MAX_METADATA: usize = 64 * 1024;
/// Most characters of a URL.
const MAX_URL: usize = 2048;
/// Most characters of any other text.
const MAX_TEXT: usize = 4096;

/// What stands in the place of an address and of a UUID where the document is written.
const NOBODY: &str = "nobody@example.com";
const NO_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// The fields of a JSON object, secrets among them (so no `Debug`).
pub(super) struct Fields {
    body: Map<String, Value>,
    /// Where the object stands in the body.
    at: String,
    /// What was asked for, where there is no body and the document is written.
    asked: Option<BodyFields>,
    /// Whether other fields may be there.
    open: bool,
}

impl Fields {
    pub(super) fn of(body: Map<String, Value>) -> Self {
        Self { body, at: String::new(), asked: None, open: false }
    }

    /// For the document.
    pub(super) fn asking() -> Self {
        Self { body: Map::new(), at: String::new(), asked: Some(BodyFields::default()), open: false }
    }

    /// What was asked for.
    pub(super) fn asked(self) -> BodyFields {
        let mut asked = self.asked.unwrap_or_default();
        if !self.open {
            asked.close();
        }
        asked
    }

    /// Takes what nobody asked for, and does not look at it.
    pub(super) fn ignore_others(&mut self) {
        self.body.clear();
        self.open = true;
    }

    /// Refuses what nobody asked for.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        match self.body.keys().next() {
            Some(name) => Err(Refusal::Schema(format!("property {:?} is unsupported", self.path(name)))),
            None => Ok(()),
        }
    }

    /// A required address.
    pub(super) fn email(&mut self, name: &str) -> Result<Email, Refusal> {
        self.note(|asked| asked.required(name, openapi::email(MAX_EMAIL)));
        let text = self.required(name, NOBODY)?;
        Email::parse(&text).map_err(|_| Refusal::NotAnEmail)
    }

    /// A required password as it may be on file.
    pub(super) fn password(&mut self, name: &str) -> Result<Secret<String>, Refusal> {
        // An operator may have asked for longer ones than the contract's schema has, and other APIs take them.
        self.note(|asked| asked.required(name, openapi::text(1..=MAX_TEXT)));
        let text = Secret::new(self.required(name, "")?);
        self.within(name, text.expose(), 1..=MAX_TEXT)?;
        Ok(text)
    }

    /// A required new password (PASSWORD, contract 0.2).
    pub(super) fn new_password(&mut self, name: &str, settings: &ProjectSettings) -> Result<Secret<String>, Refusal> {
        let longest = (*PASSWORD.end()).max(settings.password.min_length);
        self.note(|asked| asked.required(name, openapi::text(*PASSWORD.start()..=longest)));
        let text = Secret::new(self.required(name, "")?);
        self.new_secret(name, text, settings)
    }

    /// The same, where it may be left out.
    pub(super) fn optional_new_password(
        &mut self,
        name: &str,
        settings: &ProjectSettings,
    ) -> Result<Option<Secret<String>>, Refusal> {
        let longest = (*PASSWORD.end()).max(settings.password.min_length);
        self.note(|asked| asked.optional(name, openapi::text(*PASSWORD.start()..=longest)));
        let text = self.string(name)?.map(Secret::new);
        text.map(|text| self.new_secret(name, text, settings)).transpose()
    }

    fn new_secret(
        &self,
        name: &str,
        text: Secret<String>,
        settings: &ProjectSettings,
    ) -> Result<Secret<String>, Refusal> {
        if self.asked.is_some() {
            return Ok(text);
        }
        let least = settings.password.min_length;
        self.within(name, text.expose(), *PASSWORD.start()..=(*PASSWORD.end()).max(least))?;
        // In bytes, as the original counts.
        if text.expose().len() < least { Err(Code::PasswordTooShort.into()) } else { Ok(text) }
    }

    /// A required UUID.
    pub(super) fn uuid(&mut self, name: &str) -> Result<Uuid, Refusal> {
        self.note(|asked| asked.required(name, uuid_schema()));
        let text = self.required(name, NO_UUID)?;
        self.as_uuid(name, &text)
    }

    /// An optional UUID.
    pub(super) fn optional_uuid(&mut self, name: &str) -> Result<Option<Uuid>, Refusal> {
        self.note(|asked| asked.optional(name, uuid_schema()));
        let text = self.string(name)?;
        text.map(|text| self.as_uuid(name, &text)).transpose()
    }

    fn as_uuid(&self, name: &str, text: &str) -> Result<Uuid, Refusal> {
        let parsed = Some(text).filter(|text| text.len() == 36).and_then(|text| Uuid::try_parse(text).ok());
        parsed.ok_or_else(|| self.wrong(name, "is not a UUID"))
    }

    /// A required text.
    pub(super) fn text(&mut self, name: &str) -> Result<String, Refusal> {
        self.note(|asked| asked.required(name, openapi::text(0..=MAX_TEXT)));
        let text = self.required(name, "")?;
        self.within(name, &text, 0..=MAX_TEXT)?;
        Ok(text)
    }

    /// An optional text.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.note(|asked| asked.optional(name, openapi::text(0..=MAX_TEXT)));
        let text = self.string(name)?;
        text.map(|text| self.within(name, &text, 0..=MAX_TEXT).map(|()| text)).transpose()
    }

    /// An optional access token, of any length that a body may have.
    pub(super) fn optional_token(&mut self, name: &str) -> Result<Option<Secret<String>>, Refusal> {
        self.note(|asked| asked.optional(name, ObjectBuilder::new().schema_type(Type::String).build()));
        Ok(self.string(name)?.map(Secret::new))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<T, Refusal> {
        let all: Vec<_> = words.iter().map(|(word, _)| (*word).to_owned()).collect();
        self.note(|asked| {
            asked.required(name, ObjectBuilder::new().schema_type(Type::String).enum_values(Some(all)).build());
        });
        let text = self.required(name, words.first().map_or("", |(word, _)| *word))?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| self.wrong(name, "value is not one of the allowed values"))
    }

    /// A flag, false where it is left out.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        self.note(|asked| asked.optional(name, ObjectBuilder::new().schema_type(Type::Boolean).build()));
        match self.body.remove(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(self.wrong(name, "value must be a boolean")),
        }
    }

    /// A required moment (RFC 3339).
    pub(super) fn moment(&mut self, name: &str) -> Result<Timestamp, Refusal> {
        self.note(|asked| {
            let text = ObjectBuilder::new().schema_type(Type::String);
            asked.required(name, text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).build());
        });
        let text = self.required(name, "1970-01-01T00:00:00Z")?;
        moment(&text).filter(|_| text.contains(['T', 't'])).ok_or_else(|| self.wrong(name, "is not a date-time"))
    }

    /// The challenge of PKCE, where there is one: 43 characters of base64url.
    pub(super) fn code_challenge(&mut self) -> Result<Option<String>, Refusal> {
        const NAME: &str = "codeChallenge";
        self.note(|asked| {
            let mut text = openapi::text(43..=43);
            text.pattern = Some("^[A-Za-z0-9_-]{43}$".into());
            asked.optional(NAME, text);
        });
        let text = self.string(NAME)?;
        let fits =
            |text: &String| text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        match text {
            Some(text) if !fits(&text) => Err(self.wrong(NAME, "does not match ^[A-Za-z0-9_-]{43}$")),
            text => Ok(text),
        }
    }

    /// A JSON object of the app's own, as text.
    pub(super) fn metadata(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.note(|asked| {
            let any = AdditionalProperties::FreeForm(true);
            asked.optional(
                name,
                ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(any)).build(),
            );
        });
        match self.body.remove(name) {
            None => Ok(None),
            Some(Value::Object(object)) => {
                let text = Value::Object(object).to_string();
                match text.len() {
                    ..=MAX_METADATA => Ok(Some(text)),
                    _ => Err(self.wrong(name, "value is too large")),
                }
            }
            Some(_) => Err(self.wrong(name, "value must be an object")),
        }
    }

    /// A display name: at most 32 characters of letters, digits, symbols and ` ,.'-`.
    pub(super) fn display_name(&mut self) -> Result<Option<String>, Refusal> {
        const NAME: &str = "displayName";
        self.note(|asked| {
            let mut text = openapi::text(0..=MAX_NAME);
            text.pattern = Some(r"^[\p{L}\p{N}\p{S} ,.'-]+$".into());
            asked.optional(NAME, text);
        });
        let Some(text) = self.string(NAME)? else { return Ok(None) };
        self.within(NAME, &text, 1..=MAX_NAME)?;
        match text.chars().all(crate::auth::wishes::may_stand_in_a_name) {
            true => Ok(Some(text)),
            false => Err(self.wrong(NAME, r"does not match ^[\p{L}\p{N}\p{S} ,.'-]+$")),
        }
    }

    /// A language of two or three characters.
    pub(super) fn locale(&mut self) -> Result<Option<String>, Refusal> {
        self.note(|asked| asked.optional("locale", openapi::text(2..=3)));
        let text = self.string("locale")?;
        text.map(|text| self.within("locale", &text, 2..=3).map(|()| text)).transpose()
    }

    /// `options` of a sign-up (SignUpOptions).
    pub(super) fn wishes(&mut self) -> Result<Wishes, Refusal> {
        self.inner("options", |fields| {
            Ok(Wishes {
                allowed_roles: fields.roles("allowedRoles")?,
                default_role: fields.optional_text("defaultRole")?,
                display_name: fields.display_name()?,
                locale: fields.locale()?,
                metadata: fields.metadata("metadata")?,
                redirect_to: fields.redirect_to()?,
            })
        })
    }

    /// `options` where only `redirectTo` is one (OptionsRedirectTo).
    pub(super) fn redirect_option(&mut self) -> Result<Option<String>, Refusal> {
        self.inner("options", Self::redirect_to)
    }

    /// Where to go afterwards.
    pub(super) fn redirect_to(&mut self) -> Result<Option<String>, Refusal> {
        const NAME: &str = "redirectTo";
        self.note(|asked| {
            let mut text = openapi::text(0..=MAX_URL);
            text.format = Some(SchemaFormat::Custom("uri".into()));
            asked.optional(NAME, text);
        });
        let text = self.string(NAME)?;
        text.map(|text| self.within(NAME, &text, 0..=MAX_URL).map(|()| text)).transpose()
    }

    fn roles(&mut self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        self.note(|asked| {
            let items = ArrayBuilder::new().items(openapi::text(0..=255));
            asked.optional(name, items.max_items(Some(MAX_ROLES)).build());
        });
        let items = match self.body.remove(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.wrong(name, "value must be an array")),
        };
        if items.len() > MAX_ROLES {
            return Err(self.wrong(name, &format!("has more than {MAX_ROLES} items")));
        }
        let text = |item| match item {
            Value::String(text) if text.len() <= 255 => Ok(text),
            _ => Err(self.wrong(name, "value must be a string")),
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// An object within the object; what is left out is as if it were empty.
    fn inner<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal> {
        if self.asked.is_some() {
            let mut inner = Self::asking();
            let done = read(&mut inner);
            let schema = inner.asked();
            self.note(|asked| asked.object(name, schema));
            return done;
        }
        let body = match self.body.remove(name) {
            None => Map::new(),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(self.wrong(name, "value must be an object")),
        };
        let mut inner = Self { at: format!("{}{name}.", self.at), ..Self::of(body) };
        let done = read(&mut inner)?;
        inner.end()?;
        Ok(done)
    }

    /// A text that must be there; for the document it is `sample`, so that the reading goes on.
    fn required(&mut self, name: &str, sample: &str) -> Result<String, Refusal> {
        match self.string(name)? {
            Some(text) => Ok(text),
            None if self.asked.is_some() => Ok(sample.to_owned()),
            None => Err(Refusal::Schema(format!("property {:?} is missing", self.path(name)))),
        }
    }

    fn string(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.body.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "value must be a string")),
        }
    }

    fn within(&self, name: &str, text: &str, chars: std::ops::RangeInclusive<usize>) -> Result<(), Refusal> {
        let count = text.chars().count();
        if count > *chars.end() {
            return Err(self.wrong(name, &format!("maximum string length is {}", chars.end())));
        }
        match count < *chars.start() && self.asked.is_none() {
            true => Err(self.wrong(name, &format!("minimum string length is {}", chars.start()))),
            false => Ok(()),
        }
    }

    /// What is wrong with a field; never what stands in it.
    fn wrong(&self, name: &str, reason: &str) -> Refusal {
        Refusal::Schema(format!("{}: {reason}", self.path(name)))
    }

    fn path(&self, name: &str) -> String {
        // A name that nobody asked for may be of any length.
        format!("{}{name:.80}", self.at)
    }

    /// Notes a field for the document, when that is what the reading is for.
    fn note(&mut self, field: impl FnOnce(&mut BodyFields)) {
        if let Some(asked) = &mut self.asked {
            field(asked);
        }
    }
}

fn uuid_schema() -> utoipa::openapi::schema::Object {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))).build()
}
