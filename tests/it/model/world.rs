//! What there is: accounts, sessions, secrets and what people hold of them. How they change is in [`super::rules`] and
//! [`super::mailing`].

use std::collections::HashMap;

use keystead::dialect::Dialect;

use super::lockout::History;
use super::step::{PROJECTS, Pick, Step, Who};

/// Lives, in seconds, as the server has them without settings.
pub const ACCESS: u64 = 900;
pub const REFRESH: u64 = 2_592_000;
pub const GRACE: u64 = 10;
pub const NORA: u64 = 604_800;
/// As the steps ask for them.
pub const PERSONAL: u64 = 604_800;
/// Of a secret that proves an address in Noma's way, and in Nhost's; of every other ticket, and of six digits.
pub const PROOF: u64 = 86_400;
pub const VERIFY: u64 = 2_592_000;
pub const TICKET: u64 = 3600;
/// Before another secret of Noma's goes out to one address.
pub const COOLDOWN: u64 = 60;
/// Guesses at six digits within an hour.
pub const GUESSES: usize = 5;
/// Mails that a case asks for one address: one less than the server's bound, which is not what this is about.
pub const MAILS: usize = 9;

/// Indexes into the lists of [`World`].
pub type AccountId = usize;
pub type SessionId = usize;
pub type SecretId = usize;
pub type HeldId = usize;

/// An account that was made. It may be gone.
pub struct Account {
    pub project: usize,
    /// Its address as it was typed; none: it was made without any credential.
    pub who: Option<Who>,
    /// Which of the words its password is, where it has one.
    pub word: Option<usize>,
    pub proof: Proof,
    pub disabled: bool,
    pub gone: bool,
    pub admin: bool,
    /// The id that the server gave it.
    pub uuid: Option<String>,
}

/// How well an address is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    None,
    /// By a secret that the app was given.
    Asserted,
    /// By a mail.
    Mailed,
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

/// A secret that works once.
pub struct Secret {
    pub account: AccountId,
    pub purpose: Purpose,
    pub until: u64,
    /// Used, or withdrawn.
    pub dead: bool,
}

/// What a secret is good for; an account has one living one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Prove,
    SignIn,
    Reset,
    /// Gives the account the address that it went to.
    Move,
    Digits,
}

/// What somebody was given.
pub struct Held {
    pub project: usize,
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
    /// An API key.
    Key { account: AccountId, revoked: bool, gone: bool },
    /// A personal access token.
    Personal { account: AccountId, until: u64, revoked: bool },
    /// A secret of Noma's that proves an address.
    Proving { secret: SecretId },
    /// A ticket of a mail, and to whom it went.
    Ticket { secret: SecretId, to: Who },
    /// Six digits of a mail.
    Digits { secret: SecretId },
    /// A text that never led anywhere, made to look as if it did.
    Decoy,
}

/// A mail that must come.
pub struct Mail {
    pub to: Who,
    pub template: &'static str,
    pub brings: HeldId,
}

/// All there is, at a moment.
#[derive(Default)]
pub struct World {
    /// Seconds since the beginning.
    pub now: u64,
    /// Whether addresses must be proved.
    pub strict: bool,
    pub accounts: Vec<Account>,
    pub sessions: Vec<Session>,
    pub secrets: Vec<Secret>,
    pub held: Vec<Held>,
    /// By project and person.
    pub histories: HashMap<(usize, usize), History>,
    /// When a secret last went out in Noma's way, or by a sign-up, or seemed to: by project and person.
    pub issued: HashMap<(usize, usize), u64>,
    /// Guesses at the six digits of an account; without one, of an address: project and person.
    pub guesses: HashMap<Result<AccountId, (usize, usize)>, Vec<u64>>,
    /// How many mails were asked for: project and person.
    pub asked: HashMap<(usize, usize), usize>,
    /// Mails that are on their way.
    pub post: Vec<Mail>,
}

impl Account {
    /// Whose address it has.
    pub fn person(&self) -> Option<usize> {
        self.who.map(|who| who.person)
    }
}

impl World {
    /// The account that has a person's address.
    pub fn owner(&self, project: usize, person: usize) -> Option<AccountId> {
        self.accounts.iter().position(|a| !a.gone && a.project == project && a.person() == Some(person))
    }

    fn may_act(&self, account: AccountId) -> bool {
        !self.accounts[account].gone && !self.accounts[account].disabled
    }

    /// Whether an account may do nothing before its address is proved.
    pub fn must_prove(&self, account: AccountId) -> bool {
        let Account { who, proof, .. } = &self.accounts[account];
        self.strict && who.is_some() && *proof == Proof::None
    }

    /// Whether a session goes on.
    pub fn lives(&self, session: SessionId) -> bool {
        let session = &self.sessions[session];
        !session.over && self.now < session.expires && self.may_act(session.account)
    }

