//! One open project: its store, its keys, and what it keeps in memory about them.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::attempts::Attempts;
use super::events::{By, Event, EventKind, Outcome};
use super::jwt::AccessJwts;
use super::limits::Windows;
use super::outbox::Wakes;
use super::session::{KnownToken, Living};
use super::{Ctx, Email, Error, ProjectSettings};
use crate::crypto::{DigestKey, HashPool, MasterKey, Secret};
use crate::data::audit;
use crate::data::project::{self as rows, ProjectRecord, SealedKey};
use crate::env::{Env, Timestamp};
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::store::{Store, StoreError, Write};
use crate::token::{KeyRecord, KeyRing, RefreshKey, RefreshUuidKey, SessionKey, VerifiedCache};

/// How many verified access tokens, and sessions, a project remembers. Both together are about 700 bytes.
const VERIFIED_TOKENS: usize = 8192;

/// A project whose file is open.
pub struct Project {
    record: ProjectRecord,
    settings: ArcSwap<ProjectSettings>,
    store: Store,
    keys: ArcSwap<KeyRing>,
    jwts: ArcSwap<AccessJwts>,
    refresh_key: RefreshKey,
    refresh_uuid_key: RefreshUuidKey,
    addresses: DigestKey,
    verified: VerifiedCache,
    living: Cache<Uuid, Arc<Living>>,
    attempts: Attempts,
    /// Signs session tokens where no key was given.
    session_key: SessionKey,
    /// Session tokens that were found good. Made at the first one: most projects never see any.
    known_tokens: OnceLock<Cache<[u8; 32], KnownToken>>,
    windows: Windows,
    /// The number of the last entry of the audit trail whose hash was logged.
    noted: AtomicU64,
    /// When a request last came in, in milliseconds since the epoch.
    used_at: AtomicU64,
    shared: Shared,
}

/// Who has a project made.
#[derive(Clone, Copy, Debug)]
pub enum Maker {
    /// The configuration declares it, or there was none.
    Configuration,
    /// An operator, with their user id where it is known.
    Operator(Option<u32>),
}

/// What a project's tokens stand on, sealed.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    /// The secret from which refresh tokens are derived.
    pub(crate) refresh: Vec<u8>,
    /// The first key that signs.
    pub(crate) signing: SealedKey,
}

impl Secrets {
    /// New ones for a project.
    pub(crate) fn fresh(shared: &Shared, project: Uuid, now: Timestamp) -> Result<Self, Error> {
        let seed = Secret::new(shared.env.random());
        let signing = super::keys::new_signing_key(shared, project, now)?;
        Ok(Self { refresh: Self::seal_refresh(shared, project, &seed), signing })
    }

    /// Writes them.
    pub(super) fn put(&self, w: &mut dyn Write) -> Result<(), StoreError> {
        rows::put_refresh_key(w, self.refresh.clone())?;
        rows::put_signing_key(w, &self.signing)
    }

    /// A refresh secret sealed for a project.
    pub(crate) fn seal_refresh(shared: &Shared, project: Uuid, seed: &Secret<[u8; 32]>) -> Vec<u8> {
        shared.master.seal(&shared.env, &refresh_context(project), seed.expose())
    }

    /// A project's refresh secret, opened.
    pub(crate) fn open_refresh(
        shared: &Shared,
        project: &ProjectRecord,
        sealed: &[u8],
    ) -> Result<Secret<[u8; 32]>, Error> {
        let seed = shared.master.open(&refresh_context(project.id), sealed).map_err(|_| {
            Error::Internal(format!("project {}: its keys are sealed under another master key", project.slug))
        })?;
        let seed = seed.expose().as_slice().try_into();
        seed.map(Secret::new).map_err(|_| corrupt("a refresh secret of the wrong length"))
    }
}

/// What all projects of a server share.
#[derive(Clone)]
pub struct Shared {
    /// Clock, entropy and names.
    pub env: Env,
    /// Through which others are called.
    pub outbound: Outbound,
    /// Where passwords are hashed.
    pub pool: Arc<HashPool>,
    /// What seals their keys.
    pub master: Arc<MasterKey>,
    /// What is counted of them.
    pub metrics: Arc<Metrics>,
    /// Whose outbox should be looked at.
    pub wakes: Arc<Wakes>,
    /// The same, of those who are to be told by a webhook.
    pub webhook_wakes: Arc<Wakes>,
    /// Whether there are several projects: then links say which is meant.
    pub several: Arc<AtomicBool>,
}

impl Shared {
    /// Asks for a look at all that waits in a project's outbox.
    pub(crate) fn wake_outbox(&self, project: Uuid) {
        self.wakes.wake(project);
        self.webhook_wakes.wake(project);
    }
}

