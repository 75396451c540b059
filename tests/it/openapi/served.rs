//! Where the documents are served, and that they are the project's own.

use keystead::dialect::Dialect;
use keystead::testing::Server;
use reqwest::Method;
use serde_json::{Value, json};

use super::document;
use crate::persona::{Persona, project_id};

#[tokio::test]
async fn a_project_serves_the_documents_of_the_dialects_that_are_on() {
    let server = Server::with(&[
        ("LISTEN__PUBLIC_URL", "https://auth.example.com/base"),
        ("PROJECT__ONE__PASSWORD__MIN_LENGTH", "12"),
        ("PROJECT__ONE__NOMA__PATH", "/members"),
        ("PROJECT__TWO__NOMA__ENABLED", "false"),
    ])
    .await;
    let one = Persona::anon(&server).mounted_at("").in_project(Some(&project_id(&server, "one")));
    let served = one.get("/openapi/noma.json").await.expect(200);
    assert_eq!(served.headers["cache-control"], "public, max-age=60");
    assert_eq!(served.body["servers"], json!([{ "url": "https://auth.example.com/base/members" }]));
    let min =
        |document: &Value| document["components"]["schemas"]["SignUp"]["properties"]["password"]["minLength"].clone();
    assert_eq!((min(&served.body), min(document(Dialect::Noma))), (json!(12), json!(8)));
    let project = &served.body["components"]["parameters"]["project-id"]["schema"]["enum"];
    assert_eq!(*project, json!([project_id(&server, "one")]));

    one.send(Method::POST, "/openapi/noma.json", None).await.expect(405);
    for path in
        ["/openapi", "/openapi/", "/openapi/noma", "/openapi/none.json", "/openapi/noma.json/x", "/openapi/NOMA.json"]
    {
        one.get(path).await.expect(404);
    }
    let two = one.in_project(Some(&project_id(&server, "two")));
    two.get("/openapi/noma.json").await.expect(404);
    one.in_project(None).get("/openapi/noma.json").await.expect(400);
}

#[tokio::test]
async fn the_only_project_needs_no_name() {
    let server = Server::start().await;
    let anyone = Persona::anon(&server).mounted_at("").in_project(None);
    let served = anyone.get("/openapi/noma.json").await.expect(200);
    assert_eq!(served.body["servers"], json!([{ "url": format!("{}/api/auth", server.url()) }]));
}

#[tokio::test]
async fn head_is_get_without_the_body_where_no_dialect_answers() {
    let server = Server::start().await;
    let anyone = Persona::anon(&server).mounted_at("").in_project(None);
    for path in ["/openapi/noma.json", "/.well-known/jwks.json", "/.well-known/paserk.json"] {
        for caller in [anyone.clone(), anyone.over_http1(&server)] {
            let (get, head) =
                (caller.get(path).await.expect(200), caller.send(Method::HEAD, path, None).await.expect(200));
            assert_eq!(head.text, "");
            for name in ["content-type", "content-length", "cache-control"] {
                assert_eq!(head.headers[name], get.headers[name], "{path}: {name}");
            }
        }
    }
}
