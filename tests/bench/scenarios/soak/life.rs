//! What the soak's clients do: whole lives of accounts through each dialect, one request after the other at a pace.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::group;
use crate::Outcome;
use crate::process::Server;
use crate::wire::{Connection, Target, client as address};

/// Accounts that one client comes back to.
const REGULARS: usize = 25;

/// Client addresses of one client.
const ADDRESSES: usize = 100;

/// Questions and renewals in one life.
const QUESTIONS: usize = 14;
const RENEWALS: usize = 6;

/// After so many requests an HTTP/2 client leaves and another comes.
const HTTP2_REQUESTS: usize = 40;

const PASSWORD: &str = "correct horse battery staple";

/// Where the clients are.
pub(super) struct Around {
    target: Target,
    project: String,
    control: PathBuf,
    ca: PathBuf,
}

impl Around {
    pub(super) fn of(server: &Server, data: &Path) -> Outcome<Self> {
        Ok(Self {
            target: server.target().clone(),
            project: server.project().ok_or("a server without a project")?.to_owned(),
            control: data.join("control.sock"),
            ca: data.join("tls").join("ca.pem"),
        })
    }

    /// Deletes an account as its operator; the status.
    async fn delete(&self, email: &str) -> Outcome<u16> {
        let mut stream = UnixStream::connect(&self.control).await?;
        let path = format!("/v1/projects/{}/users/{email}", self.project);
        let request = format!("DELETE {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.get(9..12).ok_or("an answer without a status")?.parse()?)
    }
}

/// What was asked, and what was not answered as expected.
#[derive(Default)]
pub(super) struct Counts(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    asked: BTreeMap<&'static str, u64>,
    odd: BTreeMap<&'static str, (u64, String)>,
}

impl Counts {
    /// Everything that was answered as expected.
    pub(super) fn good(&self) -> u64 {
        self.with(|counted| counted.asked.values().sum())
    }

    /// Everything that was not.
    pub(super) fn odd(&self) -> u64 {
        self.with(|counted| counted.odd.values().map(|(count, _)| count).sum())
    }

    /// What was asked how often, with the first odd answer of each kind.
    pub(super) fn told(&self) -> Vec<(&'static str, u64, String)> {
        self.with(|counted| {
            let kinds = counted.asked.keys().chain(counted.odd.keys()).copied();
            let kinds: std::collections::BTreeSet<_> = kinds.collect();
            let odd =
                |kind| counted.odd.get(kind).map_or_else(String::new, |(count, text)| format!("{count} x {text}"));
            kinds.into_iter().map(|kind| (kind, counted.asked.get(kind).copied().unwrap_or(0), odd(kind))).collect()
        })
    }

    fn note(&self, kind: &'static str, odd: Option<String>) {
        self.with(|counted| match odd {
            None => *counted.asked.entry(kind).or_default() += 1,
            Some(text) => counted.odd.entry(kind).or_insert((0, text)).0 += 1,
        });
    }

