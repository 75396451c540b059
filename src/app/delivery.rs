//! Delivery: takes what is due out of the projects' outboxes and sends it, many at once, fair between projects.
//!
//! One task knows when each project's next item is due. It wakes when something was written, when something is due, and
//! when an attempt has ended; it begins attempts with one write a project, sends beside itself, and ends attempts with
//! one write again. An attempt whose end could not be written counts as cut off, as after a crash.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use super::transport::transport;
use crate::auth::outbox::{self, Outcome, Terms};
use crate::auth::projects::Selector;
use crate::auth::{Error, Project, Projects};
use crate::config::Settings;
use crate::data::outbox::{Item, Kind, Lane};
use crate::env::{Env, Timestamp};
use crate::mail::{Mailbox, SendError, Taken, Transport};

/// How long attempts in flight may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(30);
/// How long one attempt may take.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(120);
/// The pause after a project whose outbox could not be read or written.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(30);
/// The pause between two project files that are looked through after a start.
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// How often is asked whether the settings have changed.
const SETTINGS_EVERY: Duration = Duration::from_secs(15);
/// Attempts one project may begin while others wait for theirs.
const TURN: usize = 4;

/// Runs until `stopped`, then lets what is being sent end.
pub(super) async fn run(projects: Arc<Projects>, mailbox: Arc<Mailbox>, env: Env, mut stopped: watch::Receiver<bool>) {
    let mut delivery = Delivery::new(projects, mailbox, env);
    let looking = tokio::spawn(look_through(Arc::clone(&delivery.projects), stopped.clone()));
    delivery.go_on(&mut stopped).await;
    // It has seen the flag, too.
    let _ = looking.await;
    if timeout(DRAIN, delivery.drain()).await.is_err() {
        tracing::warn!("some mails were still being sent at the end; they will be tried once more");
    }
}

/// Looks for what an earlier process left in the outboxes, one project file at a time.
async fn look_through(projects: Arc<Projects>, mut stopped: watch::Receiver<bool>) {
    let look = async {
        for (id, entry) in projects.list() {
            if let Err(error) = projects.wake_if_waiting(id).await {
                tracing::warn!(project = %entry.slug, %error, "the outbox cannot be looked at");
            }
            sleep(LOOK_PAUSE).await;
        }
    };
    tokio::select! {
        _ = stopped.wait_for(|set| *set) => {}
        () = look => {}
    }
}

struct Delivery {
    projects: Arc<Projects>,
    mailbox: Arc<Mailbox>,
    env: Env,
    /// The settings that `transport` was built from.
    settings: Arc<Settings>,
    transport: Transport,
    /// When each project's next item is due, of those that have any.
    next: HashMap<Uuid, Timestamp>,
    in_flight: HashMap<Uuid, HashSet<Uuid>>,
    sending: JoinSet<Ended>,
    /// Attempts whose task is gone without saying how it ended.
    lost: HashMap<tokio::task::Id, (Uuid, Uuid)>,
}

/// How attempts of one project ended.
type Ends = (Arc<Project>, Vec<(Uuid, Outcome)>);

/// An attempt that has ended.
struct Ended {
    project: Arc<Project>,
    item: Uuid,
    purpose: String,
    outcome: Outcome,
}

impl Delivery {
    fn new(projects: Arc<Projects>, mailbox: Arc<Mailbox>, env: Env) -> Self {
        let settings = projects.settings();
        Self {
            transport: transport(&settings, &mailbox, &env, &projects.shared().outbound),
            projects,
            mailbox,
            env,
            settings,
            next: HashMap::new(),
            in_flight: HashMap::new(),
            sending: JoinSet::new(),
            lost: HashMap::new(),
        }
    }

