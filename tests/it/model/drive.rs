//! Does steps at a server, holds what it answers against what it must, and writes down what was done.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keystead::auth::accounts::{self, NewPassword, UserRef};
use keystead::auth::{Email, Error};
use keystead::crypto::Secret;
use keystead::data::users::Role;
use keystead::dialect::Dialect;
use keystead::testing::Server;
use serde_json::json;

use super::rules::{Answer, spelling};
use super::step::{Door, Order, PROJECTS, Step, WORDS, Who};
use super::world::{HeldId, What, World};
use crate::persona::{Persona, Reply, all_at_once, operator, project, project_id};

/// Few failures lock, for longer than a failure counts, so that the two can be told apart. What limits requests is not
/// what this is about.
const SETTINGS: [(&str, &str); 9] = [
    ("LOCKOUT__FAILURES", "3"),
    ("LOCKOUT__ACCOUNT_FAILURES", "5"),
    ("LOCKOUT__WINDOW", "10m"),
    ("LOCKOUT__DURATION", "20m"),
    ("NORA__LIMITS__GLOBAL", "off"),
    ("NORA__LIMITS__MUTATION", "off"),
    ("NORA__LIMITS__LOGIN", "off"),
    ("NORA__LIMITS__SIGNUP_BURST", "off"),
    ("NORA__LIMITS__SIGNUP_DAILY", "off"),
];

/// A server for many cases: each has addresses and clients that no other has, and so begins with nothing.
pub struct Stage {
    server: Server,
    anon: Persona,
    /// The ids of [`PROJECTS`].
    projects: [String; 2],
    cases: AtomicUsize,
}

/// One case, on its way.
struct Case<'a> {
    stage: &'a Stage,
    number: usize,
    world: World,
    /// What worked as a bearer when that was last looked at.
    good: Vec<bool>,
    script: &'a mut String,
}

impl Stage {
    pub async fn new() -> Self {
        let names = PROJECTS.map(str::to_uppercase);
        let settings: Vec<_> = names
            .iter()
            .flat_map(|name| SETTINGS.map(|(key, value)| (format!("PROJECT__{name}__{key}"), value)))
            .chain([("LISTEN__TRUSTED_PROXIES".to_owned(), "127.0.0.1/32")])
            .collect();
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let server = Server::with(&settings).await;
        let projects = PROJECTS.map(|slug| project_id(&server, slug));
        Self { anon: Persona::anon(&server), projects, server, cases: AtomicUsize::new(0) }
    }

    /// Does these steps, from nothing. `script` tells what was done and answered.
    ///
    /// # Errors
    /// The first answer that is not the right one.
    pub async fn play(&self, steps: &[Step], script: &mut String) -> Result<(), String> {
        script.clear();
        let number = self.cases.fetch_add(1, Ordering::Relaxed);
        let mut case = Case { stage: self, number, world: World::default(), good: Vec::new(), script };
        for step in steps {
            let with = case.world.choose(step);
            case.act(step, with).await?;
        }
        case.end().await
    }
}

