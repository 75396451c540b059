//! How values are spelled in a portable file, so that people and `jq` can read them and nothing of them is lost.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::crypto::{Digest, Secret, StoredHash, hex};
use crate::data::events::{By, EventKind, Outcome};
use crate::data::one_time::{Notice, Purpose};
use crate::data::outbox::Kind;
use crate::data::sessions::Carrier;
use crate::data::users::{ProofKind, Role};
use crate::env::Timestamp;

/// A moment: RFC 3339 in UTC with milliseconds; one that RFC 3339 cannot spell, as milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let text = self.0.rfc3339_millis();
        if read_moment(&text) == Some(self.0) { to.serialize_str(&text) } else { to.serialize_u64(self.0.millis()) }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a moment like 2026-01-31T12:00:00.000Z")
            }

            fn visit_u64<E>(self, millis: u64) -> Result<Moment, E> {
                Ok(Moment(Timestamp::from_millis(millis)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Moment, E> {
                read_moment(text).map(Moment).ok_or_else(|| E::custom("write a moment like 2026-01-31T12:00:00.000Z"))
            }
        }
        from.deserialize_any(Reader)
    }
}

fn read_moment(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// Bytes as lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from)?;
        let mut bytes = [0; N];
        let wrong = || D::Error::custom(format!("write {} hexadecimal digits", 2 * N));
        if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl From<Digest> for Hex<32> {
    fn from(digest: Digest) -> Self {
        Self(*digest.as_bytes())
    }
}

impl From<Hex<32>> for Digest {
    fn from(Hex(bytes): Hex<32>) -> Self {
        Self::from_bytes(bytes)
    }
}

/// An address of the internet, kept as IPv6, or IPv4 mapped into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip(pub [u8; 16]);

impl Serialize for Ip {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Ipv6Addr::from(self.0).to_canonical())
    }
}

impl<'de> Deserialize<'de> for Ip {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match text(from)?.parse() {
            Ok(IpAddr::V4(v4)) => Ok(Self(v4.to_ipv6_mapped().octets())),
            Ok(IpAddr::V6(v6)) => Ok(Self(v6.octets())),
            Err(_) => Err(D::Error::custom("write an IP address")),
        }
    }
}

/// Bytes, maybe secret ones, as base64 (RFC 4648, section 4).
#[derive(Clone, Debug)]
pub struct Base64(pub Secret<Vec<u8>>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(Secret::new(STANDARD.encode(self.0.expose())).expose())
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Secret::new(text(from)?);
        let bytes = STANDARD.decode(text.expose()).map_err(|_| D::Error::custom("write base64"))?;
        Ok(Self(Secret::new(bytes)))
    }
}

/// A password's hash: a PHC string, or the bcrypt text it was imported as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash(pub StoredHash);

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.text())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        StoredHash::parse_stored(&text(from)?).map(Self).map_err(D::Error::custom)
    }
}

/// A JSON object of an app's own: kept as the text it is, down to the order of its keys and the form of its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object(pub String);

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(&self.0) {
            Ok(raw) if is_object(&self.0) => raw.serialize(to),
            _ => Err(serde::ser::Error::custom("metadata that is no JSON object in one line")),
        }
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        if is_object(raw.get()) { Ok(Self(raw.get().to_owned())) } else { Err(D::Error::custom("write a JSON object")) }
    }
}

/// Whether everybody who reads it will read an object, and a line that holds it stays one.
fn is_object(text: &str) -> bool {
    !text.contains(['\n', '\r']) && serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

/// A number in 16 hexadecimal digits, as requests are named: `jq` would round it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request(pub u64);

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Hex(self.0.to_be_bytes()).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Hex::deserialize(from).map(|Hex(bytes)| Self(u64::from_be_bytes(bytes)))
    }
}

/// One of a few things that have a name each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<T>(pub T);

/// Something whose names are known. Its variants have no fields, and postcard writes them as their place in the list.
pub trait Name: Copy + DeserializeOwned {
    /// Its name. No two are alike, and none ever changes.
    fn name(self) -> &'static str;

    /// All of them.
    fn all() -> impl Iterator<Item = Self> {
        // One byte each, as there are fewer than 128.
        (0..128_u8).map_while(|place| postcard::from_bytes(&[place]).ok())
    }
}

impl<T: Name> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.name())
    }
}

impl<'de, T: Name> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from)?;
        let found = T::all().find(|one| one.name() == text).map(Self);
        found.ok_or_else(|| {
            let names: Vec<_> = T::all().map(T::name).collect();
            D::Error::custom(format!("write one of {}", names.join(", ")))
        })
    }
}

impl Name for EventKind {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Name for By {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Name for Outcome {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Name for Role {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Name for Purpose {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Name for ProofKind {
    fn name(self) -> &'static str {
        match self {
            Self::Asserted => "asserted",
            Self::Operator => "operator",
            Self::Mailed => "mailed",
        }
    }
}

impl Name for Carrier {
    fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Token => "token",
            Self::Uuid => "uuid",
            Self::Brought => "brought",
        }
    }
}

impl Name for Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Decoy => "decoy",
        }
    }
}

/// What a cooldown is of: issuing a secret, or telling an owner something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownOf {
    /// Secrets of this purpose.
    Secret(Purpose),
    /// Notices of this kind.
    Notice(Notice),
}

impl CooldownOf {
    /// All of them, with the byte that stands in the row's key, and the name.
    fn all() -> impl Iterator<Item = (Self, u8, &'static str)> {
        let secrets = Purpose::all().map(|purpose| (Self::Secret(purpose), purpose as u8, purpose.name()));
        let notice = |notice: Notice| {
            let name = match notice {
                Notice::LockedOut => "locked-out",
                Notice::PasswordChanged => "password-changed",
                Notice::NewDevice => "new-device",
                Notice::EmailChanged => "email-changed",
            };
            (Self::Notice(notice), notice as u8, name)
        };
        let notices = [Notice::LockedOut, Notice::PasswordChanged, Notice::NewDevice, Notice::EmailChanged];
        secrets.chain(notices.map(notice))
    }

    /// The one whose byte in keys is this.
    pub(super) fn of(byte: u8) -> Option<Self> {
        Self::all().find(|(_, its, _)| *its == byte).map(|(one, ..)| one)
    }

    /// Its byte in keys.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Secret(purpose) => purpose as u8,
            Self::Notice(notice) => notice as u8,
        }
    }
}

impl Serialize for CooldownOf {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let name = Self::all().find(|(one, ..)| one == self).map_or("", |(.., name)| name);
        to.serialize_str(name)
    }
}

impl<'de> Deserialize<'de> for CooldownOf {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from)?;
        let found = Self::all().find(|(.., name)| *name == text).map(|(one, ..)| one);
        found.ok_or_else(|| D::Error::custom("there is no such cooldown"))
    }
}

/// Text, whose content is in no error.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct Reader;
    impl Visitor<'_> for Reader {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    from.deserialize_str(Reader)
}
