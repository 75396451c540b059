//! What Nhost Auth has and this version has not: said where it was in use, passed over where it was switched off.

use super::settings::Translator;

/// What this version has not, unless the variable in the middle (which is then named first) switches it off anyway:
/// prefix, switch, what is said.
const ABSENT: &[(&str, Option<&str>, &str)] = &[
    (
        "AUTH_SMS_",
        Some("AUTH_SMS_PASSWORDLESS_ENABLED"),
        "there are no text messages in this version: signing in by telephone answers 409 disabled-endpoint",
    ),
    (
        "AUTH_WEBAUTHN_",
        Some("AUTH_WEBAUTHN_ENABLED"),
        "there are no security keys in this version: signing in by one answers 409 disabled-endpoint",
    ),
    (
        "AUTH_MFA_",
        Some("AUTH_MFA_ENABLED"),
        "there is no second factor in this version: accounts that have one sign in by their password alone",
    ),
    (
        "AUTH_TOTP_",
        Some("AUTH_TOTP_ENABLED"),
        "there is no second factor in this version: accounts that have one sign in by their password alone",
    ),
    (
        "AUTH_OAUTH2_PROVIDER_",
        Some("AUTH_OAUTH2_PROVIDER_ENABLED"),
        "this version is no OAuth 2 provider for other apps",
    ),
    (
        "AUTH_ENABLE_CHANGE_ENV",
        Some("AUTH_ENABLE_CHANGE_ENV"),
        "the route for tests that changes settings does not exist here",
    ),
    (
        "AUTH_ENCRYPTION_KEY",
        None,
        "it seals what does not come along; Keystead makes its own master key, see master_key_file",
    ),
    ("HASURA_GRAPHQL_ADMIN_SECRET", None, "Keystead asks Hasura for nothing"),
    ("HASURA_GRAPHQL_GRAPHQL_URL", None, "Keystead asks Hasura for nothing"),
    ("HASURA_GRAPHQL_DATABASE_URL", None, "Keystead keeps its own files, and needs no PostgreSQL"),
    ("POSTGRES_", None, "Keystead keeps its own files, and needs no PostgreSQL"),
    ("AUTH_SMTP_X_SMTPAPI_HEADER", None, "mails have no header of that name here"),
];

impl Translator<'_> {
    /// What there is not in this version.
    pub(super) fn absent(&mut self) {
        for (prefix, switch, reason) in ABSENT {
            let on = switch.is_none_or(|name| self.is_on(name));
            let said = self.variables.pass(prefix);
            if on && said {
                let all = if prefix.ends_with('_') { "*" } else { "" };
                self.left(&switch.map_or_else(|| format!("{prefix}{all}"), str::to_owned), reason);
            }
        }
        const ELEVATED: &str = "AUTH_REQUIRE_ELEVATED_CLAIM";
        if self.text(ELEVATED).is_some_and(|mode| mode != "disabled") {
            self.left(
                ELEVATED,
                "sessions are not elevated in this version: what asked for a security key there \
             asks for a session alone",
            );
        }
        let mut providers = Vec::new();
        for name in self.variables.all.keys() {
            if let Some(provider) = name.strip_prefix("AUTH_PROVIDER_").and_then(|rest| rest.strip_suffix("_ENABLED")) {
                providers.push(provider.to_owned());
            }
        }
        for provider in providers {
            if self.is_on(&format!("AUTH_PROVIDER_{provider}_ENABLED")) {
                self.left(
                    &format!("AUTH_PROVIDER_{provider}_*"),
                    "there are no providers in this version: \
                 whoever came by one asks for a link or a new password by mail",
                );
            }
        }
        if self.text("AUTH_PROVIDER_CUSTOM").is_some() {
            self.left("AUTH_PROVIDER_CUSTOM", "there are no providers in this version");
        }
        self.variables.pass("AUTH_PROVIDER_");
    }
}
