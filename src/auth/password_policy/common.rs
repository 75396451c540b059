//! Whether a password is one of those that are tried first everywhere: a filter of the most common ones, compiled in.
//!
//! `common.bin` holds, sorted, the first 40 bits of SHA-256 of each entry of the list in `tests/common-passwords`, which
//! says where it comes from. So what is on the list is always found; of other passwords one in 20 million is taken for
//! common by chance (entries / 2^40, 5.1e-8). After a change of the list, `UPDATE_FILTER=1 cargo test --lib filter` makes
//! the filter anew.

use aws_lc_rs::digest::{SHA256, digest};

use crate::crypto::Secret;

const FILTER: &[u8] = include_bytes!("common.bin");

/// What the filter keeps of an entry. Smaller ones (a xor filter, a Golomb-coded set) would halve its 280 kB for more code.
type Mark = [u8; 5];

/// Whether the password is on the list, whatever its case and the spaces around it: whoever guesses tries those too.
pub(super) fn is_common(password: &Secret<String>) -> bool {
    let (marks, _) = FILTER.as_chunks();
    marks.binary_search(&mark(&folded(password.expose()))).is_ok()
}

fn mark(folded: &Secret<String>) -> Mark {
    let hash = digest(&SHA256, folded.expose().as_bytes());
    *hash.as_ref().first_chunk().expect("SHA-256 yields 32 bytes")
}

fn folded(password: &str) -> Secret<String> {
    // No lower-case form takes more room than twice its character's, so nothing moves and leaves a copy behind.
    let mut folded = Secret::new(String::with_capacity(2 * password.len()));
    folded.expose_mut().extend(password.trim().chars().flat_map(char::to_lowercase));
    folded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    const LIST: &str = include_str!("../../../tests/common-passwords/list.txt");

    fn common(password: &str) -> bool {
        is_common(&Secret::new(password.to_owned()))
    }

    #[test]
    fn the_filter_is_the_one_of_the_list() {
        let marks: BTreeSet<Mark> = LIST.lines().map(|entry| mark(&folded(entry))).collect();
        let made = Vec::from_iter(marks).concat();
        if std::env::var_os("UPDATE_FILTER").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth/password_policy/common.bin");
            std::fs::write(path, &made).unwrap();
        }
        assert!(made == FILTER, "UPDATE_FILTER=1 cargo test --lib filter");
    }

    #[test]
    fn every_entry_is_found_in_any_case_and_between_spaces() {
        for entry in LIST.lines() {
            let (first, rest) = entry.split_at(entry.chars().next().map_or(0, char::len_utf8));
            let capital = first.to_uppercase() + rest;
            for spelling in [entry, &entry.to_uppercase(), &capital, &format!("  {entry}\t")] {
                assert!(common(spelling), "{spelling:?}");
            }
        }
        for well_known in ["123456", "password", "Password1", "QWERTYUIOP", "1qaz2wsx3edc", "letmein", "iloveyou"] {
            assert!(common(well_known), "{well_known}");
        }
    }

    #[test]
    fn hardly_another_one_is_taken_for_common() {
        const TRIED: u32 = 2_000_000;
        // By construction: how many of all marks there are.
        let share = (FILTER.len() / size_of::<Mark>()) as f64 / (1_u64 << (8 * size_of::<Mark>())) as f64;
        assert!(share < 1e-7, "{share:e}");
        // By trial: at most one in 100,000, whatever the construction.
        let mistaken = (0..TRIED).filter(|number| common(&format!("nobody's {number}"))).count();
        assert!(mistaken <= TRIED as usize / 100_000, "{mistaken} of {TRIED}");
        for good in ["", " ", "correct horse", "battery staple", "pässword-ümläut", "passwordpasswordpasswordpassword!"]
        {
            assert!(!common(good), "{good}");
        }
    }

    #[test]
    fn the_list_is_in_its_form() {
        let entries: Vec<&str> = LIST.lines().collect();
        assert!(entries.len() > 50_000 && entries.is_sorted_by(|a, b| a < b), "sorted, and each once");
        for entry in entries {
            assert!(!entry.is_empty() && folded(entry).expose() == entry, "{entry:?}");
        }
    }

    #[test]
    fn folding_has_the_room_it_says() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let lower: usize = c.to_lowercase().map(char::len_utf8).sum();
            assert!(lower <= 2 * c.len_utf8(), "{c:?}");
        }
    }
}
