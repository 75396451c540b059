//! Mail as verbs write it: the same writes for addresses without an account, nothing in clear, one duplicate at most.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::outbox::{self, Outcome, Terms};
use super::projects::Selector;
use super::sign_up::SignUp;
use super::{Client, Ctx, Email, Operator, Project, RequestId, sign_in, sign_up, verify};
use crate::app::App;
use crate::config::{self, Overrides, Settings};
use crate::crypto::Secret;
use crate::data::outbox::{Item, Lane};
use crate::dialect::Dialect;
use crate::env::{Clock, Env};
use crate::testing::TestClock;

/// A server's engine that delivers nothing.
pub(super) struct Engine {
    pub(super) app: App,
    pub(super) project: Arc<Project>,
    pub(super) clock: Arc<TestClock>,
}

const STRICT_BY_MAIL: &[(&str, &str)] = &[("VERIFICATION__MODE", "strict"), ("VERIFICATION__DELIVERY", "mail")];

impl Engine {
    pub(super) async fn start(dir: Option<&Path>, settings: &[(&str, &str)]) -> Self {
        let mut environment: BTreeMap<String, String> =
            [("KEYSTEAD_HASHING__MEMORY_KIB", "8"), ("KEYSTEAD_HASHING__ITERATIONS", "1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let own = |name: &str| format!("KEYSTEAD_PROJECT__DEFAULT__{name}");
        environment.extend(settings.iter().map(|(name, value)| (own(name), (*value).to_owned())));
        let overrides =
            Overrides { ephemeral: dir.is_none(), data_dir: dir.map(Path::to_owned), ..Overrides::default() };
        let settings: Settings = config::load(&overrides, &environment).unwrap();
        let clock = Arc::new(TestClock::default());
        let app = App::open(settings, Env { clock: Arc::clone(&clock) as _, ..Env::system() }).await.unwrap();
        let project = app.projects().find(Selector::Only).await.unwrap().unwrap();
        Self { app, project, clock }
    }

    fn ctx(&self) -> Ctx {
        self.speaking(Dialect::Noma)
    }

    pub(super) fn speaking(&self, dialect: Dialect) -> Ctx {
        let settings = self.project.settings();
        let client = Client { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), group: 1, agent: Some("test".into()), secure: true };
        Ctx {
            project: Arc::clone(&self.project),
            rules: dialect.rules(&settings),
            settings,
            now: self.clock.now(),
            client,
            request_id: RequestId::new(7),
        }
    }

    fn operator(&self) -> Operator {
        Operator { now: self.clock.now(), uid: None }
    }

    pub(super) async fn sign_up(&self, address: &str) {
        self.sign_up_by(Dialect::Noma, address).await;
    }

    async fn sign_up_by(&self, dialect: Dialect, address: &str) {
        let new = SignUp::new(email(address), Secret::new("correct horse".into()));
        sign_up::sign_up(&self.speaking(dialect), new).await.unwrap();
    }

    /// Every row there is.
    pub(super) fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut rows = BTreeMap::new();
        let mut keep = |key: &[u8], value: &[u8]| {
            rows.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        };
        self.project.store().read(|r| r.scan(&[0], &[255], usize::MAX, &mut keep)).unwrap();
        rows
    }

    /// How many rows of each table are new or changed, how many gone, since `before`.
    pub(super) fn written(&self, before: &BTreeMap<Vec<u8>, Vec<u8>>) -> BTreeMap<u8, (usize, usize)> {
        let after = self.rows();
        let mut written: BTreeMap<u8, (usize, usize)> = BTreeMap::new();
        for (key, value) in &after {
            if before.get(key) != Some(value) {
                written.entry(key[0]).or_default().0 += 1;
            }
        }
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            written.entry(key[0]).or_default().1 += 1;
        }
        written
    }

    /// What a process that has just started would begin.
    pub(super) async fn claim(&self) -> Vec<Item> {
        let terms = Terms {
            now: self.clock.now(),
            retry_for: Duration::from_secs(48 * 3600),
            lane: Lane::Mail,
            sends: true,
            most: 8,
            in_flight: Default::default(),
        };
        outbox::claim(&self.project, vec![terms]).await.unwrap().pop().unwrap().items
    }

    async fn settle(&self, item: &Item, outcome: Outcome) {
        let retry_for = Duration::from_secs(48 * 3600);
        outbox::settle(&self.project, self.clock.now(), retry_for, vec![(item.id, outcome)]).await.unwrap();
    }
}

fn email(address: &str) -> Email {
    Email::parse(address).unwrap()
}

