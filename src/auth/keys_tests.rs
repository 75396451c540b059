//! Keys for JWTs: where they come from, and what becomes of tokens when the settings change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::events::EventKind;
use super::keys::{self, KeyView};
use super::projects::Selector;
use super::{Client, Ctx, Error, Operator, Project, RequestId, User};
use crate::app::App;
use crate::config::{self, Overrides, Settings};
use crate::data::audit;
use crate::data::project as rows;
use crate::dialect::Dialect;
use crate::env::Env;
use crate::token::Rejected;

const SESSION: Uuid = Uuid::from_u128(0x5E55);
const SECRET: &str = "4f1b9c0d7e2a83655d10c9b8a7e6f5d4";

/// The settings with these of the project, as the environment says them.
fn settings(said: &[(&str, &str)]) -> Settings {
    let overrides = Overrides { ephemeral: true, ..Overrides::default() };
    let named = |(key, value): &(&str, &str)| {
        (format!("KEYSTEAD_PROJECT__DEFAULT__{}", key.to_uppercase().replace('.', "__")), (*value).to_owned())
    };
    config::load(&overrides, &said.iter().map(named).collect::<BTreeMap<_, _>>()).unwrap()
}

struct House {
    app: App,
    project: Arc<Project>,
}

impl House {
    async fn new(said: &[(&str, &str)]) -> Self {
        let app = App::open(settings(said), Env::system()).await.unwrap();
        let project = app.projects().find(Selector::Only).await.unwrap().unwrap();
        Self { app, project }
    }

    async fn adopt(&self, said: &[(&str, &str)]) {
        let (projects, now) = (self.app.projects(), self.ctx().now);
        projects.adopt(settings(said), "https://auth.example.com", now).await.unwrap();
    }

    fn ctx(&self) -> Ctx {
        Ctx {
            settings: self.project.settings(),
            project: Arc::clone(&self.project),
            rules: Dialect::Nhost.rules(&self.project.settings()),
            now: self.project.env().now(),
            client: Client { ip: [192, 0, 2, 1].into(), group: 1, agent: None, secure: true },
            request_id: RequestId::new(1),
        }
    }

    fn issue(&self, user: &User) -> Result<String, Error> {
        let ctx = self.ctx();
        let token = self.project.jwts().issue(&ctx, user, SESSION, ctx.now.plus(Duration::from_secs(900)));
        token.map(|token| token.expose().clone())
    }

    fn proved(&self, token: &str) -> Result<Uuid, Rejected> {
        self.project.jwts().prove(token, self.ctx().now).map(|proof| proof.session)
    }

    /// The keys that sign, and those on their way out, by algorithm.
    fn keys(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let of = |wanted: fn(&KeyView) -> bool| {
            let all = keys::list(&self.project).unwrap();
            all.iter().filter(|key| wanted(key)).map(|key| key.algorithm).collect()
        };
        (of(|key| key.retires_at.is_none()), of(|key| key.retires_at.is_some()))
    }

    fn published(&self) -> Vec<Value> {
        let set = self.project.jwks(&self.ctx());
        set["keys"].as_array().unwrap().iter().map(|key| key["alg"].clone()).collect()
    }

    fn rotations(&self) -> usize {
        let rows = self.project.store().read(|r| audit::after(r, 0, 1000)).unwrap();
        rows.iter().filter(|row| row.entry().unwrap().event.kind == EventKind::KeysRotated).count()
    }
}

fn user() -> User {
    let created_at = crate::env::Timestamp::from_secs(1_700_000_000);
    User { email: Some("ada@example.com".into()), ..User::new(Uuid::from_u128(7), created_at) }
}

/// A piece of a token, decoded.
fn part(token: &str, at: usize) -> Value {
    let json = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
    serde_json::from_slice(&json).unwrap()
}

