//! The server: bind, open, say ready, serve until told to stop, finish what was accepted.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::acme::Answers;
use super::certificates::{self, Certificates, Places};
use super::ready::{self, Ready, ReadyProject};
use super::reload::{Reloader, Source};
use super::supervisor::{self, Supervisor};
use super::{App, Ephemeral, StartError, backups, delivery, doctor, redirect, upkeep, webhooks};
use crate::admin::{self, Finding, NotReloaded, Reloaded, TestBench};
use crate::config::Settings;
use crate::env::Env;
use crate::http::{Entry, Health, Watch, refusal};
use crate::metrics::Count;
use crate::net::{self, Bound, BoundAddress, Inherited, Limits, LiveLimits, Terms, Trust};
use crate::store::Volume;

/// Connections of the plain listener at a time: none of them does any work.
const REDIRECT_CONNECTIONS: usize = 256;
/// Connections of those who scrape the metrics at a time.
const SCRAPER_CONNECTIONS: usize = 16;

/// What a server has from the process it runs in, beside settings and environment; by default nothing, as in a test.
#[derive(Debug, Default)]
pub struct Process {
    /// Listening sockets that were handed over.
    pub inherited: Inherited,
    /// Who wants to know how it goes.
    pub supervisor: Supervisor,
    /// Log lines that nobody took in time.
    pub lost_lines: Arc<Count>,
    /// Where settings are taken from anew; `None`: they never change by themselves.
    pub source: Option<Source>,
    /// For tests in other processes, to whom it belongs; with it goes its [`Ephemeral::env`].
    pub ephemeral: Option<Ephemeral>,
    /// Where the files of a server lie that would keep everything in memory.
    pub volume: Option<Arc<dyn Volume>>,
}

/// A server that is running.
#[derive(Debug)]
pub struct Running {
    ready: Ready,
    app: App,
    certificates: Certificates,
    reloader: Arc<Reloader>,
    /// Lasts as long as the server.
    _ephemeral: Option<Ephemeral>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Runs a server until `shutdown`, then finishes what was accepted. Each message of `reload` has the settings taken anew
/// from `source`.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub async fn serve(
    settings: Settings,
    env: Env,
    process: Process,
    ready: impl FnOnce(&Ready),
    mut reload: mpsc::Receiver<()>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let supervisor = process.supervisor.clone();
    let running = start_in(settings, env, process).await?;
    ready(running.ready());
    supervisor.ready(&running.ready().status());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // To its end, whatever comes meanwhile. The log tells what came of it.
            Some(()) = reload.recv() => drop(running.reload().await),
        }
    }
    supervisor.stopping();
    running.stop().await;
    Ok(())
}

/// Starts a server; when this returns, every listener accepts.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub async fn start(settings: Settings, env: Env) -> Result<Running, StartError> {
    start_in(settings, env, Process::default()).await
}

