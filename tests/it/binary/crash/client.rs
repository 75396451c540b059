//! One client at work: what it asks for, and what it writes down of it when it was answered.

use reqwest::Method;
use serde_json::{Value, json};

use super::account::{Account, Ask, Asked, End, Key, KeyKind, Session, Spent, Ticket};
use super::dice::Dice;
use super::doors::{Answer, Api, DOORS, Door};

/// Wrong sign-ins that lock, as the server is configured.
pub const FAILURES: u32 = 12;
/// The project's own secret, as the server is configured.
pub const SERVICE: &str = "a-service-of-the-project-proves-itself-by-this";
/// The accounts that something happens to: the newest.
const BUSY: usize = 12;

/// What a request does when it takes effect. Accounts, sessions and keys are named by their place.
#[derive(Clone, Debug)]
pub enum Deed {
    SignUp { door: Door, email: String, password: String },
    SignIn { door: Door, account: usize },
    Refresh { account: usize, session: usize },
    LogOut { account: usize, session: usize },
    Everywhere { account: usize, session: usize },
    Change { account: usize, session: usize, password: String },
    Guess { door: Door, email: String },
    Disable { account: usize },
    Enable { account: usize },
    Delete { account: usize },
    SetPassword { account: usize, password: String },
    AskByMail { account: usize, kind: Ask },
    Redeem { account: usize, password: String },
    AskToken { account: usize },
    Confirm { account: usize },
    MakeKey { account: usize, session: usize },
    RevokeKey { account: usize, key: usize, session: usize },
}

/// One client and its ledger.
pub struct Client {
    pub name: String,
    pub home: Door,
    pub dice: Dice,
    pub count: usize,
    pub accounts: Vec<Account>,
    /// An address that is only guessed at, its password where it has an account, and how often that was answered.
    pub guessed: (String, Option<String>),
    pub guesses: u32,
    pub guesses_in_doubt: u32,
    /// Accounts that were made to be guessed at, and are left alone since.
    pub victims: Vec<String>,
    /// The request whose answer did not come: it has taken effect as a whole, or not at all.
    pub doubt: Option<Deed>,
}

