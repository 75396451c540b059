//! What of the contract waits for a later version answers as it does there when it is switched off, whatever is sent.

use insta::assert_snapshot;
use keystead::dialect::Dialect;
use keystead::testing::Server;
use reqwest::Method;
use serde_json::json;

use super::anon;
use crate::openapi;

#[tokio::test]
async fn every_such_endpoint_says_that_it_is_off() {
    let server = Server::start().await;
    let mut table = String::new();
    let mut count = 0;
    for (template, item) in openapi::document(Dialect::Nhost)["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if operation["summary"] != "Not in this version" {
                continue;
            }
            count += 1;
            let (path, method) = (template.replace("{provider}", "github"), method.to_ascii_uppercase());
            let send = async |body: Option<(&str, &str)>| {
                let body = body.map(|(kind, text)| (kind, text.as_bytes().to_vec()));
                anon(&server).send(method.parse::<Method>().expect("a method"), &path, body).await
            };
            let reply = send(None).await;
            table.push_str(&format!("{method:4} {template}\n     {} {}\n", reply.status.as_u16(), reply.text));
            for (kind, text) in [
                ("application/json", "{\"email\":\"ada@example.com\"}"),
                ("application/json", "{"),
                ("application/x-www-form-urlencoded", "grant_type=authorization_code&code=x"),
            ] {
                if method == "POST" {
                    let other = send(Some((kind, text))).await;
                    assert_eq!((other.status, &other.text), (reply.status, &reply.text), "{path}");
                }
            }
        }
    }
    assert_snapshot!(table);
    assert_eq!(count, 35);
}

/// Contract 5.1: the page first, then the provider.
#[tokio::test]
async fn a_sign_in_by_a_provider_goes_back_to_where_it_came_from() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__NHOST__CLIENT_URL", "https://app.example.com"),
        ("PROJECT__DEFAULT__NHOST__REDIRECT_URLS", "https://other.example.com"),
    ])
    .await;
    for (flow, query, location) in [
        ("signin", "", "https://app.example.com?error=disabled-endpoint&errorDescription=This+endpoint+is+disabled"),
        (
            "signup",
            "?redirectTo=https%3A%2F%2Fother.example.com%2Fx%3Fb%3D1&locale=en&metadata=%7B%7D",
            "https://other.example.com/x?b=1&error=disabled-endpoint&errorDescription=This+endpoint+is+disabled",
        ),
    ] {
        let reply = anon(&server).get(&format!("/{flow}/provider/github{query}")).await.expect(302);
        assert_eq!(reply.headers["location"], location);
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
    for query in ["?redirectTo=https%3A%2F%2Fevil.example", "?redirectTo=javascript%3Aalert(1)", "?redirectTo="] {
        let reply = anon(&server).get(&format!("/signin/provider/github{query}")).await;
        assert_eq!(super::refused(&reply, 400), "redirectTo-not-allowed");
    }
    for path in ["/signin/provider/myspace", "/signup/provider/GitHub", "/token/provider/x"] {
        let method = if path.starts_with("/token") { Method::POST } else { Method::GET };
        let reply = anon(&server).send(method, path, None).await.expect(400);
        assert_eq!(reply.body, json!({ "msg": "provider: value is not one of the allowed values" }));
    }
    let server = Server::start().await;
    let reply = anon(&server).get("/signin/provider/github").await;
    assert_eq!(super::refused(&reply, 409), "disabled-endpoint");
}

#[tokio::test]
async fn what_is_not_in_the_contract_is_not_there() {
    let server = Server::start().await;
    for path in ["/change-env", "/signin", "/user/", "/signin/email-password/", "/elevate", "//user", "/oauth2/clients"]
    {
        anon(&server).post(path, &json!({})).await.expect(404);
        anon(&server).get(path).await.expect(404);
    }
    anon(&server).get("/token").await.expect(405);
    anon(&server).post("/user", &json!({})).await.expect(405);
}