impl Project {
    /// Makes an empty store into a project: identity, first signing key, refresh secret, in one transaction.
    ///
    /// # Errors
    /// When the store cannot write.
    pub async fn create(store: &Store, record: ProjectRecord, shared: &Shared, maker: Maker) -> Result<(), Error> {
        let secrets = Secrets::fresh(shared, record.id, record.created_at)?;
        let event = maker.event(shared, record.created_at, EventKind::ProjectCreated);
        store
            .write(move |w| {
                rows::put(w, &record)?;
                secrets.put(w)?;
                // After the record, which the chain begins with.
                audit::append(w, &event)?;
                Ok::<_, Error>(())
            })
            .await
    }

    /// Opens the project a store holds; `None` when it was never made into one (a crash before its first commit).
    ///
    /// # Errors
    /// When it cannot be read, or its keys are sealed under another master key.
    pub fn open(
        store: Store,
        shared: &Shared,
        settings: impl FnOnce(&ProjectRecord) -> Result<ProjectSettings, Error>,
    ) -> Result<Option<Self>, Error> {
        let (record, sealed, signing) =
            store.read(|r| Ok::<_, Error>((rows::get(r)?, rows::refresh_key(r)?, rows::signing_keys(r)?)))?;
        let Some(record) = record else { return Ok(None) };
        let sealed = sealed.ok_or_else(|| corrupt("a project without a refresh secret"))?;
        let seed = Secrets::open_refresh(shared, &record, &sealed)?;
        let records = super::keys::unseal(shared, record.id, &signing)?;
        let settings = settings(&record)?;
        Ok(Some(Self {
            session_key: SessionKey::own(&seed, record.id),
            refresh_key: RefreshKey::new(&seed, record.id),
            refresh_uuid_key: RefreshUuidKey::new(&seed, record.id),
            addresses: DigestKey::derive(&seed, "keystead/audit-address/1", record.id.as_bytes()),
            record,
            jwts: ArcSwap::from_pointee(AccessJwts::new(&settings, &records)?),
            settings: ArcSwap::from_pointee(settings),
            store,
            keys: ArcSwap::from_pointee(ring_of(&records)?),
            verified: VerifiedCache::new(VERIFIED_TOKENS),
            living: Cache::new(VERIFIED_TOKENS),
            attempts: Attempts::default(),
            known_tokens: OnceLock::new(),
            windows: Windows::default(),
            noted: AtomicU64::new(0),
            used_at: AtomicU64::new(shared.env.now().millis()),
            shared: shared.clone(),
        }))
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        self.record.id
    }

    /// What its file says of it.
    pub fn record(&self) -> &ProjectRecord {
        &self.record
    }

    /// Its settings as of now.
    pub fn settings(&self) -> Arc<ProjectSettings> {
        self.settings.load_full()
    }

    /// Puts other settings in force, from the next request on. What is remembered of sessions, attempts and tokens that
    /// this server checks stays: none of it depends on them.
    ///
    /// # Errors
    /// The store's. JWTs are made and checked as before, then.
    pub(crate) fn adopt(&self, settings: ProjectSettings) -> Result<(), Error> {
        self.settings.store(Arc::new(settings));
        self.renew_jwts(&self.key_records()?)
    }

    /// Reads its store, to find out whether that can be done.
    ///
    /// # Errors
    /// The store's.
    pub fn readable(&self) -> Result<(), Error> {
        self.store.read(|r| Ok::<_, Error>(rows::get(r)?)).map(drop)
    }

    /// Since when something waits to be sent, be it a decoy: cheap enough for anybody to cause.
    ///
    /// # Errors
    /// The store's.
    pub fn waits_since(&self) -> Result<Option<Timestamp>, Error> {
        let oldest = self.store.read(|r| Ok::<_, Error>(crate::data::outbox::oldest(r)?))?;
        Ok(oldest.map(|item| item.created_at))
    }

    /// Why the last change to its store was not made, if it was not.
    pub fn failing(&self) -> Option<Error> {
        self.store.failing().map(Error::from)
    }

    /// Makes a small change durable, to find out whether a store that failed takes changes again.
    ///
    /// # Errors
    /// The store's.
    pub async fn try_to_write(&self) -> Result<(), Error> {
        let now = self.env().now();
        self.store.write(move |w| Ok::<_, Error>(rows::put_probe(w, now)?)).await
    }

    /// Says that something may wait in the outbox. From within a job or after it: whoever looks waits for the commit.
    pub fn wake_outbox(&self) {
        self.shared.wake_outbox(self.id());
    }

