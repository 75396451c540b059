//! Delivery of webhooks: takes what is due out of the projects' outboxes and posts it.
//!
//! Every webhook is a lane of its own: a few posts at once go to one receiver, and none waits for another's. A receiver
//! that fails some times in a row is left alone for a while, then asked with one post at a time (a circuit breaker), so
//! that one that is down costs next to nothing, however much waits for it, and gets all of it soon after it is back.
//!
//! As for mails, the beginning of an attempt is made durable before its first byte goes out; see [`crate::auth::outbox`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::delivery::is_set;
use crate::auth::outbox::{self, Outcome, Terms};
use crate::auth::projects::Selector;
use crate::auth::webhooks::{self, Verdict};
use crate::auth::{Error, Project, Projects};
use crate::config::Settings;
use crate::data::outbox::Lane;
use crate::env::{Env, Timestamp};

/// Posts under way to one webhook.
const TO_ONE: usize = 4;
/// Posts under way in all, after which no project begins more: half of what the client takes, so that the last to begin
/// and others' calls find room.
const IN_ALL: usize = 64;
/// Failures in a row after which a receiver is left alone.
const FAILURES: u32 = 3;
/// For how long at first; doubled with each further failure.
const FIRST_REST: Duration = Duration::from_secs(30);
/// For how long at most: what was down is asked again within this time.
const LONGEST_REST: Duration = Duration::from_secs(600);
/// How long posts under way may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(20);
/// The pause after a project whose outbox could not be read or written.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(30);
/// How often is asked whether the settings have changed.
const SETTINGS_EVERY: Duration = Duration::from_secs(15);

/// Runs until `stopped`, then lets what is being posted end.
pub(super) async fn run(projects: Arc<Projects>, env: Env, mut stopped: watch::Receiver<bool>) {
    let settings = projects.settings();
    let mut delivery = Delivery {
        projects,
        env,
        settings,
        next: HashMap::new(),
        routes: HashMap::new(),
        posting: JoinSet::new(),
        begun: HashMap::new(),
    };
    delivery.go_on(&mut stopped).await;
    if timeout(DRAIN, delivery.drain()).await.is_err() {
        tracing::warn!("some webhooks were still being posted at the end; they will be posted once more");
    }
}

struct Delivery {
    projects: Arc<Projects>,
    env: Env,
    /// The settings that were last seen.
    settings: Arc<Settings>,
    /// When each project is to be looked at, of those in which anything waits.
    next: HashMap<Uuid, Timestamp>,
    /// The webhooks with posts under way or failures behind them.
    routes: HashMap<Key, Route>,
    posting: JoinSet<Ended>,
    /// Which attempt a task is, also when it ends without saying so.
    begun: HashMap<tokio::task::Id, (Key, Uuid)>,
}

/// A webhook: its project and its name.
type Key = (Uuid, String);

/// How it goes with one webhook.
#[derive(Debug, Default)]
struct Route {
    in_flight: HashSet<Uuid>,
    /// Failures in a row.
    failures: u32,
    /// Until when it is left alone.
    rests_until: Option<Timestamp>,
}

/// An attempt that has ended.
struct Ended {
    project: Arc<Project>,
    item: Uuid,
    attempts: u32,
    verdict: Verdict,
}

/// What became of items.
type Outcomes = Vec<(Uuid, Outcome)>;

type Joined = Result<(tokio::task::Id, Ended), tokio::task::JoinError>;

