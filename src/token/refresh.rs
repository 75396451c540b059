//! Refresh tokens: opaque to clients, told from forgeries without the store, and with a successor that is a function
//! of the token.

use aws_lc_rs::hmac;
use base64::Engine;
use uuid::Uuid;
use zeroize::Zeroize;

use super::{BASE64URL, derived};
use crate::crypto::{Digest, Secret};
use crate::env::Env;

/// Makes and recognises the refresh tokens of one project.
///
/// A token is base64url of `session 16 | generation 4 | secret 32 | tag 16`: 91 characters. The tag is an HMAC under a
/// key of the project, so that only tokens this project issued ever reach the store. The successor's secret is an HMAC
/// of its predecessor's, so that a token presented again within the grace (a lost reply, two tabs) yields the same
/// successor without that being stored in clear.
pub struct RefreshKey {
    project: Uuid,
    tag: hmac::Key,
    next: hmac::Key,
}

/// A refresh token of this project: freshly made, or recognised.
#[derive(Clone)]
pub struct RefreshToken {
    session: Uuid,
    generation: u32,
    secret: Secret<[u8; 32]>,
    tag: [u8; TAG],
}

const TAG: usize = 16;
const BODY: usize = 16 + 4 + 32;
const TEXT: usize = ((BODY + TAG) * 4).div_ceil(3);
const PURPOSE: &str = "keystead/refresh-token";

impl RefreshKey {
    /// From the project's 32 secret bytes, which the store keeps sealed.
    pub fn new(secret: &Secret<[u8; 32]>, project: Uuid) -> Self {
        let derive = |name| hmac::Key::new(hmac::HMAC_SHA256, derived(secret, name, project).as_ref());
        Self { project, tag: derive("keystead/refresh-tag/1"), next: derive("keystead/refresh-next/1") }
    }

    /// The first token of a new session, generation 0.
    pub fn first(&self, env: &Env, session: Uuid) -> RefreshToken {
        self.token(session, 0, Secret::new(env.random()))
    }

    /// The token that replaces `current`: always the same one.
    pub fn successor(&self, current: &RefreshToken) -> RefreshToken {
        let generation = current.generation.saturating_add(1);
        let mut context = hmac::Context::with_key(&self.next);
        context.update(current.session.as_bytes());
        context.update(&generation.to_be_bytes());
        context.update(current.secret.expose());
        let secret = context.sign().as_ref().try_into().expect("HMAC-SHA256 yields 32 bytes");
        self.token(current.session, generation, Secret::new(secret))
    }

    /// Recognises a token of this project; `None` for any other text. The tag is compared in constant time.
    pub fn parse(&self, text: &str) -> Option<RefreshToken> {
        if text.len() != TEXT {
            return None;
        }
        let bytes = Secret::new(BASE64URL.decode(text).ok()?);
        let (session, rest) = bytes.expose().split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (secret, tag) = rest.split_first_chunk()?;
        let token = self.token(Uuid::from_bytes(*session), u32::from_be_bytes(*generation), Secret::new(*secret));
        aws_lc_rs::constant_time::verify_slices_are_equal(&token.tag, tag).ok()?;
        Some(token)
    }

    fn token(&self, session: Uuid, generation: u32, secret: Secret<[u8; 32]>) -> RefreshToken {
        let mut context = hmac::Context::with_key(&self.tag);
        context.update(PURPOSE.as_bytes());
        context.update(&[0]);
        context.update(self.project.as_bytes());
        context.update(session.as_bytes());
        context.update(&generation.to_be_bytes());
        context.update(secret.expose());
        let tag = context.sign().as_ref().first_chunk().copied().expect("HMAC-SHA256 yields 32 bytes");
        RefreshToken { session, generation, secret, tag }
    }
}

impl RefreshToken {
    /// The session it belongs to.
    pub fn session(&self) -> Uuid {
        self.session
    }

    /// How many tokens of the session came before it.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the client is given: 91 characters of base64url.
    pub fn text(&self) -> String {
        let mut bytes = self.bytes();
        let text = BASE64URL.encode(bytes);
        bytes.zeroize();
        text
    }

    /// What the store keeps.
    pub fn digest(&self) -> Digest {
        let mut bytes = self.bytes();
        let digest = Digest::of(PURPOSE, &bytes);
        bytes.zeroize();
        digest
    }

    fn bytes(&self) -> [u8; BODY + TAG] {
        let mut bytes = [0; BODY + TAG];
        bytes[..16].copy_from_slice(self.session.as_bytes());
        bytes[16..20].copy_from_slice(&self.generation.to_be_bytes());
        bytes[20..BODY].copy_from_slice(self.secret.expose());
        bytes[BODY..].copy_from_slice(&self.tag);
        bytes
    }
}

impl std::fmt::Debug for RefreshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[refresh key]")
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[refresh token {} of session {}]", self.generation, self.session)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SESSION: Uuid = Uuid::from_u128(7);

    fn key(secret: u8, project: u128) -> RefreshKey {
        RefreshKey::new(&Secret::new([secret; 32]), Uuid::from_u128(project))
    }

    #[test]
    fn a_token_is_recognised_by_its_project_only() {
        let token = key(1, 1).first(&Env::system(), SESSION);
        let text = token.text();
        assert_eq!(text.len(), 91);
        let parsed = key(1, 1).parse(&text).unwrap();
        assert_eq!((parsed.session(), parsed.generation(), parsed.text()), (SESSION, 0, text.clone()));
        assert_eq!(parsed.digest(), token.digest());
        assert!(key(1, 2).parse(&text).is_none(), "another project, same secret");
        assert!(key(2, 1).parse(&text).is_none(), "another secret");
        assert!(!format!("{token:?} {:?}", key(1, 1)).contains(&text[30..60]));
    }

    #[test]
    fn the_successor_is_one_and_another_at_every_step() {
        let key = key(1, 1);
        let first = key.first(&Env::system(), SESSION);
        let second = key.successor(&first);
        assert_eq!(key.successor(&key.parse(&first.text()).unwrap()).text(), second.text());
        assert_eq!((second.session(), second.generation()), (SESSION, 1));
        let third = key.successor(&second);
        assert_ne!(first.digest(), second.digest());
        assert_ne!(second.digest(), third.digest());
        assert!(key.parse(&third.text()).is_some());
        assert_ne!(self::key(2, 1).successor(&first).text(), second.text(), "it takes the project's key");
        let other = key.first(&Env::system(), SESSION);
        assert_ne!(other.digest(), first.digest());
    }

    #[test]
    fn no_changed_bit_passes() {
        let key = key(1, 1);
        let bytes = key.first(&Env::system(), SESSION).bytes();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.parse(&BASE64URL.encode(changed)).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn only_the_canonical_text_passes() {
        let key = key(1, 1);
        let text = key.first(&Env::system(), SESSION).text();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let passing = alphabet.chars().filter(|last| key.parse(&format!("{}{last}", &text[..90])).is_some()).count();
        assert_eq!(passing, 1, "the stray bits of the last character count");
        for other in
            [format!("{text}="), format!(" {text}"), format!("{text}\n"), text[..90].to_owned(), text.repeat(2)]
        {
            assert!(key.parse(&other).is_none());
        }
    }

    proptest! {
        #[test]
        fn no_text_passes_or_panics(text in "\\PC{0,100}|[A-Za-z0-9_-]{91}") {
            prop_assert!(key(1, 1).parse(&text).is_none());
        }
    }
}
