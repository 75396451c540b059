//! JSON bodies: what is taken is an object that is written as one and read again.
#![no_main]

use keystead::http::body::parse_object;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = parse_object(bytes) {
        let text = serde_json::to_vec(&object).expect("a JSON value is written");
        // Keys only: a decimal fraction may come back as its nearest neighbour.
        let again = parse_object(&text).expect("an object");
        assert!(again.keys().eq(object.keys()));
    }
});
