//! Six digits that a mail brings and a person types.

use crate::crypto::Secret;
use crate::env::Env;

/// How many there are.
const CODES: u32 = 1_000_000;
/// The largest multiple of [`CODES`] that fits: above it, some codes would come more often than others.
const EVEN: u32 = u32::MAX - u32::MAX % CODES;

/// One of a million codes: too few to be kept as a digest, so the store keeps a password hash, and guesses are counted.
#[derive(Clone, Debug)]
pub struct SixDigits(Secret<String>);

impl SixDigits {
    /// A fresh one; each is as likely.
    pub fn generate(env: &Env) -> Self {
        loop {
            let drawn = u32::from_be_bytes(env.random());
            if drawn < EVEN {
                return Self::of(drawn % CODES);
            }
        }
    }

    fn of(number: u32) -> Self {
        Self(Secret::new(format!("{number:06}")))
    }

    /// Reads what a person typed: six digits, and nothing else but spaces around them.
    pub fn parse(text: &str) -> Option<Self> {
        let typed = text.trim();
        let fits = typed.len() == 6 && typed.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| Self(Secret::new(typed.to_owned())))
    }

    /// The digits, leading zeros among them.
    pub fn text(&self) -> &Secret<String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::env::Entropy;

    /// Says what it is told to, in turn.
    struct Told(&'static [u32], AtomicUsize);

    impl Entropy for Told {
        fn fill(&self, out: &mut [u8]) {
            let said = self.0[self.1.fetch_add(1, Ordering::Relaxed)];
            out.copy_from_slice(&said.to_be_bytes());
        }
    }

    fn drawn(told: &'static [u32]) -> String {
        let env = Env { entropy: Arc::new(Told(told, AtomicUsize::new(0))), ..Env::system() };
        SixDigits::generate(&env).text().expose().clone()
    }

    #[test]
    fn every_code_is_as_likely() {
        assert_eq!(EVEN, 4_294_000_000);
        assert_eq!(drawn(&[0]), "000000");
        assert_eq!(drawn(&[42]), "000042");
        assert_eq!(drawn(&[EVEN - 1]), "999999");
        assert_eq!(drawn(&[EVEN, u32::MAX, 7]), "000007", "what would favour small ones is drawn again");
        let mut first = [0_u32; 10];
        for _ in 0..10_000 {
            let text = SixDigits::generate(&Env::system()).text().expose().clone();
            first[usize::from(text.as_bytes()[0] - b'0')] += 1;
        }
        // 30 standard deviations wide.
        assert!(first.iter().all(|count| (100..=1900).contains(count)), "{first:?}");
    }

    #[test]
    fn what_is_no_code() {
        assert_eq!(SixDigits::parse(" 004711\n").unwrap().text().expose(), "004711");
        for text in ["", "12345", "1234567", "12345a", "+12345", "-12345", "123 456", "１２３４５６", "12345\u{0660}"]
        {
            assert!(SixDigits::parse(text).is_none(), "{text:?}");
        }
        assert_eq!(format!("{:?}", SixDigits::parse("004711").unwrap()), "SixDigits([secret])");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,12}|[0-9 ]{4,9}") {
            if let Some(code) = SixDigits::parse(&text) {
                prop_assert_eq!(code.text().expose().as_str(), text.trim());
            }
        }
    }
}
