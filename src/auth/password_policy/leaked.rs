//! Whether a password is known from a leak: asked of Have I Been Pwned, or of another service with the same range API
//! (<https://haveibeenpwned.com/API/v3#SearchingPwnedPasswordsByRange>).
//!
//! Only the first five hexadecimal digits of the password's SHA-1 are sent; the answer lists all that begin so, and is
//! padded so that its length does not tell which range it is. SHA-1 is what the service speaks; it protects nothing here.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::crypto::{Secret, hex};
use crate::outbound::{CallError, Outbound, Target};

/// How long the service may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of its answer: a range has about a thousand lines of 40 bytes.
const ANSWER_LIMIT: usize = 512 * 1024;
/// Digits that are sent.
const SENT: usize = 5;
/// Digits that stand in the answer.
const LISTED: usize = 40 - SENT;

/// Whether `service` lists the password.
///
/// # Errors
/// When it cannot be asked, or answers something else.
pub(super) async fn is_leaked(
    outbound: &Outbound,
    service: &Target,
    password: &Secret<String>,
) -> Result<bool, Unanswered> {
    let hash = Secret::new(hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.expose().as_bytes()).as_ref()));
    let (sent, kept) = hash.expose().split_at(SENT);
    let target = service.followed_by(&sent.to_ascii_uppercase()).map_err(|_| Unanswered::Url)?;
    let headers = vec![("add-padding", "true".to_owned())];
    let answer = outbound.get(&target, headers, TIME_LIMIT, ANSWER_LIMIT).await?;
    match answer.status {
        200 => lists(answer.whole()?, kept).ok_or(Unanswered::NotARange),
        status => Err(Unanswered::Status(status)),
    }
}

/// Why the service's word is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("password.leaked_url is too long")]
    Url,
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is no list of hashes")]
    NotARange,
}

/// Whether a range lists `kept`; `None` when it is none. A line is the other 35 digits, `:`, and how often that password
/// was seen: never, in a line that is padding. Every range there is has lines.
fn lists(range: &[u8], kept: &str) -> Option<bool> {
    let lines = std::str::from_utf8(range).ok()?.lines().filter(|line| !line.is_empty());
    let mut listed = None;
    for line in lines {
        let (digits, seen) = line.split_once(':')?;
        if digits.len() != LISTED || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let seen: u64 = seen.trim().parse().ok()?;
        *listed.get_or_insert(false) |= seen > 0 && digits.eq_ignore_ascii_case(kept);
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "1e4c9b93f3f0682250b6cf8331b7ee68fd8";
    const OTHER: &str = "0018A45C4D1DEF81644B54AB7F969B88D65";

    #[test]
    fn a_line_that_is_no_padding_lists() {
        let lists = |range: &str| lists(range.as_bytes(), KEPT);
        for (range, wanted) in [
            (format!("{KEPT}:1"), true),
            (format!("{OTHER}:3\r\n{}:52256179\r\n", KEPT.to_uppercase()), true),
            (format!("{KEPT}:12\n{OTHER}:0\n\n"), true),
            (format!("{KEPT}:0\r\n{OTHER}:2"), false),
            (format!("{OTHER}:2"), false),
        ] {
            assert_eq!(lists(&range), Some(wanted), "{range}");
        }
    }

    #[test]
    fn what_is_no_range_says_nothing() {
        let found = format!("{KEPT}:1\n");
        for range in [
            String::new(),
            "\r\n".into(),
            "<html>".into(),
            format!("{found}{OTHER}"),
            format!("{found}{OTHER}:"),
            format!("{found}{OTHER}:-1"),
            format!("{found}{OTHER}:many"),
            format!("{found}{}:1", &OTHER[1..]),
            format!("{found}x{}:1", &OTHER[1..]),
            format!("{found}é{}:1", &OTHER[2..]),
        ] {
            assert_eq!(lists(range.as_bytes(), KEPT), None, "{range}");
        }
        assert_eq!(lists(&[0xff; 40], KEPT), None);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(range in proptest::collection::vec(proptest::num::u8::ANY, 0..200), text in "[0-9a-f:\r\n]{0,200}") {
            lists(&range, KEPT);
            lists(text.as_bytes(), KEPT);
        }
    }
}
