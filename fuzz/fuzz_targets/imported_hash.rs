//! Password hashes from imports: what is taken has a known form, and nothing of it is shown.
#![no_main]

use keystead::crypto::StoredHash;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(hash) = StoredHash::parse_import(text) {
        assert!(text.starts_with('$') && text.is_ascii());
        assert!(!format!("{hash:?}").contains(&text[4..]));
        assert_eq!(StoredHash::parse_import(text), Ok(hash));
    }
});
