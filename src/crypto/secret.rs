//! Values that must never be shown, and digests of values that must never be stored.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroize;

/// A value that no log, error or `Debug` shows and that is wiped when dropped.
///
/// Reading it is spelt [`Secret::expose`], so that every place that does can be found.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value into keeping.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be filled in place.
    pub const fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret<String> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

/// What the store keeps of a secret: SHA-256 of a purpose, a zero byte and the secret.
///
/// The purpose makes a value good for one use only: the digest of a reset token is not found among refresh tokens.
/// Only for secrets of full entropy; passwords go through [`super::HashPool`].
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// SHA-256(`purpose` || 0x00 || `data`). A purpose holds no zero byte, so the join is unambiguous.
    pub fn of(purpose: &'static str, data: &[u8]) -> Self {
        debug_assert!(!purpose.as_bytes().contains(&0), "a purpose holds no zero byte");
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(purpose.as_bytes());
        hash.update(&[0]);
        hash.update(data);
        Self(hash.finish().as_ref().try_into().expect("SHA-256 yields 32 bytes"))
    }

    /// A digest read back from an index key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes, for an index key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits, for digests that people compare.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// A digest written by [`Digest::hex`], in either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// Makes short digests of personal data: whoever lacks the key cannot try likely texts against them.
pub struct DigestKey(hmac::Key);

impl DigestKey {
    /// Derived from 32 secret bytes for one purpose and one place, such as a project's id.
    pub fn derive(secret: &Secret<[u8; 32]>, purpose: &'static str, place: &[u8]) -> Self {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(place);
        Self(hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref()))
    }

    /// The first half of HMAC-SHA256 of `data`.
    pub fn digest(&self, data: &[u8]) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&hmac::sign(&self.0, data).as_ref()[..16]);
        short
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}

impl PartialEq for Digest {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_secret_nor_digest_is_shown() {
        let secret: Secret<String> = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?} {:?}", Digest::of("test", b"x")), "[secret] [digest]");
    }

    #[test]
    fn a_digest_is_of_its_purpose_and_its_data() {
        assert_eq!(Digest::of("a", b"x"), Digest::of("a", b"x"));
        assert_ne!(Digest::of("a", b"x"), Digest::of("b", b"x"));
        assert_ne!(Digest::of("a", b"x"), Digest::of("a", b"y"));
        assert_ne!(Digest::of("a", b"bx"), Digest::of("ab", b"x"));
        let direct = digest::digest(&digest::SHA256, b"a\0x");
        assert_eq!(Digest::of("a", b"x").as_bytes(), direct.as_ref());
    }

    #[test]
    fn a_digest_survives_the_store_in_32_bytes() {
        let digest = Digest::of("a", b"x");
        let bytes = postcard::to_allocvec(&digest).unwrap();
        assert_eq!(bytes, digest.as_bytes());
        assert_eq!(postcard::from_bytes::<Digest>(&bytes).unwrap(), Digest::from_bytes(*digest.as_bytes()));
    }
}