impl Client {
    pub fn new(name: &str, home: Door, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            home,
            dice: Dice::new(seed),
            count: 0,
            accounts: Vec::new(),
            guessed: (format!("{name}-guessed-0@example.com"), None),
            guesses: 0,
            guesses_in_doubt: 0,
            victims: Vec::new(),
            doubt: None,
        }
    }

    /// Makes requests until one is not answered; `answered` hears of each that is.
    pub async fn work(&mut self, api: &Api, answered: impl Fn()) {
        loop {
            let deed = self.choose();
            let Some(answer) = self.request(api, &deed).await else {
                self.doubt = Some(deed);
                return;
            };
            let fine = match &deed {
                Deed::SignUp { door, .. } => answer.status == door.made(),
                Deed::Guess { .. } => answer.status == 401,
                Deed::MakeKey { .. } => matches!(answer.status, 200 | 201),
                Deed::Redeem { .. } => redeemed(&answer),
                _ => answer.status == 200,
            };
            assert!(fine, "{} of {}: {deed:?} was answered {} {}", self.name, api.slug, answer.status, answer.body);
            self.apply(api, &deed, Some(&answer)).await;
            answered();
        }
    }

    /// Home as a rule.
    pub fn door(&mut self) -> Door {
        if self.dice.roll(3) > 0 { self.home } else { self.dice.pick(&DOORS) }
    }

    fn choose(&mut self) -> Deed {
        self.count += 1;
        let from = self.accounts.len().saturating_sub(BUSY);
        let usable: Vec<usize> = (from..self.accounts.len()).filter(|at| !self.accounts[*at].deleted).collect();
        let what = self.dice.roll(100);
        if usable.is_empty() || what < if usable.len() < BUSY / 2 { 30 } else { 10 } {
            return self.sign_up();
        }
        let account = self.dice.pick(&usable);
        let deed = if self.accounts[account].disabled {
            match what {
                0..80 => Deed::Enable { account },
                _ => Deed::Delete { account },
            }
        } else {
            self.on(account)
        };
        self.accounts[account].idle = 0;
        deed
    }

    fn sign_up(&mut self) -> Deed {
        // Not where a mail to whoever had the address before may still be on its way.
        let is_free = |account: &Account| account.deleted && account.asked.is_none();
        let deleted: Vec<usize> = (0..self.accounts.len()).filter(|at| is_free(&self.accounts[*at])).collect();
        let again = if deleted.is_empty() || self.dice.roll(3) > 0 { None } else { Some(self.dice.pick(&deleted)) };
        let again = again.map(|at| self.accounts[at].email.clone());
        // Whoever is deleted comes back once at a time.
        let again = again.filter(|email| !self.accounts.iter().any(|known| known.email == *email && !known.deleted));
        let email = again.unwrap_or_else(|| format!("{}-{}@example.com", self.name, self.count));
        Deed::SignUp { door: self.door(), email, password: self.dice.password() }
    }

    /// Something that can be done with an account that is switched on.
    fn on(&mut self, at: usize) -> Deed {
        let what = self.dice.roll(100);
        let (door, password) = (self.door(), self.dice.password());
        let account = &self.accounts[at];
        let live = account.live();
        let session = if live.is_empty() { None } else { Some(self.dice.pick(&live)) };
        let session = session.filter(|session| account.sessions[*session].access.is_some());
        let refreshed: Vec<usize> = live.into_iter().filter(|at| account.sessions[*at].refresh.is_some()).collect();
        let refreshed = if refreshed.is_empty() { None } else { Some(self.dice.pick(&refreshed)) };
        let revocable = account.keys.iter().position(|key| key.live);
        match (what, session) {
            (0..12, _) => return self.guess(door),
            (12..17, _) if account.ticket.is_some() => return Deed::Redeem { account: at, password },
            (12..17, _) if account.asked.is_none() => {
                let kind = if self.dice.roll(2) == 0 { Ask::Link } else { Ask::Reset };
                return Deed::AskByMail { account: at, kind };
            }
            (17..20, _) if account.token.is_some() => return Deed::Confirm { account: at },
            (17..20, _) if !account.proved && !account.asserted => return Deed::AskToken { account: at },
            (20..45, _) => {
                if let Some(session) = refreshed {
                    return Deed::Refresh { account: at, session };
                }
            }
            (45..52, Some(session)) => return Deed::LogOut { account: at, session },
            (52..55, Some(session)) => return Deed::Everywhere { account: at, session },
            (55..63, Some(session)) if account.password.is_some() => {
                return Deed::Change { account: at, session, password };
            }
            (63..67, _) => return Deed::Disable { account: at },
            (67..69, _) => return Deed::Delete { account: at },
            (69..72, _) => return Deed::SetPassword { account: at, password },
            (72..77, Some(session)) => match revocable.filter(|_| what > 74) {
                Some(key) => match account.keys[key].kind {
                    KeyKind::Api(_) if account.sessions[session].door != Door::Noma => {}
                    KeyKind::Api(_) | KeyKind::Personal => return Deed::RevokeKey { account: at, key, session },
                },
                None if account.sessions[session].door != Door::Nora => {
                    return Deed::MakeKey { account: at, session };
                }
                None => {}
            },
            _ => {}
        }
        match account.password {
            Some(_) => Deed::SignIn { door, account: at },
            None => Deed::SetPassword { account: at, password },
        }
    }

    fn guess(&mut self, door: Door) -> Deed {
        if self.guesses + self.guesses_in_doubt + 1 >= FAILURES {
            self.guess_at_another();
        }
        Deed::Guess { door, email: self.guessed.0.clone() }
    }

    pub fn guess_at_another(&mut self) {
        self.count += 1;
        self.guessed = (format!("{}-guessed-{}@example.com", self.name, self.count), None);
        (self.guesses, self.guesses_in_doubt) = (0, 0);
    }

    /// The request.
    pub async fn request(&self, api: &Api, deed: &Deed) -> Option<Answer> {
        let session = |account: usize, session: usize| &self.accounts[account].sessions[session];
        let access = |at: usize, place: usize| session(at, place).access.as_deref().expect("an access token");
        let who = |at: usize| format!("/users/{}", self.accounts[at].id);
        let email = |at: usize| self.accounts[at].email.as_str();
        match deed {
            Deed::SignUp { door, email, password } => api.sign_up(*door, email, password).await,
            Deed::SignIn { door, account } => {
                let password = self.accounts[*account].password.as_deref().expect("a password");
                api.sign_in(*door, email(*account), password).await
            }
            Deed::Refresh { account, session: at } => {
                let session = session(*account, *at);
                api.refresh(session.door, session.refresh.as_deref().expect("a refresh token")).await
            }
            Deed::LogOut { account, session: at } => {
                let session = session(*account, *at);
                api.log_out(session.door, access(*account, *at), session.refresh.as_deref()).await
            }
            Deed::Everywhere { account, session: at } => {
                let door = session(*account, *at).door;
                api.log_out_everywhere(door, access(*account, *at), &self.accounts[*account].id).await
            }
            Deed::Change { account, session: at, password } => {
                let current = self.accounts[*account].password.as_deref().expect("a password");
                api.change(session(*account, *at).door, access(*account, *at), current, password).await
            }
            Deed::Guess { door, email } => api.sign_in(*door, email, "a-guess-that-is-wrong").await,
            Deed::Disable { account } => api.operate(Method::POST, &format!("{}/disable", who(*account)), None).await,
            Deed::Enable { account } => api.operate(Method::POST, &format!("{}/enable", who(*account)), None).await,
            Deed::Delete { account } => api.operate(Method::DELETE, &who(*account), None).await,
            Deed::SetPassword { account, password } => {
                let body = json!({ "password": password });
                api.operate(Method::PUT, &format!("{}/password", who(*account)), Some(body)).await
            }
            Deed::AskByMail { account, kind } => ask_by_mail(api, *kind, email(*account)).await,
            Deed::Redeem { account, password } => {
                redeem(api, self.accounts[*account].ticket.as_ref().expect("a ticket"), password).await
            }
            Deed::AskToken { account } => {
                api.post(Door::Noma, "/verify-email/resend", json!({ "email": email(*account) })).await
            }
            Deed::Confirm { account } => confirm(api, self.accounts[*account].token.as_deref().expect("a token")).await,
            Deed::MakeKey { account, session: at } => {
                let door = session(*account, *at).door;
                let (path, body) = match door {
                    Door::Nhost => ("/pat", json!({ "expiresAt": "2099-01-01T00:00:00Z" })),
                    Door::Noma | Door::Nora => ("/api-keys", json!({ "name": "CI" })),
                };
                api.post_as(door, access(*account, *at), path, body).await
            }
            Deed::RevokeKey { account, key, session } => {
                let key = &self.accounts[*account].keys[*key];
                match key.kind {
                    KeyKind::Personal => api.post(Door::Nhost, "/signout", json!({ "refreshToken": key.text })).await,
                    KeyKind::Api(number) => {
                        let path = format!("/api-keys/{number}/revoke");
                        api.post_as(Door::Noma, access(*account, *session), &path, json!({})).await
                    }
                }
            }
        }
    }

    /// It has taken effect. What only the answer said is not known where it did not come.
    pub async fn apply(&mut self, api: &Api, deed: &Deed, answer: Option<&Answer>) {
        let body = answer.map(|answer| &answer.body);
        match deed {
            Deed::SignUp { door, email, password } => {
                let body = body.expect("an answer with the account's id");
                let id = door.id(body).unwrap_or_else(|| panic!("no id in {body}"));
                let mut account = Account::new(email, &id, password);
                account.sessions.extend(door.tokens(body).map(|tokens| Session::begun(*door, tokens)));
                api.seen.id(&api.slug, &id, &format!("{email} of account {}", self.accounts.len()));
                self.accounts.push(account);
            }
            Deed::Guess { .. } => self.guesses += 1,
            _ => self.apply_to_account(deed, body, answer.map_or("", Answer::location)),
        }
    }

    fn apply_to_account(&mut self, deed: &Deed, body: Option<&Value>, location: &str) {
        let Some(at) = deed.account() else { return };
        let account = &mut self.accounts[at];
        let text = |key: &str| body.and_then(|body| body[key].as_str()).map(str::to_owned);
        match deed {
            Deed::SignUp { .. } | Deed::Guess { .. } => {}
            Deed::SignIn { door, .. } => {
                let tokens = body.and_then(|body| door.tokens(body)).expect("tokens");
                account.sessions.push(Session::begun(*door, tokens));
            }
            Deed::Refresh { session, .. } => {
                let session = &mut account.sessions[*session];
                session.rotated(body.and_then(|body| session.door.tokens(body)).expect("tokens"));
            }
            Deed::LogOut { session, .. } => account.sessions[*session].ended = Some(End::LogOut),
            Deed::Everywhere { .. } => account.end_all(End::Everywhere, None),
            Deed::Change { session, password, .. } => account.has_password(password, Some(*session)),
            Deed::Disable { .. } => account.is_disabled(),
            Deed::Enable { .. } => account.disabled = false,
            Deed::Delete { .. } => account.is_deleted(),
            Deed::SetPassword { password, .. } => account.has_password(password, None),
            Deed::AskByMail { kind, .. } => {
                let acknowledged = body.is_some();
                account.asked = Some(Asked { kind: *kind, acknowledged, withdrawn: false });
            }
            Deed::Redeem { password, .. } => {
                let ticket = account.ticket.take().expect("a ticket");
                account.is_proved();
                match ticket.kind {
                    Ask::Reset => account.has_password(password, None),
                    Ask::Link => {
                        let token = location.split(['?', '&']).find_map(|pair| pair.strip_prefix("refreshToken="));
                        account.sessions.extend(token.map(|token| Session {
                            door: Door::Nhost,
                            access: None,
                            refresh: Some(token.to_owned()),
                            used: None,
                            ended: None,
                        }));
                    }
                }
                account.spent.push(Spent::Ticket(ticket));
            }
            Deed::AskToken { .. } => {
                // A new one is the only one.
                let token = text("verification_token").expect("a token");
                account.spent.extend(account.token.replace(token).map(Spent::Token));
            }
            Deed::Confirm { .. } => {
                account.asserted = true;
                account.spent.extend(account.token.take().map(Spent::Token));
            }
            Deed::MakeKey { .. } => {
                let number = body.and_then(|body| body["id"].as_u64());
                let personal = text("personalAccessToken").map(|text| (text, KeyKind::Personal));
                let made = personal.or(text("plain_text_key").zip(number.map(KeyKind::Api)));
                account.keys.extend(made.map(|(text, kind)| Key { text, kind, live: true }));
            }
            Deed::RevokeKey { key, .. } => account.keys[*key].live = false,
        }
    }
}

