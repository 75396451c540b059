//! How mails leave: retried while the server is away, given up when refused, kept while there is no way out.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use keystead::auth::outbox::{self, Found};
use keystead::config::{self, Overrides};
use keystead::mail::SendError;
use keystead::testing::Server;

use super::{ADA, BY_MAIL, STRICT, confirm, ended, resend, sign_up};
use crate::persona::{Persona, all_at_once, now, operator, project, project_id};

#[tokio::test]
async fn what_fails_is_tried_again_later_and_later() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    server.mailbox().fail_with(Some(SendError::Later("421 try again".into())));
    sign_up(&anon, ADA).await.expect(202);
    ended(&server, |tally| tally.put_off == 1).await;
    let default = project(&server, "default").await;
    let waiting = outbox::waiting(&default, None, 9).expect("a read");
    let item = &waiting[0];
    assert_eq!((item.attempts, item.begun, item.last_error.as_deref()), (1, false, Some("421 try again")));
    let pause = item.next_at.since(now(&server)).as_secs_f64();
    assert!((30.0..=37.5).contains(&pause), "{pause}");
    // The next moment it is due, and not before.
    server.clock().advance(Duration::from_secs(38));
    ended(&server, |tally| tally.put_off == 2).await;
    server.mailbox().fail_with(None);
    server.clock().advance(Duration::from_secs(75));
    let mail = server.mailbox().next_to(ADA).await;
    confirm(&anon, mail.code.as_deref().expect("a code")).await.expect(200);
    ended(&server, |tally| tally.sent == 1).await;
    assert_eq!(outbox::counts(&default).expect("a read"), (0, 0));
}

#[tokio::test]
async fn what_is_refused_for_good_is_a_dead_letter_that_can_be_sent_again() {
    let server = Server::with(&[STRICT, BY_MAIL]).await;
    let anon = Persona::anon(&server);
    server.mailbox().fail_with(Some(SendError::Never("550 no such user".into())));
    sign_up(&anon, ADA).await.expect(202);
    ended(&server, |tally| tally.given_up == 1).await;
    let default = project(&server, "default").await;
    let dead = outbox::dead_letters(&default, None, 9).expect("a read");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].item.last_error.as_deref(), Some("550 no such user"));
    let id = dead[0].item.id;
    assert!(matches!(outbox::show(&default, id), Ok(Found::Dead(_))));
    server.mailbox().fail_with(None);
    outbox::resend(&default, operator(&server), id).await.expect("resent");
    let mail = server.mailbox().next_to(ADA).await;
    confirm(&anon, mail.code.as_deref().expect("a code")).await.expect(200);
}

#[tokio::test]
async fn after_its_time_a_mail_is_given_up_and_not_sent_again() {
    let server = Server::with(&[STRICT, BY_MAIL, ("PROJECT__DEFAULT__VERIFICATION__TTL", "10m")]).await;
    let anon = Persona::anon(&server);
    server.mailbox().fail_with(Some(SendError::Later("down".into())));
    sign_up(&anon, ADA).await.expect(202);
    ended(&server, |tally| tally.put_off == 1).await;
    // The secret in it is dead: nobody wants it any more.
    server.clock().advance(Duration::from_secs(600));
    ended(&server, |tally| tally.given_up == 1).await;
    let default = project(&server, "default").await;
    let dead = outbox::dead_letters(&default, None, 9).expect("a read");
    assert_eq!(dead[0].item.last_error.as_deref(), Some("gave up after 1 attempts: down"));
    server.mailbox().fail_with(None);
    outbox::resend(&default, operator(&server), dead[0].item.id).await.expect_err("expired");
    assert_eq!(outbox::resend_all(&default, operator(&server)).await.expect("a write"), 0);
    assert!(server.mailbox().messages().is_empty());
}

/// A server with a data directory, where nothing is said about mail: so there is no way out.
async fn without_mail(dir: &Path) -> Server {
    let environment: BTreeMap<String, String> = [
        ("KEYSTEAD_LISTEN__ADDRESSES", "127.0.0.1:0"),
        // The certificates of a data directory are of the test clock's time, which a client does not go by.
        ("KEYSTEAD_TLS__MODE", "off"),
        ("KEYSTEAD_HASHING__MEMORY_KIB", "8"),
        ("KEYSTEAD_HASHING__ITERATIONS", "1"),
        ("KEYSTEAD_PROJECT__A__VERIFICATION__MODE", "strict"),
        ("KEYSTEAD_PROJECT__A__VERIFICATION__DELIVERY", "mail"),
        ("KEYSTEAD_PROJECT__B__ENABLED", "true"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let overrides = Overrides { data_dir: Some(dir.join("data")), ..Overrides::default() };
    Server::run(config::load(&overrides, &environment).expect("good settings")).await
}

#[tokio::test]
async fn without_a_way_out_mails_wait_over_a_restart_until_they_expire() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = without_mail(dir.path()).await;
    let anon = Persona::anon(&server).in_project(Some(&project_id(&server, "a")));
    sign_up(&anon, ADA).await.expect(202);
    resend(&anon, "nobody@example.com").await.expect(200);
    let waiting = async |server: &Server| {
        let project = project(server, "a").await;
        outbox::waiting(&project, None, 9).expect("a read").into_iter().map(|item| item.recipient).collect::<Vec<_>>()
    };
    assert_eq!(waiting(&server).await, [ADA]);
    server.stop().await;
    // Neither project is opened at this start; the outboxes are looked through all the same.
    let server = without_mail(dir.path()).await;
    server.clock().advance(Duration::from_secs(24 * 3600));
    ended(&server, |tally| tally.given_up == 1).await;
    assert_eq!(waiting(&server).await, [""; 0]);
    let dead = outbox::dead_letters(&*project(&server, "a").await, None, 9).expect("a read");
    assert_eq!(dead[0].item.last_error.as_deref(), Some("it expired before it could be sent"));
    assert!(server.mailbox().messages().is_empty());
    server.stop().await;
}

/// Every project gets its turn, however much another has to send.
#[tokio::test]
async fn many_mails_of_many_projects_all_arrive_once() {
    let server = Server::with(&[
        ("MAIL__CONCURRENCY", "3"),
        ("PROJECT__A__VERIFICATION__MODE", "lenient"),
        ("PROJECT__A__VERIFICATION__DELIVERY", "mail"),
        ("PROJECT__B__VERIFICATION__MODE", "lenient"),
        ("PROJECT__B__VERIFICATION__DELIVERY", "mail"),
    ])
    .await;
    let mut personas = Vec::new();
    for n in 0..40 {
        let slug = if n % 10 == 9 { "b" } else { "a" };
        personas
            .push((Persona::anon(&server).in_project(Some(&project_id(&server, slug))), format!("u{n}@example.com")));
    }
    let replies = all_at_once(
        personas.clone().into_iter().map(|(anon, email)| async move { sign_up(&anon, &email).await.status }),
    );
    assert!(replies.await.iter().all(|status| *status == 201));
    for (_, email) in &personas {
        server.mailbox().next_to(email).await;
    }
    ended(&server, |tally| tally.sent == 40).await;
    assert_eq!(server.mailbox().messages().len(), 40);
}