#[tokio::test]
async fn a_new_project_has_a_key_for_jwts_and_an_older_one_gets_one() {
    let house = House::new(&[]).await;
    assert_eq!(house.keys(), (vec!["EdDSA", "ES256"], vec![]));
    assert_eq!(house.published(), ["ES256"]);
    let token = house.issue(&user()).unwrap();
    assert_eq!(house.proved(&token), Ok(SESSION));
    assert_eq!(part(&token, 0)["kid"], keys::list(&house.project).unwrap()[1].kid);

    // As a file is that was made before there were such keys.
    let id = keys::list(&house.project).unwrap()[1].id;
    house.project.store().write(move |w| Ok::<_, Error>(rows::remove_signing_key(w, id)?)).await.unwrap();
    house.project.reload_keys().unwrap();
    assert!(matches!(house.issue(&user()), Err(Error::Busy { .. })));
    assert_eq!(house.proved(&token), Err(Rejected::UnknownKey));
    house.app.projects().set_default_url("https://auth.example.com");
    let again = house.app.projects().find(Selector::Only).await.unwrap().unwrap();
    let house = House { project: again, ..house };
    assert_eq!(house.keys(), (vec!["EdDSA", "ES256"], vec![]));
    let token = house.issue(&user()).unwrap();
    assert_eq!(house.proved(&token), Ok(SESSION));
    // Once it is there, it stays.
    keys::provide(&house.project, house.ctx().now).await.unwrap();
    assert_eq!((house.proved(&token), house.rotations()), (Ok(SESSION), 0));
}

#[tokio::test]
async fn another_algorithm_leaves_good_what_was_signed() {
    let house = House::new(&[]).await;
    let before = house.issue(&user()).unwrap();
    house.adopt(&[("nhost.jwt.algorithm", "RS256")]).await;
    assert_eq!(house.keys(), (vec!["EdDSA", "RS256"], vec!["ES256"]));
    assert_eq!(house.published(), ["RS256", "ES256"]);
    let retires = keys::list(&house.project).unwrap().iter().find_map(|key| key.retires_at).unwrap();
    let overlap = house.project.settings().tokens.key_overlap;
    assert!(retires.since(house.ctx().now) <= overlap && retires.since(house.ctx().now) > overlap / 2);
    // In the name that the token has: that changes with the server's URL.
    assert_eq!(house.proved(&before), Err(Rejected::WrongIssuer));
    house.adopt(&[("nhost.jwt.issuer", "me")]).await;
    let ec = house.issue(&user()).unwrap();
    house.adopt(&[("nhost.jwt.issuer", "me"), ("nhost.jwt.algorithm", "RS256")]).await;
    let rsa = house.issue(&user()).unwrap();
    assert_eq!((&part(&ec, 0)["alg"], &part(&rsa, 0)["alg"]), (&json!("ES256"), &json!("RS256")));
    assert_eq!((house.proved(&ec), house.proved(&rsa)), (Ok(SESSION), Ok(SESSION)));
    assert_eq!(house.rotations(), 3);
    // A key that signed stays when other settings change.
    let names = keys::list(&house.project).unwrap();
    house.adopt(&[("nhost.jwt.issuer", "me"), ("nhost.jwt.algorithm", "RS256"), ("conceal", "true")]).await;
    assert_eq!(keys::list(&house.project).unwrap().len(), names.len());
    assert_eq!(house.proved(&rsa), Ok(SESSION));
}