#[tokio::test]
async fn resend_writes_the_same_for_every_address() {
    for delivery in ["mail", "app"] {
        let engine = Engine::start(
            None,
            &[("VERIFICATION__MODE", "strict"), ("VERIFICATION__DELIVERY", delivery), ("VERIFICATION__COOLDOWN", "0s")],
        )
        .await;
        engine.sign_up("ada@example.com").await;
        // The second time an earlier secret has to go, too.
        let mut seen = Vec::new();
        for address in ["nobody@example.com", "nobody@example.com", "ada@example.com", "ada@example.com"] {
            engine.clock.advance(Duration::from_secs(1));
            let before = engine.rows();
            verify::resend(&engine.ctx(), email(address)).await.unwrap();
            seen.push(engine.written(&before));
        }
        assert_eq!(seen[1], seen[3], "{delivery}");
        assert!(seen[0].values().map(|(put, _)| put).sum::<usize>() >= 3, "{delivery}: {seen:?}");
        // Ada's sign-up has issued one already; nobody's first has nothing to end.
        let puts = |written: &BTreeMap<u8, (usize, usize)>| written.values().map(|(put, _)| *put).collect::<Vec<_>>();
        assert_eq!(puts(&seen[0]), puts(&seen[2]), "{delivery}");
        // Within a cooldown neither writes anything.
        let engine =
            Engine::start(None, &[("VERIFICATION__MODE", "strict"), ("VERIFICATION__DELIVERY", delivery)]).await;
        verify::resend(&engine.ctx(), email("nobody@example.com")).await.unwrap();
        let before = engine.rows();
        verify::resend(&engine.ctx(), email("nobody@example.com")).await.unwrap();
        assert!(engine.written(&before).is_empty());
    }
}

#[tokio::test]
async fn a_concealed_sign_up_writes_as_many_rows_as_a_real_one() {
    let engine = Engine::start(None, &[STRICT_BY_MAIL, &[("CONCEAL", "true")]].concat()).await;
    engine.sign_up("ada@example.com").await;
    engine.clock.advance(Duration::from_secs(61));
    let mut seen = Vec::new();
    for address in ["bob@example.com", "carl@example.com", "ada@example.com"] {
        let before = engine.rows();
        engine.sign_up(address).await;
        let written = engine.written(&before);
        seen.push((written.values().map(|(put, _)| put).sum::<usize>(), written.get(&0x70).copied()));
    }
    assert_eq!(seen[0], seen[1]);
    // Ada's first secret still stands: nothing of hers was touched.
    assert_eq!(seen[1], seen[2]);
}

/// Where no sign-up begins a session, and whatever else is written for one: mails, and what webhooks are told.
#[tokio::test]
async fn a_concealed_sign_up_of_nora_writes_as_many_rows_as_a_real_one() {
    let lenient: &[(&str, &str)] = &[("VERIFICATION__MODE", "lenient"), ("VERIFICATION__DELIVERY", "mail")];
    let hooks: &[(&str, &str)] = &[
        ("WEBHOOKS__APP__URL", "https://app.example.com/hook"),
        ("WEBHOOKS__APP__SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLasw"),
        ("WEBHOOKS__CRM__URL", "https://crm.example.com/hook"),
        ("WEBHOOKS__CRM__SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLasw"),
        ("WEBHOOKS__CRM__EVENTS", "auth.login.success"),
    ];
    for settings in [&[][..], lenient, STRICT_BY_MAIL, hooks] {
        let engine = Engine::start(None, &[settings, &[("CONCEAL", "true")]].concat()).await;
        engine.sign_up_by(Dialect::Nora, "ada@example.com").await;
        engine.clock.advance(Duration::from_secs(61));
        let mut seen = Vec::new();
        for address in ["bob@example.com", "ada@example.com"] {
            let before = engine.rows();
            engine.sign_up_by(Dialect::Nora, address).await;
            let written = engine.written(&before);
            seen.push((written.values().map(|(put, _)| put).sum::<usize>(), written.get(&0x70).copied()));
        }
        assert_eq!(seen[0], seen[1], "{settings:?}");
        // Nobody is told of an account that was not made.
        let waiting = outbox::waiting(&engine.project, None, 9).unwrap();
        let told = waiting.iter().filter(|item| item.purpose == "auth.signup.success").count();
        assert_eq!(told, if settings == hooks { 2 } else { 0 }, "ada and bob, once each");
    }
}

#[tokio::test]
async fn a_lockout_writes_the_same_with_and_without_an_account() {
    let engine = Engine::start(None, STRICT_BY_MAIL).await;
    engine.sign_up("ada@example.com").await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        for address in ["nobody@example.com", "ada@example.com"] {
            for _ in 0..4 {
                sign_in::with_password(&engine.ctx(), email(address), Secret::new("wrong".into())).await.unwrap_err();
            }
            let before = engine.rows();
            sign_in::with_password(&engine.ctx(), email(address), Secret::new("wrong".into())).await.unwrap_err();
            seen.push(engine.written(&before));
        }
        engine.clock.advance(Duration::from_secs(901));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!((seen[0].get(&0x70), seen[2].get(&0x70)), (Some(&(1, 0)), None), "told once a day");
    assert_eq!(seen[2], seen[3]);
}

