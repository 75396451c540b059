//! Addresses: no text panics, and the key of an address is an address with the same key.
#![no_main]

use keystead::data::Email;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(email) = Email::parse(text) {
        assert!(email.typed().chars().count() <= Email::MAX_CHARS);
        let again = Email::parse(email.key()).expect("a key is an address");
        assert_eq!(again.key(), email.key());
    }
});
