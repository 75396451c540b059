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

    proptest! {
        #[test]
        fn what_parses_is_canonical(text in "\\PC{0,50}|[A-Za-z0-9_-]{43}") {
            if let Some(secret) = OneTimeSecret::parse(&text) {
                prop_assert_eq!(secret.text(), text);
            }
        }
    }
}
