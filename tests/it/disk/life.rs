//! One life of a server: what people did, in one dialect, and what each of it was answered.

use keystead::auth::Error;
use keystead::auth::accounts;
use keystead::auth::projects::Selector;
use keystead::testing::{Disk, Server};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::nhost_mail;
use crate::persona::{Persona, Reply, account, operator, project_id};
use crate::scenarios::Spelling;

pub const ADA: &str = "ada@example.com";
pub const BOB: &str = "bob@example.com";
pub const CAROL: &str = "carol@example.com";
pub const DAVE: &str = "dave@example.com";
pub const EVE: &str = "eve@example.com";
pub const KATE: &str = "kate@example.com";
pub const NEW: &str = "new@example.com";
pub const VERA: &str = "vera@example.com";
pub const PASSWORD: &str = "correct horse";
pub const OTHER: &str = "battery staple";
pub const WRONG: &str = "wrong horse here";
/// What the project's own services prove themselves with.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The test clock begins with 2026.
const LATER: &str = "2026-02-01T00:00:00Z";

/// No limit is in the way, a used refresh token is refused at once, and tokens are good after a restart on another port.
pub const SETTINGS: [(&str, &str); 9] = [
    ("LISTEN__PUBLIC_URL", "https://auth.example.com"),
    ("PROJECT__DEFAULT__SECRET", SECRET),
    ("PROJECT__DEFAULT__TOKENS__REFRESH_GRACE", "0s"),
    ("PROJECT__DEFAULT__NHOST__CLIENT_URL", nhost_mail::APP),
    ("PROJECT__DEFAULT__NORA__LIMITS__LOGIN", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__MUTATION", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_DAILY", "off"),
    ("PROJECT__OTHER__NORA__LIMITS__LOGIN", "off"),
];

/// A session, by its tokens.
#[derive(Clone, Debug)]
pub struct Session {
    pub access: String,
    /// There is none in Nora.
    pub refresh: Option<String>,
}

/// Something that was asked for.
#[derive(Clone, Debug)]
pub struct Deed<T> {
    /// Operations of the disk before it was asked for, and before it was answered.
    span: (u64, u64),
    /// What came of it, when that was acknowledged.
    value: Option<T>,
}

/// What is known of a deed.
#[derive(Clone, Debug, PartialEq)]
pub enum Is<T> {
    /// Nobody asked.
    Undone,
    /// It was asked for, and not acknowledged.
    Doubtful,
    Done(T),
}

/// `None`: nobody asked.
pub type Asked<T> = Option<Deed<T>>;

impl<T> Is<T> {
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Whether it is, when that is known.
    pub fn known(&self) -> Option<bool> {
        match self {
            Self::Undone => Some(false),
            Self::Doubtful => None,
            Self::Done(_) => Some(true),
        }
    }
}

/// What is known of a deed whose server ended before the operation `end`.
pub fn known<T: Clone>(deed: &Asked<T>, end: u64) -> Is<T> {
    match deed {
        Some(Deed { span: (asked, _), .. }) if *asked >= end => Is::Undone,
        Some(Deed { span: (_, answered), value: Some(value) }) if *answered <= end => Is::Done(value.clone()),
        Some(_) => Is::Doubtful,
        None => Is::Undone,
    }
}

/// Who lives there before anything goes wrong.
pub struct Cast {
    pub spelling: &'static Spelling,
    /// What lies on the disk.
    disk: Disk,
    /// Ada's sessions, and of each of the others one.
    pub here: Session,
    pub there: Session,
    pub bob: Session,
    pub dave: Session,
    /// In the other project.
    pub eve: Session,
    /// Who has API keys, and two of them.
    kate: Session,
    pub key: Option<Key>,
    /// What proves Vera's address.
    pub ticket: String,
    /// Ids that were given out.
    pub ids: Vec<Value>,
}

#[derive(Clone, Debug)]
pub struct Key {
    id: String,
    pub text: String,
}

