//! Signing in at a mail server (RFC 4954): which mechanism, and what it says.
//!
//! Under TLS the channel keeps the password from everybody but the server, which may then store it hashed: PLAIN, else
//! LOGIN, its elder form. CRAM-MD5 never sends the password, but asks the server to keep it readable, proves nothing
//! about the server, and rests on MD5; so it comes last there. Without TLS, which is allowed to this machine only, it
//! comes first, because nothing else keeps the password off the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use zeroize::Zeroizing;

use super::Login;

/// A mechanism of SASL that a password is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Never standardised, offered by many (draft-murchison-sasl-login).
    Login,
    /// RFC 2195.
    CramMd5,
}

impl Mechanism {
    /// The best of those that an answer to EHLO offers.
    pub fn choose(reply: &[String], encrypted: bool) -> Option<Self> {
        let order = if encrypted {
            [Self::Plain, Self::Login, Self::CramMd5]
        } else {
            [Self::CramMd5, Self::Plain, Self::Login]
        };
        let offered: Vec<String> = reply.iter().flat_map(|line| mechanisms(line)).collect();
        order.into_iter().find(|mechanism| offered.iter().any(|name| name == mechanism.name()))
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
        }
    }
}

/// The mechanisms that one line of an answer to EHLO names: `250-AUTH PLAIN LOGIN`, or `250-AUTH=PLAIN LOGIN` as
/// servers wrote it before the standard.
fn mechanisms(line: &str) -> Vec<String> {
    let upper = line.get(4..).unwrap_or_default().to_ascii_uppercase();
    match upper.strip_prefix("AUTH") {
        Some(rest) if rest.starts_with([' ', '=']) => rest[1..].split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// What PLAIN sends at once.
pub(super) fn plain(login: &Login) -> Zeroizing<String> {
    let both = Zeroizing::new(format!("\0{}\0{}", login.username, login.password.expose()));
    Zeroizing::new(STANDARD.encode(both.as_bytes()))
}

/// What LOGIN sends, one piece for each question. The questions' words differ from server to server, their order does
/// not.
pub(super) fn login(login: &Login) -> [Zeroizing<String>; 2] {
    [&login.username, login.password.expose()].map(|piece| Zeroizing::new(STANDARD.encode(piece)))
}

/// The answer to CRAM-MD5's challenge; `None` when that is not Base64.
pub(super) fn cram_md5(login: &Login, challenge: &str) -> Option<Zeroizing<String>> {
    let challenge = STANDARD.decode(challenge.trim()).ok()?;
    let mut mac = Hmac::<Md5>::new_from_slice(login.password.expose().as_bytes()).expect("HMAC takes any key");
    mac.update(&challenge);
    let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Zeroizing::new(STANDARD.encode(format!("{} {digest}", login.username))))
}

/// Every form in which a server may have seen, and may repeat, the password.
pub(super) fn forms_of(login: &Login) -> Vec<String> {
    let password = login.password.expose();
    vec![plain(login).to_string(), STANDARD.encode(password), password.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;

    fn login(username: &str, password: &str) -> Login {
        Login { username: username.into(), password: Secret::new(password.into()) }
    }

    /// RFC 2195, section 2.
    #[test]
    fn cram_md5_as_in_its_rfc() {
        let answer =
            cram_md5(&login("tim", "tanstaaftanstaaf"), "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+");
        assert_eq!(answer.unwrap().as_str(), "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
        assert!(cram_md5(&login("tim", "x"), "no base64!").is_none());
    }

    /// RFC 4616, section 4, the first example's fields.
    #[test]
    fn plain_as_in_its_rfc() {
        assert_eq!(
            STANDARD.decode(plain(&login("tim", "tanstaaftanstaaf")).as_str()).unwrap(),
            b"\0tim\0tanstaaftanstaaf"
        );
    }

    #[test]
    fn the_best_mechanism_offered() {
        let chosen = |lines: &[&str], encrypted| {
            let reply: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            Mechanism::choose(&reply, encrypted)
        };
        let all = &["250-mail.example.com", "250-SIZE 1", "250 auth cram-md5 LOGIN plain XOAUTH2"];
        assert_eq!(chosen(all, true), Some(Mechanism::Plain));
        assert_eq!(chosen(all, false), Some(Mechanism::CramMd5));
        assert_eq!(chosen(&["250 AUTH=LOGIN"], true), Some(Mechanism::Login));
        assert_eq!(chosen(&["250-AUTH GSSAPI", "250 AUTH CRAM-MD5"], true), Some(Mechanism::CramMd5));
        for none in [&["250 AUTH GSSAPI PLAINER"] as &[_], &["250 AUTHENTICATED PLAIN"], &["250"], &["2é"], &[]] {
            assert_eq!(chosen(none, true), None, "{none:?}");
        }
    }
}
