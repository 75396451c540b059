//! A receiver that never answers keeps neither others nor mails waiting.

use std::collections::BTreeSet;

use keystead::auth::outbox;

use super::{ADA, PASSWORD, SECRET, ok, server};
use crate::persona::{Persona, project};
use crate::receiver::{Answer, Receiver};

#[tokio::test]
async fn one_that_hangs_holds_up_neither_others_nor_mails() {
    let mut hangs = Receiver::start(Answer::Hangs).await;
    let mut app = Receiver::start(ok()).await;
    let both: String = [&hangs, &app].map(|of| std::fs::read_to_string(of.settings()[1].1).expect("a file")).concat();
    let dir = tempfile::tempdir().expect("a folder");
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, both).expect("a file");
    let url = hangs.url("/");
    let more = [
        ("PROJECT__DEFAULT__VERIFICATION__MODE", "lenient"),
        ("PROJECT__DEFAULT__VERIFICATION__DELIVERY", "mail"),
        ("OUTBOUND__CA_FILE", ca_file.to_str().expect("text")),
        ("PROJECT__DEFAULT__WEBHOOKS__AAA__URL", &url),
        ("PROJECT__DEFAULT__WEBHOOKS__AAA__SECRET", SECRET),
    ];
    let server = server(&app, &more).await;
    let anon = Persona::anon(&server);
    for number in 0..12 {
        anon.sign_up(&format!("user{number}@example.com"), PASSWORD).await;
    }
    let mut told = BTreeSet::new();
    while told.len() < 12 {
        told.insert(app.next().await.header("webhook-id").to_owned());
    }
    for number in 0..12 {
        server.mailbox().next_to(&format!("user{number}@example.com")).await;
    }
    // Meanwhile the other has the posts that one receiver gets at once, and waits for none of them.
    let mut begun = 0;
    while hangs.at_hand().is_some() {
        begun += 1;
    }
    assert!((1..=4).contains(&begun), "{begun}");
    let waiting = outbox::waiting(project(&server, "default").await.as_ref(), None, 100).expect("a store that works");
    assert!(waiting.iter().filter(|item| item.recipient == "aaa").count() == 12, "{waiting:?}");
    // With all of that on the way, the next mail leaves too, and sign-in is as quick as ever.
    anon.sign_up(ADA, PASSWORD).await;
    let mail = server.mailbox().next_to(ADA).await;
    assert_eq!(mail.template, "verify-email");
    anon.signed_in(ADA, PASSWORD).await;
}
