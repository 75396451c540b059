//! The configuration as an operator meets it: files, variables, flags in; settings or every mistake out.

mod calls;
mod mail;
mod nhost;
mod show;
mod tls;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::value::{Dict, Value};
use proptest::prelude::*;

use super::layers::{Layer, Origin};
use super::reader::Reader;
use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads `toml` as `keystead.toml` in a fresh directory, with these variables.
fn load_with(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, Problems> {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("keystead.toml");
    fs::write(&config, toml).unwrap();
    load(&Overrides { config: Some(config), ..Overrides::default() }, &environment(variables))
}

/// The problems as `(end of the source without its line, key, reason)`.
fn problems<T: std::fmt::Debug>(result: Result<T, Problems>) -> Vec<(String, String, String)> {
    let tail = |source: &str| {
        let name = Path::new(source).file_name().unwrap().to_string_lossy().into_owned();
        name.split_once(".toml:").map_or(name.clone(), |(name, _)| format!("{name}.toml"))
    };
    result.unwrap_err().0.into_iter().map(|p| (tail(&p.source), p.key, p.reason)).collect()
}

/// The one problem there is, as `(end of the source, key, reason)`.
fn problem<T: std::fmt::Debug>(result: Result<T, Problems>) -> (String, String, String) {
    let all = problems(result);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

fn mins(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[test]
fn nothing_at_all_is_the_defaults() {
    let settings = load(&Overrides::default(), &environment(&[("PATH", "/bin"), ("KEYSTEAD_LOG", "debug")])).unwrap();
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
    assert_eq!(settings.listen.addresses[0].to_string(), "127.0.0.1:8443");
    assert!(settings.projects.is_empty());
    let project = settings.project("default", None).unwrap();
    assert_eq!(format!("{project:?}"), format!("{:?}", ProjectSettings::named("default")));
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let toml = "data_dir = \"from-file\"\n[listen]\naddresses = [\"127.0.0.1:1\"]\n";
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("k.toml");
    fs::write(&config, toml).unwrap();
    let variables = environment(&[("KEYSTEAD_DATA_DIR", "from-env"), ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:2")]);
    let mut overrides = Overrides::default();
    let seen = |overrides: &Overrides, variables: &BTreeMap<String, String>| {
        let settings = load(overrides, variables).unwrap();
        (settings.data_dir, settings.listen.addresses[0].to_string())
    };
    assert_eq!(seen(&overrides, &BTreeMap::new()), ("keystead-data".into(), "127.0.0.1:8443".into()));
    overrides.config = Some(config.clone());
    assert_eq!(seen(&overrides, &BTreeMap::new()), ("from-file".into(), "127.0.0.1:1".into()));
    assert_eq!(seen(&overrides, &variables), ("from-env".into(), "127.0.0.1:2".into()));
    overrides.data_dir = Some("from-flag".into());
    overrides.listen = vec!["127.0.0.1:3".into()];
    assert_eq!(seen(&overrides, &variables), ("from-flag".into(), "127.0.0.1:3".into()));

    overrides.listen.push("nowhere".into());
    assert_eq!(problem(load(&overrides, &variables)).0, "--listen");

    let by_variable = environment(&[("KEYSTEAD_CONFIG", config.to_str().unwrap())]);
    assert_eq!(load(&Overrides::default(), &by_variable).unwrap().data_dir, PathBuf::from("from-file"));
}

#[test]
fn a_project_keeps_what_it_was_created_with_until_file_or_environment_say_otherwise() {
    let file = "[project.shop.lockout]\nwindow = \"2m\"\nduration = \"2m\"\n";
    let settings = load_with(file, &[("KEYSTEAD_PROJECT__SHOP__LOCKOUT__DURATION", "3m")]).unwrap();
    let stored = "[lockout]\nfailures = 1\nwindow = \"1m\"\nduration = \"1m\"\n";
    let lockout = settings.project("shop", Some(stored)).unwrap().lockout;
    let expected = Lockout { failures: 1, account_failures: 100, window: mins(2), duration: mins(3) };
    assert_eq!(lockout, expected);
    // Another project is untouched by it, and need not be declared.
    assert_eq!(settings.project("other", Some("conceal = true")).unwrap().lockout, Lockout::default());
    let (source, key, _) = problem(settings.project("shop", Some("concel = true")));
    assert_eq!(
        (source.as_str(), key.as_str()),
        ("the settings project `shop` was created with", "project.shop.concel")
    );
}

#[test]
fn every_mistake_is_told_at_once_with_source_key_and_reason() {
    let toml = r#"
        data_dri = "x"
        [listen]
        addresses = ["nowhere"]
        max_connections = 0
        [hashing]
        memory_kib = "much"
        [tls]
        mode = "acme"
        [mail]
        transport = "pigeon"
        [project.default.verification]
        delivery = "pigeon"
        [project.default.providers.google]
        client_id = "x"
        [project.Shop]
        enabled = true
    "#;
    let variables = [
        ("KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__FAILURES", "101"),
        ("KEYSTEAD_PROJECT__DEFAULT__LOCKOT__WINDOW", "15m"),
        ("KEYSTEAD_data_dir", "x"),
    ];
    let later = "arrives in a later version of Keystead";
    let mut found = problems(load_with(toml, &variables));
    found.sort();
    let told: Vec<(&str, &str)> = found.iter().map(|(source, key, _)| (source.as_str(), key.as_str())).collect();
    let expected = [
        ("KEYSTEAD_PROJECT__DEFAULT__LOCKOT__WINDOW", "project.default.lockot.window"),
        ("KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__FAILURES", "project.default.lockout.failures"),
        ("KEYSTEAD_data_dir", ""),
        ("keystead.toml", "data_dri"),
        ("keystead.toml", "hashing.memory_kib"),
        ("keystead.toml", "listen.addresses"),
        ("keystead.toml", "listen.max_connections"),
        ("keystead.toml", "mail.transport"),
        ("keystead.toml", "project.Shop"),
        ("keystead.toml", "project.default.providers"),
        ("keystead.toml", "project.default.verification.delivery"),
        ("keystead.toml", "tls.mode"),
    ];
    assert_eq!(told, expected);
    let reason = |key: &str| found.iter().find(|p| p.1 == key).unwrap().2.as_str();
    assert_eq!(reason("data_dri"), "unknown key; did you mean `data_dir`?");
    assert_eq!(
        reason("project.default.lockot.window"),
        "unknown variable; did you mean KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__WINDOW?"
    );
    assert_eq!(reason("project.default.lockout.failures"), "101 is outside 1 to 100");
    assert_eq!(reason("hashing.memory_kib"), "expects a whole number, found a text");
    assert!(reason("tls.mode").contains("tls.acme.domains"));
    assert!(reason("mail.transport").ends_with("write \"none\" or \"smtp\" or \"file\" or \"log\" or \"webhook\""));
    assert_eq!(reason("project.default.providers"), later);
}

#[test]
fn problems_read_as_blocks_and_end_with_help() {
    let text = Problems::one("k.toml", "listen.adresses", "unknown key").to_string();
    let block = "1 mistake in the configuration:\n\n  k.toml\n    key:    listen.adresses\n    reason: unknown key\n\n";
    assert!(text.starts_with(block), "{text}");
    assert!(text.ends_with("`keystead config check` tries a configuration without starting."), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_or_is_not_toml_is_a_mistake_without_quoting_it() {
    let missing = Overrides { config: Some("/nonexistent/k.toml".into()), ..Overrides::default() };
    assert_eq!(problem(load(&missing, &BTreeMap::new())).2, "there is no such file");
    let (_, _, reason) = problem(load_with(&format!("[project.default]\nsecret = {SECRET}hunter2\n"), &[]));
    assert!(reason.starts_with("not TOML: line 2, column "), "{reason}");
    assert!(!reason.contains("hunter2") && !reason.contains(SECRET), "{reason}");
}

#[test]
fn a_section_given_as_a_value_and_a_quoted_path_are_mistakes() {
    assert_eq!(problem(load_with("listen = 3\n", &[])).2, "expects a section ([listen]), found a number");
    assert_eq!(problem(load_with("project = []\n", &[])).1, "project");
    assert_eq!(problem(load_with("\"listen.addresses\" = []\n", &[])).1, "\"listen.addresses\"");
    assert_eq!(problem(load_with("[project.\"a.b\"]\n", &[])).1, "project.\"a.b\"");
    assert_eq!(problem(load_with("", &[("KEYSTEAD_PROJECT__SHOP", "x")])).1, "project.shop");
    let both = [("KEYSTEAD_LISTEN", "x"), ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:1")];
    let sources: Vec<String> = problems(load_with("", &both)).into_iter().map(|p| p.0).collect();
    assert_eq!(sources, ["KEYSTEAD_LISTEN__ADDRESSES", "KEYSTEAD_LISTEN"]);
    assert_eq!(
        problem(load_with("", &[("KEYSTEAD_DATADIR", "x")])).2,
        "unknown variable; did you mean KEYSTEAD_DATA_DIR?"
    );
}

#[test]
fn environment_spells_lists_types_and_slugs() {
    let variables = [
        ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:1, [::1]:2"),
        ("KEYSTEAD_LISTEN__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"192.0.2.7\"]"),
        ("KEYSTEAD_LISTEN__BEHIND_PROXY", "true"),
        ("KEYSTEAD_HASHING__MEMORY_KIB", "64"),
        ("KEYSTEAD_PROJECT__MY_APP__CONCEAL", "true"),
        ("KEYSTEAD_PROJECT__MY_APP__HOSTS", ""),
        ("KEYSTEAD_PROJECT__MY_APP__SECRET", "01234567890123456789012345678901"),
    ];
    let settings = load(&Overrides::default(), &environment(&variables)).unwrap();
    let addresses: Vec<String> = settings.listen.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1:1", "[::1]:2"]);
    let proxies: Vec<String> = settings.listen.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.7/32"]);
    assert!(settings.listen.behind_proxy);
    assert_eq!(settings.hashing.memory_kib, 64);
    let app = &settings.projects["my-app"];
    assert!(app.conceal && app.hosts.is_empty());
    assert_eq!(app.secret.as_ref().unwrap().expose(), "01234567890123456789012345678901");
}

#[test]
fn a_list_in_the_environment_may_begin_with_an_ipv6_address() {
    for text in ["[::1]:2", "[::1]:2,127.0.0.1:1", " [\"[::1]:2\"] "] {
        let settings = load(&Overrides::default(), &environment(&[("KEYSTEAD_LISTEN__ADDRESSES", text)])).unwrap();
        assert_eq!(settings.listen.addresses[0].to_string(), "[::1]:2", "{text}");
    }
}

#[test]
fn a_secret_comes_inline_from_a_file_or_as_a_credential_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    fs::write(&kept, format!("{SECRET}\n")).unwrap();
    let kept = kept.to_str().unwrap();
    let credentials = dir.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    let with_credentials = [("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())];
    let secret = |settings: Settings| settings.projects["default"].secret.as_ref().unwrap().expose().clone();

    let in_file = format!("[project.default]\nsecret_file = {kept:?}\n");
    assert_eq!(secret(load_with(&in_file, &[]).unwrap()), SECRET);
    let (source, key, reason) = problem(load_with(&format!("{in_file}secret = \"{SECRET}\"\n"), &[]));
    assert_eq!((source.as_str(), key.as_str()), ("keystead.toml", "project.default.secret"));
    assert!(reason.starts_with("said twice"), "{reason}");

    // Another layer is no contradiction: the higher one wins, whatever its form.
    let other = "fedcba9876543210fedcba9876543210";
    let inline = format!("[project.default]\nsecret = \"{other}\"\n");
    let variable = [("KEYSTEAD_PROJECT__DEFAULT__SECRET_FILE", kept)];
    assert_eq!(secret(load_with(&inline, &variable).unwrap()), SECRET);

    fs::write(credentials.join("project.default.secret"), SECRET).unwrap();
    assert_eq!(secret(load_with(&inline, &with_credentials).unwrap()), SECRET);
    let both = [with_credentials[0], variable[0]];
    assert_eq!(problem(load_with("", &both)).0, "KEYSTEAD_PROJECT__DEFAULT__SECRET_FILE");
    fs::write(credentials.join("project.default.secret"), "short").unwrap();
    assert_eq!(problem(load_with(&inline, &with_credentials)).0, "the systemd credential project.default.secret");

    let missing = "[project.default]\nsecret_file = \"/nonexistent/secret\"\n";
    assert_eq!(problem(load_with(missing, &[])).2, "/nonexistent/secret: there is no such file");
}

#[test]
fn no_secret_shows_in_problems_or_debug() {
    let short = "hunter2-hunter2";
    let (_, _, reason) = problem(load_with(&format!("[project.default]\nsecret = \"{short}\"\n"), &[]));
    assert_eq!(reason, "has 15 characters; a project secret has 32 to 1024");
    let settings = load_with(&format!("[project.default]\nsecret = \"{SECRET}\"\n"), &[]).unwrap();
    assert!(!format!("{settings:?}").contains(SECRET));
    let url = "[listen]\npublic_url = \"https://me:hunter2@example.com\"\n";
    assert!(!problem(load_with(url, &[])).2.contains("hunter2"));
    let refused = problem(load_with("[project.default]\nsecret = 12\n", &[])).2;
    assert_eq!(refused, "expects a text in quotes, found a number");
}

#[test]
fn the_master_key_is_a_file_or_a_credential_never_inline() {
    let (_, key, reason) = problem(load_with("master_key = \"00\"\n", &[]));
    assert_eq!((key.as_str(), reason.as_str()), ("master_key", "unknown key; did you mean `master_key_file`?"));
    let settings = load_with("master_key_file = \"/k\"\n", &[]).unwrap();
    assert!(matches!(settings.master_key, Some(MasterKeySource::File(path)) if path == Path::new("/k")));
    let dir = tempfile::tempdir().unwrap();
    let variables = [("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap())];
    let credential = dir.path().join("master_key");
    for content in [vec![0xab; 32], [b"ab".repeat(32), b"\n".to_vec()].concat()] {
        fs::write(&credential, content).unwrap();
        let settings = load_with("", &variables).unwrap();
        assert!(matches!(settings.master_key, Some(MasterKeySource::Bytes(key)) if *key.expose() == [0xab; 32]));
    }
    assert_eq!(problem(load_with("master_key_file = \"/k\"\n", &variables)).1, "master_key_file");
    fs::write(&credential, b"zz".repeat(32)).unwrap();
    assert_eq!(problem(load_with("", &variables)).0, "the systemd credential master_key");
}

#[test]
fn bounds_hold_at_their_edges() {
    for (fits, breaks) in [
        ("[hashing]\nmemory_kib = 1048576", "[hashing]\nmemory_kib = 1048577"),
        ("[hashing]\nmemory_kib = 65536\niterations = 64", "[hashing]\nmemory_kib = 65537\niterations = 64"),
        ("[hashing]\nmemory_kib = 8", "[hashing]\nmemory_kib = 7"),
        ("[hashing]\nmemory_kib = 32\nparallelism = 4", "[hashing]\nmemory_kib = 31\nparallelism = 4"),
        ("[project.a.password]\nmin_length = 1", "[project.a.password]\nmin_length = 0"),
        ("[project.a.password]\nmin_length = 255", "[project.a.password]\nmin_length = 256"),
        ("[project.a.lockout]\nfailures = 100", "[project.a.lockout]\nfailures = 6\naccount_failures = 5"),
        ("[project.a.lockout]\nwindow = \"1s\"", "[project.a.lockout]\nwindow = \"999ms\""),
        ("[project.a.tokens]\naccess_ttl = \"24h\"", "[project.a.tokens]\naccess_ttl = \"25h\""),
        ("[project.a.tokens]\nrefresh_grace = \"0s\"", "[project.a.tokens]\nrefresh_grace = \"61s\""),
        ("[project.a.sessions]\nmax = 0", "[project.a.sessions]\nmax = -1"),
        ("[project.a.noma]\npath = \"/a/b\"", "[project.a.noma]\npath = \"a/b\""),
        ("[project.a.noma]\npath = \"/authentic\"", "[project.a.noma]\npath = \"/auth\""),
        (
            "[project.a.nora]\npath = \"/v1\"\n[project.a.nhost]\nenabled = false",
            "[project.a.nora]\npath = \"/v1/auth\"",
        ),
        ("[listen]\naddresses = [\"127.0.0.1:1\"]", "[listen]\naddresses = []"),
        ("[listen]\npublic_url = \"http://127.0.0.1:8080\"", "[listen]\npublic_url = \"http://auth.example.com\""),
        ("[project.a]\nhosts = [\"a.example\"]", "[project.a]\nhosts = [\"a.example\", \"A.example\"]"),
    ] {
        assert!(load_with(fits, &[]).is_ok(), "{fits}: {:?}", load_with(fits, &[]));
        assert_eq!(problems(load_with(breaks, &[])).len(), 1, "{breaks}");
    }
}

#[test]
fn projects_share_neither_host_nor_id() {
    let id = "0193a5e2-7c1e-7d3a-9b1f-3f6c2a7d9e10";
    let one = |slug: &str| format!("[project.{slug}]\nid = \"{id}\"\nhosts = [\"a.example\"]\n");
    let found = problems(load_with(&format!("{}{}", one("a"), one("b")), &[]));
    let keys: Vec<&str> = found.iter().map(|p| p.1.as_str()).collect();
    assert_eq!(keys, ["project.b.id", "project.b.hosts"]);
    let stored = |slug: &str| validate_stored(slug, "hosts = [\"a.example\"]").unwrap();
    assert!(check_together([&stored("a")]).is_ok());
    assert_eq!(check_together([&stored("a"), &stored("b")]).unwrap_err().0[0].key, "project.b.hosts");
}

#[test]
fn settings_of_a_new_project_are_kept_as_toml_and_read_back() {
    let set = |pairs: &[(&str, &str)]| {
        stored_from("shop", &pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<Vec<_>>())
    };
    let pairs =
        [("lockout.failures", "3"), ("hosts", "a.example,b.example"), ("conceal", "true"), ("tokens.access_ttl", "5m")];
    let shop = validate_stored("shop", &set(&pairs).unwrap()).unwrap();
    assert_eq!((shop.lockout.failures, shop.conceal, shop.tokens.access_ttl), (3, true, mins(5)));
    assert_eq!(shop.hosts, ["a.example", "b.example"]);
    let found = problems(set(&[("lockout.failurs", "3"), ("conceal", "maybe"), ("conceal", "true"), ("cors", "x")]));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|p| p.0 == "--set"));
    assert_eq!(problem(set(&[("secret", SECRET)])).1, "project.shop.secret");
    assert!(validate_stored("Shop", "").is_err());
    let bot = [("bot.provider", "turnstile"), ("bot.site_key", "k"), ("bot.secret", SECRET)];
    assert_eq!(problem(set(&bot)).1, "project.shop.bot.secret");
}

/// The example with its defaults in force, or also with what it shows of keys that are not set.
fn uncommented(unset_too: bool) -> String {
    let is_key = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            || line.starts_with('[') && line.ends_with(']')
    };
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(unset) if unset_too && is_key(unset) => unset.to_owned(),
        Some(_) => String::new(),
        None => line.strip_prefix('#').unwrap_or(line).to_owned(),
    };
    example().lines().map(|l| line(l) + "\n").collect()
}

fn reader_of(values: Dict) -> Reader {
    let layers = Figment::new().merge(Layer { origin: Origin::Environment, values });
    Reader::new(Declared { layers, ..Declared::default() })
}

fn leaves(prefix: &str, dict: &Dict, found: &mut Vec<String>) {
    for (name, value) in dict {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) => leaves(&path, inner, found),
            _ => found.push(path),
        }
    }
}

#[test]
fn the_example_is_the_defaults_and_names_every_key() {
    let mut expected = Settings::default();
    assert_eq!(format!("{:?}", load_with(&example(), &[]).unwrap()), format!("{expected:?}"));
    expected.projects.insert("default".into(), ProjectSettings::named("default"));
    assert_eq!(format!("{:?}", load_with(&uncommented(false), &[]).unwrap()), format!("{expected:?}"));

    let values = parse_toml(&uncommented(true)).unwrap();
    let mut in_example = Vec::new();
    leaves("", &values, &mut in_example);
    in_example.sort();
    let mut reader = reader_of(values);
    resolve::settings(&mut reader);
    let known: Vec<String> = reader.known().iter().cloned().collect();
    assert_eq!(in_example, known);
}

proptest! {
    #[test]
    fn outside_text_never_panics(
        text in "\\PC{0,80}",
        toml in "[a-z_.=\\[\\]\"0-9,\n -]{0,200}",
        name in "[A-Z_a-z]{0,40}",
    ) {
        let _ = forms::duration(&text);
        let _ = forms::listener(&text);
        let _ = forms::network(&text);
        let _ = forms::public_url(&text);
        let _ = forms::origin(&text);
        let _ = forms::mount(&text);
        let _ = parse_toml(&text);
        let _ = validate_stored("shop", &toml);
        let _ = stored_from("shop", &[(text.clone(), toml), (name.to_lowercase(), text.clone())]);
        let variables = environment(&[(&format!("KEYSTEAD_{name}"), &text), ("KEYSTEAD_LISTEN__ADDRESSES", &text)]);
        let _ = load(&Overrides::default(), &variables).map_err(|problems| problems.to_string());
    }

    #[test]
    fn a_duration_reads_back_as_it_is_spelled(millis in 0u64..10_000_000_000) {
        let span = Duration::from_millis(millis);
        prop_assert_eq!(forms::duration(&forms::spell_duration(span)), Ok(span));
    }

    #[test]
    fn a_listener_reads_back_as_it_is_spelled(port: u16, ip: std::net::IpAddr) {
        let address = ListenAddress::Tcp { host: ip.to_string(), port };
        prop_assert_eq!(forms::listener(&address.to_string()), Ok(address));
    }
}
