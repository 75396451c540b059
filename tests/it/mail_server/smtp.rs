//! The SMTP transport against a server that is friendly, wrong, slow, hostile or gone.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use keystead::Env;
use keystead::crypto::Secret;
use keystead::env::Timestamp;
use keystead::mail::{
    Envelope, Files, Limits, Login, Message, SendError, Smtp, SmtpSettings, SmtpTls, Template, Templates, Transport,
};
use keystead::net::CaFile;
use tempfile::NamedTempFile;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::sink::{At, Fault, Manner, PASSWORD, Sink, USERNAME, closed_port};
use crate::leaks::{Watch, remember};

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

/// A mail with what a transport could get wrong.
pub(super) fn message(number: u128) -> Message {
    let link = "https://auth.example.com/verify?token=0123456789abcdefghijklmnop";
    Message {
        id: Uuid::from_u128(number),
        to: "ada@bücher.example".into(),
        from: "Größe & Co <no-reply@shop.example>".into(),
        subject: "Bestätigen".into(),
        text: format!(".a line that begins with a dot\n.\n..\n{link}\nCode: 424242\n"),
        html: format!("<p>Grüße</p>\n<a href=\"{link}\">{}</a>\n", "x".repeat(100)),
        headers: vec![("X-Email-Template".into(), "verify-email".into())],
        template: "verify-email".into(),
        link: Some(link.into()),
        code: Some("424242".into()),
    }
}

/// A mail that brings a ticket, as the templates make it.
pub(super) fn ticket_mail(template: Template) -> Message {
    let letter = Templates::sample_letter(template, None);
    let envelope = Envelope {
        id: Uuid::from_u128(0x0193_a5e2_7c1e_7d3a_9b1f_3f6c_2a7d_9e10),
        to: "ada@example.com",
        from: "no-reply@shop.example",
        reply_to: None,
        app_name: "The Shop",
        locales: &[],
    };
    Templates::embedded().render(&letter, &envelope).expect("a template of ours")
}

/// How the mail about a new password begins on the wire.
const TICKET_HEAD: &str = "X-Email-Template: password-reset\r\n\
    X-Ticket: passwordReset:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07\r\n\
    X-Redirect-To: https://app.example.com/welcome\r\n\
    X-Link: https://auth.example.com/v1/verify?redirectTo=https%3A%2F%2Fapp.example.com%2Fwelcome\
    &ticket=passwordReset%3A7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07&type=passwordReset\r\n\
    Auto-Submitted: auto-generated\r\n\
    Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n\
    From: no-reply@shop.example\r\n";

fn ca(sink: &Sink) -> CaFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(sink.ca_pem().as_bytes()).expect("a file of our own");
    CaFile::read(file.path()).expect("a certificate")
}

fn settings(sink: &Sink, tls: SmtpTls) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".into(),
        port: sink.port(),
        tls,
        login: None,
        ca_file: Some(ca(sink)),
        helo_name: Some("auth.example.com".into()),
    }
}

fn login() -> Option<Login> {
    Some(Login { username: USERNAME.into(), password: Secret::new(PASSWORD.into()) })
}

/// Signed in over STARTTLS.
fn smtp(sink: &Sink) -> Smtp {
    Smtp::new(&SmtpSettings { login: login(), ..settings(sink, SmtpTls::StartTls) }, &Env::system())
}

async fn faulty(at: At, fault: Fault) -> (Sink, SendError) {
    let sink = Sink::start(Manner { auth: "PLAIN", fault: Some((at, fault)), ..Manner::default() }).await;
    let error = smtp(&sink).send(&message(1), NOW).await.expect_err("it was told to go wrong");
    (sink, error)
}

#[track_caller]
fn later(error: &SendError, said: &str) {
    let SendError::Later(reason) = error else { panic!("given up at once: {error}") };
    assert!(reason.contains(said), "{reason}");
}

