//! Putting it together: settings and environment become projects, then listeners; start, serve, stop.

mod acme;
mod backups;
mod certificates;
mod data_dir;
mod delivery;
mod doctor;
mod ephemeral;
mod error;
mod ready;
mod redirect;
mod reload;
mod serve;
mod supervisor;
mod transport;
mod upkeep;
mod webhooks;

use std::sync::Arc;

use axum::Router;

use crate::admin;
use crate::admin::{Finding, NotReloaded, Reloaded};
use crate::auth::Projects;
use crate::auth::project::Shared;
use crate::auth::projects::Parts;
use crate::config::{MasterKeySource, Settings};
use crate::crypto::{HashPool, MasterKey, PoolSettings, Secret};
use crate::data::format;
use crate::env::Env;
use crate::mail::Mailbox;
use crate::metrics::{Count, Metrics, Stores};
use crate::outbound::Outbound;
use crate::store::{Fleet, FleetOptions, Numbers, StoreOptions, Volume};
use data_dir::DataDir;
pub use ephemeral::{Ephemeral, Folder};
pub use error::StartError;
pub use ready::{Ready, ReadyProject, configured_url};
pub use reload::Source;
pub use serve::{Process, Running, serve, start, start_in};
pub use supervisor::Supervisor;
pub use transport::configured as configured_transport;

/// Everything but listeners: the data directory held, the master key, the hashing pool, the projects.
///
/// The command line works on this when no server runs.
#[derive(Debug)]
pub struct App {
    projects: Arc<Projects>,
    /// Where a server in memory puts its mails.
    mailbox: Arc<Mailbox>,
    /// Held as long as the files are used; `None` in memory.
    data_dir: Option<DataDir>,
}

impl App {
    /// Takes the data directory (which is made when absent) and learns its projects.
    ///
    /// # Errors
    /// [`StartError`] says what an operator can do about it.
    pub async fn open(settings: Settings, env: Env) -> Result<Self, StartError> {
        let data_dir = Self::take_data_dir(&settings)?;
        Self::open_in(data_dir, None, settings, env, Arc::default()).await
    }

    /// Whether a data directory holds no project: then what is restored there is all there is.
    pub fn holds_nothing(settings: &Settings) -> bool {
        data_dir::holds_nothing(&settings.data_dir)
    }

    /// As [`App::open`] for a data directory that [holds nothing](App::holds_nothing), in which nothing is made but what a
    /// restore needs: the master key that came with the backup, unless there is one already.
    ///
    /// # Errors
    /// [`StartError::NoMasterKey`], and as [`App::open`].
    pub async fn open_to_restore(
        settings: Settings,
        env: Env,
        brought: Option<&Secret<[u8; 32]>>,
    ) -> Result<Self, StartError> {
        let data_dir = Self::take_data_dir(&settings)?;
        if let (Some(dir), None) = (&data_dir, &settings.master_key) {
            let path = dir.master_key();
            match brought {
                Some(key) => MasterKey::place(&path, key, &env).map_err(|error| StartError::file(&path, error))?,
                None if !path.exists() => return Err(StartError::NoMasterKey(path)),
                None => {}
            }
        }
        let parts = Self::parts(&data_dir, None, &settings, &env, Arc::default())?;
        let projects = Projects::learned(parts).await?;
        Ok(Self { projects: Arc::new(projects), mailbox: Arc::default(), data_dir })
    }

    /// Takes the data directory; none for a server in memory.
    fn take_data_dir(settings: &Settings) -> Result<Option<DataDir>, StartError> {
        if settings.ephemeral { Ok(None) } else { DataDir::take(&settings.data_dir).map(Some) }
    }

    /// As [`App::open`], with the data directory taken already, or with a volume in place of memory.
    async fn open_in(
        data_dir: Option<DataDir>,
        volume: Option<Arc<dyn Volume>>,
        settings: Settings,
        env: Env,
        lost_lines: Arc<Count>,
    ) -> Result<Self, StartError> {
        let now = env.now();
        let projects = Projects::start(Self::parts(&data_dir, volume, &settings, &env, lost_lines)?, now).await?;
        Ok(Self { projects: Arc::new(projects), mailbox: Arc::default(), data_dir })
    }