/// What was done.
#[derive(Default)]
pub struct Life {
    pub refreshed: Asked<Session>,
    pub made: Asked<Value>,
    pub entered: Asked<Session>,
    pub changed: Asked<()>,
    pub proved: Asked<()>,
    pub keyed: Asked<Key>,
    pub revoked: Asked<()>,
    pub guesses: Vec<Asked<()>>,
    pub left: Asked<()>,
    pub disabled: Asked<()>,
    pub deleted: Asked<()>,
    pub made_again: Asked<Value>,
}

impl Cast {
    /// Everybody, in their places.
    pub async fn assemble(spelling: &'static Spelling) -> Self {
        let disk = Disk::default();
        let server = Server::on(&disk, &SETTINGS).await.expect("a server");
        let anon = somebody(spelling, &server);
        let mut ids = Vec::new();
        for email in [ADA, BOB, CAROL, DAVE, KATE, VERA] {
            ids.push(id_in(spelling, &anon.try_sign_up(email, PASSWORD).await.expect(spelling.made)));
        }
        let other = anon.in_project(Some(&project_id(&server, "other")));
        other.try_sign_up(EVE, OTHER).await.expect(spelling.made);
        let enter = async |anon: &Persona, email: &str, password: &str| {
            session_in(spelling, &anon.sign_in(email, password).await.expect(200))
        };
        let mut cast = Self {
            spelling,
            disk: Disk::default(),
            here: enter(&anon, ADA, PASSWORD).await,
            there: enter(&anon, ADA, PASSWORD).await,
            bob: enter(&anon, BOB, PASSWORD).await,
            dave: enter(&anon, DAVE, PASSWORD).await,
            eve: enter(&other, EVE, OTHER).await,
            kate: enter(&anon, KATE, PASSWORD).await,
            key: None,
            ticket: ticket(spelling, &server, &anon).await,
            ids,
        };
        if cast.has_keys() {
            let reply = cast.make_key(&anon).await;
            cast.key = Some(cast.key_in(&reply));
        }
        server.stop().await;
        cast.disk = disk.copy();
        cast
    }

    /// A disk on which they live.
    pub fn disk(&self) -> Disk {
        self.disk.copy()
    }

    fn is_nhost(&self) -> bool {
        self.spelling.name == "nhost"
    }

    fn has_keys(&self) -> bool {
        self.spelling.name != "nora"
    }

    /// Somebody without an account, whom the server may fail.
    pub fn anon(&self, server: &Server) -> Persona {
        somebody(self.spelling, server).failing()
    }

    /// What they do, in this order; each that rests on another only when that was acknowledged.
    pub async fn live(&self, server: &Server, disk: &Disk) -> Life {
        let anon = self.anon(server);
        let (ada, kate) = (anon.with_token(&self.here.access), anon.with_token(&self.kate.access));
        let mut life = Life::default();
        if let Some(refresh) = &self.here.refresh {
            let asked = self.refresh(&anon, refresh);
            life.refreshed = deed(disk, asked, |reply| Some(self.refreshed_in(reply))).await;
        }
        let asked = anon.try_sign_up(NEW, PASSWORD);
        life.made = deed(disk, asked, |reply| Some(id_in(self.spelling, reply))).await;
        if is_done(&life.made) {
            let asked = anon.sign_in(NEW, PASSWORD);
            life.entered = deed(disk, asked, |reply| Some(session_in(self.spelling, reply))).await;
        }
        life.changed = deed(disk, self.spelling.change_password(&ada, PASSWORD, OTHER), |_| Some(())).await;
        life.proved = self.prove(server, disk).await;
        if self.has_keys() {
            life.keyed = deed(disk, self.make_key(&kate), |reply| Some(self.key_in(reply))).await;
            life.revoked = deed(disk, self.revoke_key(&kate), |_| Some(())).await;
        }
        for _ in 0..5 {
            let asked = anon.sign_in(CAROL, WRONG);
            life.guesses.push(deed(disk, asked, |reply| (reply.status == self.spelling.wrong.0).then_some(())).await);
        }
        if let Some(new) = life.entered.as_ref().and_then(|entered| entered.value.clone()) {
            let new = anon.with_token(&new.access);
            let new = match &life.entered.as_ref().and_then(|entered| entered.value.as_ref()?.refresh.clone()) {
                Some(refresh) => new.with_refresh_token(refresh),
                None => new,
            };
            life.left = deed(disk, new.log_out(), |_| Some(())).await;
        }
        if let Ok(Some(project)) = server.projects().find(Selector::Slug("default")).await {
            let by = operator(server);
            life.disabled = done_by_operator(disk, accounts::disable(&project, by, account(DAVE))).await;
            life.deleted = done_by_operator(disk, accounts::delete(&project, by, account(BOB))).await;
        }
        if is_done(&life.deleted) {
            let asked = anon.try_sign_up(BOB, OTHER);
            life.made_again = deed(disk, asked, |reply| Some(id_in(self.spelling, reply))).await;
        }
        life
    }