/// As [`start`], in a process that others have prepared.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub async fn start_in(settings: Settings, env: Env, process: Process) -> Result<Running, StartError> {
    let Process { mut inherited, supervisor, lost_lines, source, ephemeral, volume } = process;
    let wall = ephemeral.as_ref().map_or_else(|| env.clone(), |ephemeral| ephemeral.wall().clone());
    let fresh = !settings.ephemeral && !settings.data_dir.exists();
    // Projects need to know the URL, which needs the port, which needs the socket: the directory is taken first all
    // the same, so that a second process is refused before it touches anything.
    let data_dir = App::take_data_dir(&settings)?;
    // A first start writes keys, certificates and a project file, and waits for the disk each time: side by side.
    let inherited_names: Vec<String> = inherited.ips().map(|ip| ip.to_string()).collect();
    let certificates = {
        let (mut settings, env) = (settings.clone(), wall.clone());
        let places = data_dir.as_ref().map(Places::of);
        settings.tls.names.extend(inherited_names.iter().cloned());
        tokio::task::spawn_blocking(move || Certificates::open(&settings, places.as_ref(), &env))
    };
    let app = App::open_in(data_dir, volume, settings.clone(), env.clone(), lost_lines).await?;
    let certificates = certificates.await.map_err(|_| StartError::Panicked)??;
    let plain = match &settings.listen.redirect {
        Some(address) => net::bind_or_inherit(address, None, &mut inherited).await?,
        None => Vec::new(),
    };
    let metrics = match &settings.metrics.listen {
        Some(address) => net::bind_or_inherit(address, None, &mut inherited).await?,
        None => Vec::new(),
    };
    let listeners = net::bind_all(&settings.listen.addresses, certificates.tls.as_ref(), inherited).await?;
    // The configuration was checked for the addresses it names; the supervisor may have added others.
    if !settings.listen.behind_proxy
        && let Some(BoundAddress::Tcp(address)) = listeners.iter().find(|b| b.is_exposed()).map(Bound::address)
    {
        return Err(StartError::Exposed(*address));
    }
    if !listeners.iter().all(Bound::is_local) {
        app.projects().note_reachable();
    }
    let urls = ready::urls(&listeners);
    if settings.listen.public_url.is_none()
        && let Some(url) = urls.iter().find(|url| url.starts_with("http"))
    {
        app.projects().set_default_url(url);
    }
    let control = match (&app.data_dir, &ephemeral) {
        (Some(dir), _) => Some(dir.control()),
        (None, Some(ephemeral)) => Some(ephemeral.control()),
        (None, None) => None,
    };
    let socket = match &control {
        Some(path) => Some(net::bind_unix(path, 0o600).await?),
        None => None,
    };
    let ca = match (&certificates.ca, &ephemeral) {
        (Some(ca), Some(ephemeral)) => Some(ephemeral.keep_ca(&ca.ca_pem())?),
        (Some(ca), None) => ca.ca_file(),
        (None, _) => None,
    };
    let projects = app.projects().list();
    let mut ready = Ready {
        ready: true,
        version: env!("CARGO_PKG_VERSION"),
        urls,
        ca,
        control,
        metrics: ready::urls(&metrics).into_iter().next().map(|url| format!("{url}/metrics")),
        projects: projects.into_iter().map(|(id, entry)| ReadyProject { slug: entry.slug, id }).collect(),
        guidance: String::new(),
    };
    ready.guidance = ready::guidance(&ready, &settings, fresh);
    // The only project is opened before the first request asks for it.
    if let [only] = ready.projects.as_slice() {
        app.projects().find(crate::auth::projects::Selector::Id(only.id)).await?;
    }
    let limits = LiveLimits::from(limits(&settings));
    let first_url = ready.urls.iter().find(|url| url.starts_with("http")).cloned();
    let reloader = Arc::new(Reloader {
        projects: Arc::clone(app.projects()),
        certificates: certificates.clone(),
        limits: limits.clone(),
        source,
        supervisor: supervisor.clone(),
        status: ready.status(),
        wall: wall.clone(),
        listener_url: first_url.unwrap_or_else(|| app.projects().default_url()),
        inherited_names,
        turn: Mutex::default(),
    });
    let health = Health::new(Arc::clone(app.projects()), certificates.tls.clone());
    let seen = Watch::new(Arc::clone(app.projects()), health.clone());
    let (stop, stopped) = watch::channel(false);
    let mut tasks = vec![
        tokio::spawn(public(&app, listeners, limits, health, stopped.clone())),
        tokio::spawn(upkeep::run(Arc::clone(app.projects()), certificates.clone(), env.clone(), wall, stopped.clone())),
        tokio::spawn(backups::run(Arc::clone(app.projects()), env.clone(), stopped.clone())),
        tokio::spawn(webhooks::run(Arc::clone(app.projects()), env.clone(), stopped.clone())),
        tokio::spawn(delivery::run(Arc::clone(app.projects()), Arc::clone(app.mailbox()), env, stopped.clone())),
        tokio::spawn(supervisor::beat(supervisor, Arc::clone(app.projects()), stopped.clone())),
    ];
    if !plain.is_empty() {
        tasks.push(tokio::spawn(redirect(&app, plain, certificates.answers.clone(), stopped.clone())));
    }
    if !metrics.is_empty() {
        tasks.push(tokio::spawn(measured(metrics, seen.clone(), stopped.clone())));
    }
    if let Some(socket) = socket {
        let mailbox = Arc::clone(app.mailbox());
        let bench = ephemeral.as_ref().map(|ephemeral| TestBench { clock: Arc::clone(ephemeral.clock()), mailbox });
        tasks.push(tokio::spawn(control_socket(&app, socket, Arc::clone(&reloader), seen, bench, stopped)));
    }
    Ok(Running { ready, app, certificates, reloader, _ephemeral: ephemeral, stop, tasks })
}

impl Running {
    /// What it says when it is ready.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Its projects.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The local CA's certificate as PEM, where there is one.
    pub fn ca_pem(&self) -> Option<Arc<String>> {
        self.certificates.ca.as_ref().map(|ca| ca.ca_pem())
    }

