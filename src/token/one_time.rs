//! One-time secrets: verification and reset tokens, tickets, codes.

use base64::Engine;

use super::BASE64URL;
use crate::crypto::{Digest, Secret};
use crate::env::Env;

/// 256 random bits, given out as 43 characters of base64url. Its purpose is not in the text but in the digest the
/// store keeps: presented for anything else, it is not found.
#[derive(Clone, Debug)]
pub struct OneTimeSecret(Secret<[u8; 32]>);

const TEXT: usize = 43;

impl OneTimeSecret {
    /// A fresh one.
    pub fn generate(env: &Env) -> Self {
        Self(Secret::new(env.random()))
    }

    /// Reads what a client presents; `None` when it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT {
            return None;
        }
        let bytes = Secret::new(BASE64URL.decode(text).ok()?);
        Some(Self(Secret::new(bytes.expose().as_slice().try_into().ok()?)))
    }

    /// What the client is given: 43 characters.
    pub fn text(&self) -> String {
        BASE64URL.encode(self.0.expose())
    }

    /// What the store keeps, under its one purpose, such as `keystead/reset`.
    pub fn digest(&self, purpose: &'static str) -> Digest {
        Digest::of(purpose, self.0.expose())
    }
}

/// 60 random bits that a person can type: 12 characters of Crockford's base32, shown as `XXXX-XXXX-XXXX`.
///
/// Enough for what works once, for a day, and is guessed at under a limit; a guess hits one of a million living codes
/// with a chance of one in 10^12. Its purpose is in the digest, as with [`OneTimeSecret`].
#[derive(Clone, Debug)]
pub struct TypeableCode(Secret<[u8; CODE]>);

/// Characters of a code.
const CODE: usize = 12;
/// Crockford's base32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl TypeableCode {
    /// A fresh one.
    pub fn generate(env: &Env) -> Self {
        // Five bits of each byte: all 32 characters are equally likely.
        Self(Secret::new(env.random::<CODE>().map(|byte| ALPHABET[usize::from(byte & 31)])))
    }

    /// Reads what a person typed: any case, spaces and dashes anywhere, O for 0, I or L for 1; `None` when it cannot be
    /// a code.
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = [0; CODE];
        let mut length = 0;
        for typed in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}')) {
            let meant = match typed.to_ascii_uppercase() {
                'O' => b'0',
                'I' | 'L' => b'1',
                other => u8::try_from(other).ok().filter(|byte| ALPHABET.contains(byte))?,
            };
            *code.get_mut(length)? = meant;
            length += 1;
        }
        (length == CODE).then_some(Self(Secret::new(code)))
    }

    /// What a person is given: `XXXX-XXXX-XXXX`.
    pub fn text(&self) -> String {
        let groups: Vec<_> = self.0.expose().chunks(4).map(String::from_utf8_lossy).collect();
        groups.join("-")
    }

    /// What the store keeps, under its one purpose.
    pub fn digest(&self, purpose: &'static str) -> Digest {
        Digest::of(purpose, self.0.expose())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_is_good_for_one_purpose() {
        let secret = OneTimeSecret::generate(&Env::system());
        let text = secret.text();
        assert_eq!(text.len(), 43);
        let parsed = OneTimeSecret::parse(&text).unwrap();
        assert_eq!(parsed.digest("keystead/reset"), secret.digest("keystead/reset"));
        assert_ne!(parsed.digest("keystead/reset"), secret.digest("keystead/verify"));
        assert_ne!(OneTimeSecret::generate(&Env::system()).text(), text);
        assert!(!format!("{secret:?}").contains(&text));
        assert!(OneTimeSecret::parse(&format!("{text}=")).is_none());
    }

    #[test]
    fn a_code_forgives_how_it_is_typed() {
        let code = TypeableCode(Secret::new(*b"01AB9KQRSTVZ"));
        assert_eq!(code.text(), "01AB-9KQR-STVZ");
        let digest = code.digest("keystead/verify-code");
        for typed in ["01AB-9KQR-STVZ", "01ab9kqrstvz", " oLaB 9kqr\u{2013}STVZ\n", "OIAB-9KQR-STVZ", "0-1-A-B9KQRSTVZ"]
        {
            let parsed = TypeableCode::parse(typed).expect("a code");
            assert_eq!(parsed.digest("keystead/verify-code"), digest, "{typed:?}");
        }
        assert_ne!(code.digest("keystead/other-code"), digest);
        for typed in ["", "01AB-9KQR-STV", "01AB-9KQR-STVZ0", "01AB-9KQR-STVU", "01AB_9KQR_STVZ", "é1AB9KQRSTVZ"] {
            assert!(TypeableCode::parse(typed).is_none(), "{typed:?}");
        }
        assert!(!format!("{code:?}").contains("01AB"));
        let fresh = TypeableCode::generate(&Env::system());
        assert_ne!(fresh.text(), TypeableCode::generate(&Env::system()).text());
        assert_eq!(TypeableCode::parse(&fresh.text()).expect("a code").text(), fresh.text());
    }

    proptest! {
        #[test]
        fn no_text_panics_as_a_code(text in "\\PC{0,40}|[0-9A-Za-z -]{10,16}") {
            if let Some(code) = TypeableCode::parse(&text) {
                prop_assert_eq!(TypeableCode::parse(&code.text()).expect("a code").text(), code.text());
            }
        }

        #[test]
        fn what_parses_is_canonical(text in "\\PC{0,50}|[A-Za-z0-9_-]{43}") {
            if let Some(secret) = OneTimeSecret::parse(&text) {
                prop_assert_eq!(secret.text(), text);
            }
        }
    }
}
