//! The server: bind, open, say ready, serve until told to stop, finish what was accepted.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::acme::Answers;
use super::certificates::{self, Certificates, Places};
use super::ready::{self, Ready, ReadyProject};
use super::supervisor::{self, Supervisor};
use super::{App, StartError, delivery, redirect, upkeep};
use crate::admin;
use crate::config::Settings;
use crate::env::Env;
use crate::http::Entry;
use crate::net::{self, Bound, BoundAddress, Inherited, Limits, Trust};

/// Connections of the plain listener at a time: none of them does any work.
const REDIRECT_CONNECTIONS: usize = 256;

/// What a server has from the process it runs in, beside settings and environment; by default nothing, as in a test.
#[derive(Debug, Default)]
pub struct Process {
    /// Listening sockets that were handed over.
    pub inherited: Inherited,
    /// Who wants to know how it goes.
    pub supervisor: Supervisor,
}

/// A server that is running.
#[derive(Debug)]
pub struct Running {
    ready: Ready,
    app: App,
    certificates: Certificates,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Runs a server until `shutdown`, then finishes what was accepted.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub async fn serve(
    settings: Settings,
    env: Env,
    process: Process,
    ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let supervisor = process.supervisor.clone();
    let running = start_in(settings, env, process).await?;
    ready(running.ready());
    supervisor.ready(&running.ready().status());
    shutdown.await;
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
    let Process { mut inherited, supervisor } = process;
    let fresh = !settings.ephemeral && !settings.data_dir.exists();
    // Projects need to know the URL, which needs the port, which needs the socket: the directory is taken first all
    // the same, so that a second process is refused before it touches anything.
    let data_dir = App::take_data_dir(&settings)?;
    // A first start writes keys, certificates and a project file, and waits for the disk each time: side by side.
    let certificates = {
        let (settings, env) = (settings.clone(), env.clone());
        let places = data_dir.as_ref().map(Places::of);
        let mut settings = settings;
        settings.tls.names.extend(inherited.ips().map(|ip| ip.to_string()));
        tokio::task::spawn_blocking(move || Certificates::open(&settings, places.as_ref(), &env))
    };
    let app = App::open_in(data_dir, settings.clone(), env.clone()).await?;
    let certificates = certificates.await.map_err(|_| StartError::Panicked)??;
    let plain = match &settings.listen.redirect {
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
    let urls = ready::urls(&listeners);
    if settings.listen.public_url.is_none()
        && let Some(url) = urls.iter().find(|url| url.starts_with("http"))
    {
        app.projects().set_default_url(url);
    }
    let control = match &app.data_dir {
        Some(dir) => Some((dir.control(), net::bind_unix(&dir.control(), 0o600).await?)),
        None => None,
    };
    let projects = app.projects().list();
    let mut ready = Ready {
        ready: true,
        version: env!("CARGO_PKG_VERSION"),
        urls,
        ca: certificates.ca.as_ref().and_then(|ca| ca.ca_file()),
        control: control.as_ref().map(|(path, _)| path.clone()),
        projects: projects.into_iter().map(|(id, entry)| ReadyProject { slug: entry.slug, id }).collect(),
        guidance: String::new(),
    };
    ready.guidance = ready::guidance(&ready, &settings, fresh);
    // The only project is opened before the first request asks for it.
    if let [only] = ready.projects.as_slice() {
        app.projects().find(crate::auth::projects::Selector::Id(only.id)).await?;
    }
    let (stop, stopped) = watch::channel(false);
    let mut tasks = vec![
        tokio::spawn(public(&app, listeners, stopped.clone())),
        tokio::spawn(upkeep::run(Arc::clone(app.projects()), certificates.clone(), env.clone(), stopped.clone())),
        tokio::spawn(delivery::run(Arc::clone(app.projects()), Arc::clone(app.mailbox()), env, stopped.clone())),
        tokio::spawn(supervisor::beat(supervisor, Arc::clone(app.projects()), stopped.clone())),
    ];
    if !plain.is_empty() {
        tasks.push(tokio::spawn(redirect(&app, plain, certificates.answers.clone(), stopped.clone())));
    }
    if let Some((_, socket)) = control {
        tasks.push(tokio::spawn(control_socket(&app, socket, stopped)));
    }
    Ok(Running { ready, app, certificates, stop, tasks })
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

    /// Stops accepting, finishes what was accepted, closes every file.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the server ended badly");
            }
        }
        self.app.close().await;
    }
}

fn public(app: &App, listeners: Vec<Bound>, stopped: watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
    let settings = app.settings();
    let listen = &settings.listen;
    // A unix peer is a proxy by nature: nobody else connects to a socket file.
    let trust = Trust { proxies: listen.trusted_proxies.clone(), unix: true };
    let connections = net::affordable_connections(listen.max_connections);
    if connections < listen.max_connections {
        let wanted = listen.max_connections;
        tracing::warn!(connections, wanted, "the limit of open files (ulimit -n) allows fewer connections");
    }
    let limits = Limits { trust: trust.clone(), ..Limits::with_connections(connections) };
    let entry = Entry::new(Arc::clone(app.projects()), trust);
    let service = tower::service_fn(move |request: Request<Body>| entry.clone().handle(request));
    async move {
        let drained = net::serve(listeners, limits, service, is_set(stopped)).await;
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

fn control_socket(app: &App, socket: Bound, stopped: watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
    let router = admin::routes(Arc::clone(app.projects()));
    let service = tower::service_fn(move |request: Request<Body>| router.clone().oneshot(request));
    async move {
        net::serve(vec![socket], Limits::with_connections(64), service, is_set(stopped)).await;
    }
}

async fn is_set(mut flag: watch::Receiver<bool>) {
    // The sender gone means the server is gone.
    let _ = flag.wait_for(|set| *set).await;
}