    /// Takes the settings anew from their source. The log tells what came of it.
    ///
    /// # Errors
    /// Everything that is wrong; nothing has changed then.
    pub async fn reload(&self) -> Result<Reloaded, NotReloaded> {
        self.reloader.reload().await
    }

    /// Puts these settings in force, but for what needs a restart.
    ///
    /// # Errors
    /// Everything that is wrong; nothing has changed then.
    pub async fn put_in_force(&self, settings: Settings) -> Result<Reloaded, NotReloaded> {
        self.reloader.put_in_force(settings).await
    }

    /// Stops accepting, finishes what was accepted, closes every file.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the server ended badly");
            }
        }
        // After the last request: nothing is added any more.
        upkeep::note_heads(self.app.projects(), |_| true);
        self.app.close().await;
    }
}

/// What connections are held to.
pub(super) fn limits(settings: &Settings) -> Limits {
    let listen = &settings.listen;
    // A unix peer is a proxy by nature: nobody else connects to a socket file.
    let trust = Trust { proxies: listen.trusted_proxies.clone(), unix: true };
    let connections = net::affordable_connections(listen.max_connections);
    if connections < listen.max_connections {
        let wanted = listen.max_connections;
        tracing::warn!(connections, wanted, "the limit of open files (ulimit -n) allows fewer connections");
    }
    Limits { trust, ..Limits::with_connections(connections) }
}

fn public(
    app: &App,
    listeners: Vec<Bound>,
    limits: LiveLimits,
    health: Health,
    stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<> {
    let entry = Entry::new(Arc::clone(app.projects()), limits.clone(), health);
    let terms = Terms { limits, refusal, counts: Arc::clone(&app.projects().shared().metrics.network) };
    let service = tower::service_fn(move |request: Request<Body>| entry.clone().handle(request));
    async move {
        let drained = net::serve(listeners, terms, service, is_set(stopped)).await;
        if drained.cut > 0 {
            tracing::warn!(connections = drained.cut, "some connections took too long to end and were cut");
        }
    }
}

/// The plain listener that sends clients to https.
fn redirect(
    app: &App,
    plain: Vec<Bound>,
    answers: Answers,
    stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<> {
    let projects = Arc::clone(app.projects());
    let service = tower::service_fn(move |request: Request<Body>| {
        let settings = projects.settings();
        let (hosts, url) = (certificates::names(&settings), projects.default_url());
        std::future::ready(Ok(redirect::answer(&request, &answers, &hosts, &url)))
    });
    async move {
        net::serve(plain, Limits::with_connections(REDIRECT_CONNECTIONS), service, is_set(stopped)).await;
    }
}

/// The listener of those who scrape the metrics.
fn measured(listeners: Vec<Bound>, seen: Watch, stopped: watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
    let router = seen.metrics_routes();
    let service = tower::service_fn(move |request: Request<Body>| router.clone().oneshot(request));
    async move {
        net::serve(listeners, Limits::with_connections(SCRAPER_CONNECTIONS), service, is_set(stopped)).await;
    }
}

fn control_socket(
    app: &App,
    socket: Bound,
    reloader: Arc<Reloader>,
    seen: Watch,
    bench: Option<TestBench>,
    stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<> {
    let (projects, host) = (Arc::clone(app.projects()), Arc::new(RunningHost(reloader)));
    let router = match bench {
        Some(bench) => admin::routes_for_tests(projects, host, bench),
        None => admin::routes(projects, host),
    };
    let router = router.merge(admin::watch_routes(seen));
    let service = tower::service_fn(move |request: Request<Body>| router.clone().oneshot(request));
    async move {
        net::serve(vec![socket], Limits::with_connections(64), service, is_set(stopped)).await;
    }
}

/// The process of a server that runs, for its operator.
struct RunningHost(Arc<Reloader>);

impl admin::Host for RunningHost {
    fn reload(&self) -> admin::Work<'_, Result<Reloaded, NotReloaded>> {
        Box::pin(self.0.reload())
    }

    fn examine(&self) -> admin::Work<'_, Vec<Finding>> {
        Box::pin(async {
            let mut findings = doctor::examine(&self.0.projects, self.0.certificates.tls.as_ref(), true).await;
            findings.extend(self.0.pending().await);
            findings.sort_by_key(|finding| finding.severity);
            findings
        })
    }
}

async fn is_set(mut flag: watch::Receiver<bool>) {
    // The sender gone means the server is gone.
    let _ = flag.wait_for(|set| *set).await;
}