    /// Never cut off between two steps: what has begun is sent, what has ended is written.
    async fn go_on(&mut self, stopped: &mut watch::Receiver<bool>) {
        let mut settings = interval(SETTINGS_EVERY);
        settings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let wakes = Arc::clone(&self.projects.shared().wakes);
        let clock = Arc::clone(&self.env.clock);
        loop {
            self.take_settings();
            self.begin_what_is_due().await;
            let free = self.sending.len() < self.settings.mail.concurrency;
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
                Some(ended) = self.sending.join_next_with_id() => self.end(ended).await,
                () = due => {}
                _ = settings.tick() => {}
            }
        }
    }

    /// Lets what is being sent end, and begins nothing more.
    async fn drain(&mut self) {
        while let Some(ended) = self.sending.join_next_with_id().await {
            self.end(ended).await;
        }
    }

    /// The transport follows the settings; where they changed, what waits is looked at again.
    fn take_settings(&mut self) {
        let settings = self.projects.settings();
        if Arc::ptr_eq(&settings, &self.settings) {
            return;
        }
        self.settings = settings;
        self.transport = transport(&self.settings, &self.mailbox, &self.env, &self.projects.shared().outbound);
        let now = self.env.now();
        self.next.values_mut().for_each(|at| *at = now);
    }

    /// Begins attempts while there is room, each project in its turn.
    async fn begin_what_is_due(&mut self) {
        let now = self.env.now();
        let mut due: Vec<(Timestamp, Uuid)> =
            self.next.iter().filter(|(_, at)| **at <= now).map(|(id, at)| (*at, *id)).collect();
        due.sort_unstable();
        let mut turns: VecDeque<Uuid> = due.into_iter().map(|(_, id)| id).collect();
        while let Some(id) = turns.pop_front() {
            let free = self.settings.mail.concurrency.saturating_sub(self.sending.len());
            if free == 0 {
                return;
            }
            self.next.remove(&id);
            let most = if turns.is_empty() { free } else { free.min(TURN) };
            match self.begin(id, now, most).await {
                Ok(Some(next)) => {
                    self.next.insert(id, next);
                    if next <= now {
                        turns.push_back(id);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(project = %id, %error, "the outbox cannot be worked off; it will be tried again");
                    self.next.insert(id, now.plus(PAUSE_AFTER_TROUBLE));
                }
            }
        }
    }

    /// Begins at most `most` attempts of a project; when it is to be looked at again.
    async fn begin(&mut self, id: Uuid, now: Timestamp, most: usize) -> Result<Option<Timestamp>, Error> {
        let Some(project) = self.projects.find(Selector::Id(id)).await? else { return Ok(None) };
        let terms = Terms {
            now,
            retry_for: self.settings.mail.retry_for,
            lane: Lane::Mail,
            sends: self.transport.sends(),
            most,
            in_flight: self.in_flight.get(&id).cloned().unwrap_or_default(),
        };
        let claimed = outbox::claim(&project, vec![terms]).await?.pop().unwrap_or_default();
        if claimed.buried > 0 {
            let slug = &project.record().slug;
            tracing::warn!(project = %slug, items = claimed.buried, "given up: keystead mail list --dead");
        }
        for item in claimed.items {
            let sender = Sender {
                project: Arc::clone(&project),
                settings: Arc::clone(&self.settings),
                transport: self.transport.clone(),
                now,
            };
            self.in_flight.entry(id).or_default().insert(item.id);
            let (env, key) = (self.env.clone(), (id, item.id));
            let task = self.sending.spawn(async move { sender.attempt(item, &env).await });
            self.lost.insert(task.id(), key);
        }
        Ok(claimed.next)
    }

    /// Writes how attempts ended: this one and all that have ended by now, one write a project.
    async fn end(&mut self, first: Joined) {
        let mut by_project: HashMap<Uuid, Ends> = HashMap::new();
        let mut ended = Some(first);
        while let Some(joined) = ended {
            match joined {
                Ok((task, ended)) => {
                    self.lost.remove(&task);
                    told(&ended);
                    let (_, items) = by_project
                        .entry(ended.project.id())
                        .or_insert_with(|| (Arc::clone(&ended.project), Vec::new()));
                    items.push((ended.item, ended.outcome));
                }
                Err(error) => {
                    tracing::error!(%error, "an attempt to send ended badly");
                    if let Some((project, item)) = self.lost.remove(&error.id()) {
                        self.forget(project, &[item]);
                    }
                }
            }
            ended = self.sending.try_join_next_with_id();
        }
        let now = self.env.now();
        for (id, (project, items)) in by_project {
            let ids: Vec<Uuid> = items.iter().map(|(item, _)| *item).collect();
            match outbox::settle(&project, now, self.settings.mail.retry_for, items).await {
                Ok(tally) if tally.given_up > 0 => {
                    let slug = &project.record().slug;
                    tracing::warn!(project = %slug, items = tally.given_up, "given up: keystead mail list --dead");
                }
                Ok(_) => {}
                Err(error) => tracing::error!(project = %id, %error, "the end of an attempt could not be written"),
            }
            self.forget(id, &ids);
        }
    }

    fn forget(&mut self, project: Uuid, items: &[Uuid]) {
        if let Some(in_flight) = self.in_flight.get_mut(&project) {
            in_flight.retain(|item| !items.contains(item));
            if in_flight.is_empty() {
                self.in_flight.remove(&project);
            }
        }
        // What was put off has a moment of its own now.
        self.next.insert(project, self.env.now());
    }
}

pub(super) async fn is_set(flag: &mut watch::Receiver<bool>) {
    // The sender gone means the server is gone.
    let _ = flag.wait_for(|set| *set).await;
}

type Joined = Result<(tokio::task::Id, Ended), tokio::task::JoinError>;

fn told(ended: &Ended) {
    let (project, purpose, item) = (&ended.project.record().slug, &ended.purpose, ended.item);
    match &ended.outcome {
        Outcome::Sent => tracing::debug!(%project, %purpose, %item, "sent"),
        // The transport said so itself.
        Outcome::Told => {}
        Outcome::Later { error, .. } => {
            tracing::warn!(%project, %purpose, %item, %error, "not sent; tried again later")
        }
        Outcome::Never { error } => tracing::error!(%project, %purpose, %item, %error, "refused for good"),
    }
}

/// One attempt and what it needs, as things were when it began.
struct Sender {
    project: Arc<Project>,
    settings: Arc<Settings>,
    transport: Transport,
    now: Timestamp,
}

impl Sender {
    async fn attempt(self, item: Item, env: &Env) -> Ended {
        let sent = match timeout(LONGEST_ATTEMPT, self.send(&item)).await {
            Ok(sent) => sent,
            Err(_) => Err(SendError::Later(format!("no end within {} seconds", LONGEST_ATTEMPT.as_secs()))),
        };
        let outcome = match sent {
            Ok(Taken::Sent) => Outcome::Sent,
            Ok(Taken::Told) => Outcome::Told,
            Err(SendError::Later(error)) => {
                let pause = outbox::pause_after(item.attempts, u32::from_be_bytes(env.random()));
                Outcome::Later { error, next_at: env.now().plus(pause) }
            }
            Err(SendError::Never(error)) => Outcome::Never { error },
        };
        Ended { project: self.project, item: item.id, purpose: item.purpose, outcome }
    }

    async fn send(&self, item: &Item) -> Result<Taken, SendError> {
        match item.kind {
            Kind::Mail => {
                let message = outbox::message(&self.project, &self.settings.mail, item)?;
                self.transport.send(&message, self.now).await
            }
            // Of another lane, and nothing to send.
            Kind::Webhook | Kind::Decoy => Ok(Taken::Sent),
        }
    }
}
