//! The checked, immutable settings of one project.

use std::collections::BTreeMap;
use std::time::Duration;

use documented::DocumentedFields;
use uuid::Uuid;

use super::access::Access;
use super::bot::Bot;
use super::dialect_settings::{Noma, Nora};
use super::forms::{self, spell_duration};
use super::keys::{Keys, Section};
use super::nhost::Nhost;
use super::project;
pub use super::project_mail::{Notify, ProjectMail};
use super::webhook::{self, Webhook};
use crate::crypto::Secret;
use crate::outbound::Target;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// `[project.SLUG]`: one tenant.
#[derive(Clone, Debug, DocumentedFields)]
pub struct ProjectSettings {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
    pub slug: String,
    /// A UUID. Unset: made once and kept in the project's file.
    pub id: Option<Uuid>,
    /// false: every dialect answers that authentication is off.
    pub enabled: bool,
    /// Host names that lead to this project, without port. No two projects share one.
    // Lower case.
    pub hosts: Vec<String>,
    /// As listen.public_url, for this project's links. Unset: listen.public_url.
    pub public_url: Option<String>,
    /// What your own services authenticate with, for instance to verify API keys: 32 to 1024 visible ASCII characters.
    /// Give one of secret, secret_file, the credential "project.default.secret".
    pub secret: Option<Secret<String>>,
    /// true: answers reveal no account state, whatever the API's contract would say. A sign-up that begins a session still
    /// does, and whoever cannot sign in after one knows that the address was taken.
    pub conceal: bool,
    /// Who may sign up.
    pub signup: Signup,
    /// Whose addresses may have an account.
    pub access: Access,
    /// How sign-up is kept from bots.
    pub bot: Bot,
    /// How addresses are proved.
    pub verification: Verification,
    /// What a password must be.
    pub password: PasswordSettings,
    /// When guessing ends.
    pub lockout: Lockout,
    /// How long tokens and keys live.
    pub tokens: Tokens,
    /// How many sessions a user may hold.
    pub sessions: Sessions,
    /// How long the audit trail is kept.
    pub audit: Audit,
    /// Who is told of what happens, each under a name of yours: 1 to 32 of a-z, 0-9 and "-".
    pub webhooks: BTreeMap<String, Webhook>,
    /// Which pages' scripts may call.
    pub cors: Cors,
    /// What this project's mails look like.
    pub mail: ProjectMail,
    /// What owners of accounts are told by mail, where mails are sent.
    pub notify: Notify,
    /// The NomaCMS API. The paths of two enabled APIs may not overlap.
    pub noma: Noma,
    /// The Nora API.
    pub nora: Nora,
    /// The Nhost Auth API.
    pub nhost: Nhost,
}

impl Section for ProjectSettings {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.optional("id", &mut self.id, project::id, "0193a5e2-7c1e-7d3a-9b1f-3f6c2a7d9e10");
        keys.flag("enabled", &mut self.enabled);
        keys.list("hosts", &mut self.hosts, 256, forms::host);
        keys.optional("public_url", &mut self.public_url, forms::public_url, "https://auth.example.com");
        keys.secret("secret", &mut self.secret, project::secret);
        keys.flag("conceal", &mut self.conceal);
        keys.section("signup", &mut self.signup);
        keys.section("access", &mut self.access);
        keys.section("bot", &mut self.bot);
        keys.section("verification", &mut self.verification);
        keys.section("password", &mut self.password);
        keys.section("lockout", &mut self.lockout);
        keys.section("tokens", &mut self.tokens);
        keys.section("sessions", &mut self.sessions);
        keys.section("audit", &mut self.audit);
        let unset = |_: &str| Webhook::unset();
        keys.map("webhooks", "webhooks", &mut self.webhooks, unset, webhook::name, "app");
        if self.webhooks.len() > webhook::MAX_WEBHOOKS {
            keys.refuse("webhooks", format!("are more than {}", webhook::MAX_WEBHOOKS));
        }
        keys.section("cors", &mut self.cors);
        keys.section("mail", &mut self.mail);
        keys.section("notify", &mut self.notify);
        keys.section("noma", &mut self.noma);
        keys.section("nora", &mut self.nora);
        keys.section("nhost", &mut self.nhost);
        for (key, reason) in project::overlaps(self) {
            keys.refuse(key, reason);
        }
    }
}