#[tokio::test]
async fn every_protection_with_every_mechanism() {
    for (tls, implicit, starttls) in
        [(SmtpTls::StartTls, false, true), (SmtpTls::Implicit, true, false), (SmtpTls::None, false, false)]
    {
        let secure = tls != SmtpTls::None;
        let best = if secure { "PLAIN" } else { "CRAM-MD5" };
        for (auth, chosen) in [
            ("", None),
            ("PLAIN", Some("PLAIN")),
            ("LOGIN", Some("LOGIN")),
            ("CRAM-MD5", Some("CRAM-MD5")),
            ("LOGIN CRAM-MD5 XOAUTH2 PLAIN", Some(best)),
        ] {
            let sink = Sink::start(Manner { implicit, starttls, auth, ..Manner::default() }).await;
            let login = chosen.and_then(|_| login());
            let smtp = Smtp::new(&SmtpSettings { login, ..settings(&sink, tls) }, &Env::system());
            smtp.send(&message(1), NOW).await.unwrap_or_else(|error| panic!("{tls:?} {auth}: {error}"));
            let received = &sink.received()[0];
            assert_eq!((received.encrypted, received.signed_in.as_deref()), (secure, chosen), "{tls:?} {auth}");
        }
    }
}

#[tokio::test]
async fn it_arrives_as_it_was_written_byte_for_byte() {
    let sink = Sink::start(Manner::default()).await;
    Smtp::new(&settings(&sink, SmtpTls::StartTls), &Env::system())
        .send(&message(1), NOW)
        .await
        .expect("a friendly server");
    let received = &sink.received()[0];
    assert_eq!(
        (received.from.as_str(), received.to.as_str()),
        ("<no-reply@shop.example>", "<ada@xn--bcher-kva.example>")
    );
    let raw = String::from_utf8(received.raw.clone()).expect("ASCII");
    // Every line end is CRLF, and no line is longer than RFC 5322 allows.
    assert!(raw.split("\r\n").all(|line| !line.contains(['\r', '\n']) && line.len() <= 998));
    insta::assert_snapshot!(raw.replace("\r\n", "\n"));
}

#[tokio::test]
async fn what_a_ticket_mail_says_in_its_headers_arrives_byte_for_byte_and_is_in_no_log() {
    let watch = Watch::begin();
    let mail = ticket_mail(Template::PasswordReset);
    for secret in [mail.link.as_deref().expect("a link"), "passwordReset:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07"] {
        remember(secret);
    }
    let sink = Sink::start(Manner::default()).await;
    let smtp = Smtp::new(&settings(&sink, SmtpTls::StartTls), &Env::system());
    Transport::Smtp(Arc::new(smtp)).send(&mail, NOW).await.expect("a friendly server");
    let raw = String::from_utf8(sink.received()[0].raw.clone()).expect("ASCII");
    assert_eq!(&raw[..TICKET_HEAD.len()], TICKET_HEAD);
    insta::assert_snapshot!("ticket", raw.replace("\r\n", "\n"));

    let dir = tempfile::tempdir().expect("a folder");
    Transport::Files(Files::new(dir.path())).send(&mail, NOW).await.expect("a folder of our own");
    let file = std::fs::read_dir(dir.path()).expect("a folder").next().expect("a file").expect("a file").path();
    assert_eq!(std::fs::read_to_string(file).expect("a mail"), raw, "there are no lines that begin with a dot");
    Transport::Log.send(&mail, NOW).await.expect("a log");

    // Six digits have no link: the header is there, and empty.
    Smtp::new(&settings(&sink, SmtpTls::StartTls), &Env::system())
        .send(&ticket_mail(Template::SigninOtp), NOW)
        .await
        .expect("a friendly server");
    let raw = String::from_utf8(sink.received()[1].raw.clone()).expect("ASCII");
    let head = "X-Email-Template: signin-otp\r\nX-Ticket: 042719\r\n\
                X-Redirect-To: https://app.example.com/welcome\r\nX-Link: \r\nAuto-Submitted: auto-generated\r\n";
    assert_eq!(&raw[..head.len()], head);
    drop(watch);
}

