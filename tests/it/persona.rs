//! Who talks to the server: `anon`, who has nothing, and `user`, who is signed in. Every reply is checked for what must
//! hold of every reply.

use std::sync::Arc;
use std::time::Duration;

use keystead::auth::accounts::UserRef;
use keystead::auth::projects::Selector;
use keystead::auth::{Email, Operator, Project};
use keystead::dialect::Dialect;
use keystead::env::{Clock, Timestamp};
use keystead::testing::Server;
use reqwest::{Certificate, Method, StatusCode};
use serde_json::{Value, json};

use crate::leaks::{self, Watch};
use crate::openapi;

/// A server and somebody who talks to it.
#[derive(Clone)]
pub struct Persona {
    client: reqwest::Client,
    url: String,
    project: Option<String>,
    mount: String,
    speaks: Dialect,
    headers: Vec<(&'static str, String)>,
    /// The refresh token of who has one.
    refresh: Option<String>,
    /// Whether the server may fail them, for want of another's answer.
    may_fail: bool,
    /// As long as somebody of the test is there, nothing secret may be logged.
    _watch: Arc<Watch>,
}

/// A reply with its parts taken out.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as JSON; `Null` when empty.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

/// A client of nobody in particular, without proxies.
pub fn http() -> reqwest::ClientBuilder {
    // The library comes without a provider of its own; whoever is second finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// A client that trusts this server's CA.
pub fn client(server: &Server) -> reqwest::ClientBuilder {
    let builder = http().timeout(Duration::from_secs(30));
    match server.ca_pem() {
        // TLS is off.
        ca if ca.is_empty() => builder,
        ca => builder.tls_certs_only([Certificate::from_pem(ca.as_bytes()).expect("the server's CA")]),
    }
}

impl Persona {
    /// Somebody without an account.
    pub fn anon(server: &Server) -> Self {
        Self {
            // Where a browser is sent is an answer.
            client: client(server).redirect(reqwest::redirect::Policy::none()).build().expect("a client"),
            url: server.url().to_owned(),
            project: Some(server.project().to_string()),
            mount: "/api/auth".to_owned(),
            speaks: Dialect::Noma,
            headers: Vec::new(),
            refresh: None,
            may_fail: false,
            _watch: Watch::begin(),
        }
    }

    /// The same, speaking NomaCMS at its usual path.
    pub fn speaking_noma(&self) -> Self {
        Self { speaks: Dialect::Noma, ..self.mounted_at("/api/auth") }
    }

    /// The same, speaking Nora at its usual path.
    pub fn speaking_nora(&self) -> Self {
        Self { speaks: Dialect::Nora, ..self.mounted_at("/auth") }
    }

    /// The same, speaking Nhost Auth at its usual path.
    pub fn speaking_nhost(&self) -> Self {
        Self { speaks: Dialect::Nhost, ..self.mounted_at("/v1") }
    }

    /// The same, with this cookie.
    pub fn with_cookie(&self, token: &str) -> Self {
        self.with_header("cookie", &format!("nora_auth={token}"))
    }

    /// Patches with JSON a path below the mount.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, Some(("application/json", body.to_string().into_bytes()))).await
    }

    /// The same, with an access token.
    pub fn with_token(&self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    /// The same, with a header more; one of the same name goes.
    pub fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.retain(|(present, _)| *present != name);
        headers.push((name, value.to_owned()));
        Self { headers, ..self.clone() }
    }

    /// The same, over HTTP/1.1 only.
    pub fn over_http1(&self, server: &Server) -> Self {
        Self { client: client(server).http1_only().build().expect("a client"), ..self.clone() }
    }

    /// The same, where the dialect is mounted elsewhere.
    pub fn mounted_at(&self, mount: &str) -> Self {
        Self { mount: mount.to_owned(), ..self.clone() }
    }

    /// The same, speaking of another project, or of none.
    pub fn in_project(&self, project: Option<&str>) -> Self {
        Self { project: project.map(str::to_owned), ..self.clone() }
    }

    /// The same, from another address, as a trusted proxy says.
    pub fn forwarded_for(&self, address: &str) -> Self {
        self.with_header("x-forwarded-for", address)
    }

    /// Sends JSON to a path below the mount.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(("application/json", body.to_string().into_bytes()))).await
    }

