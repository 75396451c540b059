//! Redirect targets: an allowed one leads to the place the list names, also once something was added to it. The first line
//! is an entry of a second list, the rest the target.
#![no_main]

use keystead::auth::redirect::{RedirectPattern, Targets};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (entry, target) = text.split_once('\n').unwrap_or(("", text));
    let fixed = [RedirectPattern::parse("https://acme.com/path").expect("an entry")];
    if let Ok(allowed) = (Targets { client: None, listed: &fixed, home: None }).admit(target) {
        for written in [allowed.url(), allowed.with_parameters([("refreshToken", "r"), (entry, target)])] {
            assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
            let url = url::Url::parse(&written).expect("a URL");
            assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("acme.com"), None));
            assert!(url.path() == "/path" || url.path().starts_with("/path/"), "{written}");
            assert!(url.username().is_empty() && url.password().is_none(), "{written}");
        }
    }
    if let Ok(entry) = RedirectPattern::parse(entry) {
        let listed = [entry];
        let _ = Targets { client: None, listed: &listed, home: None }.admit(target);
    }
    if let Ok(open) = (Targets { client: None, listed: &[], home: None }).admit(target) {
        let url = url::Url::parse(&open.with_error("invalid-ticket", "x")).expect("a URL");
        assert!(!matches!(url.scheme(), "javascript" | "data" | "file" | "blob" | "vbscript"), "{url}");
    }
});
