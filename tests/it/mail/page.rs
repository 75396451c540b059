//! The page a mail leads to: nothing happens by looking, the button does it, and nothing else gets in.

use keystead::testing::Server;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};

use super::{ADA, BY_MAIL, PASSWORD, STRICT, sign_up, token_in};
use crate::persona::{Persona, client, project_id};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn ask(server: &Server, method: Method, url: &str, language: &str, form: Option<String>) -> Answer {
    let client = client(server).build().expect("a client");
    let mut request = client.request(method, url).header("accept-language", language);
    if let Some(form) = form {
        request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    }
    let reply = request.send().await.expect("a reply");
    let (status, headers) = (reply.status(), reply.headers().clone());
    let answer = Answer { status, headers, text: reply.text().await.expect("a body") };
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(answer.headers[name], value);
    }
    let policy = answer.headers["content-security-policy"].to_str().expect("text").to_owned();
    for part in ["default-src 'none'", "style-src 'nonce-", "form-action 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!answer.text.contains("<script") && !answer.text.contains("src="), "{}", answer.text);
    answer
}

/// What the form on a page would send, and to where.
fn form(page: &str, at: &str) -> (String, String) {
    let between = |from: &str| page.split_once(from).map(|(_, rest)| rest.split('"').next().unwrap_or_default());
    let action = between("action=\"").expect("an action").replace("&amp;", "&");
    let token = between("name=\"token\" value=\"").expect("a token");
    let url = reqwest::Url::parse(at).expect("a URL").join(&action).expect("a URL");
    (url.to_string(), format!("token={token}"))
}

#[tokio::test]
async fn looking_uses_nothing_up_and_the_button_proves() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    let link = server.mailbox().next_to(ADA).await.link.expect("a link");
    for method in [Method::HEAD, Method::GET, Method::GET] {
        ask(&server, method, &link, "en", None).await;
    }
    anon.sign_in(ADA, PASSWORD).await.expect(403);
    let page = ask(&server, Method::GET, &link, "fr-CA, en;q=0.5", None).await;
    assert_eq!((page.status.as_u16(), &page.headers["content-language"]), (200, &"fr".parse().expect("text")));
    assert!(page.text.contains("Confirmer l’adresse"), "{}", page.text);
    let (action, body) = form(&page.text, &link);
    let done = ask(&server, Method::POST, &action, "de", Some(body.clone())).await;
    assert!(done.status == 200 && done.text.contains("Ihre Adresse ist bestätigt"), "{}", done.text);
    anon.sign_in(ADA, PASSWORD).await.expect(200);
    let again = ask(&server, Method::POST, &action, "en", Some(body)).await;
    assert!(again.status == 422 && again.text.contains("has expired, or was used already"), "{}", again.text);
}

#[tokio::test]
async fn the_code_can_be_typed_there() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, ADA).await.expect(202);
    let code = server.mailbox().next_to(ADA).await.code.expect("a code");
    let url = format!("{}/verify-email", server.url());
    let page = ask(&server, Method::GET, &url, "en", None).await;
    assert!(page.text.contains("The code from the message"), "{}", page.text);
    let body = format!("token=+{}+", code.to_lowercase().replace('-', "+"));
    assert_eq!(ask(&server, Method::POST, &url, "en", Some(body)).await.status, 200);
    anon.sign_in(ADA, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn whatever_is_sent_there_stays_text() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let url = format!("{}/verify-email", server.url());
    let hostile = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let page = ask(&server, Method::GET, &format!("{url}?token={hostile}"), "en", None).await;
    assert!(page.text.contains("value=\"&quot;&gt;&lt;script&gt;"), "{}", page.text);
    let bodies =
        [("", 422), ("token=", 422), (&*format!("token={hostile}"), 422), ("token=%zz", 422), ("token=a&token=b", 400)];
    for (body, status) in bodies {
        let said = ask(&server, Method::POST, &url, "en", Some(body.to_owned())).await;
        assert_eq!(said.status, status, "{body}");
    }
    let large = ask(&server, Method::POST, &url, "en", Some("x".repeat(9000))).await;
    assert_eq!(large.status, 413);
    let method = ask(&server, Method::DELETE, &url, "en", None).await;
    assert_eq!((method.status.as_u16(), &method.headers["allow"]), (405, &"GET, HEAD, POST".parse().expect("text")));
}

#[tokio::test]
async fn of_several_projects_the_link_finds_its_own() {
    let server = Server::with(&[
        ("PROJECT__A__VERIFICATION__MODE", "strict"),
        ("PROJECT__A__VERIFICATION__DELIVERY", "mail"),
        ("PROJECT__B__VERIFICATION__MODE", "strict"),
        ("PROJECT__B__VERIFICATION__DELIVERY", "mail"),
    ])
    .await;
    let of_b = Persona::anon(&server).in_project(Some(&project_id(&server, "b")));
    sign_up(&of_b, ADA).await.expect(202);
    let link = server.mailbox().next_to(ADA).await.link.expect("a link");
    let page = ask(&server, Method::GET, &link, "en", None).await;
    assert!(page.text.contains("<h1>b</h1>"), "{}", page.text);
    // A's page does not take B's token.
    let at_a = link.replace(&project_id(&server, "b"), &project_id(&server, "a"));
    let (action, body) = form(&ask(&server, Method::GET, &at_a, "en", None).await.text, &at_a);
    assert_eq!(ask(&server, Method::POST, &action, "en", Some(body)).await.status, 422);
    let (action, body) = form(&page.text, &link);
    assert_eq!(body, format!("token={}", token_in(&link)));
    assert_eq!(ask(&server, Method::POST, &action, "en", Some(body)).await.status, 200);
    of_b.sign_in(ADA, PASSWORD).await.expect(200);
}
