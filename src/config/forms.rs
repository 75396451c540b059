//! The small text forms a value is written in: durations, listeners, networks, hosts, URLs, origins, paths, slugs.
//!
//! Every parser takes outside text, never panics, and says in one sentence what it wanted.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;

use super::dialect_settings::Limit;
use super::settings::{ListenAddress, is_loopback_host};

pub use super::mail_forms::{app_name, link, locale, mailbox};

pub(super) type Parsed<T> = Result<T, String>;

/// `500ms`, `90s`, `15m`, `24h`, `30d`: a whole number and one unit.
pub fn duration(text: &str) -> Parsed<Duration> {
    let wanted =
        || format!("{text:.40?} is not a duration: write a whole number and a unit, like 500ms, 90s, 15m, 24h or 30d");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wanted())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wanted()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| format!("{text:.40?} is too long a time"))
}

/// A duration in the largest unit that is exact; the inverse of [`duration`] for whole milliseconds.
pub fn spell_duration(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let exact = units.into_iter().find(|(size, _)| millis > 0 && millis.is_multiple_of(*size));
    match exact {
        Some((size, unit)) => format!("{}{unit}", millis / size),
        None if millis == 0 => "0s".into(),
        None => format!("{millis}ms"),
    }
}

/// `20/15m`: so many requests in a window of whole seconds up to 30 days; `off` (`None`): any number.
pub fn limit(text: &str) -> Parsed<Option<Limit>> {
    const MOST: Duration = Duration::from_secs(30 * 86_400);
    if text == "off" {
        return Ok(None);
    }
    let wanted = || format!("{text:.40?} is not a limit: write a count and a window, like 20/15m, or off");
    let (count, window) = text.split_once('/').ok_or_else(wanted)?;
    let count: u32 = count.parse().map_err(|_| wanted())?;
    let window = duration(window).map_err(|_| wanted())?;
    match (count, window.subsec_millis()) {
        (1..=1_000_000_000, 0) if !window.is_zero() && window <= MOST => Ok(Some(Limit { count, window })),
        _ => Err(format!("{text:.40?} is out of range: 1 to 1000000000 requests in 1s to 30d, in whole seconds")),
    }
}

/// The inverse of [`limit`].
pub fn spell_limit(limit: Option<Limit>) -> String {
    limit.map_or_else(|| "off".into(), |Limit { count, window }| format!("{count}/{}", spell_duration(window)))
}

/// `host:port`, `[::1]:port`, `unix:/path`.
pub fn listener(text: &str) -> Parsed<ListenAddress> {
    let wanted = || format!("{text:.80?} is not a listener: write \"host:port\", \"[::1]:port\" or \"unix:/path\"");
    if let Some(path) = text.strip_prefix("unix:") {
        let absolute = path.starts_with('/') && !path.contains('\0');
        // sun_path holds 108 bytes with the final NUL.
        return match absolute {
            true if path.len() <= 107 => Ok(ListenAddress::Unix(PathBuf::from(path))),
            true => Err("a unix socket's path has at most 107 bytes".into()),
            false => Err("a unix socket needs an absolute path: \"unix:/path\"".into()),
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wanted)?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wanted());
    }
    let port = port.parse().map_err(|_| format!("{port:.40} is not a port: ports end at 65535"))?;
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner.to_owned(),
        Some(_) => return Err(wanted()),
        None => self::host(host).map_err(|_| wanted())?,
    };
    Ok(ListenAddress::Tcp { host, port })
}

/// A network (`10.0.0.0/8`) or a single address.
pub fn network(text: &str) -> Parsed<IpNet> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|net| net.trunc())
        .map_err(|_| format!("{text:.80?} is not a network: write \"10.0.0.0/8\", \"2001:db8::/32\" or one address"))
}

/// A host name or an IPv4 address, without scheme and port; lower-cased.
pub fn host(text: &str) -> Parsed<String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:.80?} is not a host name: write it without scheme, port and path (non-ASCII names as xn--)"))
    }
}

/// Whether a URL that was parsed before leads to the machine of whoever follows it.
pub fn is_on_this_machine(url: &str) -> bool {
    is_loopback_host(host_of(url).trim_matches(['[', ']']))
}

/// The host in a URL that was parsed before, an IPv6 address in its brackets; empty where there is none.
pub fn host_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

/// A name or address for a certificate.
pub fn certificate_name(text: &str) -> Parsed<String> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(ip.to_string()),
        Err(_) => host(text),
    }
}

