//! The sentences that no ledger is needed for, each tried from outside on the server that came back, with an account in
//! each project that is made for it and deleted afterwards.
//!
//! What a crash cannot touch is proved elsewhere and only tried here: 3 (this version has no second factor: that tokens
//! claim none), 10 (`auth::redirect`, `nhost_mail::follow`), 11 (`net::client_address`), 13 in writes and time
//! (`noma::sign_in`, `scenarios::sessions`), 14 (`binary::hostile_clients`, the fuzz targets), 15 on a full disk
//! (`binary::full_disk`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::account::Ask;
use super::client::{ask_by_mail, confirm};
use super::dice::Dice;
use super::doors::{Answer, Api, DOORS, Door};
use super::post::Post;

const ALIVE: &str = "a living server";
/// As many as present one secret at the same instant.
const AT_ONCE: usize = 16;

/// Somebody with an account that is made for a round.
struct Probe<'a> {
    api: &'a Api,
    email: String,
    password: String,
    id: String,
    /// A session at each door.
    sessions: Vec<(Door, String, Option<String>)>,
}

/// Tries them all, in each of two projects and between the two.
pub async fn try_all(apis: [&Api; 2], round: u64, address: &str, dice: &mut Dice) {
    let email = format!("probe-{round}@example.com");
    let mut probes = Vec::new();
    for api in apis {
        probes.push(Probe::new(api, &email, dice).await);
    }
    for (probe, other) in [(&probes[0], &probes[1]), (&probes[1], &probes[0])] {
        works_once_of_many(probe).await;
        is_no_stronger(probe).await;
        is_nothing_to(probe, other).await;
        serves_one_purpose(probe).await;
        redirects_by_url(probe).await;
        address_is_the_sockets(probe, address).await;
        unknown_is_like_wrong(probe).await;
        does_not_panic(probe).await;
    }
}

/// Sentence 8: whoever waits in an account whose address they never proved is out when its owner comes by a link. Then the
/// accounts of [`try_all`] go.
pub async fn link_and_leave(apis: [&Api; 2], round: u64, post: &mut Post, read: impl AsyncFn(&mut Post)) {
    let email = format!("probe-{round}@example.com");
    let mut waiting = Vec::new();
    for (at, api) in apis.into_iter().enumerate() {
        let password = format!("pw-of-an-intruder-{round}-{at}");
        // The account is the one of the other probes, with a password that its owner may not have set.
        let path = format!("/users/{email}/password");
        let set = api.operate(Method::PUT, &path, Some(json!({ "password": password }))).await.expect(ALIVE);
        assert_eq!(set.status, 200, "{}", set.body);
        let session = api.sign_in(Door::Noma, &email, &password).await.expect(ALIVE);
        let (access, _) = Door::Noma.tokens(&session.body).expect("a session");
        let asked = ask_by_mail(api, Ask::Link, &email).await.expect(ALIVE);
        assert_eq!(asked.status, 200, "{}", asked.body);
        waiting.push((api, password, access));
    }
    read(post).await;
    for (api, password, access) in waiting {
        let came = post.take(&api.slug, &email);
        let ticket = came.iter().rfind(|ticket| ticket.kind == Ask::Link);
        let ticket = ticket.unwrap_or_else(|| panic!("no link came to {email} of {}", api.slug));
        let followed = api.follow(&ticket.text).await.expect(ALIVE);
        assert!(followed.location().contains("refreshToken="), "{} {}", followed.status, followed.location());
        for door in DOORS {
            let status = api.sign_in(door, &email, &password).await.expect(ALIVE).status;
            api.seen.hold(8, status == 401, || format!("the password of before is answered {status} by {door:?}"));
        }
        let status = api.me(Door::Noma, &access).await.expect(ALIVE).status;
        api.seen.hold(8, status == 401, || format!("the session of before is answered {status}"));
        let again = api.follow(&ticket.text).await.expect(ALIVE);
        api.seen.hold(1, again.location().contains("error=invalid-ticket"), || format!("followed again: {again:?}"));
        let deleted = api.operate(Method::DELETE, &format!("/users/{email}"), None).await.expect(ALIVE);
        assert_eq!(deleted.status, 200, "{}", deleted.body);
    }
}