impl Delivery {
    /// Never cut off between two steps: what has begun is posted, what has ended is written.
    async fn go_on(&mut self, stopped: &mut watch::Receiver<bool>) {
        let mut settings = interval(SETTINGS_EVERY);
        settings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let wakes = Arc::clone(&self.projects.shared().webhook_wakes);
        let clock = Arc::clone(&self.env.clock);
        loop {
            self.take_settings();
            self.begin_what_is_due().await;
            let free = self.posting.len() < IN_ALL;
            let next = self.next.values().min().copied().filter(|_| free);
            let due = async {
                match next {
                    Some(next) => clock.reached(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = is_set(stopped) => return,
                woken = wakes.woken() => {
                    let now = self.env.now();
                    self.next.extend(woken.into_iter().map(|project| (project, now)));
                }
                Some(ended) = self.posting.join_next_with_id() => self.end(ended).await,
                () = due => {}
                _ = settings.tick() => {}
            }
        }
    }

    /// Lets what is being posted end, and begins nothing more.
    async fn drain(&mut self) {
        while let Some(ended) = self.posting.join_next_with_id().await {
            self.end(ended).await;
        }
    }

    /// Where the settings changed, whoever rests may be another one now: all are asked again.
    fn take_settings(&mut self) {
        let settings = self.projects.settings();
        if Arc::ptr_eq(&settings, &self.settings) {
            return;
        }
        self.settings = settings;
        let now = self.env.now();
        for ((project, _), route) in &mut self.routes {
            (route.failures, route.rests_until) = (0, None);
            self.next.insert(*project, now);
        }
    }

    /// Begins attempts while there is room, those first that wait longest.
    async fn begin_what_is_due(&mut self) {
        let now = self.env.now();
        let mut due: Vec<(Timestamp, Uuid)> =
            self.next.iter().filter(|(_, at)| **at <= now).map(|(id, at)| (*at, *id)).collect();
        due.sort_unstable();
        for (_, id) in due {
            if self.posting.len() >= IN_ALL {
                return;
            }
            self.next.remove(&id);
            match self.begin(id, now).await {
                Ok(Some(next)) => {
                    self.next.insert(id, next);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(project = %id, %error, "webhooks cannot be worked off; it will be tried again");
                    self.next.insert(id, now.plus(PAUSE_AFTER_TROUBLE));
                }
            }
        }
    }

    /// Begins the attempts of a project that there is room for; when it is to be looked at again.
    async fn begin(&mut self, id: Uuid, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let Some(project) = self.projects.find(Selector::Id(id)).await? else { return Ok(None) };
        let settings = project.settings();
        // What waits for a webhook that is gone is looked at, too: it expires some day.
        let mut names: BTreeSet<String> = outbox::webhooks(&project)?.into_iter().collect();
        names.extend(settings.webhooks.keys().cloned());
        let (mut terms, mut next) = (Vec::new(), None);
        let mut asked = Vec::new();
        for name in names {
            let sends = settings.webhooks.get(&name).is_some_and(|webhook| webhook.enabled);
            let key = (id, name.clone());
            let route = self.routes.get(&key);
            let most = route.map_or(TO_ONE, |route| route.room(now));
            if sends && most == 0 {
                // Where posts are under way, the end of one asks for the next look.
                let rests = route.and_then(|route| route.rests_until).filter(|until| *until > now);
                next = next.into_iter().chain(rests).min();
                continue;
            }
            let in_flight = route.map(|route| route.in_flight.clone()).unwrap_or_default();
            let (lane, retry_for) = (Lane::Webhook(name), self.settings.webhooks.retry_for);
            terms.push(Terms { now, retry_for, lane, sends, most, in_flight });
            asked.push(key);
        }
        if terms.is_empty() {
            return Ok(next);
        }
        let claimed = outbox::claim(&project, terms).await?;
        for (key, claimed) in asked.into_iter().zip(claimed) {
            given_up(&project, claimed.buried);
            next = next.into_iter().chain(claimed.next).min();
            for item in claimed.items {
                // Only what is configured was claimed.
                let Some(webhook) = settings.webhooks.get(&key.1).cloned() else { continue };
                let route = self.routes.entry(key.clone()).or_default();
                route.in_flight.insert(item.id);
                let (project, env, id) = (Arc::clone(&project), self.env.clone(), item.id);
                let task = self.posting.spawn(async move {
                    let verdict = webhooks::deliver(&project, &webhook, &item, env.now()).await;
                    Ended { project, item: item.id, attempts: item.attempts, verdict }
                });
                self.begun.insert(task.id(), (key.clone(), id));
            }
        }
        Ok(next)
    }

    /// Writes how attempts ended: this one and all that have ended by now, one write a project.
    async fn end(&mut self, first: Joined) {
        let now = self.env.now();
        let mut by_project: HashMap<Uuid, (Arc<Project>, Outcomes)> = HashMap::new();
        let mut keys = Vec::new();
        let mut joined = Some(first);
        while let Some(ended) = joined {
            let task = match &ended {
                Ok((task, _)) => *task,
                Err(error) => error.id(),
            };
            let begun = self.begun.remove(&task);
            match (ended, begun) {
                (Ok((_, ended)), Some((key, item))) => {
                    let route = self.routes.entry(key.clone()).or_default();
                    route.learn(&ended.verdict, now);
                    told(&key.1, &ended, route);
                    let outcome = self.outcome(&ended, now);
                    let of_project = by_project.entry(key.0).or_insert_with(|| (ended.project, Vec::new()));
                    of_project.1.push((item, outcome));
                    keys.push((key, item));
                }
                (Err(error), begun) => {
                    tracing::error!(%error, "posting a webhook ended badly");
                    keys.extend(begun);
                }
                (Ok(_), None) => {}
            }
            joined = self.posting.try_join_next_with_id();
        }
        for (id, (project, items)) in by_project {
            match outbox::settle(&project, now, self.settings.webhooks.retry_for, items).await {
                Ok(tally) => given_up(&project, tally.given_up),
                Err(error) => tracing::error!(project = %id, %error, "the end of an attempt could not be written"),
            }
        }
        for (key, item) in keys {
            self.forget(&key, item);
            self.next.insert(key.0, now);
        }
    }

    fn outcome(&self, ended: &Ended, now: Timestamp) -> Outcome {
        let later = |error: &str| {
            let pause = outbox::pause_after(ended.attempts, u32::from_be_bytes(self.env.random()));
            Outcome::Later { error: error.to_owned(), next_at: now.plus(pause) }
        };
        match &ended.verdict {
            Verdict::Delivered => Outcome::Sent,
            Verdict::Gone => Outcome::Never { error: "the receiver says 410 Gone".into() },
            Verdict::Down(error) => later(error),
            Verdict::Busy => later("too many calls are under way"),
        }
    }

    fn forget(&mut self, key: &Key, item: Uuid) {
        if let Some(route) = self.routes.get_mut(key) {
            route.in_flight.remove(&item);
            if route.in_flight.is_empty() && route.failures == 0 {
                self.routes.remove(key);
            }
        }
    }
}

impl Route {
    /// How many more posts may begin.
    fn room(&self, now: Timestamp) -> usize {
        let most = match self.rests_until {
            Some(until) if until > now => 0,
            Some(_) => 1,
            None => TO_ONE,
        };
        most.saturating_sub(self.in_flight.len())
    }

    fn learn(&mut self, verdict: &Verdict, now: Timestamp) {
        match verdict {
            // An answer is an answer: it is not down.
            Verdict::Delivered | Verdict::Gone => (self.failures, self.rests_until) = (0, None),
            Verdict::Down(_) => {
                self.failures = self.failures.saturating_add(1);
                if let Some(beyond) = self.failures.checked_sub(FAILURES) {
                    let rest = FIRST_REST.saturating_mul(1 << beyond.min(16)).min(LONGEST_REST);
                    self.rests_until = Some(now.plus(rest));
                }
            }
            Verdict::Busy => {}
        }
    }
}

fn told(webhook: &str, ended: &Ended, route: &Route) {
    let (project, item) = (&ended.project.record().slug, ended.item);
    match &ended.verdict {
        Verdict::Delivered => tracing::debug!(%project, %webhook, %item, "webhook delivered"),
        Verdict::Gone => tracing::error!(%project, %webhook, %item, "the webhook's receiver says 410 Gone"),
        Verdict::Down(error) => {
            let failures = route.failures;
            tracing::warn!(%project, %webhook, %item, %error, failures, "webhook not delivered; tried again later");
        }
        Verdict::Busy => tracing::warn!(%project, %webhook, %item, "too many calls are under way; tried again later"),
    }
}

fn given_up(project: &Project, items: u64) {
    if items > 0 {
        let slug = &project.record().slug;
        tracing::warn!(project = %slug, items, "webhooks given up; they are kept as dead letters");
    }
}
