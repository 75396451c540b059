//! Each fault that a test cannot make outside is made of facts.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::config::{Delivery, TlsMode, VerificationMode};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn facts(change: impl FnOnce(&mut Settings)) -> Facts {
    let mut settings = Settings::default();
    change(&mut settings);
    let slugs: Vec<_> = settings.projects.keys().cloned().collect();
    let projects = slugs.into_iter().map(|slug| {
        let state =
            State { settings: Arc::new(settings.projects[&slug].clone()), empty: true, dead: 0, failing: Vec::new() };
        Found { slug, state: Ok(state) }
    });
    let projects = projects.collect();
    Facts {
        backup_trouble: None,
        settings: Arc::new(settings),
        projects,
        data_dir: None,
        identity: None,
        trouble: None,
        hash: None,
        now: NOW,
        serving: true,
    }
}

fn declare(settings: &mut Settings, change: impl FnOnce(&mut ProjectSettings)) {
    let mut project = ProjectSettings::named("shop");
    change(&mut project);
    settings.projects.insert("shop".into(), project);
}

fn public(settings: &mut Settings) {
    settings.listen.addresses = vec!["0.0.0.0:443".parse().expect("a listener")];
}

/// The severities of the findings that say `what`.
fn found(facts: &Facts, what: &str) -> Vec<Severity> {
    judge(facts).into_iter().filter(|finding| finding.what.contains(what)).map(|finding| finding.severity).collect()
}

fn identity(names: &[&str], from: (i32, u8, u8), until: (i32, u8, u8)) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names");
    params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
    params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
    let dir = tempfile::tempdir().expect("a folder");
    let (cert_path, key_path) = (dir.path().join("c"), dir.path().join("k"));
    std::fs::write(&cert_path, params.self_signed(&key).expect("a certificate").pem()).expect("written");
    std::fs::write(&key_path, key.serialize_pem()).expect("written");
    net::load_certificate(&cert_path, &key_path, NOW).expect("a pair")
}

#[test]
fn a_quiet_server_of_the_public_has_no_findings() {
    let mut quiet = facts(|settings| {
        public(settings);
        settings.listen.public_url = Some("https://auth.example.com".into());
        settings.tls.mode = TlsMode::Files { cert: "c".into(), key: "k".into() };
        settings.listen.max_connections = 1;
        settings.ephemeral = true;
        declare(settings, |shop| {
            shop.verification.mode = VerificationMode::Strict;
            shop.verification.delivery = Delivery::Mail;
        });
    });
    quiet.identity = Some(identity(&["auth.example.com"], (2026, 1, 1), (2030, 1, 1)));
    quiet.hash = Some(Duration::from_millis(20));
    assert_eq!(judge(&quiet), []);
    quiet.trouble = Some("the ACME server: too many certificates".into());
    let told = judge(&quiet);
    assert!(told.len() == 1 && told[0].what.ends_with("the ACME server: too many certificates"), "{told:?}");
}

#[test]
fn the_certificate_is_looked_at_from_all_sides() {
    let with = |names: &[&str], from, until| {
        let mut facts = facts(|settings| {
            settings.listen.public_url = Some("https://auth.example.com".into());
            settings.tls.mode = TlsMode::Files { cert: "c".into(), key: "k".into() };
        });
        facts.identity = Some(identity(names, from, until));
        facts
    };
    let (named, wild, other) = (["auth.example.com"], ["*.example.com"], ["www.example.com"]);
    let (past, future) = ((2020, 1, 1), (2040, 1, 1));
    let says = |facts: &Facts| found(facts, "certificate");
    assert_eq!(says(&with(&named, past, future)), []);
    assert_eq!(says(&with(&wild, past, future)), []);
    assert_eq!(found(&with(&other, past, future), "is not for auth.example.com"), [Severity::Error]);
    assert_eq!(found(&with(&named, past, (2026, 1, 1)), "has expired"), [Severity::Error]);
    assert_eq!(found(&with(&named, future, (2041, 1, 1)), "is not valid before"), [Severity::Error]);
    // NOW is 2027-01-15.
    assert_eq!(found(&with(&named, past, (2027, 1, 20)), "expires at 2027-01-20"), [Severity::Warning]);
    assert!(machine::covers("*.example.com", "a.example.com") && !machine::covers("*.example.com", "a.b.example.com"));
    assert!(!machine::covers("*.example.com", "example.com") && machine::covers("A.example", "a.example"));
}

