//! What each template may say, with made-up values: to try templates out, and for previews.

use std::collections::BTreeMap;

use super::{Letter, Template, percent_encoded};
use crate::crypto::Secret;

/// What the Nhost API calls the values of its mails (contract, section 1.8). In its templates all of them are there, empty
/// where there is nothing to say.
pub(super) const NHOST: [&str; 9] =
    ["link", "displayName", "email", "newEmail", "ticket", "redirectTo", "locale", "serverUrl", "clientUrl"];

/// Everything the template may use.
pub(super) fn sample(template: Template) -> BTreeMap<String, String> {
    let own: &[(&str, &str)] = match template {
        Template::VerifyEmail => &[
            ("link", "https://auth.example.com/verify-email?token=wYk3mVbq0sWcHn1fT9eL2xPzR7uJd5aGoI4iKlMhNQA"),
            ("code", "7K2M-9QXR-4TBD"),
            ("expires_at", "2026-01-02 00:00 UTC"),
        ],
        Template::AccountExists => &[("at", "2026-01-01 00:00 UTC")],
        Template::LockedOut => {
            &[("at", "2026-01-01 00:00 UTC"), ("ip", "203.0.113.7"), ("until", "2026-01-01 00:15 UTC")]
        }
        Template::PasswordChanged | Template::EmailChanged => &[("at", "2026-01-01 00:00 UTC"), ("ip", "203.0.113.7")],
        Template::NewDevice => {
            &[("at", "2026-01-01 00:00 UTC"), ("ip", "203.0.113.7"), ("agent", "Mozilla/5.0 (X11; Linux x86_64)")]
        }
        Template::EmailVerify => &[("ticket", "verifyEmail:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07")],
        Template::EmailConfirmChange => &[
            ("ticket", "emailConfirmChange:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07"),
            ("newEmail", "ada@new.example.com"),
        ],
        Template::SigninPasswordless => &[("ticket", "passwordlessEmail:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07")],
        Template::SigninOtp => &[("ticket", "042719"), ("code", "042719")],
        Template::PasswordReset => &[("ticket", "passwordReset:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07")],
    };
    let mut all = map(&[("app_name", "Example App"), ("email", "ada@example.com")]);
    if template.brings_ticket() {
        all.extend(NHOST.iter().skip(1).map(|name| ((*name).to_owned(), String::new())));
        all.extend(map(&[
            ("email", "ada@example.com"),
            ("displayName", "Ada"),
            ("redirectTo", "https://app.example.com/welcome"),
            ("locale", "en"),
            ("serverUrl", "https://auth.example.com/v1"),
            ("clientUrl", "https://app.example.com"),
            ("expires_at", "2026-01-01 01:00 UTC"),
        ]));
    }
    all.extend(map(own));
    if template.brings_ticket() {
        let link = template.link_type().map(|link_type| {
            let [redirect_to, ticket] = [&all["redirectTo"], &all["ticket"]].map(|value| percent_encoded(value));
            format!("{}/verify?redirectTo={redirect_to}&ticket={ticket}&type={link_type}", all["serverUrl"])
        });
        all.insert("link".to_owned(), link.unwrap_or_default());
    }
    all
}

/// A letter of this template with made-up values.
pub(super) fn sample_letter(template: Template, locale: Option<&str>) -> Letter {
    let mut values = sample(template);
    let mut taken = |name: &str| values.remove(name).filter(|value| !value.is_empty());
    let [link, code, ticket] = ["link", "code", "ticket"].map(|name| taken(name).map(Secret::new));
    let redirect_to = taken("redirectTo");
    // What the envelope says; but the old address, of which nothing else knows.
    let own = |name: &str| !matches!(name, "app_name" | "locale" | "email");
    values.retain(|name, _| own(name) || (name == "email" && template == Template::EmailConfirmChange));
    Letter { template, locale: locale.map(str::to_owned), link, code, ticket, redirect_to, values }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