    /// Posts nothing to a path below the mount.
    pub async fn post_nothing(&self, path: &str) -> Reply {
        self.send(Method::POST, path, None).await
    }

    /// Gets a path below the mount.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// Sends anything to a path below the mount.
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Reply {
        let sent = leaks::in_request(path, &self.headers, body.as_ref().map(|(_, bytes)| bytes.as_slice()));
        sent.iter().for_each(|secret| leaks::remember(secret));
        let mut request = self.client.request(method.clone(), format!("{}{}{path}", self.url, self.mount));
        if let Some(project) = &self.project {
            request = request.header("project-id", project);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some((kind, bytes)) = body {
            request = request.header("content-type", kind).body(bytes);
        }
        let reply = Reply::read(&method, self.speaks, self.may_fail, request.send().await.expect("a reply")).await;
        leaks::in_reply(&reply.headers, &reply.body).iter().for_each(|secret| leaks::remember(secret));
        if reply.status.is_client_error() || reply.status.is_server_error() {
            leaks::not_repeated(&sent, &reply.text);
        }
        if method != Method::HEAD && !self.mount.is_empty() {
            openapi::check(self.speaks, &method, path, reply.status.as_u16(), &reply.headers, &reply.body);
        }
        reply
    }

    /// Signs up and becomes that user.
    pub async fn sign_up(&self, email: &str, password: &str) -> (Self, Value) {
        let reply = self.post("/signup", &json!({ "email": email, "password": password })).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        (self.with_token(reply.text_at("access_token")), reply.body)
    }

    /// Signs in and becomes that user.
    pub async fn signed_in(&self, email: &str, password: &str) -> (Self, Value) {
        let reply = self.sign_in(email, password).await.expect(200);
        (self.with_token(reply.text_at("access_token")), reply.body)
    }

    /// Exchanges a refresh token, with whatever comes of it.
    pub async fn refresh(&self, token: &str) -> Reply {
        self.post("/refresh", &json!({ "refresh_token": token })).await
    }

    /// Signs in with whatever comes of it.
    pub async fn sign_in(&self, email: &str, password: &str) -> Reply {
        self.post(self.sign_in_path(), &json!({ "email": email, "password": password })).await
    }

    /// Where one signs in.
    pub fn sign_in_path(&self) -> &'static str {
        match self.speaks {
            Dialect::Noma | Dialect::Nora => "/login",
            Dialect::Nhost => "/signin/email-password",
        }
    }

    /// Where one signs up.
    pub fn sign_up_path(&self) -> &'static str {
        match self.speaks {
            Dialect::Noma | Dialect::Nora => "/signup",
            Dialect::Nhost => "/signup/email-password",
        }
    }

    /// Signs up with whatever comes of it.
    pub async fn try_sign_up(&self, email: &str, password: &str) -> Reply {
        self.post(self.sign_up_path(), &json!({ "email": email, "password": password })).await
    }

    /// Asks who they are.
    pub async fn who(&self) -> Reply {
        let path = match self.speaks {
            Dialect::Noma | Dialect::Nora => "/me",
            Dialect::Nhost => "/user",
        };
        self.get(path).await
    }

    /// Ends the session.
    pub async fn log_out(&self) -> Reply {
        match self.speaks {
            Dialect::Noma | Dialect::Nora => self.post_nothing("/logout").await,
            Dialect::Nhost => self.post("/signout", &json!({ "refreshToken": self.refresh })).await,
        }
    }

    /// The same, whom the server may fail with a 500, for want of another's answer.
    pub fn failing(&self) -> Self {
        Self { may_fail: true, ..self.clone() }
    }

    /// The same, with a refresh token.
    pub fn with_refresh_token(&self, token: &str) -> Self {
        Self { refresh: Some(token.to_owned()), ..self.clone() }
    }
}

