//! Proof key for code exchange (RFC 7636), method S256: a code is good only with the text whose hash it was bound to.

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Characters of a challenge: SHA-256 in base64url.
const CHALLENGE: usize = 43;
/// Characters of a verifier (RFC 7636, section 4.1).
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// What a code is bound to: `BASE64URL(SHA256(verifier))`. No secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// Reads 43 characters of base64url. One that no verifier answers, for stray bits after its last byte, is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digest = text.len() == CHALLENGE && URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
        is_digest.then(|| Self(text.to_owned()))
    }

    /// The 43 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` is the text it was made of. What cannot be a verifier is not.
    pub fn is_answered_by(&self, verifier: &str) -> bool {
        let is_verifier = VERIFIER.contains(&verifier.len())
            && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        let made = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let same = constant_time::verify_slices_are_equal(made.as_bytes(), self.0.as_bytes()).is_ok();
        is_verifier && same
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 7636, appendix B.
    const RFC: (&str, &str) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");

    #[test]
    fn the_example_of_the_specification() {
        let challenge = Challenge::parse(RFC.1).unwrap();
        assert_eq!(challenge.as_str(), RFC.1);
        assert!(challenge.is_answered_by(RFC.0));
        for other in [RFC.1, "", "x", &RFC.0.to_lowercase(), &format!("{}A", RFC.0), &RFC.0[..42]] {
            assert!(!challenge.is_answered_by(other), "{other:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_verifier_answers_nothing() {
        for text in ["a".repeat(42), "a".repeat(129), format!("{} ", "a".repeat(50)), "ä".repeat(40)] {
            let made = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
            assert!(!Challenge::parse(&made).unwrap().is_answered_by(&text), "{text:?}");
        }
        let longest = "~".repeat(128);
        let made = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, longest.as_bytes()));
        assert!(Challenge::parse(&made).unwrap().is_answered_by(&longest));
    }

    #[test]
    fn what_is_no_challenge() {
        for text in ["", "plain", &RFC.1[..42], &format!("{}=", RFC.1), &RFC.1.replace('-', "+"), &"_".repeat(43)] {
            assert!(Challenge::parse(text).is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,140}|[A-Za-z0-9._~-]{43,128}") {
            if let Some(challenge) = Challenge::parse(&text) {
                prop_assert_eq!(challenge.as_str(), &text);
            }
            prop_assert!(!Challenge::parse(RFC.1).unwrap().is_answered_by(&text) || text == RFC.0);
        }
    }
}
