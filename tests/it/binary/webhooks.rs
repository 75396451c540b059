//! What an operator sees of webhooks: listed, tried, without a secret.

use serde_json::Value;

use super::process::Place;
use crate::receiver::{Answer, Receiver};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn place(app: &Receiver, url: &str) -> Place {
    let [(allow, network), (ca, file)] = app.settings();
    Place::new()
        .set("PROJECT__DEFAULT__WEBHOOKS__APP__URL", url)
        .set("PROJECT__DEFAULT__WEBHOOKS__APP__SECRET", SECRET)
        .set("PROJECT__DEFAULT__WEBHOOKS__APP__EVENTS", "security.lockout")
        .set(allow, network)
        .set(ca, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_listed_and_tried() {
    let mut app = Receiver::start(Answer::Says(200, "thank you\u{1b}[31m".into())).await;
    let place = place(&app, &app.url("/hook/t0ken?key=t0ken"));
    for running in [true, false] {
        let server = running.then(|| place.start());
        let listed = place.run(&["webhook", "list"]);
        assert_eq!(listed.code, Some(0), "{listed:?}");
        assert!(listed.out.contains("app") && listed.out.contains("security.lockout"), "{}", listed.out);
        let tried = place.run(&["webhook", "test", "app"]);
        assert_eq!(tried.code, Some(0), "{tried:?}");
        assert!(tried.out.contains("200") && tried.out.contains("thank you"), "{}", tried.out);
        assert!(!tried.out.contains('\u{1b}'), "nothing that a terminal obeys");
        let ping = app.next().await;
        assert_eq!(ping.json()["type"], "ping");
        assert!(ping.header("webhook-signature").starts_with("v1,"));
        let json = place.run(&["webhook", "list", "--json"]);
        let json: Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!(json["webhooks"][0]["waiting"], 0);
        for said in [listed.out, tried.out, json.to_string()] {
            assert!(!said.contains("t0ken") && !said.contains(SECRET), "{said}");
        }
        if let Some(server) = server {
            server.stop();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_take_it_fails_the_command() {
    let app = Receiver::start(Answer::Says(500, "broken".into())).await;
    let place = place(&app, &app.url("/"));
    place.start().stop();
    let tried = place.run(&["webhook", "test", "app"]);
    assert!(tried.code == Some(1) && tried.out.contains("500") && tried.out.contains("broken"), "{tried:?}");
    let unknown = place.run(&["webhook", "test", "nobody"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("unknown webhook"), "{unknown:?}");
    app.answers(Answer::Says(200, String::new()));
    let refused = place.set("OUTBOUND__ALLOW", "10.0.0.0/8").run(&["webhook", "test", "app"]);
    assert!(refused.code == Some(1) && refused.out.contains("outbound.allow"), "{refused:?}");
}