impl ProjectSettings {
    /// A project nobody said anything about.
    pub fn named(slug: &str) -> Self {
        Self {
            slug: slug.to_owned(),
            id: None,
            enabled: true,
            hosts: Vec::new(),
            public_url: None,
            secret: None,
            conceal: false,
            signup: Signup::default(),
            access: Access::default(),
            bot: Bot::default(),
            verification: Verification::default(),
            password: PasswordSettings::default(),
            lockout: Lockout::default(),
            tokens: Tokens::default(),
            sessions: Sessions::default(),
            audit: Audit::default(),
            webhooks: BTreeMap::new(),
            cors: Cors::default(),
            mail: ProjectMail::default(),
            notify: Notify::default(),
            noma: Noma::default(),
            nora: Nora::default(),
            nhost: Nhost::default(),
        }
    }
}

impl ProjectSettings {
    /// The name that mails and pages call it by.
    pub fn app_name(&self) -> &str {
        self.mail.app_name.as_deref().unwrap_or(&self.slug)
    }
}

/// `[project.SLUG.signup]`
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Signup {
    /// Whether a stranger may make an account.
    pub enabled: bool,
    /// Whether signing in with an unknown address by a link or by digits makes an account; false: nothing is sent, and the
    /// answer is the same.
    pub auto: bool,
    /// true: an account made by a stranger is switched off until an operator enables it.
    pub disable_new_users: bool,
}

impl Section for Signup {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.flag("enabled", &mut self.enabled);
        keys.flag("auto", &mut self.auto);
        keys.flag("disable_new_users", &mut self.disable_new_users);
    }
}

impl Default for Signup {
    fn default() -> Self {
        Self { enabled: true, auto: true, disable_new_users: false }
    }
}

/// `[project.SLUG.verification]`: how an address is proved.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Verification {
    /// What an unproved address may do: everything ("off", where nothing asks for a proof, and "lenient") or nothing until
    /// it is proved ("strict").
    pub mode: VerificationMode,
    /// Who brings the token to the user. "app": your app, which gets it in the answer; the address then counts as
    /// asserted only. "mail": we do, as a link and a code; needs mail.transport.
    pub delivery: Delivery,
    /// The page of your app that the mail leads to, with {token} where the token goes. Unset: a page of ours, at
    /// /verify-email below the public URL.
    pub link: Option<String>,
    /// How long a token is good.
    pub ttl: Duration,
    /// The pause between two tokens for one address; zero: none.
    pub cooldown: Duration,
}

impl Section for Verification {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        let modes = [
            ("off", VerificationMode::Off),
            ("lenient", VerificationMode::Lenient),
            ("strict", VerificationMode::Strict),
        ];
        keys.choice("mode", &mut self.mode, &modes);
        keys.choice("delivery", &mut self.delivery, &[("app", Delivery::App), ("mail", Delivery::Mail)]);
        keys.optional("link", &mut self.link, forms::link, "https://app.example.com/verify?token={token}");
        keys.duration("ttl", &mut self.ttl, SECOND..=YEARS);
        keys.duration("cooldown", &mut self.cooldown, Duration::ZERO..=DAY);
    }
}

impl Default for Verification {
    fn default() -> Self {
        Self { mode: VerificationMode::Off, delivery: Delivery::App, link: None, ttl: DAY, cooldown: MINUTE }
    }
}

/// What an account with an unproved address may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerificationMode {
    /// Everything; nothing asks for a proof.
    Off,
    /// Everything; the proof may follow.
    Lenient,
    /// Nothing until it is proved.
    Strict,
}

/// Who brings a token to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The integrator's app, which gets it in the answer. Addresses proved so are *asserted* only.
    App,
    /// We, by mail to the address: whoever brings it back can read its mail.
    Mail,
}

/// `[project.SLUG.password]`
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct PasswordSettings {
    /// Characters a new password must have.
    pub min_length: usize,
    /// true: a new password may not be one of the 55,860 most common ones, in whatever case. Nobody is asked.
    pub reject_common: bool,
    /// true: a new password may not be known from a leak. The service at leaked_url is asked, and learns the first five
    /// hexadecimal digits of the password's SHA-1, no more; while it has no answer, no password can be set.
    pub reject_leaked: bool,
    /// Where that is asked: a service with the range API of Have I Been Pwned. The five digits are put at its end.
    pub leaked_url: Target,
}