    /// Exchanges a refresh token.
    pub async fn refresh(&self, anon: &Persona, token: &str) -> Reply {
        match self.is_nhost() {
            true => anon.post("/token", &json!({ "refreshToken": token })).await,
            false => anon.refresh(token).await,
        }
    }

    fn refreshed_in(&self, reply: &Reply) -> Session {
        match self.is_nhost() {
            true => {
                Session { access: text(&reply.body, "/accessToken"), refresh: Some(text(&reply.body, "/refreshToken")) }
            }
            false => session_in(self.spelling, reply),
        }
    }

    async fn make_key(&self, anon: &Persona) -> Reply {
        let kate = anon.with_token(&self.kate.access);
        match self.is_nhost() {
            true => kate.post("/pat", &json!({ "expiresAt": LATER })).await,
            false => kate.post("/api-keys", &json!({ "name": "CI" })).await,
        }
    }

    fn key_in(&self, reply: &Reply) -> Key {
        match self.is_nhost() {
            true => Key { id: text(&reply.body, "/id"), text: text(&reply.body, "/personalAccessToken") },
            false => Key { id: reply.body["id"].to_string(), text: text(&reply.body, "/plain_text_key") },
        }
    }

    /// Ends Kate's first key.
    async fn revoke_key(&self, kate: &Persona) -> Reply {
        let key = self.key.as_ref().expect("a key");
        match self.is_nhost() {
            true => kate.post("/signout", &json!({ "refreshToken": key.text })).await,
            false => kate.post_nothing(&format!("/api-keys/{}/revoke", key.id)).await,
        }
    }

    /// Whether a key works.
    pub async fn opens(&self, anon: &Persona, key: &Key) -> bool {
        let reply = match self.is_nhost() {
            true => anon.post("/signin/pat", &json!({ "personalAccessToken": key.text })).await,
            false => anon.with_token(SECRET).post("/api-keys/verify", &json!({ "key": key.text })).await,
        };
        assert!(reply.status == 200 || reply.status.is_client_error(), "{}", reply.text);
        reply.status == 200
    }

    async fn prove(&self, server: &Server, disk: &Disk) -> Asked<()> {
        let asked = disk.operations();
        let (status, used) = self.use_ticket(server).await;
        assert!(used || status.is_server_error(), "a ticket that nobody used: {status}");
        Some(Deed { span: (asked, disk.operations()), value: used.then_some(()) })
    }

    /// Presents the ticket: the status, and whether it worked.
    pub async fn use_ticket(&self, server: &Server) -> (StatusCode, bool) {
        if self.is_nhost() {
            let path = self.ticket.split_once("/v1/").expect("a link to the API").1;
            let page = nhost_mail::follow(server, &format!("{}/v1/{path}", server.url())).await;
            // What went wrong is told to the app, by where the browser is sent.
            if page.status != StatusCode::FOUND {
                return (page.status, false);
            }
            let (_, query) = page.onward();
            let error = query.iter().find(|(name, _)| name == "error").map(|(_, value)| value.as_str());
            let failed = error == Some("internal-server-error");
            return (if failed { StatusCode::INTERNAL_SERVER_ERROR } else { page.status }, error.is_none());
        }
        let anon = self.anon(server).speaking_noma();
        let reply = anon.post("/verify-email/confirm", &json!({ "token": self.ticket })).await;
        (reply.status, reply.status == 200)
    }
}

