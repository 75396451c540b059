//! Forwarded headers: a stranger speaks for nobody, and what a proxy appended cannot be undone from its left.
#![no_main]

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use keystead::net::{ClientAddress, PeerAddress, Trust};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let trust = Trust { proxies: vec!["10.0.0.0/8".parse().expect("a network")], unix: false };
    let proxy = PeerAddress::Ip([10, 0, 0, 1].into());
    let stranger = PeerAddress::Ip([203, 0, 113, 9].into());
    for name in ["x-forwarded-for", "forwarded"] {
        let mut headers = HeaderMap::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        let settled = ClientAddress::settle(stranger, &headers, &trust);
        assert_eq!(settled, ClientAddress::new([203, 0, 113, 9].into()));
        ClientAddress::settle(proxy, &headers, &trust);
        let seen = if name == "forwarded" { "for=198.51.100.7" } else { "198.51.100.7" };
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(seen));
        let settled = ClientAddress::settle(proxy, &headers, &trust);
        assert_eq!(settled, ClientAddress::new([198, 51, 100, 7].into()));
    }
});
