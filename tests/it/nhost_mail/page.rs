//! The page between a link and what it does (`nhost.verify.confirm`): over real TLS, without script, in the reader's
//! language; nothing happens by looking.

use keystead::testing::Server;
use reqwest::Method;
use serde_json::json;

use super::{ADA, APP, Page, anon, ask, browse, follow, link, newcomer, server};

const CONFIRM: (&str, &str) = ("PROJECT__DEFAULT__NHOST__VERIFY__CONFIRM", "true");

async fn verification(server: &Server) -> String {
    newcomer(server, ADA).await;
    ask(&anon(server), "/user/email/send-verification-email", &json!({ "email": ADA })).await;
    link(server, ADA, "email-verify").await
}

async fn look(server: &Server, link: &str, language: &str) -> Page {
    let page = browse(server, Method::GET, link, &[("accept-language", language)], None).await;
    assert_eq!(page.status, 200, "{}", page.text);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.headers[name], value);
    }
    for outside in ["<script", "src=", "href=", "url(", "http-equiv"] {
        assert!(!page.text.contains(outside), "{}", page.text);
    }
    page
}

/// What the button would send, and to where.
fn form(page: &Page, at: &str) -> (String, String) {
    let texts = |from: &str| -> Vec<String> {
        let pieces = page.text.split(from).skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
        let meant = [("&#39;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
        let read = |text: &str| meant.iter().fold(text.to_owned(), |text, (html, c)| text.replace(html, c));
        pieces.map(read).collect()
    };
    let url = reqwest::Url::parse(at).expect("a URL").join(&texts("action=\"")[0]).expect("a URL");
    let mut body = reqwest::Url::parse("x:y").expect("a URL");
    body.query_pairs_mut().extend_pairs(texts("name=\"").into_iter().skip(2).zip(texts("value=\"")));
    (url.into(), body.query().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn looking_uses_nothing_up_and_the_button_does_it_once() {
    let server = server(&[CONFIRM]).await;
    let link = verification(&server).await;
    let page = look(&server, &link, "en").await;
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    for part in ["default-src 'none'; style-src 'nonce-", "form-action 'self';", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    let french = look(&server, &link, "fr-CA, en;q=0.5").await;
    assert!(french.text.contains("<button>Confirmer l’adresse</button>"), "{}", french.text);
    assert_eq!(french.headers["content-language"], "fr");
    let (action, body) = form(&page, &link);
    assert!(action.starts_with(&format!("{}/v1/verify?", server.url())), "{action}");
    assert!(body.starts_with("ticket=verifyEmail%3A") && body.ends_with("&redirectTo=https%3A%2F%2Fapp.example.com"));
    let pressed = browse(&server, Method::POST, &action, &[], Some(body.clone())).await;
    assert_eq!((pressed.status.as_u16(), pressed.onward().0.as_str()), (200, APP));
    let token = pressed.refresh_token("verifyEmail");
    anon(&server).post("/token", &json!({ "refreshToken": token })).await.expect(200);
    assert_eq!(browse(&server, Method::POST, &action, &[], Some(body)).await.error(), "invalid-ticket");
}

#[tokio::test]
async fn what_leads_nowhere_needs_no_button() {
    let server = server(&[CONFIRM]).await;
    let link = verification(&server).await;
    assert_eq!(follow(&server, &link.replace("verifyEmail", "otp")).await.error(), "invalid-ticket");
    let elsewhere = link.replace("https%3A%2F%2Fapp.example.com", "https%3A%2F%2Fevil.com");
    assert_eq!(follow(&server, &elsewhere).await.error(), "redirectTo-not-allowed");
    let url = format!("{}/v1/verify", server.url());
    for (body, status) in
        [("", 400), ("ticket=x", 400), ("ticket=a&ticket=b", 400), (&*"x".repeat(9000), 413), ("redirectTo=%zz", 400)]
    {
        let said = browse(&server, Method::POST, &url, &[], Some(body.to_owned())).await;
        assert_eq!(
            (said.status.as_u16(), &said.headers["content-type"]),
            (status, &"application/json".parse().expect("text"))
        );
    }
    // The link is as good as before.
    let (action, body) = form(&look(&server, &link, "en").await, &link);
    browse(&server, Method::POST, &action, &[], Some(body)).await.refresh_token("verifyEmail");
}

#[tokio::test]
async fn whatever_is_in_a_link_stays_text() {
    let server = server(&[CONFIRM, ("PROJECT__DEFAULT__NHOST__REDIRECT_URLS", "myapp://cb")]).await;
    let link = verification(&server).await;
    let hostile = link
        .replace("https%3A%2F%2Fapp.example.com", "myapp%3A%2F%2Fcb%2F%3Fx%3D%22%3E%3Cscript%3E%27")
        .replace("/v1/verify?", "/v1/verify?codeChallenge=%22%3E%3Cb%3E&");
    let page = look(&server, &hostile, "en").await;
    assert!(page.text.contains("value=\"&quot;&gt;&lt;b&gt;\""), "{}", page.text);
    assert!(page.text.contains("value=\"myapp://cb/?x=&quot;&gt;&lt;script&gt;&#39;\""), "{}", page.text);
    let (action, body) = form(&page, &hostile);
    let pressed = browse(&server, Method::POST, &action, &[], Some(body)).await;
    // No challenge at all; what the target said itself stays.
    let (place, query) = pressed.onward();
    assert_eq!(
        (place.as_str(), query[0].1.as_str(), query[2].1.as_str()),
        ("myapp://cb/", "invalid-request", "\"><script>'")
    );
}
