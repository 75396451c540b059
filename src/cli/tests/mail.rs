//! `keystead mail`: what waits and what was given up, templates, the transport tried.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::auth::outbox::{self, Outcome, Terms};
use crate::auth::projects::Selector;
use crate::data::outbox::{self as rows, Item, Kind, Payload};
use crate::env::Timestamp;
use crate::mail::{Letter, Template, Templates};

/// Two mails that wait, of which one is given up.
fn two_mails(desk: &Desk) -> (Uuid, Uuid) {
    let (waiting, dead) = (Uuid::from_u128(1), Uuid::from_u128(2));
    block_on(async {
        let server = Server::run(desk.settings()).await;
        let project = server.projects().find(Selector::Id(server.project())).await.unwrap().unwrap();
        let now = server.projects().shared().env.now();
        project
            .store()
            .write(move |w| {
                for id in [waiting, dead] {
                    rows::enqueue(w, &item(id, now))?;
                }
                Ok::<_, crate::auth::Error>(())
            })
            .await
            .unwrap();
        let never = Outcome::Never { error: "localhost:25 refuses RCPT TO: \"550 no such user\"".into() };
        outbox::settle(&project, now, Duration::from_secs(60), vec![(dead, never)]).await.unwrap();
        server.stop().await;
    });
    (waiting, dead)
}

fn item(id: Uuid, now: Timestamp) -> Item {
    let letter: Letter = Templates::sample_letter(Template::VerifyEmail, None);
    Item {
        id,
        kind: Kind::Mail,
        purpose: letter.template.name().to_owned(),
        recipient: "ada@example.com".into(),
        payload: Payload::Plain(serde_json::to_vec(&letter).unwrap()),
        created_at: now,
        since: now,
        next_at: now,
        // The clock of a command is the system's.
        expires_at: Timestamp::from_secs(4_000_000_000),
        attempts: 1,
        begun: false,
        interrupted: false,
        last_error: None,
    }
}

#[test]
fn mails_are_listed_shown_resent_and_dropped() {
    let desk = Desk::new();
    let (waiting, dead) = two_mails(&desk);
    let told = desk.script("mail list", "");
    assert!(told.err.contains("1 were given up"), "{}", told.err);
    let listed = told.ok();
    assert!(listed.contains(&waiting.to_string()) && !listed.contains(&dead.to_string()), "{listed}");
    let listed = desk.script("mail list --dead", "").ok();
    assert!(listed.contains(&dead.to_string()) && listed.contains("550 no such user"), "{listed}");
    let json = desk.script("mail list --dead --json", "").json();
    assert_eq!((&json["items"][0]["state"], &json["dead"]), (&json!("dead"), &json!(1)));

    let shown = desk.script(&format!("mail show {waiting}"), "").ok();
    assert!(shown.contains("verify-email?token=") && shown.contains("7K2M-9QXR-4TBD"), "{shown}");
    let json = desk.script(&format!("mail show {dead} --json"), "").json();
    assert_eq!(json["mail"]["code"], "7K2M-9QXR-4TBD");
    assert_eq!(json["item"]["last_error"], "localhost:25 refuses RCPT TO: \"550 no such user\"");

    let json = desk.script(&format!("mail resend {dead} --json"), "").json();
    assert_eq!((&json["state"], &json["attempts"]), (&json!("waiting"), &json!(0)));
    assert!(desk.script("mail resend --all", "").ok().starts_with("0 are sent"));
    desk.script(&format!("mail drop {dead}"), "").ok();
    desk.script(&format!("mail drop {dead}"), "").fails(1, "it may have been sent");
    desk.script(&format!("mail show {dead}"), "").fails(1, "`keystead mail list`");
    desk.script("mail resend", "").fails(2, "required");
    desk.script(&format!("mail resend {dead} --all"), "").fails(2, "cannot be used with");
}

