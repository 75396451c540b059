//! API keys of users: a public part to show in lists, and a secret.

use base64::Engine;

use super::BASE64URL;
use crate::crypto::{Digest, Secret};
use crate::env::Env;

/// `uak_` + 12 letters and digits + `_` + 43 characters of base64url: 60 characters, of which the last 43 are secret.
#[derive(Clone)]
pub struct ApiKey {
    public: [u8; PUBLIC],
    secret: Secret<[u8; 32]>,
}

const LEAD: &str = "uak_";
const PUBLIC: usize = 12;
const PREFIX: usize = LEAD.len() + PUBLIC;
const TEXT: usize = PREFIX + 1 + 43;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl ApiKey {
    /// A fresh one.
    pub fn generate(env: &Env) -> Self {
        let mut public = [0; PUBLIC];
        for place in &mut public {
            *place = letter(env);
        }
        Self { public, secret: Secret::new(env.random()) }
    }

    /// Reads what a client presents; `None` when it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT {
            return None;
        }
        let (public, secret) = text.as_bytes().strip_prefix(LEAD.as_bytes())?.split_first_chunk::<PUBLIC>()?;
        let secret = Secret::new(BASE64URL.decode(secret.strip_prefix(b"_")?).ok()?);
        let secret = Secret::new(secret.expose().as_slice().try_into().ok()?);
        public.iter().all(u8::is_ascii_alphanumeric).then_some(Self { public: *public, secret })
    }

    /// What lists show: `uak_` and the 12 public characters.
    pub fn prefix(&self) -> String {
        let mut text = String::with_capacity(TEXT);
        text.push_str(LEAD);
        text.extend(self.public.iter().map(|&byte| char::from(byte)));
        text
    }

    /// The whole key, shown once to its owner.
    pub fn text(&self) -> String {
        let mut text = self.prefix();
        text.push('_');
        BASE64URL.encode_string(self.secret.expose(), &mut text);
        text
    }

    /// What the store keeps, of public part and secret together.
    pub fn digest(&self) -> Digest {
        let mut bytes = Secret::new([0; PUBLIC + 32]);
        bytes.expose_mut()[..PUBLIC].copy_from_slice(&self.public);
        bytes.expose_mut()[PUBLIC..].copy_from_slice(self.secret.expose());
        Digest::of("keystead/api-key", bytes.expose())
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}]", self.prefix())
    }
}

/// One of 62, each as likely: the 8 bytes' remainder favours none by more than 2^-58.
fn letter(env: &Env) -> u8 {
    let drawn = u64::from_be_bytes(env.random()) % ALPHABET.len() as u64;
    ALPHABET[usize::try_from(drawn).expect("below 62")]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::token::{OneTimeSecret, RefreshKey};
    use uuid::Uuid;

    #[test]
    fn a_key_reads_back_and_shows_its_prefix_only() {
        let key = ApiKey::generate(&Env::system());
        let text = key.text();
        assert_eq!(text.len(), 60);
        assert_eq!(key.prefix(), text[..16]);
        assert!(text.starts_with("uak_") && text[4..16].bytes().all(|byte| ALPHABET.contains(&byte)));
        let parsed = ApiKey::parse(&text).unwrap();
        assert_eq!((parsed.text(), parsed.digest()), (text, key.digest()));
        assert_eq!(format!("{key:?}"), format!("[{}]", key.prefix()));
        assert_ne!(ApiKey::generate(&Env::system()).digest(), key.digest());
    }

    #[test]
    fn every_character_counts() {
        let text = ApiKey::generate(&Env::system()).text();
        let digest = ApiKey::parse(&text).unwrap().digest();
        for at in 0..text.len() {
            for other in [b'A', b'b', b'1', b'-', b'_', b'=', b' '] {
                let mut changed = text.clone().into_bytes();
                if std::mem::replace(&mut changed[at], other) == other {
                    continue;
                }
                let parsed = ApiKey::parse(std::str::from_utf8(&changed).unwrap());
                assert!(parsed.is_none_or(|key| key.digest() != digest), "character {at}");
            }
        }
    }

    #[test]
    fn no_opaque_value_passes_for_another() {
        let env = Env::system();
        let refresh = RefreshKey::new(&Secret::new(env.random()), Uuid::from_u128(1));
        let (api_key, once) = (ApiKey::generate(&env).text(), OneTimeSecret::generate(&env).text());
        let token = refresh.first(&env, Uuid::from_u128(2)).text();
        assert!(ApiKey::parse(&token).is_none() && ApiKey::parse(&once).is_none());
        assert!(refresh.parse(&api_key).is_none() && refresh.parse(&once).is_none());
        assert!(OneTimeSecret::parse(&api_key).is_none() && OneTimeSecret::parse(&token).is_none());
        // The secret part of a key, taken for a one-time secret, has another digest whatever the purpose.
        let part = OneTimeSecret::parse(&api_key[17..]).unwrap();
        assert_ne!(part.digest("keystead/api-key"), ApiKey::parse(&api_key).unwrap().digest());
    }

    proptest! {
        #[test]
        fn what_parses_is_canonical(text in "\\PC{0,70}|uak_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}|uak_\\PC{56}") {
            if let Some(key) = ApiKey::parse(&text) {
                prop_assert_eq!(key.text(), text);
            }
        }
    }
}
