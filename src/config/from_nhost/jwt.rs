//! How access tokens were signed, and what they said besides: HASURA_GRAPHQL_JWT_SECRET and the custom claims, which are
//! JSON.

use serde_json::{Map, Value};

use super::settings::Translator;
use super::sheet::Entry;

const SECRET: &str = "HASURA_GRAPHQL_JWT_SECRET";
const CLAIMS: &str = "AUTH_JWT_CUSTOM_CLAIMS";
const DEFAULTS: &str = "AUTH_JWT_CUSTOM_CLAIMS_DEFAULTS";

/// What Hasura reads of the secret and Nhost Auth does not.
const FOR_HASURA: [&str; 8] = [
    "audience",
    "claims_format",
    "claims_map",
    "claims_namespace_path",
    "allowed_skew",
    "header",
    "jwk_url",
    "claims_namespace_format",
];

/// The fields of the user that a claim may be of.
const FIELDS: [&str; 13] = [
    "id",
    "createdAt",
    "displayName",
    "avatarUrl",
    "locale",
    "email",
    "emailVerified",
    "phoneNumber",
    "phoneNumberVerified",
    "isAnonymous",
    "defaultRole",
    "roles",
    "metadata",
];

/// `[project.SLUG.nhost.jwt]`
pub(super) fn signing(to: &mut Translator<'_>) {
    let section = to.section("nhost.jwt");
    let Some(object) = json(to, SECRET) else {
        if !to.variables.all.contains_key(SECRET) {
            to.left(
                SECRET,
                "is not set: tokens are signed with ES256 by keys of the project's own; Hasura \
             finds them at /v1/.well-known/jwks.json",
            );
        }
        return;
    };
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let set = |to: &mut Translator<'_>, entry: Entry| to.sheet.set(&section, entry);
    let algorithm = text("type").unwrap_or("HS256");
    set(to, Entry::new("algorithm", algorithm, SECRET));
    let symmetric = algorithm.starts_with("HS");
    match text(if symmetric { "key" } else { "signing_key" }) {
        Some(key) => {
            let why = if symmetric {
                "who checks tokens with it could make some; ES256 and RS256 need no key here"
            } else {
                "the public half is published at /v1/.well-known/jwks.json"
            };
            set(to, Entry::new("key", key, SECRET).because(why).secret());
        }
        None if symmetric => to.left(SECRET, "has no `key`"),
        None => to.left(
            SECRET,
            "has no `signing_key`: keys of the project's own sign instead; give Hasura their address, \
             /v1/.well-known/jwks.json",
        ),
    }
    for name in ["kid", "issuer", "claims_namespace"] {
        if let Some(value) = text(name).filter(|value| *value != "https://hasura.io/jwt/claims") {
            set(to, Entry::new(name, value, SECRET));
        }
    }
    if text("issuer").is_none() {
        to.different(
            SECRET,
            "names no issuer: `iss` is then the public URL with the path of the API; versions \
         of Nhost Auth before 2026 said \"hasura-auth\"",
        );
    }
    let known = ["type", "key", "signing_key", "kid", "issuer", "claims_namespace"];
    for name in object.keys().filter(|name| !known.contains(&name.as_str()) && !FOR_HASURA.contains(&name.as_str())) {
        to.left(SECRET, &format!("`{name:.40}` is not known here"));
    }
}

/// `[project.SLUG.nhost.custom_claims]` and their defaults.
pub(super) fn claims(to: &mut Translator<'_>) {
    for (variable, section) in [(CLAIMS, "nhost.custom_claims"), (DEFAULTS, "nhost.custom_claims_defaults")] {
        let Some(object) = json(to, variable) else { continue };
        for (name, value) in object {
            // What our own settings take; a name with a dot in it could not even be told from a section.
            let plain =
                (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            let text = match value {
                Value::String(text) => text,
                other if variable == DEFAULTS => other.to_string(),
                _ => {
                    to.left(variable, &format!("the path of the claim {name:.40?} is no text"));
                    continue;
                }
            };
            if !plain {
                to.left(
                    variable,
                    &format!(
                        "{name:.40?} is no name of a claim here: letters, digits, \"-\" and \
                 \"_\""
                    ),
                );
                continue;
            }
            let root = text.trim_start_matches("$.").split(['.', '[']).next().unwrap_or_default();
            if variable == CLAIMS && !FIELDS.contains(&root) {
                let reason = format!(
                    "the claim {name:.40?} reads {root:.40?}, which lies in another table; here a claim reads \
                     the user alone ({}), so it has its default",
                    FIELDS.join(", ")
                );
                to.different(variable, &reason);
            }
            let section = to.section(section);
            to.sheet.set(&section, Entry::new(&name, text, variable));
        }
    }
}

/// A variable that is a JSON object.
fn json(to: &mut Translator<'_>, name: &str) -> Option<Map<String, Value>> {
    let object = serde_json::from_str(to.variables.get(name)?);
    if object.is_err() {
        to.left(name, "is no JSON object");
    }
    object.ok()
}
