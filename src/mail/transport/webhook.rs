//! Mail handed to a program of the operator's as a signed HTTP request, for providers that are spoken to over HTTP.

use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use uuid::Uuid;

use crate::env::Timestamp;
use crate::mail::{Message, SendError};
use crate::outbound::{Call, CallError, Outbound, SigningKey, Target};

/// How long a call may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Nothing of the answer's body is used.
const ANSWER_LIMIT: usize = 4096;

/// `[mail.webhook]`: who takes the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where it is posted.
    pub url: Target,
    /// What it is signed with.
    pub key: SigningKey,
}

/// The way out over HTTP.
#[derive(Debug)]
pub struct Webhook {
    settings: WebhookSettings,
    outbound: Outbound,
}

/// What is posted (Standard Webhooks, "payload structure").
#[derive(Serialize)]
struct Posted<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    id: Uuid,
    to: &'a str,
    from: &'a str,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
    #[serde(serialize_with = "as_object")]
    headers: &'a [(String, String)],
    template: &'a str,
    link: Option<&'a str>,
    code: Option<&'a str>,
}

impl Webhook {
    /// To the URL that `settings` name, through `outbound`.
    pub fn new(settings: WebhookSettings, outbound: Outbound) -> Self {
        Self { settings, outbound }
    }

    /// Posts a mail.
    ///
    /// # Errors
    /// [`SendError`] says whether it may work later.
    pub async fn send(&self, message: &Message, now: Timestamp) -> Result<(), SendError> {
        let data = Data {
            id: message.id,
            to: &message.to,
            from: &message.from,
            subject: &message.subject,
            text: &message.text,
            html: &message.html,
            headers: &message.headers,
            template: &message.template,
            link: message.link.as_deref(),
            code: message.code.as_deref(),
        };
        let posted = Posted { r#type: "mail.send", timestamp: now.rfc3339(), data };
        let body = serde_json::to_vec(&posted).map_err(|error| SendError::Never(error.to_string()))?;
        let call = Call {
            target: &self.settings.url,
            content_type: "application/json",
            headers: self.settings.key.headers(&message.id.to_string(), now, &body),
            body: body.into(),
            time_limit: TIME_LIMIT,
            answer_limit: ANSWER_LIMIT,
        };
        let answered = self.outbound.post(call).await;
        self.meaning(&answered.map(|answer| answer.status))
    }

    fn meaning(&self, answered: &Result<u16, CallError>) -> Result<(), SendError> {
        let place = self.settings.url.origin();
        match answered {
            Ok(200..=299) => Ok(()),
            // It is asked again: it was slow, early, or we were too many.
            Ok(status @ (408 | 425 | 429)) => Err(SendError::Later(format!("{place} answers {status}"))),
            Ok(status @ 400..=499) => {
                let advice = "check mail.webhook.url and mail.webhook.secret, or what it says of this mail";
                Err(SendError::Never(format!("{place} refuses the mail with {status}: {advice}")))
            }
            Ok(status @ 300..=399) => Err(SendError::Later(format!(
                "{place} answers {status}, and redirects are not followed: correct mail.webhook.url"
            ))),
            Ok(status) => Err(SendError::Later(format!("{place} answers {status}"))),
            // A configuration can be corrected, and mails wait for it.
            Err(error @ CallError::Forbidden(_)) => {
                Err(SendError::Later(format!("{place} may not be called: {error}; see outbound.allow")))
            }
            Err(error) => Err(SendError::Later(format!("{place}: {error}"))),
        }
    }
}

fn as_object<S: Serializer>(headers: &[(String, String)], to: S) -> Result<S::Ok, S::Error> {
    let mut object = to.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        object.serialize_entry(name, value)?;
    }
    object.end()
}
