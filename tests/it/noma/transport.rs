//! Transport (contract 1, 3): routes, methods, bodies, which project, CORS.

use insta::assert_snapshot;
use keystead::testing::Server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::persona::{Persona, project_id};

const PASSWORD: &str = "correct horse";

/// Every route of the contract, its extension, and the method each takes.
const ROUTES: [(&str, &str); 14] = [
    ("POST", "/signup"),
    ("POST", "/login"),
    ("POST", "/login/social"),
    ("POST", "/refresh"),
    ("GET", "/me"),
    ("POST", "/change-password"),
    ("POST", "/logout"),
    ("POST", "/logout-all"),
    ("POST", "/verify-email/resend"),
    ("POST", "/verify-email/confirm"),
    ("GET", "/api-keys"),
    ("POST", "/api-keys"),
    ("POST", "/api-keys/verify"),
    ("POST", "/api-keys/1/revoke"),
];
/// Those that read a body and need no bearer.
const OPEN: [&str; 6] =
    ["/signup", "/login", "/login/social", "/refresh", "/verify-email/resend", "/verify-email/confirm"];

#[tokio::test]
async fn a_wrong_method_is_405_and_says_which_are_right() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let mut table = String::new();
    for (_, path) in ROUTES {
        let right: Vec<_> = ROUTES.iter().filter(|(_, other)| *other == path).map(|(method, _)| *method).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let reply = anon.send(method.parse().expect("a method"), path, None).await;
            if right.contains(&method) {
                assert!(![404, 405].contains(&reply.status.as_u16()), "{method} {path}");
            } else {
                let reply = reply.expect(405);
                assert_eq!(reply.text, r#"{"message":"Method not allowed."}"#);
                let allow = reply.headers["allow"].to_str().expect("text");
                let line = format!("{path:24} {allow}\n");
                if !table.contains(&line) {
                    table.push_str(&line);
                }
            }
        }
    }
    assert_snapshot!(table);
}