#[tokio::test]
async fn refusals_for_now_and_for_good() {
    let refused = |at, reply: &'static str| async move { faulty(at, Fault::reply(reply)).await };
    for at in [At::Recipient, At::Data, At::End] {
        let (_, error) = refused(at, "550-5.1.1 no such\r\n550 5.1.1 user").await;
        assert!(
            matches!(&error, SendError::Never(reason) if reason.contains("550 5.1.1 no such user")),
            "{at:?} {error}"
        );
        let (_, error) = refused(at, "451 4.7.1 greylisted").await;
        later(&error, "451 4.7.1 greylisted");
    }
    for at in [At::Greeting, At::Hello, At::StartTls, At::HelloAgain, At::Sender] {
        for reply in ["421 4.3.2 busy", "554 5.7.1 not you"] {
            let (sink, error) = refused(at, reply).await;
            later(&error, reply);
            assert!(sink.received().is_empty());
        }
    }
    later(&refused(At::Sender, "553 5.7.1 not yours").await.1, "mail.from");
    later(&refused(At::Recipient, "530 5.7.0 sign in first").await.1, "mail.smtp.username");
    later(&refused(At::Data, "250 fine").await.1, "answers DATA with 250 fine");
    later(&refused(At::End, "354 more").await.1, "answers the mail with 354 more");
    // A reply may lack what its grammar asks for: text, and the CR of the line end (RFC 5321, section 4.2).
    assert!(matches!(refused(At::Recipient, "550").await.1, SendError::Never(_)));
    later(&refused(At::Recipient, "450-wait\n450 a while\n250 x").await.1, "450 wait a while");
}

#[tokio::test]
async fn a_wrong_password_is_the_operators_to_correct_and_told_to_nobody() {
    for (auth, steps) in [("PLAIN", 1), ("LOGIN", 3), ("CRAM-MD5", 2)] {
        let sink = Sink::start(Manner { auth, ..Manner::default() }).await;
        let wrong = Login { username: USERNAME.into(), password: Secret::new("guess".into()) };
        let settings = SmtpSettings { login: Some(wrong), ..settings(&sink, SmtpTls::StartTls) };
        let error = Smtp::new(&settings, &Env::system()).send(&message(1), NOW).await.expect_err("a wrong password");
        later(&error, "refuses the sign-in (535): check mail.smtp.username and mail.smtp.password");
        assert_eq!((sink.commands().len(), sink.received().len()), (3 + steps, 0), "{:?}", sink.commands());
        assert!(!format!("{settings:?}").contains("guess"));
    }
    // A server that quotes what it could not make out.
    let (_, error) = faulty(At::Auth, Fault::reply(&format!("501 cannot decode {PASSWORD}"))).await;
    later(&error, "(501)");
    assert!(!error.to_string().contains(PASSWORD));
    let sink = Sink::start(Manner { auth: "GSSAPI", ..Manner::default() }).await;
    later(&smtp(&sink).send(&message(1), NOW).await.expect_err("no mechanism"), "PLAIN, LOGIN or CRAM-MD5");
}

#[tokio::test]
async fn what_a_server_quotes_from_the_mail_is_not_repeated() {
    let quoted = "554 spam: https://auth.example.com/verify?token=0123456789abcdefghijklmnop code 424242";
    let (_, error) = faulty(At::End, Fault::reply(quoted)).await;
    let reason = error.to_string();
    assert!(reason.contains("554 spam") && !reason.contains("0123456789") && !reason.contains("424242"), "{reason}");

    let quoted = "554 spam: X-Ticket: verifyEmail:7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07, also \
                  verifyEmail%3A7d4f0e52-9c1b-4b8e-a3f6-2d5c8e1f9a07, 042719";
    let sink = Sink::start(Manner { fault: Some((At::End, Fault::reply(quoted))), ..Manner::default() }).await;
    let smtp = Smtp::new(&settings(&sink, SmtpTls::StartTls), &Env::system());
    for template in [Template::EmailVerify, Template::SigninOtp] {
        let reason = smtp.send(&ticket_mail(template), NOW).await.expect_err("spam").to_string();
        let secret = if template == Template::SigninOtp { "042719" } else { "7d4f0e52" };
        assert!(reason.contains("554 spam") && !reason.contains(secret), "{reason}");
    }
}

