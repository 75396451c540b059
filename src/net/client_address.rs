//! The client's address: the socket's peer, or what a trusted proxy says about it.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) can be written by anyone. They are read only when the socket's peer is
//! a trusted proxy, from the right, because each proxy appends what it saw: the rightmost hop which is not itself
//! trusted is the last address that somebody trustworthy has seen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

use super::serve::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// More proxies than this in a row are not followed: the walk must cost nothing, whatever a client sends.
const MOST_HOPS: usize = 32;

/// The other end of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// A TCP peer.
    Ip(IpAddr),
    /// A process on this machine, through a unix socket.
    Unix,
}

/// Who may speak for others in forwarded headers.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Networks of the reverse proxies.
    pub proxies: Vec<IpNet>,
    /// Whether whoever reaches a unix socket is a proxy.
    pub unix: bool,
}

impl Trust {
    /// Whether this peer's forwarded headers count.
    pub fn includes(&self, peer: PeerAddress) -> bool {
        match peer {
            PeerAddress::Ip(ip) => self.includes_ip(ip.to_canonical()),
            PeerAddress::Unix => self.unix,
        }
    }

    fn includes_ip(&self, ip: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&ip))
    }
}

/// A client's address, and the key under which its use of the server is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress {
    /// The address; an IPv4 address mapped into IPv6 is given as IPv4.
    pub ip: IpAddr,
    /// One key for all addresses one customer is commonly given: an IPv4 address, an IPv6 /64. Keys of the two kinds
    /// never meet.
    pub group: u128,
}

impl ClientAddress {
    /// The address itself, forwarded by nobody.
    pub fn new(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let group = match ip {
            // ::ffff:a.b.c.d: the low half is never zero, whereas that of an IPv6 key always is.
            IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
            IpAddr::V6(v6) => u128::from(v6) & !u128::from(u64::MAX),
        };
        Self { ip, group }
    }

