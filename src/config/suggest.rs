//! "Did you mean": the known key nearest to an unknown one.

/// The known key that whoever wrote `unknown` most likely meant. Both are dotted paths.
///
/// A neighbour in the same section is preferred; then the same name elsewhere (a key put into the wrong section); then
/// whatever is spelled alike when separators do not count (`KEYSTEAD_DATA__DIR`).
pub(super) fn nearest(unknown: &str, known: &[&str]) -> Option<String> {
    let (section, name) = split(unknown);
    let siblings = known.iter().filter_map(|path| {
        let rest = if section.is_empty() { *path } else { path.strip_prefix(section)?.strip_prefix('.')? };
        Some(rest.split('.').next().unwrap_or(rest))
    });
    let secret_in_file = format!("{name}_file");
    let sibling = siblings.clone().find(|s| *s == secret_in_file).or_else(|| closest(name, siblings));
    if let Some(sibling) = sibling {
        return Some(if section.is_empty() { sibling.to_owned() } else { format!("{section}.{sibling}") });
    }
    let elsewhere = known.iter().find(|path| split(path).1 == name);
    let squashed = squash(unknown);
    elsewhere.or_else(|| known.iter().find(|path| squash(path) == squashed)).map(|path| (*path).to_owned())
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// The candidate at the smallest edit distance, if it is small for the word's length.
fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = squash(name);
    let far = (wanted.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &squash(candidate)), candidate))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, candidate)| candidate)
}

fn squash(path: &str) -> String {
    path.chars().filter(|c| !matches!(c, '_' | '-' | '.')).take(200).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: [&str; 6] = [
        "data_dir",
        "listen.addresses",
        "listen.public_url",
        "project.default.lockout.failures",
        "project.default.tokens.access_ttl",
        "master_key_file",
    ];

    fn suggest(unknown: &str) -> Option<String> {
        nearest(unknown, &KNOWN)
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_neighbour() {
        assert_eq!(suggest("listen.adresses").as_deref(), Some("listen.addresses"));
        assert_eq!(suggest("project.default.lockot").as_deref(), Some("project.default.lockout"));
        assert_eq!(suggest("projects").as_deref(), Some("project"));
        assert_eq!(suggest("listen.public-url").as_deref(), Some("listen.public_url"));
    }

    #[test]
    fn a_key_in_the_wrong_section_finds_its_own() {
        assert_eq!(suggest("public_url").as_deref(), Some("listen.public_url"));
        assert_eq!(suggest("listen.failures").as_deref(), Some("project.default.lockout.failures"));
    }

    #[test]
    fn separators_do_not_count() {
        assert_eq!(suggest("data.dir").as_deref(), Some("data_dir"));
        assert_eq!(suggest("datadir").as_deref(), Some("data_dir"));
    }

    #[test]
    fn a_secret_that_is_only_read_from_a_file_says_so() {
        assert_eq!(suggest("master_key").as_deref(), Some("master_key_file"));
    }

    #[test]
    fn nothing_alike_suggests_nothing() {
        assert_eq!(suggest("colour"), None);
    }
}
