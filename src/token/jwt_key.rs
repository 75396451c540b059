//! One key for JWTs that other services check: of the project's own, or given by an operator.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair, RsaParameters,
};
use base64::Engine;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use thiserror::Error;

use super::{BASE64URL, JwtAlgorithm, KeyKind, KeyMaterial, KeyRecord, jwt};
use crate::crypto::Secret;
use crate::env::{Env, Timestamp};

/// A key ready for use, with everything that depends on it alone computed once.
pub(super) struct JwtKey {
    signer: Signer,
    /// The header of every JWT of this key, encoded.
    pub(super) header: String,
    /// Its name in the key set.
    pub(super) id: String,
    /// The public key (RFC 7517); `None` where there is none.
    jwk: Option<Value>,
    /// Of the project's own keys, the kind.
    pub(super) kind: Option<KeyKind>,
    pub(super) created_at: Timestamp,
    pub(super) retires_at: Option<Timestamp>,
}

enum Signer {
    Es256(Box<EcdsaKeyPair>, ParsedPublicKey),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding, ParsedPublicKey),
    Hmac(Box<hmac::Key>),
}

/// Why a key that was given cannot be used. Nothing of the key is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadJwtKey {
    /// A secret was expected.
    #[error("is a key in PEM: {} wants a secret", .0.name())]
    NoSecret(JwtAlgorithm),
    /// The secret could be guessed from a token.
    #[error("is too short: a secret for {} has at least {} bytes", .0.name(), .0.shortest_secret().unwrap_or_default())]
    ShortSecret(JwtAlgorithm),
    /// A private key in PEM was expected.
    #[error("holds no private key in PEM")]
    NoPem,
    /// It is a key for something else, or none.
    #[error("is no private key for {} ({})", .0.name(), if .0.own_keys() == Some(KeyKind::Es256) { "P-256" } else { "RSA, 2048 to 8192 bits" })]
    WrongKey(JwtAlgorithm),
}

/// What the library cannot do with a key.
#[derive(Debug)]
pub(super) struct Refused;

impl JwtKey {
    /// One of the project's own keys; `None` when it is of another kind, or the library refuses it.
    pub(super) fn own(record: &KeyRecord) -> Option<Self> {
        let (signer, algorithm) = match &record.material {
            KeyMaterial::Ed25519(_) => return None,
            KeyMaterial::Es256(scalar) => (Signer::p256(p256_of(scalar)?), JwtAlgorithm::Es256),
            KeyMaterial::Rs256(der) => {
                (Signer::rsa(RsaKeyPair::from_pkcs8(der.expose()).ok()?, JwtAlgorithm::Rs256), JwtAlgorithm::Rs256)
            }
        };
        let mut key = Self::new(signer.ok()?, algorithm, None);
        key.header = jwt::header(algorithm.name(), Some(&key.id));
        key.kind = Some(record.kind());
        key.created_at = record.created_at;
        key.retires_at = record.retires_at;
        Some(key)
    }

