//! Webhooks: the real server posts to real TLS servers of the tests, and time is the test's.

mod delivery;
mod events;
mod isolation;

use keystead::auth::outbox;
use keystead::testing::Server;
use serde_json::Value;

use crate::persona::project;
use crate::receiver::{Answer, Received, Receiver};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse";

fn ok() -> Answer {
    Answer::Says(204, String::new())
}

fn down() -> Answer {
    Answer::Says(500, "no".into())
}

/// A server whose webhook `app` leads to this receiver; with these settings besides.
async fn server(app: &Receiver, more: &[(&str, &str)]) -> Server {
    let url = app.url("/hook");
    let mut settings = vec![("PROJECT__DEFAULT__WEBHOOKS__APP__URL", url.as_str())];
    settings.push(("PROJECT__DEFAULT__WEBHOOKS__APP__SECRET", SECRET));
    settings.extend(app.settings());
    settings.extend(more);
    Server::with(&settings).await
}

/// Waits until `done` holds; the server works meanwhile.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

/// Waits until no attempt is under way: all have ended, and that is written.
async fn settled(server: &Server) {
    let project = project(server, "default").await;
    until(|| outbox::waiting(&project, None, 1000).expect("a store that works").iter().all(|item| !item.begun)).await;
}

/// How many items wait, and how many were given up.
async fn counts(server: &Server) -> (u64, u64) {
    outbox::counts(project(server, "default").await.as_ref()).expect("a store that works")
}

/// Waits until nothing waits any more.
async fn emptied(server: &Server) {
    let project = project(server, "default").await;
    until(|| outbox::counts(&project).expect("a store that works").0 == 0).await;
}

/// The type of an event, and the event.
fn told(received: &Received) -> (String, Value) {
    let body = received.json();
    (body["type"].as_str().expect("a type").to_owned(), body)
}