    fn with<T>(&self, what: impl FnOnce(&mut Counted) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Clone, Copy)]
enum Speaks {
    Noma,
    Nora,
    Nhost,
}

/// Lives one life after the other until `ends`, at one request each `period`.
///
/// One half of the clients makes an account each time and has it deleted; the other half comes back to accounts that
/// stay, and leaves its sessions to expire.
pub(super) async fn client(around: Arc<Around>, counts: Arc<Counts>, index: usize, period: Duration, ends: Instant) {
    let speaks = [Speaks::Noma, Speaks::Nora, Speaks::Nhost][index % 3];
    let stays = index / 3 % 2 == 1;
    let mut every = paced(period);
    for turn in 0.. {
        if Instant::now() >= ends {
            return;
        }
        let source = address(group::SOAK, index * ADDRESSES + turn % ADDRESSES);
        let life = Life { around: &around, counts: &counts, speaks, source, every: &mut every };
        let lived = match stays {
            true => life.regular(&format!("regular-{index}-{}@example.com", turn % REGULARS), turn).await,
            false => life.guest(&format!("guest-{index}-{turn}@example.com"), turn).await,
        };
        if let Err(error) = lived {
            counts.note("life", Some(error.to_string()));
        }
    }
}

/// Guesses at accounts that do not exist until it is locked out, again and again.
pub(super) async fn guesser(around: Arc<Around>, counts: Arc<Counts>, period: Duration, ends: Instant) {
    let mut every = paced(period);
    for turn in 0.. {
        if Instant::now() >= ends {
            return;
        }
        let source = address(group::SOAK_GUESSES, turn);
        let life = Life { around: &around, counts: &counts, speaks: Speaks::Noma, source, every: &mut every };
        if let Err(error) = life.guesses(&format!("nobody-{turn}@example.com")).await {
            counts.note("life", Some(error.to_string()));
        }
    }
}

/// Asks over HTTP/2 for something large and something refused.
pub(super) async fn http2(around: Arc<Around>, counts: Arc<Counts>, period: Duration, ends: Instant) {
    let mut every = paced(period);
    while Instant::now() < ends {
        if let Err(error) = http2_visit(&around, &counts, &mut every).await {
            counts.note("http2", Some(error.to_string()));
        }
    }
}

async fn http2_visit(around: &Around, counts: &Counts, every: &mut Interval) -> Outcome<()> {
    // Whoever is second finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(&std::fs::read(&around.ca)?)?;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build()?;
    for turn in 0..HTTP2_REQUESTS {
        every.tick().await;
        let (path, status) = if turn % 4 == 0 { ("openapi/nhost.json", 200) } else { ("api/auth/me", 401) };
        let url = format!("https://{}/{path}", around.target.host());
        let reply = client.get(url).header("project-id", &around.project).send().await?;
        let seen = (reply.version(), reply.status().as_u16());
        reply.bytes().await?;
        let odd = (seen != (http::Version::HTTP_2, status)).then(|| format!("{path}: {seen:?}"));
        counts.note("http2", odd);
    }
    Ok(())
}

fn paced(period: Duration) -> Interval {
    let mut every = interval(period);
    // What is late is not made up for: the pace is a ceiling.
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every
}

struct Life<'a> {
    around: &'a Around,
    counts: &'a Counts,
    speaks: Speaks,
    source: Ipv4Addr,
    every: &'a mut Interval,
}

/// What a signed-in client holds.
struct Tokens {
    access: String,
    refresh: String,
}

