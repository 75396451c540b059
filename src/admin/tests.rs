//! The real verbs through the real router, in memory.

mod outbox;
mod portable;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::own_uid;
use crate::app::App;
use crate::auth::projects::Selector;
use crate::auth::{Client, Ctx, Email, Project, RequestId, session, sign_in};
use crate::config::{Overrides, load};
use crate::crypto::Secret;
use crate::dialect::Dialect;
use crate::env::Env;
use crate::net::PeerUid;
use crate::testing::TestClock;

struct House {
    app: App,
    router: axum::Router,
    clock: Arc<TestClock>,
}

impl House {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let cheap = [
            ("KEYSTEAD_HASHING__MEMORY_KIB", "8"),
            ("KEYSTEAD_HASHING__ITERATIONS", "1"),
            ("KEYSTEAD_HASHING__THREADS", "1"),
        ];
        let mut variables: BTreeMap<_, _> = cheap.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        variables.extend(settings.iter().map(|(name, value)| (format!("KEYSTEAD_{name}"), (*value).to_owned())));
        let settings = load(&Overrides { ephemeral: true, ..Overrides::default() }, &variables).unwrap();
        let clock = Arc::new(TestClock::default());
        let env = Env { clock: Arc::clone(&clock) as _, ..Env::system() };
        let app = App::open(settings, env).await.unwrap();
        let router = app.admin();
        Self { app, router, clock }
    }

    async fn send(&self, method: Method, path: &str, body: &str, peer: Option<PeerUid>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(peer) = peer {
            request = request.extension(peer);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).expect("every answer is JSON"))
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &body, Some(own_uid())).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    async fn refused(&self, method: Method, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.ask(method, path, body).await;
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
        (status.as_u16(), answer["error"]["code"].as_str().unwrap().to_owned())
    }
}

const USERS: &str = "/v1/projects/default/users";

