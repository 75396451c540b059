//! Bits as white space after a JSON text.
//!
//! White space there means nothing to whoever reads the claims (RFC 8259, section 2), and is signed with them (RFC 7515
//! signs octets): each of its characters is one of four, two bits.

const WHITE: [u8; 4] = *b" \t\n\r";

/// `bits` as `places` characters, the lowest two bits first.
pub(super) fn write(bits: u128, places: usize) -> impl Iterator<Item = u8> {
    (0..places).map(move |place| WHITE[(bits >> (2 * place)) as usize & 3])
}

/// What [`write`] wrote, at most 64 characters; `None` when another character is among them.
pub(super) fn read(text: &[u8]) -> Option<u128> {
    text.iter().rev().try_fold(0, |bits, byte| {
        let two = WHITE.iter().position(|white| white == byte)?;
        Some((bits << 2) | two as u128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_survive_and_every_other_character_is_refused() {
        for bits in [0, 1, u128::MAX, 0x0193_a5e2_7c1e_7d3a_9b1f_3f6c_2a7d_9e10] {
            let text: Vec<u8> = write(bits, 64).collect();
            assert_eq!((text.len(), read(&text)), (64, Some(bits)));
        }
        for byte in (0..=u8::MAX).filter(|byte| !WHITE.contains(byte)) {
            let mut text: Vec<u8> = write(7, 64).collect();
            text[usize::from(byte) % 64] = byte;
            assert_eq!(read(&text), None, "{byte}");
        }
    }
}
