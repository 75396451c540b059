//! Receivers that are down, for hours and for days, and a server that is restarted meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use keystead::auth::outbox::{self, pause_after};
use keystead::config::{Overrides, Settings, load};
use keystead::testing::Server;

use super::{ADA, PASSWORD, SECRET, counts, down, emptied, ok, server, settled, told, until};
use crate::persona::{Persona, now, operator, project};
use crate::receiver::{Answer, Receiver};

#[tokio::test]
async fn what_is_not_taken_for_hours_arrives_in_the_end_the_same() {
    let mut app = Receiver::start(down()).await;
    let server = server(&app, &[]).await;
    Persona::anon(&server).sign_up(ADA, PASSWORD).await;
    let first = app.next().await;
    settled(&server).await;
    let begin = now(&server);
    // What is no success: statuses of every kind, and a redirect, which is not followed.
    let answers = [500, 503, 404, 302, 400, 429, 500, 500, 500, 500].map(|status| Answer::Says(status, String::new()));
    for (attempt, answer) in (1..).zip(answers) {
        app.answers(answer);
        server.clock().advance(pause_after(attempt, u32::MAX));
        let again = app.next().await;
        assert_eq!((again.header("webhook-id"), &again.body), (first.header("webhook-id"), &first.body));
        assert_eq!(again.header("webhook-timestamp"), now(&server).secs().to_string());
        assert_ne!(again.header("webhook-signature"), first.header("webhook-signature"));
        settled(&server).await;
    }
    assert!(now(&server).since(begin) > Duration::from_secs(3 * 3600));
    app.answers(ok());
    server.clock().advance(Duration::from_secs(5000));
    assert_eq!(app.next().await.body, first.body);
    emptied(&server).await;
    assert_eq!(counts(&server).await, (0, 0));
    server.clock().advance(Duration::from_secs(86_400));
    Persona::anon(&server).signed_in(ADA, PASSWORD).await;
    assert_eq!(told(&app.next().await).0, "auth.login.success", "delivered once, then never again");
}

#[tokio::test]
async fn what_is_given_up_is_kept_and_can_be_sent_again() {
    let mut app = Receiver::start(down()).await;
    let server = server(&app, &[("WEBHOOKS__RETRY_FOR", "2h")]).await;
    Persona::anon(&server).sign_up(ADA, PASSWORD).await;
    let first = app.next().await;
    settled(&server).await;
    server.clock().advance(Duration::from_secs(2 * 3600));
    emptied(&server).await;
    let project = project(&server, "default").await;
    let letters = outbox::dead_letters(&project, None, 9).expect("a store that works");
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    let item = &letter.item;
    assert_eq!((item.purpose.as_str(), item.recipient.as_str(), item.attempts), ("auth.signup.success", "app", 1));
    assert_eq!(item.last_error.as_deref(), Some("gave up after 1 attempts: status 500"));
    app.answers(ok());
    server.clock().advance(Duration::from_secs(7 * 86_400));
    outbox::resend(&project, operator(&server), item.id).await.expect("sent again");
    let again = app.next().await;
    assert_eq!((again.header("webhook-id"), &again.body), (first.header("webhook-id"), &first.body));
    emptied(&server).await;
    assert_eq!(counts(&server).await, (0, 0));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let mut app = Receiver::start(Answer::Says(410, String::new())).await;
    let server = server(&app, &[]).await;
    Persona::anon(&server).sign_up(ADA, PASSWORD).await;
    app.next().await;
    emptied(&server).await;
    assert_eq!(counts(&server).await, (0, 1));
    let project = project(&server, "default").await;
    let letters = outbox::dead_letters(&project, None, 9).expect("a store that works");
    assert_eq!(letters[0].item.last_error.as_deref(), Some("the receiver says 410 Gone"));
}

#[tokio::test]
async fn a_restart_forgets_nothing_and_changes_nothing() {
    let mut app = Receiver::start(down()).await;
    let dir = tempfile::tempdir().expect("a folder");
    let settings = || -> Settings {
        let (url, data) = (app.url("/hook"), dir.path().join("data"));
        let mut variables: BTreeMap<String, String> = [
            ("LISTEN__ADDRESSES", "127.0.0.1:0"),
            ("DATA_DIR", data.to_str().expect("text")),
            // A certificate on disk is of the test's time, its client of ours.
            ("TLS__MODE", "off"),
            ("HASHING__MEMORY_KIB", "8"),
            ("PROJECT__DEFAULT__WEBHOOKS__APP__URL", &url),
            ("PROJECT__DEFAULT__WEBHOOKS__APP__SECRET", SECRET),
        ]
        .map(|(name, value)| (format!("KEYSTEAD_{name}"), value.to_owned()))
        .into();
        variables.extend(app.settings().map(|(name, value)| (format!("KEYSTEAD_{name}"), value.to_owned())));
        load(&Overrides::default(), &variables).expect("settings")
    };
    let before = Server::run(settings()).await;
    let after_settings = settings();
    Persona::anon(&before).sign_up(ADA, PASSWORD).await;
    let first = app.next().await;
    settled(&before).await;
    before.stop().await;
    app.answers(ok());
    // Its clock begins where the other began.
    let after = Server::run(after_settings).await;
    after.clock().advance(pause_after(1, u32::MAX));
    let again = app.next().await;
    assert_eq!((again.header("webhook-id"), &again.body), (first.header("webhook-id"), &first.body));
    emptied(&after).await;
    assert_eq!(counts(&after).await, (0, 0));
    after.stop().await;
}

#[tokio::test]
async fn a_receiver_that_fails_is_left_alone_and_asked_with_one_post() {
    let mut app = Receiver::start(down()).await;
    let server = server(&app, &[]).await;
    let anon = Persona::anon(&server);
    for number in 0..20 {
        anon.sign_up(&format!("user{number}@example.com"), PASSWORD).await;
    }
    settled(&server).await;
    let mut posts = 0;
    while app.at_hand().is_some() {
        posts += 1;
    }
    // Three failures in a row, beside which as many posts may have been under way as one receiver gets at once.
    assert!((3..=6).contains(&posts), "{posts}");
    assert_eq!(counts(&server).await, (20, 0));
    // A rest later it gets one, and no more until it has answered that one.
    for _ in 0..2 {
        server.clock().advance(Duration::from_secs(600));
        app.next().await;
        settled(&server).await;
        assert!(app.at_hand().is_none());
    }
    // It is back: all of it arrives, what failed before after its own pause.
    app.answers(ok());
    server.clock().advance(Duration::from_secs(600));
    let project = project(&server, "default").await;
    let left = || outbox::counts(&project).expect("a store that works").0;
    until(|| left() <= 2).await;
    server.clock().advance(Duration::from_secs(3600));
    emptied(&server).await;
    let mut ids = std::collections::BTreeSet::new();
    while let Some(received) = app.at_hand() {
        ids.insert(received.header("webhook-id").to_owned());
    }
    assert_eq!((ids.len(), counts(&server).await), (20, (0, 0)));
}
