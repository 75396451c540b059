//! One life of the server as a client has it: three APIs, the operator's socket, and how each spells what all can do.

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::seen::Seen;
use crate::binary::process::Binary;

/// An API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Noma,
    Nora,
    Nhost,
}

/// All of them.
pub const DOORS: [Door; 3] = [Door::Noma, Door::Nora, Door::Nhost];

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

/// The way to one project in one life of the server. `None` from any of its requests: no whole answer came.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    control: reqwest::Client,
    url: String,
    /// The project's name and id.
    pub slug: String,
    pub project: String,
    pub seen: Arc<Seen>,
}

impl Door {
    const fn mount(self) -> &'static str {
        match self {
            Self::Noma => "/api/auth",
            Self::Nora => "/auth",
            Self::Nhost => "/v1",
        }
    }

    /// What it answers to a sign-up that made an account.
    pub const fn made(self) -> u16 {
        match self {
            Self::Noma => 201,
            Self::Nora | Self::Nhost => 200,
        }
    }

    /// Access and refresh token, where an answer has them.
    pub fn tokens(self, body: &Value) -> Option<(String, Option<String>)> {
        let session = body.get("session").unwrap_or(body);
        let (access, refresh) = match self {
            Self::Noma => ("access_token", "refresh_token"),
            Self::Nora => ("token", "-"),
            Self::Nhost => ("accessToken", "refreshToken"),
        };
        let text = |key: &str| session[key].as_str().map(str::to_owned);
        Some((text(access)?, text(refresh)))
    }

    /// The account's id, where an answer has it.
    pub fn id(self, body: &Value) -> Option<String> {
        let at: &[&str] = match self {
            Self::Noma => &["/user/uuid"],
            Self::Nora => &["/id"],
            Self::Nhost => &["/session/user/id", "/user/id", "/id"],
        };
        at.iter().find_map(|at| body.pointer(at)?.as_str()).map(str::to_owned)
    }
}

impl Answer {
    /// All that a client could tell two answers apart by, but what names the request and the moment.
    pub fn whole(&self) -> (u16, Vec<(String, String)>, String) {
        let named = ["date", "x-request-id", "x-correlation-id"];
        let headers = self.headers.iter().filter(|(name, _)| !named.contains(&name.as_str()));
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
        headers.sort();
        let mut body = self.body.clone();
        if let Some(object) = body.as_object_mut() {
            object.remove("correlationId");
        }
        (self.status, headers, body.to_string())
    }

