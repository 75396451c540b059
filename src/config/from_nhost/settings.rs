//! Which variable of Nhost Auth becomes which key, and what is said of those that become none.

use super::super::forms::spell_duration;
use super::super::problem::Problems;
use super::super::settings::is_loopback_host;
use super::sheet::{Entry, Sheet};
use super::{Remark, Translation, Variables, jwt};
use std::time::Duration;

/// How the configuration begins.
const HEAD: &str = "\
# Keystead's configuration, made by `keystead config from-nhost`: what differs from the defaults. Above each key stands the
# variable of Nhost Auth that it stands for. `keystead config example` explains every key there is.
";

/// No page and no address is there (RFC 2606).
const NOWHERE: &str = "https://nowhere.invalid";

/// Where a translation is being written.
pub(super) struct Translator<'a> {
    pub(super) variables: Variables,
    slug: &'a str,
    pub(super) sheet: Sheet,
    left: Vec<Remark>,
    different: Vec<Remark>,
}

/// Goes through all settings there are.
pub(super) fn translate(variables: Variables, slug: &str) -> Result<Translation, Problems> {
    let mut to = Translator { variables, slug, sheet: Sheet::default(), left: Vec::new(), different: Vec::new() };
    to.listen();
    to.log();
    to.mail();
    to.project();
    to.password();
    to.access();
    to.tokens();
    to.nhost();
    jwt::signing(&mut to);
    jwt::claims(&mut to);
    to.limits();
    to.absent();
    let (ours, foreign): (Vec<_>, Vec<_>) = to.variables.others().cloned().partition(|name| name.starts_with("AUTH_"));
    for name in ours {
        to.left(&name, "is not known here");
    }
    let Translator { mut sheet, mut left, different, .. } = to;
    sheet.settle(&mut left)?;
    let mut toml = sheet.toml();
    let secrets = sheet.secrets();
    let mut head = HEAD.to_owned();
    if !secrets.is_empty() {
        let keys = secrets.join(", ");
        head.push_str(&format!(
            "#\n# It holds secrets: {keys}.\n# Let nobody but the server read it (mode 0600), or move each into \
             a file and write KEY_file = \"/path\".\n"
        ));
    }
    toml.expose_mut().insert_str(0, &head);
    Ok(Translation { toml, secrets, left, different, foreign: foreign.len() })
}

