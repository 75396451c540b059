//! The text forms of what mails need: senders, languages, names, the page a link leads to.

use super::forms::{Parsed, checked_authority};
use super::settings::is_loopback_host;

/// A page that a mail leads to: an absolute URL with `{token}` once, in its path, query or fragment. `https`, plain
/// `http` only to this machine, or a scheme of an app's own (`myapp://verify/{token}`).
pub fn link(text: &str) -> Parsed<String> {
    let wanted = || "write a URL like \"https://app.example.com/verify?token={token}\"".to_owned();
    let plain = text.len() <= 2048
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'<' | b'>' | b'\\'));
    let (Some((scheme, rest)), 1) = (text.split_once("://"), text.matches("{token}").count()) else {
        return Err(format!("a link has \"{{token}}\" once in it: {}", wanted()));
    };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // No scheme that a mail program or browser runs as code.
    let runs = matches!(scheme, "javascript" | "data" | "vbscript" | "file" | "blob");
    if !plain || !scheme_ok || runs || authority.contains(['{', '}', '@']) {
        return Err(wanted());
    }
    if scheme == "http" || scheme == "https" {
        let parsed: http::uri::Authority = authority.parse().map_err(|_| wanted())?;
        checked_authority(&parsed).map_err(|_| wanted())?;
        let host = parsed.host().trim_matches(['[', ']']);
        if scheme == "http" && !is_loopback_host(host) {
            return Err(format!("a secret travels in it: only https leads to another machine; {}", wanted()));
        }
    }
    Ok(text.to_owned())
}

/// A sender or recipient of mails: `Name <address>` or an address (RFC 5322).
pub fn mailbox(text: &str) -> Parsed<String> {
    let one_line = text.len() <= 320 && !text.chars().any(char::is_control);
    match text.parse::<lettre::message::Mailbox>() {
        Ok(mailbox) if one_line => Ok(mailbox.to_string()),
        _ => Err(format!("{text:.80?} is no sender: write \"app@example.com\" or \"App <app@example.com>\"")),
    }
}

/// A name for people: one line.
pub fn app_name(text: &str) -> Parsed<String> {
    match text.trim() {
        "" => Err("a name is not empty".into()),
        name if name.chars().count() > 100 || name.chars().any(char::is_control) => {
            Err("a name is one line of at most 100 characters".into())
        }
        name => Ok(name.to_owned()),
    }
}

/// A language tag (BCP 47): `en`, `pt-BR`.
pub fn locale(text: &str) -> Parsed<String> {
    let subtag = |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    let language = text.split('-').next().unwrap_or_default();
    let language_ok = (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphabetic());
    match text.len() <= 35 && language_ok && text.split('-').all(subtag) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:.40?} is not a language tag: write one like \"en\" or \"pt-BR\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_carry_the_token_once_and_never_run_as_code() {
        for text in [
            "https://app.example.com/verify?token={token}",
            "https://app.example.com/#/verify/{token}",
            "http://localhost:3000/v/{token}",
            "http://[::1]:3000/{token}",
            "myapp://verify/{token}",
        ] {
            assert_eq!(link(text), Ok(text.to_owned()));
        }
        for text in [
            "",
            "https://app.example.com/verify",
            "https://app.example.com/{token}/{token}",
            "http://app.example.com/{token}",
            "https://{token}.example.com/",
            "https://u:p@app.example.com/{token}",
            "javascript://x/{token}",
            "/verify/{token}",
            "https://a b/{token}",
            "https://a.example/{token}\"",
        ] {
            assert!(link(text).is_err(), "{text}");
        }
    }

    #[test]
    fn senders_and_languages() {
        assert_eq!(mailbox("auth@example.com"), Ok("auth@example.com".into()));
        assert_eq!(mailbox("App <auth@example.com>"), Ok("App <auth@example.com>".into()));
        for text in ["", "auth", "a@b@c", "App <auth@example.com>\r\nBcc: x@example.com"] {
            assert!(mailbox(text).is_err(), "{text}");
        }
        assert_eq!((locale("en").as_deref(), locale("pt-BR").as_deref()), (Ok("en"), Ok("pt-BR")));
        for text in ["", "e", "english", "en_US", "../en", "en-"] {
            assert!(locale(text).is_err(), "{text}");
        }
        assert!(app_name("Ada's App").is_ok() && app_name("  ").is_err() && app_name("a\nb").is_err());
    }
}
