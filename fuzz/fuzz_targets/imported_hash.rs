//! Password hashes from imports.
#![no_main]

use keystead::crypto::StoredHash;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = StoredHash::parse_import(text) {
        assert!(text.len() < 8 || !error.to_string().contains(text), "an error repeats nothing");
    }
});