#[test]
fn what_settings_allow_strangers_is_found() {
    let off = |behind_proxy| {
        facts(|settings| {
            public(settings);
            settings.tls.mode = TlsMode::Off;
            settings.listen.behind_proxy = behind_proxy;
        })
    };
    assert_eq!(found(&off(true), "the proxy in front is not trusted"), [Severity::Warning]);
    assert_eq!(found(&off(true), "TLS is off"), [Severity::Warning]);
    assert_eq!(found(&off(false), "the proxy in front"), []);
    let public = facts(|settings| {
        public(settings);
        declare(settings, |_| ());
    });
    assert_eq!(found(&public, "listen.public_url is not set"), [Severity::Warning]);
    assert_eq!(found(&public, "from a CA of our own"), [Severity::Warning]);
    let by_mail = facts(|settings| {
        declare(settings, |shop| {
            shop.verification.mode = VerificationMode::Strict;
            shop.verification.delivery = Delivery::Mail;
        });
    });
    assert_eq!(found(&by_mail, "in shop addresses are proved by mail"), [Severity::Error]);
    let by_app = facts(|settings| declare(settings, |shop| shop.verification.mode = VerificationMode::Lenient));
    assert_eq!(found(&by_app, "tokens of shop are handed to whoever signs up"), [Severity::Warning]);
    assert_eq!(found(&by_app, "no mail is sent"), [Severity::Warning]);
    let switched_off = facts(|settings| declare(settings, |shop| shop.enabled = false));
    assert_eq!(found(&switched_off, "addresses are not verified"), []);
}

#[test]
fn a_stranger_who_may_be_the_first_admin_is_found() {
    let with = |first: bool, is_public: bool| {
        facts(|settings| {
            if is_public {
                public(settings);
            }
            declare(settings, |shop| shop.nora.first_user_admin = Some(first));
        })
    };
    let what = "whoever signs up first in project shop gets the role \"admin\"";
    assert_eq!(found(&with(true, true), what), [Severity::Warning]);
    assert_eq!(found(&with(true, false), what), []);
    assert_eq!(found(&with(false, true), what), []);
}

#[test]
fn hashes_that_are_cheap_or_slow_are_found() {
    let cost = |memory_kib, iterations| {
        facts(|settings| (settings.hashing.memory_kib, settings.hashing.iterations) = (memory_kib, iterations))
    };
    assert_eq!(found(&cost(19_455, 2), "a password costs 19455 KiB"), [Severity::Warning]);
    for enough in [(19_456, 2), (12_288, 3), (47_104, 1), (7_168, 8)] {
        assert_eq!(found(&cost(enough.0, enough.1), "a password costs"), [], "{enough:?}");
    }
    let mut slow = facts(|_| ());
    slow.hash = Some(Duration::from_millis(1500));
    assert_eq!(found(&slow, "one password takes 1500 ms"), [Severity::Warning]);
}

#[test]
fn disk_clock_and_limits_are_looked_at() {
    let severity = |mib: u64| machine::space(mib << 20, Path::new("/data")).map(|finding| finding.severity);
    assert_eq!((severity(1), severity(40), severity(600)), (Some(Severity::Error), Some(Severity::Warning), None));
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(data_dir::catalog(dir.path()), "{}").expect("written");
    let written = Env::system().now();
    let at = |now| {
        let mut facts = facts(|_| ());
        (facts.now, facts.data_dir) = (now, Some(dir.path().to_owned()));
        found(&facts, "the clock is wrong")
    };
    assert_eq!(at(written.plus(Duration::from_secs(1))), []);
    assert_eq!(at(Timestamp::from_millis(written.millis() - 600_000)), [Severity::Error]);
    let mut early = facts(|_| ());
    early.now = Timestamp::from_secs(1_000);
    assert_eq!(found(&early, "the clock is wrong: it is 1970-01-01"), [Severity::Error]);
    let greedy = facts(|settings| settings.listen.max_connections = 1_000_000_000);
    assert_eq!(found(&greedy, "of 1000000000 connections can be served"), [Severity::Warning]);
}

#[test]
fn what_does_not_get_through_is_found() {
    let mut facts = facts(|settings| declare(settings, |_| ()));
    let settings = Arc::clone(&facts.projects[0].state.as_ref().expect("usable").settings);
    facts.projects[0].state =
        Ok(State { settings, empty: false, dead: 3, failing: vec!["crm".into(), "billing".into()] });
    facts.projects.push(Found { slug: "lost".into(), state: Err("no such file".into()) });
    assert_eq!(found(&facts, "3 mails or calls of project shop were given up"), [Severity::Warning]);
    assert_eq!(found(&facts, "webhooks of project shop fail: crm and billing"), [Severity::Warning]);
    assert_eq!(found(&facts, "project lost cannot be used: no such file"), [Severity::Error]);
    assert_eq!(judge(&facts)[0].what, "project lost cannot be used: no such file", "the worst first");
}

#[test]
fn names_are_listed_as_people_do() {
    assert_eq!(listed(&["a"]), "a");
    assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    assert_eq!(listed(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
}
