//! Bot protection of sign-up: a challenge solved in the browser gives a token, and the service that set the challenge
//! says whether it is one (Cloudflare Turnstile, Google reCAPTCHA; both speak one protocol).
//!
//! A sign-up without that word is refused, also when the service cannot be asked: it fails closed. The service's score,
//! host name and action are not looked at.

use std::time::Duration;

use serde::Deserialize;

use super::{Ctx, Error, ProjectSettings};
pub use crate::config::BotProvider;
use crate::outbound::{Call, CallError};

/// How long the service may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of its answer.
const ANSWER_LIMIT: usize = 16 * 1024;
/// Longer tokens are of neither service.
const MAX_TOKEN: usize = 8 * 1024;

/// Why a sign-up does not count as one of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotCheck {
    /// No token came.
    Missing,
    /// The service does not know the token, or knows it as used.
    Refused,
    /// The service could not be asked.
    Unanswered,
}

/// What a page must know to show the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Whose.
    pub provider: BotProvider,
    /// The key by which the provider knows the page's owner; public.
    pub site_key: &'a str,
}

/// What a sign-up in this project must solve; `None`: nothing. A configuration that says only half of it does not start.
pub fn challenge(settings: &ProjectSettings) -> Option<Challenge<'_>> {
    let bot = &settings.bot;
    bot.verify_url()?;
    Some(Challenge { provider: bot.provider, site_key: bot.site_key.as_deref().unwrap_or_default() })
}

/// Lets a sign-up pass whose `token` the project's service vouches for. A token is good for one check.
///
/// # Errors
/// `BotCheckFailed`.
pub(super) async fn check(ctx: &Ctx, token: Option<&str>) -> Result<(), Error> {
    let bot = &ctx.settings.bot;
    let (Some(target), Some(secret)) = (bot.verify_url(), &bot.secret) else { return Ok(()) };
    let token = token.map(str::trim).filter(|token| !token.is_empty());
    let token = token.ok_or(Error::BotCheckFailed(BotCheck::Missing))?;
    if token.len() > MAX_TOKEN {
        return Err(Error::BotCheckFailed(BotCheck::Refused));
    }
    let ip = ctx.client.ip.to_canonical().to_string();
    let fields = [("secret", secret.expose().as_str()), ("response", token), ("remoteip", &ip)];
    let call = Call::form(&target, &fields, TIME_LIMIT, ANSWER_LIMIT);
    let answered = ctx.project.shared().outbound.post(call).await;
    let verdict = answered.map_err(Unanswered::Call).and_then(|answer| match answer.is_success() {
        true => serde_json::from_slice::<Verdict>(answer.whole()?).map_err(|_| Unanswered::NotJson),
        false => Err(Unanswered::Status(answer.status)),
    });
    let slug = &ctx.project.record().slug;
    match verdict {
        Ok(verdict) if verdict.success => Ok(()),
        Ok(verdict) => {
            let codes = verdict.codes();
            if codes.iter().any(|code| code.ends_with("-input-secret")) {
                tracing::error!(project = %slug, ?codes, "bot.secret is not the one the service knows; nobody can sign up");
            } else {
                tracing::info!(project = %slug, client = %ctx.client.ip, ?codes, "sign-up refused: the bot check failed");
            }
            Err(Error::BotCheckFailed(BotCheck::Refused))
        }
        Err(error) => {
            tracing::warn!(project = %slug, service = %target, %error, "sign-up refused: the bot check had no answer");
            Err(Error::BotCheckFailed(BotCheck::Unanswered))
        }
    }
}

/// Why the service's word is not known.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is not the JSON it should be")]
    NotJson,
}

/// What both services answer; the rest is not needed.
#[derive(Deserialize)]
struct Verdict {
    success: bool,
    #[serde(default, rename = "error-codes")]
    error_codes: Vec<String>,
}

impl Verdict {
    /// The codes fit for a log: another server's words, so only what looks like one.
    fn codes(&self) -> Vec<&str> {
        let is_code = |code: &&str| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        self.error_codes.iter().map(String::as_str).filter(is_code).take(8).collect()
    }
}
