//! Environment files as people have them, and what comes of them: always a configuration.

use super::sheet::mistakes;
use super::{Remark, Translation, from_nhost};

fn translated(text: &str) -> Translation {
    let made = from_nhost(text, "shop").expect("a translation");
    assert_eq!(mistakes(made.toml.expose()), [], "{}", made.toml.expose());
    made
}

/// Whether the configuration has this line.
fn has(made: &Translation, line: &str) -> bool {
    made.toml.expose().lines().any(|one| one == line)
}

fn told<'a>(remarks: &'a [Remark], name: &str) -> &'a str {
    remarks.iter().find(|one| one.name == name).map_or("", |one| one.text.as_str())
}

#[test]
fn an_empty_file_is_a_configuration_with_the_defaults_that_differ() {
    let made = translated("");
    for line in ["[project.shop.verification]", "mode = \"strict\"", "[project.shop.noma]", "format = \"json\""] {
        assert!(has(&made, line), "{line}");
    }
    assert!(!made.toml.expose().contains("min_length"), "8 stays");
    assert!(told(&made.different, "AUTH_PASSWORD_MIN_LENGTH").contains("3 bytes"));
    for name in ["AUTH_SERVER_URL", "AUTH_SMTP_HOST", "HASURA_GRAPHQL_JWT_SECRET"] {
        assert!(!told(&made.left, name).is_empty(), "{name}");
    }
    assert_eq!((made.secrets.len(), made.foreign), (0, 0));
}

const WHOLE: &str = r#"
AUTH_SERVER_URL=https://auth.example.com/api/v1/
AUTH_API_PREFIX=/v1
AUTH_PORT=4000
AUTH_CLIENT_URL=https://app.example.com/
AUTH_ACCESS_CONTROL_ALLOWED_REDIRECT_URLS=https://*.example.com, myapp://cb,https://*.example.com
AUTH_ACCESS_TOKEN_EXPIRES_IN=172800
AUTH_REFRESH_TOKEN_EXPIRES_IN=2592000
AUTH_DISABLE_SIGNUP=true
AUTH_DISABLE_AUTO_SIGNUP=1
AUTH_DISABLE_NEW_USERS=t
AUTH_CONCEAL_ERRORS=True
AUTH_EMAIL_SIGNIN_EMAIL_VERIFIED_REQUIRED=false
AUTH_PASSWORD_MIN_LENGTH=6
AUTH_USER_DEFAULT_ROLE=editor
AUTH_USER_DEFAULT_ALLOWED_ROLES=me,editor
AUTH_LOCALE_DEFAULT=fr
AUTH_LOCALE_ALLOWED_LOCALES=fr,en
AUTH_GRAVATAR_ENABLED=false
AUTH_GRAVATAR_RATING=pg
AUTH_ANONYMOUS_USERS_ENABLED=true
AUTH_EMAIL_PASSWORDLESS_ENABLED=true
AUTH_OTP_EMAIL_ENABLED=false
AUTH_SMTP_HOST=smtp.example.com
AUTH_SMTP_PORT=465
AUTH_SMTP_SECURE=true
AUTH_SMTP_USER=app
AUTH_SMTP_PASS='hush "hush"'
AUTH_SMTP_SENDER="App <app@example.com>"
AUTH_TURNSTILE_SECRET=0x4AAAAAAA-hidden
AUTH_RATE_LIMIT_ENABLE=true
AUTH_RATE_LIMIT_EMAIL_BURST=20
AUTH_RATE_LIMIT_EMAIL_INTERVAL=1h30m
AUTH_RATE_LIMIT_EMAIL_IS_GLOBAL=true
AUTH_RATE_LIMIT_GLOBAL_INTERVAL=a while
AUTH_RATE_LIMIT_MEMCACHE_SERVER=memcache:11211
HASURA_GRAPHQL_JWT_SECRET={"type":"HS384","key":"0123456789abcdef0123456789abcdef0123456789abcdef","issuer":"hasura-auth","claims_namespace":"https://hasura.io/jwt/claims","header":{"type":"Authorization"}}
AUTH_JWT_CUSTOM_CLAIMS={"plan":"metadata.plan","team":"profile.team.id","seats":"metadata.seats","odd.name":"id"}
AUTH_JWT_CUSTOM_CLAIMS_DEFAULTS={"plan":"free","seats":3}
AUTH_SMS_PASSWORDLESS_ENABLED=false
AUTH_SMS_PROVIDER=twilio
AUTH_MFA_ENABLED=true
AUTH_MFA_TOTP_ISSUER=App
AUTH_WEBAUTHN_ENABLED=false
AUTH_WEBAUTHN_RP_NAME=App
AUTH_REQUIRE_ELEVATED_CLAIM=recommended
AUTH_ENABLE_CHANGE_ENV=true
AUTH_PROVIDER_GITHUB_ENABLED=true
AUTH_PROVIDER_GITHUB_CLIENT_SECRET=github-secret
AUTH_PROVIDER_APPLE_ENABLED=false
AUTH_SOMETHING_NEW=x
HASURA_GRAPHQL_ADMIN_SECRET=admin-secret
POSTGRES_CONNECTION=postgres://user:pass@db/x
NHOST_SUBDOMAIN=local
"#;

