//! What a webhook is told: the JSON of an event. Pure, so that a job of the store may make it.

use std::net::Ipv6Addr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::events::Event;
use super::super::{RequestId, User};
use super::WebhookEvent;
use crate::env::Timestamp;

/// Larger metadata is left out: an item of the outbox has an end.
const MAX_METADATA: usize = 16 * 1024;

/// The body for an event.
pub(super) fn event(event: &Event, told: WebhookEvent, project: Uuid, slug: &str, user: Option<&User>) -> Vec<u8> {
    let data = Data {
        user: user.map(Person::of),
        by: event.by.name(),
        ip: event.ip.map(|ip| Ipv6Addr::from(ip).to_canonical().to_string()),
        request_id: event.request.map(|id| RequestId::new(id).to_string()),
    };
    bytes(&Message::new(event.id, told.name(), event.at, project, slug, data))
}

/// The body of a ping.
pub(super) fn ping(id: Uuid, at: Timestamp, project: Uuid, slug: &str) -> Vec<u8> {
    bytes(&Message::new(id, "ping", at, project, slug, Nothing {}))
}

/// The outbox's id of an event for one webhook: the event's own, with another tail for each name. Nothing random, for it
/// is made within a job; as time-ordered as the event's.
pub(super) fn item_id(event: Uuid, name: &str) -> Uuid {
    let hash = digest(&SHA256, &[event.as_bytes().as_slice(), name.as_bytes()].concat());
    let mut bytes = event.into_bytes();
    if let Some(tail) = bytes.get_mut(9..) {
        tail.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    }
    Uuid::from_bytes(bytes)
}

#[derive(Serialize)]
struct Message<'a, D> {
    id: Uuid,
    r#type: &'static str,
    timestamp: String,
    project: About<'a>,
    data: D,
}

impl<'a, D> Message<'a, D> {
    fn new(id: Uuid, r#type: &'static str, at: Timestamp, project: Uuid, slug: &'a str, data: D) -> Self {
        Self { id, r#type, timestamp: at.rfc3339(), project: About { id: project, slug }, data }
    }
}

#[derive(Serialize)]
struct About<'a> {
    id: Uuid,
    slug: &'a str,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Data<'a> {
    user: Option<Person<'a>>,
    by: &'static str,
    ip: Option<String>,
    request_id: Option<String>,
}

/// An account in the shape of NomaCMS, and whether it is switched off. Nothing of it is a secret.
#[derive(Serialize)]
struct Person<'a> {
    id: u64,
    uuid: Uuid,
    email: String,
    display_name: Option<&'a str>,
    email_verified_at: Option<String>,
    metadata: Option<&'a RawValue>,
    disabled: bool,
    created_at: String,
}

impl<'a> Person<'a> {
    fn of(user: &'a User) -> Self {
        let metadata = user.metadata.as_deref().filter(|text| text.len() <= MAX_METADATA);
        Self {
            id: user.number,
            uuid: user.id,
            email: user.lower_case_email().into_owned(),
            display_name: user.display_name.as_deref(),
            email_verified_at: user.email_proof.map(|proof| proof.at.rfc3339()),
            metadata: metadata.and_then(|text| serde_json::from_str(text).ok()),
            disabled: user.disabled_at.is_some(),
            created_at: user.created_at.rfc3339(),
        }
    }
}

fn bytes(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("a message holds nothing JSON cannot say")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_s_id_is_its_own_and_goes_by_the_event_s_time() {
        let event = Uuid::from_u128(0x0198_0000_0000_7abc_8def_0123_4567_89ab);
        let (crm, log) = (item_id(event, "crm"), item_id(event, "log"));
        assert_eq!(item_id(event, "crm"), crm);
        assert!(crm != log && crm != event);
        assert_eq!(crm.as_bytes()[..9], event.as_bytes()[..9]);
        assert_eq!((crm.get_version_num(), crm.get_variant()), (7, uuid::Variant::RFC4122));
    }
}
