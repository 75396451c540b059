//! The example configuration: every key there is with its meaning, its bounds and its default, made from the settings.

use std::fmt::Write as _;

use super::keys::{Item, Key, Listed, Listing};
use super::project_settings::ProjectSettings;
use super::settings::Settings;

/// Where a comment's lines end.
const WIDTH: usize = 118;

/// How the example begins.
const HEAD: &str = "\
# Keystead's configuration, whole: every key there is. `keystead config example` prints it.
#
#   #key = value     (no space)  the default: remove the \"#\" to change it
#   # key = value    (a space)   not set by default; the value is an example
#
# Order: flag > environment > this file > what a project was created with > default.
# The file is read only when named: --config FILE or KEYSTEAD_CONFIG. Relative paths, here too, are relative to the
# working directory of the server. `keystead config check` tries a configuration without starting; `keystead reload`
# puts it in force in the running server.
#
# Environment: KEYSTEAD_ and the key's path in upper case, \"__\" between levels, a slug's \"-\" as \"_\":
#   KEYSTEAD_DATA_DIR, KEYSTEAD_LISTEN__ADDRESSES, KEYSTEAD_PROJECT__MY_APP__LOCKOUT__FAILURES=3
#   A list is comma-separated or a TOML array. (A slug with \"--\" in it or \"-\" at its end cannot be spelled so.)
# Durations: a whole number and ms, s, m, h or d: 500ms, 90s, 15m, 24h, 30d.
# Secrets also as KEY_file, or as a systemd credential named like the key's path:
#   LoadCredential=project.default.secret:/etc/keystead/default.secret
# \"was:\" names the setting of the original product that a key stands for.
";

