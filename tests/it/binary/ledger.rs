//! What a server acknowledged, kept by those it was acknowledged to, and held against it after it was killed.
//!
//! A request whose answer did not come is in doubt: its change is there as a whole, or not at all.

use serde_json::{Value, json};

use super::client::HOME;
use super::process::Binary;

/// Wrong sign-ins that lock, as the server is configured.
pub const FAILURES: u32 = 12;

/// A number from a seed: the same run again when the seed is the same.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// A source of its own for every purpose.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of `0..sides` (SplitMix64).
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

/// The way to one life of the server.
pub struct Api {
    client: reqwest::Client,
    url: String,
    project: String,
}

impl Api {
    /// A connection of its own.
    pub fn to(server: &Binary) -> Self {
        let client = server.client_from(HOME).build().expect("a client");
        Self { client, url: server.url().to_owned(), project: server.project().to_owned() }
    }

    /// Status and body; `None` when no whole answer came.
    async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Option<(u16, Value)> {
        let mut request = self.client.post(format!("{}/api/auth{path}", self.url)).header("project-id", &self.project);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let reply = request.json(&body).send().await.ok()?;
        let status = reply.status().as_u16();
        Some((status, reply.json().await.ok()?))
    }

    async fn me(&self, token: &str) -> u16 {
        let request = self.client.get(format!("{}/api/auth/me", self.url)).header("project-id", &self.project);
        request.bearer_auth(token).send().await.expect("a living server").status().as_u16()
    }

    /// As `post`, of a server that lives.
    async fn ask(&self, path: &str, body: Value) -> (u16, Value) {
        self.post(path, None, body).await.expect("a living server")
    }

    async fn sign_in(&self, email: &str, password: &str) -> (u16, Value) {
        self.ask("/login", json!({ "email": email, "password": password })).await
    }
}

struct Session {
    access: String,
    refresh: String,
    /// The refresh token before; used up.
    used: Option<String>,
    live: bool,
}

impl Session {
    fn of(body: &Value) -> Self {
        let text = |key: &str| body[key].as_str().expect("a token").to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token"), used: None, live: true }
    }

    fn rotated(&mut self, body: &Value) {
        let used = std::mem::take(&mut self.refresh);
        *self = Self { used: Some(used), ..Self::of(body) };
    }
}

struct Account {
    email: String,
    password: String,
    sessions: Vec<Session>,
}

/// A request whose answer did not come.
enum Doubt {
    SignUp { email: String, password: String },
    SignIn,
    Refresh { account: usize, session: usize },
    Logout { account: usize, session: usize },
    Change { account: usize, session: usize, password: String },
    Failure,
}

/// One client's accounts.
pub struct Ledger {
    name: String,
    dice: Dice,
    count: usize,
    accounts: Vec<Account>,
    /// An address that is only guessed at, and how often that was answered.
    guessed: String,
    guesses: u32,
    guesses_in_doubt: u32,
    doubt: Option<Doubt>,
}

impl Ledger {
    /// An empty one.
    pub fn new(name: &str, seed: u64) -> Self {
        let dice = Dice::new(seed);
        let guessed = format!("{name}-guessed-0@example.com");
        let name = name.to_owned();
        Self { name, dice, count: 0, accounts: Vec::new(), guessed, guesses: 0, guesses_in_doubt: 0, doubt: None }
    }

    /// Makes requests until one is not answered; `acknowledged` hears of each that is.
    pub async fn work(&mut self, api: &Api, acknowledged: impl Fn()) {
        while self.step(api).await.is_some() {
            acknowledged();
        }
    }

    async fn step(&mut self, api: &Api) -> Option<()> {
        self.count += 1;
        let account = self.dice.roll(self.accounts.len().max(1));
        let live: Vec<usize> = match self.accounts.get(account) {
            Some(account) => (0..account.sessions.len()).filter(|at| account.sessions[*at].live).collect(),
            None => Vec::new(),
        };
        let session = live.get(self.dice.roll(live.len().max(1))).copied();
        match (self.dice.roll(100), session) {
            (90..100, _) => self.guess(api).await,
            (0..20, _) => self.sign_up(api).await,
            (20..60, Some(session)) => self.refresh(api, account, session).await,
            (60..70, Some(session)) => self.log_out(api, account, session).await,
            (70..80, Some(session)) => self.change_password(api, account, session).await,
            _ if self.accounts.is_empty() => self.sign_up(api).await,
            _ => self.sign_in(api, account).await,
        }
    }