    /// Waits until the writer of its store has answered, with whatever: that it lives is all that is asked. Nothing is
    /// written.
    pub async fn writer_answers(&self) {
        // A queue that takes nothing more says nothing about who should work it off.
        while let Err(Error::Unwritable(StoreError::Busy)) = self.store.write(|_| Ok::<_, Error>(())).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Notes that a request came in.
    pub fn touch(&self, now: Timestamp) {
        // Relaxed: only decides when an idle file is closed.
        self.used_at.store(now.millis(), Ordering::Relaxed);
    }

    pub(crate) fn used_at(&self) -> Timestamp {
        Timestamp::from_millis(self.used_at.load(Ordering::Relaxed))
    }

    /// Whether a request came in within `idle` before `now`.
    pub fn used_within(&self, idle: Duration, now: Timestamp) -> bool {
        now.since(self.used_at()) < idle
    }

    /// An address as the audit trail names it.
    pub fn address_digest(&self, email: &Email) -> [u8; 16] {
        self.addresses.digest(email.key().as_bytes())
    }

    /// Up to which number the log has named the trail's head already.
    pub(crate) fn noted(&self) -> &AtomicU64 {
        &self.noted
    }

    /// Its keys as of now.
    pub fn keys(&self) -> Arc<KeyRing> {
        self.keys.load_full()
    }

    /// Its access tokens that other services check, too, as of now.
    pub(crate) fn jwts(&self) -> Arc<AccessJwts> {
        self.jwts.load_full()
    }

    /// The JSON Web Key Set (RFC 7517) of the keys that other services check JWTs with.
    pub fn jwks(&self, ctx: &Ctx) -> serde_json::Value {
        self.jwts().jwks(ctx.now)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn env(&self) -> &Env {
        &self.shared.env
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub(crate) fn pool(&self) -> &HashPool {
        &self.shared.pool
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    pub(crate) fn verified(&self) -> &VerifiedCache {
        &self.verified
    }

    /// Sessions as they were at a version of the store.
    pub(crate) fn living(&self) -> &Cache<Uuid, Arc<Living>> {
        &self.living
    }

    /// What signs session tokens: the key that `settings` give, else the project's own.
    pub(crate) fn session_key<'a>(&'a self, settings: &'a ProjectSettings) -> &'a SessionKey {
        settings.nora.jwt_secret.as_ref().unwrap_or(&self.session_key)
    }

    pub(crate) fn known_tokens(&self) -> &Cache<[u8; 32], KnownToken> {
        self.known_tokens.get_or_init(|| Cache::new(VERIFIED_TOKENS))
    }

    /// The windows of limiters that are kept in memory.
    pub(crate) fn windows(&self) -> &Windows {
        &self.windows
    }

    pub(crate) fn refresh_key(&self) -> &RefreshKey {
        &self.refresh_key
    }

    pub(crate) fn refresh_uuid_key(&self) -> &RefreshUuidKey {
        &self.refresh_uuid_key
    }

    /// Takes over the signing keys the store holds now.
    pub(crate) fn reload_keys(&self) -> Result<(), Error> {
        let records = self.key_records()?;
        self.keys.store(Arc::new(ring_of(&records)?));
        // What the old ring verified is judged again.
        self.verified.clear();
        self.renew_jwts(&records)
    }

    fn renew_jwts(&self, records: &[KeyRecord]) -> Result<(), Error> {
        self.jwts.store(Arc::new(AccessJwts::new(&self.settings(), records)?));
        Ok(())
    }

    fn key_records(&self) -> Result<Vec<KeyRecord>, Error> {
        let signing = self.store.read(|r| Ok::<_, Error>(rows::signing_keys(r)?))?;
        super::keys::unseal(&self.shared, self.id(), &signing)
    }
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project").field("id", &self.record.id).field("slug", &self.record.slug).finish_non_exhaustive()
    }
}

impl Maker {
    /// What the audit trail says of a project that is made or brought.
    pub(super) fn event(&self, shared: &Shared, at: Timestamp, kind: EventKind) -> Event {
        let (by, uid) = match self {
            Self::Configuration => (By::Server, None),
            Self::Operator(uid) => (By::Operator, *uid),
        };
        Event {
            id: shared.env.new_id(at),
            at,
            kind,
            by,
            uid,
            user: None,
            ip: None,
            request: None,
            outcome: Outcome::Done,
            address: None,
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

fn ring_of(records: &[KeyRecord]) -> Result<KeyRing, Error> {
    KeyRing::new(records).map_err(|error| Error::Internal(format!("signing keys: {error}")))
}

fn refresh_context(project: Uuid) -> String {
    format!("keystead/refresh-key/{project}")
}

fn corrupt(what: &str) -> Error {
    Error::Store(StoreError::Corrupt(what.to_owned()))
}
