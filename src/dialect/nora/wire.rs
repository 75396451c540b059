//! The bodies of answers (contract 3). They carry secrets, so none of them has a `Debug`.

use std::borrow::Cow;

use serde::Serialize;
use uuid::Uuid;

use crate::auth;

/// The language of pages where nobody said which.
const DEFAULT_LOCALE: &str = "en";

/// A sign-up.
#[derive(Serialize)]
pub(super) struct Made<'a> {
    id: Uuid,
    email: Cow<'a, str>,
    role: &'static str,
}

impl<'a> Made<'a> {
    pub(super) fn of(user: &'a auth::User) -> Self {
        Self { id: user.id, email: user.lower_case_email(), role: user.role.name() }
    }
}

/// A sign-in.
#[derive(Serialize)]
pub(super) struct Token<'a> {
    pub(super) token: &'a str,
}

/// What has no more to say.
#[derive(Serialize)]
pub(super) struct Success {
    success: bool,
}

impl Success {
    pub(super) const YES: Self = Self { success: true };
}

/// The signed-in user.
#[derive(Serialize)]
pub(super) struct Me<'a> {
    id: Uuid,
    email: Cow<'a, str>,
    name: Option<&'a str>,
    role: &'static str,
    /// No account has a provider in this version.
    provider: Option<&'a str>,
    avatar: Option<&'a str>,
    #[serde(flatten)]
    locale: Locale<'a>,
    created_at: String,
}

impl<'a> Me<'a> {
    pub(super) fn of(user: &'a auth::User, avatar: Option<&'a str>) -> Self {
        Self {
            id: user.id,
            email: user.lower_case_email(),
            name: user.display_name.as_deref(),
            role: user.role.name(),
            provider: None,
            avatar,
            locale: Locale::of(user),
            created_at: user.created_at.rfc3339_millis(),
        }
    }
}

/// A changed profile.
#[derive(Serialize)]
pub(super) struct Profile<'a> {
    name: Option<&'a str>,
    avatar: Option<&'a str>,
    #[serde(flatten)]
    locale: Locale<'a>,
}

impl<'a> Profile<'a> {
    pub(super) fn of(user: &'a auth::User, avatar: Option<&'a str>) -> Self {
        Self { name: user.display_name.as_deref(), avatar, locale: Locale::of(user) }
    }
}

/// Which language.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Locale<'a> {
    preferred_locale: Option<&'a str>,
    default_locale: &'static str,
    effective_locale: &'a str,
}

impl<'a> Locale<'a> {
    fn of(user: &'a auth::User) -> Self {
        let preferred = user.locale.as_deref();
        Self {
            preferred_locale: preferred,
            default_locale: DEFAULT_LOCALE,
            effective_locale: preferred.unwrap_or(DEFAULT_LOCALE),
        }
    }
}

/// What a client must know before anyone signed in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bootstrap<'a> {
    pub(super) needs_first_admin: bool,
    pub(super) signup_enabled: bool,
    #[serde(rename = "oauthLoginEnabled")]
    pub(super) oauth_login_enabled: bool,
    pub(super) platform_mode: &'static str,
    pub(super) signup_bot_protection: BotProtection<'a>,
}

/// The challenge before a sign-up.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BotProtection<'a> {
    pub(super) enabled: bool,
    pub(super) provider: &'a str,
    pub(super) site_key: Option<&'a str>,
    pub(super) configured: bool,
    pub(super) configuration_error: Option<&'a str>,
}
