//! What a test in another process may do with a server in memory: move its clock, read its mails.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::error::Refusal;
use super::input::{Asked, Said};
use crate::config::forms;
use crate::env::{AheadClock, Clock};
use crate::mail::{Mailbox, Sent};

/// How far ahead the clock may go: every moment is still one that RFC 3339 can write.
const FURTHEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// How long a request may wait for mail.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A server's clock and mailbox.
#[derive(Clone, Debug)]
pub struct TestBench {
    /// The clock the server goes by.
    pub clock: Arc<AheadClock>,
    /// Where its mails go.
    pub mailbox: Arc<Mailbox>,
}

pub(super) fn routes(bench: TestBench) -> Router {
    Router::new()
        .route("/testing/clock", get(clock).post(advance))
        .route("/testing/mailbox", get(mails).delete(forget))
        .method_not_allowed_fallback(async || Refusal::WrongMethod)
        .with_state(bench)
}

#[derive(Serialize)]
struct Now {
    now: String,
}

async fn clock(State(bench): State<TestBench>) -> Json<Now> {
    Json(Now { now: bench.clock.now().rfc3339() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance: String,
}

async fn advance(State(bench): State<TestBench>, Said(body): Said<Advance>) -> Result<Json<Now>, Refusal> {
    let by = forms::duration(&body.advance).map_err(Refusal::Invalid)?;
    if bench.clock.ahead().saturating_add(by) > FURTHEST {
        return Err(Refusal::Invalid("the clock goes at most 100 years ahead".into()));
    }
    bench.clock.advance(by);
    Ok(clock(State(bench)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    to: Option<String>,
    wait: Option<String>,
    count: Option<usize>,
}

/// The mails there are. A mail is sent beside the request that caused it: `wait` is for the one that is on its way.
async fn mails(State(bench): State<TestBench>, Asked(wanted): Asked<Wanted>) -> Result<Json<Vec<Sent>>, Refusal> {
    let wait = wanted.wait.as_deref().map_or(Ok(Duration::ZERO), forms::duration).map_err(Refusal::Invalid)?;
    if wait > LONGEST_WAIT {
        return Err(Refusal::Invalid("wait: at most 60s".into()));
    }
    let (to, count) = (wanted.to.as_deref(), wanted.count.unwrap_or(1));
    let mut received = bench.mailbox.received();
    let enough = async {
        loop {
            received.mark_unchanged();
            // The mailbox is ours: it cannot go while we wait.
            if bench.mailbox.messages(to).len() >= count || received.changed().await.is_err() {
                return;
            }
        }
    };
    // Not enough in time: what is there is the answer all the same.
    let _ = timeout(wait, enough).await;
    Ok(Json(bench.mailbox.messages(to)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    to: Option<String>,
}

async fn forget(State(bench): State<TestBench>, Asked(whose): Asked<Whose>) -> Json<Value> {
    Json(json!({ "deleted": bench.mailbox.clear(whose.to.as_deref()) }))
}
