//! An environment file of Nhost Auth: what can be read becomes a configuration that our own reader takes.
#![no_main]

use keystead::config::{from_nhost, parse_env_file};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let lines = parse_env_file(text);
    if let Ok(variables) = &lines {
        assert!(variables.iter().all(|one| one.line >= 1 && !one.name.is_empty()));
    }
    // It fails on lines alone.
    assert_eq!(from_nhost(text, "fuzz").is_ok(), lines.is_ok());
});
