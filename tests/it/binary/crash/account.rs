//! An account as its owner was told it is: sessions, password, tickets, keys, and what each change does to them.

use super::doors::Door;

/// A session, ended ones too.
pub struct Session {
    pub door: Door,
    /// `None` until the refresh token that a link gave was used.
    pub access: Option<String>,
    pub refresh: Option<String>,
    /// The refresh token before; used up.
    pub used: Option<String>,
    /// How it ended.
    pub ended: Option<End>,
}

/// What ends sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    LogOut,
    Everywhere,
    Password,
    Disabled,
    Deleted,
    Proof,
    Theft,
}

/// What a mail of Nhost's asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Link,
    Reset,
}

/// A secret of a mail.
#[derive(Clone)]
pub struct Ticket {
    pub kind: Ask,
    pub text: String,
}

/// A mail that was asked for and not read yet.
#[derive(Clone, Copy)]
pub struct Asked {
    pub kind: Ask,
    /// Whether the question was answered.
    pub acknowledged: bool,
    /// Whether it was made worthless meanwhile.
    pub withdrawn: bool,
}

/// What signs in or is proved without a password.
pub struct Key {
    pub text: String,
    pub kind: KeyKind,
    pub live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Nhost's personal access token.
    Personal,
    /// NomaCMS's API key, and its number.
    Api(u64),
}

pub struct Account {
    pub email: String,
    pub id: String,
    pub password: Option<String>,
    /// The last one before it.
    pub former: Option<String>,
    /// Whether a mail proved the address.
    pub proved: bool,
    /// Whether a token that the app was given did. Whoever has proved it gets tokens that look like others and do nothing.
    pub asserted: bool,
    pub disabled: bool,
    pub deleted: bool,
    pub sessions: Vec<Session>,
    pub keys: Vec<Key>,
    pub asked: Option<Asked>,
    pub ticket: Option<Ticket>,
    /// NomaCMS's verification token that was handed out.
    pub token: Option<String>,
    /// Tickets and tokens that work no more.
    pub spent: Vec<Spent>,
    /// In how many rounds nothing has happened to it.
    pub idle: usize,
}

/// A secret that must never work again.
#[derive(Clone)]
pub enum Spent {
    Ticket(Ticket),
    Token(String),
}

impl Session {
    /// One that has just begun.
    pub fn begun(door: Door, (access, refresh): (String, Option<String>)) -> Self {
        Self { door, access: Some(access), refresh, used: None, ended: None }
    }

    /// The tokens are these now.
    pub fn rotated(&mut self, (access, refresh): (String, Option<String>)) {
        self.used = std::mem::replace(&mut self.refresh, refresh);
        self.access = Some(access);
    }

    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }
}

impl Account {
    pub fn new(email: &str, id: &str, password: &str) -> Self {
        Self {
            email: email.to_owned(),
            id: id.to_owned(),
            password: Some(password.to_owned()),
            former: None,
            proved: false,
            asserted: false,
            disabled: false,
            deleted: false,
            sessions: Vec::new(),
            keys: Vec::new(),
            asked: None,
            ticket: None,
            token: None,
            spent: Vec::new(),
            idle: 0,
        }
    }

    /// Where the live sessions are.
    pub fn live(&self) -> Vec<usize> {
        (0..self.sessions.len()).filter(|at| self.sessions[*at].is_live()).collect()
    }

    /// All sessions but `spare` end, and the tokens that begin sessions.
    pub fn end_all(&mut self, how: End, spare: Option<usize>) {
        for (at, session) in self.sessions.iter_mut().enumerate() {
            if Some(at) != spare {
                session.ended.get_or_insert(how);
            }
        }
        for key in self.keys.iter_mut().filter(|key| key.kind == KeyKind::Personal) {
            key.live = false;
        }
    }

    /// What waits in mails works no more.
    pub fn withdraw(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.withdrawn = true;
        }
        self.spent.extend(self.ticket.take().map(Spent::Ticket));
        self.spent.extend(self.token.take().map(Spent::Token));
    }

    pub fn has_password(&mut self, new: &str, spare: Option<usize>) {
        if let Some(former) = self.password.replace(new.to_owned()) {
            self.former = Some(former);
        }
        self.end_all(End::Password, spare);
        self.withdraw();
    }

    pub fn is_disabled(&mut self) {
        self.disabled = true;
        self.end_all(End::Disabled, None);
        self.withdraw();
    }

    pub fn is_deleted(&mut self) {
        self.deleted = true;
        self.end_all(End::Deleted, None);
        self.withdraw();
        self.keys.iter_mut().for_each(|key| key.live = false);
    }

    /// A mail proved the address, by who came for the account: what was there before the first proof dies (sentence 8).
    pub fn is_proved(&mut self) {
        if self.proved {
            return;
        }
        self.proved = true;
        self.former = self.password.take();
        self.end_all(End::Proof, None);
        self.withdraw();
        self.keys.iter_mut().for_each(|key| key.live = false);
    }

    /// What has ended was seen to have ended often enough.
    pub fn forget_some(&mut self) {
        while self.sessions.len() > 6 && !self.sessions.iter().all(Session::is_live) {
            let ended = self.sessions.iter().position(|session| !session.is_live()).expect("one has ended");
            self.sessions.remove(ended);
        }
        let beyond = self.spent.len().saturating_sub(4);
        self.spent.drain(..beyond);
        if self.keys.len() > 6 {
            self.keys.retain(|key| key.live);
        }
    }
}