/// An `https` URL without query and credentials, with or without a path; plain `http` only to this machine. The final
/// slash goes. The text is never quoted back: it may hold credentials.
pub fn public_url(text: &str) -> Parsed<String> {
    let wanted = || "write a URL like \"https://auth.example.com\"".to_owned();
    let plain =
        text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'<' | b'>'));
    if !plain || text.contains(['#', '?', '\\']) {
        return Err(format!("a public URL has no query, fragment, spaces or quotes: {}", wanted()));
    }
    let uri: Uri = text.parse().map_err(|_| wanted())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wanted()) };
    if authority.as_str().contains('@') {
        return Err("a public URL holds no user name or password".into());
    }
    checked_authority(authority)?;
    let bare_host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match scheme {
        "https" => {}
        "http" if is_loopback_host(bare_host) => {}
        "http" => return Err("plain http is for this machine only: write https, or a loopback address".into()),
        _ => return Err(wanted()),
    }
    Ok(format!("{scheme}://{}{}", authority.as_str().to_ascii_lowercase(), uri.path().trim_end_matches('/')))
}

/// A public host name: no address, no wildcard (which HTTP-01 and TLS-ALPN-01 cannot prove), at least two labels.
pub fn domain(text: &str) -> Parsed<String> {
    let name = host(text)?;
    match name.parse::<IpAddr>() {
        Err(_) if name.contains('.') => Ok(name),
        _ => Err(format!("{text:.80?} is not a public host name, like \"auth.example.com\"")),
    }
}

/// An address to be written to.
pub fn contact(text: &str) -> Parsed<String> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b',' | b':' | b'?' | b'<' | b'>' | b'"'));
    match text.split_once('@') {
        Some((local, at)) if plain && !local.is_empty() && text.len() <= 254 && host(at).is_ok() => Ok(text.to_owned()),
        _ => Err(format!("{text:.80?} is not an address: write \"ops@example.com\", without mailto:")),
    }
}

/// An `https` URL of somebody else's.
pub fn https_url(text: &str) -> Parsed<String> {
    let wanted = || "write a URL that begins with https://".to_owned();
    let uri: Uri = text.parse().map_err(|_| wanted())?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("https"), Some(authority)) if !authority.as_str().contains('@') && text.len() <= 2048 => {
            checked_authority(authority)?;
            Ok(text.to_owned())
        }
        _ => Err(wanted()),
    }
}

/// Bytes in base64url without padding.
pub fn base64url(text: &str) -> Parsed<Vec<u8>> {
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text.trim_end_matches('='));
    decoded.ok().filter(|bytes| !bytes.is_empty()).ok_or_else(|| "is not base64url".into())
}

/// `scheme://host[:port]` exactly as a browser's `Origin` header spells it, or `*`. A default port goes.
pub fn origin(text: &str) -> Parsed<String> {
    let wanted =
        || "an origin is \"https://app.example.com\" or \"http://localhost:3000\", without path, or \"*\"".to_owned();
    if text == "*" {
        return Ok(text.to_owned());
    }
    let lower = text.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://").ok_or_else(wanted)?;
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let authority: http::uri::Authority = rest.parse().map_err(|_| wanted())?;
    if !scheme_ok || lower.len() > 300 || rest.contains('@') {
        return Err(wanted());
    }
    checked_authority(&authority).map_err(|_| wanted())?;
    let without_default = match scheme {
        "https" => rest.strip_suffix(":443"),
        "http" => rest.strip_suffix(":80"),
        _ => None,
    };
    Ok(format!("{scheme}://{}", without_default.unwrap_or(rest)))
}

/// http's own parser is lenient about hosts and ports: hold them to what a listener may be.
pub(super) fn checked_authority(authority: &http::uri::Authority) -> Parsed<()> {
    let text = authority.as_str();
    let with_port = if authority.port().is_some() { text.to_owned() } else { format!("{text}:1") };
    match listener(&with_port) {
        Ok(ListenAddress::Tcp { port, .. }) if port > 0 => Ok(()),
        _ => Err("the URL's host or port is not valid".into()),
    }
}