#[test]
fn every_variable_has_its_key() {
    let made = translated(WHOLE);
    for line in [
        "public_url = \"https://auth.example.com/api\"",
        "client_url = \"https://app.example.com\"",
        "redirect_urls = [\"https://*.example.com\", \"myapp://cb\"]",
        "access_ttl = \"2d\"",
        "key_overlap = \"2d\"",
        "auto = false",
        "disable_new_users = true",
        "conceal = true",
        "min_length = 6",
        "default_role = \"editor\"",
        "allowed_roles = [\"me\", \"editor\"]",
        "locale = \"fr\"",
        "locales = [\"fr\", \"en\"]",
        "rating = \"pg\"",
        "anonymous = true",
        "passwordless_email = true",
        "transport = \"smtp\"",
        "tls = \"tls\"",
        "username = \"app\"",
        "password = 'hush \"hush\"'",
        "from = \"App <app@example.com>\"",
        "provider = \"turnstile\"",
        "email = \"20/90m\"",
        "global = \"100/1m\"",
        "brute_force = \"10/5m\"",
        "email_is_global = true",
        "algorithm = \"HS384\"",
        "key = \"0123456789abcdef0123456789abcdef0123456789abcdef\"",
        "issuer = \"hasura-auth\"",
        "plan = \"metadata.plan\"",
        "team = \"profile.team.id\"",
        "plan = \"free\"",
        "seats = \"3\"",
    ] {
        assert!(has(&made, line), "{line} in {}", made.toml.expose());
    }
    // What is as it is by default is not said.
    for key in ["path", "port", "refresh_ttl", "otp_email", "mode", "claims_namespace"] {
        assert!(!made.toml.expose().contains(&format!("\n{key} =")), "{key}");
    }
    assert_eq!(made.secrets, ["mail.smtp.password", "project.shop.bot.secret", "project.shop.nhost.jwt.key"]);
    assert_eq!(made.foreign, 1);
}

