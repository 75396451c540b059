//! `[mail.smtp]`, `[mail.file]`, `[mail.webhook]`: where mails go, each for the transport of its name.

use std::net::IpAddr;
use std::path::PathBuf;

use documented::DocumentedFields;

use super::forms;
use super::keys::{Keys, Section, Spell};
use super::settings::{Mail, MailTransport, is_loopback_host};
use crate::crypto::Secret;
use crate::mail::{Login, SmtpSettings, SmtpTls, WebhookSettings};
use crate::net::CaFile;
use crate::outbound::{SigningKey, Target};

/// `[mail.smtp]`: the mail server, for transport "smtp".
#[derive(Clone, Debug, Default, DocumentedFields)]
pub struct MailSmtp {
    /// The mail server's name, which its certificate must carry, or its address.
    pub host: Option<String>,
    /// Its port. 0: 587 with "starttls", 465 with "tls", 25 with "none".
    pub port: u16,
    /// What protects the conversation: "starttls" (it becomes encrypted, or nothing is sent), "tls" (encrypted from the
    /// start) or "none" (only to a server on this machine).
    pub tls: SmtpTls,
    /// The account there. Unset: the server wants none.
    pub username: Option<String>,
    /// Its password. Give one of password, password_file, the credential "mail.smtp.password".
    pub password: Option<Secret<String>>,
    /// PEM file of an authority that vouches for the mail server, beside the public ones.
    pub ca_file: Option<CaFile>,
    /// The name this server introduces itself with. Unset: the host of listen.public_url, else its address.
    pub helo_name: Option<String>,
}

impl Section for MailSmtp {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        let words = [("starttls", SmtpTls::StartTls), ("tls", SmtpTls::Implicit), ("none", SmtpTls::None)];
        keys.optional("host", &mut self.host, forms::certificate_name, "smtp.example.com");
        keys.number("port", &mut self.port, 0..=65_535, "");
        keys.choice("tls", &mut self.tls, &words);
        keys.optional("username", &mut self.username, one_line, "app@example.com");
        keys.secret("password", &mut self.password, |text| one_line(text).map(drop));
        keys.optional("ca_file", &mut self.ca_file, ca_file, "/etc/keystead/mail-ca.pem");
        keys.optional("helo_name", &mut self.helo_name, forms::host, "auth.example.com");
        let wrong = ["username", "password", "password_file"].into_iter().any(|name| keys.refused(name));
        match (&self.username, &self.password) {
            (Some(_), None) if !wrong => {
                keys.refuse("username", "needs `mail.smtp.password`, `mail.smtp.password_file` or the credential");
            }
            (None, Some(_)) if !wrong => keys.refuse("password", "needs `mail.smtp.username` too"),
            _ => {}
        }
        if self.tls == SmtpTls::None
            && let Some(host) = self.host.as_deref().filter(|host| !is_loopback_host(host))
        {
            let reason = format!(
                "\"none\" would send mails, and the links in them, in clear to {host}: write \"starttls\" or \"tls\"; in \
                 clear only to this machine (localhost, 127.0.0.1, ::1)"
            );
            keys.refuse("tls", reason);
        }
    }
}

impl MailSmtp {
    /// The server and who we are to it; `None` where none is named.
    pub fn settings(&self, public_url: Option<&str>) -> Option<SmtpSettings> {
        let login = self.username.clone().zip(self.password.clone());
        Some(SmtpSettings {
            host: self.host.clone()?,
            port: if self.port == 0 { self.tls.port() } else { self.port },
            tls: self.tls,
            login: login.map(|(username, password)| Login { username, password }),
            ca_file: self.ca_file.clone(),
            helo_name: self.helo_name.clone().or_else(|| public_name(public_url?)),
        })
    }
}

/// `[mail.file]`: a directory of mails, for transport "file".
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct MailFile {
    /// Where each mail becomes a file TIME-ID.eml, readable by its owner only. Made when it is missing.
    pub dir: Option<PathBuf>,
}

impl Section for MailFile {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.optional("dir", &mut self.dir, forms::path, "/var/spool/keystead");
    }
}

/// `[mail.webhook]`: a program of yours that takes mails over HTTP, for transport "webhook".
#[derive(Clone, Debug, Default, PartialEq, Eq, DocumentedFields)]
pub struct MailWebhook {
    /// Where each mail is posted as JSON. An address that is not public must be in outbound.allow.
    pub url: Option<Target>,
    /// What the calls are signed with (Standard Webhooks): "whsec_" and 24 to 64 bytes as Base64. Give one of secret,
    /// secret_file, the credential "mail.webhook.secret".
    pub secret: Option<SigningKey>,
}

impl Section for MailWebhook {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.optional("url", &mut self.url, Target::parse, "https://mailer.example.com/send");
        let check = |text: &str| SigningKey::parse(text).map(drop);
        let mut read = self.secret.take().map(Ok);
        keys.secret_as("secret", &mut read, check, SigningKey::parse);
        self.secret = read.and_then(Result::ok);
    }
}

impl MailWebhook {
    /// Who takes the mails; `None` where nobody is named.
    pub fn settings(&self) -> Option<WebhookSettings> {
        Some(WebhookSettings { url: self.url.clone()?, key: self.secret.clone()? })
    }
}

/// What a transport needs to be there.
pub(super) fn check_together(mail: &Mail, keys: &mut Keys<'_>) {
    let needs: &[(&str, bool)] = match mail.transport {
        MailTransport::None | MailTransport::Log => &[],
        MailTransport::Smtp => &[("smtp.host", mail.smtp.host.is_some()), ("from", mail.from.is_some())],
        MailTransport::File => &[("file.dir", mail.file.dir.is_some())],
        MailTransport::Webhook => {
            &[("webhook.url", mail.webhook.url.is_some()), ("webhook.secret", mail.webhook.secret.is_some())]
        }
    };
    for (name, given) in needs {
        if !given && !keys.refused(name) && !keys.refused(&format!("{name}_file")) {
            keys.refuse("transport", format!("\"{}\" needs `mail.{name}`", mail.transport.word()));
        }
    }
}

impl MailTransport {
    /// All there are, by the words that name them.
    pub(super) const WORDS: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("smtp", Self::Smtp),
        ("file", Self::File),
        ("log", Self::Log),
        ("webhook", Self::Webhook),
    ];

    /// The word that names it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, way)| *way == self).map_or("", |(word, _)| word)
    }
}

impl Spell for CaFile {
    fn spell(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }
}

fn ca_file(text: &str) -> Result<CaFile, String> {
    CaFile::read(&forms::path(text)?).map_err(|error| error.to_string())
}

/// What fits into a line of a protocol: not empty, no controls.
fn one_line(text: &str) -> Result<String, String> {
    match (1..=1024).contains(&text.len()) && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("is one line of 1 to 1024 bytes, without control characters".into()),
    }
}

/// The host of a URL, where it is a name that others know.
fn public_name(url: &str) -> Option<String> {
    let host = forms::host_of(url);
    let is_name = host.contains('.') && host.parse::<IpAddr>().is_err();
    is_name.then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_introduces_itself_by_its_public_name() {
        for (url, name) in [
            ("https://auth.example.com", Some("auth.example.com")),
            ("https://auth.example.com:8443/x", Some("auth.example.com")),
            ("https://127.0.0.1:8443", None),
            ("https://[::1]:8443", None),
            ("https://localhost", None),
        ] {
            assert_eq!(public_name(url).as_deref(), name, "{url}");
        }
    }
}
