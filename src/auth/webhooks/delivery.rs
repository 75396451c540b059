//! One post to a webhook: signed, sent, and what its answer means.
//!
//! Two signatures go with it. `webhook-signature` is that of Standard Webhooks: `v1,` and Base64 of HMAC-SHA256 over
//! `id.timestamp.body`. `X-Webhook-Signature`, which clients of NomaCMS look at, is the hexadecimal HMAC-SHA256 over the
//! body alone, under the secret's text as it is written in the configuration.

use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use serde::Deserialize;
use uuid::Uuid;

use super::super::{Error, Project, outbox};
use super::{Webhook, message};
use crate::data::outbox::Item;
use crate::env::Timestamp;
use crate::outbound::{Answer, Call, CallError};

/// How long a receiver may take.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// Bytes of an answer that are looked at.
const ANSWER_LIMIT: usize = 1024;

/// What came of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// Not now. The receiver was asked, and it is down, slow, or says so.
    Down(String),
    /// Not now, and not for the receiver's sake: too much is under way here.
    Busy,
    /// The receiver wants no such posts any more.
    Gone,
}

/// Posts an item, signed with the secret and the moment of now.
pub async fn deliver(project: &Project, webhook: &Webhook, item: &Item, now: Timestamp) -> Verdict {
    let opened = match outbox::open(project, item) {
        Ok(opened) => opened,
        Err(error) => return Verdict::Down(error.to_string()),
    };
    let body = Bytes::copy_from_slice(opened.expose());
    let id = serde_json::from_slice::<Head>(&body).map_or(item.id, |head| head.id);
    match post(project, webhook, id, body, now).await {
        Ok(answer) if answer.is_success() => Verdict::Delivered,
        Ok(Answer { status: 410, .. }) => Verdict::Gone,
        Ok(answer) => Verdict::Down(format!("status {}", answer.status)),
        Err(CallError::Busy) => Verdict::Busy,
        Err(error) => Verdict::Down(error.to_string()),
    }
}

/// Posts a `ping` to the webhook of this name; what it answers.
///
/// # Errors
/// `UnknownWebhook`.
pub async fn ping(project: &Project, name: &str, now: Timestamp) -> Result<Result<Answer, CallError>, Error> {
    let settings = project.settings();
    let webhook = settings.webhooks.get(name).ok_or(Error::UnknownWebhook)?;
    let id = project.env().new_id(now);
    let body = message::ping(id, now, project.id(), &settings.slug);
    Ok(post(project, webhook, id, body.into(), now).await)
}

/// What names the event in its body.
#[derive(Deserialize)]
struct Head {
    id: Uuid,
}

async fn post(
    project: &Project,
    webhook: &Webhook,
    id: Uuid,
    body: Bytes,
    now: Timestamp,
) -> Result<Answer, CallError> {
    let mut headers = webhook.key().headers(&id.to_string(), now, &body);
    headers.push(("x-webhook-signature", plain_signature(webhook, &body)));
    let (time_limit, answer_limit) = (TIME_LIMIT, ANSWER_LIMIT);
    let target = &webhook.url;
    let call = Call { target, content_type: "application/json", headers, body, time_limit, answer_limit };
    project.shared().outbound.post(call).await
}

fn plain_signature(webhook: &Webhook, body: &[u8]) -> String {
    let secret = webhook.secret.as_ref().map_or("", |secret| secret.expose().as_str());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    tag.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
