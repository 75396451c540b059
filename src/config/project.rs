//! One project's section, raw to checked, and what must hold between projects.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use uuid::Uuid;

use super::forms;
use super::project_settings::{
    Cors, Delivery, Lockout, Nhost, Noma, Nora, Notify, PasswordSettings, ProjectMail, ProjectSettings, Sessions,
    Signup, TokenFormat, Tokens, Verification, VerificationMode,
};
use super::reader::Reader;

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
        secret: section.secret("secret"),
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
        mail: ProjectMail {
            from: section.text("mail.from", forms::mailbox),
            locale: section.text("mail.locale", forms::locale),
            app_name: section.text("mail.app_name", app_name),
        },
        notify: Notify {
            lockout: section.flag("notify.lockout", default.notify.lockout),
            password_change: section.flag("notify.password_change", default.notify.password_change),
            new_device: section.flag("notify.new_device", default.notify.new_device),
        },
        noma: Noma {
            enabled: section.flag("noma.enabled", default.noma.enabled),
            path: section.text("noma.path", forms::mount).unwrap_or(default.noma.path),
            token_format: section.choice(
                "noma.token_format",
                default.noma.token_format,
                &[("paseto", TokenFormat::Paseto), ("jwt", TokenFormat::Jwt)],
            ),
        },
        nora: Nora {
            enabled: section.flag("nora.enabled", default.nora.enabled),
            path: section.text("nora.path", forms::mount).unwrap_or(default.nora.path),
        },
        nhost: Nhost {
            enabled: section.flag("nhost.enabled", default.nhost.enabled),
            path: section.text("nhost.path", forms::mount).unwrap_or(default.nhost.path),
        },
    };
    mounts_apart(&mut section, &project);
    project
}

fn verification(section: &mut Section<'_>, default: &Verification) -> Verification {
    let modes =
        [("off", VerificationMode::Off), ("lenient", VerificationMode::Lenient), ("strict", VerificationMode::Strict)];
    let path = section.path("verification.delivery");
    Verification {
        mode: section.choice("verification.mode", default.mode, &modes),
        delivery: section.reader.choice(&path, default.delivery, &[("app", Delivery::App)], &["mail"]),
        link: section.text("verification.link", forms::link),
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

/// A name for people: one line.
fn app_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a name is not empty".into()),
        name if name.chars().count() > 100 || name.chars().any(char::is_control) => {
            Err("a name is one line of at most 100 characters".into())
        }
        name => Ok(name.to_owned()),
    }
}

fn id(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text)
        .ok()
        .filter(|id| !id.is_nil() && !id.is_max())
        .ok_or_else(|| format!("{text:.80?} is not an id: write a UUID"))
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

    fn secret(&mut self, key: &str) -> Option<crate::crypto::Secret<String>> {
        self.reader.secret(&self.path(key), project_secret)
    }
}