    /// A key that an operator gives: the bytes of a secret, or a private key in PEM (PKCS #8, PKCS #1 for RSA, SEC 1
    /// for P-256).
    pub(super) fn given(algorithm: JwtAlgorithm, text: &str, kid: Option<&str>) -> Result<Self, BadJwtKey> {
        if let Some(shortest) = algorithm.shortest_secret() {
            return match text {
                _ if text.contains("-----BEGIN ") => Err(BadJwtKey::NoSecret(algorithm)),
                _ if text.len() < shortest => Err(BadJwtKey::ShortSecret(algorithm)),
                _ => Ok(Self::new(Signer::hmac(algorithm, text.as_bytes()), algorithm, kid)),
            };
        }
        let pem = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| BadJwtKey::NoPem)?;
        let signer = match (algorithm, &pem) {
            (JwtAlgorithm::Es256, PrivateKeyDer::Pkcs8(_) | PrivateKeyDer::Sec1(_)) => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, pem.secret_der())
                    .map_err(|_| Refused)
                    .and_then(Signer::p256)
            }
            (JwtAlgorithm::Es256, _) => Err(Refused),
            (_, PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
                .map_err(|_| Refused)
                .and_then(|pair| Signer::rsa(pair, algorithm)),
            (_, PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .map_err(|_| Refused)
                .and_then(|pair| Signer::rsa(pair, algorithm)),
            _ => Err(Refused),
        };
        let signer = signer.map_err(|Refused| BadJwtKey::WrongKey(algorithm))?;
        Ok(Self::new(signer, algorithm, kid))
    }

    /// Without `kid` the header names no key, and the key set calls it by its thumbprint.
    fn new(signer: Signer, algorithm: JwtAlgorithm, kid: Option<&str>) -> Self {
        let public = signer.public();
        let id = match (kid, &public) {
            (Some(kid), _) => kid.to_owned(),
            (None, Some(public)) => thumbprint(public),
            (None, None) => String::new(),
        };
        let jwk = public.map(|mut jwk| {
            jwk["kid"] = id.as_str().into();
            jwk["use"] = "sig".into();
            jwk["alg"] = algorithm.name().into();
            jwk
        });
        Self {
            signer,
            header: jwt::header(algorithm.name(), kid),
            id,
            jwk,
            kind: None,
            created_at: Timestamp::default(),
            retires_at: None,
        }
    }

    pub(super) fn is_retired(&self, now: Timestamp) -> bool {
        self.retires_at.is_some_and(|moment| now >= moment)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        // The library takes its own randomness, whatever is passed.
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Es256(pair, _) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(|_| Refused)
            }
            Signer::Rsa(pair, padding, _) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &random, message, &mut signature).map_err(|_| Refused)?;
                Ok(signature)
            }
            Signer::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.signer {
            Signer::Es256(_, public) | Signer::Rsa(_, _, public) => public.verify_sig(message, signature).is_ok(),
            // In constant time.
            Signer::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }

    /// The public key, where it has one.
    pub(super) fn jwk(&self) -> Option<&Value> {
        self.jwk.as_ref()
    }
}

impl Signer {
    fn p256(pair: EcdsaKeyPair) -> Result<Self, Refused> {
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()).map_err(|_| Refused)?;
        Ok(Self::Es256(Box::new(pair), public))
    }

    fn rsa(pair: RsaKeyPair, algorithm: JwtAlgorithm) -> Result<Self, Refused> {
        let (padding, parameters): (&'static dyn RsaEncoding, &'static RsaParameters) = match algorithm {
            JwtAlgorithm::Rs256 => (&RSA_PKCS1_SHA256, &RSA_PKCS1_2048_8192_SHA256),
            JwtAlgorithm::Rs384 => (&RSA_PKCS1_SHA384, &RSA_PKCS1_2048_8192_SHA384),
            JwtAlgorithm::Rs512 => (&RSA_PKCS1_SHA512, &RSA_PKCS1_2048_8192_SHA512),
            _ => return Err(Refused),
        };
        let public = ParsedPublicKey::new(parameters, pair.public_key().as_ref()).map_err(|_| Refused)?;
        // What cannot be published is not used.
        rsa_numbers(pair.public_key().as_ref()).ok_or(Refused)?;
        Ok(Self::Rsa(pair, padding, public))
    }

    fn hmac(algorithm: JwtAlgorithm, secret: &[u8]) -> Self {
        let hash = match algorithm {
            JwtAlgorithm::Hs512 => hmac::HMAC_SHA512,
            JwtAlgorithm::Hs384 => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA256,
        };
        Self::Hmac(Box::new(hmac::Key::new(hash, secret)))
    }

    /// The members of a JWK that make the key (RFC 7518, section 6), in the order of RFC 7638.
    fn public(&self) -> Option<Value> {
        match self {
            Self::Es256(pair, _) => {
                // SEC 1, section 2.3.3: 0x04, then both coordinates.
                let point = pair.public_key().as_ref().get(1..65)?;
                let (x, y) = point.split_at(32);
                Some(json!({ "crv": "P-256", "kty": "EC", "x": BASE64URL.encode(x), "y": BASE64URL.encode(y) }))
            }
            Self::Rsa(pair, ..) => {
                let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref())?;
                Some(json!({ "e": BASE64URL.encode(exponent), "kty": "RSA", "n": BASE64URL.encode(modulus) }))
            }
            Self::Hmac(_) => None,
        }
    }
}

/// 32 bytes that are a private key of P-256: all but one in 2^32 of all there are.
pub(super) fn generate_p256(env: &Env) -> Secret<[u8; 32]> {
    loop {
        let scalar = Secret::new(env.random());
        if p256_of(&scalar).is_some() {
            return scalar;
        }
    }
}

/// A fresh RSA key of 2048 bits, PKCS #8.
pub(super) fn generate_rsa() -> Option<Secret<Vec<u8>>> {
    let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048).ok()?.as_der().ok()?;
    Some(Secret::new(der.as_ref().to_vec()))
}

