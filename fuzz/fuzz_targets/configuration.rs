//! Configuration: TOML, the settings kept with a project, `--set`, and every form of a value.
#![no_main]

use keystead::config::{forms, parse_toml, stored_from, validate_stored};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = parse_toml(text);
    let _ = validate_stored("fuzz", text);
    if let Some((key, value)) = text.split_once('=') {
        if let Ok(stored) = stored_from("fuzz", &[(key.to_owned(), value.to_owned())]) {
            assert!(validate_stored("fuzz", &stored).is_ok(), "what may be kept can be read again");
        }
    }
    if let Ok(span) = forms::duration(text) {
        assert_eq!(forms::duration(&forms::spell_duration(span)), Ok(span));
    }
    stable(text, forms::host);
    stable(text, forms::certificate_name);
    stable(text, forms::public_url);
    stable(text, forms::origin);
    stable(text, forms::mount);
    stable(text, forms::slug);
    let _ = (forms::listener(text), forms::network(text), forms::path(text));
});

/// The checked form of a value is a value of the same form.
fn stable(text: &str, form: fn(&str) -> Result<String, String>) {
    if let Ok(checked) = form(text) {
        assert_eq!(form(&checked), Ok(checked));
    }
}
