//! Steps as requests of each dialect, and what replies say.

use std::fmt;
use std::time::Duration;

use keystead::dialect::Dialect;
use keystead::env::Timestamp;
use reqwest::Url;
use serde_json::json;

use super::rules::{Answer, spelling};
use super::step::{Step, WORDS, Wish};
use super::world::PERSONAL;
use crate::persona::{Persona, Reply};

/// Where a reply may bring something.
const BRINGS: [&str; 9] = [
    "/access_token",
    "/accessToken",
    "/refresh_token",
    "/session",
    "/token",
    "/verification_token",
    "/plain_text_key",
    "/personalAccessToken",
    "?refreshToken",
];

/// Sends one request of a step. `text` is what it is done with.
pub async fn ask(persona: &Persona, dialect: Dialect, step: &Step, text: &str, domain: &str, now: Timestamp) -> Reply {
    let is_nhost = dialect == Dialect::Nhost;
    match *step {
        Step::SignUp { who, word, .. } => persona.try_sign_up(&who.typed(domain), WORDS[word]).await,
        Step::SignIn { who, word, .. } => persona.sign_in(&who.typed(domain), WORDS[word]).await,
        Step::Anonymous { .. } => persona.post("/signin/anonymous", &json!({})).await,
        Step::Deanonymize { who, word, .. } => {
            let (email, password) = (who.typed(domain), WORDS[word]);
            let body = json!({ "signInMethod": "email-password", "email": email, "password": password });
            persona.with_token(text).post("/user/deanonymize", &body).await
        }
        Step::Refresh { .. } if is_nhost => persona.post("/token", &json!({ "refreshToken": text })).await,
        Step::Refresh { .. } => persona.refresh(text).await,
        Step::LogOut { .. } if is_nhost => persona.with_refresh_token(text).log_out().await,
        Step::LogOut { .. } => persona.with_token(text).log_out().await,
        Step::LogOutEverywhere { .. } if is_nhost => {
            persona.with_token(text).post("/signout", &json!({ "all": true })).await
        }
        Step::LogOutEverywhere { .. } => persona.with_token(text).post_nothing("/logout-all").await,
        Step::ChangePassword { current, new, .. } => {
            spelling(dialect).change_password(&persona.with_token(text), WORDS[current], WORDS[new]).await
        }
        Step::MakeKey { .. } => persona.with_token(text).post("/api-keys", &json!({ "name": "CI" })).await,
        Step::RevokeKey { .. } => {
            let (number, access) = text.split_once(' ').expect("number and token");
            persona.with_token(access).post_nothing(&format!("/api-keys/{number}/revoke")).await
        }
        Step::MakePersonal { .. } => {
            let until = now.plus(Duration::from_secs(PERSONAL)).rfc3339();
            persona.with_token(text).post("/pat", &json!({ "expiresAt": until })).await
        }
        Step::SignInPersonal { .. } => persona.post("/signin/pat", &json!({ "personalAccessToken": text })).await,
        Step::AskAgain { who, .. } => {
            persona.post("/verify-email/resend", &json!({ "email": who.typed(domain) })).await
        }
        Step::Confirm { .. } => persona.post("/verify-email/confirm", &json!({ "token": text })).await,
        Step::Ask { wish, who, .. } => {
            let path = match wish {
                Wish::Verify => "/user/email/send-verification-email",
                Wish::Link => "/signin/passwordless/email",
                Wish::Digits => "/signin/otp/email",
                Wish::Reset => "/user/password/reset",
            };
            persona.post(path, &json!({ "email": who.typed(domain) })).await
        }
        Step::AskForAddress { who, .. } => {
            persona.with_token(text).post("/user/email/change", &json!({ "newEmail": who.typed(domain) })).await
        }
        Step::Follow { .. } => {
            let ticket = text.replace(':', "%3A");
            persona.get(&format!("/verify?redirectTo=https%3A%2F%2Fapp.example.com&ticket={ticket}")).await
        }
        Step::ResetBy { word, .. } => {
            persona.post("/user/password", &json!({ "newPassword": WORDS[word], "ticket": text })).await
        }
        Step::Type { who, .. } => {
            persona.post("/signin/otp/email/verify", &json!({ "email": who.typed(domain), "otp": text })).await
        }
        Step::Operator { .. } | Step::Wait { .. } | Step::Reload { .. } => unreachable!("asked of nobody"),
    }
}

/// What a reply says, by which replies are told apart.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    status: u16,
    /// The text or code of a refusal.
    text: String,
    retry_after: Option<u64>,
    /// Whether it brings something.
    brings: bool,
}

impl Said {
    pub fn must(answer: &Answer) -> Self {
        let text = answer.says.unwrap_or_default().to_owned();
        Self { status: answer.status, text, retry_after: answer.retry_after, brings: !answer.brings.is_empty() }
    }

    pub fn was(dialect: Dialect, reply: &Reply) -> Self {
        let status = reply.status.as_u16();
        let text = match status {
            302 => found(reply, "?error"),
            400.. => reply.body[spelling(dialect).text].as_str().map(str::to_owned),
            _ => None,
        };
        let header = reply.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = header.or_else(|| reply.body["retry_after_seconds"].as_u64());
        let brings = BRINGS.iter().any(|at| found(reply, at).is_some() || reply.body.pointer(at).is_some());
        Self { status, text: text.unwrap_or_default(), retry_after, brings }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text)?;
        if let Some(seconds) = self.retry_after {
            write!(f, ", for {seconds} s")?;
        }
        if self.brings { write!(f, " and what it brings") } else { Ok(()) }
    }
}

/// A text of a reply: of its body, or after `?` of the query of where it leads.
pub fn found(reply: &Reply, at: &str) -> Option<String> {
    let Some(parameter) = at.strip_prefix('?') else {
        return reply.body.pointer(at)?.as_str().map(str::to_owned);
    };
    let url = Url::parse(reply.headers.get("location")?.to_str().ok()?).ok()?;
    url.query_pairs().find(|(name, _)| name == parameter).map(|(_, value)| value.into_owned())
}