impl Section for PasswordSettings {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.number("min_length", &mut self.min_length, 1..=255, "characters");
        keys.flag("reject_common", &mut self.reject_common);
        keys.flag("reject_leaked", &mut self.reject_leaked);
        keys.text("leaked_url", &mut self.leaked_url, Target::parse);
    }
}

impl Default for PasswordSettings {
    fn default() -> Self {
        let leaked_url = "https://api.pwnedpasswords.com/range/";
        Self {
            min_length: 8,
            reject_common: false,
            reject_leaked: false,
            leaked_url: Target::parse(leaked_url).expect("a constant that is a URL"),
        }
    }
}

/// `[project.SLUG.lockout]`: when guessing ends.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Lockout {
    /// Wrong answers for one address from one client that lock.
    pub failures: u32,
    /// Wrong answers for one address from anywhere that lock; not below failures.
    pub account_failures: u32,
    /// How far back they count.
    pub window: Duration,
    /// How long the lock holds.
    pub duration: Duration,
}

impl Section for Lockout {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        // A hundred at most, whoever asks: guessing has to end (NIST SP 800-63B, 5.2.2).
        keys.number("failures", &mut self.failures, 1..=100, "");
        keys.number("account_failures", &mut self.account_failures, 1..=100, "");
        keys.duration("window", &mut self.window, SECOND..=30 * DAY);
        keys.duration("duration", &mut self.duration, SECOND..=30 * DAY);
        if self.account_failures < self.failures {
            let reason = format!("is below lockout.failures ({}), which would then never lock", self.failures);
            keys.refuse("account_failures", reason);
        }
    }
}

impl Default for Lockout {
    fn default() -> Self {
        Self { failures: 5, account_failures: 100, window: 15 * MINUTE, duration: 15 * MINUTE }
    }
}

/// `[project.SLUG.tokens]`: how long tokens and keys live.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Tokens {
    /// An access token's life.
    pub access_ttl: Duration,
    /// A refresh token's life; every rotation starts it anew.
    pub refresh_ttl: Duration,
    /// How long the previous refresh token still yields the same successor; zero: not at all.
    pub refresh_grace: Duration,
    /// How long a replaced signing key still verifies; never shorter than access_ttl.
    pub key_overlap: Duration,
}

impl Section for Tokens {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.duration("access_ttl", &mut self.access_ttl, SECOND..=30 * DAY);
        keys.duration("refresh_ttl", &mut self.refresh_ttl, SECOND..=YEARS);
        keys.duration("refresh_grace", &mut self.refresh_grace, Duration::ZERO..=60 * SECOND);
        keys.duration("key_overlap", &mut self.key_overlap, SECOND..=365 * DAY);
        if self.key_overlap < self.access_ttl {
            let access = spell_duration(self.access_ttl);
            let reason = format!("is shorter than tokens.access_ttl ({access}): tokens would die with their key");
            keys.refuse("key_overlap", reason);
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access_ttl: 15 * MINUTE,
            refresh_ttl: 30 * DAY,
            refresh_grace: Duration::from_secs(10),
            key_overlap: 24 * HOUR,
        }
    }
}

/// `[project.SLUG.sessions]`
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct Sessions {
    /// Sessions of one user; beyond it the oldest ends. 0: no limit.
    pub max: u32,
}

impl Section for Sessions {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.number("max", &mut self.max, 0..=10_000, "sessions");
    }
}

/// `[project.SLUG.audit]`: how long the audit trail is kept.
#[derive(Clone, Debug, PartialEq, Eq, DocumentedFields)]
pub struct Audit {
    /// How long an entry is kept.
    pub keep: Duration,
    /// How many entries are kept, of about 150 bytes each; beyond it the oldest go. Failed sign-ins are entries, too.
    pub max_entries: u64,
}

impl Section for Audit {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.duration("keep", &mut self.keep, HOUR..=YEARS);
        keys.number("max_entries", &mut self.max_entries, 100..=100_000_000, "entries");
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { keep: 90 * DAY, max_entries: 1_000_000 }
    }
}

/// `[project.SLUG.cors]`
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct Cors {
    /// Origins whose pages may call, as a browser sends them ("https://app.example.com"), or "*" for any. Empty: no page may
    /// call the other APIs, and any page the Nhost API, as its clients expect; it reads no cookies.
    pub origins: Vec<String>,
}

impl Section for Cors {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.list("origins", &mut self.origins, 256, forms::origin);
    }
}