impl<'a> Probe<'a> {
    async fn new(api: &'a Api, email: &str, dice: &mut Dice) -> Self {
        let (door, password) = (dice.pick(&DOORS), dice.password());
        let made = api.sign_up(door, email, &password).await.expect(ALIVE);
        assert_eq!(made.status, door.made(), "{}", made.body);
        let id = door.id(&made.body).expect("an id");
        api.seen.id(&api.slug, &id, email);
        let mut sessions = Vec::new();
        for door in DOORS {
            let answer = api.sign_in(door, email, &password).await.expect(ALIVE);
            let (access, refresh) = door.tokens(&answer.body).unwrap_or_else(|| panic!("{answer:?}"));
            sessions.push((door, access, refresh));
        }
        Self { api, email: email.to_owned(), password, id, sessions }
    }

    async fn token(&self) -> String {
        let answer = self.api.post(Door::Noma, "/verify-email/resend", json!({ "email": self.email })).await;
        let answer = answer.expect(ALIVE);
        answer.body["verification_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }
}

/// Sentence 1.
async fn works_once_of_many(probe: &Probe<'_>) {
    let token = probe.token().await;
    let mut all = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (api, token) = (probe.api.clone(), token.clone());
        all.spawn(async move { confirm(&api, &token).await.expect(ALIVE).status });
    }
    let worked = all.join_all().await.into_iter().filter(|status| *status == 200).count();
    probe.api.seen.hold(1, worked == 1, || format!("of {AT_ONCE} at once {worked} worked"));
}

/// Sentence 3: no token claims a second factor, and none another role than before.
async fn is_no_stronger(probe: &Probe<'_>) {
    let (_, access, refresh) = &probe.sessions[2];
    let answer = probe.api.refresh(Door::Nhost, refresh.as_deref().expect("a refresh token")).await.expect(ALIVE);
    let (after, _) = Door::Nhost.tokens(&answer.body).unwrap_or_else(|| panic!("{answer:?}"));
    let claims = [access, &after].map(|token| payload(token)["https://hasura.io/jwt/claims"].clone());
    let is_elevated = claims.iter().any(|claims| !claims["x-hasura-auth-elevated"].is_null());
    let what = || format!("claims became {claims:?}");
    probe.api.seen.hold(3, !is_elevated && claims[0] == claims[1] && claims[0].is_object(), what);
}

/// Sentence 5: tokens, refresh tokens and the password of one project in the other, where the same address has an account.
async fn is_nothing_to(probe: &Probe<'_>, other: &Probe<'_>) {
    let there = other.api;
    for (door, access, refresh) in &probe.sessions {
        let status = there.me(*door, access).await.expect(ALIVE).status;
        there.seen.hold(5, status == 401, || format!("a token of another project is answered {status} by {door:?}"));
        if let Some(refresh) = refresh {
            let status = there.refresh(*door, refresh).await.expect(ALIVE).status;
            there.seen.hold(5, status == 401, || format!("its refresh token is answered {status} by {door:?}"));
        }
        let status = there.sign_in(*door, &probe.email, &probe.password).await.expect(ALIVE).status;
        there.seen.hold(5, status == 401, || format!("its password is answered {status} by {door:?}"));
    }
    let status = there.sign_in(Door::Noma, &other.email, &other.password).await.expect(ALIVE).status;
    there.seen.hold(5, status == 200, || format!("the account of this project is answered {status}"));
    there.seen.hold(5, probe.id != other.id, || "one id in two projects".into());
}

/// Sentence 9: each value at each door that it is not for, and one whose signature is said to be none.
async fn serves_one_purpose(probe: &Probe<'_>) {
    let api = probe.api;
    for (door, access, refresh) in &probe.sessions {
        for other in DOORS {
            let values = [Some(access).filter(|_| other != *door), refresh.as_ref()];
            for value in values.into_iter().flatten() {
                let status = api.me(other, value).await.expect(ALIVE).status;
                api.seen.hold(9, status == 401, || format!("a value of {door:?} is a token to {other:?}: {status}"));
            }
        }
        for other in [Door::Noma, Door::Nhost] {
            let status = api.refresh(other, access).await.expect(ALIVE).status;
            let is_refused = matches!(status, 400 | 401 | 422);
            api.seen.hold(9, is_refused, || format!("an access token of {door:?} refreshes at {other:?}: {status}"));
        }
        let status = confirm(api, access).await.expect(ALIVE).status;
        api.seen.hold(9, status == 422, || format!("an access token of {door:?} proves an address: {status}"));
    }
    for (door, access, _) in probe.sessions.iter().filter(|(door, ..)| *door != Door::Noma) {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let unsigned = format!("{header}.{}.", access.split('.').nth(1).unwrap_or_default());
        let status = api.me(*door, &unsigned).await.expect(ALIVE).status;
        api.seen.hold(9, status == 401, || format!("a token without a signature is answered {status} by {door:?}"));
    }
}

/// Sentence 10.
async fn redirects_by_url(probe: &Probe<'_>) {
    for target in ["https://app.example.com.evil.example/", "https://app.example.com@evil.example/", "//evil.example"] {
        let target = target.replace(':', "%3A").replace('/', "%2F").replace('@', "%40");
        let path = format!("/verify?redirectTo={target}&ticket=verifyEmail%3Ax");
        let answer = probe.api.send(Door::Nhost, Method::GET, &path, &[], None).await.expect(ALIVE);
        let goes_home = answer.status == 400 || answer.location().starts_with("https://app.example.com?");
        probe.api.seen.hold(10, goes_home, || format!("{target}: {answer:?}"));
    }
}

/// Sentence 11: nobody on this machine is a trusted proxy.
async fn address_is_the_sockets(probe: &Probe<'_>, address: &str) {
    let api = probe.api;
    let headers = [("x-forwarded-for", "203.0.113.9".to_owned()), ("forwarded", "for=203.0.113.9".to_owned())];
    let body = json!({ "email": probe.email, "password": probe.password });
    let answer = api.send(Door::Noma, Method::POST, "/login", &headers, Some(body)).await.expect(ALIVE);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let listed = api.read(&format!("/sessions?user={}", probe.id)).await;
    let sessions = listed["sessions"].as_array().expect("sessions");
    let is_true = !sessions.is_empty() && sessions.iter().all(|session| session["ip"] == address);
    api.seen.hold(11, is_true, || format!("sessions from {address}: {listed}"));
}

/// Sentence 13, in status, headers and body.
async fn unknown_is_like_wrong(probe: &Probe<'_>) {
    for door in DOORS {
        let wrong = probe.api.sign_in(door, &probe.email, "a-wrong-password").await.expect(ALIVE);
        let unknown = probe.api.sign_in(door, "nobody@example.com", "a-wrong-password").await.expect(ALIVE);
        let (wrong, unknown) = (wrong.whole(), unknown.whole());
        probe.api.seen.hold(13, wrong == unknown, || format!("{door:?}: {wrong:?}, and {unknown:?}"));
    }
    // What was counted for nobody is forgotten, else the last of many rounds meets a lock.
    let body = json!({ "email": "nobody@example.com" });
    let unlocked = probe.api.operate(Method::POST, "/unlock", Some(body)).await.expect(ALIVE);
    assert_eq!(unlocked.status, 200, "{}", unlocked.body);
}

/// Sentence 14: a body that is too deep or too long is refused, and who comes next is served.
async fn does_not_panic(probe: &Probe<'_>) {
    let deep = (0..200).fold(Value::Null, |inner, _| json!([inner]));
    for (body, what) in [(json!({ "email": "x".repeat(4_000_000) }), "long"), (deep, "deep")] {
        for door in DOORS {
            // It may close the connection on who goes on sending.
            let answer = probe.api.sign_in_with(door, body.clone()).await;
            let is_refused = answer.as_ref().is_none_or(|Answer { status, .. }| (400..500).contains(status));
            probe.api.seen.hold(14, is_refused, || format!("a {what} body is answered {answer:?} by {door:?}"));
            let (_, access, _) = probe.sessions.iter().find(|(of, ..)| of == &door).expect("a session");
            // The connection may be one that is being closed on that body.
            let answer = match probe.api.me(door, access).await {
                Some(answer) => answer,
                None => probe.api.me(door, access).await.expect(ALIVE),
            };
            let status = answer.status;
            probe.api.seen.hold(14, status == 200, || format!("after a {what} body: {status} by {door:?}"));
        }
    }
}

/// What a JWT says.
fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap_or_default();
    URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}
