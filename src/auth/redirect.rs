//! Where a browser is sent back to: whether it may be, and the URL with what is added to it.
//!
//! Source: Nhost contract 3.2 (which targets are allowed) and 1.6 (what is added). Targets are held against the list as
//! parsed URLs, and what is sent is the URL as it was parsed: no second parser gets to see the text that was given.

use url::form_urlencoded;

use super::ProjectSettings;
use crate::config::forms::is_on_this_machine;
pub use crate::config::{ClientUrl, NoRedirectUrl, RedirectPattern, RedirectUrl};

/// The targets a project allows: its client URL, what lies below, and what its list allows.
///
/// Where there is neither, the contract allows every target. But mails can be asked for in anybody's name, and who follows
/// the link in one brings a session to its target: so every target is allowed only where those links lead to this machine
/// itself, for trying things out, and else none but this server.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// Where people are sent who asked for nothing else.
    pub client: Option<&'a ClientUrl>,
    /// The list.
    pub listed: &'a [RedirectPattern],
    /// This server, where others reach it.
    pub home: Option<&'a str>,
}

/// Why nobody is sent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not a URL.
    Malformed,
    /// It is one, but not one of the project's, or none that anybody may be sent to.
    NotAllowed,
}

/// A target that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect(RedirectUrl);

impl<'a> Targets<'a> {
    /// What these settings allow.
    pub fn of(settings: &'a ProjectSettings) -> Self {
        let nhost = &settings.nhost;
        let home = settings.public_url.as_deref().filter(|url| !is_on_this_machine(url));
        Self { client: nhost.client_url.as_ref(), listed: &nhost.redirect_urls, home }
    }

    /// The target that was asked for, or the client URL; `None` where nothing was asked for and there is no client URL.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn choose(&self, asked: Option<&str>) -> Result<Option<Redirect>, Refused> {
        match asked {
            Some(text) => self.admit(text).map(Some),
            None => Ok(self.fallback()),
        }
    }

    /// Where people are sent who asked for nothing, or for what is not allowed.
    pub fn fallback(&self) -> Option<Redirect> {
        self.client.map(|client| Redirect(client.url().clone()))
    }

    /// The target that was asked for.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn admit(&self, asked: &str) -> Result<Redirect, Refused> {
        let url = RedirectUrl::parse(asked).map_err(|reason| match reason {
            NoRedirectUrl::Malformed => Refused::Malformed,
            NoRedirectUrl::Unfit => Refused::NotAllowed,
        })?;
        let is_home = |home| ClientUrl::parse(home).is_ok_and(|home| home.allows(&url));
        let open = self.client.is_none() && self.listed.is_empty() && self.home.is_none_or(is_home);
        let listed = || self.listed.iter().any(|pattern| pattern.allows(&url));
        match open || self.client.is_some_and(|client| client.allows(&url)) || listed() {
            true => Ok(Redirect(url)),
            false => Err(Refused::NotAllowed),
        }
    }
}

impl Redirect {
    /// The URL without anything added.
    pub fn url(&self) -> String {
        self.0.to_string()
    }

    /// The URL with these parameters in its query: they take the place of those of the same name, the others stay, and
    /// all are sorted by name. The fragment stays. ASCII without spaces, so it may stand in a header.
    pub fn with_parameters<'a>(&self, added: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let added: Vec<_> = added.into_iter().collect();
        let is_added = |name: &str| added.iter().any(|(other, _)| *other == name);
        let mut pairs: Vec<(String, String)> =
            self.0.url.query_pairs().into_owned().filter(|(name, _)| !is_added(name)).collect();
        pairs.extend(added.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        // Stable: values of one name keep their order.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.0.with_query(Some(query.as_str()).filter(|query| !query.is_empty()))
    }