#[tokio::test]
async fn never_in_clear() {
    let sink = Sink::start(Manner { starttls: false, auth: "PLAIN", ..Manner::default() }).await;
    later(&smtp(&sink).send(&message(1), NOW).await.expect_err("no TLS"), "does not offer STARTTLS");
    assert!(sink.commands().iter().all(|line| line.starts_with("EHLO") || line == "QUIT"), "{:?}", sink.commands());
    // Whoever sits in between and adds to the clear part what is to be believed after it.
    let injected = "220 go on\r\n250-sink.example\r\n250 AUTH PLAIN";
    let (sink, error) = faulty(At::StartTls, Fault::reply(injected)).await;
    later(&error, "TLS does not begin");
    assert!(!sink.commands().iter().any(|line| line.starts_with("AUTH")));
    // Not the server that was asked for, or not from an authority that is trusted.
    let other = Sink::start(Manner { name: "other.example", ..Manner::default() }).await;
    let error = smtp(&other).send(&message(1), NOW).await.expect_err("another server");
    later(&error, "its certificate is not accepted: ");
    let stranger = Sink::start(Manner::default()).await;
    for ca_file in [None, Some(ca(&other))] {
        let settings = SmtpSettings { ca_file, ..settings(&stranger, SmtpTls::StartTls) };
        let error = Smtp::new(&settings, &Env::system()).send(&message(1), NOW).await.expect_err("a stranger");
        later(&error, "mail.smtp.ca_file");
    }
    assert!(stranger.received().is_empty() && other.received().is_empty());
    // A server that does not speak TLS where it should, and one that speaks it too early.
    let plain = Sink::start(Manner::default()).await;
    let error = Smtp::new(&settings(&plain, SmtpTls::Implicit), &Env::system()).send(&message(1), NOW).await;
    later(&error.expect_err("no TLS"), "does the port fit mail.smtp.tls?");
}

