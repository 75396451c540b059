//! The claims that Hasura reads: who holds a token, what they may, and what an operator adds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use super::ClaimPath;
use super::claim_path::Found;

/// What access tokens of a project say of their holders, read once from its settings.
#[derive(Clone, Debug)]
pub struct HasuraClaims {
    namespace: String,
    custom: Vec<Custom>,
}

/// A claim of the operator's own.
#[derive(Clone, Debug)]
struct Custom {
    name: String,
    path: ClaimPath,
    default: Option<String>,
}

/// Who holds a token.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// `x-hasura-user-id`.
    pub user: Uuid,
    /// `x-hasura-default-role`.
    pub default_role: &'a str,
    /// `x-hasura-allowed-roles`.
    pub roles: &'a [&'a str],
    /// `x-hasura-user-is-anonymous`.
    pub is_anonymous: bool,
}

/// The claims of one holder, to be written as an object.
#[derive(Clone, Debug)]
pub struct Claims<'a> {
    holder: Holder<'a>,
    custom: Vec<(&'a str, Cow<'a, str>)>,
}

/// Why a claim of the operator's own cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("claim {name:?} {reason}")]
pub struct BadClaim {
    /// As the operator calls it.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
    /// Whether it is wrong with what it is without a value.
    pub of_default: bool,
}

/// What all such claims begin with.
const PREFIX: &str = "x-hasura-";

/// Claims that no operator's own may be, however they are spelled: Hasura does not tell upper from lower case. Who is
/// elevated must never follow from what a user wrote into their metadata.
const RESERVED: [&str; 5] = [
    "x-hasura-allowed-roles",
    "x-hasura-default-role",
    "x-hasura-user-id",
    "x-hasura-user-is-anonymous",
    "x-hasura-auth-elevated",
];

impl HasuraClaims {
    /// How many bytes of JSON all claims of the operator's own may add to a token. In the order of their names, one that
    /// does not fit any more is left out: a value that was cut short would be another value.
    pub const ROOM: usize = 4096;

    /// The claims object under `namespace`, with claims of the operator's own: paths into the user by name, and what a
    /// claim is where nothing is there.
    ///
    /// # Errors
    /// The first that cannot be.
    pub fn new(
        namespace: &str,
        custom: &BTreeMap<String, String>,
        defaults: &BTreeMap<String, String>,
    ) -> Result<Self, BadClaim> {
        let bad = |name: &str, reason: String| BadClaim { name: name.to_owned(), reason, of_default: false };
        let (mut all, mut names) = (Vec::new(), BTreeSet::new());
        for (given, path) in custom {
            let name = full_name(given);
            let lower = name.to_ascii_lowercase();
            if RESERVED.contains(&lower.as_str()) {
                return Err(bad(given, "is a claim that every token has".into()));
            }
            if !names.insert(lower) {
                return Err(bad(given, "is the same claim as another".into()));
            }
            let path = ClaimPath::parse(path).map_err(|reason| bad(given, reason))?;
            all.push(Custom { name, path, default: defaults.get(given).cloned() });
        }
        match defaults.keys().find(|name| !custom.contains_key(*name)) {
            Some(name) => Err(BadClaim { of_default: true, ..bad(name, "is no claim that is there".into()) }),
            None => Ok(Self { namespace: namespace.to_owned(), custom: all }),
        }
    }

    /// The claim that holds the others.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether an operator has claims of their own.
    pub fn has_custom(&self) -> bool {
        !self.custom.is_empty()
    }