    /// Where a browser is sent.
    pub fn location(&self) -> &str {
        self.headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Api {
    /// From an address of its own on this machine.
    pub fn to(server: &Binary, slug: &str, address: &str, seen: &Arc<Seen>) -> Self {
        let http = server.client_from(address).redirect(reqwest::redirect::Policy::none());
        let control = reqwest::Client::builder().unix_socket(server.path_of("control"));
        let projects = server.ready["projects"].as_array().expect("projects");
        let project = projects.iter().find(|project| project["slug"] == slug).expect("the project");
        Self {
            http: http.build().expect("a client"),
            control: control.build().expect("a client"),
            url: server.url().to_owned(),
            slug: slug.to_owned(),
            project: project["id"].as_str().expect("an id").to_owned(),
            seen: Arc::clone(seen),
        }
    }

    /// A request below the door's path, or the server's root.
    pub async fn send(
        &self,
        door: impl Into<Option<Door>>,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<Value>,
    ) -> Option<Answer> {
        let mount = door.into().map_or("", Door::mount);
        let bytes = body.as_ref().map(|body| body.to_string().into_bytes());
        self.seen.request(path, headers, bytes.as_deref());
        let mut request = self.http.request(method, format!("{}{mount}{path}", self.url));
        request = request.header("project-id", &self.project);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(bytes) = bytes {
            request = request.header("content-type", "application/json").body(bytes);
        }
        self.answer(request).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let reply = request.send().await.ok()?;
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        let text = reply.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        self.seen.reply(&headers, &body);
        Some(Answer { status, headers, body })
    }

    /// A request of the operator's, below this project.
    pub async fn operate(&self, method: Method, path: &str, body: Option<Value>) -> Option<Answer> {
        let mut request = self.control.request(method, format!("http://localhost/v1/projects/{}{path}", self.slug));
        if let Some(body) = body {
            self.seen.request("", &[], Some(body.to_string().as_bytes()));
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.answer(request).await
    }

    /// What the operator reads, of a server that lives.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.operate(Method::GET, path, None).await.expect("a living server");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Posts JSON.
    pub async fn post(&self, door: Door, path: &str, body: Value) -> Option<Answer> {
        self.send(door, Method::POST, path, &[], Some(body)).await
    }

    /// Posts JSON with an access token.
    pub async fn post_as(&self, door: Door, token: &str, path: &str, body: Value) -> Option<Answer> {
        self.send(door, Method::POST, path, &[bearer(token)], Some(body)).await
    }

    /// Makes an account.
    pub async fn sign_up(&self, door: Door, email: &str, password: &str) -> Option<Answer> {
        let path = if door == Door::Nhost { "/signup/email-password" } else { "/signup" };
        self.post(door, path, json!({ "email": email, "password": password })).await
    }

    /// Signs in.
    pub async fn sign_in(&self, door: Door, email: &str, password: &str) -> Option<Answer> {
        self.sign_in_with(door, json!({ "email": email, "password": password })).await
    }

    /// Signs in with whatever this is.
    pub async fn sign_in_with(&self, door: Door, body: Value) -> Option<Answer> {
        self.post(door, if door == Door::Nhost { "/signin/email-password" } else { "/login" }, body).await
    }

    /// Rotates the tokens.
    pub async fn refresh(&self, door: Door, token: &str) -> Option<Answer> {
        match door {
            Door::Nhost => self.post(door, "/token", json!({ "refreshToken": token })).await,
            Door::Noma | Door::Nora => self.post(door, "/refresh", json!({ "refresh_token": token })).await,
        }
    }

    /// Who has this token.
    pub async fn me(&self, door: Door, token: &str) -> Option<Answer> {
        let path = if door == Door::Nhost { "/user" } else { "/me" };
        self.send(door, Method::GET, path, &[bearer(token)], None).await
    }

    /// Ends a session.
    pub async fn log_out(&self, door: Door, access: &str, refresh: Option<&str>) -> Option<Answer> {
        match refresh.filter(|_| door == Door::Nhost) {
            Some(refresh) => self.post(door, "/signout", json!({ "refreshToken": refresh })).await,
            None => self.post_as(door, access, "/logout", json!({})).await,
        }
    }

    /// Ends all sessions of an account. Nora has no such thing: there the operator does it.
    pub async fn log_out_everywhere(&self, door: Door, access: &str, user: &str) -> Option<Answer> {
        match door {
            Door::Noma => self.post_as(door, access, "/logout-all", json!({})).await,
            Door::Nhost => self.post_as(door, access, "/signout", json!({ "all": true })).await,
            Door::Nora => self.operate(Method::DELETE, &format!("/users/{user}/sessions"), None).await,
        }
    }

    /// Changes a password from within a session.
    pub async fn change(&self, door: Door, access: &str, current: &str, new: &str) -> Option<Answer> {
        let (method, path, body) = match door {
            Door::Noma => {
                (Method::POST, "/change-password", json!({ "current_password": current, "new_password": new }))
            }
            Door::Nora => (Method::PATCH, "/password", json!({ "currentPassword": current, "newPassword": new })),
            Door::Nhost => (Method::POST, "/user/password", json!({ "newPassword": new })),
        };
        self.send(door, method, path, &[bearer(access)], Some(body)).await
    }

    /// Follows a link of a mail of Nhost's.
    pub async fn follow(&self, ticket: &str) -> Option<Answer> {
        let ticket = ticket.replace(':', "%3A");
        let path = format!("/verify?redirectTo=https%3A%2F%2Fapp.example.com&ticket={ticket}");
        self.send(Door::Nhost, Method::GET, &path, &[], None).await
    }
}

/// The header that an access token goes in.
pub fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}
