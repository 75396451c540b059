//! `[tls]`: what protects connections. What is written in several keys is brought together into one mode.

use std::path::PathBuf;

use documented::DocumentedFields;

use super::forms;
use super::keys::{Keys, Section};
use crate::crypto::Secret;

/// `[tls]`: what protects connections.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Where the certificate comes from.
    pub mode: TlsMode,
    /// Further names and addresses in the self-signed certificate, beside the listeners' and projects' own.
    pub names: Vec<String>,
    /// Whom to ask for a certificate, for mode "acme".
    pub acme: Acme,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// A local CA, made once and kept in the data directory.
    #[default]
    SelfSigned,
    /// PEM files of the operator.
    Files {
        /// The certificate chain, leaf first.
        cert: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// From an ACME server.
    Acme,
    /// Plain HTTP: only on local listeners or behind a declared proxy.
    Off,
}

/// `[tls.acme]`: a certificate from an ACME server (RFC 8555), ordered and renewed by itself.
#[derive(Clone, Debug)]
pub struct Acme {
    /// The names the certificate is for. No others are ever ordered.
    pub domains: Vec<String>,
    /// Addresses the ACME server may write to.
    pub contact: Vec<String>,
    /// The server's directory.
    pub directory_url: String,
    /// PEM file of an authority that vouches for the ACME server itself, beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// The account at the certificate authority that ours is bound to, where it wants one.
    pub eab: Option<ExternalAccount>,
}

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

impl Default for Acme {
    fn default() -> Self {
        Self { domains: Vec::new(), contact: Vec::new(), directory_url: DIRECTORY.into(), ca_file: None, eab: None }
    }
}

/// External account binding (RFC 8555, section 7.3.4).
#[derive(Clone, Debug)]
pub struct ExternalAccount {
    /// The key's id, as the certificate authority gave it.
    pub key_id: String,
    /// The key.
    pub hmac_key: Secret<Vec<u8>>,
}

/// `[tls]` as it is written: the mode in one key, what only one mode has in others.
#[derive(DocumentedFields)]
pub(super) struct WrittenTls {
    /// "self-signed": a local CA, made once and kept in data_dir. "files": cert and key below. "acme": a certificate
    /// from an ACME server, ordered and renewed by itself; see [tls.acme]. "off": plain HTTP, only on loopback, unix
    /// sockets or behind a proxy.
    mode: Word,
    /// For mode "files": the certificate as PEM, the leaf first. It is taken up anew when the file changes.
    cert: Option<PathBuf>,
    /// For mode "files": its private key as PEM. With systemd: Environment=KEYSTEAD_TLS__KEY=%d/tls.key
    key: Option<PathBuf>,
    /// Further names and addresses in the self-signed certificate.
    names: Vec<String>,
    /// Whom to ask for a certificate, for mode "acme".
    acme: WrittenAcme,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    SelfSigned,
    Files,
    Acme,
    Off,
}

#[derive(DocumentedFields)]
struct WrittenAcme {
    /// The names the certificate is for; each must lead to this server. No others are ever ordered.
    domains: Vec<String>,
    /// Addresses the ACME server may write to.
    contact: Vec<String>,
    /// The server's directory. With mode "acme" you agree to its terms of service.
    directory_url: String,
    /// PEM file of an authority that vouches for the ACME server itself, beside the public ones.
    ca_file: Option<PathBuf>,
    /// The account at the certificate authority that ours is bound to, where it wants one.
    eab_key_id: Option<String>,
    /// That account's key, in base64url.
    eab_hmac_key: Option<Secret<Vec<u8>>>,
}

impl WrittenTls {
    pub(super) fn of(tls: &Tls) -> Self {
        let (mode, cert, key) = match &tls.mode {
            TlsMode::SelfSigned => (Word::SelfSigned, None, None),
            TlsMode::Files { cert, key } => (Word::Files, Some(cert.clone()), Some(key.clone())),
            TlsMode::Acme => (Word::Acme, None, None),
            TlsMode::Off => (Word::Off, None, None),
        };
        let Acme { domains, contact, directory_url, ca_file, eab } = tls.acme.clone();
        let (eab_key_id, eab_hmac_key) = eab.map(|eab| (eab.key_id, eab.hmac_key)).unzip();
        let acme = WrittenAcme { domains, contact, directory_url, ca_file, eab_key_id, eab_hmac_key };
        Self { mode, cert, key, names: tls.names.clone(), acme }
    }

    pub(super) fn understood(self) -> Tls {
        let mode = match (self.mode, self.cert, self.key) {
            (Word::Files, Some(cert), Some(key)) => TlsMode::Files { cert, key },
            (Word::Acme, ..) => TlsMode::Acme,
            (Word::Off, ..) => TlsMode::Off,
            _ => TlsMode::SelfSigned,
        };
        let WrittenAcme { domains, contact, directory_url, ca_file, eab_key_id, eab_hmac_key } = self.acme;
        let eab = eab_key_id.zip(eab_hmac_key).map(|(key_id, hmac_key)| ExternalAccount { key_id, hmac_key });
        Tls { mode, names: self.names, acme: Acme { domains, contact, directory_url, ca_file, eab } }
    }
}

impl Section for WrittenTls {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        let words =
            [("self-signed", Word::SelfSigned), ("files", Word::Files), ("acme", Word::Acme), ("off", Word::Off)];
        keys.choice("mode", &mut self.mode, &words);
        keys.optional("cert", &mut self.cert, forms::path, "/etc/keystead/tls/cert.pem");
        keys.optional("key", &mut self.key, forms::path, "/etc/keystead/tls/key.pem");
        keys.list("names", &mut self.names, 64, forms::certificate_name);
        keys.section("acme", &mut self.acme);
        if keys.refused("mode") {
            return;
        }
        for (name, file) in [("cert", &self.cert), ("key", &self.key)] {
            match self.mode {
                Word::Files if file.is_none() => keys.refuse("mode", format!("\"files\" needs `tls.{name}`")),
                Word::SelfSigned | Word::Acme | Word::Off if file.is_some() => {
                    keys.refuse(name, "has no effect unless tls.mode is \"files\"");
                }
                _ => {}
            }
        }
        if self.mode == Word::Acme && self.acme.domains.is_empty() {
            keys.refuse("mode", "\"acme\" needs `tls.acme.domains`: the names to get a certificate for");
        }
    }
}

impl Section for WrittenAcme {
    fn keys(&mut self, keys: &mut Keys<'_>) {
        keys.list("domains", &mut self.domains, 100, forms::domain);
        keys.list("contact", &mut self.contact, 10, forms::contact);
        keys.text("directory_url", &mut self.directory_url, forms::https_url);
        keys.optional("ca_file", &mut self.ca_file, forms::path, "/etc/keystead/acme-ca.pem");
        keys.optional("eab_key_id", &mut self.eab_key_id, |text| Ok(text.to_owned()), "...");
        let check = |text: &str| forms::base64url(text).map(drop);
        let parse = |text: &str| Secret::new(forms::base64url(text).unwrap_or_default());
        keys.secret_as("eab_hmac_key", &mut self.eab_hmac_key, check, parse);
        match (&self.eab_key_id, &self.eab_hmac_key) {
            (Some(_), None) => keys.refuse("eab_key_id", "needs `tls.acme.eab_hmac_key` too"),
            (None, Some(_)) => keys.refuse("eab_hmac_key", "needs `tls.acme.eab_key_id` too"),
            _ => {}
        }
    }
}
