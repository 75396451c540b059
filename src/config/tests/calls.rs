//! Whom a project has called: its webhooks, and who checks for bots.

use super::*;

#[test]
fn a_webhook_needs_a_place_and_a_secret() {
    let webhook = |keys: &str| load_with(&format!("[project.shop.webhooks.app]\n{keys}"), &[]);
    let secret = "secret = \"0123456789abcdef01234567\"\n";
    let whole = webhook(&format!("url = \"http://10.0.0.1/hook\"\n{secret}events = [\"security.lockout\"]")).unwrap();
    let app = &whole.projects["shop"].webhooks["app"];
    assert_eq!((app.url.as_str(), app.enabled), ("http://10.0.0.1/hook", true));
    assert!(app.wants(WebhookEvent::LockedOut) && !app.wants(WebhookEvent::SignedIn));
    let url = "url = \"https://a.example\"\n";
    for (keys, key, reason) in [
        (format!("enabled = true\n{secret}"), "url", "is missing"),
        (url.to_owned(), "secret", "is missing"),
        (format!("{url}secret = \"short\""), "secret", "24"),
        (format!("{url}{secret}secret_file = \"/absent\""), "secret", "twice"),
        (format!("url = \"ftp://a.example\"\n{secret}"), "url", "https://"),
        (format!("{url}{secret}events = [\"auth.login\"]"), "events", "auth.login.success"),
    ] {
        let (_, at, found) = problem(webhook(&keys));
        assert!(at == format!("project.shop.webhooks.app.{key}") && found.contains(reason), "{keys}: {at}: {found}");
    }
    let named = |name: &str| load_with(&format!("[project.shop.webhooks.{name}]\n{url}{secret}"), &[]);
    assert!(named("a-1").is_ok());
    assert_eq!(problem(named("A")).1, "project.shop.webhooks.A");
    assert_eq!(problem(named(&"a".repeat(33))).1, format!("project.shop.webhooks.{}", "a".repeat(33)));
    let many: String = (0..17).map(|n| format!("[project.shop.webhooks.a{n}]\n{url}{secret}")).collect();
    assert_eq!(problem(load_with(&many, &[])).1, "project.shop.webhooks");
}

#[test]
fn bot_protection_is_whole_or_off() {
    let bot = |keys: &str| load_with(&format!("[project.shop.bot]\n{keys}"), &[]);
    let whole = bot("provider = \"recaptcha\"\nsecret = \"s\"\nsite_key = \"k\"").unwrap();
    let url = whole.projects["shop"].bot.verify_url().unwrap();
    assert_eq!(url.as_str(), "https://www.google.com/recaptcha/api/siteverify");
    assert!(bot("provider = \"none\"").unwrap().projects["shop"].bot.verify_url().is_none());
    assert_eq!(problem(bot("provider = \"hcaptcha\"")).1, "project.shop.bot.provider");
    let halves = [
        ("provider = \"turnstile\"\nsecret = \"s\"", "needs `bot.site_key`"),
        ("provider = \"turnstile\"\nsite_key = \"k\"", "needs `bot.secret`"),
        ("secret = \"s\"", "name its provider"),
        ("site_key = \"k\"", "name its provider"),
    ];
    for (keys, reason) in halves {
        let (_, key, found) = problem(bot(keys));
        assert!(key == "project.shop.bot.provider" && found.contains(reason), "{keys}: {key}: {found}");
    }
    let bad = [
        ("secret = \"\"", "bot.secret"),
        ("site_key = \"a b\"", "bot.site_key"),
        ("verify_url = \"x\"", "bot.verify_url"),
    ];
    for (keys, key) in bad {
        let (_, at, reason) = problem(bot(&format!("provider = \"none\"\n{keys}")));
        assert_eq!(at, format!("project.shop.{key}"), "{reason}");
    }
}
