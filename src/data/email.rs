//! E-mail addresses: one account and one failure counter whatever the case, Unicode form or spacing typed.

use std::fmt;

use aws_lc_rs::digest;
use unicode_normalization::UnicodeNormalization;

/// A syntactically valid address of at most 255 characters, as typed (trimmed), with the key that identifies it.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    typed: String,
    key: String,
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailError {
    /// More than 255 characters, as typed or normalised.
    TooLong,
    /// Not `local@domain`.
    Malformed,
}

impl Email {
    /// The most characters an address may have.
    pub const MAX_CHARS: usize = 255;

    /// Reads an address: trimmed; one `@`; no white space, control or invisible characters; labels of letters, digits
    /// and inner hyphens in the domain. Unicode is allowed on both sides (RFC 6531).
    ///
    /// # Errors
    /// [`EmailError`] says which rule failed; length is judged first.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let typed = text.trim();
        if typed.chars().count() > Self::MAX_CHARS {
            return Err(EmailError::TooLong);
        }
        // Compatibility forms are folded too (full-width letters), so that no look-alike of the same text is a second
        // account. Folding again after lower-casing makes the key stable.
        let key: String = typed.nfkc().collect::<String>().to_lowercase().nfkc().collect();
        // Folding may lengthen a text. What clients are shown is the key, so it must be one they can send back.
        if key.chars().count() > Self::MAX_CHARS {
            return Err(EmailError::TooLong);
        }
        if !is_address(typed) || !is_address(&key) {
            return Err(EmailError::Malformed);
        }
        Ok(Self { typed: typed.to_owned(), key })
    }

    /// The address as it was typed, trimmed.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// The text under which the account is found: normalised and lower-case.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The domain as the DNS compares it: in lower case, other than ASCII as `xn--` (RFC 5890, section 2.3.2.1); as the
    /// key has it where it cannot be written so.
    pub fn domain(&self) -> String {
        let domain = self.key.rsplit_once('@').map_or("", |(_, domain)| domain);
        idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned())
    }

    /// The key with its domain as the DNS compares it: one text for all spellings of an address that the DNS takes for
    /// the same.
    pub fn canonical(&self) -> String {
        let local = self.key.rsplit_once('@').map_or("", |(local, _)| local);
        format!("{local}@{}", self.domain())
    }

    /// A short digest of the key, for rows about addresses that may have no account.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"keystead/address\0");
        context.update(self.key.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&context.finish().as_ref()[..16]);
        short
    }
}

impl fmt::Debug for Email {
    /// Shows nothing of the address: it is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let local_ok = !local.is_empty()
        && local.chars().all(|c| !is_unprintable(c) && !"\"(),:;<>@[\\]".contains(c))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let domain_ok = domain.split('.').all(|label| {
        !label.is_empty()
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || is_mark(c))
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    local_ok && domain_ok
}

fn is_unprintable(c: char) -> bool {
    // Besides controls and spaces: the zero-width and bidirectional characters that make two addresses look alike.
    c.is_control()
        || c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Combining marks, which a decomposed domain label carries.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_for_all_spellings() {
        let plain = Email::parse("ada@example.com").expect("an address");
        for spelling in ["ADA@Example.COM", "  ada@example.com\t", "\u{ff41}da@example.com", "ada@example\u{ff0e}com"] {
            match Email::parse(spelling) {
                Ok(email) => assert_eq!(email.key(), plain.key(), "{spelling:?}"),
                Err(error) => assert_eq!(error, EmailError::Malformed, "{spelling:?}"),
            }
        }
        let composed = Email::parse("jos\u{e9}@example.com").expect("an address");
        let decomposed = Email::parse("jose\u{301}@example.com").expect("an address");
        assert_eq!(composed.key(), decomposed.key());
        assert_eq!(composed.digest(), decomposed.digest());
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "",
            "ada",
            "@",
            "ada@",
            "@example.com",
            "a b@example.com",
            "ada@exa mple.com",
            "ada@@example.com",
            "ada@example..com",
            "ada@-example.com",
            "ada@.com",
            "a\0da@example.com",
            "ada@example.com\u{200b}",
            "ada\u{200b}@example.com",
            ".ada@example.com",
            "ada@example.com,eve@example.com",
            "<ada@example.com>",
        ] {
            assert_eq!(Email::parse(text), Err(EmailError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_length_limit_counts_characters_at_its_edge() {
        let domain = "@example.com";
        for letter in ["a", "é", "😀"] {
            let longest = format!("{}{domain}", letter.repeat(Email::MAX_CHARS - domain.len()));
            assert!(Email::parse(&longest).is_ok(), "{letter}");
            assert_eq!(Email::parse(&format!("{letter}{longest}")), Err(EmailError::TooLong));
        }
    }

    #[test]
    fn an_address_that_folding_makes_too_long_is_refused_and_not_lost() {
        // U+3340 is one character typed and three in the key. A key must itself be an address: that is what is kept.
        let text = format!("{}@example.com", "\u{3340}".repeat(90));
        assert_eq!(Email::parse(&text), Err(EmailError::TooLong));
        let text = format!("{}@example.com", "\u{3340}".repeat(5));
        let key = Email::parse(&text).expect("an address").key().to_owned();
        assert_eq!(Email::parse(&key).expect("a key is an address").key(), key);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_a_key_is_its_own_key(text in "\\PC{0,80}(@\\PC{0,40})?") {
            if let Ok(email) = Email::parse(&text) {
                let again = Email::parse(email.key()).expect("a key is an address");
                proptest::prop_assert_eq!(again.key(), email.key());
            }
        }
    }
}