#[test]
fn templates_are_previewed() {
    let desk = Desk::empty();
    let shown = desk.script("mail preview verify-email", "").ok();
    assert!(shown.starts_with("Subject: ") && shown.contains("7K2M-9QXR-4TBD"), "{shown}");
    assert!(desk.script("mail preview verify-email --html", "").ok().contains("<a href="));
    assert!(!desk.script("mail preview verify-email --text", "").ok().contains("Subject: "));
    let french = desk.script("mail preview verify-email --locale fr --json", "").json();
    assert_ne!(french["subject"], desk.script("mail preview verify-email --json", "").json()["subject"]);
    let reset = desk.script("mail preview password-reset --locale de --json", "").json();
    assert_eq!(reset["subject"], "Wählen Sie ein neues Passwort für Example App");
    let ticket = reset["headers"]["X-Ticket"].as_str().unwrap();
    assert!(ticket.starts_with("passwordReset:"), "{ticket}");
    assert!(desk.script("mail preview signin-otp", "").ok().contains("\n    042719\n"));
    desk.script("mail preview nonsense", "").fails(2, "there are verify-email, ");
    desk.script("mail preview verify-email --html --text", "").fails(2, "cannot be used with");
}

#[test]
fn a_transport_is_tried_without_a_server() {
    let mut desk = Desk::empty();
    desk.script("mail test ada@example.com", "").fails(1, "mail.transport is \"none\"");
    desk.script("mail test nonsense", "").fails(2, "write an address");
    let mut set = |name: &str, value: &str| desk.variables.insert(format!("KEYSTEAD_MAIL__{name}"), value.into());
    set("TRANSPORT", "smtp");
    set("FROM", "shop@example.com");
    set("SMTP__HOST", "127.0.0.1");
    // Nobody can listen there.
    set("SMTP__PORT", "1");
    desk.script("mail test ada@example.com", "").fails(1, "cannot be reached");
    let told = desk.script("mail test ada@example.com --json", "");
    let answer: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((told.code, &answer["sent"], &answer["for_good"]), (1, &json!(false), &json!(false)));
    let mut set = |name: &str, value: &str| desk.variables.insert(format!("KEYSTEAD_MAIL__{name}"), value.into());
    set("TRANSPORT", "log");
    assert!(desk.script("mail test ada@example.com", "").ok().contains("keystead mail show ID"));
    let dir = desk.dir.path().join("mails");
    let mut set = |name: &str, value: &str| desk.variables.insert(format!("KEYSTEAD_MAIL__{name}"), value.into());
    set("TRANSPORT", "file");
    set("FILE__DIR", dir.to_str().unwrap());
    assert!(desk.script("mail test ada@example.com", "").ok().starts_with("written into "));
    let mail = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    assert!(std::fs::read_to_string(&mail).unwrap().contains("From: shop@example.com\r\n"));
    std::fs::remove_file(mail).unwrap();
    desk.script("mail test ada@example.com --template email-confirm-change --locale cs", "").ok();
    let mail = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let mail = std::fs::read_to_string(mail).unwrap();
    assert!(mail.starts_with("X-Email-Template: email-confirm-change\r\nX-Ticket: emailConfirmChange:"), "{mail}");
    assert!(mail.contains("To: ada@example.com\r\n") && mail.contains("lang=3D\"cs\""), "{mail}");
    desk.script("mail test ada@example.com --template nonsense", "").fails(2, "there are verify-email, ");
    desk.script("mail test ada@example.com --locale cs", "").fails(2, "--template");
    assert!(!desk.data().exists(), "it needs no data directory");
}

#[test]
fn a_mail_that_was_only_logged_is_read_in_the_outbox_until_it_expires() {
    let desk = Desk::new();
    let (waiting, _) = two_mails(&desk);
    let ends = Timestamp::from_secs(4_000_000_000);
    block_on(async {
        let server = Server::run(desk.settings()).await;
        let project = server.projects().find(Selector::Id(server.project())).await.unwrap().unwrap();
        let now = server.projects().shared().env.now();
        outbox::settle(&project, now, Duration::from_secs(60), vec![(waiting, Outcome::Told)]).await.unwrap();
        let found = outbox::show(&project, waiting).unwrap();
        assert_eq!(found.item().next_at, ends);
        let terms = Terms {
            now: ends,
            retry_for: Duration::from_secs(60),
            lane: rows::Lane::Mail,
            sends: true,
            most: 9,
            in_flight: std::collections::HashSet::new(),
        };
        let claimed = outbox::claim(&project, vec![terms]).await.unwrap();
        assert_eq!((claimed[0].items.len(), claimed[0].buried), (0, 0));
        assert!(outbox::show(&project, waiting).is_err(), "nothing is left of it");
        server.stop().await;
    });
}
