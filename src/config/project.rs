//! What must hold within a project's section and between projects.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::project_settings::ProjectSettings;

const MIN_SECRET: usize = 32;
const MAX_SECRET: usize = 1024;

/// Two dialects may not answer the same path, nor one inside the other's.
pub(super) fn overlaps(project: &ProjectSettings) -> Vec<(&'static str, String)> {
    let mounts = [
        ("noma.path", project.noma.enabled, &project.noma.path),
        ("nora.path", project.nora.enabled, &project.nora.path),
        ("nhost.path", project.nhost.enabled, &project.nhost.path),
    ];
    let inside =
        |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    let mut found = Vec::new();
    let enabled: Vec<_> = mounts.iter().filter(|(_, enabled, _)| *enabled).collect();
    for (index, (key, _, path)) in enabled.iter().enumerate() {
        for (other_key, _, other) in &enabled[..index] {
            if inside(path, other) || inside(other, path) {
                found.push((*key, format!("\"{path}\" and {other_key} \"{other}\" overlap: move or switch off one")));
            }
        }
    }
    found
}

/// A project's id.
pub(super) fn id(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text)
        .ok()
        .filter(|id| !id.is_nil() && !id.is_max())
        .ok_or_else(|| format!("{text:.80?} is not an id: write a UUID"))
}

/// What may be a project's secret.
pub(super) fn secret(text: &str) -> Result<(), String> {
    if !(MIN_SECRET..=MAX_SECRET).contains(&text.len()) {
        return Err(format!(
            "has {} characters; a project secret has {MIN_SECRET} to {MAX_SECRET}",
            text.chars().count()
        ));
    }
    // It travels in a header.
    visible(text)
}

/// Visible ASCII characters, and not too many; not quoted back, it may be a secret.
pub(super) fn visible(text: &str) -> Result<(), String> {
    match (1..=MAX_SECRET).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(format!("is not of 1 to {MAX_SECRET} visible ASCII characters, without spaces")),
    }
}

/// What may sign session tokens: long enough, and not what an example says.
pub(super) fn jwt_secret(text: &str) -> Result<(), String> {
    let chars = text.chars().count();
    if !(MIN_SECRET..=MAX_SECRET).contains(&chars) {
        return Err(format!("has {chars} characters; a JWT secret has {MIN_SECRET} to {MAX_SECRET}"));
    }
    no_placeholder(text)
}

/// A secret that is not what an example says.
pub(super) fn no_placeholder(text: &str) -> Result<(), String> {
    let lower = text.to_ascii_lowercase();
    let examples = ["changeme", "change-me", "change_me", "placeholder", "your-secret", "your_secret", "jwt-secret"];
    let different = text.chars().collect::<BTreeSet<_>>().len();
    match different < 8 || examples.iter().any(|example| lower.contains(example)) {
        true => Err("looks like a placeholder: make one with `openssl rand -hex 32`".into()),
        false => Ok(()),
    }
}

/// What two projects may not share, as `(key, reason)` with the key of the later one.
pub(super) fn conflicts<'a>(projects: impl IntoIterator<Item = &'a ProjectSettings>) -> Vec<(String, String)> {
    let mut ids: BTreeMap<Uuid, &str> = BTreeMap::new();
    let mut hosts: BTreeMap<&str, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for project in projects {
        let slug = project.slug.as_str();
        if let Some(other) = project.id.and_then(|id| ids.insert(id, slug)) {
            found.push((format!("project.{slug}.id"), format!("project `{other}` has this id already")));
        }
        for host in &project.hosts {
            if let Some(other) = hosts.insert(host, slug) {
                let reason = format!("host \"{host}\" leads to project `{other}` already");
                found.push((format!("project.{slug}.hosts"), reason));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_secret_is_long_and_no_example() {
        assert_eq!(jwt_secret("0123456789abcdef0123456789abcdef"), Ok(()));
        assert_eq!(jwt_secret(&"\u{e9}abcdefg".repeat(4)), Ok(()), "characters, not bytes");
        for text in [
            "",
            "0123456789abcdef0123456789abcde",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "CHANGEME-0123456789abcdef0123456789",
            "your-secret-key-of-at-least-thirty-two",
            &"0123456789abcdef".repeat(65),
        ] {
            assert!(jwt_secret(text).is_err(), "{text}");
        }
    }
}