    /// The session of a token that works as a bearer.
    pub fn bearer(&self, held: HeldId) -> Option<SessionId> {
        match self.held[held].what {
            What::Access { session, until } if self.now < until && self.lives(session) => Some(session),
            What::Token { session } if self.lives(session) => Some(session),
            _ => None,
        }
    }

    /// Whether an API key works.
    pub fn opens(&self, held: HeldId) -> Option<AccountId> {
        match self.held[held].what {
            What::Key { account, revoked: false, gone: false, .. } if self.may_act(account) => Some(account),
            _ => None,
        }
    }

    /// Whether a secret works.
    pub fn works(&self, secret: SecretId) -> bool {
        !self.secrets[secret].dead && self.now < self.secrets[secret].until
    }

    /// Through which dialect something was given.
    pub fn dialect(&self, held: HeldId) -> Dialect {
        match self.held[held].what {
            What::Access { session, .. } | What::Token { session } | What::Refresh { session, .. } => {
                self.sessions[session].dialect
            }
            What::Key { .. } | What::Proving { .. } | What::Decoy => Dialect::Noma,
            What::Personal { .. } | What::Ticket { .. } | What::Digits { .. } => Dialect::Nhost,
        }
    }

    /// What a step is done with, where it needs something and there is such a thing; the newest first.
    pub fn choose(&self, step: &Step) -> Option<HeldId> {
        let nth = |pick: Pick, fits: &dyn Fn(HeldId, What) -> bool| {
            let said = |id: &HeldId| self.held[*id].text.is_some() && fits(*id, self.held[*id].what);
            let all: Vec<_> = (0..self.held.len()).rev().filter(said).collect();
            (!all.is_empty()).then(|| all[pick % all.len()])
        };
        let access = |id, what, dialect| matches!(what, What::Access { .. }) && self.dialect(id) == dialect;
        match *step {
            Step::Refresh { with, .. } => nth(with, &|_, what| matches!(what, What::Refresh { .. })),
            Step::LogOut { with } => nth(with, &|id, what| match what {
                What::Access { .. } => self.dialect(id) == Dialect::Noma,
                What::Refresh { .. } => self.dialect(id) == Dialect::Nhost,
                What::Token { .. } | What::Personal { .. } => true,
                _ => false,
            }),
            Step::LogOutEverywhere { with } => nth(with, &|_, what| matches!(what, What::Access { .. })),
            Step::ChangePassword { with, .. } => {
                nth(with, &|_, what| matches!(what, What::Access { .. } | What::Token { .. }))
            }
            Step::Deanonymize { with, .. } | Step::MakePersonal { with } | Step::AskForAddress { with, .. } => {
                nth(with, &|id, what| access(id, what, Dialect::Nhost))
            }
            Step::MakeKey { with } => nth(with, &|id, what| access(id, what, Dialect::Noma)),
            Step::RevokeKey { with } => nth(with, &|_, what| matches!(what, What::Key { .. })),
            Step::SignInPersonal { with } => nth(with, &|_, what| matches!(what, What::Personal { .. })),
            Step::Confirm { with, .. } => nth(with, &|_, what| matches!(what, What::Proving { .. } | What::Decoy)),
            Step::Follow { with, .. } => nth(with, &|_, what| matches!(what, What::Ticket { .. })),
            Step::ResetBy { with, .. } => nth(with, &|_, what| match what {
                What::Ticket { secret, .. } => self.secrets[secret].purpose == Purpose::Reset,
                _ => false,
            }),
            Step::Type { with, .. } => nth(with, &|_, what| matches!(what, What::Digits { .. })),
            _ => None,
        }
    }

    /// The newest access token of Noma's that the owner of a key was given: what keys are revoked with.
    pub fn noma_access(&self, account: AccountId) -> Option<HeldId> {
        (0..self.held.len()).rev().find(|id| match self.held[*id].what {
            What::Access { session, .. } => {
                let Session { account: owner, dialect, .. } = self.sessions[session];
                self.held[*id].text.is_some() && owner == account && dialect == Dialect::Noma
            }
            _ => false,
        })
    }

    /// What somebody holds, for people.
    pub fn told(&self, held: HeldId) -> String {
        let about = |secret: SecretId| {
            let Secret { account, purpose, .. } = &self.secrets[secret];
            format!("secret {secret} ({purpose:?}) of account {account}")
        };
        let name = match self.held[held].what {
            What::Access { session, .. } => format!("access token of session {session}"),
            What::Token { session } => format!("token of session {session}"),
            What::Refresh { session, generation } => format!("refresh token {generation} of session {session}"),
            What::Key { account, .. } => format!("API key of account {account}"),
            What::Personal { account, .. } => format!("personal access token of account {account}"),
            What::Proving { secret } => format!("token: {}", about(secret)),
            What::Ticket { secret, .. } => format!("ticket: {}", about(secret)),
            What::Digits { secret } => format!("six digits: {}", about(secret)),
            What::Decoy => "a verification of nobody".to_owned(),
        };
        format!("#{held} ({} {name} in {})", self.dialect(held).name(), PROJECTS[self.held[held].project])
    }
}
