//! Percent-encoding (RFC 3986, section 2.1): of values in a link, and of a URL that is to stand in a header.

/// A text as one value of a query: all but letters, digits and `-._~` encoded.
pub fn percent_encoded(text: &str) -> String {
    encoded(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// A URL as one word of visible ASCII, which is the same URL: what else is in it is encoded, and nothing twice.
pub(super) fn url_in_header(url: &str) -> String {
    encoded(url, |byte| byte.is_ascii_graphic())
}

fn encoded(text: &str, stays: impl Fn(u8) -> bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    // As long as it can get: a text that grew would leave pieces of a secret behind.
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if stays(byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from(DIGITS[usize::from(half & 15)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_query_is_nothing_but_a_value() {
        let given = "https://app.example.com/a b?x=1&y=%2F+#ä~-._";
        let said = "https%3A%2F%2Fapp.example.com%2Fa%20b%3Fx%3D1%26y%3D%252F%2B%23%C3%A4~-._";
        assert_eq!(percent_encoded(given), said);
        assert_eq!(percent_encoded(""), "");
    }

    #[test]
    fn a_url_in_a_header_is_one_word_and_the_same_url() {
        let plain = "https://app.example.com/cb?next=%2Fhome&x=%C3%A4#top";
        assert_eq!(url_in_header(plain), plain);
        assert_eq!(url_in_header("myapp://ä b\r\nBcc: x\u{7f}\0"), "myapp://%C3%A4%20b%0D%0ABcc:%20x%7F%00");
    }
}
