//! Which addresses may be connected to. Decided on the addresses a name was resolved to, at the moment they are used:
//! whatever the name's owner answers then (DNS rebinding), a connection to an own machine is not made for a stranger
//! (server-side request forgery).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::env::Resolver;

/// IPv4 networks that are not of the public internet (IANA special-purpose registry, RFC 6890).
const NOT_PUBLIC_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),       // this network
    v4([10, 0, 0, 0], 8),      // private (RFC 1918)
    v4([100, 64, 0, 0], 10),   // shared by carriers (RFC 6598)
    v4([127, 0, 0, 0], 8),     // loopback
    v4([169, 254, 0, 0], 16),  // link-local, metadata services of clouds among them
    v4([172, 16, 0, 0], 12),   // private
    v4([192, 0, 0, 0], 24),    // protocol assignments
    v4([192, 0, 2, 0], 24),    // documentation (RFC 5737)
    v4([192, 31, 196, 0], 24), // AS112
    v4([192, 88, 99, 0], 24),  // 6to4 relays
    v4([192, 168, 0, 0], 16),  // private
    v4([198, 18, 0, 0], 15),   // benchmarks
    v4([198, 51, 100, 0], 24), // documentation
    v4([203, 0, 113, 0], 24),  // documentation
    v4([224, 0, 0, 0], 4),     // multicast
    v4([240, 0, 0, 0], 4),     // reserved, broadcast
];

/// All of IPv6 that is public, but for [`NOT_PUBLIC_V6`]: what is not inside (loopback, mapped and compatible IPv4,
/// unique local, link-local, site-local, multicast, ...) is not.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0], 23), // protocol assignments; Teredo, which hides an IPv4 address, is among them
    v6([0x2001, 0xdb8, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0], 16), // 6to4, which hides an IPv4 address
    v6([0x3fff, 0, 0, 0], 20), // documentation (RFC 9637)
];

/// NAT64 (RFC 6052): the last four bytes are the IPv4 address that is reached.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c, d]: [u16; 4], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// Whether an address belongs to the public internet.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|net| net.contains(&v4)),
        IpAddr::V6(v6) if NAT64.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            is_public(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(v6) => PUBLIC_V6.contains(&v6) && !NOT_PUBLIC_V6.iter().any(|net| net.contains(&v6)),
    }
}

/// Which addresses a client may connect to.
#[derive(Debug)]
pub(super) struct Reach {
    allow: Vec<IpNet>,
    plain: bool,
}

impl Reach {
    /// The networks in `allow`, and unless the calls are `plain` the public internet.
    pub(super) fn new(allow: Vec<IpNet>, plain: bool) -> Self {
        Self { allow, plain }
    }

    /// Whether `address` may be connected to.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let address = address.to_canonical();
        let allowed = self.allow.iter().any(|net| net.contains(&address));
        match allowed || (!self.plain && is_public(address)) {
            true => Ok(()),
            false => Err(Refused { address, plain: self.plain }),
        }
    }
}

/// An address that may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    address: IpAddr,
    plain: bool,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, plain } = self;
        match plain {
            true => write!(f, "{address} is not called in plain http unless `outbound.allow` names its network"),
            false => {
                write!(f, "{address} is not of the public internet, and `outbound.allow` does not name its network")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// A name without an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name has no address")]
pub(super) struct Unresolved;

/// Resolves names and lets only reachable addresses through.
pub(super) struct GuardedResolver {
    reach: Arc<Reach>,
    resolver: Arc<dyn Resolver>,
    lookups: Arc<Semaphore>,
}

impl GuardedResolver {
    pub(super) fn new(reach: Arc<Reach>, resolver: Arc<dyn Resolver>, lookups: Arc<Semaphore>) -> Self {
        Self { reach, resolver, lookups }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, resolver, lookups) =
            (Arc::clone(&self.reach), Arc::clone(&self.resolver), Arc::clone(&self.lookups));
        Box::pin(async move {
            let place = lookups.acquire_owned().await?;
            let found = spawn_blocking(move || {
                // Kept until the system has answered, though the caller may have left.
                let _place = place;
                resolver.lookup(name.as_str())
            });
            let found = found.await?.map_err(|_| Unresolved)?;
            let mut refused = None;
            let mut reachable = Vec::new();
            for address in found {
                match reach.check(address) {
                    Ok(()) => reachable.push(SocketAddr::new(address, 0)),
                    Err(reason) => refused = Some(reason),
                }
            }
            match (reachable.is_empty(), refused) {
                (false, _) => Ok(Box::new(reachable.into_iter()) as Addrs),
                (true, Some(refused)) => Err(refused.into()),
                (true, None) => Err(Unresolved.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_reached_unasked() {
        let table = [
            ("8.8.8.8", true),
            ("1.1.1.1", true),
            ("9.255.255.255", true),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.128.0.0", true),
            ("172.15.255.255", true),
            ("172.32.0.0", true),
            ("223.255.255.255", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("198.19.255.255", false),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("239.255.255.255", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700:4700::1111", true),
            ("2a00:1450:4001:82f::200e", true),
            ("64:ff9b::8.8.8.8", true), // NAT64 to the public internet
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),   // mapped
            ("::ffff:10.0.0.1", false),    // mapped
            ("::127.0.0.1", false),        // compatible
            ("::8.8.8.8", false),          // compatible, whatever is inside
            ("::ffff:0:127.0.0.1", false), // translated (RFC 2765)
            ("64:ff9b::127.0.0.1", false), // NAT64 to loopback
            ("64:ff9b::10.1.2.3", false),  // NAT64 to a private network
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b:1::8.8.8.8", false), // local-use NAT64 (RFC 8215)
            ("100::1", false),             // discard
            ("2001::1", false),            // Teredo
            ("2001:0:7f00:1::", false),    // Teredo with a loopback server
            ("2001:10::1", false),         // ORCHID
            ("2001:db8::1", false),        // documentation
            ("2002:7f00:1::", false),      // 6to4 of 127.0.0.1
            ("2002:a00:1::1", false),      // 6to4 of 10.0.0.1
            ("3fff::1", false),            // documentation
            ("5f00::1", false),            // segment routing
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ];
        let reach = Reach::new(Vec::new(), false);
        for (address, expected) in table {
            assert_eq!(reach.check(address.parse().unwrap()).is_ok(), expected, "{address}");
        }
        // A mapped public address is that address.
        assert!(reach.check("::ffff:8.8.8.8".parse().unwrap()).is_ok());
    }

    #[test]
    fn allowed_networks_are_reached_in_any_spelling_and_no_others() {
        let reach = Reach::new(vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()], false);
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("fd00::1", true),
            ("8.8.8.8", true),
            ("10.2.0.1", false),
            ("64:ff9b::10.1.2.3", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(reach.check(address.parse().unwrap()).is_ok(), expected, "{address}");
        }
    }

    #[test]
    fn plain_http_reaches_allowed_networks_only() {
        let reach = Reach::new(vec!["127.0.0.1/32".parse().unwrap()], true);
        assert!(reach.check("127.0.0.1".parse().unwrap()).is_ok());
        for address in ["8.8.8.8", "127.0.0.2", "2606:4700:4700::1111"] {
            let refused = reach.check(address.parse().unwrap()).unwrap_err().to_string();
            assert!(refused.contains(address) && refused.contains("outbound.allow"), "{refused}");
        }
    }
}
