//! Where people may be sent back to: URLs as browsers read them, and the patterns of a list that they are held against.
//!
//! Source: Nhost contract 3.2. There an entry is a glob over the text of a URL. Here both sides are parsed first (WHATWG
//! URL, as browsers do) and compared part by part, so that no spelling of one part can pass for another: a wildcard of
//! the host never reaches into the path, nor the other way round.

use std::fmt;

use url::Url;

use super::spell::Spell;

/// The longest URL and the longest pattern, in bytes.
const MAX_LEN: usize = 2048;

/// The most wildcards of one pattern: a match costs at most so many times the length of the URL.
const MAX_WILDCARDS: usize = 16;

/// Schemes that name no place of an app: a browser acts on them itself, and some of them run what they carry.
const NO_PLACES: [&str; 11] =
    ["about", "blob", "data", "file", "filesystem", "ftp", "javascript", "vbscript", "view-source", "ws", "wss"];

/// A URL that a browser could be sent to: http, https or a scheme of an app's own (`myapp://cb`, `com.example:/cb`),
/// without credentials. Whether it may be is for a list to say.
#[derive(Clone, PartialEq, Eq)]
pub struct RedirectUrl {
    pub(crate) url: Url,
    /// The `/` of an empty path was not written: `https://app.example.com`, `https://app.example.com?a=b`.
    pub(crate) bare: bool,
}

/// Why a text is no [`RedirectUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRedirectUrl {
    /// It is not a URL: it cannot be parsed, or holds what no URL may hold (control characters, `\`).
    Malformed,
    /// It is a URL, but none that anybody may be sent to: relative, too long, with credentials, of another kind.
    Unfit,
}

impl RedirectUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`NoRedirectUrl`] says in which way it is none.
    pub fn parse(text: &str) -> Result<Self, NoRedirectUrl> {
        if text.len() > MAX_LEN {
            return Err(NoRedirectUrl::Unfit);
        }
        // A browser would drop or turn them; whoever writes them means to be read differently by two parsers.
        if text.trim() != text || text.contains(|c: char| c.is_control() || c == '\\') {
            return Err(NoRedirectUrl::Malformed);
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(url::ParseError::RelativeUrlWithoutBase) => return Err(NoRedirectUrl::Unfit),
            Err(_) => return Err(NoRedirectUrl::Malformed),
        };
        if !is_place(&url) {
            return Err(NoRedirectUrl::Unfit);
        }
        let bare = url.path() == "/" && without_path(&url) == text;
        Ok(Self { url, bare })
    }

    /// The URL with this query in place of its own, as it is to be written.
    pub(crate) fn with_query(&self, query: Option<&str>) -> String {
        let mut url = self.url.clone();
        url.set_query(query);
        if self.bare { without_path(&url) } else { url.into() }
    }
}

impl fmt::Display for RedirectUrl {
    /// As a browser writes it, except that the `/` of an empty path is left out where it was left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bare { f.write_str(&without_path(&self.url)) } else { f.write_str(self.url.as_str()) }
    }
}

impl fmt::Debug for RedirectUrl {
    /// Only the scheme: queries of others may carry anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedirectUrl({}:..)", self.url.scheme())
    }
}

fn without_path(url: &Url) -> String {
    use url::Position::{AfterPath, BeforePath};
    format!("{}{}", &url[..BeforePath], &url[AfterPath..])
}

/// Whether an app can be there.
fn is_place(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    !NO_PLACES.contains(&url.scheme())
        // `mailto:x`, `javascript:x`: what follows is no path.
        && !url.cannot_be_a_base()
        && url.username().is_empty()
        && url.password().is_none()
        // `acme.com.` is another name of the same host, which no entry means.
        && (host.is_empty() || host.split('.').all(|label| !label.is_empty()))
}

/// An entry of a list of redirect URLs: which URLs it allows.
///
/// Scheme and port must be the same; the host is compared label by label, the path from its beginning, segment by
/// segment. In both, `*` stands for any characters of one label or segment (but no `.`), `**` for any at all. Query and
/// fragment do not count. `myapp://` stands for everything of that scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectPattern {
    spelled: String,
    scheme: String,
    /// `None`: everything of the scheme.
    place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// A pattern; `None`: the scheme has no hosts.
    host: Option<String>,
    /// `None`: the scheme's own.
    port: Option<u16>,
    /// A pattern that ends in `/**`.
    path: String,
}