/// What keys were called in the original products: `keystead config example` says so, for whoever comes from there.
const WAS: &[(&str, &str)] = &[
    ("master_key_file", "Nhost AUTH_ENCRYPTION_KEY"),
    ("listen.addresses", "Nhost AUTH_PORT"),
    ("listen.public_url", "Nhost AUTH_SERVER_URL"),
    ("mail.from", "Nhost AUTH_SMTP_SENDER"),
    ("mail.templates", "Nhost AUTH_EMAIL_TEMPLATES_PATH"),
    ("mail.locale", "Nhost AUTH_LOCALE_DEFAULT"),
    ("log.format", "Nhost AUTH_LOG_FORMAT_TEXT"),
    ("log.level", "Nhost AUTH_DEBUG"),
    ("project.NAME.public_url", "Nhost AUTH_SERVER_URL"),
    ("project.NAME.conceal", "Nhost AUTH_CONCEAL_ERRORS"),
    ("project.NAME.signup.enabled", "Nora SIGNUP_ENABLED, Nhost AUTH_DISABLE_SIGNUP (its opposite)"),
    ("project.NAME.access.allowed_emails", "Nhost AUTH_ACCESS_CONTROL_ALLOWED_EMAILS"),
    ("project.NAME.access.blocked_emails", "Nhost AUTH_ACCESS_CONTROL_BLOCKED_EMAILS"),
    ("project.NAME.access.allowed_domains", "Nhost AUTH_ACCESS_CONTROL_ALLOWED_EMAIL_DOMAINS"),
    ("project.NAME.access.blocked_domains", "Nhost AUTH_ACCESS_CONTROL_BLOCKED_EMAIL_DOMAINS"),
    ("project.NAME.bot.provider", "Nora SIGNUP_BOT_PROTECTION_PROVIDER"),
    ("project.NAME.bot.secret", "Nora SIGNUP_TURNSTILE_SECRET, SIGNUP_RECAPTCHA_SECRET, Nhost AUTH_TURNSTILE_SECRET"),
    ("project.NAME.bot.site_key", "Nora SIGNUP_TURNSTILE_SITE_KEY, SIGNUP_RECAPTCHA_SITE_KEY"),
    ("project.NAME.verification.mode", "Nhost AUTH_EMAIL_SIGNIN_EMAIL_VERIFIED_REQUIRED (true: \"strict\")"),
    ("project.NAME.password.min_length", "Nhost AUTH_PASSWORD_MIN_LENGTH"),
    ("project.NAME.password.reject_leaked", "Nhost AUTH_PASSWORD_HIBP_ENABLED"),
    ("project.NAME.tokens.access_ttl", "Nhost AUTH_ACCESS_TOKEN_EXPIRES_IN (seconds)"),
    ("project.NAME.tokens.refresh_ttl", "Nhost AUTH_REFRESH_TOKEN_EXPIRES_IN (seconds)"),
    ("project.NAME.cors.origins", "Nora CORS_ORIGINS"),
    ("project.NAME.nora.jwt_secret", "Nora JWT_SECRET"),
    ("project.NAME.nora.force_secure_cookies", "Nora NORA_FORCE_SECURE_COOKIES"),
    ("project.NAME.nora.limits.global", "Nora GLOBAL_RATE_LIMIT_MAX, GLOBAL_RATE_LIMIT_WINDOW_MS"),
    ("project.NAME.nora.limits.mutation", "Nora MUTATION_RATE_LIMIT_MAX, MUTATION_RATE_LIMIT_WINDOW_MS"),
    ("project.NAME.nora.limits.login", "Nora AUTH_RATE_LIMIT_MAX, AUTH_RATE_LIMIT_WINDOW_MS"),
    ("project.NAME.nora.limits.signup_burst", "Nora SIGNUP_RATE_LIMIT_BURST_MAX, SIGNUP_RATE_LIMIT_BURST_WINDOW_MS"),
    ("project.NAME.nora.limits.signup_daily", "Nora SIGNUP_RATE_LIMIT_DAILY_MAX, SIGNUP_RATE_LIMIT_DAILY_WINDOW_MS"),
    ("project.NAME.signup.auto", "Nhost AUTH_DISABLE_AUTO_SIGNUP (its opposite)"),
    ("project.NAME.signup.disable_new_users", "Nhost AUTH_DISABLE_NEW_USERS"),
    ("project.NAME.nhost.path", "Nhost AUTH_API_PREFIX"),
    ("project.NAME.nhost.client_url", "Nhost AUTH_CLIENT_URL"),
    ("project.NAME.nhost.redirect_urls", "Nhost AUTH_ACCESS_CONTROL_ALLOWED_REDIRECT_URLS"),
    ("project.NAME.nhost.anonymous", "Nhost AUTH_ANONYMOUS_USERS_ENABLED"),
    ("project.NAME.nhost.passwordless_email", "Nhost AUTH_EMAIL_PASSWORDLESS_ENABLED"),
    ("project.NAME.nhost.otp_email", "Nhost AUTH_OTP_EMAIL_ENABLED"),
    ("project.NAME.nhost.default_role", "Nhost AUTH_USER_DEFAULT_ROLE"),
    ("project.NAME.nhost.allowed_roles", "Nhost AUTH_USER_DEFAULT_ALLOWED_ROLES"),
    ("project.NAME.nhost.locale", "Nhost AUTH_LOCALE_DEFAULT"),
    ("project.NAME.nhost.locales", "Nhost AUTH_LOCALE_ALLOWED_LOCALES"),
    ("project.NAME.nhost.gravatar.enabled", "Nhost AUTH_GRAVATAR_ENABLED"),
    ("project.NAME.nhost.gravatar.default", "Nhost AUTH_GRAVATAR_DEFAULT"),
    ("project.NAME.nhost.gravatar.rating", "Nhost AUTH_GRAVATAR_RATING"),
    ("project.NAME.nhost.jwt.algorithm", "Nhost HASURA_GRAPHQL_JWT_SECRET (type)"),
    ("project.NAME.nhost.jwt.key", "Nhost HASURA_GRAPHQL_JWT_SECRET (key, or signing_key)"),
    ("project.NAME.nhost.jwt.kid", "Nhost HASURA_GRAPHQL_JWT_SECRET (kid)"),
    ("project.NAME.nhost.jwt.issuer", "Nhost HASURA_GRAPHQL_JWT_SECRET (issuer)"),
    ("project.NAME.nhost.jwt.claims_namespace", "Nhost HASURA_GRAPHQL_JWT_SECRET (claims_namespace)"),
    ("project.NAME.nhost.custom_claims.NAME", "Nhost AUTH_JWT_CUSTOM_CLAIMS"),
    ("project.NAME.nhost.custom_claims_defaults.NAME", "Nhost AUTH_JWT_CUSTOM_CLAIMS_DEFAULTS"),
    ("project.NAME.nhost.limits.global", "Nhost AUTH_RATE_LIMIT_GLOBAL_BURST, AUTH_RATE_LIMIT_GLOBAL_INTERVAL"),
    ("project.NAME.nhost.limits.email", "Nhost AUTH_RATE_LIMIT_EMAIL_BURST, AUTH_RATE_LIMIT_EMAIL_INTERVAL"),
    ("project.NAME.nhost.limits.email_is_global", "Nhost AUTH_RATE_LIMIT_EMAIL_IS_GLOBAL"),
    (
        "project.NAME.nhost.limits.brute_force",
        "Nhost AUTH_RATE_LIMIT_BRUTE_FORCE_BURST, AUTH_RATE_LIMIT_BRUTE_FORCE_INTERVAL",
    ),
    ("project.NAME.nhost.limits.signups", "Nhost AUTH_RATE_LIMIT_SIGNUPS_BURST, AUTH_RATE_LIMIT_SIGNUPS_INTERVAL"),
];

