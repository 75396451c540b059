//! What protects connections: the modes of `[tls]` and what each of them needs.

use super::*;

#[test]
fn plain_http_only_where_nobody_else_hears_it() {
    let tls_off = |listen: &str| load_with(&format!("[tls]\nmode = \"off\"\n[listen]\n{listen}\n"), &[]);
    assert_eq!(tls_off("").unwrap().tls.mode, TlsMode::Off);
    assert!(tls_off("addresses = [\"[::1]:0\", \"localhost:80\", \"unix:/run/k.sock\"]").is_ok());
    assert!(tls_off("addresses = [\"0.0.0.0:80\"]\nbehind_proxy = true").is_ok());
    for exposed in ["0.0.0.0:80", "[::]:80", "auth.example.com:80", "192.0.2.1:80"] {
        let (_, key, reason) = problem(tls_off(&format!("addresses = [\"127.0.0.1:1\", \"{exposed}\"]")));
        assert!(key == "tls.mode" && reason.contains(exposed), "{reason}");
    }
}

#[test]
fn who_can_reach_the_server() {
    let local = |listen: &str| load_with(&format!("[listen]\n{listen}\n"), &[]).unwrap().listen.is_local_only();
    for listen in ["", "public_url = \"https://localhost:8443\"", "public_url = \"https://[::1]:8443\""] {
        assert!(local(listen), "{listen}");
    }
    for listen in [
        "addresses = [\"0.0.0.0:8443\"]",
        "addresses = [\"127.0.0.1:8443\", \"unix:/run/k.sock\"]",
        "trusted_proxies = [\"127.0.0.1/32\"]",
        "behind_proxy = true",
        // A proxy that is not trusted, or a forwarded port: clients come by another name.
        "public_url = \"https://auth.example.com\"",
        "public_url = \"https://localhost.example.com\"",
    ] {
        assert!(!local(listen), "{listen}");
    }
}

#[test]
fn certificate_files_and_their_mode_belong_together() {
    let files = load_with("[tls]\nmode = \"files\"\ncert = \"c\"\nkey = \"k\"\n", &[]).unwrap();
    assert_eq!(files.tls.mode, TlsMode::Files { cert: "c".into(), key: "k".into() });
    assert_eq!(problems(load_with("[tls]\nmode = \"files\"\n", &[])).len(), 2);
    assert_eq!(problem(load_with("[tls]\ncert = \"c\"\n", &[])).1, "tls.cert");
}

#[test]
fn a_certificate_from_an_acme_server_needs_names_and_a_place_to_stay() {
    let settings = load_with("[tls]\nmode = \"acme\"\nacme.domains = [\"Auth.example.com\"]", &[]).unwrap();
    assert_eq!((settings.tls.mode, settings.tls.acme.domains), (TlsMode::Acme, vec!["auth.example.com".to_owned()]));
    for (line, key) in [
        ("domains = [\"localhost\"]", "tls.acme.domains"),
        ("domains = [\"10.0.0.1\"]", "tls.acme.domains"),
        ("domains = [\"*.example.com\"]", "tls.acme.domains"),
        ("contact = [\"mailto:ops@example.com\"]\ndomains = [\"a.example\"]", "tls.acme.contact"),
        ("directory_url = \"http://a.example\"\ndomains = [\"a.example\"]", "tls.acme.directory_url"),
        ("eab_key_id = \"k\"\ndomains = [\"a.example\"]", "tls.acme.eab_key_id"),
        ("eab_hmac_key = \"k k\"\ndomains = [\"a.example\"]", "tls.acme.eab_hmac_key"),
    ] {
        let found = problems(load_with(&format!("[tls]\nmode = \"acme\"\n[tls.acme]\n{line}"), &[]));
        assert!(found.iter().any(|problem| problem.1 == key), "{line}: {found:?}");
    }
    let overrides = Overrides { ephemeral: true, ..Overrides::default() };
    let variables = environment(&[("KEYSTEAD_TLS__MODE", "acme"), ("KEYSTEAD_TLS__ACME__DOMAINS", "a.example")]);
    assert_eq!(problem(load(&overrides, &variables)).1, "tls.mode");
    let off = "[tls]\nmode = \"off\"\n[listen]\nredirect = \"127.0.0.1:80\"";
    assert_eq!(problem(load_with(off, &[])).1, "listen.redirect");
}