#[tokio::test]
async fn a_given_key_is_the_only_one() {
    let house = House::new(&[("nhost.jwt.issuer", "me")]).await;
    let own = house.issue(&user()).unwrap();
    let given = [("nhost.jwt.issuer", "me"), ("nhost.jwt.algorithm", "HS256"), ("nhost.jwt.key", SECRET)];
    house.adopt(&given).await;
    assert_eq!(house.proved(&own), Err(Rejected::UnknownKey));
    assert_eq!((house.keys(), house.published()), ((vec!["EdDSA"], vec!["ES256"]), vec![]));
    let token = house.issue(&user()).unwrap();
    assert_eq!(part(&token, 0), json!({"alg": "HS256", "typ": "JWT"}));
    assert_eq!(house.proved(&token), Ok(SESSION));
    house.adopt(&[("nhost.jwt.issuer", "me")]).await;
    assert_eq!(house.proved(&token), Err(Rejected::UnknownKey));
    assert_eq!(house.proved(&own), Ok(SESSION), "its key has not retired yet");
    assert_eq!(house.keys(), (vec!["EdDSA", "ES256"], vec!["ES256"]));
}

#[tokio::test]
async fn a_rotation_is_of_both_kinds() {
    let house = House::new(&[]).await;
    let token = house.issue(&user()).unwrap();
    let by = Operator { now: house.ctx().now, uid: None };
    let rotated = keys::rotate(&house.project, by, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(rotated.jwt.as_ref().unwrap().algorithm, "ES256");
    assert_eq!(house.keys(), (vec!["EdDSA", "ES256"], vec!["EdDSA", "ES256"]));
    assert_eq!(house.proved(&token), Ok(SESSION));
    let new = house.issue(&user()).unwrap();
    assert_eq!(part(&new, 0)["kid"], rotated.jwt.unwrap().kid);
    keys::rotate(&house.project, by, Duration::ZERO).await.unwrap();
    assert_eq!((house.proved(&token), house.proved(&new)), (Err(Rejected::UnknownKey), Err(Rejected::UnknownKey)));
    // Who has the API switched off has no such keys made.
    house.adopt(&[("nhost.enabled", "false")]).await;
    assert!(keys::rotate(&house.project, by, Duration::ZERO).await.unwrap().jwt.is_none());
}

#[tokio::test]
async fn a_token_says_what_the_contract_says_and_what_an_operator_adds() {
    let said = [
        ("public_url", "https://auth.example.com"),
        ("nhost.custom_claims.plan", "metadata.plan"),
        ("nhost.custom_claims.mail", "$.email"),
        ("nhost.custom_claims.roles", "roles[]"),
        ("nhost.custom_claims.phone", "phoneNumber"),
        ("nhost.custom_claims_defaults.plan", "free"),
    ];
    let house = House::new(&said).await;
    let claims = |user: &User| {
        let token = house.issue(user).unwrap();
        let mut claims = part(&token, 1);
        let iat = claims["iat"].take().as_u64().unwrap();
        assert_eq!(claims["exp"].take(), json!(iat + 900));
        claims
    };
    let id = "00000000-0000-0000-0000-000000000007";
    let mut expected = json!({
        "sub": id, "iss": "https://auth.example.com/v1", "iat": null, "exp": null,
        "https://hasura.io/jwt/claims": {
            "x-hasura-allowed-roles": ["me", "user"], "x-hasura-default-role": "user", "x-hasura-user-id": id,
            "x-hasura-user-is-anonymous": "false", "x-hasura-mail": "ada@example.com", "x-hasura-phone": "null",
            "x-hasura-plan": "free", "x-hasura-roles": r#"{"me","user"}"#,
        },
    });
    assert_eq!(claims(&user()), expected);
    let pro = User { metadata: Some(r#"{"plan":"pro"}"#.into()), ..user() };
    expected["https://hasura.io/jwt/claims"]["x-hasura-plan"] = json!("pro");
    assert_eq!(claims(&pro), expected);
    let anonymous = claims(&User { is_anonymous: true, email: None, ..user() });
    let anonymous = &anonymous["https://hasura.io/jwt/claims"];
    assert_eq!(
        (&anonymous["x-hasura-user-is-anonymous"], &anonymous["x-hasura-allowed-roles"], &anonymous["x-hasura-mail"]),
        (&json!("true"), &json!(["anonymous"]), &json!("null"))
    );
}
