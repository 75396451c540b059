//! Does steps at a server, holds what it answers against what it must, and writes down what was done.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use keystead::auth::accounts::{self, NewPassword, NewUser, UserRef};
use keystead::auth::{Email, Error};
use keystead::crypto::Secret;
use keystead::data::users::Role;
use keystead::dialect::Dialect;
use keystead::testing::Server;
use serde_json::json;

use super::keys::NO_KEY;
use super::rules::{Answer, spelling};
use super::step::{Door, Order, PROJECTS, Step, WORDS, Who};
use super::wire::{Said, ask, found};
use super::world::{Account, HeldId, What, World};
use crate::persona::{Persona, Reply, all_at_once, now, operator, project, project_id};

/// Few failures lock, for longer than a failure counts, so that the two can be told apart. What limits requests is not
/// what this is about.
const SETTINGS: [(&str, &str); 14] = [
    ("LOCKOUT__FAILURES", "3"),
    ("LOCKOUT__ACCOUNT_FAILURES", "5"),
    ("LOCKOUT__WINDOW", "10m"),
    ("LOCKOUT__DURATION", "20m"),
    ("NORA__LIMITS__GLOBAL", "off"),
    ("NORA__LIMITS__MUTATION", "off"),
    ("NORA__LIMITS__LOGIN", "off"),
    ("NORA__LIMITS__SIGNUP_BURST", "off"),
    ("NORA__LIMITS__SIGNUP_DAILY", "off"),
    ("NHOST__CLIENT_URL", APP),
    ("NHOST__ANONYMOUS", "true"),
    ("NHOST__PASSWORDLESS_EMAIL", "true"),
    ("NHOST__OTP_EMAIL", "true"),
    ("SECRET", SECRET),
];
/// Where links lead in the end.
const APP: &str = "https://app.example.com";
/// What the app's own services prove keys with.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A mail that has not come by then does not come. Only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// A server for many cases: each has addresses and clients that no other has, and so begins with nothing.
pub struct Stage {
    server: Server,
    anon: Persona,
    /// The ids of [`PROJECTS`].
    projects: [String; 2],
    cases: AtomicUsize,
    /// Whether addresses must be proved.
    strict: AtomicBool,
}

/// One case, on its way.
struct Case<'a> {
    stage: &'a Stage,
    number: usize,
    world: World,
    /// What whoever can be looked at was answered, when that was last done.
    seen: Vec<Answer>,
    script: &'a mut String,
}

impl Stage {
    pub async fn new() -> Self {
        let settings = Self::settings(false);
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let server = Server::with(&settings).await;
        let projects = PROJECTS.map(|slug| project_id(&server, slug));
        let (cases, strict) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { anon: Persona::anon(&server), projects, server, cases, strict }
    }

    fn settings(strict: bool) -> Vec<(String, &'static str)> {
        let mode = ("VERIFICATION__MODE", if strict { "strict" } else { "off" });
        let all = SETTINGS.into_iter().chain([mode]);
        let of = |slug: &str, key| format!("PROJECT__{}__{key}", slug.to_uppercase());
        let of_each = all.flat_map(|(key, value)| PROJECTS.map(|slug| (of(slug, key), value)));
        of_each.chain([("LISTEN__TRUSTED_PROXIES".to_owned(), "127.0.0.1/32")]).collect()
    }

    async fn reload(&self, strict: bool) {
        if self.strict.swap(strict, Ordering::Relaxed) != strict {
            let settings = Self::settings(strict);
            let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            self.server.reload(&settings).await.expect("good settings");
        }
    }

    /// Does these steps, from nothing. `script` tells what was done and answered.
    ///
    /// # Errors
    /// The first answer that is not the right one.
    pub async fn play(&self, steps: &[Step], script: &mut String) -> Result<(), String> {
        script.clear();
        let number = self.cases.fetch_add(1, Ordering::Relaxed);
        self.reload(false).await;
        let mut case = Case { stage: self, number, world: World::default(), seen: Vec::new(), script };
        for step in steps {
            let with = case.world.choose(step);
            case.act(step, with).await?;
        }
        case.end().await
    }
}