#[tokio::test]
async fn only_the_owner_and_root_come_in() {
    let house = House::new().await;
    let stranger = PeerUid(own_uid().0.wrapping_add(4711).max(1));
    for peer in [None, Some(stranger)] {
        let (status, answer) = house.send(Method::GET, "/v1/projects", "", peer).await;
        assert_eq!((status, &answer["error"]["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")));
    }
    for peer in [own_uid(), PeerUid(0)] {
        assert_eq!(house.send(Method::GET, "/v1/projects", "", Some(peer)).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_project_from_making_to_deleting() {
    let house = House::new().await;
    // Ids go by time, and the clock stands still.
    house.clock.advance(Duration::from_secs(1));
    let new = json!({"slug": "shop", "settings": {"verification.mode": "strict", "hosts": "a.example"}});
    let (status, made) = house.ask(Method::POST, "/v1/projects", new.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!((&made["slug"], &made["settings"]["verification"]["mode"]), (&json!("shop"), &json!("strict")));
    let by_id = format!("/v1/projects/{}", made["id"].as_str().unwrap());
    assert_eq!(house.get("/v1/projects/shop").await, house.get(&by_id).await);

    assert_eq!(house.refused(Method::POST, "/v1/projects", new).await, (409, "project_exists".into()));
    for wrong in [
        json!({"slug": "Shop"}),
        json!({"slug": "b", "settings": {"verification.mode": "sometimes"}}),
        json!({"slug": "b", "settings": {"verificaton.mode": "off"}}),
        json!({"slug": "b", "settings": {"hosts": "a.example"}}),
        json!({"slug": "b", "settings": {"secret": "in-clear"}}),
    ] {
        assert_eq!(
            house.refused(Method::POST, "/v1/projects", wrong.clone()).await,
            (422, "invalid_settings".into()),
            "{wrong}"
        );
    }
    // Nothing of the refused ones is left.
    let slugs =
        |list: &Value| list["projects"].as_array().unwrap().iter().map(|p| p["slug"].clone()).collect::<Vec<_>>();
    let listed = house.get("/v1/projects").await;
    assert_eq!((slugs(&listed), &listed["next"]), (vec![json!("default"), json!("shop")], &Value::Null));
    let first = house.get("/v1/projects?limit=1").await;
    let rest = house.get(&format!("/v1/projects?limit=1&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!((slugs(&first), slugs(&rest)), (vec![json!("default")], vec![json!("shop")]));

    assert_eq!(house.ask(Method::DELETE, &by_id, Value::Null).await.0, StatusCode::OK);
    assert_eq!(house.refused(Method::GET, "/v1/projects/shop", Value::Null).await, (404, "unknown_project".into()));
    assert_eq!(house.refused(Method::DELETE, &by_id, Value::Null).await, (404, "unknown_project".into()));
}

#[tokio::test]
async fn an_account_from_making_to_deleting() {
    let house = House::new().await;
    let new = json!({
        "email": "Ada@example.com", "password": "correct horse", "display_name": " Ada ",
        "verified": true, "metadata": {"plan": "pro", "nested": {"n": 1.5}},
    });
    let (status, made) = house.ask(Method::POST, USERS, new.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        made,
        json!({
            "id": id, "number": 1, "email": "Ada@example.com", "display_name": "Ada",
            "verified_at": "2026-01-01T00:00:00Z", "verified_by": "operator", "has_password": true, "role": "user",
            "disabled_at": null, "created_at": "2026-01-01T00:00:00Z",
            "metadata": {"plan": "pro", "nested": {"n": 1.5}},
        })
    );
    assert_eq!(house.refused(Method::POST, USERS, new).await, (409, "email_taken".into()));
    // By id, and by every spelling of the address.
    for who in [id, "ada%40example.com", "ADA@EXAMPLE.COM"] {
        assert_eq!(house.get(&format!("{USERS}/{who}")).await, made);
    }
    let ada = format!("{USERS}/ada@example.com");
    house.clock.advance(Duration::from_secs(60));
    let (_, off) = house.ask(Method::POST, &format!("{ada}/disable"), Value::Null).await;
    assert_eq!(off["disabled_at"], "2026-01-01T00:01:00Z");
    let (_, on) = house.ask(Method::POST, &format!("{ada}/enable"), json!({})).await;
    assert_eq!(on["disabled_at"], Value::Null);
    let (status, _) = house.ask(Method::PUT, &format!("{ada}/password"), json!({"password": "another horse"})).await;
    assert_eq!(status, StatusCode::OK);
    let (_, gone) = house.ask(Method::DELETE, &ada, Value::Null).await;
    assert_eq!(gone["id"], id);
    for (method, path) in
        [(Method::GET, ada.clone()), (Method::DELETE, ada.clone()), (Method::POST, format!("{ada}/enable"))]
    {
        assert_eq!(house.refused(method, &path, Value::Null).await, (404, "unknown_user".into()));
    }
    // Its number is never used again.
    let (_, next) = house.ask(Method::POST, USERS, json!({"email": "eve@example.com"})).await;
    assert_eq!((&next["number"], &next["has_password"], &next["metadata"]), (&json!(2), &json!(false), &Value::Null));
}

#[tokio::test]
async fn a_password_the_project_does_not_take_is_not_taken_from_an_operator() {
    let house = House::with(&[
        ("PROJECT__DEFAULT__PASSWORD__REJECT_COMMON", "true"),
        ("PROJECT__DEFAULT__PASSWORD__REJECT_LEAKED", "true"),
        // An address that may not be called: there is no answer.
        ("PROJECT__DEFAULT__PASSWORD__LEAKED_URL", "https://127.0.0.1:1/"),
    ])
    .await;
    for (password, refusal) in
        [("Qwertyuiop", (422, "password_common".into())), ("correct horse", (503, "policy_unavailable".into()))]
    {
        let new = json!({"email": "ada@example.com", "password": password});
        assert_eq!(house.refused(Method::POST, USERS, new).await, refusal);
    }
    let (status, _) = house.ask(Method::POST, USERS, json!({"email": "ada@example.com"})).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let house = House::new().await;
    for wrong in [
        json!({}),
        json!({"email": "ada"}),
        json!({"email": 7}),
        json!({"email": "ada@example.com", "admin": true}),
        json!({"email": "ada@example.com", "password": "short"}),
        json!({"email": "ada@example.com", "password": "x".repeat(256)}),
        json!({"email": "ada@example.com", "password_hash": "plain"}),
        json!({"email": "ada@example.com", "password": "correct horse", "password_hash": "$2b$"}),
        json!({"email": "ada@example.com", "metadata": [1]}),
        json!({"email": "ada@example.com", "display_name": "x".repeat(256)}),
    ] {
        assert_eq!(house.refused(Method::POST, USERS, wrong.clone()).await, (422, "invalid".into()), "{wrong}");
    }
    for path in ["?limit=0", "?limit=1001", "?limit=x", "?after=x", "?page=2", "/nobody", "/%FF"] {
        assert_eq!(house.refused(Method::GET, &format!("{USERS}{path}"), Value::Null).await, (422, "invalid".into()));
    }
    let raw = async |body: &str| {
        let (status, answer) = house.send(Method::POST, USERS, body, Some(own_uid())).await;
        (status.as_u16(), answer["error"]["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(raw("{").await, (400, "unreadable_body".into()));
    assert_eq!(raw("[]").await, (400, "unreadable_body".into()));
    assert_eq!(raw(r#"{"email":"a@b.c","email":"d@e.f"}"#).await, (400, "unreadable_body".into()));
    assert_eq!(raw(&format!("{{\"email\":\"{}\"}}", "x".repeat(65_536))).await, (413, "unreadable_body".into()));
    assert_eq!(house.refused(Method::GET, "/v2", Value::Null).await, (404, "unknown_route".into()));
    assert_eq!(house.refused(Method::PUT, "/v1/projects", Value::Null).await, (405, "wrong_method".into()));
    assert_eq!(house.get(USERS).await, json!({"users": [], "next": null}));
}

#[tokio::test]
async fn pages_join_into_the_whole_list() {
    let house = House::new().await;
    for n in 0..5 {
        house.clock.advance(Duration::from_secs(1));
        house.ask(Method::POST, USERS, json!({"email": format!("u{n}@example.com")})).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = house.get(&format!("{USERS}?limit=2{after}")).await;
        seen.extend(page["users"].as_array().unwrap().iter().map(|user| user["number"].as_u64().unwrap()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn sessions_are_listed_and_end_at_once() {
    let house = House::new().await;
    for email in ["ada@example.com", "eve@example.com"] {
        house.ask(Method::POST, USERS, json!({"email": email, "password": "correct horse"})).await;
    }
    let project = house.app.projects().find(Selector::Only).await.unwrap().unwrap();
    let mut tokens = Vec::new();
    for email in ["ada@example.com", "ada@example.com", "eve@example.com"] {
        tokens.push(sign_in(&house, email).await);
    }
    let all = house.get("/v1/projects/default/sessions").await;
    assert_eq!(all["sessions"].as_array().unwrap().len(), 3);
    let adas = house.get("/v1/projects/default/sessions?user=ada%40example.com&limit=1").await;
    assert_eq!((adas["sessions"].as_array().unwrap().len(), &adas["next"]), (1, &adas["sessions"][0]["id"]));
    let first = format!("/v1/projects/default/sessions/{}", adas["next"].as_str().unwrap());
    assert_eq!(house.ask(Method::DELETE, &first, Value::Null).await, (StatusCode::OK, json!({"revoked": 1})));
    assert_eq!(house.refused(Method::DELETE, &first, Value::Null).await, (404, "unknown_session".into()));
    let ctx = ctx(&house, &project);
    assert!(session::authenticate(&ctx, &tokens[0]).is_err() && session::authenticate(&ctx, &tokens[1]).is_ok());
    let (_, ended) = house.ask(Method::DELETE, &format!("{USERS}/ada@example.com/sessions"), Value::Null).await;
    assert_eq!(ended, json!({"revoked": 1}));
    assert!(session::authenticate(&ctx, &tokens[1]).is_err() && session::authenticate(&ctx, &tokens[2]).is_ok());
}

#[tokio::test]
async fn a_key_rotates_with_the_overlap_that_is_asked_for() {
    let house = House::new().await;
    house.ask(Method::POST, USERS, json!({"email": "ada@example.com", "password": "correct horse"})).await;
    let token = sign_in(&house, "ada@example.com").await;
    let project = house.app.projects().find(Selector::Only).await.unwrap().unwrap();
    let (keys, rotate) = ("/v1/projects/default/keys", "/v1/projects/default/keys/rotate");
    let (status, mut new) = house.ask(Method::POST, rotate, json!({"overlap": "1h"})).await;
    assert_eq!((status, &new["retires_at"]), (StatusCode::CREATED, &Value::Null));
    let jwt = new.as_object_mut().unwrap().remove("jwt").unwrap();
    let listed = house.get(keys).await;
    // Each kind oldest first.
    let field = |field: &str| (0..4).map(|at| listed["keys"][at][field].clone()).collect::<Vec<_>>();
    let retires = json!("2026-01-01T01:00:01Z");
    assert_eq!(field("algorithm"), ["EdDSA", "EdDSA", "ES256", "ES256"]);
    assert_eq!(field("retires_at"), [retires.clone(), Value::Null, retires, Value::Null]);
    assert_eq!((&listed["keys"][1], &listed["keys"][3]), (&new, &jwt));
    assert!(session::authenticate(&ctx(&house, &project), &token).is_ok());
    house.ask(Method::POST, rotate, json!({"overlap": "0s"})).await;
    assert!(session::authenticate(&ctx(&house, &project), &token).is_err());
    // Without a word, as the project's settings say.
    house.ask(Method::POST, rotate, Value::Null).await;
    let overlap = project.settings().tokens.key_overlap;
    let retires = house.app.projects().shared().env.now().plus(overlap).rfc3339();
    let listed = house.get(keys).await;
    assert!(listed["keys"].as_array().unwrap().iter().any(|key| key["retires_at"] == retires.as_str()), "{listed}");
    assert_eq!(house.refused(Method::POST, rotate, json!({"overlap": "soon"})).await, (422, "invalid".into()));
}

fn ctx(house: &House, project: &Arc<Project>) -> Ctx {
    Ctx {
        settings: project.settings(),
        project: Arc::clone(project),
        rules: Dialect::Noma.rules(&project.settings()),
        now: house.app.projects().shared().env.now(),
        client: Client { ip: [192, 0, 2, 1].into(), group: 1, agent: None, secure: true },
        request_id: RequestId::new(1),
    }
}

/// An access token of a new session, begun a second after what was before.
async fn sign_in(house: &House, email: &str) -> String {
    house.clock.advance(Duration::from_secs(1));
    let project = house.app.projects().find(Selector::Only).await.unwrap().unwrap();
    let password = Secret::new("correct horse".to_owned());
    let issued = sign_in::with_password(&ctx(house, &project), Email::parse(email).unwrap(), password).await;
    issued.unwrap().access_token.expose().clone()
}

#[tokio::test]
async fn the_trail_names_the_operator_and_refuses_what_it_cannot_read() {
    let house = House::new().await;
    let made = house.ask(Method::POST, USERS, json!({"email": "ada@example.com"})).await;
    assert_eq!(made.0, StatusCode::CREATED);
    let root = house.send(Method::POST, &format!("{USERS}/ada@example.com/disable"), "", Some(PeerUid(0))).await;
    assert_eq!(root.0, StatusCode::OK);
    let trail = house.get("/v1/projects/default/audit").await;
    let told = trail["entries"].as_array().unwrap().iter().map(|entry| (entry["event"].clone(), entry["uid"].clone()));
    let expected = [
        (json!("project_created"), Value::Null),
        (json!("created"), json!(own_uid().0)),
        (json!("disabled"), json!(0)),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!((&trail["next"], &trail["end"]), (&Value::Null, &json!(3)));
    let page = house.get("/v1/projects/default/audit?limit=2").await;
    assert_eq!((page["entries"].as_array().unwrap().len(), &page["next"]), (2, &json!(2)));
    assert_eq!(house.get("/v1/projects/default/audit?after=18446744073709551615").await["entries"], json!([]));
    assert_eq!(house.get("/v1/projects/default/audit?after=3").await["end"], 3, "where a follower goes on");
    for query in [
        "?limit=0",
        "?limit=1001",
        "?last=0",
        "?last=5&after=1",
        "?after=-1",
        "?since=yesterday",
        "?address=ada",
        "?who=ada",
        "/verify?expect=1",
        "/verify?expect=1:abc",
        "/verify?expect=x:0000000000000000000000000000000000000000000000000000000000000000",
    ] {
        let refused = house.refused(Method::GET, &format!("/v1/projects/default/audit{query}"), Value::Null).await;
        assert_eq!(refused, (422, "invalid".to_owned()), "{query}");
    }
    let far = format!("/v1/projects/default/audit/verify?expect={}:{}", u64::MAX, "0".repeat(64));
    assert_eq!(house.get(&far).await["broken_at"], 4);
}