impl Deed {
    /// The account it is about.
    pub const fn account(&self) -> Option<usize> {
        match self {
            Self::SignUp { .. } | Self::Guess { .. } => None,
            Self::SignIn { account, .. }
            | Self::Refresh { account, .. }
            | Self::LogOut { account, .. }
            | Self::Everywhere { account, .. }
            | Self::Change { account, .. }
            | Self::Disable { account }
            | Self::Enable { account }
            | Self::Delete { account }
            | Self::SetPassword { account, .. }
            | Self::AskByMail { account, .. }
            | Self::Redeem { account, .. }
            | Self::AskToken { account }
            | Self::Confirm { account }
            | Self::MakeKey { account, .. }
            | Self::RevokeKey { account, .. } => Some(*account),
        }
    }
}

/// Has a mail sent.
pub async fn ask_by_mail(api: &Api, kind: Ask, email: &str) -> Option<Answer> {
    let path = if kind == Ask::Link { "/signin/passwordless/email" } else { "/user/password/reset" };
    api.post(Door::Nhost, path, json!({ "email": email })).await
}

/// Uses a ticket: a link signs in, a reset sets this password.
pub async fn redeem(api: &Api, ticket: &Ticket, password: &str) -> Option<Answer> {
    match ticket.kind {
        Ask::Link => api.follow(&ticket.text).await,
        Ask::Reset => {
            let body = json!({ "newPassword": password, "ticket": ticket.text });
            api.post(Door::Nhost, "/user/password", body).await
        }
    }
}

/// Whether using a ticket worked.
pub fn redeemed(answer: &Answer) -> bool {
    answer.status == 200 || (answer.status == 302 && answer.location().contains("refreshToken="))
}

/// Proves an address with a token of NomaCMS's.
pub async fn confirm(api: &Api, token: &str) -> Option<Answer> {
    api.post(Door::Noma, "/verify-email/confirm", json!({ "token": token })).await
}

/// Whether a key works.
pub async fn key_works(api: &Api, key: &Key) -> bool {
    let answer = match key.kind {
        KeyKind::Personal => api.post(Door::Nhost, "/signin/pat", json!({ "personalAccessToken": key.text })).await,
        KeyKind::Api(_) => api.post_as(Door::Noma, SERVICE, "/api-keys/verify", json!({ "key": key.text })).await,
    };
    let answer = answer.expect("a living server");
    assert!(matches!(answer.status, 200 | 401 | 422), "{} {}", answer.status, answer.body);
    answer.status == 200
}
