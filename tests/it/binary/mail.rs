//! Mail by the real executable: what was acknowledged arrives though it is killed, refused mails come back by command,
//! and `keystead mail test` shows the conversation.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::process::{Binary, Place};
use crate::mail_server::sink::{At, Fault, Manner, PASSWORD, Received, Sink, USERNAME};

/// Mails on their way when the server is killed.
const MAILS: usize = 6;

/// A place whose mails go to `sink`.
pub(super) fn place(sink: &Sink) -> Place {
    let place = Place::new();
    let ca = place.write("mail-ca.pem", sink.ca_pem());
    place
        .set("MAIL__TRANSPORT", "smtp")
        .set("MAIL__FROM", "Shop <shop@example.com>")
        .set("MAIL__SMTP__HOST", "localhost")
        .set("MAIL__SMTP__PORT", &sink.port().to_string())
        .set("MAIL__SMTP__CA_FILE", &ca.to_string_lossy())
        .set("MAIL__SMTP__USERNAME", USERNAME)
        .set("MAIL__SMTP__PASSWORD", PASSWORD)
        .set("MAIL__SMTP__HELO_NAME", "auth.example.com")
        .set("PROJECT__DEFAULT__VERIFICATION__MODE", "strict")
        .set("PROJECT__DEFAULT__VERIFICATION__DELIVERY", "mail")
}

fn manner(fault: Option<(At, Fault)>) -> Manner {
    Manner { auth: "PLAIN CRAM-MD5", fault, ..Manner::default() }
}

/// Makes accounts, each of which is sent a mail; the addresses whose sign-up was acknowledged.
async fn sign_up(server: &Binary, count: usize) -> Vec<String> {
    let client = server.client().build().expect("a client");
    let mut all = JoinSet::new();
    for number in 0..count {
        let (client, url) = (client.clone(), format!("{}/api/auth/signup", server.url()));
        all.spawn(async move {
            let email = format!("user-{number}@example.com");
            let body = json!({"email": email, "password": "correct horse"}).to_string();
            let sent = client.post(url).header("content-type", "application/json").body(body).send().await;
            let status = sent.expect("an answer").status().as_u16();
            assert!((200..300).contains(&status), "{status}");
            email
        });
    }
    all.join_all().await
}

fn listed(place: &Place, arguments: &[&str]) -> Value {
    let words: Vec<&str> = ["mail", "list", "--json"].iter().chain(arguments).copied().collect();
    let ended = place.run(&words);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    serde_json::from_str(&ended.out).expect("a line of JSON")
}

/// Asks until nothing waits any more.
fn until_none_waits(place: &Place) {
    while listed(place, &[])["waiting"] != 0 {}
}

/// How often each mail came, by its recipient; the same mail has the same id.
fn arrivals(received: &[Received]) -> BTreeMap<String, usize> {
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut count = BTreeMap::new();
    for mail in received {
        let to = mail.to.trim_matches(['<', '>']).to_owned();
        let id = ids.entry(to.clone()).or_insert_with(|| mail.message_id());
        assert_eq!(*id, mail.message_id(), "another mail to {to}");
        *count.entry(to).or_default() += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_arrives_though_the_server_is_killed_and_at_most_once_more() {
    for (at, most) in [(At::Sender, 1), (At::End, 2)] {
        // Every mail is held there: after the commit that acknowledged it, before its end is known.
        let sink = Sink::start(manner(Some((at, Fault::Silence)))).await;
        let place = place(&sink);
        let server = place.start();
        let acknowledged = sign_up(&server, MAILS).await;
        sink.strikes(MAILS).await;
        server.kill();
        sink.behave(|manner| manner.fault = None);
        let server = place.start();
        sink.mails(MAILS * most).await;
        until_none_waits(&place);
        let arrivals = arrivals(&sink.received());
        for email in &acknowledged {
            assert_eq!(arrivals.get(email), Some(&most), "{at:?}: {email}");
        }
        assert_eq!(arrivals.len(), MAILS);
        assert_eq!(server.stop().code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_for_good_is_listed_and_sent_again_by_command() {
    let refusal = Fault::reply("550 5.1.1 no such user");
    let sink = Sink::start(manner(Some((At::Recipient, refusal)))).await;
    let place = place(&sink);
    let server = place.start();
    sign_up(&server, 2).await;
    let dead = loop {
        let dead = listed(&place, &["--dead"]);
        if dead["dead"] == 2 {
            break dead;
        }
    };
    let why = dead["items"][0]["last_error"].as_str().expect("a reason");
    assert!(why.contains("refuses RCPT TO: \"550 5.1.1 no such user\""), "{why}");
    assert!(sink.received().is_empty());
    sink.behave(|manner| manner.fault = None);
    let id = dead["items"][0]["id"].as_str().expect("an id");
    assert_eq!(place.run(&["mail", "resend", id]).code, Some(0));
    sink.mails(1).await;
    assert_eq!(place.run(&["mail", "resend", "--all"]).out, "1 are sent as soon as the server runs\n");
    sink.mails(2).await;
    until_none_waits(&place);
    assert_eq!(arrivals(&sink.received()).into_values().collect::<Vec<_>>(), [1, 1]);
    let ended = server.stop();
    assert!(!ended.err.contains(PASSWORD) && !ended.err.contains("token="), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_conversation_is_shown_and_what_to_do_where_it_fails() {
    let sink = Sink::start(manner(None)).await;
    let place = place(&sink);
    let ended = place.run(&["mail", "test", "ada@example.com"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "sent; localhost says \"250 2.0.0 Ok: queued\"\n"));
    insta::assert_snapshot!(ended.err.replace(&sink.port().to_string(), "PORT"));
    let received = &sink.received()[0];
    assert_eq!((received.from.as_str(), received.to.as_str()), ("<shop@example.com>", "<ada@example.com>"));
    let ended = place.set("MAIL__SMTP__PASSWORD", "a guess").run(&["mail", "test", "ada@example.com"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("S: 535 5.7.8 wrong\n"), "{}", ended.err);
    assert!(ended.err.contains("check mail.smtp.username and mail.smtp.password"), "{}", ended.err);
}