    /// Settles the client's address.
    ///
    /// Never fails: headers that are malformed, or that say two different things, leave the last address that is
    /// sure. A unix peer which is not trusted, or names nobody, counts as 127.0.0.1.
    pub fn settle(peer: PeerAddress, headers: &HeaderMap, trust: &Trust) -> Self {
        let socket = match peer {
            PeerAddress::Ip(ip) => ip.to_canonical(),
            PeerAddress::Unix => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        if !trust.includes(peer) {
            return Self::new(socket);
        }
        let x_forwarded_for = headers
            .contains_key(X_FORWARDED_FOR)
            .then(|| walk(socket, trust, headers.get_all(X_FORWARDED_FOR).iter().rev().flat_map(hops_of_list)));
        let forwarded = headers
            .contains_key(FORWARDED)
            .then(|| walk(socket, trust, headers.get_all(FORWARDED).iter().rev().flat_map(hops_of_forwarded)));
        Self::new(match (x_forwarded_for, forwarded) {
            (None, None) => socket,
            (Some(ip), None) | (None, Some(ip)) => ip,
            // A proxy writes one of the two and may pass the other on from the client. Which one it wrote cannot be
            // told, so a disagreement convinces nobody.
            (Some(one), Some(other)) if one == other => one,
            (Some(_), Some(_)) => socket,
        })
    }
}

/// Whether a request came over TLS: to us, or to a trusted proxy that says so (`X-Forwarded-Proto`, its last value).
pub fn is_secure(peer: &Peer, headers: &HeaderMap, trust: &Trust) -> bool {
    let last = || headers.get_all(X_FORWARDED_PROTO).iter().next_back()?.to_str().ok()?.rsplit(',').next();
    let says_https = || last().is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"));
    peer.tls || (trust.includes(peer.address) && says_https())
}

/// Follows the hops from the nearest outwards; `None` is a hop that names no address.
fn walk(socket: IpAddr, trust: &Trust, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
    let mut last = socket;
    for hop in hops.take(MOST_HOPS) {
        // Never look past what cannot be read: what stands left of it was written by somebody unknown.
        let Some(ip) = hop else { return last };
        last = ip;
        if !trust.includes_ip(ip) {
            return ip;
        }
    }
    last
}

/// The hops of one `X-Forwarded-For` line, nearest first.
fn hops_of_list(value: &http::HeaderValue) -> Vec<Option<IpAddr>> {
    let Ok(text) = value.to_str() else { return vec![None] };
    text.rsplit(',').take(MOST_HOPS).map(node).collect()
}

/// The hops of one `Forwarded` line, nearest first. An element without `for` names no address.
fn hops_of_forwarded(value: &http::HeaderValue) -> Vec<Option<IpAddr>> {
    let Ok(text) = value.to_str() else { return vec![None] };
    let Some(elements) = split_outside_quotes(text, ',') else { return vec![None] };
    elements.into_iter().rev().take(MOST_HOPS).map(for_parameter).collect()
}

fn for_parameter(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in split_outside_quotes(element, ';')? {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(node(value)).is_some() {
            return None; // two different answers in one element
        }
    }
    found.flatten()
}

/// Splits where `separator` stands outside a quoted string; nothing when a string never ends (whoever wrote the open
/// quote wants to swallow what a proxy appended).
fn split_outside_quotes(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

/// One hop: an address, with or without quotes, brackets and a port.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text).trim();
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        let port_is_sane = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return inside.parse::<Ipv6Addr>().ok().filter(|_| port_is_sane).map(|ip| IpAddr::V6(ip).to_canonical());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (ip, port) = text.rsplit_once(':')?;
    ip.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trust() -> Trust {
        Trust { proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], unix: false }
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn settled(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let peer = if peer == "unix" { PeerAddress::Unix } else { PeerAddress::Ip(peer.parse().unwrap()) };
        ClientAddress::settle(peer, &headers(lines), &trust()).ip.to_string()
    }

    #[test]
    fn a_stranger_cannot_speak_for_others() {
        assert_eq!(settled("203.0.113.9", &[("x-forwarded-for", "1.2.3.4")]), "203.0.113.9");
        assert_eq!(settled("203.0.113.9", &[("forwarded", "for=1.2.3.4")]), "203.0.113.9");
        assert_eq!(settled("unix", &[("x-forwarded-for", "1.2.3.4")]), "127.0.0.1");
    }

    #[test]
    fn the_rightmost_untrusted_hop_counts() {
        for (lines, expected) in [
            (&[("x-forwarded-for", "6.6.6.6, 1.2.3.4")][..], "1.2.3.4"),
            (&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.7")], "1.2.3.4"),
            (&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
            (&[("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-for", "10.0.0.7")], "1.2.3.4"),
            (&[("x-forwarded-for", "10.0.0.9, 10.0.0.7")], "10.0.0.9"),
            (&[("x-forwarded-for", "1.2.3.4:5678")], "1.2.3.4"),
            (&[("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1"),
            (&[("x-forwarded-for", "2001:db8::1")], "2001:db8::1"),
            (&[("x-forwarded-for", "::ffff:1.2.3.4")], "1.2.3.4"),
            (&[("x-forwarded-for", "1.2.3.4, ::ffff:10.0.0.3")], "1.2.3.4"),
            (&[("forwarded", "for=6.6.6.6, For=\"[2001:db8::1]:443\";proto=https")], "2001:db8::1"),
            (&[("forwarded", "for=1.2.3.4;by=\"a,b;c\"")], "1.2.3.4"),
            (&[("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
        ] {
            assert_eq!(settled("10.0.0.1", lines), expected, "{lines:?}");
            assert_eq!(settled("::ffff:10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_leaves_the_last_sure_address() {
        for (lines, expected) in [
            (&[("x-forwarded-for", "")][..], "10.0.0.1"),
            (&[("x-forwarded-for", "6.6.6.6, unknown")], "10.0.0.1"),
            (&[("x-forwarded-for", "6.6.6.6, rubbish, 10.0.0.7")], "10.0.0.7"),
            (&[("x-forwarded-for", "6.6.6.6, 1.2.3.4:port")], "10.0.0.1"),
            (&[("x-forwarded-for", "6.6.6.6, [::1")], "10.0.0.1"),
            (&[("forwarded", "for=_hidden")], "10.0.0.1"),
            (&[("forwarded", "proto=https")], "10.0.0.1"),
            (&[("forwarded", "for=6.6.6.6;for=7.7.7.7")], "10.0.0.1"),
            (&[("forwarded", "for=6.6.6.6, for=\"x, for=1.2.3.4")], "10.0.0.1"),
            (&[("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "10.0.0.1"),
        ] {
            assert_eq!(settled("10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn unix_peers_are_proxies_only_when_told_so() {
        let trust = Trust { unix: true, ..trust() };
        let headers = headers(&[("x-forwarded-for", "1.2.3.4")]);
        assert_eq!(ClientAddress::settle(PeerAddress::Unix, &headers, &trust).ip.to_string(), "1.2.3.4");
    }

    #[test]
    fn only_a_trusted_proxy_says_that_it_speaks_tls() {
        let secure = |peer: &str, tls, lines: &[(&'static str, &str)]| {
            let peer = Peer { address: PeerAddress::Ip(peer.parse().unwrap()), tls };
            is_secure(&peer, &headers(lines), &trust())
        };
        let https = &[("x-forwarded-proto", "https")][..];
        assert!(secure("203.0.113.9", true, &[]) && secure("10.0.0.1", false, https));
        assert!(!secure("203.0.113.9", false, https) && !secure("10.0.0.1", false, &[]));
        for (lines, expected) in [
            (&[("x-forwarded-proto", "http, HTTPS")][..], true),
            (&[("x-forwarded-proto", "https, http")], false),
            (&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], false),
            (&[("x-forwarded-proto", "")], false),
        ] {
            assert_eq!(secure("10.0.0.1", false, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn addresses_are_grouped_by_customer() {
        let group = |ip: &str| ClientAddress::new(ip.parse().unwrap()).group;
        assert_eq!(group("2001:db8::1"), group("2001:db8::ffff:1"));
        assert_ne!(group("2001:db8::1"), group("2001:db8:0:1::1"));
        assert_ne!(group("1.2.3.4"), group("1.2.3.5"));
        assert_eq!(group("1.2.3.4"), group("::ffff:1.2.3.4"));
        assert_ne!(group("0.0.0.0"), group("::"));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_trust_a_stranger(
            lines in proptest::collection::vec(("[ -~]{0,60}", any::<bool>()), 0..5),
            soup in proptest::collection::vec("(for=|,|;|\"|\\\\|\\[|\\]|:|1\\.2\\.3\\.4|::1|10\\.0\\.0\\.1| )", 0..30),
        ) {
            let mut map = HeaderMap::new();
            let soup = (soup.concat(), true);
            for (value, rfc) in lines.iter().chain([&soup, &(soup.0.clone(), false)]) {
                let Ok(value) = http::HeaderValue::from_str(value) else { continue };
                map.append(if *rfc { FORWARDED } else { X_FORWARDED_FOR }, value);
            }
            let stranger = "203.0.113.9".parse().unwrap();
            prop_assert_eq!(ClientAddress::settle(PeerAddress::Ip(stranger), &map, &trust()).ip, stranger);
            ClientAddress::settle(PeerAddress::Ip("10.0.0.1".parse().unwrap()), &map, &trust());
        }

        #[test]
        fn what_stands_left_of_an_untrusted_hop_changes_nothing(forged in "[ -~]{0,80}") {
            let line = format!("{forged}, 198.51.100.7, 10.1.1.1");
            prop_assert_eq!(settled("10.0.0.1", &[("x-forwarded-for", &line)]), "198.51.100.7");
        }
    }
}
