//! How a JWT is signed.

use super::KeyKind;

/// How a JWT is signed (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// ECDSA over P-256 with SHA-256.
    #[default]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl JwtAlgorithm {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Es256, Self::Rs256, Self::Rs384, Self::Rs512, Self::Hs256, Self::Hs384, Self::Hs512];

    /// Its name in `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The keys a project makes for it; `None` where it needs one that is given.
    pub const fn own_keys(self) -> Option<KeyKind> {
        match self {
            Self::Es256 => Some(KeyKind::Es256),
            Self::Rs256 => Some(KeyKind::Rs256),
            _ => None,
        }
    }

    /// How many bytes its secret has at least (RFC 7518, section 3.2): where who checks a token has the secret that signs
    /// it. `None` where it has key pairs.
    pub const fn shortest_secret(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            _ => None,
        }
    }
}
