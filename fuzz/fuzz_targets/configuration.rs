//! Configuration: TOML, the environment, the settings kept with a project, `--set`, and every form of a value. An
//! environment is lines of `NAME=VALUE`, the names without `KEYSTEAD_`.
#![no_main]

use std::collections::BTreeMap;

use keystead::config::{
    ClientUrl, Overrides, RedirectPattern, RedirectUrl, forms, load, parse_toml, stored_from, validate_stored,
};
use keystead::outbound::{SigningKey, Target};
use keystead::token::ClaimPath;

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
    if let Ok(limit) = forms::limit(text) {
        assert_eq!(forms::limit(&forms::spell_limit(limit)), Ok(limit));
    }
    stable(text, forms::host);
    stable(text, forms::certificate_name);
    stable(text, forms::public_url);
    stable(text, forms::origin);
    stable(text, forms::mount);
    stable(text, forms::slug);
    stable(text, forms::domain);
    stable(text, forms::contact);
    stable(text, forms::https_url);
    stable(text, forms::link);
    stable(text, forms::mailbox);
    stable(text, forms::app_name);
    stable(text, forms::locale);
    let _ = (forms::listener(text), forms::network(text), forms::path(text), forms::base64url(text));
    stable(text, |text| RedirectUrl::parse(text).map(|url| url.to_string()).map_err(|error| format!("{error:?}")));
    stable(text, |text| ClientUrl::parse(text).map(|url| url.to_string()));
    stable(text, |text| Target::parse(text).map(|url| url.as_str().to_owned()));
    let _ = (RedirectPattern::parse(text), ClaimPath::parse(text), SigningKey::parse(text).is_ok());
    // No file is read that the input names.
    let set = text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| !name.ends_with("FILE"));
    let environment: BTreeMap<_, _> = set
        .filter(|(name, _)| *name != "CONFIG")
        .map(|(name, value)| (format!("KEYSTEAD_{name}"), value.into()))
        .collect();
    if !environment.is_empty() {
        match load(&Overrides { ephemeral: true, ..Overrides::default() }, &environment) {
            Ok(settings) => drop(settings.project("fuzz", Some(text))),
            Err(problems) => assert!(!problems.to_string().is_empty()),
        }
    }
});

/// The checked form of a value is a value of the same form.
fn stable(text: &str, form: fn(&str) -> Result<String, String>) {
    if let Ok(checked) = form(text) {
        assert_eq!(form(&checked), Ok(checked));
    }
}
