//! What it listens on and speaks: IPv4, IPv6 and unix sockets; TLS 1.2 and 1.3; HTTP/1.1 and HTTP/2; certificates of the
//! operator's own, and none.

use std::os::unix::fs::PermissionsExt;

use reqwest::{Certificate, Version, tls};
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::client::{HOME, Raw, anon, anon_by};
use super::process::Place;
use crate::persona::Persona;

#[tokio::test]
async fn ipv4_ipv6_and_unix_listeners_serve_side_by_side() {
    let place = Place::new();
    let socket = place.path().join("app.sock");
    let unix = format!("unix:{}", socket.display());
    let server = place.arguments(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", &unix]).start();
    let urls: Vec<_> = server.ready["urls"].as_array().expect("a list").iter().filter_map(|url| url.as_str()).collect();
    assert_eq!(urls.len(), 3, "{}", server.line);
    assert!(urls[0].starts_with("https://127.0.0.1:"), "{}", server.line);
    assert!(urls[1].starts_with("https://[::1]:"), "{}", server.line);
    assert_eq!(urls[2], unix);
    let (ada, _) = anon(&server).sign_up("ada@example.com", "correct horse").await;
    assert_eq!(ada.get("/me").await.status, 200);
    let by_ipv6 = Persona::at(server.client().build().expect("a client"), urls[1], server.project());
    assert_eq!(by_ipv6.sign_in("ada@example.com", "correct horse").await.status, 200);
    let client = crate::persona::http().unix_socket(socket.clone()).build().expect("a client");
    let by_socket = Persona::at(client, "http://localhost", server.project());
    assert_eq!(by_socket.sign_in("ada@example.com", "correct horse").await.status, 200);
    let mode = std::fs::metadata(&socket).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o007, 0, "strangers may not connect: {mode:o}");
    assert_eq!(server.stop().code, Some(0));
    assert!(!socket.exists());
}

#[tokio::test]
async fn both_versions_of_tls_carry_both_versions_of_http() {
    let server = Place::new().start();
    for (offered, spoken) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let raw = Raw::with(&server, HOME, &[offered]).await.expect("a handshake");
        assert_eq!(raw.version(), Some(spoken));
    }
    for tls in [tls::Version::TLS_1_2, tls::Version::TLS_1_3] {
        for http in [Version::HTTP_11, Version::HTTP_2] {
            let client = server.client().tls_version_min(tls).tls_version_max(tls);
            let client = if http == Version::HTTP_11 { client.http1_only() } else { client };
            let client = client.build().expect("a client");
            let reply = client.get(format!("{}/healthz", server.url())).send().await.expect("a reply");
            assert_eq!((reply.version(), reply.status().as_u16()), (http, 200), "{tls:?}");
        }
    }
}

#[tokio::test]
async fn the_operators_own_certificate_is_served() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let place = Place::new().set("TLS__MODE", "files").set("TLS__CERT", "cert.pem").set("TLS__KEY", "key.pem");
    place.write("cert.pem", &made.cert.pem());
    place.write("key.pem", &made.signing_key.serialize_pem());
    let server = place.start();
    assert!(server.ready["ca"].is_null(), "{}", server.line);
    assert!(!place.data().join("tls").exists(), "no CA of our own is made");
    let theirs = Certificate::from_pem(made.cert.pem().as_bytes()).expect("a certificate");
    let client = crate::persona::http().tls_certs_only([theirs]);
    anon_by(&server, client).sign_up("ada@example.com", "correct horse").await;
    let line = server.process.err.so_far();
    assert!(!line.contains("--cacert"), "{line}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_anything_listens() {
    let place = Place::new().set("TLS__MODE", "files").set("TLS__CERT", "cert.pem").set("TLS__KEY", "key.pem");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let refused = |what: &str| {
        let ended = super::process::Process::start(&mut place.serve()).ended();
        assert!(matches!(ended.code, Some(1 | 78)), "{what}: {ended:?}");
        assert_eq!(ended.out, "", "{what}");
        assert!(ended.err.contains("cert.pem") || ended.err.contains("key.pem"), "{what}: {}", ended.err);
    };
    refused("no files");
    place.write("cert.pem", &made.cert.pem());
    place.write("key.pem", "not a key");
    refused("no key in the key's file");
    place.write("key.pem", &other.signing_key.serialize_pem());
    refused("the key of another certificate");
}

#[tokio::test]
async fn plain_http_is_spoken_on_loopback_when_asked_for() {
    let server = Place::new().set("TLS__MODE", "off").start();
    assert!(server.url().starts_with("http://127.0.0.1:") && server.ready["ca"].is_null(), "{}", server.line);
    let client = crate::persona::http();
    let (ada, _) = anon_by(&server, client).sign_up("ada@example.com", "correct horse").await;
    assert_eq!(ada.get("/me").await.status, 200);
    assert!(server.process.err.so_far().contains("TLS is off"));
}