impl RedirectPattern {
    /// Reads an entry: a URL without query and fragment, in which `*` and `**` are wildcards. `/**`, `/*` and `/` at its
    /// end mean the same as nothing: what lies below is allowed, too.
    ///
    /// # Errors
    /// What is wrong with it, for an operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = || {
            format!(
                "{text:.80?} is not a redirect URL: write one like \"https://app.example.com/path\" or \"myapp://cb\""
            )
        };
        if text.len() > MAX_LEN {
            return Err(format!("a redirect URL has at most {MAX_LEN} bytes"));
        }
        // First of all, for the reasons below quote the text.
        if text.split_once("//").is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|host| host.contains('@')))
        {
            return Err("a redirect URL holds no user name or password".into());
        }
        if text.contains(['?', '#']) {
            return Err(format!("{text:.80?} has a query or a fragment, which do not count: leave them out"));
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || "\\{}\"<>^|`".contains(c)) {
            return Err(format!("{text:.80?} holds what no URL may hold; the only wildcards are * and **"));
        }
        if text.matches('*').count() > MAX_WILDCARDS {
            return Err(format!("{text:.80?} has more than {MAX_WILDCARDS} times \"*\""));
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(wanted)?;
        let scheme = scheme.to_ascii_lowercase();
        let is_web = matches!(scheme.as_str(), "http" | "https");
        if rest.starts_with("//") && rest.trim_matches(['/', '*']).is_empty() {
            if is_web {
                return Err(format!("{text:.80?} names no host"));
            }
            let url = Url::parse(&format!("{scheme}://x")).ok().filter(is_place).ok_or_else(wanted)?;
            return Ok(Self { spelled: text.to_owned(), scheme: url.scheme().to_owned(), place: None });
        }
        let base = ["/**", "/*", "/"].into_iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
        let url = Url::parse(base).map_err(|error| format!("{} ({error})", wanted()))?;
        // `https:x` and `https:///x` are read as `https://x`: slips, not entries.
        if !is_place(&url) || (is_web && (!rest.starts_with("//") || rest.starts_with("///"))) {
            return Err(wanted());
        }
        if is_web && url.host_str().is_none_or(|host| host.trim_matches(['*', '.']).is_empty()) {
            return Err(format!("{text:.80?} would allow every host"));
        }
        let path = url.path().trim_end_matches('/');
        if hides_separators(path) || path.contains(['[', ']']) {
            return Err(format!("{text:.80?} holds what no URL may hold; the only wildcards are * and **"));
        }
        let place = Place {
            host: url.host_str().filter(|host| !host.is_empty()).map(str::to_owned),
            port: url.port(),
            path: format!("{path}/**"),
        };
        Ok(Self { spelled: text.to_owned(), scheme, place: Some(place) })
    }

    /// Whether it allows `target`.
    pub fn allows(&self, target: &RedirectUrl) -> bool {
        let url = &target.url;
        self.scheme == url.scheme() && self.place.as_ref().is_none_or(|place| place.holds(url))
    }
}

impl Place {
    fn holds(&self, url: &Url) -> bool {
        let host = url.host_str().filter(|host| !host.is_empty());
        let host_matches = match (&self.host, host) {
            (Some(pattern), Some(host)) => glob(pattern, host),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        host_matches && self.port == url.port() && self.holds_path(url.path())
    }

    fn holds_path(&self, path: &str) -> bool {
        if self.path == "/**" {
            return true;
        }
        // Whoever decodes `/path/..%2f..%2fother` too early leaves what is allowed.
        !hides_separators(path) && (glob(&self.path, path) || glob(&self.path, &format!("{path}/")))
    }
}

impl Spell for RedirectPattern {
    fn spell(&self) -> String {
        self.spelled.clone()
    }
}

/// The URL of the app itself: where people are sent who asked for nothing else, and an entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientUrl {
    spelled: String,
    url: RedirectUrl,
    pattern: RedirectPattern,
}

impl ClientUrl {
    /// Reads a URL without wildcards.
    ///
    /// # Errors
    /// What is wrong with it, for an operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('*') {
            return Err(format!("{text:.80?} has a wildcard, and people cannot be sent there"));
        }
        let without_query = text.split(['?', '#']).next().unwrap_or_default();
        let pattern = RedirectPattern::parse(without_query)?;
        let url = RedirectUrl::parse(text).map_err(|_| format!("{text:.80?} is not a URL people can be sent to"))?;
        Ok(Self { spelled: text.to_owned(), url, pattern })
    }

    /// Where people are sent.
    pub fn url(&self) -> &RedirectUrl {
        &self.url
    }

    /// Whether it allows `target`: the same place, or one below it.
    pub fn allows(&self, target: &RedirectUrl) -> bool {
        self.pattern.allows(target)
    }
}

impl fmt::Display for ClientUrl {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled)
    }
}

impl Spell for ClientUrl {
    fn spell(&self) -> String {
        self.spelled.clone()
    }
}

/// Whether a path has a `/` or `\` that only shows once it is decoded.
fn hides_separators(path: &str) -> bool {
    path.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f") || three.eq_ignore_ascii_case(b"%5c"))
}

