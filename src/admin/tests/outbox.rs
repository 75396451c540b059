//! The outbox as the operator handles it: listed, shown, sent again, dropped.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{House, USERS, ctx, own_uid};
use crate::auth::outbox::{self, Outcome, Terms};
use crate::auth::projects::Selector;
use crate::auth::sign_up::{SignUp, sign_up};
use crate::auth::{Email, Project};
use crate::crypto::Secret;
use crate::data::outbox::Lane;

const OUTBOX: &str = "/v1/projects/default/outbox";

/// A house that proves addresses by mail, where each of these waits for one. Nothing delivers them.
async fn mailing(emails: &[&str]) -> (House, Arc<Project>) {
    let house = House::with(&[
        ("PROJECT__DEFAULT__VERIFICATION__MODE", "strict"),
        ("PROJECT__DEFAULT__VERIFICATION__DELIVERY", "mail"),
        ("PROJECT__DEFAULT__VERIFICATION__LINK", "https://app.example.com/#/verify/{token}"),
        ("PROJECT__DEFAULT__WEBHOOKS__APP__URL", "https://app.example.com/hook"),
        ("PROJECT__DEFAULT__WEBHOOKS__APP__SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("PROJECT__DEFAULT__WEBHOOKS__APP__EVENTS", "security.account_disabled"),
    ])
    .await;
    let project = house.app.projects().find(Selector::Only).await.unwrap().unwrap();
    for email in emails {
        // Ids go by time, and the clock stands still.
        house.clock.advance(Duration::from_secs(1));
        let password = Secret::new("correct horse".to_owned());
        let new = SignUp::new(Email::parse(email).unwrap(), password);
        sign_up(&ctx(&house, &project), new).await.unwrap();
    }
    (house, project)
}

/// What becomes of the oldest `count` mails that are due: tried, and refused for good.
async fn refused_for_good(house: &House, project: &Project, count: usize) {
    let now = house.app.projects().shared().env.now();
    let retry_for = Duration::from_secs(48 * 3600);
    let terms = Terms { now, retry_for, lane: Lane::Mail, sends: true, most: count, in_flight: Default::default() };
    let begun = outbox::claim(project, vec![terms]).await.unwrap().remove(0).items;
    let refused = Outcome::Never { error: "550 no such user".into() };
    let ended = begun.iter().map(|item| (item.id, refused.clone())).collect();
    outbox::settle(project, now, retry_for, ended).await.unwrap();
}

/// The path of a listed item.
fn item(list: &Value, number: usize) -> String {
    format!("{OUTBOX}/{}", list["items"][number]["id"].as_str().unwrap())
}

/// To whom the listed items go.
fn recipients(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["recipient"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_waits_and_what_was_given_up_is_listed_and_shown() {
    let (house, project) = mailing(&["ada@example.com", "bob@example.com", "carl@example.com"]).await;
    refused_for_good(&house, &project, 2).await;
    let waiting = house.get(OUTBOX).await;
    assert_eq!((recipients(&waiting), &waiting["next"]), (vec!["carl@example.com"], &Value::Null));
    assert_eq!((&waiting["waiting"], &waiting["dead"]), (&json!(1), &json!(2)));
    assert_eq!(house.get(&format!("{OUTBOX}?state=waiting")).await, waiting);
    let dead = house.get(&format!("{OUTBOX}?state=dead")).await;
    assert_eq!((recipients(&dead), &dead["next"]), (vec!["ada@example.com", "bob@example.com"], &Value::Null));
    let first = house.get(&format!("{OUTBOX}?state=dead&limit=1")).await;
    assert_eq!((recipients(&first), &first["next"]), (vec!["ada@example.com"], &dead["items"][0]["id"]));
    let rest = format!("{OUTBOX}?state=dead&limit=1&after={}", first["next"].as_str().unwrap());
    let rest = house.get(&rest).await;
    assert_eq!((recipients(&rest), &rest["next"]), (vec!["bob@example.com"], &Value::Null));

    let shown = house.get(&item(&dead, 0)).await;
    assert_eq!(shown, dead["items"][0]);
    let expected = json!({
        "id": shown["id"], "state": "dead", "kind": "mail", "purpose": "verify-email",
        "recipient": "ada@example.com", "created_at": "2026-01-01T00:00:01Z", "next_at": null,
        "expires_at": "2026-01-02T00:00:01Z", "attempts": 1, "sending": false, "last_error": "550 no such user",
        "died_at": "2026-01-01T00:00:03Z",
    });
    assert_eq!(shown, expected);
    let shown = house.get(&item(&waiting, 0)).await;
    assert_eq!(shown, waiting["items"][0]);
    let seen = ["state", "next_at", "attempts", "died_at"].map(|field| shown[field].clone());
    assert_eq!(seen, [json!("waiting"), json!("2026-01-01T00:00:03Z"), json!(0), Value::Null]);

    // Its secrets are shown to who asks for that one mail, and in no list.
    for (list, email) in [(&dead, "ada@example.com"), (&waiting, "carl@example.com")] {
        let mail = house.get(&format!("{}/mail", item(list, 0))).await;
        let (link, code) = (mail["link"].as_str().unwrap(), mail["code"].as_str().unwrap());
        let token = link.strip_prefix("https://app.example.com/#/verify/").unwrap();
        assert_eq!((&mail["to"], &mail["template"]), (&json!(email), &json!("verify-email")));
        assert!(mail["text"].as_str().unwrap().contains(link) && mail["text"].as_str().unwrap().contains(code));
        assert!(!list.to_string().contains(token) && !list.to_string().contains(code), "{list}");
    }
    house.clock.advance(Duration::from_secs(1));
    let disabled = house.ask(Method::POST, &format!("{USERS}/carl@example.com/disable"), Value::Null).await;
    assert_eq!(disabled.0, StatusCode::OK);
    let both = house.get(OUTBOX).await;
    assert_eq!(recipients(&both), ["carl@example.com", "app"]);
    assert_eq!(both["items"][1]["kind"], "webhook");
    let no_mail = house.refused(Method::GET, &format!("{}/mail", item(&both, 1)), Value::Null).await;
    assert_eq!(no_mail, (422, "invalid".into()));
}

#[tokio::test]
async fn what_is_sent_again_or_dropped_is_in_the_trail() {
    let emails = ["ada@example.com", "bob@example.com", "carl@example.com", "dora@example.com"];
    let (house, project) = mailing(&emails).await;
    refused_for_good(&house, &project, 3).await;
    let (waiting, dead) = (house.get(OUTBOX).await, house.get(&format!("{OUTBOX}?state=dead")).await);
    let [ada, bob, dora] = [item(&dead, 0), item(&dead, 1), item(&waiting, 0)];
    let (status, again) = house.ask(Method::POST, &format!("{ada}/resend"), Value::Null).await;
    let seen = ["state", "recipient", "attempts", "next_at", "died_at"].map(|field| again[field].clone());
    let due = json!("2026-01-01T00:00:04Z");
    assert_eq!(status, StatusCode::OK, "{again}");
    assert_eq!(seen, [json!("waiting"), json!("ada@example.com"), json!(0), due, Value::Null]);
    for gone in [&bob, &dora] {
        assert_eq!(house.ask(Method::DELETE, gone, Value::Null).await, (StatusCode::OK, json!({"dropped": 1})));
        assert_eq!(house.refused(Method::DELETE, gone, Value::Null).await, (404, "unknown_item".into()));
    }
    let all = format!("{OUTBOX}/resend");
    for resent in [1, 0] {
        assert_eq!(house.ask(Method::POST, &all, Value::Null).await, (StatusCode::OK, json!({"resent": resent})));
    }
    let waiting = house.get(OUTBOX).await;
    assert_eq!((recipients(&waiting), &waiting["dead"]), (vec!["ada@example.com", "carl@example.com"], &json!(0)));

    let unknown = format!("{OUTBOX}/{}", uuid::Uuid::nil());
    for (method, path) in [(Method::GET, ""), (Method::GET, "/mail"), (Method::POST, "/resend"), (Method::DELETE, "")] {
        let refused = house.refused(method, &format!("{unknown}{path}"), Value::Null).await;
        assert_eq!(refused, (404, "unknown_item".into()), "{path}");
    }
    for query in ["?state=gone", "?limit=0", "?state=dead&after=ada"] {
        let refused = house.refused(Method::GET, &format!("{OUTBOX}{query}"), Value::Null).await;
        assert_eq!(refused, (422, "invalid".into()), "{query}");
    }
    // What is in them does not work any more: nothing is sent, and nothing told.
    house.clock.advance(Duration::from_secs(24 * 3600));
    refused_for_good(&house, &project, 9).await;
    assert_eq!(house.refused(Method::POST, &format!("{ada}/resend"), Value::Null).await, (409, "item_expired".into()));
    assert_eq!(house.ask(Method::POST, &all, Value::Null).await, (StatusCode::OK, json!({"resent": 0})));

    let trail = house.get("/v1/projects/default/audit").await;
    let entries = trail["entries"].as_array().unwrap().iter();
    let told: Vec<_> = entries.filter(|entry| entry["event"].as_str().unwrap().starts_with("outbox_")).collect();
    let seen = told.iter().map(|entry| ["event", "by", "uid", "user"].map(|field| entry[field].clone()));
    let mut expected = Vec::new();
    for (event, whose) in [
        ("outbox_resent", Some("ada@example.com")),
        ("outbox_dropped", Some("bob@example.com")),
        ("outbox_dropped", Some("dora@example.com")),
        ("outbox_resent", None),
    ] {
        let user = match whose {
            Some(email) => house.get(&format!("{USERS}/{email}")).await["id"].clone(),
            None => Value::Null,
        };
        expected.push([json!(event), json!("operator"), json!(own_uid().0), user]);
    }
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    // An address finds what was done to its mails.
    let bobs = house.get("/v1/projects/default/audit?address=bob%40example.com").await;
    let dropped = bobs["entries"].as_array().unwrap().iter().filter(|entry| entry["event"] == "outbox_dropped");
    assert_eq!(dropped.collect::<Vec<_>>(), [told[1]]);
}
