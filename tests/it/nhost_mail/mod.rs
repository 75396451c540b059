//! What mails bring in the Nhost dialect (contract 1.2 to 1.6, 1.8), one file a capability.

mod address;
mod bot;
mod digits;
mod exchange;
mod floods;
mod follow;
mod links;
mod page;
mod passwords;
mod takeover;

use keystead::mail::Sent;
use keystead::testing::Server;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use crate::persona::{Persona, Reply, client};

pub const ADA: &str = "ada@example.com";
pub const BOB: &str = "bob@example.com";
pub const PASSWORD: &str = "correct horse";
pub const OTHER: &str = "battery staple";
/// Where the app is.
pub const APP: &str = "https://app.example.com";
pub const CONCEAL: (&str, &str) = ("PROJECT__DEFAULT__CONCEAL", "true");
pub const STRICT: (&str, &str) = ("PROJECT__DEFAULT__VERIFICATION__MODE", "strict");

/// A server with an app, that signs in by mail.
pub async fn server(more: &[(&str, &str)]) -> Server {
    let basics = [
        ("PROJECT__DEFAULT__NHOST__CLIENT_URL", APP),
        ("PROJECT__DEFAULT__NHOST__PASSWORDLESS_EMAIL", "true"),
        ("PROJECT__DEFAULT__NHOST__OTP_EMAIL", "true"),
    ];
    Server::with(&[&basics, more].concat()).await
}

/// Somebody without an account.
pub fn anon(server: &Server) -> Persona {
    Persona::anon(server).speaking_nhost()
}

/// Makes an account with a password, its address not proved.
pub async fn newcomer(server: &Server, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD });
    let reply = Persona::anon(server).post("/signup", &body).await;
    assert!(reply.status.is_success(), "{}", reply.text);
}

/// Signs in with a password.
pub async fn sign_in(anon: &Persona, email: &str, password: &str) -> Reply {
    anon.post("/signin/email-password", &json!({ "email": email, "password": password })).await
}

/// Signs in with a password, and becomes that user.
pub async fn signed_in(anon: &Persona, email: &str) -> Persona {
    as_user(anon, &sign_in(anon, email, PASSWORD).await.expect(200))
}

/// Becomes the user of a session that was answered.
pub fn as_user(anon: &Persona, reply: &Reply) -> Persona {
    anon.with_token(reply.body["session"]["accessToken"].as_str().expect("an access token"))
}

/// Asks for a mail; it is asked for.
pub async fn ask(who: &Persona, path: &str, body: &Value) {
    let reply = who.post(path, body).await.expect(200);
    assert_eq!(reply.text, "\"OK\"");
}

/// What a header of a mail says.
pub fn header<'a>(mail: &'a Sent, name: &str) -> &'a str {
    mail.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).expect("a header")
}

/// The next mail to an address that is no notice, which has this template: its link.
pub async fn link(server: &Server, to: &str, template: &str) -> String {
    let mut mail = server.mailbox().next_to(to).await;
    while ["password-changed", "new-device"].contains(&header(&mail, "X-Email-Template")) {
        mail = server.mailbox().next_to(to).await;
    }
    assert_eq!(header(&mail, "X-Email-Template"), template);
    let link = mail.link.clone().expect("a link");
    assert_eq!(header(&mail, "X-Link"), link);
    link
}

/// The code and the refusal of a reply.
#[track_caller]
pub fn refused(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.text_at("error"))
}

/// A reply to a browser.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    /// Where the browser is sent on to, without the query; and the query.
    #[track_caller]
    pub fn onward(&self) -> (String, Vec<(String, String)>) {
        for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
            assert_eq!(self.headers[name], value);
        }
        let location = match self.status {
            StatusCode::FOUND if self.text.is_empty() => self.headers["location"].to_str().expect("text").to_owned(),
            StatusCode::OK => self.refresh(),
            status => panic!("{status}: {}", self.text),
        };
        let url = Url::parse(&location).expect("a URL");
        let query: Vec<_> = url.query_pairs().into_owned().collect();
        let names: Vec<_> = query.iter().map(|(name, _)| name.clone()).collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(names, sorted, "{location}");
        (location.split('?').next().unwrap_or_default().to_owned(), query)
    }

    /// Where the page goes on to by itself; its link leads there, too.
    fn refresh(&self) -> String {
        let policy = self.headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("form-action 'self';"), "{policy}");
        let after = |from: &str| self.text.split(from).nth(1).and_then(|rest| rest.split('"').next());
        let url = after("<meta http-equiv=\"refresh\" content=\"0;url=").expect("a refresh");
        assert_eq!(after("<a href=\""), Some(url));
        url.replace("&#39;", "'").replace("&amp;", "&")
    }

    /// The code of the error that the browser is sent on with.
    #[track_caller]
    pub fn error(&self) -> String {
        let (_, query) = self.onward();
        let (names, values): (Vec<_>, Vec<_>) = query.into_iter().unzip();
        assert_eq!(names, ["error", "errorDescription"], "{values:?}");
        values[0].clone()
    }

    /// The refresh token that the browser is sent on with.
    #[track_caller]
    pub fn refresh_token(&self, kind: &str) -> String {
        let (_, query) = self.onward();
        let [(first, token), (second, of)] = &query[..] else { panic!("{query:?}") };
        assert_eq!((first.as_str(), second.as_str(), of.as_str()), ("refreshToken", "type", kind));
        token.clone()
    }
}

/// Asks as a browser does that follows no redirect.
pub async fn browse(
    server: &Server,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    form: Option<String>,
) -> Page {
    let client = client(server).redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let mut request = client.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(form) = form {
        request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    }
    let reply = request.send().await.expect("a reply");
    let (status, headers) = (reply.status(), reply.headers().clone());
    Page { status, headers, text: reply.text().await.expect("a body") }
}

/// Follows a link.
pub async fn follow(server: &Server, link: &str) -> Page {
    browse(server, Method::GET, link, &[], None).await
}

/// Uses a refresh token, and becomes its user: the session as answered, too.
pub async fn refreshed(anon: &Persona, token: &str) -> (Persona, Value) {
    let reply = anon.post("/token", &json!({ "refreshToken": token })).await.expect(200);
    (anon.with_token(reply.text_at("accessToken")), reply.body)
}
