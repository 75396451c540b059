//! Access tokens, their signing keys, and the opaque values: refresh tokens, one-time secrets, API keys.
//!
//! An access token is PASETO v4.public or a JWT (EdDSA), both over the same Ed25519 keys of one project, and carries
//! `"use":"access"`. The two never meet: PASETO signs its pre-authentication encoding, which begins with the byte 0x04,
//! a JWT its own text, which begins with `ey`. A session token is a JWT as well, signed with HMAC under a key of its own,
//! and the only credential of its session. Access tokens that other services check, too, are JWTs of other keys, P-256,
//! RSA or one that an operator gives; they name their session in 64 characters of white space, which nothing else has, so
//! that they are told from session tokens even where an operator gives both the same secret. The opaque values are told
//! apart by form, by the purpose in their digest and, for refresh tokens, by a tag under a key of their project.
//!
//! Everything that parses takes any text, does no work beyond a bounded length and never panics.

mod api_key;
mod cache;
mod claim_path;
mod claims;
mod digits;
mod hasura;
mod jwt;
mod jwt_algorithm;
mod jwt_key;
mod jwt_ring;
mod keys;
mod one_time;
mod paseto;
mod pkce;
mod record;
mod refresh;
mod refresh_uuid;
mod ring;
mod session_token;
mod ticket;
mod white_space;

use aws_lc_rs::hmac;
use base64::engine::general_purpose::{GeneralPurpose, URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::crypto::Secret;

pub use api_key::ApiKey;
pub use cache::VerifiedCache;
pub use claim_path::ClaimPath;
pub use claims::{AccessClaims, Rejected, TokenFormat};
pub use digits::SixDigits;
pub use hasura::{BadClaim, Claims, HasuraClaims, Holder};
pub use jwt_algorithm::JwtAlgorithm;
pub use jwt_key::BadJwtKey;
pub use jwt_ring::{JwtClaims, JwtProof, JwtRing, NotMinted};
pub use one_time::{OneTimeSecret, TypeableCode};
pub use pkce::Challenge;
pub use record::{KeyKind, KeyMaterial, KeyRecord, NotMade, UnsealError};
pub use refresh::{RefreshKey, RefreshToken};
pub use refresh_uuid::{RefreshUuid, RefreshUuidKey, refresh_uuid_digest};
pub use ring::{KeyRing, RingError};
pub use session_token::{Blank, SessionClaims, SessionKey, session_token_digest};
pub use ticket::{Ticket, TicketKind};

/// RFC 4648 section 5. It decodes canonical text only: no padding, no stray bits after the last byte.
const BASE64URL: GeneralPurpose = URL_SAFE_NO_PAD;

/// A key for one use in one project, out of the project's 32 secret bytes: HMAC-SHA256 of the use's name and the project.
fn derived(secret: &Secret<[u8; 32]>, name: &str, project: Uuid) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
    context.update(name.as_bytes());
    context.update(project.as_bytes());
    context.sign()
}
