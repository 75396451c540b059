//! Sessions: refreshed, checked, ended (contract 1.4, 2.3).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_json_snapshot;
use keystead::auth::accounts;
use keystead::testing::Server;
use serde_json::{Value, json};

use super::{ADA, PASSWORD, anon, is_out, newcomer, refresh, refused, sign_in, signed_in, text};
use crate::persona::{Persona, account, all_at_once, operator, project, project_id};

#[tokio::test]
async fn a_refresh_gives_the_session_itself_and_keeps_its_name() {
    let server = Server::start().await;
    let (_, session) = newcomer(&anon(&server), ADA).await;
    server.clock().advance(Duration::from_secs(600));
    let reply = refresh(&anon(&server), text(&session, "refreshToken")).await.expect(200);
    assert_json_snapshot!(reply.body, {
        ".accessToken" => "[token]",
        ".refreshToken" => "[uuid]",
        ".refreshTokenId" => "[uuid]",
        ".user.id" => "[uuid]",
    });
    assert_eq!((&reply.body["refreshTokenId"], &reply.body["user"]), (&session["refreshTokenId"], &session["user"]));
    assert_ne!(reply.body["refreshToken"], session["refreshToken"]);
    anon(&server).with_token(reply.text_at("accessToken")).get("/user").await.expect(200);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_within_its_time() {
    let server = Server::start().await;
    let (ada, session) = newcomer(&anon(&server), ADA).await;
    let first = text(&session, "refreshToken");
    let next = refresh(&anon(&server), first).await.expect(200).text_at("refreshToken").to_owned();
    // A lost reply: the same successor.
    let again = refresh(&anon(&server), &first.to_uppercase()).await.expect(200);
    assert_eq!(again.text_at("refreshToken"), next);
    // Later it is theft.
    server.clock().advance(Duration::from_secs(10));
    assert_eq!(refused(&refresh(&anon(&server), first).await, 401), "invalid-refresh-token");
    assert_eq!(refused(&refresh(&anon(&server), &next).await, 401), "invalid-refresh-token");
    is_out(&ada).await;
    // Another session does not end with it.
    let (ada, session) = signed_in(&anon(&server), ADA).await;
    ada.get("/user").await.expect(200);
    server.clock().advance(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(refused(&refresh(&anon(&server), text(&session, "refreshToken")).await, 401), "invalid-refresh-token");
}

#[tokio::test]
async fn of_many_at_once_all_get_one_successor() {
    let server = Server::start().await;
    let (_, session) = newcomer(&anon(&server), ADA).await;
    let token = text(&session, "refreshToken").to_owned();
    let replies = all_at_once((0..64).map(|_| {
        let (anon, token) = (anon(&server), token.clone());
        async move { refresh(&anon, &token).await.expect(200).text_at("refreshToken").to_owned() }
    }))
    .await;
    assert!(replies.iter().all(|successor| *successor == replies[0] && *successor != token));
}

#[tokio::test]
async fn no_other_token_is_a_refresh_token() {
    let server =
        Server::with(&[("PROJECT__OTHER__NOMA__ENABLED", "true"), ("PROJECT__ONE__NOMA__ENABLED", "true")]).await;
    let [one, other] = ["one", "other"].map(|slug| anon(&server).in_project(Some(&project_id(&server, slug))));
    let (_, session) = newcomer(&one, ADA).await;
    newcomer(&other, ADA).await;
    let noma = one.speaking_noma().sign_in(ADA, PASSWORD).await.expect(200);
    for (who, token) in [
        (&other, text(&session, "refreshToken")),
        (&one, text(&session, "refreshTokenId")),
        (&one, "00000000-0000-4000-8000-000000000000"),
        (&one, text(&session["user"], "id")),
    ] {
        assert_eq!(refused(&refresh(who, token).await, 401), "invalid-refresh-token", "{token}");
    }
    for text in [noma.text_at("refresh_token"), "", "x", "{00000000-0000-4000-8000-000000000000}"] {
        assert_eq!(refresh(&one, text).await.expect(400).body["error"], "schema-validation-error");
    }
    // Nor a token of this API one of another.
    let noma = one.speaking_noma();
    noma.refresh(text(&session, "refreshToken")).await.expect(422);
    refresh(&one, text(&session, "refreshToken")).await.expect(200);
}

#[tokio::test]
async fn an_access_token_is_good_for_its_project_and_this_api() {
    let server =
        Server::with(&[("PROJECT__OTHER__NOMA__ENABLED", "true"), ("PROJECT__ONE__NOMA__TOKEN_FORMAT", "jwt")]).await;
    let [one, other] = ["one", "other"].map(|slug| anon(&server).in_project(Some(&project_id(&server, slug))));
    let (ada, _) = newcomer(&one, ADA).await;
    ada.get("/user").await.expect(200);
    is_out(&ada.in_project(Some(&project_id(&server, "other")))).await;
    newcomer(&other, ADA).await;
    ada.speaking_noma().get("/me").await.expect(401);
    ada.speaking_nora().get("/me").await.expect(401);
    let noma = one.speaking_noma().sign_in(ADA, PASSWORD).await.expect(200);
    is_out(&one.with_token(noma.text_at("access_token"))).await;
    let nora = one.speaking_nora().sign_in(ADA, PASSWORD).await.expect(200);
    is_out(&one.with_token(nora.text_at("token"))).await;
}

/// Contract 2.1.
#[tokio::test]
async fn an_access_token_says_what_hasura_reads() {
    let server = Server::with(&[("PROJECT__DEFAULT__PUBLIC_URL", "https://auth.example.com")]).await;
    let (_, session) = newcomer(&anon(&server), ADA).await;
    let parts: Vec<_> = text(&session, "accessToken").split('.').collect();
    let part = |number: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(parts[number]).expect("base64url");
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let keys = anon(&server).get("/.well-known/jwks.json").await.expect(200).body;
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": keys["keys"][0]["kid"] });
    assert_eq!((parts.len(), part(0)), (3, header));
    assert_json_snapshot!(part(1), { ".sub" => "[uuid]", ".*[\"x-hasura-user-id\"]" => "[uuid]" });
    assert_eq!(part(1)["sub"], session["user"]["id"]);
    assert_eq!(part(1)["https://hasura.io/jwt/claims"]["x-hasura-user-id"], session["user"]["id"]);
}

#[tokio::test]
async fn the_bearer_is_one_and_spelled_so() {
    let server = Server::start().await;
    let (ada, session) = newcomer(&anon(&server), ADA).await;
    let token = text(&session, "accessToken");
    for header in ["", "Bearer", "Bearer ", &format!("bearer {token}"), &format!("Bearer  {token}"), token] {
        let reply = anon(&server).with_header("authorization", header).get("/user").await.expect(401);
        assert_eq!(reply.text_at("reason"), "missing or malformed authorization header", "{header}");
    }
    assert_eq!(
        anon(&server).get("/user").await.expect(401).text_at("reason"),
        "missing or malformed authorization header"
    );
    ada.get("/user").await.expect(200);
    server.clock().advance(Duration::from_secs(900));
    is_out(&ada).await;
}

#[tokio::test]
async fn whether_a_token_counts_can_be_asked() {
    let server = Server::start().await;
    let (ada, session) = newcomer(&anon(&server), ADA).await;
    let token = text(&session, "accessToken");
    let verify = async |who: &Persona, body: &Value| who.post("/token/verify", body).await;
    assert_eq!(ada.post_nothing("/token/verify").await.expect(200).text, "\"OK\"");
    verify(&ada, &json!({})).await.expect(200);
    for text in [token.to_owned(), format!("Bearer {token}")] {
        verify(&anon(&server), &json!({ "token": text })).await.expect(200);
        verify(&anon(&server).with_token("x"), &json!({ "token": text })).await.expect(200);
    }
    for (who, body) in [
        (&anon(&server), json!({})),
        (&anon(&server).with_token("x"), json!({})),
        (&ada, json!({ "token": "" })),
        (&ada, json!({ "token": "x" })),
        (&ada, json!({ "token": format!("bearer {token}") })),
        (&ada, json!({ "token": text(&session, "refreshToken") })),
    ] {
        assert_eq!(refused(&verify(who, &body).await, 400), "invalid-request", "{body}");
    }
    // The session must live, too.
    ada.post("/signout", &json!({ "refreshToken": text(&session, "refreshToken") })).await.expect(200);
    assert_eq!(refused(&verify(&anon(&server), &json!({ "token": token })).await, 400), "invalid-request");
    assert_eq!(refused(&ada.post_nothing("/token/verify").await, 400), "invalid-request");
}

#[tokio::test]
async fn a_sign_out_ends_the_session_of_its_token() {
    let server = Server::start().await;
    let (here, session) = newcomer(&anon(&server), ADA).await;
    let (there, other) = signed_in(&anon(&server), ADA).await;
    let token = text(&session, "refreshToken");
    let done = anon(&server).post("/signout", &json!({ "refreshToken": token, "reason": "an open schema" })).await;
    assert_eq!(done.expect(200).text, "\"OK\"");
    is_out(&here).await;
    assert_eq!(refused(&refresh(&anon(&server), token).await, 401), "invalid-refresh-token");
    there.get("/user").await.expect(200);
    // Again, and one that never was.
    for token in [token, "00000000-0000-4000-8000-000000000000"] {
        there.post("/signout", &json!({ "refreshToken": token, "all": false })).await.expect(200);
    }
    there.get("/user").await.expect(200);
    // What names nothing ends nothing.
    for (who, body) in [
        (&there, json!({})),
        (&anon(&server), json!({ "all": true })),
        (&anon(&server).with_token("x"), json!({ "all": true, "refreshToken": text(&other, "refreshToken") })),
    ] {
        assert_eq!(refused(&who.post("/signout", &body).await, 400), "invalid-request");
    }
    assert_eq!(refused(&there.post_nothing("/signout").await, 400), "invalid-request");
    there.get("/user").await.expect(200);
}

#[tokio::test]
async fn a_sign_out_everywhere_ends_all_sessions_of_the_account_and_no_others() {
    let server = Server::start().await;
    let (here, _) = newcomer(&anon(&server), ADA).await;
    let (there, other) = signed_in(&anon(&server), ADA).await;
    let noma = anon(&server).speaking_noma();
    let noma = noma.with_token(noma.sign_in(ADA, PASSWORD).await.expect(200).text_at("access_token"));
    let (eve, _) = newcomer(&anon(&server), "eve@example.com").await;
    here.post("/signout", &json!({ "all": true })).await.expect(200);
    is_out(&here).await;
    is_out(&there).await;
    noma.get("/me").await.expect(401);
    assert_eq!(refused(&refresh(&anon(&server), text(&other, "refreshToken")).await, 401), "invalid-refresh-token");
    eve.get("/user").await.expect(200);
}

#[tokio::test]
async fn what_an_operator_ends_has_ended_at_the_next_request() {
    let server = Server::start().await;
    let default = project(&server, "default").await;
    let (ada, session) = newcomer(&anon(&server), ADA).await;
    accounts::disable(&default, operator(&server), account(ADA)).await.expect("disabled");
    is_out(&ada).await;
    refresh(&anon(&server), text(&session, "refreshToken")).await.expect(401);
    accounts::enable(&default, operator(&server), account(ADA)).await.expect("enabled");
    is_out(&ada).await;
    let (ada, session) = signed_in(&anon(&server), ADA).await;
    accounts::delete(&default, operator(&server), account(ADA)).await.expect("deleted");
    is_out(&ada).await;
    assert_eq!(refused(&refresh(&anon(&server), text(&session, "refreshToken")).await, 401), "invalid-refresh-token");
    assert_eq!(refused(&sign_in(&anon(&server), ADA, PASSWORD).await, 401), "invalid-email-password");
}

/// The first sweep after its end takes a session away; a token that was refreshed lives on.
#[tokio::test]
async fn a_session_that_is_refreshed_lives_on() {
    let server = Server::start().await;
    let (_, session) = newcomer(&anon(&server), ADA).await;
    let mut token = text(&session, "refreshToken").to_owned();
    for _ in 0..4 {
        server.clock().advance(Duration::from_secs(20 * 24 * 3600));
        let reply = refresh(&anon(&server), &token).await.expect(200);
        assert_eq!(reply.body["refreshTokenId"], session["refreshTokenId"]);
        token = reply.text_at("refreshToken").to_owned();
    }
}