#[tokio::test]
async fn a_server_that_is_down_or_hangs_up_is_tried_again() {
    let sink = Sink::start(Manner::default()).await;
    let settings = SmtpSettings { port: closed_port().await, ..settings(&sink, SmtpTls::StartTls) };
    let error = Smtp::new(&settings, &Env::system()).send(&message(1), NOW).await.expect_err("nobody there");
    later(&error, "cannot be reached");
    for at in [
        At::Greeting,
        At::Hello,
        At::StartTls,
        At::HelloAgain,
        At::Auth,
        At::Sender,
        At::Recipient,
        At::Data,
        At::Middle,
        At::End,
    ] {
        let (sink, error) = faulty(at, Fault::Hangup).await;
        later(&error, &sink.port().to_string());
        assert_eq!(sink.received().len(), usize::from(at == At::End), "{at:?}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_at_any_step_is_left() {
    let mut all = JoinSet::new();
    for (at, said) in [
        (At::Greeting, "the greeting"),
        (At::Hello, "the greeting"),
        (At::StartTls, "STARTTLS"),
        (At::HelloAgain, "STARTTLS"),
        (At::Auth, "AUTH"),
        (At::Sender, "MAIL FROM"),
        (At::Recipient, "RCPT TO"),
        (At::Data, "DATA"),
        (At::Middle, "the mail"),
        (At::End, "the mail"),
    ] {
        all.spawn(async move {
            let fault = Some((at, Fault::Silence));
            let sink = Sink::start(Manner { auth: "PLAIN", fault, ..Manner::default() }).await;
            let mut limit = Duration::from_millis(100);
            loop {
                let limits = Limits { connect: limit, step: limit, content: limit };
                let error = smtp(&sink).with_limits(limits).send(&message(1), NOW).await.expect_err("silence");
                later(&error, "");
                // On a busy machine an earlier step may have taken too long.
                if sink.struck() > 0 {
                    later(&error, &format!("does not answer {said}: nothing for"));
                    return;
                }
                limit *= 2;
            }
        });
    }
    all.join_all().await;
}

#[tokio::test]
async fn replies_that_are_none_are_bounded() {
    let endless = vec![b'a'; 4 << 20];
    let many = b"250-x\r\n".repeat(200_000);
    let binary: Vec<u8> = (0..=255).cycle().take(4000).collect();
    for reply in
        [endless, many, binary, b"\0\0\0".to_vec(), b"HTTP/1.1 400 Bad Request".to_vec(), b"250-a\r\n550 b".to_vec()]
    {
        for at in [At::Greeting, At::HelloAgain, At::Recipient, At::End] {
            let (_, error) = faulty(at, Fault::Reply(reply.clone())).await;
            later(&error, "localhost:");
            assert!(error.to_string().len() < 600, "{error}");
        }
    }
    // What is no UTF-8 is no reason not to understand the code.
    let (_, error) = faulty(At::Recipient, Fault::Reply(b"550 Empf\xe4nger \x1b[2J unbekannt".to_vec())).await;
    assert!(matches!(&error, SendError::Never(reason) if reason.contains("550 Empf?nger ?[2J unbekannt")), "{error}");
}

#[tokio::test]
async fn letters_beyond_ascii_need_a_server_that_takes_them() {
    let jürgen = Message { to: "jürgen@bücher.example".into(), ..message(1) };
    let sink = Sink::start(Manner { utf8: true, auth: "PLAIN", ..Manner::default() }).await;
    smtp(&sink).send(&jürgen, NOW).await.expect("SMTPUTF8");
    let received = &sink.received()[0];
    assert_eq!(received.to, "<jürgen@xn--bcher-kva.example>");
    assert_eq!(received.from, "<no-reply@shop.example> SMTPUTF8 BODY=8BITMIME");
    let sink = Sink::start(Manner { auth: "PLAIN", ..Manner::default() }).await;
    let error = smtp(&sink).send(&jürgen, NOW).await.expect_err("no SMTPUTF8");
    assert!(matches!(&error, SendError::Never(reason) if reason.contains("SMTPUTF8")), "{error}");
}

#[tokio::test]
async fn a_burst_shares_connections_and_a_dead_one_is_replaced() {
    let sink = Sink::start(Manner { auth: "PLAIN", ..Manner::default() }).await;
    let smtp_to = Arc::new(smtp(&sink));
    for number in 0..5 {
        smtp_to.send(&message(number), NOW).await.expect("a friendly server");
    }
    assert_eq!((sink.received().len(), sink.connections()), (5, 1));
    // A refused mail ends the conversation; the others do not notice.
    let mut burst = JoinSet::new();
    for number in 5..25 {
        let smtp = Arc::clone(&smtp_to);
        burst.spawn(async move { smtp.send(&message(number), NOW).await });
    }
    assert!(burst.join_all().await.iter().all(Result::is_ok));
    let mut ids: Vec<_> = sink.received().iter().map(super::sink::Received::message_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((sink.received().len(), ids.len()), (25, 25));
    // The server ends each connection after a mail: what was kept is found dead, and another made.
    let sink = Sink::start(Manner { auth: "PLAIN", mails_each: 1, ..Manner::default() }).await;
    let smtp = smtp(&sink);
    for number in 0..3 {
        smtp.send(&message(number), NOW).await.expect("a friendly server");
    }
    assert_eq!((sink.received().len(), sink.connections()), (3, 3));
}

#[tokio::test]
async fn the_dialogue_is_told_without_the_password() {
    for auth in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let sink = Sink::start(Manner { auth, ..Manner::default() }).await;
        let (lines, mut told) = unbounded_channel();
        let said = smtp(&sink).try_out(&message(1), NOW, lines).await.expect("a friendly server");
        assert_eq!(said, "250 2.0.0 Ok: queued");
        let mut dialogue = String::new();
        while let Some(line) = told.recv().await {
            dialogue.push_str(&format!("{}\n", line.replace(&sink.port().to_string(), "PORT")));
        }
        insta::assert_snapshot!(auth, dialogue);
    }
    // A server that repeats the password tells nobody either.
    let echo = Fault::reply(&format!("535 {PASSWORD} is wrong"));
    let sink = Sink::start(Manner { auth: "PLAIN", fault: Some((At::Auth, echo)), ..Manner::default() }).await;
    let (lines, mut told) = unbounded_channel();
    smtp(&sink).try_out(&message(1), NOW, lines).await.expect_err("refused");
    let mut last = String::new();
    while let Some(line) = told.recv().await {
        assert!(!line.contains(PASSWORD), "{line}");
        last = line;
    }
    assert!(last.contains("535 … is wrong"), "{last}");
}