/// The whole example configuration: every key with its default and meaning, commented out.
pub fn example() -> String {
    let mut settings = Settings::default();
    settings.projects.insert("default".into(), ProjectSettings::named("default"));
    let mut text = HEAD.to_owned();
    for item in Listing::of(&mut settings, "", true).items {
        match item {
            Item::Section { path, doc, unset } => {
                text.push('\n');
                paragraph(&mut text, doc.split_whitespace());
                let space = if unset { " " } else { "" };
                let _ = writeln!(text, "#{space}[{path}]");
            }
            Item::Key(key) => explain(&mut text, &key),
        }
    }
    text
}

fn explain(text: &mut String, key: &Key) {
    if !key.path.contains('.') {
        // At the top there is no heading to stand below.
        text.push('\n');
    }
    comment(text, key.doc, &key.bounds, was(&key.pattern));
    let name = key.path.rsplit_once('.').map_or(key.path.as_str(), |(_, name)| name);
    let _ = match &key.value {
        Listed::Plain(value) => writeln!(text, "#{name} = {value}"),
        Listed::Unset | Listed::Secret(_) | Listed::Bytes => writeln!(text, "# {name} = {}", key.example),
    };
}

fn was(pattern: &str) -> Option<&'static str> {
    WAS.iter().find(|(key, _)| *key == pattern).map(|(_, was)| *was)
}

/// What a doc comment says, then the bounds; the name it had elsewhere on a line of its own.
fn comment(text: &mut String, doc: &str, bounds: &str, was: Option<&str>) {
    let bounds = if bounds.is_empty() { String::new() } else { format!("{bounds}.") };
    paragraph(text, doc.split_whitespace().chain(bounds.split_whitespace()));
    if let Some(was) = was {
        paragraph(text, ["was:"].into_iter().chain(was.split_whitespace()));
    }
}

fn paragraph<'a>(text: &mut String, words: impl Iterator<Item = &'a str>) {
    let mut line = String::from("#");
    for word in words {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn here(path: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    /// Every key, with the operator's own names written as `NAME`: `project.NAME.lockout.failures`.
    fn patterns() -> BTreeSet<String> {
        let mut settings = Settings::default();
        settings.projects.insert("default".into(), ProjectSettings::named("default"));
        Listing::of(&mut settings, "", true).keys().map(|key| key.pattern.clone()).collect()
    }

    #[test]
    fn the_packaged_example_is_the_generated_one() {
        let path = here("packaging/keystead.toml");
        if std::env::var_os("UPDATE_EXAMPLE").is_some() {
            std::fs::write(&path, example()).unwrap();
        }
        let packaged = std::fs::read_to_string(&path).unwrap();
        assert_eq!(packaged, example(), "keystead config example > packaging/keystead.toml, or UPDATE_EXAMPLE=1");
    }

    #[test]
    fn every_earlier_name_is_of_a_key_that_exists() {
        let patterns = patterns();
        let astray: Vec<_> = WAS.iter().filter(|(key, _)| !patterns.contains(*key)).collect();
        assert!(astray.is_empty(), "{astray:?}");
    }

    #[test]
    fn the_tables_of_the_readme_hold_every_key_and_no_other() {
        let readme = std::fs::read_to_string(here("README.md")).unwrap();
        let (_, settings) = readme.split_once("\n## Settings\n").unwrap();
        let (settings, _) = settings.split_once("\n## ").unwrap();
        let mut in_readme = BTreeSet::new();
        let mut prefix = "";
        for line in settings.lines() {
            if line.starts_with("For each project") {
                prefix = "project.NAME.";
            }
            let Some((first, _)) = line.strip_prefix("| `").and_then(|rest| rest.split_once(" |")) else { continue };
            let names = first.split(", ").map(|name| name.trim_matches('`'));
            in_readme.extend(names.map(|name| format!("{prefix}{name}")));
        }
        let keys = patterns();
        let missing: Vec<_> = keys.difference(&in_readme).collect();
        let astray: Vec<_> = in_readme.difference(&keys).collect();
        assert!(missing.is_empty() && astray.is_empty(), "not in the README: {missing:?}; no keys: {astray:?}");
    }
}