    /// A request that may stay without an answer.
    async fn post(&mut self, api: &Api, doubt: Doubt, path: &str, token: Option<String>, body: Value) -> Option<Value> {
        self.doubt = Some(doubt);
        let expected = match (path, &self.doubt) {
            ("/signup", _) => 201,
            (_, Some(Doubt::Failure)) => 401,
            _ => 200,
        };
        let (status, body) = api.post(path, token.as_deref(), body).await?;
        assert_eq!(status, expected, "{path}: {body}");
        self.doubt = None;
        Some(body)
    }

    async fn sign_up(&mut self, api: &Api) -> Option<()> {
        let email = format!("{}-{}@example.com", self.name, self.count);
        let password = format!("password {}", self.count);
        let doubt = Doubt::SignUp { email: email.clone(), password: password.clone() };
        let body = self.post(api, doubt, "/signup", None, json!({ "email": email, "password": password })).await?;
        self.accounts.push(Account { email, password, sessions: vec![Session::of(&body)] });
        Some(())
    }

    async fn sign_in(&mut self, api: &Api, at: usize) -> Option<()> {
        let Account { email, password, .. } = &self.accounts[at];
        let body = json!({ "email": email, "password": password });
        let body = self.post(api, Doubt::SignIn, "/login", None, body).await?;
        self.accounts[at].sessions.push(Session::of(&body));
        Some(())
    }

    async fn refresh(&mut self, api: &Api, account: usize, session: usize) -> Option<()> {
        let body = json!({ "refresh_token": self.accounts[account].sessions[session].refresh });
        let body = self.post(api, Doubt::Refresh { account, session }, "/refresh", None, body).await?;
        self.accounts[account].sessions[session].rotated(&body);
        Some(())
    }

    async fn log_out(&mut self, api: &Api, account: usize, session: usize) -> Option<()> {
        let token = self.accounts[account].sessions[session].access.clone();
        self.post(api, Doubt::Logout { account, session }, "/logout", Some(token), json!({})).await?;
        self.accounts[account].sessions[session].live = false;
        Some(())
    }

    async fn change_password(&mut self, api: &Api, account: usize, session: usize) -> Option<()> {
        let token = self.accounts[account].sessions[session].access.clone();
        let password = format!("password {}", self.count);
        let body = json!({ "current_password": self.accounts[account].password, "new_password": password });
        let doubt = Doubt::Change { account, session, password: password.clone() };
        self.post(api, doubt, "/change-password", Some(token), body).await?;
        self.changed(account, session, password);
        Some(())
    }

    fn changed(&mut self, account: usize, session: usize, password: String) {
        let account = &mut self.accounts[account];
        account.password = password;
        for (at, other) in account.sessions.iter_mut().enumerate() {
            other.live &= at == session;
        }
    }

    async fn guess(&mut self, api: &Api) -> Option<()> {
        if self.guesses + self.guesses_in_doubt + 1 >= FAILURES {
            self.guess_at_another();
        }
        let body = json!({ "email": self.guessed, "password": "a guess at it" });
        self.post(api, Doubt::Failure, "/login", None, body).await?;
        self.guesses += 1;
        Some(())
    }

    fn guess_at_another(&mut self) {
        self.guessed = format!("{}-guessed-{}@example.com", self.name, self.count);
        (self.guesses, self.guesses_in_doubt) = (0, 0);
    }

