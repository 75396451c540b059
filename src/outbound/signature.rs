//! Signatures by which a receiver knows a call for ours (Standard Webhooks 1.0.0, symmetric).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::crypto::Secret;
use crate::env::Timestamp;

/// How a key begins.
const PREFIX: &str = "whsec_";

/// A key shared with the receiver.
#[derive(Clone)]
pub struct SigningKey(Secret<Vec<u8>>);

impl SigningKey {
    /// Reads `whsec_` and 24 to 64 bytes as Base64.
    ///
    /// # Errors
    /// What is wrong with it, without quoting it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = || {
            "write \"whsec_\" and 24 to 64 bytes as Base64, like the output of `echo whsec_$(head -c32 /dev/urandom | \
             base64)`"
                .to_owned()
        };
        let key = text.strip_prefix(PREFIX).and_then(|key| STANDARD.decode(key).ok()).ok_or_else(wanted)?;
        if (24..=64).contains(&key.len()) { Ok(Self(Secret::new(key))) } else { Err(wanted()) }
    }

    /// A key that is written in no form: its bytes as they are.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Secret::new(bytes.to_vec()))
    }

    /// The headers of a call with this body. `id` is the same at every attempt.
    pub fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> Vec<(&'static str, String)> {
        let at = now.secs().to_string();
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut signed = hmac::Context::with_key(&key);
        for piece in [id.as_bytes(), b".", at.as_bytes(), b".", body] {
            signed.update(piece);
        }
        let signature = format!("v1,{}", STANDARD.encode(signed.sign()));
        vec![("webhook-id", id.to_owned()), ("webhook-timestamp", at), ("webhook-signature", signature)]
    }
}

impl PartialEq for SigningKey {
    /// Whether a setting changed; nobody outside chooses either side.
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Eq for SigningKey {}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the libraries of Standard Webhooks share.
    #[test]
    fn as_the_libraries_sign() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let headers =
            key.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", Timestamp::from_secs(1_614_265_330), b"{\"test\": 2432232314}");
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_key() {
        for text in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", "whsec_AAAA"]
        {
            let reason = SigningKey::parse(text).unwrap_err();
            assert!(reason.contains("whsec_") && !reason.contains("MfKQ"), "{reason}");
        }
    }
}
