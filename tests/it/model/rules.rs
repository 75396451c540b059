//! What must happen: how each step changes the world, and what each dialect must answer. What mails bring, keys and
//! personal access tokens are in [`super::mailing`] and [`super::keys`].

use keystead::dialect::Dialect;

use super::step::{Door, Order, Step, Who};
use super::world::{
    ACCESS, Account, AccountId, GRACE, Held, HeldId, NORA, Proof, REFRESH, Session, SessionId, What, World,
};
use crate::scenarios::{DIALECTS, Spelling};

/// What the server must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The dialect's own text or code of a refusal.
    pub says: Option<&'static str>,
    /// For how many seconds more it will refuse.
    pub retry_after: Option<u64>,
    /// Where in the body the id of which account stands.
    pub account: Option<(&'static str, AccountId)>,
    /// Where in the body what stands that is worth keeping; with `?`, where in the query of where it leads. Known already,
    /// it must be the same.
    pub brings: Vec<(&'static str, HeldId)>,
}

impl Answer {
    /// That it was done.
    pub fn done() -> Self {
        Self { status: 200, says: None, retry_after: None, account: None, brings: Vec::new() }
    }

    /// That it was not.
    pub fn refused((status, says): (u16, &'static str)) -> Self {
        Self { status, says: Some(says), ..Self::done() }
    }

    pub fn locked(dialect: Dialect, left: u64) -> Self {
        Self { status: 429, says: spelling(dialect).locked, retry_after: Some(left), ..Self::done() }
    }
}

/// How a dialect spells what all of them say.
pub fn spelling(dialect: Dialect) -> &'static Spelling {
    const { &DIALECTS }.iter().find(|spelling| spelling.name == dialect.name()).expect("every dialect is there")
}

impl World {
    /// Does a step with what was [chosen](World::choose) for it, and says what each request of it must be answered. Of
    /// several at the same instant one comes after the other: which is first does not matter.
    pub fn step(&mut self, step: &Step, with: Option<HeldId>) -> Vec<Answer> {
        (0..step.times()).filter_map(|_| self.once(step, with)).collect()
    }

    fn once(&mut self, step: &Step, with: Option<HeldId>) -> Option<Answer> {
        let answer = match (*step, with) {
            (Step::SignUp { door, who, word, .. }, _) => self.sign_up(door, who, word),
            (Step::SignIn { door, who, word, .. }, _) => self.sign_in(door, who.person, word),
            (Step::Anonymous { project, .. }, _) => {
                let account = self.make(project, None, None);
                self.begin(account, Dialect::Nhost)
            }
            (Step::AskAgain { project, who }, _) => self.ask_again(project, who.person),
            (Step::Ask { wish, project, who, .. }, _) => self.ask(wish, project, who),
            (Step::Operator { order, project, person }, _) => {
                self.order(order, project, person);
                return None;
            }
            (Step::Wait { seconds }, _) => {
                self.now += seconds;
                return None;
            }
            (Step::Reload { strict }, _) => {
                self.strict = strict;
                return None;
            }
            // Nothing to do it with.
            (_, None) => return None,
            (Step::Deanonymize { who, word, .. }, Some(with)) => self.deanonymize(with, who, word),
            (Step::Refresh { .. }, Some(with)) => self.refresh(with),
            (Step::LogOut { .. }, Some(with)) => self.log_out(with),
            (Step::LogOutEverywhere { .. }, Some(with)) => self.log_out_everywhere(with),
            (Step::ChangePassword { client, current, new, .. }, Some(with)) => {
                self.change_password(with, client, current, new)
            }
            (Step::MakeKey { .. }, Some(with)) => self.make_key(with),
            (Step::RevokeKey { .. }, Some(with)) => self.revoke_key(with)?,
            (Step::MakePersonal { .. }, Some(with)) => self.make_personal(with),
            (Step::SignInPersonal { .. }, Some(with)) => self.sign_in_personal(with),
            (Step::Confirm { .. }, Some(with)) => self.confirm(with),
            (Step::AskForAddress { who, .. }, Some(with)) => self.ask_for_address(with, who),
            (Step::Follow { .. }, Some(with)) => self.follow(with),
            (Step::ResetBy { word, .. }, Some(with)) => self.reset_by(with, word),
            (Step::Type { wrong, client, who, .. }, Some(with)) => self.type_digits(with, wrong, client, who),
        };
        Some(answer)
    }

    /// What becomes of who presents a bearer to ask who they are, or a key to ask whose it is.
    pub fn look(&self, held: HeldId) -> Answer {
        let (dialect, at) = match self.dialect(held) {
            Dialect::Noma => (Dialect::Noma, "/user/uuid"),
            other => (other, "/id"),
        };
        if let What::Key { .. } = self.held[held].what {
            return match self.opens(held) {
                Some(account) => Answer { account: Some((at, account)), ..Answer::done() },
                None => Answer::refused(super::keys::NO_KEY),
            };
        }
        let Some(session) = self.bearer(held) else {
            return Answer::refused((401, spelling(dialect).unauthenticated));
        };
        let account = self.sessions[session].account;
        match self.unusable(account).filter(|_| dialect == Dialect::Nhost) {
            Some(refusal) => Answer::refused(refusal),
            None => Answer { account: Some((at, account)), ..Answer::done() },
        }
    }

    /// Why Nhost's endpoints refuse a living account.
    pub fn unusable(&self, account: AccountId) -> Option<(u16, &'static str)> {
        match &self.accounts[account] {
            Account { disabled: true, .. } => Some((401, "disabled-user")),
            _ if self.must_prove(account) => Some((401, "unverified-user")),
            Account { who: None, .. } => Some((403, "forbidden-anonymous")),
            _ => None,
        }
    }

    pub fn make(&mut self, project: usize, who: Option<Who>, word: Option<usize>) -> AccountId {
        let made =
            Account { project, who, word, proof: Proof::None, disabled: false, gone: false, admin: false, uuid: None };
        self.accounts.push(made);
        self.accounts.len() - 1
    }

    fn sign_up(&mut self, door: Door, who: Who, word: usize) -> Answer {
        if self.owner(door.project, who.person).is_some() {
            return Answer::refused(spelling(door.dialect).taken);
        }
        // Nora's contract (3.1) has it in lower case from the beginning.
        let who = match door.dialect {
            Dialect::Nora if who.spelling == 1 => Who { spelling: 0, ..who },
            _ => who,
        };
        let account = self.make(door.project, Some(who), Some(word));
        let status = spelling(door.dialect).made;
        match (door.dialect, self.strict) {
            (Dialect::Nora, strict) => {
                if strict {
                    // That nobody is given.
                    self.prove_again(account);
                }
                Answer { status, account: Some(("/id", account)), ..Answer::done() }
            }
            (_, false) => Answer { status, ..self.begin(account, door.dialect) },
            (Dialect::Noma, true) => {
                let brings = self.prove_again(account).map(|token| ("/verification_token", token));
                let brings = brings.into_iter().collect();
                Answer { status: 202, account: Some(("/user/uuid", account)), brings, ..Answer::done() }
            }
            (Dialect::Nhost, true) => {
                if self.cooled(door.project, who.person) {
                    self.send_proof(account);
                }
                Answer::done()
            }
        }
    }

    fn sign_in(&mut self, door: Door, person: usize, word: usize) -> Answer {
        if let Some(left) = self.locked(door, person) {
            return Answer::locked(door.dialect, left);
        }
        let owner = self.owner(door.project, person);
        let Some(account) = owner.filter(|owner| self.accounts[*owner].word == Some(word)) else {
            self.fail(door, person);
            let lacks_one = |owner: AccountId| self.accounts[owner].word.is_none() && !self.accounts[owner].disabled;
            if door.dialect == Dialect::Nora && owner.is_some_and(lacks_one) {
                let text = "This account uses OAuth login. Sign in with your provider instead.";
                return Answer::refused((401, text));
            }
            return Answer::refused(spelling(door.dialect).wrong);
        };
        if self.accounts[account].disabled {
            self.fail(door, person);
            return Answer::refused(spelling(door.dialect).disabled);
        }
        self.succeed(door, person);
        match self.must_prove(account) {
            true => self.unproved(account, door.dialect),
            false => self.begin(account, door.dialect),
        }
    }

    /// What is said to who may not before the address is proved.
    fn unproved(&mut self, account: AccountId, dialect: Dialect) -> Answer {
        match dialect {
            Dialect::Noma => {
                let brings = self.prove_again(account).map(|token| ("/verification_token", token));
                let refused = Answer::refused((403, "Email verification required."));
                Answer { account: Some(("/user/uuid", account)), brings: brings.into_iter().collect(), ..refused }
            }
            Dialect::Nora => {
                self.prove_again(account);
                Answer::refused((403, "Email verification required"))
            }
            Dialect::Nhost => Answer::refused((401, "unverified-user")),
        }
    }

    fn refresh(&mut self, with: HeldId) -> Answer {
        let (dialect, now) = (self.dialect(with), self.now);
        let refused = Answer::refused(match dialect {
            Dialect::Noma | Dialect::Nora => (401, "Invalid refresh token."),
            Dialect::Nhost => (401, "invalid-refresh-token"),
        });
        let What::Refresh { session, generation } = self.held[with].what else { unreachable!("chosen for it") };
        if !self.lives(session) {
            return refused;
        }
        let Session { generation: current, refreshed, account, .. } = self.sessions[session];
        if generation != current && (generation + 1 != current || now - refreshed >= GRACE) {
            // Somebody has a copy.
            self.sessions[session].over = true;
            return refused;
        }
        if self.must_prove(account) {
            return self.unproved(account, dialect);
        }
        if generation == current {
            let row = &mut self.sessions[session];
            (row.generation, row.refreshed, row.expires) = (current + 1, now, now + REFRESH);
            self.hold(account, What::Refresh { session, generation: current + 1 });
        }
        let successor = What::Refresh { session, generation: generation + 1 };
        let refresh = self.held.iter().position(|held| held.what == successor).expect("made by its rotation");
        let access = self.hold_access(session);
        let (id, brings) = match dialect {
            Dialect::Noma | Dialect::Nora => {
                ("/user/uuid", vec![("/access_token", access), ("/refresh_token", refresh)])
            }
            Dialect::Nhost => ("/user/id", vec![("/accessToken", access), ("/refreshToken", refresh)]),
        };
        Answer { account: Some((id, account)), brings, ..Answer::done() }
    }

    fn log_out(&mut self, with: HeldId) -> Answer {
        let (dialect, bearer) = (self.dialect(with), self.bearer(with));
        match (&mut self.held[with].what, bearer) {
            // Whoever has one, or had it, may end its session.
            (What::Refresh { session, .. }, _) => self.sessions[*session].over = true,
            (What::Personal { revoked, .. }, _) => *revoked = true,
            (_, Some(session)) => self.sessions[session].over = true,
            (What::Access { .. }, None) => return Answer::refused((401, spelling(dialect).unauthenticated)),
            // Nora says so to everybody.
            (_, None) => {}
        }
        Answer::done()
    }

    fn log_out_everywhere(&mut self, with: HeldId) -> Answer {
        match self.bearer(with) {
            Some(session) => self.end_sessions(self.sessions[session].account, None),
            None => return Answer::refused(self.no_bearer(with)),
        }
        Answer::done()
    }

    fn change_password(&mut self, with: HeldId, client: usize, current: usize, new: usize) -> Answer {
        let dialect = self.dialect(with);
        let Some(session) = self.bearer(with) else { return Answer::refused(self.no_bearer(with)) };
        let id = self.sessions[session].account;
        let Account { project, who, word, .. } = self.accounts[id];
        match (spelling(dialect).wrong_current, who, word) {
            // The current one is not asked for.
            (None, ..) => {
                if let Some(refusal) = self.unusable(id) {
                    return Answer::refused(refusal);
                }
            }
            (Some(wrong), Some(who), Some(word)) => {
                let door = Door { dialect, project, client };
                if let Some(left) = self.locked(door, who.person) {
                    return Answer::locked(dialect, left);
                }
                if word != current {
                    self.fail(door, who.person);
                    return Answer::refused(wrong);
                }
                self.succeed(door, who.person);
                if dialect == Dialect::Noma && current == new {
                    let text = "The new password field and current password must be different.";
                    return Answer::refused((422, text));
                }
            }
            (Some(_), ..) if dialect == Dialect::Nora => {
                return Answer::refused((400, "OAuth user \u{2014} no password to change"));
            }
            (Some(wrong), ..) => return Answer::refused(wrong),
        }
        self.set_word(id, new, Some(session));
        Answer::done()
    }

    /// Another password: nothing of before works, but what it was set from.
    pub fn set_word(&mut self, account: AccountId, word: usize, spare: Option<SessionId>) {
        self.accounts[account].word = Some(word);
        self.end_sessions(account, spare);
        self.withdraw(account);
    }

    /// What is said to who presents no good bearer, where one may also come without.
    fn no_bearer(&self, with: HeldId) -> (u16, &'static str) {
        match self.dialect(with) {
            Dialect::Nhost => (400, "invalid-request"),
            other => (401, spelling(other).unauthenticated),
        }
    }

    fn order(&mut self, order: Order, project: usize, person: usize) {
        let (now, owner) = (self.now, self.owner(project, person));
        match order {
            Order::Unlock => {
                self.histories.entry((project, person)).or_default().unlock(now);
                self.guesses.remove(&owner.ok_or((project, person)));
            }
            Order::Create { word } if owner.is_none() => {
                self.make(project, Some(Who { person, spelling: 0 }), Some(word));
            }
            _ => {}
        }
        let Some(id) = owner else { return };
        match order {
            Order::Create { .. } | Order::Unlock => {}
            Order::Disable => {
                self.accounts[id].disabled = true;
                self.end_sessions(id, None);
                self.withdraw(id);
            }
            Order::Enable => self.accounts[id].disabled = false,
            Order::Delete => {
                self.accounts[id].gone = true;
                self.end_sessions(id, None);
                self.withdraw(id);
            }
            Order::EndSessions => self.end_sessions(id, None),
            Order::SetPassword { word } => self.set_word(id, word, None),
            Order::Promote { admin } => {
                // Nora's tokens say the role.
                if self.accounts[id].admin != admin {
                    let of_nora = |s: &&mut Session| s.account == id && s.dialect == Dialect::Nora;
                    self.sessions.iter_mut().filter(of_nora).for_each(|session| session.over = true);
                }
                self.accounts[id].admin = admin;
            }
        }
    }

    /// Begins a session.
    pub fn begin(&mut self, account: AccountId, dialect: Dialect) -> Answer {
        let session = self.new_session(account, dialect);
        let (id, brings) = match dialect {
            Dialect::Nora => (None, vec![("/token", self.hold(account, What::Token { session }))]),
            Dialect::Noma => {
                let (access, refresh) = (self.hold_access(session), self.hold_first(session));
                (Some("/user/uuid"), vec![("/access_token", access), ("/refresh_token", refresh)])
            }
            Dialect::Nhost => {
                let (access, refresh) = (self.hold_access(session), self.hold_first(session));
                (Some("/session/user/id"), vec![("/session/accessToken", access), ("/session/refreshToken", refresh)])
            }
        };
        Answer { account: id.map(|id| (id, account)), brings, ..Answer::done() }
    }

    pub fn new_session(&mut self, account: AccountId, dialect: Dialect) -> SessionId {
        let now = self.now;
        let lasts = if dialect == Dialect::Nora { NORA } else { REFRESH };
        let begun = Session { account, dialect, expires: now + lasts, refreshed: now, generation: 0, over: false };
        self.sessions.push(begun);
        self.sessions.len() - 1
    }

    /// Somebody will be given something of this account.
    pub fn hold(&mut self, account: AccountId, what: What) -> HeldId {
        self.held.push(Held { project: self.accounts[account].project, what, text: None });
        self.held.len() - 1
    }

    pub fn hold_first(&mut self, session: SessionId) -> HeldId {
        self.hold(self.sessions[session].account, What::Refresh { session, generation: 0 })
    }

    fn hold_access(&mut self, session: SessionId) -> HeldId {
        let until = (self.now + ACCESS).min(self.sessions[session].expires);
        self.hold(self.sessions[session].account, What::Access { session, until })
    }

    /// Ends the sessions of an account, and what could begin others without its owner.
    pub fn end_sessions(&mut self, account: AccountId, spare: Option<SessionId>) {
        for (id, session) in self.sessions.iter_mut().enumerate() {
            session.over |= session.account == account && Some(id) != spare;
        }
        for held in &mut self.held {
            if let What::Personal { account: owner, revoked, .. } = &mut held.what {
                *revoked |= *owner == account;
            }
        }
    }

    pub fn locked(&self, door: Door, person: usize) -> Option<u64> {
        self.histories.get(&(door.project, person))?.locked(self.now, door.client)
    }

    pub fn fail(&mut self, door: Door, person: usize) {
        let now = self.now;
        self.histories.entry((door.project, person)).or_default().fail(now, door.client);
    }

    pub fn succeed(&mut self, door: Door, person: usize) {
        let now = self.now;
        self.histories.entry((door.project, person)).or_default().succeed(now, door.client);
    }
}
