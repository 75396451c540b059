//! `keystead serve`: the server in the foreground, until a signal.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, getppid};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::interval;
use tracing_subscriber::EnvFilter;

use super::log_line::{self, WithRequest};
use super::outlet::Outlet;
use super::{FAILED, Surroundings};
use crate::app::{self, Ephemeral, Folder, Process, Source, Supervisor};
use crate::config::{Log, LogFormat, Overrides, Problem, Problems, Settings, load};
use crate::net::{Inherited, raise_descriptor_limit};

/// How long the last log lines may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often an ephemeral server looks for the process it belongs to.
const PARENT_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file [else KEYSTEAD_CONFIG, else none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept; made when absent [else KEYSTEAD_DATA_DIR, else the configuration's, else
    /// ./keystead-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Listen here instead of where the configuration says: "host:port", "[::1]:port" or "unix:/path"; repeatable
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// For tests: everything in memory, on a free port unless told otherwise, until the process that started it ends.
    /// The control socket moves the clock and shows the mails
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
}

pub(super) fn run(args: Args, around: &mut Surroundings) -> Result<()> {
    let environment = around.environment.as_ref().map_err(Clone::clone)?;
    // Before all else: the sooner it is asked, the less likely it has changed already.
    let parent = getppid();
    let overrides =
        Overrides { config: args.config, data_dir: args.data_dir, listen: args.listen, ephemeral: args.ephemeral };
    let settings = load(&overrides, environment)?;
    // Before there are threads: taking them over changes the environment.
    let inherited = Inherited::take().context("socket activation")?;
    let supervisor = Supervisor::of(environment).context("NOTIFY_SOCKET")?;
    let variable = environment.get("KEYSTEAD_LOG").cloned();
    let (format, env) = (settings.log.format, around.env.clone());
    let out = Outlet::to(io::stdout(), |_| String::new())?;
    let err = Outlet::to(io::stderr(), move |lines| log_line::lost(lines, format, &env))?;
    let filter = log_to(&err, filter(variable.as_deref(), &settings.log)?, format);
    let temporary = environment.get("TMPDIR").filter(|dir| !dir.is_empty()).map_or("/tmp", String::as_str);
    let (temporary, environment) = (PathBuf::from(temporary), environment.clone());
    let source = Source {
        read: Box::new(move || load(&overrides, &environment)),
        adopted: Box::new(move |settings| filter.follow(variable.as_deref(), &settings.log)),
    };
    raise_descriptor_limit();
    let threads = available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let ephemeral = args.ephemeral.then(|| Ephemeral::new(&temporary, around.env.clone())).transpose()?;
    let lost_lines = Arc::clone(err.lost());
    let process = Process { inherited, supervisor, lost_lines, source: Some(source), ephemeral, volume: None };
    let served = runtime.block_on(serve(settings, around, process, parent, out.clone(), err.clone()));
    runtime.shutdown_timeout(LAST_WORDS);
    out.flush(LAST_WORDS);
    err.flush(LAST_WORDS);
    served
}

async fn serve(
    settings: Settings,
    around: &Surroundings,
    process: Process,
    parent: Option<Pid>,
    out: Outlet,
    err: Outlet,
) -> Result<()> {
    let guide = settings.log.format == LogFormat::Text;
    let (stop, stopped) = oneshot::channel();
    let folder = process.ephemeral.as_ref().map(|ephemeral| ephemeral.folder().clone());
    let is_ephemeral = folder.is_some();
    let env = process.ephemeral.as_ref().map_or_else(|| around.env.clone(), Ephemeral::env);
    // One that waits is enough: it reads what is there when its turn comes.
    let (again, reload) = mpsc::channel(1);
    tokio::spawn(watch_signals(Signals::take()?, stop, again, folder, err.clone()));
    let ready = |ready: &app::Ready| {
        out.line(&ready.line());
        // Where logs are for machines, prose among them would only break them.
        if guide {
            err.line(ready.guidance().trim_end());
        }
    };
    let shutdown = async {
        tokio::select! {
            // The sender gone means that nobody watches for signals any more.
            _ = stopped => {}
            () = orphaned(parent), if is_ephemeral => {}
        }
    };
    Ok(app::serve(settings, env, process, ready, reload, shutdown).await?)
}

/// Ends when the process that started this one, `parent`, has ended.
///
/// Asked again and again: a death signal (prctl(2)) is sent when the thread that started us ends, which may be long before
/// its process, and neither that nor a pidfd can be had for a parent outside a container.
async fn orphaned(parent: Option<Pid>) {
    let mut look = interval(PARENT_EVERY);
    // Adopted by another process when the parent ends.
    while getppid() == parent {
        look.tick().await;
    }
    tracing::info!("stopping: the process that started this server has ended");
}

/// SIGTERM, SIGINT and SIGHUP, from before the start on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn take() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one that asks to stop; those that ask to take the configuration anew go to `again`.
    async fn stop(&mut self, again: &mpsc::Sender<()>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // Full: one waits already.
                _ = self.hang_up.recv() => drop(again.try_send(())),
            }
        }
    }
}

