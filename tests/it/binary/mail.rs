//! Mail by the real executable: `keystead mail test` shows the conversation, and what to do where it fails.

use super::process::Place;
use crate::mail_server::sink::{At, Fault, Manner, PASSWORD, Sink, USERNAME};

/// A place whose mails go to `sink`.
fn place(sink: &Sink) -> Place {
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
}

fn manner(fault: Option<(At, Fault)>) -> Manner {
    Manner { auth: "PLAIN CRAM-MD5", fault, ..Manner::default() }
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
    let ended = place.clone().set("MAIL__SMTP__PASSWORD", "a guess").run(&["mail", "test", "ada@example.com"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("S: 535 5.7.8 wrong\n"), "{}", ended.err);
    assert!(ended.err.contains("check mail.smtp.username and mail.smtp.password"), "{}", ended.err);
}
