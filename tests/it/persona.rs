//! Who talks to the server: `anon`, who has nothing, and `user`, who is signed in. Every reply is checked for what must
//! hold of every reply.

use std::time::Duration;

use keystead::testing::Server;
use reqwest::{Certificate, Method, StatusCode};
use serde_json::{Value, json};

/// A server and somebody who talks to it.
#[derive(Clone)]
pub struct Persona {
    client: reqwest::Client,
    url: String,
    project: Option<String>,
    token: Option<String>,
    forwarded_for: Option<String>,
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

/// A client that trusts this server's CA.
pub fn client(server: &Server) -> reqwest::Client {
    let ca = Certificate::from_pem(server.ca_pem().as_bytes()).expect("the server's CA");
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client")
}

impl Persona {
    /// Somebody without an account.
    pub fn anon(server: &Server) -> Self {
        Self {
            client: client(server),
            url: server.url().to_owned(),
            project: Some(server.project().to_string()),
            token: None,
            forwarded_for: None,
        }
    }

    /// The same, with an access token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same, speaking of another project, or of none.
    pub fn in_project(&self, project: Option<&str>) -> Self {
        Self { project: project.map(str::to_owned), ..self.clone() }
    }

    /// The same, from another address, as a trusted proxy says.
    pub fn from_address(&self, address: &str) -> Self {
        Self { forwarded_for: Some(address.to_owned()), ..self.clone() }
    }

    /// Sends JSON to a path below `/api/auth`.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(("application/json", body.to_string().into_bytes()))).await
    }

    /// Gets a path below `/api/auth`.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// Sends anything to a path below `/api/auth`.
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Reply {
        let mut request = self.client.request(method, format!("{}/api/auth{path}", self.url));
        if let Some(project) = &self.project {
            request = request.header("project-id", project);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(address) = &self.forwarded_for {
            request = request.header("x-forwarded-for", address);
        }
        if let Some((kind, bytes)) = body {
            request = request.header("content-type", kind).body(bytes);
        }
        Reply::read(request.send().await.expect("a reply")).await
    }

    /// Signs up and becomes that user.
    pub async fn sign_up(&self, email: &str, password: &str) -> (Self, Value) {
        let reply = self.post("/signup", &json!({ "email": email, "password": password })).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        (self.with_token(reply.text_at("access_token")), reply.body)
    }

    /// Signs in with whatever comes of it.
    pub async fn sign_in(&self, email: &str, password: &str) -> Reply {
        self.post("/login", &json!({ "email": email, "password": password })).await
    }
}

impl Persona {
    /// Somebody without an account, at a server in another process.
    pub fn at(client: reqwest::Client, url: &str, project: &str) -> Self {
        let (url, project) = (url.to_owned(), Some(project.to_owned()));
        Self { client, url, project, token: None, forwarded_for: None }
    }
}

impl Reply {
    async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("a JSON body") };
        let reply = Self { status, headers, body, text };
        reply.check();
        reply
    }

    /// What must hold of every reply.
    fn check(&self) {
        assert!(self.headers.contains_key("x-request-id"), "{self:?}");
        assert_eq!(self.headers["x-content-type-options"], "nosniff");
        if self.status.is_client_error() || self.status.is_server_error() {
            assert!(self.body["message"].is_string(), "an error says what is wrong: {}", self.text);
        }
        if self.status == 429 {
            let seconds = self.body["retry_after"].as_u64().expect("retry_after");
            assert_eq!(self.headers["retry-after"], seconds.to_string());
        }
    }

    /// A string of the body.
    pub fn text_at(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_else(|| panic!("no {key} in {}", self.text))
    }
}