impl Life<'_> {
    async fn guest(mut self, email: &str, turn: usize) -> Outcome<()> {
        let mut wire = Connection::open(&self.around.target, self.source).await?;
        self.sign_up(&mut wire, email).await?;
        let tokens = self.visit(&mut wire, email, turn).await?;
        self.log_out(&mut wire, &tokens).await?;
        self.who(&mut wire, &tokens, 401).await?;
        self.every.tick().await;
        let status = self.around.delete(email).await?;
        self.counts.note("delete", (status != 200).then(|| status.to_string()));
        Ok(())
    }

    async fn regular(mut self, email: &str, turn: usize) -> Outcome<()> {
        let mut wire = Connection::open(&self.around.target, self.source).await?;
        if turn < REGULARS {
            self.sign_up(&mut wire, email).await?;
        }
        self.visit(&mut wire, email, turn).await.map(drop)
    }

    async fn guesses(mut self, email: &str) -> Outcome<()> {
        let mut wire = Connection::open(&self.around.target, self.source).await?;
        for expected in [401, 401, 401, 401, 401, 429] {
            let body = credentials(email, "a guess");
            self.call(&mut wire, "guess", "POST", self.sign_in_path(), "", &body, expected).await?;
        }
        Ok(())
    }

    /// Signs in, asks and renews by turns, mistypes a password, and every third time loses the connection.
    async fn visit(&mut self, wire: &mut Connection, email: &str, turn: usize) -> Outcome<Tokens> {
        let body = credentials(email, PASSWORD);
        let reply = self.call(wire, "sign in", "POST", self.sign_in_path(), "", &body, 200).await?;
        let mut tokens = self.tokens(&reply);
        for question in 0..QUESTIONS {
            self.who(wire, &tokens, 200).await?;
            if question % 2 == 0 && question < RENEWALS * 2 {
                tokens = self.renew(wire, tokens).await?;
            }
        }
        self.call(wire, "mistype", "POST", self.sign_in_path(), "", &credentials(email, "a typo"), 401).await?;
        if turn.is_multiple_of(3) {
            let request = self.request("POST", self.sign_in_path(), "", &body);
            let sent = if turn.is_multiple_of(2) { request.len() } else { request.len() / 2 };
            wire.break_off(&request[..sent]).await?;
            self.counts.note("break off", None);
            self.who(wire, &tokens, 200).await?;
        }
        Ok(tokens)
    }

    async fn sign_up(&mut self, wire: &mut Connection, email: &str) -> Outcome<()> {
        let (path, status) = match self.speaks {
            Speaks::Noma => ("api/auth/signup", 201),
            Speaks::Nora => ("auth/signup", 200),
            Speaks::Nhost => ("v1/signup/email-password", 200),
        };
        self.call(wire, "sign up", "POST", path, "", &credentials(email, PASSWORD), status).await.map(drop)
    }

    async fn who(&mut self, wire: &mut Connection, tokens: &Tokens, status: u16) -> Outcome<()> {
        let path = match self.speaks {
            Speaks::Noma => "api/auth/me",
            Speaks::Nora => "auth/me",
            Speaks::Nhost => "v1/user",
        };
        self.call(wire, "who", "GET", path, &bearer(tokens), "", status).await.map(drop)
    }

    /// New tokens; Nora, which has none to renew, takes a name instead.
    async fn renew(&mut self, wire: &mut Connection, tokens: Tokens) -> Outcome<Tokens> {
        let (path, name) = match self.speaks {
            Speaks::Noma => ("api/auth/refresh", "refresh_token"),
            Speaks::Nhost => ("v1/token", "refreshToken"),
            Speaks::Nora => {
                let body = r#"{"name":"Ada"}"#;
                self.call(wire, "profile", "PATCH", "auth/profile", &bearer(&tokens), body, 200).await?;
                return Ok(tokens);
            }
        };
        let body = format!(r#"{{"{name}":"{}"}}"#, tokens.refresh);
        let reply = self.call(wire, "refresh", "POST", path, "", &body, 200).await?;
        Ok(self.tokens(&reply))
    }

    async fn log_out(&mut self, wire: &mut Connection, tokens: &Tokens) -> Outcome<()> {
        let (path, body) = match self.speaks {
            Speaks::Noma => ("api/auth/logout", String::new()),
            Speaks::Nora => ("auth/logout", String::new()),
            Speaks::Nhost => ("v1/signout", format!(r#"{{"refreshToken":"{}"}}"#, tokens.refresh)),
        };
        self.call(wire, "log out", "POST", path, &bearer(tokens), &body, 200).await.map(drop)
    }

    fn sign_in_path(&self) -> &'static str {
        match self.speaks {
            Speaks::Noma => "api/auth/login",
            Speaks::Nora => "auth/login",
            Speaks::Nhost => "v1/signin/email-password",
        }
    }

    fn tokens(&self, reply: &Value) -> Tokens {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match self.speaks {
            Speaks::Noma => Tokens { access: text(&reply["access_token"]), refresh: text(&reply["refresh_token"]) },
            Speaks::Nora => Tokens { access: text(&reply["token"]), refresh: String::new() },
            // A sign-in has the session in an object of its own, a renewal is one.
            Speaks::Nhost => {
                let session = if reply["session"].is_object() { &reply["session"] } else { reply };
                Tokens { access: text(&session["accessToken"]), refresh: text(&session["refreshToken"]) }
            }
        }
    }

    /// Waits for its turn, asks, and counts the answer by its status.
    #[expect(clippy::too_many_arguments, reason = "the parts of a request")]
    async fn call(
        &mut self,
        wire: &mut Connection,
        kind: &'static str,
        method: &str,
        path: &str,
        more: &str,
        body: &str,
        expected: u16,
    ) -> Outcome<Value> {
        self.every.tick().await;
        let request = self.request(method, path, more, body);
        let reply = match wire.call(&request).await {
            Ok(reply) => reply,
            Err(error) => return Err(format!("{kind} at {path}: {error}").into()),
        };
        if reply.status == expected {
            self.counts.note(kind, None);
            return Ok(serde_json::from_slice(reply.body).unwrap_or_default());
        }
        let odd = format!("{path}: {} {}", reply.status, String::from_utf8_lossy(reply.body));
        self.counts.note(kind, Some(odd.clone()));
        Err(odd.into())
    }

    fn request(&self, method: &str, path: &str, more: &str, body: &str) -> Vec<u8> {
        let (host, project) = (self.around.target.host(), &self.around.project);
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        format!(
            "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nproject-id: {project}\r\n{more}{kind}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

fn bearer(tokens: &Tokens) -> String {
    format!("authorization: Bearer {}\r\n", tokens.access)
}

fn credentials(email: &str, password: &str) -> String {
    format!(r#"{{"email":"{email}","password":"{password}"}}"#)
}
