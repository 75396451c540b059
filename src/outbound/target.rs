//! A URL that may be called, parsed once where it enters.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

/// More is no URL of an API.
const MAX_BYTES: usize = 2048;

/// An `https` or `http` URL with a host and without credentials. Its path and query may hold a secret of the service
/// called (chat services put one there), so neither `Debug` nor `Display` shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Parses a URL as browsers do (WHATWG): `https://2130706433/` is `https://127.0.0.1/` and treated as such.
    ///
    /// # Errors
    /// What is wrong with it, without quoting it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wanted = || "write a URL like \"https://hooks.example.com/keystead\"".to_owned();
        if text.len() > MAX_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!(
                "a URL has at most {MAX_BYTES} visible ASCII characters, without spaces: {}",
                wanted()
            ));
        }
        let url = Url::parse(text).map_err(|_| wanted())?;
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
            return Err(wanted());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL to call holds no user name or password".into());
        }
        if url.fragment().is_some() {
            return Err("a URL to call has no fragment (\"#...\")".into());
        }
        if url.port() == Some(0) {
            return Err("port 0 is no port to call".into());
        }
        Ok(Self(url))
    }

    /// The same URL with `more` at its end.
    ///
    /// # Errors
    /// When that is none, as for [`Target::parse`].
    pub fn followed_by(&self, more: &str) -> Result<Self, String> {
        Self::parse(&format!("{}{more}", self.0))
    }

    /// `https://host:port` without what follows.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The whole URL, for the configuration it came from.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub(super) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// The address, when the host is one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host().trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = self.0.path() != "/" || self.0.query().is_some();
        write!(f, "{}{}", self.origin(), if more { "/…" } else { "" })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// Fields as `application/x-www-form-urlencoded` (WHATWG URL, section 5.2), which is also what a query is made of.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("form:").expect("a constant that is a URL");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_called_is_a_target() {
        for text in ["https://a.example", "http://127.0.0.1:8080/x?y=z", "https://[2001:db8::1]:444/"] {
            Target::parse(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        }
        for text in [
            "",
            "a.example",
            "//a.example",
            "ftp://a.example",
            "file:///etc/passwd",
            "https://",
            "https://a b",
            "https://user:password@a.example",
            "https://token@a.example",
            "https://a.example/#x",
            "https://a.example:0/",
            "https://a.example:99999/",
            "https://[::1",
            "https://ä.example",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
        assert!(Target::parse(&format!("https://a.example/{}", "x".repeat(MAX_BYTES))).is_err());
    }

    #[test]
    fn every_spelling_of_an_address_is_seen_as_one() {
        for text in
            ["https://127.0.0.1", "https://2130706433", "https://0x7f.1", "https://127.1", "https://127.0.0.1.:443"]
        {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.address(), Some("127.0.0.1".parse().unwrap()), "{text}");
        }
        assert_eq!(Target::parse("https://[::1]/").unwrap().address(), Some("::1".parse().unwrap()));
        assert_eq!(Target::parse("https://localhost/").unwrap().address(), None);
    }

    #[test]
    fn something_can_be_put_at_the_end() {
        for (text, wanted) in [
            ("https://a.example", "https://a.example/x1"),
            ("https://a.example/range/", "https://a.example/range/x1"),
            ("https://a.example/range?of=", "https://a.example/range?of=x1"),
        ] {
            assert_eq!(Target::parse(text).unwrap().followed_by("x1").unwrap().as_str(), wanted);
        }
        let longest = format!("https://a.example/{}", "x".repeat(MAX_BYTES - 18));
        assert!(Target::parse(&longest).unwrap().followed_by("x").is_err());
    }

    #[test]
    fn neither_path_nor_query_is_shown() {
        let target = Target::parse("https://chat.example:8443/services/T0/s3cret?token=s3cret").unwrap();
        assert_eq!(format!("{target} {target:?}"), "https://chat.example:8443/… Target(https://chat.example:8443/…)");
        assert_eq!(Target::parse("https://a.example/").unwrap().to_string(), "https://a.example");
    }

    #[test]
    fn a_form_escapes_what_it_must() {
        assert_eq!(form(&[("a", "x y&z=ü+"), ("b", "")]), "a=x+y%26z%3D%C3%BC%2B&b=");
        assert_eq!(form(&[]), "");
    }
}
