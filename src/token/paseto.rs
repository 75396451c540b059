//! PASETO v4.public, without an implicit assertion: the token's form, not its claims.
//!
//! Our own, because the general crate signs at a sixth of the speed; it is the oracle of the tests.

use base64::Engine;

use super::BASE64URL;

/// What every token begins with, and the first piece of what is signed.
pub(super) const PREFIX: &str = "v4.public.";

/// A token taken apart. The footer stays encoded, as it is compared with the known ones.
pub(super) struct Parts<'a> {
    pub(super) message: Vec<u8>,
    pub(super) signature: [u8; 64],
    pub(super) footer: &'a str,
}

/// The encoded footer that names a key.
pub(super) fn footer(key_id: &str) -> String {
    BASE64URL.encode(format!(r#"{{"kid":"{key_id}"}}"#))
}

/// The token of a message, its signature and an encoded footer.
pub(super) fn join(mut message: Vec<u8>, signature: &[u8; 64], footer: &str) -> String {
    message.extend_from_slice(signature);
    let mut token = String::with_capacity(PREFIX.len() + message.len() * 4 / 3 + 3 + footer.len());
    token.push_str(PREFIX);
    BASE64URL.encode_string(message, &mut token);
    token.push('.');
    token.push_str(footer);
    token
}

/// Takes apart a token with a footer; `None` when it has another form.
pub(super) fn split(token: &str) -> Option<Parts<'_>> {
    let (body, footer) = token.strip_prefix(PREFIX)?.split_once('.')?;
    let mut message = BASE64URL.decode(body).ok()?;
    let at = message.len().checked_sub(64)?;
    let signature = message[at..].try_into().ok()?;
    message.truncate(at);
    Some(Parts { message, signature, footer })
}

/// What is signed: PAE of the header, the message, the decoded footer and an empty implicit assertion (PASETO
/// version 4, section Sign). `None` when the footer does not decode; ours always do.
pub(super) fn signed(message: &[u8], footer: &str) -> Option<Vec<u8>> {
    Some(pae(&[PREFIX.as_bytes(), message, &BASE64URL.decode(footer).ok()?, b""]))
}

/// Pre-authentication encoding: the count and each length as 64-bit little-endian, so that no two lists are alike.
fn pae(pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + pieces.iter().map(|piece| 8 + piece.len()).sum::<usize>());
    out.extend_from_slice(&(pieces.len() as u64).to_le_bytes());
    for piece in pieces {
        out.extend_from_slice(&(piece.len() as u64).to_le_bytes());
        out.extend_from_slice(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::Ed25519KeyPair;

    use super::*;

    #[test]
    fn pae_of_the_specification() {
        assert_eq!(pae(&[]), b"\0\0\0\0\0\0\0\0");
        assert_eq!(pae(&[b""]), b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(pae(&[b"test"]), b"\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0test");
    }

    #[test]
    fn official_vector_4_s_2() {
        let seed: Vec<u8> = (0..32)
            .map(|at| {
                let hex = "b4cbfb43df4ce210727d953e4a713307fa19bb7d9f85041438d9e11b942a3774";
                u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()
            })
            .collect();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let message = br#"{"data":"this is a signed message","exp":"2022-01-01T00:00:00+00:00"}"#;
        let footer = BASE64URL.encode(r#"{"kid":"zVhMiPBP9fRf2snEcT7gFTioeA9COcNy9DfgL1W60haN"}"#);
        let signature = pair.sign(&signed(message, &footer).unwrap()).as_ref().try_into().unwrap();
        let expected = "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDow\
                        MCswMDowMCJ9v3Jt8mx_TdM2ceTGoqwrh4yDFn0XsHvvV_D0DtwQxVrJEBMl0F2caAdgnpKlt4p7xBnx1HcO-SPo8FPp\
                        214HDw.eyJraWQiOiJ6VmhNaVBCUDlmUmYyc25FY1Q3Z0ZUaW9lQTlDT2NOeTlEZmdMMVc2MGhhTiJ9";
        assert_eq!(join(message.to_vec(), &signature, &footer), expected);
        let parts = split(expected).unwrap();
        assert_eq!((parts.message.as_slice(), parts.signature, parts.footer), (&message[..], signature, &footer[..]));
    }
}