#[tokio::test]
async fn nothing_of_a_secret_lies_in_the_store_in_clear() {
    let engine = Engine::start(None, STRICT_BY_MAIL).await;
    engine.sign_up("ada@example.com").await;
    let item = &engine.claim().await[0];
    let opened = outbox::open(&engine.project, item).unwrap();
    let letter: crate::mail::Letter = serde_json::from_slice(opened.expose()).unwrap();
    let (link, code) = (letter.link.unwrap().expose().clone(), letter.code.unwrap().expose().clone());
    let token = link.split_once("token=").unwrap().1.split('&').next().unwrap();
    for value in engine.rows().values() {
        for secret in [token.as_bytes(), code.as_bytes(), code.replace('-', "").as_bytes()] {
            assert!(!value.windows(secret.len()).any(|window| window == secret));
        }
    }
    // Sealed for its own place: as another item it does not open.
    let moved = Item { id: uuid::Uuid::from_u128(1), ..item.clone() };
    assert!(outbox::open(&engine.project, &moved).is_err());
}

#[tokio::test]
async fn a_crash_makes_one_duplicate_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let engine = Engine::start(Some(&data), STRICT_BY_MAIL).await;
    engine.sign_up("ada@example.com").await;
    let first = engine.claim().await;
    assert_eq!((first.len(), first[0].attempts, first[0].interrupted), (1, 1, false));
    // It went out, and the process ended before it could say so.
    engine.app.close().await;

    let engine = Engine::start(Some(&data), STRICT_BY_MAIL).await;
    let second = engine.claim().await;
    assert_eq!((second.len(), second[0].id, second[0].interrupted), (1, first[0].id, true), "once more");
    // A failure that is known to be one makes no duplicate; the attempt after it does not count as another chance.
    let later = Outcome::Later { error: "down".into(), next_at: engine.clock.now().plus(Duration::from_secs(30)) };
    engine.settle(&second[0], later).await;
    assert!(engine.claim().await.is_empty(), "not yet due");
    engine.clock.advance(Duration::from_secs(30));
    let third = engine.claim().await;
    assert_eq!((third[0].attempts, third[0].interrupted), (3, true));
    engine.app.close().await;

    let engine = Engine::start(Some(&data), STRICT_BY_MAIL).await;
    engine.clock.advance(Duration::from_secs(60));
    assert!(engine.claim().await.is_empty(), "never a third time because of crashes");
    let dead = outbox::dead_letters(&engine.project, None, 9).unwrap();
    assert_eq!(dead[0].item.last_error.as_deref(), Some("cut off twice by a crash; the receiver may have it"));
    // An operator may decide otherwise.
    outbox::resend(&engine.project, engine.operator(), first[0].id).await.unwrap();
    assert_eq!(engine.claim().await[0].id, first[0].id);
    engine.app.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_holds_nothing_up() {
    let engine = Engine::start(None, STRICT_BY_MAIL).await;
    engine.sign_up("ada@example.com").await;
    let damaged = engine.rows().into_keys().find(|key| key[0] == 0x70).unwrap();
    let row = damaged.clone();
    engine.project.store().write(move |w| Ok::<_, super::Error>(w.put(&row, b"damaged")?)).await.unwrap();
    engine.clock.advance(Duration::from_secs(1));
    engine.sign_up("bob@example.com").await;
    let begun: Vec<String> = engine.claim().await.into_iter().map(|item| item.recipient).collect();
    assert_eq!(begun, ["bob@example.com"]);
    assert_eq!(engine.rows()[&damaged], b"damaged", "for an operator to see");
}

#[tokio::test]
async fn one_client_asks_for_so_many_secrets_and_no_more_are_written() {
    let engine = Engine::start(None, STRICT_BY_MAIL).await;
    for n in 0..600 {
        verify::resend(&engine.ctx(), email(&format!("nobody{n}@example.com"))).await.unwrap();
    }
    engine.sign_up("ada@example.com").await;
    engine.clock.advance(Duration::from_secs(60));
    let before = engine.rows();
    for address in ["more@example.com", "ada@example.com"] {
        let refused = verify::resend(&engine.ctx(), email(address)).await;
        assert!(matches!(refused, Err(super::Error::TooManyRequests(_))), "{address}: {refused:?}");
    }
    assert!(engine.written(&before).is_empty());
    engine.clock.advance(Duration::from_secs(540));
    verify::resend(&engine.ctx(), email("more@example.com")).await.unwrap();
}

#[tokio::test]
async fn an_item_dropped_while_it_is_sent_stays_gone() {
    let engine = Engine::start(None, STRICT_BY_MAIL).await;
    engine.sign_up("ada@example.com").await;
    let item = engine.claim().await.remove(0);
    outbox::remove(&engine.project, engine.operator(), item.id).await.unwrap();
    engine.settle(&item, Outcome::Never { error: "refused".into() }).await;
    assert_eq!(outbox::counts(&engine.project).unwrap(), (0, 0));
}

#[test]
fn pauses_double_to_an_hour_and_are_not_all_the_same() {
    let pauses: Vec<u64> = (1..=9).map(|attempts| outbox::pause_after(attempts, 0).as_secs()).collect();
    assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    assert_eq!(outbox::pause_after(1, u32::MAX), Duration::from_millis(37_500));
    assert_eq!(outbox::pause_after(u32::MAX, 0).as_secs(), 3600);
}