    /// What projects are made of.
    fn parts(
        data_dir: &Option<DataDir>,
        volume: Option<Arc<dyn Volume>>,
        settings: &Settings,
        env: &Env,
        lost_lines: Arc<Count>,
    ) -> Result<Parts, StartError> {
        let master = match (&settings.master_key, data_dir) {
            (Some(MasterKeySource::Bytes(bytes)), _) => MasterKey::from_bytes(*bytes.expose()),
            (Some(MasterKeySource::File(path)), _) => {
                MasterKey::load(path).map_err(|error| StartError::file(path, error))?
            }
            (None, Some(dir)) => {
                let path = dir.master_key();
                MasterKey::load_or_create(&path, env).map_err(|error| StartError::file(&path, error))?
            }
            (None, None) => MasterKey::generate(env),
        };
        let store = Arc::<Stores>::default();
        let options = fleet_options(settings, &store, env);
        let fleet = match (data_dir, volume) {
            (Some(dir), _) => Fleet::open(&dir.projects(), options).map_err(crate::auth::Error::from)?,
            (None, Some(volume)) => Fleet::on(volume, options),
            (None, None) => Fleet::memory(),
        };
        let (hashing, cost) = (&settings.hashing, settings.hashing.cost());
        cost.check().map_err(|error| StartError::Hashing(error.to_string()))?;
        let pool = PoolSettings { cost, threads: hashing.threads, queue: hashing.queue };
        let pool = HashPool::start(pool, Arc::clone(&env.entropy));
        let shared = Shared {
            metrics: Arc::new(Metrics { hashing: Arc::clone(pool.counts()), store, lost_lines, ..Metrics::default() }),
            pool,
            master: Arc::new(master),
            wakes: Arc::default(),
            webhook_wakes: Arc::default(),
            several: Arc::default(),
            outbound: Outbound::new(env, &settings.outbound.policy())?,
            env: env.clone(),
        };
        Ok(Parts {
            fleet,
            shared,
            settings: Arc::new(settings.clone()),
            default_url: ready::configured_url(settings),
            catalog_file: data_dir.as_ref().map(DataDir::catalog),
        })
    }

    /// The projects.
    pub fn projects(&self) -> &Arc<Projects> {
        &self.projects
    }

    /// Where mails go when no transport is configured and everything is in memory.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The settings in force now.
    pub fn settings(&self) -> Arc<Settings> {
        self.projects.settings()
    }

    /// The operator's API over it, for a process that is no server.
    pub fn admin(&self) -> Router {
        admin::routes(Arc::clone(&self.projects), Arc::new(Stopped(Arc::clone(&self.projects))))
    }

    /// Closes every file and lets the data directory go.
    pub async fn close(self) {
        self.projects.close().await;
        drop(self.data_dir);
    }
}

/// The process of a command, for its operator.
struct Stopped(Arc<Projects>);

impl admin::Host for Stopped {
    fn reload(&self) -> admin::Work<'_, Result<Reloaded, NotReloaded>> {
        Box::pin(std::future::ready(Err(NotReloaded::Stopped)))
    }

    fn examine(&self) -> admin::Work<'_, Vec<Finding>> {
        Box::pin(doctor::examine(&self.0, None, false))
    }
}

fn fleet_options(settings: &Settings, counts: &Arc<Stores>, env: &Env) -> FleetOptions {
    let env = env.clone();
    let store = StoreOptions {
        cache_bytes: settings.store.cache_mib << 20,
        counts: Arc::clone(counts),
        steps: format::STEPS,
        numbers: Numbers::from(move || u64::from_be_bytes(env.random())),
        ..StoreOptions::default()
    };
    FleetOptions { store, ..FleetOptions::default() }
}