impl Case<'_> {
    async fn act(&mut self, step: &Step, with: Option<HeldId>) -> Result<(), String> {
        let Some(door) = self.door(step, with) else { return Ok(()) };
        if let Some(who) = step.mails()
            && !self.world.may_mail(door.project, who.person)
        {
            return Ok(());
        }
        let with_what = with.map(|with| format!(" with {}", self.world.told(with))).unwrap_or_default();
        self.say(&format!("{:>9} s  {step}{with_what}", self.world.now));
        let text = self.text(step, with);
        let answers = self.world.step(step, with);
        match *step {
            Step::Operator { order, project, person } => self.order(order, project, person).await,
            Step::Wait { seconds } => self.stage.server.clock().advance(Duration::from_secs(seconds)),
            Step::Reload { strict } => self.stage.reload(strict).await,
            _ => {
                let (persona, domain, now) = (self.at(door), self.domain(), now(&self.stage.server));
                let asked = answers.iter().map(|_| {
                    let (persona, text, domain, step) = (persona.clone(), text.clone(), domain.clone(), *step);
                    async move { ask(&persona, door.dialect, &step, &text, &domain, now).await }
                });
                let replies = all_at_once(asked).await;
                self.compare(door.dialect, answers, replies)?;
                self.open_mails().await?;
            }
        }
        self.look_where_changed().await
    }

    /// Where a step happens; `None` where nothing is held that it could be done with.
    fn door(&self, step: &Step, with: Option<HeldId>) -> Option<Door> {
        Some(match *step {
            Step::SignUp { door, .. } | Step::SignIn { door, .. } => door,
            Step::Anonymous { project, client } | Step::Ask { project, client, .. } => {
                Door { dialect: Dialect::Nhost, project, client }
            }
            Step::AskAgain { project, .. } => Door { dialect: Dialect::Noma, project, client: 0 },
            Step::Operator { project, .. } => Door { dialect: Dialect::Noma, project, client: 0 },
            Step::Wait { .. } | Step::Reload { .. } => Door { dialect: Dialect::Noma, project: 0, client: 0 },
            Step::ChangePassword { client, .. } | Step::Type { client, .. } => self.door_of(with?, client),
            _ => self.door_of(with?, 0),
        })
    }

    fn door_of(&self, held: HeldId, client: usize) -> Door {
        Door { dialect: self.world.dialect(held), project: self.world.held[held].project, client }
    }

    /// What is presented.
    fn text(&self, step: &Step, with: Option<HeldId>) -> String {
        let text = |held: HeldId| self.world.held[held].text.clone().unwrap_or_default();
        match (step, with) {
            (Step::RevokeKey { .. }, Some(with)) => {
                let What::Key { account, .. } = self.world.held[with].what else { unreachable!("chosen for it") };
                let access = self.world.noma_access(account).map(text).unwrap_or_default();
                let number = text(with);
                format!("{} {access}", number.split(' ').next().unwrap_or_default())
            }
            (Step::Type { wrong: true, .. }, Some(with)) => {
                let right = text(with);
                let last = right.bytes().last().map_or(0, |digit| (digit - b'0' + 1) % 10);
                format!("{}{last}", &right[..right.len() - 1])
            }
            (_, with) => with.map(text).unwrap_or_default(),
        }
    }

    /// Reads the mails that must come, whatever else comes.
    async fn open_mails(&mut self) -> Result<(), String> {
        for mail in std::mem::take(&mut self.world.post) {
            let to = mail.to.typed(&self.domain()).trim().to_owned();
            let mailbox = self.stage.server.mailbox();
            let header = |sent: &keystead::mail::Sent, name: &str| {
                sent.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            };
            let awaited = async {
                loop {
                    let sent = mailbox.next_to(&to).await;
                    if header(&sent, "X-Email-Template").as_deref() == Some(mail.template) {
                        return header(&sent, "X-Ticket");
                    }
                }
            };
            let no_mail = |_| format!("a mail must come: {} to {:?}", mail.template, mail.to);
            let ticket = tokio::time::timeout(PATIENCE, awaited).await.map_err(no_mail)?;
            self.world.held[mail.brings].text = Some(ticket.ok_or("a mail must bring something")?);
        }
        Ok(())
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
        answers.sort_by_cached_key(Said::must);
        replies.sort_by_cached_key(|reply| Said::was(dialect, reply));
        for reply in &replies {
            self.say(&format!("             {}", Said::was(dialect, reply)));
        }
        for (answer, reply) in answers.iter().zip(&replies) {
            let must = Said::must(answer);
            if must != Said::was(dialect, reply) {
                return Err(format!("must be {must}"));
            }
            self.take(answer, reply)?;
        }
        Ok(())
    }

    /// Keeps what a reply brings.
    fn take(&mut self, answer: &Answer, reply: &Reply) -> Result<(), String> {
        let found = |at: &str| found(reply, at).ok_or_else(|| format!("{at} is missing"));
        if let Some((at, account)) = answer.account {
            let uuid = found(at)?;
            let is_other =
                |(id, other): (usize, &Account)| id != account && other.uuid.as_deref() == Some(uuid.as_str());
            if self.world.accounts.iter().enumerate().any(is_other) {
                return Err(format!("{at} names another account than {account}"));
            }
            let known = self.world.accounts[account].uuid.get_or_insert_with(|| uuid.clone());
            if *known != uuid {
                return Err(format!("account {account} has another id at {at}"));
            }
        }
        for (at, held) in &answer.brings {
            let mut text = found(at)?;
            if let What::Key { .. } = self.world.held[*held].what {
                // What it is revoked by stands with it.
                text = format!("{} {text}", reply.body["id"]);
            }
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
            Order::Create { word } => {
                let new = NewUser {
                    email,
                    password: Some(NewPassword::Plain(Secret::new(WORDS[word].to_owned()))),
                    display_name: None,
                    verified: false,
                    metadata: None,
                    role: Role::User,
                };
                accounts::create(&project, by, new).await.map(drop)
            }
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
        // Of nobody, and of who is there already: nothing is done.
        assert!(matches!(done, Ok(()) | Err(Error::UnknownUser | Error::EmailTaken)), "{done:?}");
    }

    /// Looks at everything that can be looked at without using it, where the step changed what must be seen.
    async fn look_where_changed(&mut self) -> Result<(), String> {
        let seen = self.visible().into_iter().map(|held| self.world.look(held)).collect();
        if self.seen == seen {
            return Ok(());
        }
        self.seen = seen;
        self.look().await
    }

    /// Bearers and API keys.
    fn visible(&self) -> Vec<HeldId> {
        self.held(|what| matches!(what, What::Access { .. } | What::Token { .. } | What::Key { .. }))
    }

    /// What was said of these, the oldest first.
    fn held(&self, which: impl Fn(What) -> bool) -> Vec<HeldId> {
        let all = self.world.held.iter().enumerate();
        all.filter(|(_, held)| held.text.is_some() && which(held.what)).map(|(id, _)| id).collect()
    }

    async fn look(&mut self) -> Result<(), String> {
        let asked = self.visible().into_iter().map(|held| {
            let asks = self.present(held, self.door_of(held, 0));
            async move { (held, asks.await) }
        });
        for (held, reply) in all_at_once(asked).await {
            let answer = self.world.look(held);
            self.presented(held, self.world.dialect(held), answer, reply)?;
        }
        Ok(())
    }

    /// Presents a bearer or an API key at a door.
    fn present(&self, held: HeldId, door: Door) -> impl Future<Output = Reply> + Send + use<> {
        let (text, what) = (self.world.held[held].text.clone().unwrap_or_default(), self.world.held[held].what);
        let persona = self.at(door);
        async move {
            if let What::Key { .. } = what {
                let (_, key) = text.split_once(' ').expect("its number and the key");
                return persona.with_token(SECRET).post("/api-keys/verify", &json!({ "key": key })).await;
            }
            persona.with_token(&text).who().await
        }
    }

    fn presented(&mut self, held: HeldId, dialect: Dialect, answer: Answer, reply: Reply) -> Result<(), String> {
        let before = self.script.len();
        self.say(&format!("             presented at {}: {}", dialect.name(), self.world.told(held)));
        self.compare(dialect, vec![answer], vec![reply])?;
        // Only what is wrong is worth telling.
        self.script.truncate(before);
        Ok(())
    }

    /// What is held is worth nothing to other dialects and in other projects, and in its own what it ought to be: each is
    /// used once more.
    async fn end(&mut self) -> Result<(), String> {
        self.say("             the end");
        self.look().await?;
        let mut asked = Vec::new();
        for held in self.visible() {
            let own = self.door_of(held, 0);
            for dialect in Dialect::ALL {
                // In its own dialect elsewhere, in the others here.
                let project = if dialect == own.dialect { 1 - own.project } else { own.project };
                let is_key = matches!(self.world.held[held].what, What::Key { .. });
                if !is_key || dialect == own.dialect {
                    let asks = self.present(held, Door { dialect, project, client: 0 });
                    asked.push(async move { (held, dialect, asks.await) });
                }
            }
        }
        for (held, dialect, reply) in all_at_once(asked).await {
            let nobody = match self.world.held[held].what {
                What::Key { .. } => NO_KEY,
                _ => (401, spelling(dialect).unauthenticated),
            };
            self.presented(held, dialect, Answer::refused(nobody), reply)?;
        }
        for held in self.held(|_| true).into_iter().rev() {
            let (with, times) = (0, 1);
            let step = match self.world.held[held].what {
                What::Refresh { .. } => Step::Refresh { with, times },
                What::Personal { .. } => Step::SignInPersonal { with },
                What::Proving { .. } | What::Decoy => Step::Confirm { with, times },
                What::Ticket { .. } => Step::Follow { with, times },
                What::Access { .. } | What::Token { .. } | What::Key { .. } | What::Digits { .. } => continue,
            };
            self.act(&step, Some(held)).await?;
        }
        Ok(())
    }

    fn say(&mut self, line: &str) {
        writeln!(self.script, "{line}").expect("a text takes all");
    }
}