fn p256_of(scalar: &Secret<[u8; 32]>) -> Option<EcdsaKeyPair> {
    // ECPrivateKey (RFC 5915) of version 1 without the public key, which follows from the private one.
    const BEFORE: [u8; 7] = *b"\x30\x31\x02\x01\x01\x04\x20";
    const AFTER: [u8; 12] = *b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    let mut der = Secret::new([0; BEFORE.len() + 32 + AFTER.len()]);
    der.expose_mut()[..7].copy_from_slice(&BEFORE);
    der.expose_mut()[7..39].copy_from_slice(scalar.expose());
    der.expose_mut()[39..].copy_from_slice(&AFTER);
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.expose()).ok()
}

/// RFC 7638: SHA-256 over the members that make the key, which stand in order and hold nothing that JSON escapes.
fn thumbprint(public: &Value) -> String {
    BASE64URL.encode(digest(&SHA256, public.to_string().as_bytes()))
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017, appendix A.1.1), big-endian without leading zeros.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (numbers, _) = element(der, 0x30)?;
    let (modulus, rest) = element(numbers, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent.strip_prefix(&[0]).unwrap_or(exponent)))
}

/// What is in a DER element (X.690, section 8.1), and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [found, ..] if *found != tag => return None,
        [_, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [_, 0x81, length, rest @ ..] => (usize::from(*length), rest),
        [_, length @ ..=0x7f, rest @ ..] => (usize::from(*length), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        BASE64URL.decode(text).unwrap()
    }

    /// RFC 7515, appendix A.1.
    #[test]
    fn official_hs256_vector() {
        let secret = decoded("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0d\
                      HA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let key = JwtKey::new(Signer::hmac(JwtAlgorithm::Hs256, &secret), JwtAlgorithm::Hs256, None);
        let signature = decoded("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(key.sign(signed.as_bytes()).unwrap(), signature);
        assert!(key.verifies(signed.as_bytes(), &signature) && !key.verifies(b"", &signature));
        assert!(key.jwk().is_none(), "a secret is published nowhere");
    }

    /// RFC 7515, appendix A.3.
    #[test]
    fn official_es256_vector() {
        let scalar = decoded("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI").try_into().unwrap();
        let record = KeyRecord {
            id: uuid::Uuid::nil(),
            material: KeyMaterial::Es256(Secret::new(scalar)),
            created_at: Timestamp::default(),
            retires_at: None,
        };
        let key = JwtKey::own(&record).unwrap();
        let jwk = key.jwk().unwrap();
        assert_eq!(jwk["x"], "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        assert_eq!(jwk["y"], "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let signed = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvb\
                      S9pc19yb290Ijp0cnVlfQ";
        let signature =
            decoded("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
        assert!(key.verifies(signed.as_bytes(), &signature));
        assert!(key.verifies(signed.as_bytes(), &key.sign(signed.as_bytes()).unwrap()));
        for length in [0, 1, 63, 65, 128] {
            assert!(!key.verifies(signed.as_bytes(), &vec![1; length]));
        }
        assert!(!key.verifies(signed.as_bytes(), &[0; 64]), "CVE-2022-21449");
    }

    /// RFC 7638, section 3.1.
    #[test]
    fn official_thumbprint_vector() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n\
                 3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zg\
                 dAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFC\
                 ur-kEgU8awapJzKnqDKgw";
        let key = json!({ "e": "AQAB", "kty": "RSA", "n": n });
        assert_eq!(thumbprint(&key), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn what_is_no_der_holds_no_numbers() {
        let whole = b"\x30\x08\x02\x02\x00\xff\x02\x02\x01\x02";
        assert_eq!(rsa_numbers(whole), Some((&b"\xff"[..], &b"\x01\x02"[..])));
        for length in 0..whole.len() {
            assert_eq!(rsa_numbers(&whole[..length]), None);
        }
        assert_eq!(element(b"\x02\x81\x01\x07\x08", 2), Some((&b"\x07"[..], &b"\x08"[..])));
        assert_eq!(element(b"\x02\x82\x00\x01\x07", 2), Some((&b"\x07"[..], &b""[..])));
        for bad in [&b""[..], b"\x02", b"\x02\x80", b"\x02\x83\x00\x00\x01\x07", b"\x02\x82\x01", b"\x03\x00"] {
            assert_eq!(element(bad, 2), None, "{bad:?}");
        }
    }
}