/// Somebody without an account, in the one of the two projects in which they live.
fn somebody(spelling: &Spelling, server: &Server) -> Persona {
    spelling.anon(server).in_project(Some(&project_id(server, "default")))
}

/// Asks, and notes when and what came of it. What is no success must be a failure of the server's, said as one.
async fn deed<T>(disk: &Disk, asked: impl Future<Output = Reply>, value: impl FnOnce(&Reply) -> Option<T>) -> Asked<T> {
    let begun = disk.operations();
    let reply = asked.await;
    let failed = reply.status.is_server_error();
    let value = if failed { None } else { value(&reply) };
    let is_right = failed || (reply.status.is_success() || reply.status == StatusCode::UNAUTHORIZED) && value.is_some();
    assert!(is_right, "{}: {}", reply.status, reply.text);
    assert!(reply.status == 500 || reply.status == 503 || !failed, "{}: {}", reply.status, reply.text);
    Some(Deed { span: (begun, disk.operations()), value })
}

async fn done_by_operator<T>(disk: &Disk, asked: impl Future<Output = Result<T, Error>>) -> Asked<()> {
    let begun = disk.operations();
    let value = match asked.await {
        Ok(_) => Some(()),
        Err(Error::Store(_) | Error::Unwritable(_)) => None,
        Err(other) => panic!("{other:?}"),
    };
    Some(Deed { span: (begun, disk.operations()), value })
}

fn is_done<T>(deed: &Asked<T>) -> bool {
    deed.as_ref().is_some_and(|deed| deed.value.is_some())
}

impl Life {
    /// Every deed, and whether it was acknowledged; those that nobody asked for are not there.
    pub fn acknowledged(&self) -> Vec<(&'static str, bool)> {
        fn told<T>(name: &'static str, deed: &Asked<T>) -> Option<(&'static str, bool)> {
            deed.as_ref().map(|deed| (name, deed.value.is_some()))
        }
        let guesses = self.guesses.iter().filter_map(|guess| told("guess", guess));
        [
            told("refreshed", &self.refreshed),
            told("made", &self.made),
            told("entered", &self.entered),
            told("changed", &self.changed),
            told("proved", &self.proved),
            told("keyed", &self.keyed),
            told("revoked", &self.revoked),
            told("left", &self.left),
            told("disabled", &self.disabled),
            told("deleted", &self.deleted),
            told("made again", &self.made_again),
        ]
        .into_iter()
        .flatten()
        .chain(guesses)
        .collect()
    }
}

pub fn session_in(spelling: &Spelling, reply: &Reply) -> Session {
    let refresh = match spelling.name {
        "noma" => Some("/refresh_token"),
        "nhost" => Some("/session/refreshToken"),
        _ => None,
    };
    Session { access: text(&reply.body, spelling.token), refresh: refresh.map(|at| text(&reply.body, at)) }
}

/// The id of the account that a sign-up made.
pub fn id_in(spelling: &Spelling, reply: &Reply) -> Value {
    let at = match spelling.name {
        "noma" => "/user/id",
        "nhost" => "/session/user/id",
        _ => "/id",
    };
    reply.body.pointer(at).ok_or(&reply.text).expect("an id").clone()
}

fn text(body: &Value, at: &str) -> String {
    body.pointer(at).and_then(Value::as_str).ok_or((at, body)).expect("a text").to_owned()
}

/// What proves Vera's address: a token as an app gets it, or, in Nhost, a link in a mail.
async fn ticket(spelling: &Spelling, server: &Server, anon: &Persona) -> String {
    if spelling.name == "nhost" {
        nhost_mail::ask(anon, "/user/email/send-verification-email", &json!({ "email": VERA })).await;
        return nhost_mail::link(server, VERA, "email-verify").await;
    }
    let anon = anon.speaking_noma();
    text(&anon.post("/verify-email/resend", &json!({ "email": VERA })).await.expect(200).body, "/verification_token")
}
