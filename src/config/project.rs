//! One project's section, raw to checked, and what must hold between projects.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use uuid::Uuid;

use super::forms;
use super::project_settings::{
    Cors, Delivery, Limit, Lockout, Nhost, Noma, Nora, NoraLimits, PasswordSettings, ProjectSettings, Sessions, Signup,
    TokenFormat, Tokens, Verification, VerificationMode,
};
use super::reader::Reader;
use crate::token::SessionKey;

const MIN_SECRET: usize = 32;
const MAX_SECRET: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Reads `[project.SLUG]`. What is wrong goes to the reader; the rest is read on with defaults.
pub(super) fn project(reader: &mut Reader, slug: &str) -> ProjectSettings {
    let default = ProjectSettings::named(slug);
    let mut section = Section { reader, prefix: format!("project.{slug}") };
    let project = ProjectSettings {
        slug: slug.to_owned(),
        id: section.text("id", id),
        enabled: section.flag("enabled", default.enabled),
        hosts: section.list("hosts", 256, forms::host),
        public_url: section.text("public_url", forms::public_url),
        secret: section.secret("secret", project_secret),
        conceal: section.flag("conceal", default.conceal),
        signup: Signup { enabled: section.flag("signup.enabled", default.signup.enabled) },
        verification: verification(&mut section, &default.verification),
        password: PasswordSettings {
            min_length: section.number("password.min_length", default.password.min_length, 1..=255, "characters"),
        },
        lockout: lockout(&mut section, &default.lockout),
        tokens: tokens(&mut section, &default.tokens),
        sessions: Sessions { max: section.number("sessions.max", default.sessions.max, 0..=10_000, "sessions") },
        cors: Cors { origins: section.list("cors.origins", 256, forms::origin) },
        noma: Noma {
            enabled: section.flag("noma.enabled", default.noma.enabled),
            path: section.text("noma.path", forms::mount).unwrap_or(default.noma.path),
            token_format: section.choice(
                "noma.token_format",
                default.noma.token_format,
                &[("paseto", TokenFormat::Paseto), ("jwt", TokenFormat::Jwt)],
            ),
            limit: section.limit("noma.limit", default.noma.limit),
        },
        nora: nora(&mut section, default.nora),
        nhost: Nhost {
            enabled: section.flag("nhost.enabled", default.nhost.enabled),
            path: section.text("nhost.path", forms::mount).unwrap_or(default.nhost.path),
        },
    };
    mounts_apart(&mut section, &project);
    project
}

fn nora(section: &mut Section<'_>, default: Nora) -> Nora {
    let limits = &default.limits;
    Nora {
        enabled: section.flag("nora.enabled", default.enabled),
        path: section.text("nora.path", forms::mount).unwrap_or(default.path),
        jwt_secret: section.secret("nora.jwt_secret", jwt_secret).map(|secret| SessionKey::given(secret.expose())),
        token_ttl: section.duration("nora.token_ttl", default.token_ttl, SECOND..=YEARS),
        force_secure_cookies: section.flag("nora.force_secure_cookies", default.force_secure_cookies),
        first_user_admin: section.flag_or_auto("nora.first_user_admin"),
        limits: NoraLimits {
            global: section.limit("nora.limits.global", limits.global),
            mutation: section.limit("nora.limits.mutation", limits.mutation),
            login: section.limit("nora.limits.login", limits.login),
            signup_burst: section.limit("nora.limits.signup_burst", limits.signup_burst),
            signup_daily: section.limit("nora.limits.signup_daily", limits.signup_daily),
        },
    }
}

fn verification(section: &mut Section<'_>, default: &Verification) -> Verification {
    let modes =
        [("off", VerificationMode::Off), ("lenient", VerificationMode::Lenient), ("strict", VerificationMode::Strict)];
    let path = section.path("verification.delivery");
    Verification {
        mode: section.choice("verification.mode", default.mode, &modes),
        delivery: section.reader.choice(&path, default.delivery, &[("app", Delivery::App)], &["mail"]),
        ttl: section.duration("verification.ttl", default.ttl, SECOND..=YEARS),
        cooldown: section.duration("verification.cooldown", default.cooldown, Duration::ZERO..=DAY),
    }
}

fn lockout(section: &mut Section<'_>, default: &Lockout) -> Lockout {
    // A hundred at most, whoever asks: guessing has to end (NIST SP 800-63B, 5.2.2).
    let lockout = Lockout {
        failures: section.number("lockout.failures", default.failures, 1..=100, ""),
        account_failures: section.number("lockout.account_failures", default.account_failures, 1..=100, ""),
        window: section.duration("lockout.window", default.window, SECOND..=30 * DAY),
        duration: section.duration("lockout.duration", default.duration, SECOND..=30 * DAY),
    };
    if lockout.account_failures < lockout.failures {
        let reason = format!("is below lockout.failures ({}), which would then never lock", lockout.failures);
        section.refuse("lockout.account_failures", reason);
    }
    lockout
}

