//! Mistakes in the configuration, all told at once and nothing made; which source wins.

use std::fs;

use super::process::{Ended, Place, Process};

/// What is in the working directory.
fn left(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path()).expect("the working directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn serve(place: &Place) -> Ended {
    Process::start(&mut place.serve()).ended()
}

#[test]
fn every_mistake_is_told_at_once_and_nothing_is_made() {
    let place = Place::new()
        .unset("LISTEN__ADDRESSES")
        .set("HASHING__ITERATIONS", "many")
        .set("PROJECT__DEFAULT__LOCKOUT__WINDOW", "a while")
        .arguments(&["--config", "keystead.toml", "--listen", "0.0.0.0:0", "--listen", "nowhere"]);
    let file = "data_dri = \"elsewhere\"\n[tls]\nmode = \"off\"\n[project.default.password]\nmin_length = 0\n\
                [project.default.verification]\nmode = \"strickt\"\n";
    place.write("keystead.toml", file);
    let ended = serve(&place);
    assert_eq!((ended.code, ended.out.as_str()), (Some(78), ""), "{}", ended.err);
    let told = [
        ("keystead.toml", "data_dri", "data_dir"),
        ("keystead.toml", "tls.mode", "0.0.0.0:0"),
        ("keystead.toml", "project.default.password.min_length", "0 is outside"),
        ("keystead.toml", "project.default.verification.mode", "strict"),
        ("KEYSTEAD_HASHING__ITERATIONS", "hashing.iterations", "whole number"),
        ("KEYSTEAD_PROJECT__DEFAULT__LOCKOUT__WINDOW", "project.default.lockout.window", "a while"),
        ("--listen", "listen.addresses", "nowhere"),
    ];
    // A block for each mistake: source, key, reason.
    let blocks: Vec<_> = ended.err.split("\n\n").collect();
    for (source, key, reason) in told {
        let found = blocks.iter().any(|block| [source, key, reason].iter().all(|part| block.contains(part)));
        assert!(found, "{source}, {key}, {reason} in {}", ended.err);
    }
    assert_eq!(blocks.len(), told.len() + 2, "a heading, the mistakes, where help is: {}", ended.err);
    assert_eq!(left(&place), ["keystead.toml"]);

    let checked = place.run(&["config", "check", "--config", "keystead.toml", "--json"]);
    assert_eq!(checked.code, Some(78), "{checked:?}");
    let answer: serde_json::Value = serde_json::from_str(&checked.out).expect("JSON");
    assert_eq!(answer["ok"], false);
    assert!(answer["problems"].as_array().is_some_and(|all| all.len() > 3), "{answer}");
    assert_eq!(left(&place), ["keystead.toml"]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_in_the_configuration() {
    let place = Place::new().arguments(&["--config", "absent.toml"]);
    let ended = serve(&place);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.err.contains("absent.toml"), "{}", ended.err);
    place.write("absent.toml", "data_dir = \n");
    let ended = serve(&place);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.err.contains("absent.toml"), "{}", ended.err);
    assert_eq!(left(&place), ["absent.toml"]);
}

