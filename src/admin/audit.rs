//! `/v1/projects/P/audit`: the trail read page by page, and verified.

use std::net::Ipv6Addr;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Admin;
use super::error::Refusal;
use super::input::{Address, Asked, At, ProjectName};
use crate::auth::RequestId;
use crate::auth::audit::{self, Entry, Filter, Point, Verdict};
use crate::crypto::{Digest, hex};
use crate::env::Timestamp;

/// Entries of a page when the query does not say.
const PAGE: usize = 100;
/// The most entries of a page.
const MAX_PAGE: usize = 1000;

/// Which part of the trail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    after: Option<u64>,
    limit: Option<usize>,
    /// So many from the end, instead of a page.
    last: Option<usize>,
    /// RFC 3339.
    since: Option<String>,
    address: Option<Address>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// `SEQ:HASH`
    expect: Option<String>,
}

/// Some entries.
#[derive(Serialize)]
pub(super) struct List {
    entries: Vec<View>,
    next: Option<u64>,
    end: u64,
}

/// An entry as an operator sees it.
#[derive(Serialize)]
struct View {
    seq: u64,
    at: String,
    event: &'static str,
    outcome: &'static str,
    by: &'static str,
    /// The operator's user id.
    uid: Option<u32>,
    user: Option<Uuid>,
    ip: Option<String>,
    request: Option<String>,
    /// A digest of the address that was tried, unlocked or written to.
    address: Option<String>,
    previous: String,
    hash: String,
}

/// What came of a verification.
#[derive(Serialize)]
pub(super) struct Verified {
    ok: bool,
    entries: Option<u64>,
    first: Option<u64>,
    head: Option<Head>,
    broken_at: Option<u64>,
    reason: Option<String>,
}

/// What a trail can be recognised by later.
#[derive(Serialize)]
struct Head {
    seq: u64,
    hash: String,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    At(name): At<ProjectName>,
    Asked(which): Asked<Which>,
) -> Result<Json<List>, Refusal> {
    let project = admin.project(&name).await?;
    let filter = Filter {
        since: which.since.as_deref().map(moment).transpose()?,
        address: which.address.map(|Address(email)| email),
    };
    let limit = which.last.or(which.limit).unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Refusal::Invalid(format!("limit: write a number from 1 to {MAX_PAGE}")));
    }
    let page = match (which.last, which.after) {
        (Some(_), Some(_)) => return Err(Refusal::Invalid("give `after` or `last`, not both".into())),
        (Some(last), None) => audit::last(&project, last, &filter).await?,
        (None, after) => audit::list(&project, after.unwrap_or(0), limit, &filter).await?,
    };
    let entries = page.entries.iter().map(|(entry, hash)| view(entry, hash)).collect();
    Ok(Json(List { entries, next: page.next, end: page.end }))
}

pub(super) async fn verify(
    State(admin): State<Admin>,
    At(name): At<ProjectName>,
    Asked(Expected { expect }): Asked<Expected>,
) -> Result<Json<Verified>, Refusal> {
    let project = admin.project(&name).await?;
    let expect = expect.as_deref().map(point).transpose()?;
    let nothing = Verified { ok: false, entries: None, first: None, head: None, broken_at: None, reason: None };
    Ok(Json(match audit::verify(&project, expect).await? {
        Verdict::Whole { first, entries, head } => Verified {
            ok: true,
            entries: Some(entries),
            first: Some(first),
            head: Some(Head { seq: head.seq, hash: head.hash.hex() }),
            ..nothing
        },
        Verdict::Broken { at, reason } => Verified { broken_at: Some(at), reason: Some(reason.to_owned()), ..nothing },
        Verdict::Forgotten { first } => Verified {
            first: Some(first),
            reason: Some(format!("the entry expected is no longer kept; the first that is has the number {first}")),
            ..nothing
        },
    }))
}

fn moment(text: &str) -> Result<Timestamp, Refusal> {
    let moment: Option<jiff::Timestamp> = text.parse().ok();
    let millis = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
    let wanted = || Refusal::Invalid("since: write a moment such as 2026-01-31T12:00:00Z".into());
    millis.map(Timestamp::from_millis).ok_or_else(wanted)
}

fn point(text: &str) -> Result<Point, Refusal> {
    let parts = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, Digest::from_hex(hash)?)));
    let wanted = || Refusal::Invalid("expect: write SEQ:HASH, as the log and an earlier verification said it".into());
    parts.map(|(seq, hash)| Point { seq, hash }).ok_or_else(wanted)
}

fn view(entry: &Entry, hash: &Digest) -> View {
    let event = &entry.event;
    View {
        seq: entry.seq,
        at: event.at.rfc3339(),
        event: event.kind.name(),
        outcome: event.outcome.name(),
        by: event.by.name(),
        uid: event.uid,
        user: event.user,
        ip: event.ip.map(|ip| Ipv6Addr::from(ip).to_canonical().to_string()),
        request: event.request.map(|id| RequestId::new(id).to_string()),
        address: event.address.map(|digest| hex(&digest)),
        previous: entry.previous.hex(),
        hash: hash.hex(),
    }
}