/// The first signal asks the server to finish; the second does not ask.
async fn watch_signals(
    mut signals: Signals,
    stop: oneshot::Sender<()>,
    again: mpsc::Sender<()>,
    folder: Option<Folder>,
    err: Outlet,
) {
    signals.stop(&again).await;
    tracing::info!("stopping: what was accepted is finished; a second signal ends at once");
    // The receiver gone means the server has ended by itself.
    let _ = stop.send(());
    signals.stop(&again).await;
    tracing::warn!("stopped at once");
    if let Some(folder) = folder {
        folder.remove();
    }
    err.flush(LAST_WORDS);
    std::process::exit(i32::from(FAILED));
}

/// What is said: `KEYSTEAD_LOG` (`keystead::auth=debug,info`) before `log.level`.
fn filter(variable: Option<&str>, log: &Log) -> Result<EnvFilter, Problems> {
    match variable.filter(|text| !text.is_empty()) {
        Some(text) => EnvFilter::try_new(text).map_err(|error| {
            let reason = format!("{error}: write levels such as `debug` or `info,keystead::auth=debug`");
            Problems(vec![Problem { source: "KEYSTEAD_LOG".into(), key: String::new(), reason }])
        }),
        None => Ok(EnvFilter::new(log.level.as_str())),
    }
}

/// What is said, changed while lines are written.
struct LiveFilter(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LiveFilter {
    fn follow(&self, variable: Option<&str>, log: &Log) {
        match filter(variable, log) {
            Ok(filter) => (self.0)(filter),
            Err(problems) => tracing::error!(%problems, "the log goes on as it was"),
        }
    }
}

/// Sends log lines, panics among them, through `err`.
fn log_to(err: &Outlet, filter: EnvFilter, format: LogFormat) -> LiveFilter {
    let lines = tracing_subscriber::fmt().with_writer(err.clone());
    // Failing, another subscriber was there first: this process serves for the second time, and its lines have a way.
    let live = match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(io::stderr().is_terminal());
            let lines = lines.map_event_format(|line| WithRequest { line, format });
            let lines = lines.with_env_filter(filter).with_filter_reloading();
            let handle = lines.reload_handle();
            drop(tracing::subscriber::set_global_default(lines.finish()));
            LiveFilter(Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let lines = lines.json().map_event_format(|line| WithRequest { line, format });
            let lines = lines.with_env_filter(filter).with_filter_reloading();
            let handle = lines.reload_handle();
            drop(tracing::subscriber::set_global_default(lines.finish()));
            LiveFilter(Box::new(move |filter| drop(handle.reload(filter))))
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("");
        tracing::error!(location = panic.location().map(ToString::to_string), message, "a panic");
    }));
    live
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_the_configuration() {
        let log = Log::default();
        assert_eq!(filter(None, &log).unwrap().to_string(), "info");
        assert_eq!(filter(Some(""), &log).unwrap().to_string(), "info");
        assert_eq!(filter(Some("keystead::auth=debug"), &log).unwrap().to_string(), "keystead::auth=debug");
        let problems = filter(Some("keystead=loud"), &log).unwrap_err().to_string();
        assert!(problems.contains("KEYSTEAD_LOG"), "{problems}");
    }
}