#[test]
fn a_template_with_a_mistake_stops_the_start_and_says_where() {
    let place = Place::new().set("MAIL__TEMPLATES", "templates");
    fs::create_dir_all(place.path().join("templates/en")).expect("a folder");
    place.write("templates/en/verify-email.txt", "one\ntwo {{ link\n");
    place.write("templates/en/locked-out.subject", "Locked\n\n{{ code }}\n");
    // In the layout of Nhost Auth.
    fs::create_dir_all(place.path().join("templates/fr/password-reset")).expect("a folder");
    place.write("templates/fr/password-reset/subject.txt", "Mot de passe");
    place.write("templates/fr/password-reset/body.html", "<p>\n${code}</p>");
    let ended = serve(&place);
    let checked = place.run(&["config", "check"]);
    for ended in [&ended, &checked] {
        assert_eq!((ended.code, ended.out.as_str()), (Some(78), ""), "{ended:?}");
        for (place, reason) in [
            ("templates/en/verify-email.txt:2: ", "syntax error"),
            ("templates/en/locked-out.subject:3: ", "the template may not use such a value"),
            ("templates/fr/password-reset/body.html:2: ", "no value is called \"code\""),
        ] {
            let told = ended.err.lines().any(|line| line.contains(place) && line.contains(reason));
            assert!(told, "{place}, {reason} in {}", ended.err);
        }
        assert!(ended.err.contains("mail.templates"), "{}", ended.err);
    }
    assert_eq!(left(&place), ["templates"], "nothing is made");
    place.write("templates/en/verify-email.txt", "one\ntwo {{ link }}\n");
    place.write("templates/en/locked-out.subject", "Locked\n");
    place.write("templates/fr/password-reset/body.html", "<p>\n${link}</p>");
    let previewed = place.run(&["mail", "preview", "password-reset", "--locale", "fr"]);
    assert!(previewed.out.starts_with("Subject: Mot de passe\n\n<p>\nhttps:"), "HTML is all there is: {previewed:?}");
    assert_eq!(place.start().stop().code, Some(0));
}

#[test]
fn plain_http_is_refused_where_strangers_listen_in() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let place = Place::new().set("LISTEN__ADDRESSES", address).set("TLS__MODE", "off");
        let ended = serve(&place);
        assert_eq!((ended.code, left(&place)), (Some(78), Vec::new()), "{address}: {}", ended.err);
        assert!(ended.err.contains("listen.behind_proxy"), "{}", ended.err);
    }
    let place = Place::new().set("LISTEN__ADDRESSES", "0.0.0.0:0").set("TLS__MODE", "off");
    let server = place.set("LISTEN__BEHIND_PROXY", "true").start();
    assert!(server.url().starts_with("http://0.0.0.0:"), "{}", server.line);
}

#[test]
fn a_wrong_command_line_is_a_matter_of_usage() {
    let place = Place::new();
    for arguments in [
        &["serve", "--nonsense"][..],
        &["sreve"],
        &[],
        &["user", "create"],
        &["user", "list", "--limit", "many"],
        &["session", "revoke"],
        &["key", "rotate", "--now", "--overlap", "1h"],
        &["project", "create", "x", "--set", "no-equals-sign"],
    ] {
        let ended = place.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains("--help"), "{arguments:?}: {}", ended.err);
    }
    assert_eq!(left(&place), Vec::<String>::new());
    for arguments in [&["--version"][..], &["--help"], &["help", "serve"], &["version"]] {
        let ended = place.run(arguments);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!ended.out.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let made = |place: &Place, directory: &str| {
        let server = place.start();
        assert!(place.path().join(directory).join("master.key").exists(), "{directory}: {:?}", left(place));
        let found = left(place).into_iter().filter(|name| name != "keystead.toml").collect::<Vec<_>>();
        assert_eq!(found, [directory], "{}", server.line);
    };
    let file = |place: Place| {
        place.write("keystead.toml", "data_dir = \"by-file\"\n");
        place.set("CONFIG", "keystead.toml")
    };
    let environment = |place: Place| place.set("DATA_DIR", "by-environment");
    made(&Place::new(), "keystead-data");
    made(&file(Place::new()), "by-file");
    made(&environment(file(Place::new())), "by-environment");
    made(&environment(file(Place::new())).arguments(&["--data-dir", "by-flag"]), "by-flag");
}

#[test]
fn the_example_is_a_right_configuration() {
    let place = Place::new();
    let example = place.run(&["config", "example"]);
    assert_eq!(example.code, Some(0), "{example:?}");
    place.write("keystead.toml", &example.out);
    let checked = place.run(&["config", "check", "--config", "keystead.toml"]);
    assert_eq!((checked.code, checked.out.as_str()), (Some(0), "the configuration is right\n"), "{checked:?}");
}
