//! JWT in JWS compact form (RFC 7515, RFC 7519, RFC 8037): the token's form, not its claims.

use base64::Engine;

use super::BASE64URL;

/// A token taken apart. The header stays encoded, as it is compared with the known ones.
pub(super) struct Parts<'a> {
    pub(super) header: &'a str,
    pub(super) payload: Vec<u8>,
    pub(super) signature: [u8; 64],
    /// Header and payload as they stand in the token.
    pub(super) signed: &'a str,
}

/// The encoded header that names a key.
pub(super) fn header(key_id: &str) -> String {
    BASE64URL.encode(format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{key_id}"}}"#))
}

/// What is signed of an encoded header and a payload.
pub(super) fn signed(header: &str, payload: &[u8]) -> String {
    let mut text = String::with_capacity(header.len() + payload.len() * 4 / 3 + 3 + 88);
    text.push_str(header);
    text.push('.');
    BASE64URL.encode_string(payload, &mut text);
    text
}

/// The token of what was signed and its signature.
pub(super) fn join(mut signed: String, signature: &[u8; 64]) -> String {
    signed.push('.');
    BASE64URL.encode_string(signature, &mut signed);
    signed
}

/// Takes a token apart; `None` when it has another form.
pub(super) fn split(token: &str) -> Option<Parts<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    Some(Parts {
        header,
        payload: BASE64URL.decode(payload).ok()?,
        signature: BASE64URL.decode(signature).ok()?.try_into().ok()?,
        signed,
    })
}
