//! What there is: accounts, sessions, and what people hold of them. How they change is in [`super::rules`].

use std::collections::HashMap;

use keystead::dialect::Dialect;

use super::lockout::History;
use super::step::{PROJECTS, Pick, Step};

/// Lives, in seconds, as the server has them without settings.
pub const ACCESS: u64 = 900;
pub const REFRESH: u64 = 2_592_000;
pub const GRACE: u64 = 10;
pub const NORA: u64 = 604_800;

/// Indexes into the lists of [`World`].
pub type AccountId = usize;
pub type SessionId = usize;
pub type HeldId = usize;

/// An account that was made. It may be gone.
pub struct Account {
    pub project: usize,
    /// Whose address it has.
    pub person: usize,
    /// Which of the words its password is.
    pub word: usize,
    pub disabled: bool,
    pub gone: bool,
    pub admin: bool,
    /// The id that the server gave it.
    pub uuid: Option<String>,
}

/// A session that was begun.
pub struct Session {
    pub account: AccountId,
    /// Through which dialect.
    pub dialect: Dialect,
    pub expires: u64,
    pub refreshed: u64,
    /// How often it was refreshed.
    pub generation: u32,
    pub over: bool,
}

/// What somebody was given.
pub struct Held {
    pub what: What,
    /// As it was said.
    pub text: Option<String>,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An access token, until then.
    Access { session: SessionId, until: u64 },
    /// The one token of a session of Nora's.
    Token { session: SessionId },
    /// A refresh token, and after how many rotations.
    Refresh { session: SessionId, generation: u32 },
}

impl What {
    pub fn session(self) -> SessionId {
        let (Self::Access { session, .. } | Self::Token { session } | Self::Refresh { session, .. }) = self;
        session
    }
}

/// All there is, at a moment.
#[derive(Default)]
pub struct World {
    /// Seconds since the beginning.
    pub now: u64,
    pub accounts: Vec<Account>,
    pub sessions: Vec<Session>,
    pub held: Vec<Held>,
    /// By project and person.
    pub histories: HashMap<(usize, usize), History>,
}

impl World {
    /// The account that has a person's address.
    pub fn owner(&self, project: usize, person: usize) -> Option<AccountId> {
        self.accounts.iter().position(|a| !a.gone && a.project == project && a.person == person)
    }

    /// Whether a session goes on.
    pub fn lives(&self, session: SessionId) -> bool {
        let session = &self.sessions[session];
        let account = &self.accounts[session.account];
        !session.over && self.now < session.expires && !account.gone && !account.disabled
    }

    /// The session of a token that works as a bearer.
    pub fn bearer(&self, held: HeldId) -> Option<SessionId> {
        match self.held[held].what {
            What::Access { session, until } if self.now < until && self.lives(session) => Some(session),
            What::Token { session } if self.lives(session) => Some(session),
            _ => None,
        }
    }

    /// Through which dialect a token was given.
    pub fn dialect(&self, held: HeldId) -> Dialect {
        self.sessions[self.held[held].what.session()].dialect
    }

    /// In which project.
    pub fn project(&self, held: HeldId) -> usize {
        self.accounts[self.sessions[self.held[held].what.session()].account].project
    }

    /// What a step is done with, where it needs something and there is such a thing; the newest first.
    pub fn choose(&self, step: &Step) -> Option<HeldId> {
        let nth = |pick: Pick, fits: &dyn Fn(HeldId, What) -> bool| {
            let said = |id: &HeldId| self.held[*id].text.is_some() && fits(*id, self.held[*id].what);
            let all: Vec<_> = (0..self.held.len()).rev().filter(said).collect();
            (!all.is_empty()).then(|| all[pick % all.len()])
        };
        match *step {
            Step::Refresh { with, .. } => nth(with, &|_, what| matches!(what, What::Refresh { .. })),
            Step::LogOut { with } => nth(with, &|id, what| match what {
                What::Access { .. } => self.dialect(id) == Dialect::Noma,
                What::Refresh { .. } => self.dialect(id) == Dialect::Nhost,
                What::Token { .. } => true,
            }),
            Step::LogOutEverywhere { with } => nth(with, &|_, what| matches!(what, What::Access { .. })),
            Step::ChangePassword { with, .. } => nth(with, &|_, what| !matches!(what, What::Refresh { .. })),
            _ => None,
        }
    }

    /// What somebody holds, for people.
    pub fn told(&self, held: HeldId) -> String {
        let name = match self.held[held].what {
            What::Access { session, .. } => format!("access token of session {session}"),
            What::Token { session } => format!("token of session {session}"),
            What::Refresh { session, generation } => format!("refresh token {generation} of session {session}"),
        };
        format!("#{held} ({} {name} in {})", self.dialect(held).name(), PROJECTS[self.project(held)])
    }
}
