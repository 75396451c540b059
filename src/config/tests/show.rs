//! Settings shown with their sources, and compared.

use std::fs;

use super::mail::ca_file;
use super::*;
use crate::config::keys::{Listed, Listing};

#[test]
fn what_is_shown_reads_back_as_the_same_settings() {
    let ca = ca_file();
    let toml = r#"
        master_key_file = "/k"
        [tls]
        mode = "files"
        cert = "c"
        key = "k"
        acme = { domains = ["a.example"], ca_file = "/ca", eab_key_id = "k", eab_hmac_key = "SECRET" }
        [listen]
        redirect = "0.0.0.0:80"
        public_url = "https://a.example"
        trusted_proxies = ["10.0.0.0/8"]
        [metrics]
        listen = "127.0.0.1:9464"
        [outbound]
        allow = ["127.0.0.1", "10.0.0.0/8"]
        ca_file = "o"
        [mail]
        from = "A <a@a.example>"
        reply_to = "b@a.example"
        locale = "fr"
        smtp = { host = "smtp.a.example", username = "u", password = "SECRET", ca_file = "CERTIFICATES", helo_name = "a.example" }
        file.dir = "d"
        webhook = { url = "https://mail.a.example/x", secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }
        [project.shop]
        mail = { from = "shop@a.example", locale = "pt-BR", app_name = "The Shop" }
        verification.link = "https://a.example/verify?t={token}"
        hosts = ["a.example"]
        secret = "SECRET"
        nora.jwt_secret = "SECRET"
        id = "0193a5e2-7c1e-7d3a-9b1f-3f6c2a7d9e10"
        tokens.access_ttl = "90s"
        webhooks.app = { url = "https://app.example/hook?key=k", secret = "SECRET", events = ["auth.login.success"] }
        bot = { provider = "turnstile", secret = "SECRET", site_key = "site", verify_url = "https://bot.example/check" }
    "#;
    let toml = toml.replace("SECRET", SECRET).replace("CERTIFICATES", &ca.path().to_string_lossy());
    let mut settings = load_with(&toml, &[]).unwrap();
    let shown = annotated(&settings.shown());
    assert!(!shown.contains(SECRET) && !shown.contains("whsec_"));
    // A key in a form of its own is hidden all the same.
    let key = "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
    let (before, webhook) = shown.split_once("[mail.webhook]").unwrap();
    let shown = format!("{before}[mail.webhook]{}", webhook.replacen("secret = \"[secret]\"", key, 1));
    let again = load_with(&shown.replace("[secret]", SECRET), &[]).unwrap();
    assert_eq!(format!("{again:?}"), format!("{settings:?}"));

    let mut in_shown = Vec::new();
    leaves("", &parse_toml(&shown).unwrap(), &mut in_shown);
    let mut reader = reader_of(parse_toml(&toml).unwrap());
    resolve::settings(&mut reader);
    let listing = Listing::of(&mut settings, "", false);
    let is_unset = |key: &str| listing.keys().any(|k| k.path == key && matches!(k.value, Listed::Unset));
    // A secret is shown under its own name, wherever it lies.
    let is_elsewhere = |key: &str| key.strip_suffix("_file").is_some_and(|secret| in_shown.iter().any(|k| k == secret));
    let all = reader.known().iter().filter(|key| !in_shown.contains(key) && !is_unset(key) && !is_elsewhere(key));
    let missing: Vec<_> = all.collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_value_says_where_it_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let (config, kept) = (dir.path().join("k.toml"), dir.path().join("kept"));
    fs::write(&kept, SECRET).unwrap();
    let toml = format!(
        "[project.shop]\nsecret_file = {kept:?}\nlockout = {{ failures = 4,\n  window = \"2m\" }}\n\n\
         [hashing]\nmemory_kib = 64\n"
    );
    fs::write(&config, toml).unwrap();
    let credentials = [("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap())];
    fs::write(dir.path().join("project.other.secret"), SECRET).unwrap();
    let variables = [credentials[0], ("KEYSTEAD_PROJECT__SHOP__CONCEAL", "true")];
    let overrides = Overrides { config: Some(config), listen: vec!["127.0.0.1:0".into()], ..Overrides::default() };
    let settings = load(&overrides, &environment(&variables)).unwrap();
    let kept = [("other", Some("lockout.failures = 3\n")), ("shop", Some("conceal = false\nhosts = [\"s.example\"]"))];
    let shown = settings.with_projects(kept).unwrap().shown();
    let source = |key: &str| {
        let shown = shown.iter().find(|shown| shown.key == key).unwrap();
        shown.source.replace(&format!("{}/", dir.path().display()), "")
    };
    assert_eq!(source("data_dir"), "default");
    assert_eq!(source("listen.addresses"), "--listen");
    assert_eq!(source("hashing.memory_kib"), "k.toml:7");
    assert_eq!(source("project.shop.lockout.failures"), "k.toml:3");
    assert_eq!(source("project.shop.lockout.window"), "k.toml:4");
    assert_eq!(source("project.shop.secret"), "a file (k.toml:2)");
    assert_eq!(source("project.shop.conceal"), "KEYSTEAD_PROJECT__SHOP__CONCEAL");
    assert_eq!(source("project.shop.hosts"), "the settings project `shop` was created with");
    assert_eq!(source("project.other.lockout.failures"), "the settings project `other` was created with");
    assert_eq!(source("project.other.secret"), "the systemd credential project.other.secret");
    assert!(shown.iter().all(|shown| !shown.value.to_string().contains(SECRET)));
}

#[test]
fn settings_differ_where_a_key_does_secrets_too() {
    let with =
        |secret: &str, more: &str| load_with(&format!("[project.a]\nsecret = \"{secret}\"\n{more}"), &[]).unwrap();
    let one = with(SECRET, "");
    assert_eq!(one.differences(&with(SECRET, "lockout.failures = 5\n")), Vec::<String>::new());
    let other = with("fedcba9876543210fedcba9876543210", "lockout.failures = 4\npublic_url = \"https://a.example\"\n");
    let expected = ["project.a.lockout.failures", "project.a.public_url", "project.a.secret"];
    assert_eq!(one.differences(&other), expected);
}
