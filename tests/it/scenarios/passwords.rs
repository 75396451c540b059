//! Which passwords may be set: one policy for every dialect, against a service that speaks the documented range API.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use insta::assert_snapshot;
use keystead::auth::accounts::{self, NewPassword, NewUser, UserRef};
use keystead::auth::{Email, Error, Operator, Role};
use keystead::crypto::{Secret, hex};
use keystead::env::Clock;
use keystead::testing::Server;

use super::{DIALECTS, Spelling};
use crate::persona::{Persona, Reply, project};
use crate::receiver::{Answer, Receiver};

const COMMON: &str = "1qaz2wsx3edc";
const LEAKED: &str = "correct horse battery";
const GOOD: &str = "one nobody had";
/// The other 35 digits of a password that begins like it.
const OTHER: &str = "0018A45C4D1DEF81644B54AB7F969B88D65";

/// The SHA-1 of a password as the service writes it: what is sent, and what is not.
fn sha1(password: &str) -> (String, String) {
    let mut sent = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()).as_ref()).to_uppercase();
    let kept = sent.split_off(5);
    (sent, kept)
}

/// A range in which `LEAKED` was seen so often.
fn range(seen: u32) -> Answer {
    Answer::Says(200, format!("{OTHER}:3\r\n{}:{seen}\r\n{}:0", sha1(LEAKED).1, OTHER.replace("001", "002")))
}