/// Whether `pattern` describes all of `text`: `*` any characters but `.` and `/`, `**` any.
///
/// On a mismatch the last `*` takes one character more, and where it may not, the last `**` does. Those before them need
/// not be tried again: what stands behind a `**` may as well be found at its first place, and a `*` ends before the
/// first separator, whatever the ones before it took.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the pattern goes on behind the wildcard, and where in the text.
    let (mut one, mut any) = (None, None);
    loop {
        let rest = &pattern[p..];
        if rest.starts_with(b"**") {
            p += rest.iter().take_while(|byte| **byte == b'*').count();
            (one, any) = (None, Some((p, t)));
            continue;
        }
        if rest.first() == Some(&b'*') {
            p += 1;
            one = Some((p, t));
            continue;
        }
        match (rest.first(), text.get(t)) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found => (p, t) = (p + 1, t + 1),
            _ => {
                let longer = |wildcard: Option<(usize, usize)>| wildcard.filter(|(_, end)| *end < text.len());
                if let Some((behind, end)) = longer(one).filter(|(_, end)| !matches!(text[*end], b'.' | b'/')) {
                    (p, t) = (behind, end + 1);
                    one = Some((p, t));
                } else if let Some((behind, end)) = longer(any) {
                    (p, t) = (behind, end + 1);
                    (one, any) = (None, Some((p, t)));
                } else {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_say_nothing_or_too_much_are_refused() {
        for text in [
            "",
            "acme.com",
            "//acme.com",
            "/path",
            "https://",
            "https:acme.com",
            "https:///acme.com",
            "https://*",
            "https://**",
            "http://*.*/x",
            "https://acme.com?x=1",
            "https://acme.com/#x",
            "https://user@acme.com",
            "https://acme.com:99999",
            "http://localhost:*",
            "https://{a,b}.acme.com",
            "https://acme.com/[ab]",
            "https://acme.com\\x",
            "https://acme.com/a b",
            "https://acme.com.",
            "https://.acme.com",
            "https://a..com",
            "https://acme.com/a%2Fb",
            "javascript:alert(1)",
            "javascript://x",
            "JavaScript://",
            "data:text/html,x",
            "mailto:a@b.example",
            "file:///etc/passwd",
            "myapp:cb",
            "1app://cb",
            "https://a.example/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*",
        ] {
            assert!(RedirectPattern::parse(text).is_err(), "{text}");
        }
        assert!(RedirectPattern::parse(&format!("https://acme.com/{}", "a".repeat(MAX_LEN))).is_err());
        assert!(ClientUrl::parse("https://*.acme.com").is_err());
        assert_eq!(
            RedirectPattern::parse("https://*.acme.io/*").map(|entry| entry.spell()),
            Ok("https://*.acme.io/*".into())
        );
    }

    #[test]
    fn a_url_is_written_as_it_was_read() {
        for text in [
            "https://acme.com",
            "https://acme.com/",
            "https://acme.com?a=b#c",
            "https://acme.com/?a=b#c",
            "https://acme.com#c",
            "http://localhost:3000",
            "http://[::1]:3000/a?b",
            "myapp://cb",
            "com.acme.app:/cb",
            "myapp:///cb",
        ] {
            assert_eq!(RedirectUrl::parse(text).map(|url| url.to_string()), Ok(text.to_owned()));
        }
        for (text, written) in [
            ("HTTPS://ACME.com", "https://acme.com/"),
            ("https://acme.com:443/x", "https://acme.com/x"),
            ("https://b\u{fc}cher.example/\u{fc} x", "https://xn--bcher-kva.example/%C3%BC%20x"),
            ("https://acme.com/a/../b/./%2e%2e/c", "https://acme.com/c"),
            ("https:acme.com", "https://acme.com/"),
            ("https:////acme.com", "https://acme.com/"),
        ] {
            assert_eq!(RedirectUrl::parse(text).map(|url| url.to_string()), Ok(written.to_owned()));
        }
        assert_eq!(format!("{:?}", RedirectUrl::parse("https://a.example?code=secret")), "Ok(RedirectUrl(https:..))");
    }

    /// The same by definition, without looking at the cost.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|end| by_definition(rest, &text[end..])),
            [b'*', rest @ ..] => {
                let most = text.iter().position(|byte| b"./".contains(byte)).unwrap_or(text.len());
                (0..=most).any(|end| by_definition(rest, &text[end..]))
            }
            [first, rest @ ..] => text.first() == Some(first) && by_definition(rest, &text[1..]),
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4096))]

        #[test]
        fn a_wildcard_matches_what_it_is_defined_to(pattern in "[ab./*]{0,9}", text in "[ab./]{0,10}") {
            proptest::prop_assert_eq!(glob(&pattern, &text), by_definition(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn no_text_panics(text in "(https?|myapp):/{0,3}[a-z.*:@%/\\\\\\[\\]\u{fc}\u{ff0f}]{0,30}|\\PC{0,60}") {
            let _ = RedirectUrl::parse(&text).map(|url| url.to_string());
            let _ = RedirectPattern::parse(&text);
            let _ = ClientUrl::parse(&text);
        }
    }
}
