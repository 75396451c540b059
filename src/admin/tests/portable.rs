//! Lines out of a server in memory and into it.

use super::*;

impl House {
    async fn lines(&self, path: &str) -> String {
        let request = Request::builder().uri(path).extension(own_uid()).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (StatusCode::OK, &"application/x-ndjson".parse().unwrap())
        );
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
    }
}

#[tokio::test]
async fn a_project_is_taken_under_a_new_id_and_a_wrong_file_is_refused_line_by_line() {
    let house = House::new().await;
    let (status, made) =
        house.ask(Method::POST, USERS, json!({"email": "ada@example.com", "password": "correct horse"})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    house.clock.advance(Duration::from_secs(1));
    let lines = house.lines("/v1/export?projects=default&secrets=true").await;
    assert_eq!(house.lines("/v1/export?secrets=true").await, lines);

    let taken = house.send(Method::POST, "/v1/import?new_id=true&slug=copy", &lines, Some(own_uid())).await;
    assert_eq!(taken.0, StatusCode::OK, "{}", taken.1);
    assert_eq!(
        (&taken.1["projects"][0]["slug"], &taken.1["projects"][0]["written"]["user"]),
        (&json!("copy"), &json!(1))
    );
    let users = house.get("/v1/projects/copy/users").await;
    assert_eq!(users["users"][0]["id"], made["id"], "accounts keep their ids");
    assert_eq!(house.get("/v1/projects/copy/audit/verify").await["ok"], true);
    assert_ne!(house.get("/v1/projects/copy/keys").await, house.get("/v1/projects/default/keys").await);

    // What only one project can have stays with the original, as in a restore.
    let hosts = json!({"slug": "shop", "settings": {"hosts": "shop.example.com"}});
    assert_eq!(house.ask(Method::POST, "/v1/projects", hosts).await.0, StatusCode::CREATED);
    let lines_of_shop = house.lines("/v1/export?projects=shop").await;
    let taken = house.send(Method::POST, "/v1/import?new_id=true&slug=shop-2", &lines_of_shop, Some(own_uid())).await;
    assert_eq!(taken.0, StatusCode::OK, "{}", taken.1);
    assert_eq!(house.get("/v1/projects/shop-2").await["settings"]["hosts"], json!([]));
    let trail = house.get("/v1/projects/shop-2/audit").await;
    assert_eq!(
        trail["entries"].as_array().and_then(|all| all.last()).map(|last| &last["event"]),
        Some(&json!("project_transplanted"))
    );

    let before = house.get("/v1/projects").await;
    for (query, body, line) in [("", lines.as_str(), 2), ("", "x\n", 1), ("?project=nobody", lines.as_str(), 1)] {
        let (status, answer) = house.send(Method::POST, &format!("/v1/import{query}"), body, Some(own_uid())).await;
        assert_eq!((status, &answer["error"]["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_file")));
        assert_eq!(answer["error"]["lines"][0]["line"], line, "{answer}");
    }
    assert_eq!(house.get("/v1/projects").await, before);
    assert_eq!(house.refused(Method::GET, "/v1/export?projects=nobody", Value::Null).await.0, 404);
    assert_eq!(house.refused(Method::GET, "/v1/export?secret=true", Value::Null).await.0, 422);
}