/// A server that takes neither common nor leaked passwords, and asks at `url`.
async fn careful(service: &Receiver, url: &str, more: &[(&'static str, &str)]) -> Server {
    let mut settings = vec![
        ("PROJECT__DEFAULT__PASSWORD__REJECT_COMMON", "true"),
        ("PROJECT__DEFAULT__PASSWORD__REJECT_LEAKED", "true"),
        ("PROJECT__DEFAULT__PASSWORD__LEAKED_URL", url),
        ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_BURST", "off"),
        ("PROJECT__DEFAULT__NORA__LIMITS__SIGNUP_DAILY", "off"),
    ];
    settings.extend(service.settings());
    settings.extend(more);
    Server::with(&settings).await
}

async fn sign_up(anon: &Persona, email: &str, password: &str) -> Reply {
    anon.try_sign_up(email, password).await
}

fn address(dialect: &Spelling, name: &str) -> String {
    format!("{name}-{}@example.com", dialect.name)
}

#[tokio::test]
async fn how_every_dialect_refuses_a_password() {
    let mut service = Receiver::start(range(7)).await;
    let server = careful(&service, &service.url("/range/"), &[]).await;
    let mut table: Vec<(&str, String)> = Vec::new();
    for dialect in &DIALECTS {
        service.answers(range(7));
        let anon = dialect.anon(&server);
        let (ada, eve) = (address(dialect, "ada"), address(dialect, "eve"));
        let user = dialect.newcomer(&anon, &ada, GOOD).await;
        let mut note = |what, reply: Reply| {
            let mut line = format!("    {} {} {}", dialect.name, reply.status.as_u16(), reply.text);
            for id in ["request_id", "correlationId"].iter().filter_map(|key| reply.body[key].as_str()) {
                line = line.replace(id, "[…]");
            }
            if let Some(after) = reply.headers.get("retry-after") {
                line.push_str(&format!(" retry-after: {}", after.to_str().expect("text")));
            }
            match table.iter_mut().find(|(known, _)| *known == what) {
                Some((_, lines)) => *lines = format!("{lines}\n{line}"),
                None => table.push((what, line)),
            }
        };
        note("common, signing up", sign_up(&anon, &eve, COMMON).await);
        note("common, changing", dialect.change_password(&user, GOOD, "1QAZ2wsx3edc").await);
        note("leaked, signing up", sign_up(&anon, &eve, LEAKED).await);
        note("leaked, changing", dialect.change_password(&user, GOOD, LEAKED).await);
        service.answers(Answer::Says(429, String::new()));
        note("no answer, signing up", sign_up(&anon.failing(), &eve, GOOD).await);
        note("no answer, changing", dialect.change_password(&user.failing(), GOOD, "another of mine").await);
        // Nothing came of any of it; and who has a password keeps it, whatever the policy says of it.
        dialect.signed_in(&anon, &ada, GOOD).await;
        service.answers(range(0));
        dialect.newcomer(&anon, &eve, LEAKED).await;
        service.answers(range(7));
        dialect.signed_in(&anon, &eve, LEAKED).await;
    }
    while service.at_hand().is_some() {}
    let table: String = table.into_iter().map(|(what, lines)| format!("{what}\n{lines}\n")).collect();
    assert_snapshot!(table);
}

#[tokio::test]
async fn five_digits_of_a_password_leave_and_no_more() {
    let mut service = Receiver::start(range(7)).await;
    let server = careful(&service, &service.url("/range/"), &[]).await;
    let anon = Persona::anon(&server);
    sign_up(&anon, "ada@example.com", LEAKED).await.expect(422);
    let (sent, kept) = sha1(LEAKED);
    let asked = service.next().await;
    assert_eq!((asked.path.as_str(), asked.body.as_slice()), (format!("/range/{sent}").as_str(), b"".as_slice()));
    assert_eq!(asked.header("add-padding"), "true");
    let said = format!("{} {:?}", asked.path, asked.headers).to_lowercase();
    for secret in [LEAKED, &kept.to_lowercase(), "ada@"] {
        assert!(!said.contains(secret), "{said}");
    }
    // Once a password, and nothing of one that is known to be common.
    assert!(service.at_hand().is_none());
    for spelling in [COMMON, "1QAZ2WSX3EDC", " 1qaz2wsx3edc "] {
        sign_up(&anon, "ada@example.com", spelling).await.refused("password");
    }
    assert!(service.at_hand().is_none());
}

#[tokio::test]
async fn a_service_that_does_not_answer_like_one_lets_no_password_pass() {
    let mut service = Receiver::start(range(0)).await;
    let server = careful(&service, &service.url("/range/"), &[]).await;
    let anon = Persona::anon(&server);
    let refused = async |answer: Answer| {
        service.answers(answer.clone());
        let reply = sign_up(&anon, "ada@example.com", GOOD).await;
        assert_eq!((reply.status.as_u16(), &reply.headers["retry-after"]), (503, &"5".parse().unwrap()), "{answer:?}");
    };
    let line = format!("{OTHER}:1\r\n");
    for (status, body) in [
        (200, ""),
        (200, "<html>"),
        (200, &format!("{line}{OTHER}")),
        (200, &line.repeat(20_000)),
        (204, ""),
        (302, &line),
        (404, &line),
        (500, &line),
    ] {
        refused(Answer::Says(status, body.to_owned())).await;
    }
    refused(Answer::Floods).await;
    // It takes the five seconds a service has.
    refused(Answer::Hangs).await;
    service.answers(range(0));
    sign_up(&anon, "ada@example.com", GOOD).await.expect(201);
    service.next().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_lets_no_password_pass() {
    let service = Receiver::start(range(0)).await;
    let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
    closed.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let nowhere = format!("https://{}/range/", closed.local_addr().expect("an address"));
    let server = careful(&service, &nowhere, &[]).await;
    sign_up(&Persona::anon(&server), "ada@example.com", GOOD).await.expect(503);
    // Nor one that may not be called: the guard of all calls holds for this one.
    let url = service.url("/range/");
    let server = careful(&service, &url, &[("OUTBOUND__ALLOW", "10.0.0.0/8")]).await;
    sign_up(&Persona::anon(&server), "ada@example.com", GOOD).await.expect(503);
}

/// The answer is of the password alone: whether the address has an account, or the current password is right, is not
/// looked at before.
#[tokio::test]
async fn a_refusal_says_nothing_of_an_account() {
    let mut service = Receiver::start(range(7)).await;
    let server = careful(&service, &service.url("/range/"), &[("PROJECT__DEFAULT__LOCKOUT__FAILURES", "1")]).await;
    for dialect in &DIALECTS {
        let anon = dialect.anon(&server);
        let taken = address(dialect, "ada");
        let user = dialect.newcomer(&anon, &taken, GOOD).await;
        service.next().await;
        let free = address(dialect, "eve");
        for (password, asked) in [(LEAKED, 1), (COMMON, 0)] {
            let replies = [sign_up(&anon, &taken, password).await, sign_up(&anon, &free, password).await];
            assert_eq!((replies[0].status, &replies[0].text), (replies[1].status, &replies[1].text));
            for _ in 0..2 * asked {
                service.next().await;
            }
            assert!(service.at_hand().is_none());
            let right = dialect.change_password(&user, GOOD, password).await;
            let wrong = dialect.change_password(&user, "wrong horse", password).await;
            assert_eq!((right.status, &right.text), (wrong.status, &wrong.text));
            for _ in 0..2 * asked {
                service.next().await;
            }
        }
        // None of them counted as a guess, the first of which would lock.
        dialect.signed_in(&anon, &taken, GOOD).await;
    }
}

#[tokio::test]
async fn who_may_not_sign_up_has_nobody_asked() {
    let mut service = Receiver::start(range(7)).await;
    let server = careful(&service, &service.url("/range/"), &[("PROJECT__DEFAULT__SIGNUP__ENABLED", "false")]).await;
    for dialect in &DIALECTS {
        sign_up(&dialect.anon(&server), "ada@example.com", LEAKED).await.expect(403);
    }
    let server = careful(&service, &service.url("/range/"), &[]).await;
    for dialect in &DIALECTS {
        let short = sign_up(&dialect.anon(&server), "ada@example.com", "short").await;
        let says = ["at least 8 characters", "password-too-short"].iter().any(|words| short.text.contains(words));
        assert!(says, "{}", short.text);
    }
    assert!(service.at_hand().is_none());
}

#[tokio::test]
async fn without_a_policy_any_password_will_do() {
    let mut service = Receiver::start(range(7)).await;
    let url = service.url("/range/");
    let mut settings = vec![("PROJECT__DEFAULT__PASSWORD__LEAKED_URL", url.as_str())];
    settings.extend(service.settings());
    let server = Server::with(&settings).await;
    for dialect in &DIALECTS {
        let user = dialect.newcomer(&dialect.anon(&server), &address(dialect, "ada"), COMMON).await;
        dialect.change_password(&user, COMMON, LEAKED).await.expect(200);
    }
    assert!(service.at_hand().is_none());
}

/// An operator's passwords are guessed like any other; a hash is taken as it is.
#[tokio::test]
async fn the_policy_holds_for_an_operator_too() {
    let service = Receiver::start(range(7)).await;
    let server = careful(&service, &service.url("/range/"), &[]).await;
    let project = project(&server, "default").await;
    let by = Operator { now: server.clock().now(), uid: None };
    let new = |password: NewPassword| NewUser {
        email: Email::parse("ada@example.com").expect("an address"),
        password: Some(password),
        display_name: None,
        verified: false,
        metadata: None,
        role: Role::User,
    };
    let plain = |text: &str| NewPassword::Plain(Secret::new(text.to_owned()));
    assert!(matches!(accounts::create(&project, by, new(plain(COMMON))).await, Err(Error::PasswordCommon)));
    assert!(matches!(accounts::create(&project, by, new(plain(LEAKED))).await, Err(Error::PasswordLeaked)));
    let ada = accounts::create(&project, by, new(plain(GOOD))).await.expect("an account");
    let set = async |password| accounts::set_password(&project, by, UserRef::Id(ada.id), password).await;
    assert!(matches!(set(plain(COMMON)).await, Err(Error::PasswordCommon)));
    assert!(matches!(set(plain(LEAKED)).await, Err(Error::PasswordLeaked)));
    service.answers(Answer::Says(503, String::new()));
    assert!(matches!(set(plain(GOOD)).await, Err(Error::PolicyUnavailable { .. })));
    set(NewPassword::Imported(ada.password.expect("a hash"))).await.expect("a hash is taken");
}
