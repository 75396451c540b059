//! JWT in JWS compact form (RFC 7515, RFC 7519, RFC 8037): the token's form, not its claims.

use base64::Engine;

use super::BASE64URL;

/// A token taken apart. The header stays encoded, as it is compared with the known ones.
pub(super) struct Parts<'a> {
    pub(super) header: &'a str,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// Header and payload as they stand in the token.
    pub(super) signed: &'a str,
}

/// The encoded header of an algorithm and, where its key has a name, of that.
pub(super) fn header(algorithm: &str, key_id: Option<&str>) -> String {
    let kid = key_id.map_or_else(String::new, |id| format!(",\"kid\":{}", serde_json::Value::from(id)));
    BASE64URL.encode(format!(r#"{{"alg":"{algorithm}","typ":"JWT"{kid}}}"#))
}

/// What is signed of an encoded header and a payload.
pub(super) fn signed(header: &str, payload: &[u8]) -> String {
    // With room for most signatures: 344 characters are RSA of 2048 bits.
    let mut text = String::with_capacity(header.len() + payload.len() * 4 / 3 + 3 + 344);
    text.push_str(header);
    text.push('.');
    BASE64URL.encode_string(payload, &mut text);
    text
}

/// The token of what was signed and its signature.
pub(super) fn join(mut signed: String, signature: &[u8]) -> String {
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
        signature: BASE64URL.decode(signature).ok()?,
        signed,
    })
}