fn tokens(section: &mut Section<'_>, default: &Tokens) -> Tokens {
    let tokens = Tokens {
        access_ttl: section.duration("tokens.access_ttl", default.access_ttl, SECOND..=30 * DAY),
        refresh_ttl: section.duration("tokens.refresh_ttl", default.refresh_ttl, SECOND..=YEARS),
        refresh_grace: section.duration("tokens.refresh_grace", default.refresh_grace, Duration::ZERO..=60 * SECOND),
        key_overlap: section.duration("tokens.key_overlap", default.key_overlap, SECOND..=365 * DAY),
    };
    if tokens.key_overlap < tokens.access_ttl {
        let access = forms::spell_duration(tokens.access_ttl);
        let reason = format!("is shorter than tokens.access_ttl ({access}): tokens would die with their key");
        section.refuse("tokens.key_overlap", reason);
    }
    tokens
}

/// Two dialects may not answer the same path, nor one inside the other's.
fn mounts_apart(section: &mut Section<'_>, project: &ProjectSettings) {
    let mounts = [
        ("noma.path", project.noma.enabled, &project.noma.path),
        ("nora.path", project.nora.enabled, &project.nora.path),
        ("nhost.path", project.nhost.enabled, &project.nhost.path),
    ];
    let inside =
        |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    let enabled: Vec<_> = mounts.iter().filter(|(_, enabled, _)| *enabled).collect();
    for (index, (key, _, path)) in enabled.iter().enumerate() {
        for (other_key, _, other) in &enabled[..index] {
            if inside(path, other) || inside(other, path) {
                section.refuse(key, format!("\"{path}\" and {other_key} \"{other}\" overlap: move or switch off one"));
            }
        }
    }
}

fn id(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text)
        .ok()
        .filter(|id| !id.is_nil() && !id.is_max())
        .ok_or_else(|| format!("{text:.80?} is not an id: write a UUID"))
}

/// Long enough, and not what an example says.
fn jwt_secret(text: &str) -> Result<(), String> {
    let chars = text.chars().count();
    if !(MIN_SECRET..=MAX_SECRET).contains(&chars) {
        return Err(format!("has {chars} characters; a JWT secret has {MIN_SECRET} to {MAX_SECRET}"));
    }
    let lower = text.to_ascii_lowercase();
    let examples = ["changeme", "change-me", "change_me", "placeholder", "your-secret", "your_secret", "jwt-secret"];
    let different = text.chars().collect::<BTreeSet<_>>().len();
    match different < 8 || examples.iter().any(|example| lower.contains(example)) {
        true => Err("looks like a placeholder: make one with `openssl rand -hex 32`".into()),
        false => Ok(()),
    }
}

fn project_secret(text: &str) -> Result<(), String> {
    if !(MIN_SECRET..=MAX_SECRET).contains(&text.len()) {
        return Err(format!(
            "has {} characters; a project secret has {MIN_SECRET} to {MAX_SECRET}",
            text.chars().count()
        ));
    }
    // It travels in a header.
    match text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("a project secret is of visible ASCII characters, without spaces".into()),
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

/// A reader that stands in one project's section.
struct Section<'r> {
    reader: &'r mut Reader,
    prefix: String,
}

impl Section<'_> {
    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn refuse(&mut self, key: &str, reason: String) {
        self.reader.refuse(&self.path(key), reason);
    }

    fn flag(&mut self, key: &str, default: bool) -> bool {
        self.reader.flag(&self.path(key), default)
    }

    fn number<N: TryFrom<u64>>(&mut self, key: &str, default: N, range: RangeInclusive<u64>, unit: &str) -> N {
        self.reader.number(&self.path(key), default, range, unit)
    }

    fn duration(&mut self, key: &str, default: Duration, range: RangeInclusive<Duration>) -> Duration {
        self.reader.duration(&self.path(key), default, range)
    }

    fn choice<T: Copy>(&mut self, key: &str, default: T, words: &[(&str, T)]) -> T {
        self.reader.choice(&self.path(key), default, words, &[])
    }

    fn text<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.reader.text(&self.path(key), parse)
    }

    fn list<T: PartialEq>(&mut self, key: &str, max: usize, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        self.reader.list(&self.path(key), max, parse).unwrap_or_default()
    }

    fn limit(&mut self, key: &str, default: Option<Limit>) -> Option<Limit> {
        self.text(key, forms::limit).unwrap_or(default)
    }

    /// `true`, `false`, or "auto": `None`.
    fn flag_or_auto(&mut self, key: &str) -> Option<bool> {
        let path = self.path(key);
        match self.reader.take(&path) {
            None => None,
            Some((value, _)) if value.as_str() == Some("auto") => None,
            Some(_) => Some(self.reader.flag(&path, false)),
        }
    }

    fn secret(
        &mut self,
        key: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<crate::crypto::Secret<String>> {
        self.reader.secret(&self.path(key), check)
    }
}