impl Persona {
    /// Somebody without an account, at a server in another process.
    pub fn at(client: reqwest::Client, url: &str, project: &str) -> Self {
        let (url, project) = (url.to_owned(), Some(project.to_owned()));
        let (mount, speaks) = ("/api/auth".to_owned(), Dialect::Noma);
        Self {
            client,
            url,
            project,
            mount,
            speaks,
            headers: Vec::new(),
            refresh: None,
            may_fail: false,
            _watch: Watch::begin(),
        }
    }
}

impl Reply {
    async fn read(method: &Method, speaks: Dialect, may_fail: bool, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("a JSON body") };
        let reply = Self { status, headers, body, text };
        reply.check(method, speaks, may_fail);
        match speaks {
            Dialect::Noma => reply.check_noma(),
            Dialect::Nora => reply.check_nora(),
            Dialect::Nhost => reply.check_nhost(),
        }
        reply
    }

    /// What must hold of every reply.
    fn check(&self, method: &Method, speaks: Dialect, may_fail: bool) {
        assert!(self.headers.contains_key("x-request-id"), "{self:?}");
        assert_eq!(self.headers["x-content-type-options"], "nosniff");
        assert!(self.headers.contains_key("cache-control"), "{self:?}");
        // What the contract has its OAuth provider say when it is switched off.
        let is_switched_off = self.body["error"] == "server_error";
        assert!(
            self.status != 500 || is_switched_off || may_fail,
            "nothing from outside may find a defect: {}",
            self.text
        );
        let credentials = self.headers.contains_key("access-control-allow-credentials");
        assert!(!credentials || speaks == Dialect::Nhost, "{self:?}");
        if self.body.is_null() {
            let is_limit = speaks == Dialect::Nhost && self.status == 429;
            let may_be_empty = method == Method::HEAD || self.status == 204 || self.status.is_redirection() || is_limit;
            assert!(may_be_empty, "every answer but a preflight's has a body: {self:?}");
        } else {
            assert_eq!(self.headers["content-type"], "application/json");
        }
        match self.status.as_u16() {
            405 => assert!(self.headers.contains_key("allow"), "{self:?}"),
            429 | 503 => assert!(self.headers.contains_key("retry-after"), "{self:?}"),
            _ => {}
        }
    }

    /// What must hold of every reply of the NomaCMS dialect.
    fn check_noma(&self) {
        assert!(!self.headers.contains_key("set-cookie"), "no cookies: {self:?}");
        if self.body.is_null() {
            return;
        }
        if self.status.is_client_error() || self.status.is_server_error() {
            assert!(self.body["message"].is_string(), "an error says what is wrong: {}", self.text);
        }
        match self.status.as_u16() {
            401 if self.body["message"] == "Unauthenticated." => assert_eq!(self.headers["www-authenticate"], "Bearer"),
            422 => {
                let errors = self.body["errors"].as_object().expect("errors by field");
                let first = errors.values().next().and_then(|list| list.get(0));
                assert_eq!(first, Some(&self.body["message"]), "{}", self.text);
            }
            429 if self.body["message"] == "Too Many Attempts." => {
                assert_eq!(self.headers["x-ratelimit-remaining"], "0");
            }
            429 => {
                let seconds = self.body["retry_after"].as_u64().expect("retry_after");
                assert!(seconds > 0);
                assert_eq!(self.headers["retry-after"], seconds.to_string());
            }
            _ => {}
        }
        if let Some(user) = self.body["user"].as_object() {
            let keys: Vec<_> = user.keys().collect();
            assert_eq!(keys, ["id", "uuid", "email", "display_name", "email_verified_at", "metadata"]);
        }
    }

    /// What must hold of every reply of the Nora dialect.
    fn check_nora(&self) {
        if self.status == 204 {
            return;
        }
        let correlation = self.headers["x-correlation-id"].to_str().expect("text");
        assert!(!correlation.is_empty());
        for header in ["content-security-policy", "x-frame-options", "referrer-policy", "cross-origin-resource-policy"]
        {
            assert!(self.headers.contains_key(header), "{header}: {self:?}");
        }
        let cookies: Vec<_> = self.headers.get_all("set-cookie").iter().collect();
        assert!(cookies.len() <= 1 && (cookies.is_empty() || self.status == 200), "{self:?}");
        if self.status.is_client_error() || self.status.is_server_error() {
            assert!(
                self.body.is_null() || self.body["error"].is_string(),
                "an error says what is wrong: {}",
                self.text
            );
        }
        if self.body["code"] == "INTERNAL_ERROR" {
            assert_eq!(self.body["correlationId"], correlation, "{}", self.text);
        }
        if self.status == 429 && self.headers.contains_key("ratelimit-limit") {
            let is_limit = self.headers["ratelimit-remaining"] == "0" || self.text.contains("Too many attempts");
            assert!(is_limit, "{self:?}");
        }
        if let Some(policy) = self.headers.get("ratelimit-policy") {
            let limit = self.headers["ratelimit-limit"].to_str().expect("text");
            assert!(policy.to_str().expect("text").starts_with(&format!("{limit};w=")), "{self:?}");
            assert!(self.headers.contains_key("ratelimit-reset"), "{self:?}");
        }
    }

    /// What must hold of every reply of the Nhost dialect: its errors have one of the shapes of the contract's section 0.
    fn check_nhost(&self) {
        assert!(!self.headers.contains_key("set-cookie"), "no cookies: {self:?}");
        if self.status.is_success() || self.body.is_null() {
            return;
        }
        let is_text = |name: &str| self.body[name].is_string();
        let keys: Vec<_> = self.body.as_object().expect("an object").keys().map(String::as_str).collect();
        match keys.as_slice() {
            ["status", "message", "error"] => {
                assert_eq!(self.body["status"], self.status.as_u16(), "{}", self.text);
                assert!(is_text("message") && is_text("error"), "{}", self.text);
            }
            ["error", "reason", "securityScheme"] => assert_eq!(self.status, 401, "{}", self.text),
            ["error", "reason"] | ["errors", "message"] | ["msg"] => assert_eq!(self.status, 400, "{}", self.text),
            ["error"] => assert!(is_text("error"), "{}", self.text),
            ["error", "error_description"] => assert_eq!(self.body["error"], "server_error", "{}", self.text),
            other => panic!("an error of another shape: {other:?}"),
        }
    }

    /// The reply, when its status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// A string of the body.
    #[track_caller]
    pub fn text_at(&self, key: &str) -> &str {
        self.body[key].as_str().ok_or((key, &self.text)).expect("a text of that name in the body")
    }

    /// The one message of a field that was refused, alone, with 422.
    #[track_caller]
    pub fn refused(&self, field: &str) -> &str {
        assert_eq!(self.status, 422, "{}", self.text);
        let errors = self.body["errors"].as_object().expect("errors by field");
        assert_eq!(errors.keys().collect::<Vec<_>>(), [field], "{}", self.text);
        self.text_at("message")
    }

    /// All that a client could tell two replies apart by: status, headers but the request's own name and the time, body.
    pub fn whole(&self) -> (u16, Vec<(String, String)>, &str) {
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), format!("{value:?}")))
            .collect();
        headers.sort();
        (self.status.as_u16(), headers, &self.text)
    }
}

/// The project of this name.
pub fn project_id(server: &Server, slug: &str) -> String {
    let all = server.projects().list();
    let (id, _) = all.iter().find(|(_, entry)| entry.slug == slug).expect("a project of that name");
    id.to_string()
}

/// The project of this name, as an operator has it.
pub async fn project(server: &Server, slug: &str) -> Arc<Project> {
    let found = server.projects().find(Selector::Slug(slug)).await.expect("a store that works");
    found.expect("a project of that name")
}

/// An account, as an operator names it.
pub fn account(email: &str) -> UserRef {
    UserRef::Email(Email::parse(email).expect("an address"))
}

/// Runs as many of these at once as there are; the replies in any order.
pub async fn all_at_once<T: Send + 'static>(
    work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: tokio::task::JoinSet<T> = work.into_iter().collect();
    running.join_all().await
}

/// What the server's clock says.
pub fn now(server: &Server) -> Timestamp {
    server.clock().now()
}

/// An operator at work now, through no socket.
pub fn operator(server: &Server) -> Operator {
    Operator { now: now(server), uid: None }
}