/// Where a dialect is mounted: `/v1`, `/api/auth`. The root and the server's own paths are taken.
pub fn mount(text: &str) -> Parsed<String> {
    let segment = |s: &str| {
        !s.is_empty()
            && s != "."
            && s != ".."
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'))
    };
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!("{text:.80?} is not a path: it begins with \"/\""));
    };
    if text.len() > 128 || !rest.split('/').all(segment) {
        return Err(format!(
            "{text:.80?} is not a mount: write segments of letters, digits and \"-._~\", like \"/api/auth\", without a \
             final \"/\""
        ));
    }
    match rest.split('/').next() {
        Some(first @ (".well-known" | "healthz" | "readyz" | "metrics" | "openapi" | "verify-email")) => {
            Err(format!("\"/{first}\" belongs to the server itself"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// A project's slug: `^[a-z0-9][a-z0-9-]{0,62}$`.
pub fn slug(text: &str) -> Parsed<String> {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(inside) && !text.starts_with('-') {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:.80?} is not a slug: 1 to 63 of a-z, 0-9 and \"-\", not beginning with \"-\""))
    }
}

/// A path, relative to the working directory.
pub fn path(text: &str) -> Parsed<PathBuf> {
    match text {
        "" => Err("a path is not empty".into()),
        _ if text.contains('\0') => Err("a path holds no NUL".into()),
        _ => Ok(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, millis) in
            [("500ms", 500), ("90s", 90_000), ("15m", 900_000), ("24h", 86_400_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "15", "m", "1.5h", "-1s", "15 m", "15M", "1h30m", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn listeners_are_host_and_port_or_a_socket() {
        let tcp = |host: &str, port| Ok(ListenAddress::Tcp { host: host.into(), port });
        assert_eq!(listener("127.0.0.1:8443"), tcp("127.0.0.1", 8443));
        assert_eq!(listener("[::1]:0"), tcp("::1", 0));
        assert_eq!(listener("Auth.Example.com:443"), tcp("auth.example.com", 443));
        assert_eq!(listener("unix:/run/k.sock"), Ok(ListenAddress::Unix("/run/k.sock".into())));
        for text in [
            "",
            "8443",
            ":8443",
            "::1:8443",
            "host",
            "host:",
            "host:65536",
            "host:+1",
            "[::1]",
            "[x]:1",
            "unix:k.sock",
            "https://a:1",
        ] {
            assert!(listener(text).is_err(), "{text}");
        }
        assert!(listener(&format!("unix:/{}", "a".repeat(107))).is_err());
    }

    #[test]
    fn public_urls_are_https_or_this_machine() {
        assert_eq!(public_url("https://Auth.example.com/"), Ok("https://auth.example.com".into()));
        assert_eq!(public_url("https://a.example:8443/base/"), Ok("https://a.example:8443/base".into()));
        assert_eq!(public_url("http://[::1]:8080"), Ok("http://[::1]:8080".into()));
        assert_eq!(public_url("http://localhost:1"), Ok("http://localhost:1".into()));
        for text in [
            "",
            "a.example",
            "/x",
            "http://a.example",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example?x",
            "https://a.example#x",
            "https://a b",
            "https://a.example:0",
            "https://a.example:99999",
            "https://-/",
            "javascript:alert(1)",
        ] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_are_spelled_as_browsers_do() {
        assert_eq!(origin("https://App.example.com:443"), Ok("https://app.example.com".into()));
        assert_eq!(origin("http://localhost:3000"), Ok("http://localhost:3000".into()));
        assert_eq!(origin("capacitor://localhost"), Ok("capacitor://localhost".into()));
        assert_eq!(origin("*"), Ok("*".into()));
        for text in
            ["", "null", "https://", "https://a.example/", "a.example", "https://*.example.com", "https://u@a.example"]
        {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mounts_are_plain_paths_that_are_free() {
        assert_eq!(mount("/api/auth"), Ok("/api/auth".into()));
        for text in [
            "",
            "/",
            "v1",
            "/v1/",
            "//v1",
            "/a/../b",
            "/{id}",
            "/a b",
            "/healthz",
            "/openapi",
            "/metrics/x",
            "/.well-known/x",
            "/:id",
            "/*",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_counts_in_windows_of_whole_seconds() {
        let at = |count, secs| Ok(Some(Limit { count, window: Duration::from_secs(secs) }));
        assert_eq!(limit("20/15m"), at(20, 900));
        assert_eq!(limit("1/1s"), at(1, 1));
        assert_eq!(limit("1000000000/30d"), at(1_000_000_000, 30 * 86_400));
        assert_eq!(limit("off"), Ok(None));
        for text in
            ["", "20", "20/", "/15m", "0/15m", "-1/15m", "1000000001/1m", "20/500ms", "20/0s", "20/31d", "20/15m/1"]
        {
            assert!(limit(text).is_err(), "{text}");
        }
        for text in ["20/15m", "5/10m", "20/1d", "60/90s", "off"] {
            assert_eq!(limit(text).map(spell_limit).as_deref(), Ok(text));
        }
    }

    #[test]
    fn slugs_and_networks() {
        assert!(slug("a").is_ok() && slug("my-app-2").is_ok() && slug(&"a".repeat(63)).is_ok());
        for text in ["", "-a", "A", "a_b", "a.b", "ä"] {
            assert!(slug(text).is_err(), "{text}");
        }
        assert!(slug(&"a".repeat(64)).is_err());
        assert_eq!(network("10.1.2.3/8").map(|net| net.to_string()), Ok("10.0.0.0/8".into()));
        assert!(network("10.0.0.0/33").is_err() && network("localhost").is_err());
    }
}