#[test]
fn what_does_not_come_along_is_said_and_no_secret_with_it() {
    let made = translated(WHOLE);
    let names: Vec<_> = made.left.iter().map(|one| one.name.as_str()).collect();
    for name in [
        "AUTH_PORT",
        "AUTH_RATE_LIMIT_GLOBAL_INTERVAL",
        "AUTH_RATE_LIMIT_MEMCACHE_*",
        "AUTH_MFA_ENABLED",
        "AUTH_REQUIRE_ELEVATED_CLAIM",
        "AUTH_ENABLE_CHANGE_ENV",
        "AUTH_PROVIDER_GITHUB_*",
        "AUTH_SOMETHING_NEW",
        "HASURA_GRAPHQL_ADMIN_SECRET",
        "POSTGRES_*",
        "AUTH_JWT_CUSTOM_CLAIMS",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    // What was switched off there is not missed.
    for name in ["AUTH_SMS_PASSWORDLESS_ENABLED", "AUTH_WEBAUTHN_ENABLED", "AUTH_PROVIDER_APPLE_*"] {
        assert!(!names.contains(&name), "{name}");
    }
    assert!(told(&made.different, "AUTH_PASSWORD_MIN_LENGTH").starts_with("6 is less"));
    assert!(told(&made.different, "AUTH_JWT_CUSTOM_CLAIMS").contains("\"profile\""));
    let said = format!("{:?} {:?} {made:?}", made.left, made.different);
    for secret in ["hush", "hidden", "0123456789abcdef", "github-secret", "admin-secret", "user:pass"] {
        assert!(!said.contains(secret), "{secret}");
    }
}

#[test]
fn what_is_refused_is_taken_out_and_never_opens_a_door() {
    let made = translated(
        "AUTH_SERVER_URL=http://auth.example.com\nAUTH_CLIENT_URL=nonsense\nAUTH_USER_DEFAULT_ALLOWED_ROLES=me,two words\n\
         AUTH_ACCESS_CONTROL_ALLOWED_REDIRECT_URLS=nonsense,other nonsense\nAUTH_PASSWORD_MIN_LENGTH=999\n\
         HASURA_GRAPHQL_JWT_SECRET='{\"type\":\"HS512\",\"key\":\"short\"}'\nAUTH_SMTP_HOST=smtp.example.com\n",
    );
    for line in [
        "client_url = \"https://nowhere.invalid\"",
        "redirect_urls = [\"https://nowhere.invalid\"]",
        "allowed_roles = [\"me\"]",
    ] {
        assert!(has(&made, line), "{line} in {}", made.toml.expose());
    }
    for key in ["public_url", "min_length", "algorithm", "transport"] {
        assert!(!made.toml.expose().contains(&format!("\n{key} =")), "{key}");
    }
    assert!(told(&made.left, "AUTH_SERVER_URL").contains("https"));
    let of_the_key: Vec<_> = made.left.iter().filter(|one| one.name == "HASURA_GRAPHQL_JWT_SECRET").collect();
    assert!(of_the_key.iter().any(|one| one.text.contains("5 bytes")), "{of_the_key:?}");
    assert!(made.secrets.is_empty());
}

#[test]
fn keys_in_pem_come_along() {
    let json = r#"HASURA_GRAPHQL_JWT_SECRET='{"type":"RS512","key":"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----","signing_key":"KEY","kid":"one"}'"#;
    let lines = "-----BEGIN PRIVATE KEY-----\\nabcdefghijklmnopqrstuvwxyz\\n-----END PRIVATE KEY-----\\n";
    let made = from_nhost(&json.replace("KEY", lines), "shop").expect("a translation");
    // Whether it is a key is the reader's to say.
    let is_carried = made.toml.expose().contains("PRIVATE KEY");
    assert!(is_carried || !told(&made.left, "HASURA_GRAPHQL_JWT_SECRET").is_empty());
    let without = translated("HASURA_GRAPHQL_JWT_SECRET={\"type\":\"RS256\",\"key\":\"public\"}");
    assert!(has(&without, "algorithm = \"RS256\""));
    assert!(told(&without.left, "HASURA_GRAPHQL_JWT_SECRET").contains("jwks.json"));
}

#[test]
fn paths_of_the_server_are_told_from_its_address() {
    for (file, url, path) in [
        ("AUTH_SERVER_URL=https://a.example/v1", "https://a.example", ""),
        ("AUTH_SERVER_URL=https://a.example/auth/v1", "https://a.example", "/auth/v1"),
        ("AUTH_SERVER_URL=https://a.example/auth/v1\nAUTH_API_PREFIX=v1", "https://a.example/auth", ""),
        ("AUTH_SERVER_URL=http://localhost:4000\nAUTH_API_PREFIX=/v1", "http://localhost:4000", ""),
    ] {
        let made = translated(file);
        assert!(has(&made, &format!("public_url = \"{url}\"")), "{}", made.toml.expose());
        assert_eq!(has(&made, &format!("path = \"{path}\"")), !path.is_empty(), "{file}");
    }
}

#[test]
fn what_cannot_be_read_is_told_by_its_line() {
    let problems = from_nhost("A=1\nsecret\nB='", "shop").expect_err("two wrong lines");
    let sources: Vec<_> = problems.0.iter().map(|problem| problem.source.as_str()).collect();
    assert_eq!(sources, ["line 2", "line 3"]);
    assert!(!problems.to_string().contains("secret"));
    assert!(from_nhost("", "No Slug").is_err());
}

proptest::proptest! {
    /// Whatever a variable is set to, a configuration comes out.
    #[test]
    fn no_value_makes_it_no_configuration(
        chosen in proptest::collection::btree_map(0..NAMES.len(), "[ -~]{0,40}|[0-9]{1,20}|[a-z:/.,*]{1,30}|true", 0..12),
    ) {
        let lines: Vec<_> = chosen.iter().map(|(name, value)| format!("{}={value}", NAMES[*name])).collect();
        if let Ok(made) = from_nhost(&lines.join("\n"), "shop") {
            proptest::prop_assert_eq!(mistakes(made.toml.expose()), []);
        } else {
            proptest::prop_assert!(super::parse_env_file(&lines.join("\n")).is_err());
        }
    }
}

/// Those whose values go into the configuration.
const NAMES: [&str; 26] = [
    "AUTH_SERVER_URL",
    "AUTH_API_PREFIX",
    "AUTH_CLIENT_URL",
    "AUTH_ACCESS_CONTROL_ALLOWED_REDIRECT_URLS",
    "AUTH_ACCESS_CONTROL_ALLOWED_EMAILS",
    "AUTH_ACCESS_CONTROL_BLOCKED_EMAIL_DOMAINS",
    "AUTH_ACCESS_TOKEN_EXPIRES_IN",
    "AUTH_REFRESH_TOKEN_EXPIRES_IN",
    "AUTH_PASSWORD_MIN_LENGTH",
    "AUTH_USER_DEFAULT_ROLE",
    "AUTH_USER_DEFAULT_ALLOWED_ROLES",
    "AUTH_LOCALE_DEFAULT",
    "AUTH_LOCALE_ALLOWED_LOCALES",
    "AUTH_GRAVATAR_DEFAULT",
    "AUTH_SMTP_HOST",
    "AUTH_SMTP_PORT",
    "AUTH_SMTP_SECURE",
    "AUTH_SMTP_USER",
    "AUTH_SMTP_PASS",
    "AUTH_SMTP_SENDER",
    "AUTH_TURNSTILE_SECRET",
    "AUTH_RATE_LIMIT_ENABLE",
    "AUTH_RATE_LIMIT_EMAIL_BURST",
    "AUTH_RATE_LIMIT_EMAIL_INTERVAL",
    "AUTH_EMAIL_TEMPLATES_PATH",
    "AUTH_JWT_CUSTOM_CLAIMS",
];