impl Translator<'_> {
    /// The path of a section of the project.
    pub(super) fn section(&self, name: &str) -> String {
        match name {
            "" => format!("project.{}", self.slug),
            name => format!("project.{}.{name}", self.slug),
        }
    }

    pub(super) fn left(&mut self, name: &str, text: &str) {
        self.left.push(Remark { name: name.to_owned(), text: text.to_owned() });
    }

    pub(super) fn different(&mut self, name: &str, text: &str) {
        self.different.push(Remark { name: name.to_owned(), text: text.to_owned() });
    }

    fn set(&mut self, section: &str, entry: Entry) {
        let section = self.section(section);
        self.sheet.set(&section, entry);
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.variables.get(name).map(str::to_owned)
    }

    /// What Go's ParseBool takes for one.
    fn flag(&mut self, name: &str) -> Option<bool> {
        match self.variables.get(name)? {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => {
                self.left(name, "is neither true nor false: it counts as not set");
                None
            }
        }
    }

    pub(super) fn is_on(&mut self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    fn number(&mut self, name: &str) -> Option<i64> {
        let number = self.variables.get(name)?.parse().ok().filter(|number| *number >= 0);
        if number.is_none() {
            self.left(name, "is no whole number: it counts as not set");
        }
        number
    }

    fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let mut list = Vec::new();
        for item in self.variables.get(name)?.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if !list.iter().any(|known| known == item) {
                list.push(item.to_owned());
            }
        }
        Some(list).filter(|list| !list.is_empty())
    }

    fn listen(&mut self) {
        self.sheet.say(
            "listen",
            "addresses = [\"0.0.0.0:443\"]     where clients connect; [tls] says with which certificate",
        );
        self.sheet.say("listen", "trusted_proxies = [\"10.0.0.0/8\"]  the proxy in front, where there is one");
        if let Some(port) = self.text("AUTH_PORT") {
            self.left(
                "AUTH_PORT",
                &format!(
                    "was {port:.10}, in plain HTTP: choose listen.addresses; Keystead \
             speaks TLS by itself, or tls.mode = \"off\" behind a proxy"
                ),
            );
        }
        let prefix = self.text("AUTH_API_PREFIX").unwrap_or_default();
        let prefix = prefix.trim_matches('/').to_owned();
        let prefix = if prefix.is_empty() { prefix } else { format!("/{prefix}") };
        let Some(url) = self.text("AUTH_SERVER_URL") else {
            self.left("AUTH_SERVER_URL", "is not set: set listen.public_url, which links in mails are built from");
            self.path(&prefix, "AUTH_API_PREFIX");
            return;
        };
        let url = url.trim_end_matches('/');
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        // Behind a proxy that strips what comes before it, the prefix is only the end of the path.
        let (before, path) = match path.strip_suffix(&prefix) {
            Some(before) if !prefix.is_empty() => (before.to_owned(), prefix),
            _ => (String::new(), path),
        };
        let base = if scheme.is_empty() { url.to_owned() } else { format!("{scheme}://{host}{before}") };
        self.sheet.set("listen", Entry::new("public_url", base, "AUTH_SERVER_URL"));
        if path.is_empty() {
            self.different(
                "AUTH_SERVER_URL",
                "has no path, and nhost-js wants one that ends in /v1: the API is \
             at /v1, so tell your app and your proxy",
            );
        }
        self.path(&path, "AUTH_SERVER_URL");
    }

    /// Where the API is.
    fn path(&mut self, path: &str, from: &str) {
        if !path.is_empty() && path != "/v1" {
            self.set("nhost", Entry::new("path", path, from));
        }
        if !path.is_empty() && !path.ends_with("/v1") {
            self.different(
                from,
                "nhost-js wants a base URL that ends in /v1; with another it refreshes its session without end",
            );
        }
    }

    fn log(&mut self) {
        if !self.is_on("AUTH_LOG_FORMAT_TEXT") {
            self.sheet.set("log", Entry::new("format", "json", "AUTH_LOG_FORMAT_TEXT"));
        }
        if self.is_on("AUTH_DEBUG") {
            self.sheet.set("log", Entry::new("level", "debug", "AUTH_DEBUG"));
        }
    }

    fn mail(&mut self) {
        let host = self.text("AUTH_SMTP_HOST");
        let sender = self.text("AUTH_SMTP_SENDER");
        match host {
            Some(host) if host != "postmark" => self.smtp(&host),
            host => {
                self.variables.pass("AUTH_SMTP_");
                let reason = match host {
                    Some(_) => {
                        "\"postmark\" is its HTTP interface: use its mail server, smtp.postmarkapp.com, or \
                         mail.transport = \"webhook\""
                    }
                    None => {
                        "is not set: no mail leaves until mail.transport says how, and whoever signs up cannot \
                         prove the address"
                    }
                };
                self.left("AUTH_SMTP_HOST", reason);
            }
        }
        if let Some(sender) = sender {
            self.sheet.set("mail", Entry::new("from", sender, "AUTH_SMTP_SENDER"));
        }
        if let Some(folder) = self.text("AUTH_EMAIL_TEMPLATES_PATH") {
            let why = "LOCALE/TEMPLATE/body.html and subject.txt, with ${link}, are understood";
            self.sheet.set("mail", Entry::new("templates", folder, "AUTH_EMAIL_TEMPLATES_PATH").because(why));
        }
    }

    fn smtp(&mut self, host: &str) {
        self.sheet.set("mail", Entry::new("transport", "smtp", "AUTH_SMTP_HOST"));
        let section = "mail.smtp";
        self.sheet.set(section, Entry::new("host", host, "AUTH_SMTP_HOST"));
        let secure = self.is_on("AUTH_SMTP_SECURE");
        let (tls, usual) = match secure {
            true => (Some("tls"), 465),
            false if is_loopback_host(host) => (Some("none"), 25),
            false => (None, 587),
        };
        let port = self.number("AUTH_SMTP_PORT").unwrap_or(587);
        if port != usual {
            self.sheet.set(section, Entry::new("port", port, "AUTH_SMTP_PORT"));
        }
        match tls {
            Some(tls) => self.sheet.set(section, Entry::new("tls", tls, "AUTH_SMTP_SECURE")),
            None => self.different(
                "AUTH_SMTP_SECURE",
                "is off: there a mail goes in clear where the server offers no STARTTLS; here it does not go at all",
            ),
        }
        // Which of PLAIN, LOGIN and CRAM-MD5 it is, is settled with the server.
        let _ = self.variables.get("AUTH_SMTP_AUTH_METHOD");
        let (user, pass) = (self.text("AUTH_SMTP_USER"), self.text("AUTH_SMTP_PASS"));
        match (user, pass) {
            (Some(user), Some(pass)) => {
                self.sheet.set(section, Entry::new("username", user, "AUTH_SMTP_USER"));
                self.sheet.set(section, Entry::new("password", pass, "AUTH_SMTP_PASS").secret());
            }
            (None, None) => {}
            (Some(_), None) => {
                self.left("AUTH_SMTP_USER", "has no password: set mail.smtp.username and mail.smtp.password")
            }
            (None, Some(_)) => {
                self.left("AUTH_SMTP_PASS", "has no user: set mail.smtp.username and mail.smtp.password")
            }
        }
    }

    fn project(&mut self) {
        if self.is_on("AUTH_CONCEAL_ERRORS") {
            self.set("", Entry::new("conceal", true, "AUTH_CONCEAL_ERRORS"));
        }
        for (name, key, value) in [
            ("AUTH_DISABLE_SIGNUP", "enabled", false),
            ("AUTH_DISABLE_AUTO_SIGNUP", "auto", false),
            ("AUTH_DISABLE_NEW_USERS", "disable_new_users", true),
        ] {
            if self.is_on(name) {
                self.set("signup", Entry::new(key, value, name));
            }
        }
        if let Some(secret) = self.text("AUTH_TURNSTILE_SECRET") {
            let name = "AUTH_TURNSTILE_SECRET";
            self.set("bot", Entry::new("provider", "turnstile", name));
            self.set("bot", Entry::new("secret", secret, name).secret());
            let why = "the public key of your pages, which they know already; the Nhost API asks for it nowhere";
            self.set("bot", Entry::new("site_key", "unknown", name).because(why));
        }
        const VERIFIED: &str = "AUTH_EMAIL_SIGNIN_EMAIL_VERIFIED_REQUIRED";
        if self.flag(VERIFIED).unwrap_or(true) {
            self.set(
                "verification",
                Entry::new("mode", "strict", VERIFIED).because("true there unless it is switched off"),
            );
        }
        for api in ["noma", "nora"] {
            self.set(api, Entry::new("enabled", false, "another API, which Nhost Auth has not"));
        }
    }

    fn password(&mut self) {
        const LENGTH: &str = "AUTH_PASSWORD_MIN_LENGTH";
        match self.number(LENGTH) {
            Some(8) => {}
            Some(length) => {
                self.set("password", Entry::new("min_length", length, LENGTH));
                if length < 8 {
                    self.different(
                        LENGTH,
                        &format!(
                            "{length} is less than the 8 that are the default here \
                     (NIST SP 800-63B): raise it as soon as your app can"
                        ),
                    );
                }
            }
            None => self.different(
                LENGTH,
                "is not set: 3 bytes there, 8 characters here for new passwords; shorter ones that exist still \
                 sign in. password.min_length sets it lower",
            ),
        }
        if self.is_on("AUTH_PASSWORD_HIBP_ENABLED") {
            self.set("password", Entry::new("reject_leaked", true, "AUTH_PASSWORD_HIBP_ENABLED"));
        }
    }

    fn access(&mut self) {
        let mut any = false;
        for (name, key, closed) in [
            ("AUTH_ACCESS_CONTROL_ALLOWED_EMAILS", "allowed_emails", Some("nobody@nowhere.invalid")),
            ("AUTH_ACCESS_CONTROL_BLOCKED_EMAILS", "blocked_emails", None),
            ("AUTH_ACCESS_CONTROL_ALLOWED_EMAIL_DOMAINS", "allowed_domains", Some("nowhere.invalid")),
            ("AUTH_ACCESS_CONTROL_BLOCKED_EMAIL_DOMAINS", "blocked_domains", None),
        ] {
            let Some(list) = self.list(name) else { continue };
            any = true;
            let entry = Entry::new(key, list, name);
            self.set(
                "access",
                match closed {
                    Some(closed) => entry.or(closed),
                    None => entry,
                },
            );
        }
        if any {
            self.different(
                "AUTH_ACCESS_CONTROL_*",
                "upper and lower case are the same here, so that no spelling of an address gets around a list",
            );
        }
    }

    fn tokens(&mut self) {
        const DAY: i64 = 86_400;
        for (name, key, usual) in [
            ("AUTH_ACCESS_TOKEN_EXPIRES_IN", "access_ttl", 900),
            ("AUTH_REFRESH_TOKEN_EXPIRES_IN", "refresh_ttl", 30 * DAY),
        ] {
            let Some(seconds) = self.number(name).filter(|seconds| *seconds != usual) else { continue };
            let spelled = spell_duration(Duration::from_secs(seconds.unsigned_abs()));
            self.set("tokens", Entry::new(key, spelled.clone(), name));
            if key == "access_ttl" && seconds > DAY {
                let why = "a replaced key must verify as long as its tokens live";
                self.set("tokens", Entry::new("key_overlap", spelled, name).because(why));
            }
        }
    }

    fn nhost(&mut self) {
        const CLIENT: &str = "AUTH_CLIENT_URL";
        const REDIRECTS: &str = "AUTH_ACCESS_CONTROL_ALLOWED_REDIRECT_URLS";
        let (client, redirects) = (self.text(CLIENT), self.list(REDIRECTS));
        if client.is_none() && redirects.is_none() {
            self.different(
                CLIENT,
                "is not set, and no redirect URLs are: there any page could be named in a request, here none is; \
                 set nhost.client_url",
            );
        }
        if let Some(url) = client {
            self.set("nhost", Entry::new("client_url", url.trim_end_matches('/'), CLIENT).or(NOWHERE));
        }
        if let Some(list) = redirects {
            self.set("nhost", Entry::new("redirect_urls", list, REDIRECTS).or(NOWHERE));
        }
        for (name, key) in [
            ("AUTH_ANONYMOUS_USERS_ENABLED", "anonymous"),
            ("AUTH_EMAIL_PASSWORDLESS_ENABLED", "passwordless_email"),
            ("AUTH_OTP_EMAIL_ENABLED", "otp_email"),
        ] {
            if self.is_on(name) {
                self.set("nhost", Entry::new(key, true, name));
            }
        }
        for (name, key, usual) in
            [("AUTH_USER_DEFAULT_ROLE", "default_role", "user"), ("AUTH_LOCALE_DEFAULT", "locale", "en")]
        {
            if let Some(value) = self.text(name).filter(|value| value != usual) {
                self.set("nhost", Entry::new(key, value, name));
            }
        }
        for (name, key, usual) in [
            ("AUTH_USER_DEFAULT_ALLOWED_ROLES", "allowed_roles", "me"),
            ("AUTH_LOCALE_ALLOWED_LOCALES", "locales", "en"),
        ] {
            if let Some(list) = self.list(name).filter(|list| *list != [usual]) {
                self.set("nhost", Entry::new(key, list, name));
            }
        }
        if self.flag("AUTH_GRAVATAR_ENABLED") == Some(false) {
            self.set("nhost.gravatar", Entry::new("enabled", false, "AUTH_GRAVATAR_ENABLED"));
        }
        for (name, key, usual) in
            [("AUTH_GRAVATAR_DEFAULT", "default", "blank"), ("AUTH_GRAVATAR_RATING", "rating", "g")]
        {
            if let Some(value) = self.text(name).filter(|value| value != usual) {
                self.set("nhost.gravatar", Entry::new(key, value, name));
            }
        }
    }

    fn limits(&mut self) {
        if !self.is_on("AUTH_RATE_LIMIT_ENABLE") {
            self.variables.pass("AUTH_RATE_LIMIT_");
            return;
        }
        for (class, key, burst, interval) in [
            ("GLOBAL", "global", 100, 60),
            ("EMAIL", "email", 10, 3600),
            ("BRUTE_FORCE", "brute_force", 10, 300),
            ("SIGNUPS", "signups", 10, 300),
        ] {
            let [count, window] = ["BURST", "INTERVAL"].map(|what| format!("AUTH_RATE_LIMIT_{class}_{what}"));
            let burst = self.number(&count).unwrap_or(burst);
            let seconds = match self.text(&window).map(|text| go_seconds(&text)) {
                Some(None) => {
                    self.left(&window, "is no duration of whole seconds: it counts as not set");
                    interval
                }
                Some(Some(seconds)) => seconds,
                None => interval,
            };
            let limit = format!("{burst}/{}", spell_duration(Duration::from_secs(seconds)));
            self.set("nhost.limits", Entry::new(key, limit, &format!("{count}, …_INTERVAL")));
        }
        if self.is_on("AUTH_RATE_LIMIT_EMAIL_IS_GLOBAL") {
            self.set("nhost.limits", Entry::new("email_is_global", true, "AUTH_RATE_LIMIT_EMAIL_IS_GLOBAL"));
        }
        for (prefix, reason) in [
            ("AUTH_RATE_LIMIT_MEMCACHE_", "Keystead counts by itself, and needs no memcache"),
            ("AUTH_RATE_LIMIT_SMS_", "there are no text messages in this version"),
            ("AUTH_RATE_LIMIT_OAUTH2_SERVER_", "this version is no OAuth 2 provider for other apps"),
        ] {
            if self.variables.pass(prefix) {
                self.left(&format!("{prefix}*"), reason);
            }
        }
    }
}

/// A duration as Go writes it, `1h30m` or `300s`, in whole seconds.
fn go_seconds(text: &str) -> Option<u64> {
    let (mut rest, mut seconds) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let unit = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(unit);
        let size = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(size)?)?;
        rest = after;
    }
    (seconds > 0).then_some(seconds)
}
