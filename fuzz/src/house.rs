//! A server in memory with people in it, for targets that take whole requests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use keystead::admin::own_uid;
use keystead::app::App;
use keystead::config::{Overrides, load};
use keystead::env::{Env, Resolver};
use keystead::http::{Entry, Health};
use keystead::net::Limits;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

/// Requests before a house is torn down: what they leave behind does not add up, and what one of them breaks is seen
/// again by the next.
const VISITS: u32 = 1000;
/// The largest answer that is looked at, bytes.
const ANSWER: usize = 64 << 20;
const SECRET: &str = "fuzz-fuzz-fuzz-fuzz-fuzz-fuzz-fuzz";
const PASSWORD: &str = "correct horse";

/// Hashes cost nothing, every API is on with all it can do, no limiter ends the visit early, and mails are written.
const SETTINGS: &[(&str, &str)] = &[
    ("HASHING__MEMORY_KIB", "8"),
    ("HASHING__ITERATIONS", "1"),
    ("HASHING__THREADS", "1"),
    ("PROJECT__DEFAULT__SECRET", SECRET),
    ("PROJECT__DEFAULT__AUDIT__MAX_ENTRIES", "1000"),
    ("PROJECT__DEFAULT__LOCKOUT__FAILURES", "100"),
    ("PROJECT__DEFAULT__LOCKOUT__ACCOUNT_FAILURES", "100"),
    ("PROJECT__DEFAULT__NORA__LIMITS__GLOBAL", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__MUTATION", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__LOGIN", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "off"),
    ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_DAILY", "off"),
    ("PROJECT__DEFAULT__NHOST__ANONYMOUS", "true"),
    ("PROJECT__DEFAULT__NHOST__PASSWORDLESS_EMAIL", "true"),
    ("PROJECT__DEFAULT__NHOST__OTP_EMAIL", "true"),
    ("PROJECT__DEFAULT__NHOST__CLIENT_URL", "https://app.example.com"),
    ("PROJECT__DEFAULT__NHOST__REDIRECT_URLS", "https://*.example.com/**,myapp://cb"),
    ("PROJECT__DEFAULT__NHOST__LOCALES", "en,fr"),
];

/// A server, and how to reach it without a socket.
pub struct House {
    runtime: Runtime,
    app: App,
    entry: Entry,
    admin: Router,
    /// What stands for a word like `{access}` in a request.
    words: Vec<(&'static str, String)>,
    left: u32,
}

/// What came back.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    fn at(&self, pointer: &str) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let found = body.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("{} {body} has no {pointer}", self.status)).to_owned()
    }
}

/// No name of a host means anything: nothing leaves this machine.
struct Nobody;

impl Resolver for Nobody {
    fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Runs `visit` in this thread's house, in which people are signed in.
pub fn visit<T>(visit: impl FnOnce(&House) -> T) -> T {
    visit_one(|| House::open(&[]).inhabited(), visit)
}

/// Runs `visit` in this thread's house, which is empty and has these settings beside the usual ones.
pub fn visit_empty<T>(settings: &[(&str, &str)], visit: impl FnOnce(&House) -> T) -> T {
    visit_one(|| House::open(settings), visit)
}

fn visit_one<T>(open: impl FnOnce() -> House, visit: impl FnOnce(&House) -> T) -> T {
    thread_local!(static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) });
    HOUSE.with_borrow_mut(|house| {
        if house.as_ref().is_none_or(|house| house.left == 0) {
            if let Some(House { runtime, app, .. }) = house.take() {
                runtime.block_on(app.close());
            }
            *house = Some(open());
        }
        let house = house.as_mut().expect("made above");
        house.left -= 1;
        visit(house)
    })
}

