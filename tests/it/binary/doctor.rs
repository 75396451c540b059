//! `keystead doctor`: each fault is made, found, and gone when it is mended; with the server up and stopped.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::process::{Ended, Place};

/// The findings whose text holds `what`, as `(severity, remedy)`.
fn findings(ended: &Ended, what: &str) -> Vec<(String, String)> {
    let answer: Value = serde_json::from_str(&ended.out).expect("JSON");
    let all = answer["findings"].as_array().expect("a list");
    let with = all.iter().filter(|finding| finding["what"].as_str().is_some_and(|text| text.contains(what)));
    let field = |finding: &Value, name: &str| finding[name].as_str().expect("a text").to_owned();
    with.map(|finding| (field(finding, "severity"), field(finding, "remedy"))).collect()
}

fn doctor(place: &Place) -> Ended {
    place.run(&["doctor", "--json"])
}

#[test]
fn a_fresh_server_has_warnings_only_up_and_stopped() {
    let place = Place::new();
    let server = place.start();
    let (up, text) = (doctor(&place), place.run(&["doctor"]));
    server.stop();
    let stopped = doctor(&place);
    for ended in [&up, &text, &stopped] {
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    }
    for ended in [&up, &stopped] {
        assert_eq!(findings(ended, "addresses are not verified in default")[0].0, "warning", "{ended:?}");
        assert_eq!(findings(ended, "a password costs 8 KiB and 1 passes")[0].0, "warning");
        assert_eq!(findings(ended, "the certificate is from a CA of our own")[0].0, "hint");
        assert_eq!(findings(ended, "the master key lies beside the projects")[0].0, "hint");
    }
    assert!(text.out.contains("\n  remedy: set verification.mode = \"strict\" or \"lenient\"\n"), "{}", text.out);
}

#[test]
fn an_open_data_directory_is_an_error_until_it_is_closed() {
    let place = Place::new();
    let _server = place.start();
    let mode = |mode| fs::set_permissions(place.data(), fs::Permissions::from_mode(mode)).expect("ours");
    mode(0o755);
    let found = doctor(&place);
    assert_eq!((found.code, found.err.as_str()), (Some(1), ""), "{found:?}");
    let expected = [("error".to_owned(), "chmod 700 keystead-data".to_owned())];
    assert_eq!(findings(&found, "keystead-data has mode 755"), expected);
    mode(0o700);
    assert_eq!(doctor(&place).code, Some(0));
    let key = place.data().join("master.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("ours");
    assert_eq!(findings(&doctor(&place), "master.key may be read by other users")[0].0, "error");
}

#[test]
fn a_project_that_cannot_be_used_is_named() {
    let place = Place::new();
    place.start().stop();
    fs::write(place.data().join("master.key"), [7; 32]).expect("another key");
    let found = doctor(&place);
    assert_eq!(found.code, Some(1), "{found:?}");
    let broken = findings(&found, "project default cannot be used: project default: its keys are sealed under another");
    assert_eq!(broken[0].0, "error", "{found:?}");
}

#[test]
fn what_keeps_the_server_from_starting_is_found() {
    let place = Place::new();
    let nothing = doctor(&place);
    assert_eq!(nothing.code, Some(1));
    assert_eq!(findings(&nothing, "keystead-data does not exist").len(), 1, "{nothing:?}");
    place.start().stop();
    let wrong = place.clone().set("HASHING__ITERATIONS", "many").set("LISTEN__MAX_CONNECTIONS", "0");
    let found = doctor(&wrong);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert_eq!(findings(&found, "KEYSTEAD_HASHING__ITERATIONS: hashing.iterations: expects a whole number").len(), 1);
    assert_eq!(findings(&found, "KEYSTEAD_LISTEN__MAX_CONNECTIONS").len(), 1);
    let files = place.set("TLS__MODE", "files").set("TLS__CERT", "cert.pem").set("TLS__KEY", "key.pem");
    let found = doctor(&files);
    assert_eq!((found.code, findings(&found, "cert.pem: No such file").len()), (Some(1), 1), "{found:?}");
}

#[test]
fn a_configuration_that_is_written_and_not_in_force_is_found() {
    let place = Place::new().arguments(&["--config", "keystead.toml"]);
    place.write("keystead.toml", "");
    let _server = place.start();
    place.write("keystead.toml", "store.cache_mib = 5\nproject.default.conceal = true\n");
    let found = doctor(&place);
    let reload = findings(&found, "other values than are in force: project.default.conceal");
    assert_eq!(reload, [("hint".to_owned(), "`keystead reload`".to_owned())], "{found:?}");
    let restart = findings(&found, "other values than are in force: store.cache_mib");
    assert_eq!(restart, [("hint".to_owned(), "restart the server".to_owned())]);
    place.write("keystead.toml", "nonsense = 1\n");
    let found = doctor(&place);
    assert_eq!((found.code, findings(&found, "nonsense")[0].0.as_str()), (Some(1), "error"), "{found:?}");
}
