//! The golden table of errors: what went wrong, and how each dialect says it.

use std::time::Duration;

use axum::body::to_bytes;
use insta::assert_snapshot;
use keystead::auth::Limit;
use keystead::auth::limits::{Limiter, Standing};
use keystead::dialect::{Dialect, Trouble};
use keystead::testing::Server;
use reqwest::Method;
use serde_json::json;

use super::DIALECTS;
use crate::persona::{Reply, project_id};

const PASSWORD: &str = "correct horse";

/// One line of the table: the reply without what differs from run to run.
fn line(dialect: &str, reply: &Reply) -> String {
    let mut text = reply.text.clone();
    for id in [
        &reply.body["user"]["uuid"],
        &reply.body["verification_token"],
        &reply.body["correlationId"],
        &reply.body["id"],
    ] {
        if let Some(id) = id.as_str() {
            text = text.replace(id, "[…]");
        }
    }
    format!("    {dialect} {} {text}\n", reply.status.as_u16())
}

#[tokio::test]
async fn what_every_dialect_can_be_asked() {
    let server = Server::with(&[
        ("PROJECT__DEFAULT__LOCKOUT__FAILURES", "2"),
        ("PROJECT__CLOSED__SIGNUP__ENABLED", "false"),
        ("PROJECT__CHOOSY__ACCESS__BLOCKED_DOMAINS", "example.com"),
        ("PROJECT__OFF__ENABLED", "false"),
        ("PROJECT__STRICT__VERIFICATION__MODE", "strict"),
        ("PROJECT__FEW__NOMA__LIMIT", "1/1m"),
        ("PROJECT__FEW__NORA__LIMITS__GLOBAL", "1/1m"),
        ("PROJECT__FEW__NHOST__LIMITS__GLOBAL", "1/1m"),
    ])
    .await;
    let mut table: Vec<(&str, String)> = Vec::new();
    for (number, dialect) in DIALECTS.iter().enumerate() {
        let ada_email = format!("ada{number}@example.com");
        let ada_email = ada_email.as_str();
        let anon = dialect.anon(&server);
        let in_project = |slug| anon.in_project(Some(&project_id(&server, slug)));
        let anon = in_project("default");
        let ada = dialect.newcomer(&anon, ada_email, PASSWORD).await;
        let mut note = |what, reply: Reply| {
            let line = line(dialect.name, &reply);
            match table.iter_mut().find(|(known, _)| *known == what) {
                Some((_, lines)) => lines.push_str(&line),
                None => table.push((what, line)),
            }
        };
        note("project missing", anon.in_project(None).who().await);
        note("project unknown", anon.in_project(Some("x")).who().await);
        note("project off", in_project("off").who().await);
        note("route unknown", anon.get("/x").await);
        note("method wrong", anon.get(anon.sign_in_path()).await);
        note("body too large", anon.post(anon.sign_in_path(), &json!({ "x": "x".repeat(1_048_576) })).await);
        let send = async |kind, text: &str| {
            anon.send(Method::POST, anon.sign_in_path(), Some((kind, text.as_bytes().to_vec()))).await
        };
        note("body malformed", send("application/json", "{").await);
        note("body a scalar", send("application/json", "7").await);
        note("body not JSON", send("text/plain", "{}").await);
        note("credential missing", anon.who().await);
        note("credential bad", anon.with_token("x").who().await);
        note("fields missing", anon.post(anon.sign_up_path(), &json!({})).await);
        note("sign-up off", in_project("closed").try_sign_up(ada_email, PASSWORD).await);
        note("address not allowed, sign-up", in_project("choosy").try_sign_up(ada_email, PASSWORD).await);
        note("address not allowed, sign-in", in_project("choosy").sign_in(ada_email, PASSWORD).await);
        note("address taken", anon.try_sign_up(ada_email, PASSWORD).await);
        note("address unproved, sign-up", in_project("strict").try_sign_up(ada_email, PASSWORD).await);
        server.clock().advance(Duration::from_secs(60));
        note("address unproved, sign-in", in_project("strict").sign_in(ada_email, PASSWORD).await);
        note("new password too short", dialect.change_password(&ada, PASSWORD, "short").await);
        note("new password is the current one", dialect.change_password(&ada, PASSWORD, PASSWORD).await);
        note("credentials wrong", anon.sign_in(ada_email, "wrong horse").await);
        note("current password wrong", dialect.change_password(&ada, "wrong horse", "battery staple").await);
        note("locked", anon.sign_in(ada_email, PASSWORD).await);
        note("locked, changing the password", dialect.change_password(&ada, PASSWORD, "battery staple").await);
        in_project("few").who().await;
        note("too many requests", in_project("few").who().await);
    }
    let table: String = table.into_iter().map(|(what, lines)| format!("{what}\n{lines}")).collect();
    assert_snapshot!(table);
}

#[tokio::test]
async fn what_goes_wrong_before_a_handler() {
    let standing = |limiter| {
        let limit = Limit::new(20, 900);
        Trouble::TooManyRequests(Standing { limiter, limit, remaining: 0, reset: Duration::from_millis(59_001) })
    };
    let mut table = String::new();
    for trouble in [
        Trouble::NoProject,
        Trouble::UnknownProject,
        Trouble::ProjectDisabled,
        Trouble::NotFound,
        Trouble::MethodNotAllowed,
        Trouble::TooLarge,
        Trouble::Slow,
        standing(Limiter::Requests),
        standing(Limiter::Changes),
        standing(Limiter::SignIn),
        standing(Limiter::SignUpBurst),
        standing(Limiter::SignUpDaily),
        Trouble::Unavailable { retry_after: Duration::from_millis(1) },
        Trouble::Unavailable { retry_after: Duration::from_millis(2001) },
        Trouble::Internal,
    ] {
        table.push_str(&format!("{trouble:?}\n"));
        for (name, dialect) in Dialect::ALL.map(|dialect| (dialect.name(), dialect)) {
            let reply = dialect.trouble(&trouble);
            let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
            let body = to_bytes(reply.into_body(), 1024).await.expect("a body");
            table.push_str(&format!("    {name} {status} {}", String::from_utf8_lossy(&body)));
            for (header, value) in headers
                .iter()
                .filter(|(header, _)| header.as_str() != "content-type" && header.as_str() != "content-length")
            {
                table.push_str(&format!(" {header}: {}", value.to_str().expect("text")));
            }
            table.push('\n');
        }
    }
    assert_snapshot!(table);
}
