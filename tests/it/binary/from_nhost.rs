//! `keystead config from-nhost`: what it prints is a configuration that `config check` takes and a server starts with, and
//! what else is to be said is said beside it.

use serde_json::Value;

use super::process::Place;

/// As a small installation has it, written by people and by tools.
const SMALL: &str = "\u{feff}# nhost\r\nexport AUTH_SERVER_URL=\"http://localhost:4000/v1\"\r\nAUTH_CLIENT_URL=http://localhost:3000 # app\r\n\
    AUTH_PASSWORD_MIN_LENGTH=9\r\nHASURA_GRAPHQL_JWT_SECRET='{\"type\":\"HS256\", \"key\":\"5152fa850c02dc222631cca898ed1485821a70912a6e3649c49076912daa3b62\"}'\r\n\
    AUTH_PROVIDER_GITHUB_ENABLED=true\r\nAUTH_PROVIDER_GITHUB_CLIENT_SECRET=hush\r\n";

#[test]
fn what_it_prints_is_a_configuration() {
    let place = Place::new();
    for (name, text, secrets) in [
        ("empty.env", "", 0),
        ("small.env", SMALL, 1),
        (
            "mail.env",
            "AUTH_SMTP_HOST=mail\nAUTH_SMTP_SENDER=a@example.com\nAUTH_SMTP_USER=u\nAUTH_SMTP_PASS=p\nAUTH_TURNSTILE_SECRET=t\n",
            2,
        ),
        ("wrong.env", "AUTH_PASSWORD_MIN_LENGTH=-1\nAUTH_LOCALE_DEFAULT=English\nAUTH_CLIENT_URL=app\n", 0),
    ] {
        let file = place.write(name, text);
        let made = place.run(&["config", "from-nhost", file.to_str().expect("text"), "--slug", "my-app"]);
        assert_eq!(made.code, Some(0), "{}", made.err);
        assert!(made.out.contains("[project.my-app.verification]"), "{}", made.out);
        assert_eq!(made.err.contains("holds secrets"), secrets > 0, "{}", made.err);
        let config = place.write("keystead.toml", &made.out);
        let checked = place.run(&["config", "check", "--config", config.to_str().expect("text")]);
        assert_eq!(checked.code, Some(0), "{name}: {}", checked.err);
        let json = place.run(&["config", "from-nhost", file.to_str().expect("text"), "--slug", "my-app", "--json"]);
        let told: Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!(told["toml"].as_str().map(str::trim_end), Some(made.out.trim_end()));
        assert_eq!(told["secrets"].as_array().map(Vec::len), Some(secrets));
        assert_eq!(json.err, "");
    }
}

#[test]
fn a_server_starts_with_it() {
    let place = Place::new();
    let file = place.write("small.env", SMALL);
    let made = place.run(&["config", "from-nhost", file.to_str().expect("text")]);
    assert!(made.err.contains("AUTH_PROVIDER_GITHUB_*") && !made.err.contains("hush"), "{}", made.err);
    assert!(!made.err.contains("5152fa85") && made.out.contains("key = \"5152fa85"), "it is said where it is");
    let config = place.write("keystead.toml", &made.out);
    let server = place.arguments(&["--config", config.to_str().expect("text")]).start();
    assert_eq!(server.ready["projects"][0]["slug"], "default");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn what_cannot_be_read_is_told() {
    let place = Place::new();
    let file = place.write("wrong.env", "A=1\nsecret\nB='never closed\n");
    let file = file.to_str().expect("text");
    let told = place.run(&["config", "from-nhost", file]);
    assert_eq!((told.code, told.out.as_str()), (Some(78), ""));
    assert!(told.err.contains("line 2") && told.err.contains("line 3") && !told.err.contains("secret"), "{}", told.err);
    assert_eq!(place.run(&["config", "from-nhost", "nowhere.env"]).code, Some(1));
    assert_eq!(place.run(&["config", "from-nhost", file, "--slug", "No Slug"]).code, Some(78));
}