#[tokio::test]
async fn an_unknown_route_is_404() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    for path in [
        "",
        "/",
        "/x",
        "/me/",
        "//me",
        "/ME",
        "/me/x",
        "/api-keys/1",
        "/api-keys/1/revoke/x",
        "/%6de/x",
        "/login/google",
    ] {
        for method in [Method::GET, Method::POST] {
            let reply = anon.send(method, path, None).await.expect(404);
            assert_eq!(reply.text, r#"{"message":"Not found."}"#, "{path}");
        }
    }
    for mount in ["", "/api", "/api/authx", "/API/AUTH", "/v2"] {
        anon.mounted_at(mount).get("/me").await.expect(404);
    }
    // Documented as absent (contract 3).
    for path in ["/password/reset", "/sessions", "/me/delete", "/jwks"] {
        anon.post(path, &json!({})).await.expect(404);
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", PASSWORD).await;
    let head = ada.send(Method::HEAD, "/me", None).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(anon.send(Method::HEAD, "/me", None).await.status, 401);
}

#[tokio::test]
async fn errors_are_json_whatever_is_accepted_and_both_http_versions_are_served() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    for (version, caller) in [("two", anon.clone()), ("one", anon.over_http1(&server))] {
        for accept in ["application/json", "text/html", "*/*", "image/png", "nonsense"] {
            let reply = caller.with_header("accept", accept).get("/me").await.expect(401);
            assert_eq!(reply.headers["cache-control"], "no-store");
        }
        let (user, _) = caller.sign_up(&format!("{version}@example.com"), PASSWORD).await;
        user.get("/me").await.expect(200);
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_told_apart() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let deep =
        |open: &str, close: &str, levels| format!(r#"{{"email":{}1{}}}"#, open.repeat(levels), close.repeat(levels));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("cut off", b"{\"email\":\"ada@example.com\"".to_vec()),
        ("garbage", b"\x00\x01\x02".to_vec()),
        ("two values", b"{} {}".to_vec()),
        ("trailing comma", b"{\"a\":1,}".to_vec()),
        ("single quotes", b"{'a':1}".to_vec()),
        ("comment", b"{/**/}".to_vec()),
        ("NaN", b"{\"a\":NaN}".to_vec()),
        ("huge number", b"{\"a\":1e999}".to_vec()),
        ("raw NUL in a string", b"{\"email\":\"a\x00b\"}".to_vec()),
        ("raw newline in a string", b"{\"email\":\"a\nb\"}".to_vec()),
        ("invalid UTF-8", b"{\"email\":\"\xff\xfe\"}".to_vec()),
        ("overlong UTF-8", b"{\"email\":\"\xc0\xae\"}".to_vec()),
        ("lone surrogate", br#"{"email":"\ud800"}"#.to_vec()),
        ("UTF-16", b"\xff\xfe{\x00}\x00".to_vec()),
        ("byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("spaces only", b"   ".to_vec()),
        ("repeated key", br#"{"email":"a@example.com","email":"b@example.com"}"#.to_vec()),
        ("repeated key, escaped", br#"{"email":"a@example.com","\u0065mail":"b@example.com"}"#.to_vec()),
        ("repeated key, nested", br#"{"x":[{"a":1,"a":1}]}"#.to_vec()),
        ("array", b"[]".to_vec()),
        ("string", b"\"email\"".to_vec()),
        ("null", b"null".to_vec()),
        ("number", b"7".to_vec()),
        ("deep arrays", deep("[", "]", 30_000).into_bytes()),
        ("deep objects", deep(r#"{"a":"#, "}", 10_000).into_bytes()),
        ("never closed", "[".repeat(60_000).into_bytes()),
    ];
    let mut table = String::new();
    for (what, body) in bodies {
        let mut seen = Vec::new();
        for path in OPEN {
            let reply = anon.send(Method::POST, path, Some(("application/json", body.clone()))).await.expect(400);
            seen.push(reply.text_at("message").to_owned());
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "{what}: every route alike");
        table.push_str(&format!("{what:26} {}\n", seen[0]));
    }
    assert_snapshot!(table);
    // Shallow nesting in an unknown field is nobody's concern.
    anon.send(Method::POST, "/login", Some(("application/json", deep("[", "]", 100).into_bytes()))).await.expect(422);
}

#[tokio::test]
async fn the_largest_body_is_64_kib() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", PASSWORD).await;
    let of_size = |size: usize| {
        let start = r#"{"email":"ada@example.com","password":"correct horse","name":"CI","x":""#;
        format!("{start}{}\"}}", "x".repeat(size - start.len() - 2)).into_bytes()
    };
    for (path, status) in [("/login", 200), ("/api-keys", 201), ("/signup", 422)] {
        let send = async |size| ada.send(Method::POST, path, Some(("application/json", of_size(size)))).await;
        send(65_536).await.expect(status);
        let reply = send(65_537).await.expect(413);
        assert_eq!(reply.text, r#"{"message":"The request body is larger than 64 KiB."}"#);
        send(3_000_000).await.expect(413);
    }
    for caller in [&ada, &ada.over_http1(&server)] {
        caller.send(Method::POST, "/login", Some(("application/json", of_size(65_537)))).await.expect(413);
        caller.get("/me").await.expect(200);
    }
}

#[tokio::test]
async fn another_content_type_is_415_when_there_is_a_body() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    anon.sign_up("ada@example.com", PASSWORD).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD }).to_string().into_bytes();
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"] {
        anon.send(Method::POST, "/login", Some((kind, body.clone()))).await.expect(200);
    }
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "", "json"]
    {
        let reply = anon.send(Method::POST, "/login", Some((kind, body.clone()))).await.expect(415);
        assert_eq!(reply.text, r#"{"message":"The Content-Type must be application/json."}"#);
        anon.send(Method::POST, "/login", Some((kind, Vec::new()))).await.expect(422);
    }
}

#[tokio::test]
async fn with_one_project_the_header_may_be_missing_but_not_wrong() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (_, body) = anon.in_project(None).sign_up("ada@example.com", PASSWORD).await;
    anon.with_token(body["access_token"].as_str().expect("a token")).get("/me").await.expect(200);
    let unknown = "5b0c0000-0000-4000-8000-000000000000";
    for wrong in [unknown, "nonsense", "", "default", "\u{e9}", "00000000-0000-0000-0000-000000000000"] {
        let reply = anon.in_project(Some(wrong)).get("/me").await.expect(404);
        assert_eq!(reply.text, r#"{"message":"Project not found."}"#, "{wrong}");
    }
    let upper = server.project().to_string().to_uppercase();
    anon.in_project(Some(&upper)).sign_in("ada@example.com", PASSWORD).await.expect(200);
}

const TWO: [(&str, &str); 4] = [
    ("PROJECT__ONE__HOSTS", "one.example.com,uno.example.com"),
    ("PROJECT__TWO__HOSTS", "two.example.com"),
    ("PROJECT__TWO__CORS__ORIGINS", "https://two.example.org"),
    ("TLS__MODE", "off"),
];

#[tokio::test]
async fn with_several_projects_header_or_host_must_name_one() {
    let server = Server::with(&TWO).await;
    let anon = Persona::anon(&server);
    let (one, two) = (project_id(&server, "one"), project_id(&server, "two"));
    let nameless = anon.in_project(None);
    for reply in [nameless.get("/me").await, nameless.post("/signup", &json!({})).await, nameless.get("/x").await] {
        assert_eq!(reply.expect(400).text, r#"{"message":"Project header missing."}"#);
    }
    nameless.with_header("host", "three.example.com").get("/me").await.expect(400);
    let by_host = |name: &str| nameless.with_header("host", name);
    by_host("one.example.com").sign_up("ada@example.com", PASSWORD).await;
    for name in ["one.example.com", "ONE.example.com", "one.example.com:8443", "one.example.com.", "uno.example.com"] {
        by_host(name).sign_in("ada@example.com", PASSWORD).await.expect(200);
    }
    by_host("two.example.com").sign_in("ada@example.com", PASSWORD).await.expect(401);
    // The header is more explicit than the host.
    by_host("two.example.com").in_project(Some(&one)).sign_in("ada@example.com", PASSWORD).await.expect(200);
    by_host("one.example.com").in_project(Some(&two)).sign_in("ada@example.com", PASSWORD).await.expect(401);
    by_host("one.example.com").in_project(Some("nonsense")).get("/me").await.expect(404);
}

#[tokio::test]
async fn a_project_switched_off_says_so_and_a_dialect_switched_off_is_not_there() {
    let server = Server::with(&[
        ("PROJECT__OFF__ENABLED", "false"),
        ("PROJECT__SILENT__NOMA__ENABLED", "false"),
        ("PROJECT__MOVED__NOMA__PATH", "/identity"),
    ])
    .await;
    let anon = Persona::anon(&server);
    let in_project = |slug| anon.in_project(Some(&project_id(&server, slug)));
    for (method, path) in ROUTES {
        let reply = in_project("off").send(method.parse().expect("a method"), path, None).await.expect(403);
        assert_eq!(reply.text_at("code"), "project_auth_disabled");
        in_project("silent").send(method.parse().expect("a method"), path, None).await.expect(404);
        in_project("moved").send(method.parse().expect("a method"), path, None).await.expect(404);
    }
    let moved = in_project("moved").mounted_at("/identity");
    let (ada, _) = moved.sign_up("ada@example.com", PASSWORD).await;
    ada.get("/me").await.expect(200);
}

async fn preflight(caller: &Persona, origin: &str) -> crate::persona::Reply {
    let asking = caller
        .with_header("origin", origin)
        .with_header("access-control-request-method", "POST")
        .with_header("access-control-request-headers", "authorization,content-type,project-id");
    asking.send(Method::OPTIONS, "/login", None).await
}

fn allowed(reply: &crate::persona::Reply) -> Option<&str> {
    reply.headers.get("access-control-allow-origin").map(|value| value.to_str().expect("text"))
}

#[tokio::test]
async fn cors_lets_listed_origins_read_and_no_others() {
    let server =
        Server::with(&[("PROJECT__DEFAULT__CORS__ORIGINS", "https://app.example.com,http://localhost:3000")]).await;
    let anon = Persona::anon(&server);
    for origin in ["https://app.example.com", "http://localhost:3000"] {
        let reply = preflight(&anon.in_project(None), origin).await.expect(204);
        assert_eq!(allowed(&reply), Some(origin));
        assert_eq!(reply.headers["access-control-allow-methods"], "GET, POST");
        assert_eq!(reply.headers["access-control-allow-headers"], "authorization, content-type, accept, project-id");
        assert!(reply.headers["vary"].to_str().expect("text").contains("Origin"));
        // An error must be readable, too.
        for reply in
            [anon.with_header("origin", origin).get("/me").await, anon.with_header("origin", origin).get("/x").await]
        {
            assert_eq!(allowed(&reply), Some(origin));
            assert!(reply.headers["access-control-expose-headers"].to_str().expect("text").contains("retry-after"));
        }
    }
    for origin in [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:444",
        "null",
        "",
    ] {
        assert_eq!(allowed(&preflight(&anon.in_project(None), origin).await.expect(204)), None, "{origin}");
        assert_eq!(allowed(&anon.with_header("origin", origin).get("/me").await), None);
    }
    assert_eq!(allowed(&anon.get("/me").await), None);
}

#[tokio::test]
async fn cors_by_default_allows_nobody_and_a_star_allows_all() {
    let server = Server::start().await;
    let origin = "https://app.example.com";
    assert_eq!(allowed(&preflight(&Persona::anon(&server), origin).await.expect(204)), None);
    let server = Server::with(&[("PROJECT__DEFAULT__CORS__ORIGINS", "*")]).await;
    let anon = Persona::anon(&server);
    assert_eq!(allowed(&preflight(&anon, origin).await.expect(204)), Some("*"));
    assert_eq!(allowed(&anon.with_header("origin", origin).get("/me").await), Some("*"));
}

#[tokio::test]
async fn with_several_projects_the_answer_itself_is_judged_by_its_own() {
    let server = Server::with(&TWO).await;
    let anon = Persona::anon(&server);
    let origin = "https://two.example.org";
    // A preflight cannot carry `project-id`.
    assert_eq!(allowed(&preflight(&anon.in_project(None), origin).await.expect(204)), Some(origin));
    assert_eq!(allowed(&preflight(&anon.in_project(None), "https://evil.example").await.expect(204)), None);
    let from = anon.with_header("origin", origin);
    assert_eq!(allowed(&from.in_project(Some(&project_id(&server, "two"))).get("/me").await), Some(origin));
    assert_eq!(allowed(&from.in_project(Some(&project_id(&server, "one"))).get("/me").await), None);
}

#[tokio::test]
async fn health_needs_no_project() {
    let server = Server::with(&TWO).await;
    let anon = Persona::anon(&server).in_project(None).mounted_at("");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(anon.get(path).await.expect(200).body["status"], Value::from("ok"), "{path}");
    }
}

/// Nothing from outside makes the server panic (`Reply` refuses a 500).
#[tokio::test]
async fn odd_requests_are_answered() {
    let server = Server::start().await;
    let anon = Persona::anon(&server);
    let (ada, _) = anon.sign_up("ada@example.com", PASSWORD).await;
    let odd: [Value; 12] = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!("\u{202e}\u{feff}"),
        json!("x".repeat(60_000)),
        json!([]),
        json!({}),
        json!([[{}], "x", 1]),
    ];
    for value in &odd {
        for (method, path) in ROUTES.iter().filter(|(method, path)| *method == "POST" && !path.starts_with("/logout")) {
            let body = json!({
                "email": value, "password": value, "display_name": value, "provider": value, "id_token": value,
                "nonce": value, "refresh_token": value, "current_password": value, "new_password": value,
                "token": value, "name": value, "scopes": value, "expires_at": value, "key": value,
            });
            let body = body.to_string().into_bytes();
            let reply = ada.send(method.parse().expect("a method"), path, Some(("application/json", body))).await;
            assert!(reply.status.is_client_error() || *path == "/api-keys/1/revoke", "{path}: {}", reply.text);
        }
    }
    ada.get("/me").await.expect(200);
}

/// A body nobody reads costs no answer: it is taken in, as far as any API's largest body goes.
#[tokio::test]
async fn an_answer_before_a_large_body_arrives() {
    let server = Server::start().await;
    let stranger = Persona::anon(&server).over_http1(&server).in_project(Some("x"));
    for _ in 0..20 {
        stranger.post("/login", &json!({ "x": "x".repeat(1_000_000) })).await.expect(404);
    }
}
