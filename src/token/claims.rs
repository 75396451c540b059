//! What an access token says, and its two JSON spellings.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::env::Timestamp;

/// How a project spells its access tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenFormat {
    /// PASETO v4.public; times in RFC 3339.
    #[default]
    Paseto,
    /// JWT with `alg` EdDSA; times in seconds since the epoch (RFC 7519).
    Jwt,
}

/// What an access token says. It names a session; whether that still lives is for the store to say.
///
/// A token carries whole seconds: the parts of a second are cut when it is minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// `sub`.
    pub user: Uuid,
    /// `aud`: the only project that accepts it.
    pub project: Uuid,
    /// `sid`.
    pub session: Uuid,
    /// `jti`.
    pub token_id: Uuid,
    /// `iat` and `nbf`. Not checked against the clock: only this server mints, and its clock may step back.
    pub issued_at: Timestamp,
    /// `exp`: the first moment at which the token is refused.
    pub expires_at: Timestamp,
}

/// Why a token was refused. For the log; the client learns only that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// Not a token of ours by its form.
    #[error("not an access token")]
    Malformed,
    /// Signed by no key of this project, or by one that has retired.
    #[error("unknown or retired key")]
    UnknownKey,
    /// The signature does not fit.
    #[error("bad signature")]
    BadSignature,
    /// Ours, but minted for something else.
    #[error("not for this purpose")]
    WrongPurpose,
    /// Minted for another project.
    #[error("for another project")]
    WrongProject,
    /// Signed by our key in another's name.
    #[error("from another issuer")]
    WrongIssuer,
    /// Past its expiry.
    #[error("expired")]
    Expired,
}

impl AccessClaims {
    /// Whether the token is past its time.
    pub fn expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// The claim that makes a signed value good for one purpose only.
const PURPOSE: &str = "access";

/// The payload, with times as the format spells them.
#[derive(Serialize, Deserialize)]
struct Payload<S, T> {
    iss: S,
    sub: Uuid,
    aud: Uuid,
    sid: Uuid,
    jti: Uuid,
    iat: T,
    nbf: T,
    exp: T,
    #[serde(rename = "use")]
    purpose: S,
}

/// The payload of a token, as JSON.
pub(super) fn encode(format: TokenFormat, issuer: &str, claims: &AccessClaims) -> Vec<u8> {
    match format {
        TokenFormat::Paseto => {
            let (issued, expires) = (claims.issued_at.rfc3339(), claims.expires_at.rfc3339());
            to_json(&payload(issuer, claims, issued.as_str(), expires.as_str()))
        }
        TokenFormat::Jwt => to_json(&payload(issuer, claims, claims.issued_at.secs(), claims.expires_at.secs())),
    }
}

/// Reads a payload whose signature was found good.
pub(super) fn decode(format: TokenFormat, json: &[u8]) -> Result<AccessClaims, Rejected> {
    match format {
        TokenFormat::Paseto => from_json::<String>(json, |text| {
            let second = text.parse::<jiff::Timestamp>().ok()?.as_second();
            u64::try_from(second).ok().map(Timestamp::from_secs)
        }),
        TokenFormat::Jwt => from_json::<u64>(json, |second| Some(Timestamp::from_secs(second))),
    }
}

fn payload<'a, T: Copy>(issuer: &'a str, claims: &AccessClaims, issued: T, expires: T) -> Payload<&'a str, T> {
    Payload {
        iss: issuer,
        sub: claims.user,
        aud: claims.project,
        sid: claims.session,
        jti: claims.token_id,
        iat: issued,
        nbf: issued,
        exp: expires,
        purpose: PURPOSE,
    }
}

fn to_json<T: Serialize>(payload: &Payload<&str, T>) -> Vec<u8> {
    serde_json::to_vec(payload).expect("strings, ids and numbers are JSON")
}

fn from_json<T: for<'de> Deserialize<'de>>(
    json: &[u8],
    time: fn(T) -> Option<Timestamp>,
) -> Result<AccessClaims, Rejected> {
    /// Read first, so that a value minted for another purpose is told from a damaged one.
    #[derive(Deserialize)]
    struct Purpose {
        #[serde(rename = "use")]
        purpose: String,
    }
    let Purpose { purpose } = serde_json::from_slice(json).map_err(|_| Rejected::WrongPurpose)?;
    if purpose != PURPOSE {
        return Err(Rejected::WrongPurpose);
    }
    let payload: Payload<String, T> = serde_json::from_slice(json).map_err(|_| Rejected::Malformed)?;
    Ok(AccessClaims {
        user: payload.sub,
        project: payload.aud,
        session: payload.sid,
        token_id: payload.jti,
        issued_at: time(payload.iat).ok_or(Rejected::Malformed)?,
        expires_at: time(payload.exp).ok_or(Rejected::Malformed)?,
    })
}
