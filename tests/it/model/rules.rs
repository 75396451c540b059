//! What must happen: how each step changes the world, and what each dialect must answer.

use keystead::dialect::Dialect;

use super::step::{Door, Order, Step};
use super::world::{ACCESS, Account, AccountId, GRACE, Held, HeldId, NORA, REFRESH, Session, SessionId, What, World};
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
    /// Where in the body what stands that is worth keeping. Known already, it must be the same.
    pub brings: Vec<(&'static str, HeldId)>,
}

impl Answer {
    /// That it was done.
    fn done() -> Self {
        Self { status: 200, says: None, retry_after: None, account: None, brings: Vec::new() }
    }

    /// That it was not.
    pub fn refused((status, says): (u16, &'static str)) -> Self {
        Self { status, says: Some(says), ..Self::done() }
    }

    fn locked(dialect: Dialect, left: u64) -> Self {
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
        match (*step, with) {
            (Step::SignUp { door, who, word, .. }, _) => Some(self.sign_up(door, who.person, word)),
            (Step::SignIn { door, who, word, .. }, _) => Some(self.sign_in(door, who.person, word)),
            (Step::Refresh { .. }, Some(with)) => Some(self.refresh(with)),
            (Step::LogOut { .. }, Some(with)) => Some(self.log_out(with)),
            (Step::LogOutEverywhere { .. }, Some(with)) => Some(self.log_out_everywhere(with)),
            (Step::ChangePassword { client, current, new, .. }, Some(with)) => {
                Some(self.change_password(with, client, current, new))
            }
            (Step::Operator { order, project, person }, _) => {
                self.order(order, project, person);
                None
            }
            (Step::Wait { seconds }, _) => {
                self.now += seconds;
                None
            }
            // Nothing to do it with.
            (_, None) => None,
        }
    }

    /// What becomes of who presents a bearer to ask who they are.
    pub fn look(&self, held: HeldId) -> Answer {
        let dialect = self.dialect(held);
        match self.bearer(held) {
            Some(session) => {
                let at = match dialect {
                    Dialect::Noma => "/user/uuid",
                    Dialect::Nora | Dialect::Nhost => "/id",
                };
                Answer { account: Some((at, self.sessions[session].account)), ..Answer::done() }
            }
            None => Answer::refused((401, spelling(dialect).unauthenticated)),
        }
    }

    fn sign_up(&mut self, door: Door, person: usize, word: usize) -> Answer {
        if self.owner(door.project, person).is_some() {
            return Answer::refused(spelling(door.dialect).taken);
        }
        let (project, account) = (door.project, self.accounts.len());
        let made = Account { project, person, word, disabled: false, gone: false, admin: false, uuid: None };
        self.accounts.push(made);
        let status = spelling(door.dialect).made;
        match door.dialect {
            Dialect::Nora => Answer { status, account: Some(("/id", account)), ..Answer::done() },
            Dialect::Noma | Dialect::Nhost => Answer { status, ..self.begin(account, door.dialect) },
        }
    }

    fn sign_in(&mut self, door: Door, person: usize, word: usize) -> Answer {
        if let Some(left) = self.locked(door, person) {
            return Answer::locked(door.dialect, left);
        }
        let owner = self.owner(door.project, person).filter(|owner| self.accounts[*owner].word == word);
        let Some(account) = owner else {
            self.fail(door, person);
            return Answer::refused(spelling(door.dialect).wrong);
        };
        if self.accounts[account].disabled {
            self.fail(door, person);
            return Answer::refused(spelling(door.dialect).disabled);
        }
        self.succeed(door, person);
        self.begin(account, door.dialect)
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
        if generation == current {
            let row = &mut self.sessions[session];
            (row.generation, row.refreshed, row.expires) = (current + 1, now, now + REFRESH);
            self.hold(What::Refresh { session, generation: current + 1 });
        } else if generation + 1 != current || now - refreshed >= GRACE {
            // Somebody has a copy.
            self.sessions[session].over = true;
            return refused;
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
        let (dialect, what) = (self.dialect(with), self.held[with].what);
        match (what, self.bearer(with)) {
            // Whoever has one, or had it, may end its session.
            (What::Refresh { session, .. }, _) => self.sessions[session].over = true,
            (_, Some(session)) => self.sessions[session].over = true,
            (What::Access { .. }, None) => return Answer::refused((401, spelling(dialect).unauthenticated)),
            // Nora says so to everybody.
            (What::Token { .. }, None) => {}
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
        let Account { project, person, word, .. } = self.accounts[id];
        // Where the current one is asked for.
        if let Some(wrong) = spelling(dialect).wrong_current {
            let door = Door { dialect, project, client };
            if let Some(left) = self.locked(door, person) {
                return Answer::locked(dialect, left);
            }
            if word != current {
                self.fail(door, person);
                return Answer::refused(wrong);
            }
            self.succeed(door, person);
            if dialect == Dialect::Noma && current == new {
                let text = "The new password field and current password must be different.";
                return Answer::refused((422, text));
            }
        }
        self.accounts[id].word = new;
        self.end_sessions(id, Some(session));
        Answer::done()
    }

    /// What is said to who presents no good bearer, where one may also come without.
    fn no_bearer(&self, with: HeldId) -> (u16, &'static str) {
        match self.dialect(with) {
            Dialect::Nhost => (400, "invalid-request"),
            other => (401, spelling(other).unauthenticated),
        }
    }

    fn order(&mut self, order: Order, project: usize, person: usize) {
        if order == Order::Unlock {
            let now = self.now;
            self.histories.entry((project, person)).or_default().unlock(now);
        }
        let Some(id) = self.owner(project, person) else { return };
        match order {
            Order::Disable => {
                self.accounts[id].disabled = true;
                self.end_sessions(id, None);
            }
            Order::Enable => self.accounts[id].disabled = false,
            Order::Delete => {
                self.accounts[id].gone = true;
                self.end_sessions(id, None);
            }
            Order::Unlock => {}
            Order::EndSessions => self.end_sessions(id, None),
            Order::SetPassword { word } => {
                self.accounts[id].word = word;
                self.end_sessions(id, None);
            }
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
    fn begin(&mut self, account: AccountId, dialect: Dialect) -> Answer {
        let (now, session) = (self.now, self.sessions.len());
        let lasts = if dialect == Dialect::Nora { NORA } else { REFRESH };
        let begun = Session { account, dialect, expires: now + lasts, refreshed: now, generation: 0, over: false };
        self.sessions.push(begun);
        let (id, brings) = match dialect {
            Dialect::Nora => (None, vec![("/token", self.hold(What::Token { session }))]),
            Dialect::Noma => {
                let (access, refresh) =
                    (self.hold_access(session), self.hold(What::Refresh { session, generation: 0 }));
                (Some("/user/uuid"), vec![("/access_token", access), ("/refresh_token", refresh)])
            }
            Dialect::Nhost => {
                let (access, refresh) =
                    (self.hold_access(session), self.hold(What::Refresh { session, generation: 0 }));
                (Some("/session/user/id"), vec![("/session/accessToken", access), ("/session/refreshToken", refresh)])
            }
        };
        Answer { account: id.map(|id| (id, account)), brings, ..Answer::done() }
    }

    fn hold(&mut self, what: What) -> HeldId {
        self.held.push(Held { what, text: None });
        self.held.len() - 1
    }

    fn hold_access(&mut self, session: SessionId) -> HeldId {
        let until = (self.now + ACCESS).min(self.sessions[session].expires);
        self.hold(What::Access { session, until })
    }

    fn end_sessions(&mut self, account: AccountId, spare: Option<SessionId>) {
        for (id, session) in self.sessions.iter_mut().enumerate() {
            session.over |= session.account == account && Some(id) != spare;
        }
    }

    fn locked(&self, door: Door, person: usize) -> Option<u64> {
        self.histories.get(&(door.project, person))?.locked(self.now, door.client)
    }

    fn fail(&mut self, door: Door, person: usize) {
        let now = self.now;
        self.histories.entry((door.project, person)).or_default().fail(now, door.client);
    }

    fn succeed(&mut self, door: Door, person: usize) {
        let now = self.now;
        self.histories.entry((door.project, person)).or_default().succeed(now, door.client);
    }
}
