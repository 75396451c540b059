//! The bodies of answers (contract 3). They carry secrets, so none of them has a `Debug`. Their doc comments are the
//! document's texts.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::auth;

/// The language of pages where nobody said which.
const DEFAULT_LOCALE: &str = "en";

/// What was not done, and why.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refused<'a> {
    /// For people.
    pub(super) error: &'a str,
    /// For programs, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'a str>,
    /// The request's name, with the code `INTERNAL_ERROR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_id: Option<&'a str>,
}

/// An account that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Made<'a> {
    id: Uuid,
    /// The address, lower-case.
    #[schema(value_type = String, format = Email)]
    email: Cow<'a, str>,
    /// `user` or `admin`.
    role: &'static str,
}

impl<'a> Made<'a> {
    pub(super) fn of(user: &'a auth::User) -> Self {
        Self { id: user.id, email: user.lower_case_email(), role: user.role.name() }
    }
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(super) struct Token<'a> {
    /// The bearer of this account's requests: a JWT with the claims `id`, `email`, `role`, `iat` and `exp`.
    pub(super) token: &'a str,
}

/// What has no more to say.
#[derive(Serialize, ToSchema)]
pub(super) struct Success {
    success: bool,
}

impl Success {
    pub(super) const YES: Self = Self { success: true };
}

/// The signed-in account.
#[derive(Serialize, ToSchema)]
pub(super) struct Me<'a> {
    id: Uuid,
    /// The address, lower-case.
    #[schema(value_type = String, format = Email)]
    email: Cow<'a, str>,
    #[schema(required = true)]
    name: Option<&'a str>,
    /// `user` or `admin`.
    role: &'static str,
    /// Whose sign-in the account uses; `null`: a password. No account has a provider in this version.
    #[schema(required = true)]
    provider: Option<&'a str>,
    /// A data URL.
    #[schema(required = true)]
    avatar: Option<&'a str>,
    #[serde(rename = "preferredLocale")]
    #[schema(required = true)]
    preferred_locale: Option<&'a str>,
    #[serde(rename = "defaultLocale")]
    default_locale: &'static str,
    #[serde(rename = "effectiveLocale")]
    effective_locale: &'a str,
    /// With milliseconds, in UTC.
    #[schema(format = DateTime)]
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
            preferred_locale: user.locale.as_deref(),
            default_locale: DEFAULT_LOCALE,
            effective_locale: user.locale.as_deref().unwrap_or(DEFAULT_LOCALE),
            created_at: user.created_at.rfc3339_millis(),
        }
    }
}

/// What the account says of its owner.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Profile<'a> {
    #[schema(required = true)]
    name: Option<&'a str>,
    /// A data URL.
    #[schema(required = true)]
    avatar: Option<&'a str>,
    #[schema(required = true)]
    preferred_locale: Option<&'a str>,
    default_locale: &'static str,
    effective_locale: &'a str,
}

impl<'a> Profile<'a> {
    pub(super) fn of(user: &'a auth::User, avatar: Option<&'a str>) -> Self {
        Self {
            name: user.display_name.as_deref(),
            avatar,
            preferred_locale: user.locale.as_deref(),
            default_locale: DEFAULT_LOCALE,
            effective_locale: user.locale.as_deref().unwrap_or(DEFAULT_LOCALE),
        }
    }
}

/// What a client must know before anyone signed in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bootstrap<'a> {
    /// Whether whoever signs up first will be `admin`.
    pub(super) needs_first_admin: bool,
    pub(super) signup_enabled: bool,
    #[serde(rename = "oauthLoginEnabled")]
    pub(super) oauth_login_enabled: bool,
    /// `selfhosted`.
    pub(super) platform_mode: &'static str,
    pub(super) signup_bot_protection: BotProtection<'a>,
}

/// The challenge before a sign-up.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BotProtection<'a> {
    enabled: bool,
    /// `none`, `turnstile` or `recaptcha`.
    provider: &'static str,
    /// What a page needs to show it.
    #[schema(required = true)]
    site_key: Option<&'a str>,
    /// Always true: a server with half of a configuration does not start.
    configured: bool,
    #[schema(required = true)]
    configuration_error: Option<&'a str>,
}

impl<'a> BotProtection<'a> {
    pub(super) fn of(challenge: Option<auth::bot::Challenge<'a>>) -> Self {
        Self {
            enabled: challenge.is_some(),
            provider: challenge.map_or("none", |challenge| challenge.provider.name()),
            site_key: challenge.map(|challenge| challenge.site_key),
            configured: true,
            configuration_error: None,
        }
    }
}