    /// The URL that tells what went wrong: `error` and `errorDescription` (contract 1.6).
    pub fn with_error(&self, code: &str, description: &str) -> String {
        self.with_parameters([("error", code), ("errorDescription", description)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<RedirectPattern> {
        entries.iter().map(|text| RedirectPattern::parse(text).unwrap_or_else(|why| panic!("{why}"))).collect()
    }

    #[track_caller]
    fn check(entries: &[&str], allowed: &[&str], refused: &[&str]) {
        let listed = list(entries);
        let targets = Targets { client: None, listed: &listed, home: None };
        for target in allowed {
            assert!(targets.admit(target).is_ok(), "{entries:?} allows {target:?}");
        }
        for target in refused {
            assert!(targets.admit(target).is_err(), "{entries:?} does not allow {target:?}");
        }
    }

    /// Contract 3.2, row by row.
    #[test]
    fn the_table_of_the_contract() {
        let plain = ["https://acme.com", "https://acme.com/", "https://acme.com/*", "https://acme.com/**"];
        for entry in plain {
            check(
                &[entry],
                &[
                    "https://acme.com",
                    "https://acme.com/",
                    "https://acme.com/x/y",
                    "https://acme.com:443/x",
                    "https://acme.com:443",
                    "https://acme.com?q=1#f",
                    "https://acme.com/x?q=1#f",
                ],
                &["http://acme.com", "https://acme.com:3000", "https://acme.com.evil.com", "https://www.acme.com"],
            );
        }
        for entry in
            ["https://acme.com/path", "https://acme.com/path/", "https://acme.com/path/*", "https://acme.com/path/**"]
        {
            check(
                &[entry],
                &[
                    "https://acme.com/path",
                    "https://acme.com/path/",
                    "https://acme.com/path/sub",
                    "https://acme.com/path/a/b?c#d",
                ],
                &[
                    "https://acme.com",
                    "https://acme.com/wrongpath",
                    "https://acme.com/pathology",
                    "https://acme.com/Path",
                ],
            );
        }
        check(
            &["https://*.acme.io"],
            &["https://sub.acme.io", "https://sub.acme.io/x"],
            &["https://a.b.acme.io", "https://acme.io", "https://evilacme.io", "https://sub.acme.io.evil.com"],
        );
        check(
            &["http://localhost:3000"],
            &["http://localhost:3000", "http://localhost:3000/a?b=1"],
            &["http://localhost:3001", "http://localhost", "https://localhost:3000"],
        );
        check(
            &["myapp://cb"],
            &["myapp://cb", "myapp://cb/", "myapp://cb/x", "MyApp://cb?code=1"],
            &["myapp://cbx", "myapp://other", "myapp:cb", "myapp:/cb", "otherapp://cb", "https://cb"],
        );
        check(&["http://acme.com"], &["http://acme.com:80/x"], &["http://acme.com:443", "https://acme.com:80"]);
        check(&["https://acme.com:443"], &["https://acme.com", "https://acme.com:443"], &["https://acme.com:8443"]);
    }

    #[test]
    fn wildcards_stay_in_their_part() {
        check(
            &["https://**.acme.io"],
            &["https://a.acme.io", "https://a.b.acme.io/x"],
            &[
                "https://acme.io",
                "https://evil.com/x.acme.io",
                "https://evil.com/.acme.io/",
                "https://evil.com?.acme.io",
            ],
        );
        check(
            &["https://my-*-team.acme.io"],
            &["https://my-feature-1-team.acme.io"],
            &["https://my-a.b-team.acme.io", "https://my-team.acme.io", "https://my-x-team.evil.io"],
        );
        check(
            &["https://acme.com/*/cb"],
            &["https://acme.com/en/cb", "https://acme.com/en/cb/x"],
            &["https://acme.com/cb", "https://acme.com/a/b/cb", "https://acme.com/en/../cb", "https://acme.com/en/cbx"],
        );
        check(
            &["https://acme.com/**/cb"],
            &["https://acme.com/a/b/cb", "https://acme.com/a/cb/c"],
            &["https://acme.com/a/b/c", "https://acme.com/a/b/cbs"],
        );
        check(
            &["myapp://"],
            &["myapp://cb", "myapp://other/x", "myapp:/cb"],
            &["myapp:cb", "yourapp://cb", "myapp2://cb"],
        );
        check(&["exp://192.168.1.2:19000/--/"], &["exp://192.168.1.2:19000/--/x"], &["exp://192.168.1.2:19001/--/x"]);
        check(
            &["com.acme.app:/cb"],
            &["com.acme.app:/cb?code=1", "com.acme.app:/cb/x"],
            &["com.acme.app:/x", "com.acme.app://cb"],
        );
        check(&["https://acme.com", "myapp://cb"], &["https://acme.com/x", "myapp://cb"], &["https://other.com"]);
    }

    /// Targets that mean to be taken for another.
    #[test]
    fn no_spelling_passes_for_another() {
        check(
            &["https://acme.com/path", "https://*.acme.io", "myapp://cb", "http://[::1]:3000"],
            &[
                "HTTPS://ACME.COM/path",
                "https://acme.com/path/../path/x",
                "https://acme.com/path/%20",
                "https://acme\u{3002}com/path",
                "https://\u{ff41}cme.com/path",
                "https://acme%2Ecom/path",
                "http://[0:0:0:0:0:0:0:1]:3000/x",
            ],
            &[
                "",
                " ",
                "/path",
                "path",
                "//acme.com/path",
                "//evil.com",
                "\\\\evil.com",
                "https:\\\\acme.com\\path",
                "https://evil.com\\@acme.com/path",
                "https://evil.com\\.acme.io",
                "https://acme.com@evil.com/path",
                "https://acme.com:x@evil.com/path",
                "https://user@acme.com/path",
                "https://user:pass@acme.com/path",
                "https://:pass@acme.com/path",
                "https://evil.com#@acme.com/path",
                "https://evil.com?@acme.com/path",
                "https://evil.com/acme.com/path",
                "https://evil.com#.acme.io",
                "https://evil.com%23.acme.io",
                "https://evil.com%2f.acme.io",
                "https://evil.com\u{ff0f}.acme.io",
                "https://acme.com\t/path",
                "https://ac\nme.com/path",
                "https://acme.com/path\r\nSet-Cookie: a=b",
                "https://acme.com/path\0",
                "java\nscript:alert(1)",
                " https://acme.com/path",
                "https://acme.com/path ",
                "https://acme.com./path",
                "https://acme.com../path",
                "https://.acme.io",
                "https://a..acme.io",
                "https://acme.com/path/..",
                "https://acme.com/path/../x",
                "https://acme.com/path/%2e%2e/x",
                "https://acme.com/path/%2E./x",
                "https://acme.com/path/..%2fx",
                "https://acme.com/path%2f..%2fx",
                "https://acme.com/path/..%5Cx",
                "https://acme.com/path%2fsub",
                "https://acme.com//path",
                "https://acme.com:444/path",
                "https://acme.com:0/path",
                "https://acme.com:/evil",
                "https://acme.com:99999/path",
                "https://acme.c\u{43e}m/path",
                "https://acm\u{435}.com/path",
                "https://xn--acme.com/path",
                "https://acme.com%00.evil.com/path",
                "http://acme.com/path",
                "ftp://acme.com/path",
                "ws://acme.com/path",
                "blob:https://acme.com/path",
                "view-source:https://acme.com/path",
                "filesystem:https://acme.com/path",
                "http://[::1]:3001",
                "http://[::1",
                "http://[::ffff:127.0.0.1]:3000",
                "http://::1:3000",
                "myapp://cb@evil",
                "myapp://CB",
                "myapp://cb:80",
                "myapp://cb%2fx",
                "myapp://",
            ],
        );
    }

    #[test]
    fn without_a_list_every_place_is_allowed_and_nothing_else() {
        check(
            &[],
            &[
                "https://anywhere.example/x",
                "http://localhost:3000",
                "myapp://cb",
                "com.acme.app:/cb",
                "http://[::1]:3000",
            ],
            &[
                "",
                "/path",
                "//evil.com",
                "javascript:alert(1)",
                "JavaScript:alert(1)",
                "javascript://acme.com/%0aalert(1)",
                "java\tscript:alert(1)",
                " javascript:alert(1)",
                "data:text/html,<script>alert(1)</script>",
                "data://x/y",
                "vbscript:x",
                "file:///etc/passwd",
                "blob:https://acme.com/x",
                "about:blank",
                "mailto:a@b.example",
                "https://user:pass@acme.com",
                "https://",
                "https://a b/",
                "https://acme.com\\x",
            ],
        );
        let open = Targets { client: None, listed: &[], home: None };
        assert_eq!(open.choose(None), Ok(None));
        let long = |length: usize| format!("https://acme.com/{}", "a".repeat(length - 17));
        assert!(open.admit(&long(2048)).is_ok());
        assert_eq!(open.admit(&long(2049)), Err(Refused::NotAllowed));
        // The contract answers the two in different ways.
        assert_eq!(open.admit("https://a b/"), Err(Refused::Malformed));
        assert_eq!(open.admit("https://acme.com:99999"), Err(Refused::Malformed));
        assert_eq!(open.admit("/path"), Err(Refused::NotAllowed));
    }

    #[test]
    fn where_others_come_nobody_is_sent_anywhere_without_a_list() {
        for (url, open) in [
            (None, true),
            (Some("http://localhost:8080"), true),
            (Some("https://127.0.0.1"), true),
            (Some("https://[::1]:8443/base"), true),
            (Some("https://auth.example.com"), false),
            (Some("https://localhost.example.com"), false),
            (Some("https://192.0.2.1:8443"), false),
        ] {
            let settings = ProjectSettings { public_url: url.map(str::to_owned), ..ProjectSettings::named("default") };
            let targets = Targets::of(&settings);
            for target in ["https://evil.example", "https://auth.example.com.evil.example", "myapp://cb"] {
                assert_eq!(targets.admit(target).is_ok(), open, "{url:?} {target}");
            }
            assert!(url.is_none_or(|url| targets.admit(url).is_ok()), "{url:?}");
        }
    }

    #[test]
    fn the_client_url_is_where_people_go_and_allows_what_lies_below() {
        let client = ClientUrl::parse("https://app.acme.com/de?x=1").expect("a URL");
        let targets = Targets { client: Some(&client), listed: &[], home: None };
        let chosen = |asked| targets.choose(asked).map(|target| target.map(|target| target.url()));
        assert_eq!(chosen(None), Ok(Some("https://app.acme.com/de?x=1".into())));
        assert_eq!(chosen(Some("https://app.acme.com/de/a")), Ok(Some("https://app.acme.com/de/a".into())));
        assert_eq!(chosen(Some("https://app.acme.com/en")), Err(Refused::NotAllowed));
        assert_eq!(chosen(Some("")), Err(Refused::NotAllowed));
        let listed = list(&["myapp://cb"]);
        let both = Targets { client: Some(&client), listed: &listed, home: None };
        assert!(both.admit("myapp://cb").is_ok() && both.admit("https://app.acme.com/de").is_ok());
        assert!(both.admit("https://other.example").is_err());
    }

    #[test]
    fn what_is_added_joins_what_is_there() {
        let open = Targets { client: None, listed: &[], home: None };
        let target = |text: &str| open.admit(text).expect("an allowed target");
        for (text, written) in [
            ("https://acme.com", "https://acme.com?refreshToken=r&type=verifyEmail"),
            ("https://acme.com/", "https://acme.com/?refreshToken=r&type=verifyEmail"),
            ("https://acme.com/a?z=1&b=2#f", "https://acme.com/a?b=2&refreshToken=r&type=verifyEmail&z=1#f"),
            (
                "https://acme.com/?type=x&refreshToken=stolen&type=y&a=2&a=1",
                "https://acme.com/?a=2&a=1&refreshToken=r&type=verifyEmail",
            ),
            ("https://acme.com/?a", "https://acme.com/?a=&refreshToken=r&type=verifyEmail"),
            ("https://acme.com/?", "https://acme.com/?refreshToken=r&type=verifyEmail"),
            ("myapp://cb", "myapp://cb?refreshToken=r&type=verifyEmail"),
            ("com.acme.app:/cb#f", "com.acme.app:/cb?refreshToken=r&type=verifyEmail#f"),
            ("https://acme.com/?q=a%26b+c%C3%BC", "https://acme.com/?q=a%26b+c%C3%BC&refreshToken=r&type=verifyEmail"),
        ] {
            assert_eq!(target(text).with_parameters([("type", "verifyEmail"), ("refreshToken", "r")]), written);
        }
        assert_eq!(target("https://acme.com/?b=1").with_parameters([]), "https://acme.com/?b=1");
        assert_eq!(target("https://acme.com/?").with_parameters([]), "https://acme.com/");
        assert_eq!(
            target("https://acme.com?error=none")
                .with_error("invalid-ticket", "Invalid or expired verification ticket"),
            "https://acme.com?error=invalid-ticket&errorDescription=Invalid+or+expired+verification+ticket"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2048))]

        /// Whatever is asked for, an allowed target leads to the place the entry names, also once something is added.
        #[test]
        fn an_allowed_target_is_where_the_entry_says(
            text in "(https://acme\\.com/path|https://[a-z.]{0,3}acme\\.com/?(path)?|[a-z/:]{0,8})[a-z./\\\\@:?#%0-9\\[\\]{}&=+ \u{fc}\u{3002}\u{ff0f}\t]{0,24}",
            name in "\\PC{0,8}",
            value in "\\PC{0,16}",
        ) {
            let listed = list(&["https://acme.com/path"]);
            let targets = Targets { client: None, listed: &listed, home: None };
            if let Ok(target) = targets.admit(&text) {
                for written in [target.url(), target.with_parameters([(name.as_str(), value.as_str())])] {
                    proptest::prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{}", written);
                    let rest = written.strip_prefix("https://acme.com/path").expect("the place itself");
                    proptest::prop_assert!(rest.is_empty() || rest.starts_with(['/', '?', '#']), "{}", written);
                    proptest::prop_assert!(targets.admit(&written).is_ok(), "{}", written);
                }
                let written = target.with_parameters([(name.as_str(), value.as_str())]);
                let read = url::Url::parse(&written).expect("a URL");
                let values: Vec<_> = read.query_pairs().filter(|(other, _)| *other == name).map(|(_, value)| value).collect();
                proptest::prop_assert_eq!(values, [value.as_str()]);
            }
        }
    }
}