impl Case<'_> {
    async fn act(&mut self, step: &Step, with: Option<HeldId>) -> Result<(), String> {
        let (dialect, asks) = match step {
            Step::SignUp { door, .. } | Step::SignIn { door, .. } => (door.dialect, Some(self.at(*door))),
            Step::Operator { .. } | Step::Wait { .. } => (Dialect::Noma, None),
            _ => {
                // Nothing is held that fits.
                let Some(with) = with else { return Ok(()) };
                let client = if let Step::ChangePassword { client, .. } = step { *client } else { 0 };
                let door = Door { dialect: self.world.dialect(with), project: self.world.project(with), client };
                (door.dialect, Some(self.at(door)))
            }
        };
        let with_what = with.map(|with| format!(" with {}", self.world.told(with))).unwrap_or_default();
        self.say(&format!("{:>9} s  {step}{with_what}", self.world.now));
        let text = with.and_then(|with| self.world.held[with].text.clone()).unwrap_or_default();
        let answers = self.world.step(step, with);
        match (step, asks) {
            (Step::Operator { order, project, person }, _) => self.order(*order, *project, *person).await,
            (Step::Wait { seconds }, _) => self.stage.server.clock().advance(Duration::from_secs(*seconds)),
            (_, Some(persona)) => {
                let domain = self.domain();
                let asked = answers.iter().map(|_| {
                    let (persona, text, domain, step) = (persona.clone(), text.clone(), domain.clone(), *step);
                    async move { ask(&persona, dialect, &step, &text, &domain).await }
                });
                let replies = all_at_once(asked).await;
                self.compare(dialect, answers, replies)?;
            }
            (_, None) => {}
        }
        self.look_where_changed().await
    }

    /// Somebody of this case, at a door.
    fn at(&self, door: Door) -> Persona {
        let anon = match door.dialect {
            Dialect::Noma => self.stage.anon.speaking_noma(),
            Dialect::Nora => self.stage.anon.speaking_nora(),
            Dialect::Nhost => self.stage.anon.speaking_nhost(),
        };
        // Four addresses for each case.
        let [_, high, middle, low] = u32::try_from(self.number * 4 + door.client).expect("few").to_be_bytes();
        anon.in_project(Some(&self.stage.projects[door.project])).forwarded_for(&format!("10.{high}.{middle}.{low}"))
    }

    fn domain(&self) -> String {
        format!("c{}.example.com", self.number)
    }

    /// Holds replies against answers, in whatever order they came.
    fn compare(&mut self, dialect: Dialect, mut answers: Vec<Answer>, mut replies: Vec<Reply>) -> Result<(), String> {
        let asked = |answer: &Answer| (answer.status, answer.says.unwrap_or_default().to_owned(), answer.retry_after);
        let came = |reply: &Reply| {
            let refused = reply.status.as_u16() >= 400;
            let text = reply.body[spelling(dialect).text].as_str().filter(|_| refused).unwrap_or_default();
            let after = reply.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            (reply.status.as_u16(), text.to_owned(), after)
        };
        answers.sort_by_cached_key(asked);
        replies.sort_by_cached_key(came);
        for reply in &replies {
            let (status, text, after) = came(reply);
            let after = after.map(|seconds: u64| format!(", for {seconds} s")).unwrap_or_default();
            self.say(&format!("             {status} {text}{after}"));
        }
        for (answer, reply) in answers.iter().zip(&replies) {
            if asked(answer) != came(reply) {
                let (status, text, after) = asked(answer);
                let after = after.map(|seconds| format!(", for {seconds} s")).unwrap_or_default();
                return Err(format!("must be {status} {text}{after}"));
            }
            self.take(answer, reply)?;
        }
        Ok(())
    }

    /// Keeps what a reply brings.
    fn take(&mut self, answer: &Answer, reply: &Reply) -> Result<(), String> {
        let text_at = |at: &str| {
            let text = reply.body.pointer(at).and_then(|value| value.as_str());
            text.map(str::to_owned).ok_or_else(|| format!("{at} is missing"))
        };
        if let Some((at, account)) = answer.account {
            let uuid = text_at(at)?;
            let is_other = |(id, other): (usize, &super::world::Account)| {
                id != account && other.uuid.as_deref() == Some(uuid.as_str())
            };
            if self.world.accounts.iter().enumerate().any(is_other) {
                return Err(format!("{at} names another account than {account}"));
            }
            let known = self.world.accounts[account].uuid.get_or_insert_with(|| uuid.clone());
            if *known != uuid {
                return Err(format!("account {account} has another id at {at}"));
            }
        }
        for (at, held) in &answer.brings {
            let text = text_at(at)?;
            let told = self.world.told(*held);
            let known = self.world.held[*held].text.get_or_insert_with(|| text.clone());
            if *known != text {
                return Err(format!("{at} must be the {told} as it was given before"));
            }
        }
        Ok(())
    }

    async fn order(&self, order: Order, place: usize, person: usize) {
        let server = &self.stage.server;
        let (project, by) = (project(server, PROJECTS[place]).await, operator(server));
        let email = Email::parse(&Who { person, spelling: 0 }.typed(&self.domain())).expect("an address");
        let who = UserRef::Email(email.clone());
        let done = match order {
            Order::Disable => accounts::disable(&project, by, who).await.map(drop),
            Order::Enable => accounts::enable(&project, by, who).await.map(drop),
            Order::Delete => accounts::delete(&project, by, who).await.map(drop),
            Order::Unlock => accounts::unlock(&project, by, email).await.map(drop),
            Order::EndSessions => accounts::revoke_sessions(&project, by, who).await.map(drop),
            Order::SetPassword { word } => {
                let password = NewPassword::Plain(Secret::new(WORDS[word].to_owned()));
                accounts::set_password(&project, by, who, password).await.map(drop)
            }
            Order::Promote { admin } => {
                let role = if admin { Role::Admin } else { Role::User };
                accounts::set_role(&project, by, who, role).await.map(drop)
            }
        };
        // Of nobody: nothing is done.
        assert!(matches!(done, Ok(()) | Err(Error::UnknownUser)), "{done:?}");
    }

    /// Looks at every bearer, where the step made one good or useless.
    async fn look_where_changed(&mut self) -> Result<(), String> {
        let good = self.bearers().into_iter().map(|held| self.world.bearer(held).is_some()).collect();
        if self.good == good {
            return Ok(());
        }
        self.good = good;
        self.look().await
    }

    fn bearers(&self) -> Vec<HeldId> {
        let is_bearer = |id: &HeldId| {
            let held = &self.world.held[*id];
            held.text.is_some() && !matches!(held.what, What::Refresh { .. })
        };
        (0..self.world.held.len()).filter(is_bearer).collect()
    }

    async fn look(&mut self) -> Result<(), String> {
        let asked = self.bearers().into_iter().map(|held| {
            let persona = self.bearing(held, self.world.dialect(held), self.world.project(held));
            async move { (held, persona.who().await) }
        });
        for (held, reply) in all_at_once(asked).await {
            let answer = self.world.look(held);
            self.presented(held, self.world.dialect(held), answer, reply)?;
        }
        Ok(())
    }

    fn bearing(&self, held: HeldId, dialect: Dialect, project: usize) -> Persona {
        let text = self.world.held[held].text.as_deref().expect("what has been said");
        self.at(Door { dialect, project, client: 0 }).with_token(text)
    }

    fn presented(&mut self, held: HeldId, dialect: Dialect, answer: Answer, reply: Reply) -> Result<(), String> {
        let before = self.script.len();
        self.say(&format!("             presented at {}: {}", dialect.name(), self.world.told(held)));
        self.compare(dialect, vec![answer], vec![reply])?;
        // Only what is wrong is worth telling.
        self.script.truncate(before);
        Ok(())
    }

    /// What is held is worth nothing to other dialects and in other projects, and in its own what it ought to be.
    async fn end(&mut self) -> Result<(), String> {
        self.say("           the end");
        self.look().await?;
        let mut asked = Vec::new();
        for held in self.bearers() {
            let (own, project) = (self.world.dialect(held), self.world.project(held));
            for dialect in Dialect::ALL {
                // In its own dialect elsewhere, in the others here.
                let project = if dialect == own { 1 - project } else { project };
                let persona = self.bearing(held, dialect, project);
                asked.push(async move { (held, dialect, persona.who().await) });
            }
        }
        for (held, dialect, reply) in all_at_once(asked).await {
            let nobody = Answer::refused((401, spelling(dialect).unauthenticated));
            self.presented(held, dialect, nobody, reply)?;
        }
        let refresh = |id: &HeldId| matches!(self.world.held[*id].what, What::Refresh { .. });
        for held in (0..self.world.held.len()).rev().filter(refresh).collect::<Vec<_>>() {
            self.act(&Step::Refresh { with: 0, times: 1 }, Some(held)).await?;
        }
        Ok(())
    }

    fn say(&mut self, line: &str) {
        writeln!(self.script, "{line}").expect("a text takes all");
    }
}