impl House {
    fn open(settings: &[(&str, &str)]) -> Self {
        let all = SETTINGS.iter().chain(settings);
        let environment: BTreeMap<_, _> =
            all.map(|(name, value)| (format!("KEYSTEAD_{name}"), (*value).to_owned())).collect();
        let overrides = Overrides { ephemeral: true, ..Overrides::default() };
        let settings = load(&overrides, &environment).unwrap_or_else(|problems| panic!("{problems}"));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let env = Env { resolver: Arc::new(Nobody), ..Env::system() };
        let app = runtime.block_on(App::open(settings, env)).expect("a server");
        let health = Health::new(app.projects().clone(), None);
        let entry = Entry::new(app.projects().clone(), Limits::default().into(), health);
        let admin = app.admin();
        Self { runtime, app, entry, admin, words: Vec::new(), left: VISITS }
    }

    /// The same with somebody signed in by every API.
    fn inhabited(mut self) -> Self {
        let (id, _) = self.app.projects().list().first().cloned().expect("a project");
        let post = |path: &str, token: &str, body: Value| {
            let request = Request::post(path).header(CONTENT_TYPE, "application/json");
            let request = request.header("authorization", format!("Bearer {token}"));
            self.ask(request.body(Body::from(body.to_string())).expect("a request"))
        };
        let account = |name: &str| json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let noma = post("/api/auth/signup", "", account("noma"));
        let (access, refresh) = (noma.at("/access_token"), noma.at("/refresh_token"));
        let key = post("/api/auth/api-keys", &access, json!({ "name": "fuzz" })).at("/plain_text_key");
        post("/auth/signup", "", account("nora"));
        let nora = post("/auth/login", "", account("nora"));
        let cookie = nora.headers.get(SET_COOKIE).and_then(|cookie| cookie.to_str().ok()).expect("a cookie");
        let cookie = cookie.split(';').next().and_then(|pair| pair.split('=').nth(1)).expect("a token");
        let nhost = post("/v1/signup/email-password", "", account("nhost"));
        let jwt = nhost.at("/session/accessToken");
        let pat = post("/v1/pat", &jwt, json!({ "expiresAt": "2099-01-01T00:00:00Z" })).at("/personalAccessToken");
        self.words = vec![
            ("{access}", access),
            ("{refresh}", refresh),
            ("{key}", key),
            ("{nora}", cookie.to_owned()),
            ("{jwt}", jwt),
            ("{uuid}", nhost.at("/session/refreshToken")),
            ("{user}", nhost.at("/session/user/id")),
            ("{pat}", pat),
            ("{project}", id.to_string()),
            ("{secret}", SECRET.to_owned()),
        ];
        self
    }

    /// A request from outside.
    pub fn ask(&self, request: Request<Body>) -> Answer {
        self.runtime.block_on(async {
            let Ok(reply) = self.entry.clone().handle(request).await;
            Answer::of(reply).await
        })
    }

    /// A request on the control socket, by the operator.
    pub fn command(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(own_uid());
        self.runtime.block_on(async {
            let Ok(reply) = self.admin.clone().oneshot(request).await;
            Answer::of(reply).await
        })
    }

    /// A request as its bytes say it: a method and a path, then header lines, an empty line and the body, as in HTTP.
    /// Words like `{access}` become what the people of this house have.
    pub fn request(&self, bytes: &[u8]) -> Option<Request<Body>> {
        let cut = bytes.windows(2).position(|two| two == b"\n\n");
        let (head, body) = cut.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 2..]));
        let head = self.filled(head);
        let mut lines = head.split(|byte| *byte == b'\n');
        let (method, path) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
        let mut request = Request::builder().method(method).uri(path);
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
        }
        request.body(Body::from(self.filled(body))).ok()
    }

    fn filled(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut filled, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
        while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
            let word = self.words.iter().find(|(word, _)| rest[at..].starts_with(word.as_bytes()));
            let (length, value) = word.map_or((1, "{"), |(word, value)| (word.len(), value));
            filled.extend_from_slice(&rest[..at]);
            filled.extend_from_slice(value.as_bytes());
            rest = &rest[at + length..];
        }
        filled.extend_from_slice(rest);
        filled
    }
}

impl Answer {
    async fn of(reply: axum::response::Response) -> Self {
        let (parts, body) = reply.into_parts();
        // A stream that ends with an error says so itself.
        let body = to_bytes(body, ANSWER).await.unwrap_or_default().to_vec();
        Self { status: parts.status, headers: parts.headers, body }
    }
}