    /// What is said of `holder`; the operator's own claims of them as the `user` that is shown.
    pub fn of<'a>(&'a self, holder: Holder<'a>, user: &Value) -> Claims<'a> {
        let (mut custom, mut room) = (Vec::with_capacity(self.custom.len()), Self::ROOM);
        for claim in &self.custom {
            let found = claim.path.find(user);
            let value = match (&found, &claim.default) {
                (Some(found), _) => spelled(found, room).map(Cow::Owned),
                (None, Some(default)) => Some(Cow::Borrowed(default.as_str())),
                (None, None) => Some(Cow::Borrowed("null")),
            };
            let Some(value) = value else { continue };
            // With its colon and comma and all quotes, as it stands in the token.
            let size = json_length(&value, room).map(|value| claim.name.len() + 4 + value);
            if let Some(left) = size.and_then(|size| room.checked_sub(size)) {
                room = left;
                custom.push((claim.name.as_str(), value));
            }
        }
        Claims { holder, custom }
    }
}

impl Serialize for Claims<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let holder = &self.holder;
        let mut map = to.serialize_map(Some(4 + self.custom.len()))?;
        map.serialize_entry("x-hasura-allowed-roles", holder.roles)?;
        map.serialize_entry("x-hasura-default-role", holder.default_role)?;
        map.serialize_entry("x-hasura-user-id", &holder.user)?;
        map.serialize_entry("x-hasura-user-is-anonymous", if holder.is_anonymous { "true" } else { "false" })?;
        for (name, value) in &self.custom {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A claim's name in tokens: one that has the prefix keeps its letter case.
fn full_name(given: &str) -> String {
    let has_prefix = given.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    if has_prefix { given.to_owned() } else { format!("{PREFIX}{}", given.to_ascii_lowercase()) }
}

/// A value as Hasura wants it, which is always text: text as it is, an array as a literal of PostgreSQL, anything else
/// as JSON. `None` when that is longer than `room`.
fn spelled(found: &Found<'_>, room: usize) -> Option<String> {
    if let Found::Value(value) = found
        && let Value::String(text) = value.as_ref()
    {
        return Some(text.clone());
    }
    let mut json = Bounded { text: Vec::new(), room };
    serde_json::to_writer(&mut json, found).ok()?;
    let is_array = matches!(found, Found::List(_)) || matches!(found, Found::Value(value) if value.is_array());
    if let (true, [first, .., last]) = (is_array, json.text.as_mut_slice()) {
        (*first, *last) = (b'{', b'}');
    }
    String::from_utf8(json.text).ok()
}

/// How long a text is as JSON with its quotes, when that is at most `room`.
fn json_length(text: &str, room: usize) -> Option<usize> {
    let mut json = Bounded { text: Vec::new(), room };
    serde_json::to_writer(&mut json, text).ok()?;
    Some(json.text.len())
}

/// Takes no more than there is room for.
struct Bounded {
    text: Vec<u8>,
    room: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn claims(custom: &[(&str, &str)], defaults: &[(&str, &str)], user: &Value) -> Value {
        let claims = HasuraClaims::new("n", &map(custom), &map(defaults)).unwrap();
        let holder =
            Holder { user: Uuid::from_u128(7), default_role: "user", roles: &["user", "me"], is_anonymous: false };
        serde_json::to_value(claims.of(holder, user)).unwrap()
    }

    #[test]
    fn the_standard_claims_are_these() {
        let none = HasuraClaims::new("https://hasura.io/jwt/claims", &map(&[]), &map(&[])).unwrap();
        assert!(!none.has_custom());
        assert_eq!(none.namespace(), "https://hasura.io/jwt/claims");
        let holder =
            Holder { user: Uuid::from_u128(7), default_role: "anonymous", roles: &["anonymous"], is_anonymous: true };
        let claims = none.of(holder, &Value::Null);
        let text = serde_json::to_string(&claims).unwrap();
        assert_eq!(
            text,
            r#"{"x-hasura-allowed-roles":["anonymous"],"x-hasura-default-role":"anonymous","x-hasura-user-id":"00000000-0000-0000-0000-000000000007","x-hasura-user-is-anonymous":"true"}"#
        );
    }

    #[test]
    fn every_value_is_text() {
        let user = json!({
            "displayName": "Ada \"L\"", "metadata": {
                "n": 1.5, "yes": true, "object": {"b": [1], "a": "x"}, "list": ["a", "b,c", "\"", 1, null, {"k": "v"}],
                "none": [], "null": null, "empty": "", "teams": [{"id": "t1"}, {"id": "t2"}],
            },
        });
        let custom = [
            ("name", "displayName"),
            ("Number", "metadata.n"),
            ("yes", "metadata.yes"),
            ("object", "metadata.object"),
            ("list", "metadata.list"),
            ("all", "metadata.list[*]"),
            ("none", "metadata.none"),
            ("none-of", "metadata.none[*]"),
            ("empty", "metadata.empty"),
            ("null", "metadata.null"),
            ("missing", "metadata.missing"),
            ("default", "metadata.missing"),
            ("null-default", "metadata.null"),
            ("set", "metadata.yes"),
            ("X-Hasura-Team-Ids", "metadata.teams[].id"),
            ("x-hasura-lower", "metadata.yes"),
        ];
        let defaults = [("default", "free"), ("null-default", "{}"), ("set", "no")];
        let mut claims = claims(&custom, &defaults, &user);
        for standard in &RESERVED[..4] {
            assert!(claims.as_object_mut().unwrap().remove(*standard).is_some());
        }
        let list = r#"{"a","b,c","\"",1,null,{"k":"v"}}"#;
        let expected = json!({
            "X-Hasura-Team-Ids": r#"{"t1","t2"}"#, "x-hasura-number": "1.5", "x-hasura-all": list,
            "x-hasura-default": "free", "x-hasura-empty": "", "x-hasura-list": list, "x-hasura-missing": "null",
            "x-hasura-name": "Ada \"L\"", "x-hasura-none": "{}", "x-hasura-none-of": "{}", "x-hasura-null": "null",
            "x-hasura-null-default": "{}", "x-hasura-object": r#"{"b":[1],"a":"x"}"#, "x-hasura-set": "true",
            "x-hasura-lower": "true", "x-hasura-yes": "true",
        });
        assert_eq!(claims, expected);
    }

    #[test]
    fn what_a_user_writes_never_becomes_who_they_are() {
        for name in RESERVED.iter().flat_map(|full| [&full[PREFIX.len()..], full]) {
            for spelled in [name.to_owned(), name.to_ascii_uppercase()] {
                let error = HasuraClaims::new("n", &map(&[(&spelled, "metadata.x")]), &map(&[])).unwrap_err();
                assert_eq!((error.name, error.of_default), (spelled, false));
            }
        }
        let twice = [("team", "metadata.a"), ("X-Hasura-Team", "metadata.b")];
        assert!(HasuraClaims::new("n", &map(&twice), &map(&[])).is_err());
        assert!(HasuraClaims::new("n", &map(&[("team", "metadata[")]), &map(&[])).is_err());
        let error = HasuraClaims::new("n", &map(&[("team", "metadata.a")]), &map(&[("tema", "x")])).unwrap_err();
        assert_eq!((error.name.as_str(), error.of_default), ("tema", true));
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let (long, longer) = ("\"".repeat(2000), "x".repeat(5000));
        let user = json!({"metadata": {"long": long, "longer": longer, "many": [longer], "short": "s"}});
        let custom = [
            ("a", "metadata.long"),
            ("b", "metadata.longer"),
            ("c", "metadata.many"),
            ("d", "metadata"),
            ("e", "metadata.long"),
            ("f", "metadata.short"),
        ];
        let claims = claims(&custom, &[("b", "default")], &user);
        // 2000 quotes are 4000 bytes of JSON.
        assert_eq!(claims["x-hasura-a"], long);
        assert_eq!(claims["x-hasura-f"], "s");
        for absent in ["b", "c", "d", "e"] {
            assert!(claims.get(format!("x-hasura-{absent}")).is_none(), "{absent}");
        }
    }
}