async fn ask(persona: &Persona, dialect: Dialect, step: &Step, text: &str, domain: &str) -> Reply {
    match *step {
        Step::SignUp { who, word, .. } => persona.try_sign_up(&who.typed(domain), WORDS[word]).await,
        Step::SignIn { who, word, .. } => persona.sign_in(&who.typed(domain), WORDS[word]).await,
        Step::Refresh { .. } if dialect == Dialect::Nhost => {
            persona.post("/token", &json!({ "refreshToken": text })).await
        }
        Step::Refresh { .. } => persona.refresh(text).await,
        Step::LogOut { .. } if dialect == Dialect::Nhost => persona.with_refresh_token(text).log_out().await,
        Step::LogOut { .. } => persona.with_token(text).log_out().await,
        Step::LogOutEverywhere { .. } if dialect == Dialect::Nhost => {
            persona.with_token(text).post("/signout", &json!({ "all": true })).await
        }
        Step::LogOutEverywhere { .. } => persona.with_token(text).post_nothing("/logout-all").await,
        Step::ChangePassword { current, new, .. } => {
            spelling(dialect).change_password(&persona.with_token(text), WORDS[current], WORDS[new]).await
        }
        Step::Operator { .. } | Step::Wait { .. } => unreachable!("asked of nobody"),
    }
}