    /// Holds everything against the server that came back; the number of facts.
    pub async fn check(&mut self, api: &Api) -> usize {
        if let Some(doubt) = self.doubt.take() {
            self.resolve(api, doubt).await;
        }
        let mut facts = 0;
        for account in &mut self.accounts {
            let (status, body) = api.sign_in(&account.email, &account.password).await;
            assert_eq!(status, 200, "{} has its password: {body}", account.email);
            for session in &mut account.sessions {
                session.check(api, &mut self.dice).await;
                facts += 1;
            }
            // What has ended was seen to have ended often enough.
            let live = |session: &Session| session.live;
            while account.sessions.len() > 4 && !account.sessions.iter().all(live) {
                let ended = account.sessions.iter().position(|session| !session.live).expect("one has ended");
                account.sessions.remove(ended);
            }
            facts += 1;
        }
        if self.dice.roll(2) == 0 {
            self.check_guesses(api).await;
            facts += 1;
        }
        facts
    }

    /// Failures have not become fewer, nor more than were made.
    async fn check_guesses(&mut self, api: &Api) {
        let mut more = 0;
        loop {
            let (status, body) = api.sign_in(&self.guessed, "one more guess").await;
            match status {
                401 => more += 1,
                429 => break,
                _ => panic!("{}: {status} {body}", self.guessed),
            }
            assert!(more <= FAILURES, "{} is never locked", self.guessed);
        }
        let (least, most) = (self.guesses + more, self.guesses + self.guesses_in_doubt + more);
        let what = format!("{}: {} answered, {} in doubt", self.guessed, self.guesses, self.guesses_in_doubt);
        assert!(least <= FAILURES && FAILURES <= most, "{what}, {more} more before the lock");
        self.count += 1;
        self.guess_at_another();
    }

    /// Finds out whether the change is there, as a whole.
    async fn resolve(&mut self, api: &Api, doubt: Doubt) {
        match doubt {
            Doubt::SignIn => {}
            Doubt::Failure => self.guesses_in_doubt += 1,
            Doubt::SignUp { email, password } => match api.sign_in(&email, &password).await {
                (200, body) => self.accounts.push(Account { email, password, sessions: vec![Session::of(&body)] }),
                (401, _) => {
                    let (status, body) = api.ask("/signup", json!({ "email": email, "password": password })).await;
                    assert_eq!(status, 201, "neither there nor absent: {body}");
                    self.accounts.push(Account { email, password, sessions: vec![Session::of(&body)] });
                }
                (status, body) => panic!("{status} {body}"),
            },
            Doubt::Refresh { account, session } => {
                let session = &mut self.accounts[account].sessions[session];
                assert_eq!(api.me(&session.access).await, 200, "a refresh ends no session");
                match api.ask("/refresh", json!({ "refresh_token": session.refresh })).await {
                    (200, body) => session.rotated(&body),
                    // Rotated: without a grace the second use is theft.
                    (401, _) => session.live = false,
                    (status, body) => panic!("{status} {body}"),
                }
            }
            Doubt::Logout { account, session } => {
                let session = &mut self.accounts[account].sessions[session];
                session.live = api.me(&session.access).await == 200;
            }
            Doubt::Change { account, session, password } => {
                let email = self.accounts[account].email.clone();
                if api.sign_in(&email, &password).await.0 == 200 {
                    self.changed(account, session, password);
                }
            }
        }
    }
}

impl Session {
    async fn check(&mut self, api: &Api, dice: &mut Dice) {
        let expected = if self.live { 200 } else { 401 };
        assert_eq!(api.me(&self.access).await, expected, "a session lives: {}", self.live);
        match (&self.used, self.live, dice.roll(8)) {
            (_, false, 0) => {
                let (status, _) = api.ask("/refresh", json!({ "refresh_token": self.refresh })).await;
                assert_eq!(status, 401, "an ended session's refresh token");
            }
            (Some(used), true, 0) => {
                let (status, _) = api.ask("/refresh", json!({ "refresh_token": used })).await;
                assert_eq!(status, 401, "a used refresh token");
                assert_eq!(api.me(&self.access).await, 401, "its second use ends the session");
                self.live = false;
            }
            (_, true, 1) => {
                let (status, body) = api.ask("/refresh", json!({ "refresh_token": self.refresh })).await;
                assert_eq!(status, 200, "the newest refresh token: {body}");
                self.rotated(&body);
            }
            _ => {}
        }
    }
}
